"""Byte blocks of reads: plain, gzip, bgzip, from a file, a URL, standard input or any other byte stream.

A source hands out blocks in two steps, so that several threads can share it. ``take`` is called by one
thread at a time and moves through the stream: for plain and gzip input that is all the work. ``finish``
may run in any thread and completes the block: bgzip members are independent, so they inflate there.
Each thread owns one ``Block`` and reuses it: the bytes stay in its core's cache from inflating to counting.
"""

import gzip
import hashlib
import io
import queue
import struct
import sys
import threading
import zlib
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

# The reader inside isal's own GzipFile: all members, all checks, into our buffer, without the GIL.
from isal.isal_zlib import IsalError, _GzipReader

from deepchrome.common.signatures import CRAM_MAGIC, GZIP_MAGIC
from deepchrome.common.urls import hide_secrets, is_url
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError, StorageError

# The best of 0.25 to 4 MiB: larger, threads meet less often; smaller, a block stays closer to its core.
BLOCK_BYTES = 3 << 20
COMPRESSED_BYTES = 1 << 18
HEADROOM_BYTES = 1 << 17
MARGIN_BYTES = 64  # kernels may look this far past either end


# Its type stub knows less than it takes: bytes, or anything with readinto.
GzipReader: Any = _GzipReader


class Block:
    """Reusable buffers: room for what the block before left over, then the block's own bytes; and its bgzip members."""

    def __init__(self) -> None:
        self.buffer = np.zeros(HEADROOM_BYTES + BLOCK_BYTES + MARGIN_BYTES, np.uint8)
        self.packed = bytearray(4 * COMPRESSED_BYTES)
        self.first = HEADROOM_BYTES
        self.end = self.first
        self.is_last = False

    def room(self) -> memoryview:
        """Return the bytes a source fills."""
        return memoryview(self.buffer.data)[self.first : self.first + BLOCK_BYTES]

    def put_before(self, carry: bytes) -> int:
        """Place ``carry`` right before the block's bytes; return where it begins."""
        if len(carry) > self.first - MARGIN_BYTES:
            grown = np.zeros(self.buffer.size + len(carry), np.uint8)
            grown[len(carry) :] = self.buffer
            self.buffer, self.first, self.end = grown, self.first + len(carry), self.end + len(carry)
        begin = self.first - len(carry)
        self.buffer[begin : self.first] = np.frombuffer(carry, np.uint8)
        return begin


class ByteStream(Protocol):
    """What a source reads from: the seam for other transports."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read up to ``len(buffer)`` bytes; 0 at the end."""

    def close(self) -> None:
        """Release what the stream holds."""


class MeteredStream(io.RawIOBase):
    """Count, and on request hash, the bytes of a stream as they pass."""

    def __init__(self, stream: ByteStream, hashed: bool) -> None:
        super().__init__()
        self._stream = stream
        self._hasher = _Hasher() if hashed else None
        self.bytes_read = 0

    def readable(self) -> bool:  # noqa: D102 - inherited
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # noqa: D102 - inherited
        # A piece at a time: what waits to be hashed is held in memory.
        n = self._stream.readinto(buffer[:COMPRESSED_BYTES]) or 0
        self.bytes_read += n
        if self._hasher and n:
            self._hasher.chunks.put(bytes(buffer[:n]))
        return n

    def drain(self) -> None:
        """Read to the end."""
        room = memoryview(bytearray(COMPRESSED_BYTES))
        while self.readinto(room):
            pass

    def sha256(self) -> str | None:
        """Return the hash of all bytes, if asked for; nothing more can be read then."""
        return self._hasher.finish() if self._hasher else None

    def etag(self) -> str | None:
        """Return what tells this state of the object at a URL from others, if its server says."""
        identity = getattr(self._stream, "identity", None)
        return identity.etag if identity else None

    def close(self) -> None:
        """End the hashing; the stream stays open."""
        if self._hasher:
            self._hasher.finish()
        super().close()


