"""Define the interface of all streams of raw bytes, and two streams that wrap another one."""

import hashlib
import io
import queue
import threading
from typing import Protocol

# Number of bytes, compressed in most files, to read from a stream at a time.
COMPRESSED_BYTES = 1 << 18


class ByteStream(Protocol):
    """A source of raw bytes: a file, a URL, standard input, or any object with these two methods."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Read up to ``len(buffer)`` bytes into ``buffer``, and return how many were read; 0 at the end."""

    def close(self) -> None:
        """Release the resources of the stream."""


class PrefixedStream(io.RawIOBase):
    """A stream preceded by bytes that were already read from it.

    Parameters
    ----------
    prefix
        The bytes to return first.
    stream
        The stream to read after them.
    """

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


class MeteredStream(io.RawIOBase):
    """A stream that counts, and optionally hashes, the bytes read from another stream.

    Parameters
    ----------
    stream
        The stream to read from. Closing the metered stream leaves it open.
    hashed
        Whether to compute the SHA-256 of the bytes.

    Attributes
    ----------
    bytes_read
        The number of bytes read so far.
    """

    def __init__(self, stream: ByteStream, hashed: bool) -> None:
        super().__init__()
        self._stream = stream
        self._hasher = _Hasher() if hashed else None
        self.bytes_read = 0

    def readable(self) -> bool:  # noqa: D102 - inherited
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # noqa: D102 - inherited
        # Read small pieces, because the hasher's queue keeps copies of them in memory.
        n = self._stream.readinto(buffer[:COMPRESSED_BYTES]) or 0
        self.bytes_read += n
        if self._hasher and n:
            self._hasher.chunks.put(bytes(buffer[:n]))
        return n

    def drain(self) -> None:
        """Read and discard the rest of the stream, so that the count and the hash cover all of it."""
        buffer = memoryview(bytearray(COMPRESSED_BYTES))
        while self.readinto(buffer):
            pass

    def sha256(self) -> str | None:
        """Return the SHA-256 of the bytes read so far, or None if ``hashed`` is False. Do not read after this."""
        return self._hasher.finish() if self._hasher else None

    def etag(self) -> str | None:
        """Return the ETag of the object at a URL, or else its Last-Modified date; None if neither is known."""
        identity = getattr(self._stream, "identity", None)
        return identity.etag if identity else None

    def close(self) -> None:
        """Stop hashing. The wrapped stream stays open."""
        if self._hasher:
            self._hasher.finish()
        super().close()


class _Hasher:
    """Compute a SHA-256 in a separate thread, so that decompression does not wait for it."""

    def __init__(self) -> None:
        self.chunks: queue.Queue[bytes] = queue.Queue(32)
        self._digest = hashlib.sha256()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while chunk := self.chunks.get():
            self._digest.update(chunk)

    def finish(self) -> str:
        """Hash the queued chunks, end the thread, and return the hash."""
        if self._thread.is_alive():
            self.chunks.put(b"")
            self._thread.join()
        return self._digest.hexdigest()
