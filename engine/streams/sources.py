"""Fill blocks from a stream of plain text, BAM, ordinary gzip or bgzip.

A source fills a block in two steps, so that several threads can share it:

- ``take`` advances the stream. One thread at a time may call it.
- ``finish`` completes a block that was taken. Any number of threads may call it at the same time.

Ordinary gzip can only be inflated from front to back, which :class:`SerialSource` does in ``take``. bgzip consists of
small independent gzip members, which :class:`GzipSource` collects in ``take`` and inflates in ``finish``.
"""

import struct
from typing import Any

# The reader inside isal's GzipFile: it checks all members, writes into our buffer, and releases the GIL.
from isal.isal_zlib import _GzipReader

from deepchrome.common.signatures import CRAM_MAGIC, GZIP_MAGIC
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.byte_streams import COMPRESSED_BYTES, ByteStream, PrefixedStream
from deepchrome.errors import BadDataError

# Typed as Any, because the type stub does not declare that it accepts bytes or any object with readinto.
GzipReader: Any = _GzipReader

_BGZIP_MAGIC = GZIP_MAGIC + b"\x08"
_EXTRA_FIELD_FLAG = 4
_FIXED_HEADER_BYTES = 12  # of a gzip member with an extra field, up to that field
_TRAILER_BYTES = 8  # CRC-32 and inflated size
_MAX_MEMBER_BYTES = 1 << 16  # inflated, in bgzip