class _Hasher:
    """SHA-256 in a thread of its own: inflating has to be done in order, and must not wait for it."""

    def __init__(self) -> None:
        self.chunks: queue.Queue[bytes] = queue.Queue(32)
        self._digest = hashlib.sha256()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while chunk := self.chunks.get():
            self._digest.update(chunk)

    def finish(self) -> str:
        """Hash what is waiting, end the thread, and return the hash."""
        if self._thread.is_alive():
            self.chunks.put(b"")
            self._thread.join()
        return self._digest.hexdigest()


class SerialSource:
    """Plain bytes, or one gzip stream of any number of members: inflating has an order of its own."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def take(self, block: Block) -> memoryview:
        """Fill the block; it is the last one if the stream ends in it."""
        room, filled = block.room(), 0
        while filled < len(room):
            n = self._stream.readinto(room[filled:])
            if not n:
                block.is_last = True
                break
            filled += n
        block.end = block.first + filled
        return memoryview(b"")

    def finish(self, members: memoryview, block: Block) -> None:
        """Do nothing: the block is complete."""


class GzipSource:
    """Gzip. As long as its members are bgzip's, which say how long they are, they inflate in any thread."""

    def __init__(self, stream: "PrefixedStream", allow_no_eof: bool) -> None:
        self._stream = stream
        self._allow_no_eof = allow_no_eof
        # The members of a block stand one after another in its own buffer; what was read beyond, in [at, end).
        self._data = bytearray()
        self._at = self._end = 0
        self._must_end_empty = False
        self._ordinary: SerialSource | None = None

    def take(self, block: Block) -> memoryview:
        """Return the whole compressed members that fill one block; ordinary gzip is inflated right here."""
        if self._ordinary:
            return self._ordinary.take(block)
        if len(block.packed) < self._end - self._at:
            block.packed = bytearray(len(self._data))
        self._move_to(block.packed, self._at)
        inflated = 0
        while (size := self._next_member()) is not None:
            if size == 0:
                if not self._at:  # no bgzip from here on
                    unread = PrefixedStream(bytes(self._data[: self._end]), self._stream)
                    self._ordinary = SerialSource(GzipReader(unread, COMPRESSED_BYTES))
                    return self._ordinary.take(block)
                break
            (length,) = struct.unpack_from("<I", self._data, self._at + size - 4)
            if length > len(block.room()):
                raise BadDataError("a bgzip block claims to unpack to more than 64 KiB: the file is damaged")
            # Also where members hold next to nothing: what is packed takes memory, too.
            if inflated + length > len(block.room()) or self._at > len(block.room()):
                break
            inflated += length
            self._at += size
            self._must_end_empty = length > 0
        else:
            block.is_last = True
            if self._must_end_empty and not self._allow_no_eof:
                raise BadDataError(
                    "the bgzip end-of-file block is missing: the file was probably cut; "
                    "get it again, or say --allow-no-eof if you know it is whole"
                )
        block.end, block.packed = block.first + inflated, self._data
        return memoryview(self._data)[: self._at]

    def finish(self, members: memoryview, block: Block) -> None:
        """Inflate bgzip members into the block."""
        if not members:
            return
        reader, room, filled = GzipReader(members, COMPRESSED_BYTES), block.room(), 0
        while n := reader.readinto(room[filled:]):
            filled += n
        # Past a full block, too, the reader must get to the end: only there it checks the last member.
        if block.first + filled != block.end or reader.read(1):
            raise BadDataError("a bgzip block does not unpack to the size it states: the file is damaged")

    def _next_member(self) -> int | None:
        """Return the size of the next bgzip member, all of it in memory; 0 if it is none; None at the end."""
        if not self._have(12):
            return 0 if self._have(1) else None
        magic, flags, extra = struct.unpack_from("<3sB6xH", self._data, self._at)
        if magic != b"\x1f\x8b\x08" or flags != 4 or not self._have(12 + extra):
            return 0
        field, end = self._at + 12, self._at + 12 + extra
        while field + 6 <= end:
            name, length, value = struct.unpack_from("<2sHH", self._data, field)
            if name == b"BC" and length == 2:
                if value + 1 < end - self._at + 8:
                    raise BadDataError("a bgzip block claims to be shorter than its own frame: the file is damaged")
                if not self._have(value + 1):
                    raise EOFError
                return int(value) + 1
            field += 4 + length
        return 0

    def _have(self, n: int) -> bool:
        """Read on until ``n`` bytes are at hand; tell whether the stream has that many."""
        while self._end - self._at < n:
            if len(self._data) < self._end + COMPRESSED_BYTES:
                self._move_to(bytearray(2 * len(self._data) + COMPRESSED_BYTES), 0)
            more = self._stream.readinto(memoryview(self._data)[self._end : self._end + COMPRESSED_BYTES])
            if not more:
                return False
            self._end += more
        return True

    def _move_to(self, data: bytearray, first: int) -> None:
        """Go on in another buffer, with what was read from ``first`` on; the two may be one."""
        n = self._end - first
        memoryview(data)[:n] = memoryview(self._data)[first : self._end]
        self._data, self._at, self._end = data, self._at - first, n


