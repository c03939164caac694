"""Reads straight from a URL: the whole object, byte by byte as it is stored, or an error; never fewer bytes.

One request streams it all, in blocks of several MiB, each fetched while the one before is counted. Where the
connection is cut or stalls, or the server has too much to do, another request asks for the rest, after a pause. The
object must be the same one from the first request to a last one at the end.
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
from deepchrome.engine.streams.transports import (
    DropError,
    ObjectIdentity,
    RangeResponse,
    StatusError,
    io_loop,
    request_range,
)
from deepchrome.errors import DeepchromeError, MissingInputError, StorageError

BLOCK_BYTES = 4 << 20
BLOCK_SECONDS = 1.0  # a block that takes longer is handed out as far as it is there
# Fewer bytes than a step in the time of a stall is no progress, and so many tries without are the end.
STEP_BYTES = 1 << 16
STALL_SECONDS = 30.0
TRIES = 6
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
_PASSING = (DropError, StatusError, TimeoutError)
_BUSY = {408, 425, 429, 500, 502, 503, 504}

Result = TypeVar("Result")


class ObjectNotFoundError(MissingInputError):
    """The server says that there is no such object."""


def fetch_identity(url: str) -> ObjectIdentity:
    """Ask a server for the size and the ETag of an object.

    Raises
    ------
    NotThereError, MissingInputError
        There is no such object, or access is refused.
    StorageError
        The server does not answer, or not as it should.
    """
    return _result(_submit(_identity(url)))


def cancel_pending() -> None:
    """End all that is being waited for, in whatever thread: an interrupt should not wait for a server."""
    for waiting in list(_waiting):
        waiting.cancel()


class RemoteStream(io.RawIOBase):
    """The bytes of the object at a URL.

    Parameters
    ----------
    url
        http, https or s3.
    start, known
        Where to begin, if the object still is ``known`` and the server can begin there.

    Attributes
    ----------
    start
        Where the bytes do begin: ``start``, or 0.
    identity
        Of the object.

    Raises
    ------
    NotThereError, MissingInputError
        There is no such object, or access is refused.
    StorageError
        The server does not answer, or not as it should. Reading raises it, too: if the connection drops
        again and again, if the object changes, if it is shorter than the server said.
    """

    def __init__(self, url: str, start: int = 0, known: ObjectIdentity | None = None) -> None:
        super().__init__()
        self._passage = _Passage(url, start, known)
        self._block, self._at = b"", 0
        self._next: Future[bytes] | None = _submit(self._passage.block())
        try:
            self._advance()
        except BaseException:
            self.close()
            raise
        assert self._passage.identity
        self.start, self.identity = self._passage.start, self._passage.identity

    def readable(self) -> bool:  # noqa: D102 - inherited
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # noqa: D102 - inherited
        if self.closed:
            raise ValueError("reading from a stream that is closed")
        if self._at == len(self._block):
            self._advance()
        n = min(len(buffer), len(self._block) - self._at)
        buffer[:n] = self._block[self._at : self._at + n]
        self._at += n
        return n

    def close(self) -> None:
        """Give up what has not been read; from any thread, and whoever waits for bytes gets an error."""
        if not self.closed:
            if self._next:
                self._next.cancel()
            io_loop().call_soon_threadsafe(self._passage.drop)
        super().close()

    def _advance(self) -> None:
        """Get the next block, and have the one after it fetched."""
        self._block, self._at = b"", 0
        if self._next:
            self._block = _result(self._next)
            self._next = _submit(self._passage.block()) if self._block else None


class _Passage:
    """The way through one object; what happens on it happens in the thread of the I/O loop."""

    def __init__(self, url: str, start: int, known: ObjectIdentity | None) -> None:
        self.url = url
        self.start = self.position = start
        self.identity: ObjectIdentity | None = None
        self._known = known
        self._answer: RangeResponse | None = None
        self._patience = _Patience()
        self._framed = True
        self._head = b""
        self._ended = False

    async def block(self) -> bytes:
        """Return the next bytes: a block of them, or what has come of it in its time; none at the end."""
        block = bytearray()
        ended, began = self._ended, time.monotonic()
        while not ended and len(block) < BLOCK_BYTES and not (block and time.monotonic() - began > BLOCK_SECONDS):
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    ended = await self._step(block)
                self._patience.failures = 0
            except _PASSING as error:
                self.drop()
                await self._patience.wait(error, self._so_far())
        self._head = (self._head + block[:2])[:2]
        if ended and not self._ended:
            await self._check_end()
        self._ended = ended
        return bytes(block)

    def drop(self) -> None:
        """Close the connection."""
        if self._answer:
            self._answer.body.close()
        self._answer = None

    async def _step(self, block: bytearray) -> bool:
        """Read one step further and tell whether the end was met; what has been read before a failure counts."""
        if self._answer is None:
            self._answer = await (self._resume() if self.identity else self._begin())
        assert self.identity
        enough = min(len(block) + STEP_BYTES, BLOCK_BYTES)
        while len(block) < enough:
            piece = await self._answer.body.read(enough - len(block))
            if not piece:
                if self.identity.size is not None and self.position < self.identity.size:
                    raise DropError("the connection was cut")
                return True
            block += piece
            self.position += len(piece)
        return False

    async def _begin(self) -> RangeResponse:
        """Ask for the bytes from where they are wanted, if it is the same object still, else from the first."""
        answer = None
        if self.start and self._known:
            try:
                answer = await request_range(self.url, self.start)
            except StatusError as error:
                if error.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    raise
            if answer and answer.offset and not (answer.offset == self.start and self._known.is_same(answer.identity)):
                answer.body.close()
                answer = None
        answer = answer or await request_range(self.url, 0)
        if answer.offset not in (0, self.start):
            raise StorageError("the server sends other bytes than were asked for")
        self.start = self.position = answer.offset
        self.identity, self._framed = answer.identity, answer.framed
        return answer

    async def _resume(self) -> RangeResponse:
        """Ask for the bytes from here on, and see that they are those of the same object."""
        assert self.identity
        try:
            answer = await request_range(self.url, self.position)
        except StatusError as error:
            if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise StorageError(f"{self._so_far()}, and says now that there are no more") from None
            raise
        if answer.offset == self.position and self.identity.is_same(answer.identity):
            return answer
        answer.body.close()
        self._check_same(answer.identity)
        raise StorageError(f"the connection was cut, and the server cannot resume: {self._so_far()}")

    async def _check_end(self) -> None:
        """See that these were all the bytes there are, and that the object is still the one it was."""
        assert self.identity
        self.drop()
        if self.identity.size is None and not self._framed and self._head != GZIP_MAGIC:
            raise StorageError(
                "the server does not say how long it is, so that a cut would pass unseen; only gzip can be read so"
            )
        if self.identity.differs(ObjectIdentity(self.position, None)):
            raise StorageError(self._so_far())
        self._check_same(await _identity(self.url))

    def _check_same(self, now: ObjectIdentity) -> None:
        assert self.identity
        if self.identity.differs(ObjectIdentity(now.size, None)):
            raise StorageError(
                f"the server announced {self.identity.size:,} bytes, and later {now.size:,}; read it again"
            )
        if self.identity.differs(now):
            raise StorageError("it has changed while it was read; read it again")

    def _so_far(self) -> str:
        if not self.identity:
            return ""
        announced = "" if self.identity.size is None else f"the server announced {self.identity.size:,} bytes and "
        return f"{announced}{self.position:,} arrived"


class _Patience:
    """How often to try again, and how long to wait before."""

    def __init__(self) -> None:
        self.failures = 0

    async def wait(self, error: Exception, so_far: str = "") -> None:
        """Wait after a failure, longer each time; raise it as the user's if there is nothing to wait for.

        Raises
        ------
        NotThereError, MissingInputError, StorageError
            The failure will not pass, or there have been too many of them.
        """
        self.failures += 1
        asked = 0.0
        if isinstance(error, StatusError):
            if error.status not in _BUSY:
                raise _lasting(error) from None
            asked = error.retry_after or 0.0
        words = f"no data for {STALL_SECONDS:g} seconds" if isinstance(error, TimeoutError) else str(error)
        if self.failures >= TRIES:
            raise StorageError("; ".join(filter(None, (words, so_far, f"tried {TRIES} times")))) from None
        pause = FIRST_PAUSE_SECONDS * 2 ** (self.failures - 1) * random.uniform(0.5, 1.0)
        await asyncio.sleep(min(max(pause, asked), LONGEST_PAUSE_SECONDS))


def _lasting(error: StatusError) -> DeepchromeError:
    if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return ObjectNotFoundError(f"the server has no such file ({error.status})")
    if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return MissingInputError(f"the server refuses access ({error.status}); it needs credentials, or others")
    return StorageError(str(error))


async def _identity(url: str) -> ObjectIdentity:
    """Ask for one byte, not for the head: a signed URL often allows only to get."""
    patience = _Patience()
    while True:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                answer = await request_range(url, 0, 0)
                try:
                    await answer.body.read(2)  # to the end, or the connection could not be used again
                finally:
                    answer.body.close()
            return answer.identity
        except StatusError as error:
            if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and error.size == 0:
                return ObjectIdentity(0, None)
            await patience.wait(error)
        except _PASSING as error:
            await patience.wait(error)


_waiting: set[Future[Any]] = set()


def _submit(work: Coroutine[Any, Any, Result]) -> Future[Result]:
    future = asyncio.run_coroutine_threadsafe(work, io_loop())
    _waiting.add(future)
    future.add_done_callback(_waiting.discard)
    return future


def _result(future: Future[Result]) -> Result:
    try:
        return future.result()
    except CancelledError:
        raise StorageError("given up before it was answered") from None
