"""Stream the object at a URL: all of its bytes exactly as stored, or an error.

One request streams the whole object in blocks of several MiB. The next block is fetched while the caller works on the
current one. If the connection is cut or stalls, or the server is overloaded, the reader waits and then requests
the rest. Every response must describe the same object, and a last request checks that it has not changed.
"""

import asyncio
import io
import random
import time
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from http import HTTPStatus
from typing import Any, TypeVar

from deepchrome.common.signatures import GZIP_MAGIC
from deepchrome.common.threads import wait_for_result
from deepchrome.engine.streams.transports import (
    ObjectIdentity,
    RangeResponse,
    RequestFailedError,
    StatusError,
    io_loop,
    request_range,
)
from deepchrome.errors import DeepchromeError, MissingInputError, StorageError

BLOCK_BYTES = 4 << 20
BLOCK_SECONDS = 1.0  # a block that takes longer is returned incomplete
# An attempt makes progress if STEP_BYTES arrive within STALL_SECONDS. After TRIES failures in a row, give up.
STEP_BYTES = 1 << 16
STALL_SECONDS = 30.0
TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
_TRANSIENT_ERRORS = (RequestFailedError, StatusError, TimeoutError)
_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}

Result = TypeVar("Result")


class ObjectNotFoundError(MissingInputError):
    """The server has no object at this URL."""


def fetch_identity(url: str) -> ObjectIdentity:
    """Ask a server for the size and the ETag of an object.

    Raises
    ------
    ObjectNotFoundError, MissingInputError
        The object does not exist, or access is refused.
    StorageError
        The server does not answer, or its answer is not valid.
    """
    return _result(_submit(_request_identity(url)))


def cancel_pending() -> None:
    """Cancel all requests of all threads, so that an interrupt does not wait for a server."""
    for future in list(_pending):
        future.cancel()


class RemoteStream(io.RawIOBase):
    """The bytes of the object at a URL.

    Parameters
    ----------
    url
        The URL of the object: http, https or s3.
    start
        Offset of the first byte to read, to continue an earlier transfer.
    known
        The identity of the object in the earlier transfer. The stream begins at ``start`` only if the object is
        still the same and the server supports ranges; otherwise it begins at 0.

    Attributes
    ----------
    start
        Offset of the first byte of the stream: the parameter ``start``, or 0.
    identity
        Size and ETag of the object.

    Raises
    ------
    ObjectNotFoundError, MissingInputError
        The object does not exist, or access is refused.
    StorageError
        The server does not answer, or its answer is not valid. Also raised by reads if the connection fails
        repeatedly, the object changes, or it is shorter than the server announced.
    """

    def __init__(self, url: str, start: int = 0, known: ObjectIdentity | None = None) -> None:
        super().__init__()
        self._reader = ObjectReader(url, start, known)
        self._block, self._block_position = b"", 0
        self._next_block: Future[bytes] | None = _submit(self._reader.read_block())
        try:
            self._advance()
        except BaseException:
            self.close()
            raise
        assert self._reader.identity
        self.start, self.identity = self._reader.start, self._reader.identity

    def readable(self) -> bool:  # noqa: D102 - inherited
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # noqa: D102 - inherited
        if self.closed:
            raise ValueError("read from a closed stream")
        if self._block_position == len(self._block):
            self._advance()
        start = self._block_position
        n = min(len(buffer), len(self._block) - start)
        buffer[:n] = self._block[start : start + n]
        self._block_position += n
        return n

    def close(self) -> None:
        """Stop fetching. Any thread may call this; a thread that is waiting for bytes then gets an error."""
        if not self.closed:
            if self._next_block:
                self._next_block.cancel()
            io_loop().call_soon_threadsafe(self._reader.drop_connection)
        super().close()

    def _advance(self) -> None:
        """Wait for the next block, and start fetching the one after it."""
        self._block, self._block_position = b"", 0
        if self._next_block:
            self._block = _result(self._next_block)
            self._next_block = _submit(self._reader.read_block()) if self._block else None