class PrefixedStream(io.RawIOBase):
    """A stream some of whose first bytes have been read already."""

    def __init__(self, prefix: bytes, stream: ByteStream) -> None:
        super().__init__()
        self._prefix = prefix
        self._stream = stream

    def readable(self) -> bool:  # noqa: D102 - inherited
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # noqa: D102 - inherited
        if self._prefix:
            n = min(len(buffer), len(self._prefix))
            buffer[:n] = self._prefix[:n]
            self._prefix = self._prefix[n:]
            return n
        return self._stream.readinto(buffer) or 0


Source = SerialSource | GzipSource


def open_stream(path: str) -> ByteStream:
    """Open a file, a URL, or standard input for ``-``, as raw bytes.

    Raises
    ------
    MissingInputError
        No such file, or it may not be read, or standard input is closed.
    StorageError
        The server does not answer, or not as it should.
    UsageError
        A URL, and what it takes to read one is not installed.
    """
    if is_url(path):
        from deepchrome.engine.streams.remote import RemoteStream

        return cast(ByteStream, RemoteStream(path))
    if path == "-":
        if sys.stdin is None:
            raise MissingInputError("standard input is closed")
        return cast(ByteStream, sys.stdin.buffer)
    try:
        return cast(ByteStream, open(path, "rb", buffering=0))
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise MissingInputError(error.strerror or str(error)) from None


def open_source(stream: ByteStream, allow_no_eof: bool = False) -> Source:
    """Choose the source for a stream by its first bytes.

    Raises
    ------
    BadDataError
        It is CRAM, which only pysam reads, and only from a file.
    """
    head = b""
    while len(head) < len(CRAM_MAGIC):
        piece = bytearray(len(CRAM_MAGIC) - len(head))
        n = stream.readinto(memoryview(piece))
        if not n:
            break
        head += piece[:n]
    whole = PrefixedStream(head, stream)
    if head.startswith(CRAM_MAGIC):
        raise BadDataError("CRAM can only be read from a file; pipe it through samtools view -u instead")
    return GzipSource(whole, allow_no_eof) if head.startswith(GZIP_MAGIC) else SerialSource(whole)


def is_cram(path: str) -> bool:
    """Tell whether ``path`` is a CRAM file; standard input is not looked at, and what may not be read is none."""
    if path == "-" or not Path(path).is_file():
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(CRAM_MAGIC)) == CRAM_MAGIC
    except PermissionError:
        return False


def translate_error(error: Exception, path: str) -> DeepchromeError:
    """Say what a failure while reading ``path`` means to the user."""
    path = hide_secrets(path)
    if isinstance(error, DeepchromeError):
        return type(error)(f"{path}: {error}")
    if isinstance(error, EOFError):
        return BadDataError(f"{path}: the data end too early: the file is truncated; get it again")
    if isinstance(error, gzip.BadGzipFile | IsalError | zlib.error):
        return BadDataError(f"{path}: the compressed data are damaged ({error}); get the file again")
    if isinstance(error, OSError):
        return StorageError(f"{path}: cannot be read ({error.strerror or error})")
    if isinstance(error, MemoryError):
        return StorageError(f"{path}: not enough memory ({error}); try larger bins, or fewer --threads and --jobs")
    raise error