class SerialSource:
    """Fill blocks with the bytes of a stream; all the work happens in ``take``.

    The stream may be a ``GzipReader``, which inflates ordinary gzip with any number of members.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    def take(self, block: Block) -> memoryview:
        """Fill the block; mark it as the last one if the stream ends in it. Return an empty view.

        The view is empty because no members remain to be inflated.
        """
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
        """Do nothing, because ``take`` has filled the block."""


class GzipSource:
    """Inflate bgzip members in parallel, and everything from the first ordinary gzip member on serially.

    A bgzip member states its compressed size in its header and its inflated size in its trailer. ``take`` can
    therefore find as many whole members as fill a block, without inflating them. At the first ordinary member the
    source switches to a :class:`SerialSource`.

    Parameters
    ----------
    stream
        Gzip data.
    allow_no_eof
        Whether to accept bgzip data without the empty member that marks the end of a complete file.
    """

    def __init__(self, stream: PrefixedStream, allow_no_eof: bool) -> None:
        self._stream = stream
        self._allow_no_eof = allow_no_eof
        # Compressed bytes that were read from the stream. data[at:end] does not belong to a block yet. Between calls
        # of take, data is the `packed` buffer of the previous block.
        self._data = bytearray()
        self._at = self._end = 0
        self._last_member_has_data = False
        self._serial: SerialSource | None = None

    def take(self, block: Block) -> memoryview:
        """Collect the compressed members of one block and return them; inflate ordinary gzip at once.

        Raises
        ------
        BadDataError
            A member is damaged, or the end-of-file member is missing.
        EOFError
            The stream ends within a member.
        """
        if self._serial:
            return self._serial.take(block)
        if len(block.packed) < self._end - self._at:
            block.packed = bytearray(len(self._data))
        self._move_to(block.packed, self._at)
        inflated = 0
        while (size := self._next_member_size()) is not None:
            if size == 0:
                if not self._at:  # the block has no bgzip members, so serial inflating can fill it
                    unread = PrefixedStream(bytes(self._data[: self._end]), self._stream)
                    self._serial = SerialSource(GzipReader(unread, COMPRESSED_BYTES))
                    return self._serial.take(block)
                break
            (length,) = struct.unpack_from("<I", self._data, self._at + size - 4)
            if length > min(_MAX_MEMBER_BYTES, len(block.room())):  # guard: bgzip-member-size
                raise BadDataError("a bgzip block states an inflated size above 64 KiB: the file is damaged")
            # The second condition limits the memory that many nearly empty members would use.
            if inflated + length > len(block.room()) or self._at > len(block.room()):
                break
            inflated += length
            self._at += size
            self._last_member_has_data = length > 0
        else:
            block.is_last = True
            if self._last_member_has_data and not self._allow_no_eof:  # guard: bgzip-end-of-file
                raise BadDataError(
                    "the bgzip end-of-file block is missing: the file is probably truncated. Get the file again.",
                    remedy="allow_no_eof",
                )
        block.end, block.packed = block.first + inflated, self._data
        return memoryview(self._data)[: self._at]

    def finish(self, members: memoryview, block: Block) -> None:
        """Inflate the members that :meth:`take` returned into the block.

        Raises
        ------
        BadDataError
            The inflated size differs from the size that the members state.
        gzip.BadGzipFile, isal.isal_zlib.IsalError
            A member is damaged.
        """
        if not members:
            return
        reader, room, filled = GzipReader(members, COMPRESSED_BYTES), block.room(), 0
        while n := reader.readinto(room[filled:]):
            filled += n
        # Read past a full block, because the reader checks the last member only when it reaches the end.
        if block.first + filled != block.end or reader.read(1):  # guard: bgzip-member-checksum
            raise BadDataError("a bgzip block does not inflate to the size it states: the file is damaged")

    def _next_member_size(self) -> int | None:
        """Read the next bgzip member, and return its compressed size in bytes.

        Return 0 if ordinary gzip or other data follow, and None at the end of the stream, which zeros may fill up.
        The size is the field ``BC`` of the gzip header (SAM specification, section 4.1).

        Raises
        ------
        BadDataError
            The size is smaller than the header, or data follow after zeros.
        EOFError
            The stream ends within the member.
        """
        if self._read_ahead(1) and not self._data[self._at]:
            self._read_zeros()
        if not self._read_ahead(_FIXED_HEADER_BYTES):
            return 0 if self._read_ahead(1) else None
        magic, flags, extra = struct.unpack_from("<3sB6xH", self._data, self._at)
        header_bytes = _FIXED_HEADER_BYTES + extra
        if magic != _BGZIP_MAGIC or flags != _EXTRA_FIELD_FLAG or not self._read_ahead(header_bytes):
            return 0
        field, end = self._at + _FIXED_HEADER_BYTES, self._at + header_bytes
        while field + 6 <= end:
            name, length, value = struct.unpack_from("<2sHH", self._data, field)
            if name == b"BC" and length == 2:
                size = int(value) + 1
                if size < header_bytes + _TRAILER_BYTES:
                    raise BadDataError("a bgzip block states a size below that of its header: the file is damaged")
                if not self._read_ahead(size):
                    raise EOFError
                return size
            field += 4 + length
        return 0

    def _read_zeros(self) -> None:
        """Read zeros to the end of the stream. Tapes and some programs fill files up with them, and gzip ignores them.

        Raises
        ------
        BadDataError
            Other data follow.
        """
        while self._read_ahead(1):
            if self._data[self._at : self._end].strip(b"\0"):  # guard: data-after-zeros
                raise BadDataError("data after zeros: the file is damaged. Get the file again.")
            self._end = self._at

    def _read_ahead(self, n: int) -> bool:
        """Read until ``data[at:end]`` has at least ``n`` bytes; return False if the stream ends first."""
        while self._end - self._at < n:
            if len(self._data) < self._end + COMPRESSED_BYTES:
                self._move_to(bytearray(2 * len(self._data) + COMPRESSED_BYTES), 0)
            more = self._stream.readinto(memoryview(self._data)[self._end : self._end + COMPRESSED_BYTES])
            if not more:
                return False
            self._end += more
        return True

    def _move_to(self, data: bytearray, first: int) -> None:
        """Copy the buffered bytes, beginning at ``first``, to the front of ``data``, and use ``data`` as the buffer.

        ``data`` may be the current buffer.
        """
        n = self._end - first
        memoryview(data)[:n] = memoryview(self._data)[first : self._end]
        self._data, self._at, self._end = data, self._at - first, n


Source = SerialSource | GzipSource


def open_source(stream: ByteStream, allow_no_eof: bool = False) -> Source:
    """Choose the source for a stream by its first bytes.

    Parameters
    ----------
    stream
        Plain text, BAM, gzip or bgzip.
    allow_no_eof
        See :class:`GzipSource`.

    Raises
    ------
    BadDataError
        The stream is CRAM, which pysam can only read from a file.
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
        raise BadDataError(
            "CRAM can only be read from a file. Give the file itself, or pipe it through samtools view -u."
        )
    return GzipSource(whole, allow_no_eof) if head.startswith(GZIP_MAGIC) else SerialSource(whole)