class ObjectReader:
    """Read one object block by block, with a new request after each failure.

    All methods run in the thread of the I/O loop. For the parameters, see :class:`RemoteStream`.

    Attributes
    ----------
    url
        The URL of the object.
    start
        Offset of the first byte that is read.
    position
        Offset of the next byte.
    identity
        Size and ETag of the object; None before the first response.
    """

    def __init__(self, url: str, start: int, known: ObjectIdentity | None) -> None:
        self.url = url
        self.start = self.position = start
        self.identity: ObjectIdentity | None = None
        self._known = known
        self._response: RangeResponse | None = None
        self._retries = _RetryPolicy()
        self._framed = True  # see RangeResponse
        self._head = b""  # the first two bytes, which identify gzip
        self._ended = False

    async def read_block(self) -> bytes:
        """Return the next BLOCK_BYTES: fewer at the end or after more than BLOCK_SECONDS, and none after the end."""
        block = bytearray()
        ended, began = self._ended, time.monotonic()
        while not ended and len(block) < BLOCK_BYTES and not (block and time.monotonic() - began > BLOCK_SECONDS):
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    ended = await self._read_step(block)
                self._retries.reset()
            except _TRANSIENT_ERRORS as error:
                self.drop_connection()
                await self._retries.wait(error, self._describe_progress())
        self._head = (self._head + block[:2])[:2]
        if ended and not self._ended:
            await self._check_complete()
        self._ended = ended
        return bytes(block)

    def drop_connection(self) -> None:
        """Close the connection, if there is one."""
        if self._response:
            self._response.body.close()
        self._response = None

    async def _read_step(self, block: bytearray) -> bool:
        """Append up to STEP_BYTES to ``block``, and return whether the object has ended.

        Bytes that arrive before an error stay in ``block``.
        """
        if self._response is None:
            self._response = await (self._resume() if self.identity else self._begin())
        assert self.identity
        target = min(len(block) + STEP_BYTES, BLOCK_BYTES)
        while len(block) < target:
            piece = await self._response.body.read(target - len(block))
            if not piece:
                if self.identity.size is not None and self.position < self.identity.size:
                    raise RequestFailedError("the connection was cut")
                return True
            block += piece
            self.position += len(piece)
        return False

    async def _begin(self) -> RangeResponse:
        """Request the bytes from ``start`` if the object is still the known one, and all bytes otherwise."""
        response = None
        if self.start and self._known:
            try:
                response = await request_range(self.url, self.start)
            except StatusError as error:
                if error.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise
            if (
                response
                and response.offset
                and not (response.offset == self.start and self._known.is_same(response.identity))
            ):
                response.body.close()
                response = None
        response = response or await request_range(self.url, 0)
        if response.offset not in (0, self.start):
            raise StorageError("the server sent a different range than the one requested")
        self.start = self.position = response.offset
        self.identity, self._framed = response.identity, response.framed
        return response

    async def _resume(self) -> RangeResponse:
        """Request the bytes from ``position``, and check that they belong to the same object."""
        assert self.identity
        try:
            response = await request_range(self.url, self.position)
        except StatusError as error:
            if error.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            if error.size is not None:
                self._check_unchanged(ObjectIdentity(error.size, None))
            raise StorageError(
                f"{self._describe_progress()}, but the server now reports that there are no more"
            ) from None
        if response.offset == self.position and self.identity.is_same(response.identity):
            return response
        response.body.close()
        self._check_unchanged(response.identity)
        raise StorageError(f"the connection was cut, and the server cannot resume: {self._describe_progress()}")

    async def _check_complete(self) -> None:
        """Check that all bytes have arrived, and that the object has not changed."""
        assert self.identity
        self.drop_connection()
        if self.identity.size is None and not self._framed and self._head != GZIP_MAGIC:
            raise StorageError(
                "the server does not announce a size, so a truncated transfer would go unnoticed. "
                "Only gzip files can be read from such a server."
            )
        if self.identity.differs(ObjectIdentity(self.position, None)):
            raise StorageError(self._describe_progress())
        self._check_unchanged(await _request_identity(self.url))

    def _check_unchanged(self, now: ObjectIdentity) -> None:
        assert self.identity
        if self.identity.differs(ObjectIdentity(now.size, None)):
            raise StorageError(
                f"the server announced {self.identity.size:,} bytes, and later {now.size:,}. Read the file again."
            )
        if self.identity.differs(now):
            raise StorageError("the file changed while it was read. Read it again.")  # guard: changed-object

    def _describe_progress(self) -> str:
        if not self.identity:
            return ""
        announced = "" if self.identity.size is None else f"the server announced {self.identity.size:,} bytes and "
        return f"{announced}{self.position:,} arrived"


class _RetryPolicy:
    """Count failures without progress, and wait before each retry."""

    def __init__(self) -> None:
        self._failures = 0

    def reset(self) -> None:
        """Forget earlier failures, because there was progress."""
        self._failures = 0

    async def wait(self, error: Exception, progress: str = "") -> None:
        """Wait after a failure, longer each time, or raise an error for the user if there is no point in retrying.

        Parameters
        ----------
        error
            The failure.
        progress
            How many bytes have arrived, for the error message.

        Raises
        ------
        ObjectNotFoundError, MissingInputError, StorageError
            The failure is permanent, or this was the last attempt.
        """
        self._failures += 1
        requested = 0.0
        if isinstance(error, StatusError):
            if error.status not in _TRANSIENT_STATUSES:
                raise _permanent_error(error) from None
            requested = error.retry_after or 0.0
        problem = f"no data for {STALL_SECONDS:g} seconds" if isinstance(error, TimeoutError) else str(error)
        if self._failures >= TRIES:
            raise StorageError("; ".join(filter(None, (problem, progress, f"tried {TRIES} times")))) from None
        pause = FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1) * random.uniform(0.5, 1.0)
        await asyncio.sleep(min(max(pause, requested), LONGEST_PAUSE_SECONDS))


def _permanent_error(error: StatusError) -> DeepchromeError:
    if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return ObjectNotFoundError(f"the server has no such file ({error.status})")
    if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return MissingInputError(f"the server refuses access ({error.status}). Check the credentials.")
    return StorageError(str(error))


async def _request_identity(url: str) -> ObjectIdentity:
    """Return the identity of an object.

    This requests one byte with GET, because presigned URLs often refuse HEAD.
    """
    retries = _RetryPolicy()
    while True:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                response = await request_range(url, 0, 0)
                try:
                    await response.body.read(2)  # read to the end, so that the connection can be reused
                finally:
                    response.body.close()
            return response.identity
        except StatusError as error:
            if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and error.size == 0:
                return ObjectIdentity(0, None)
            await retries.wait(error)
        except _TRANSIENT_ERRORS as error:
            await retries.wait(error)


_pending: set[Future[Any]] = set()


def _submit(work: Coroutine[Any, Any, Result]) -> Future[Result]:
    future = asyncio.run_coroutine_threadsafe(work, io_loop())
    _pending.add(future)
    future.add_done_callback(_pending.discard)
    return future


def _result(future: Future[Result]) -> Result:
    try:
        return wait_for_result(future)
    except CancelledError:
        raise StorageError("canceled before the server answered") from None
