"""One request for the bytes of an object, over http and s3: what differs between the two, and nothing else.

fsspec makes the sessions, so that its configuration (headers, proxies, keys, endpoints) holds here too.
"""

import asyncio
import os
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import responses
from typing import Any, Protocol

from deepchrome.errors import StorageError, UsageError
from deepchrome.version import VERSION

_INSTALL = "reading from a URL takes more packages ({} is missing): pip install 'deepchrome[remote]'"
try:
    import aiohttp
    import fsspec.asyn
    from yarl import URL
except ImportError as missing:
    raise UsageError(_INSTALL.format(missing.name)) from None

_ONE_TRY = {"retries": {"total_max_attempts": 1}}  # who asks knows when to ask again


@dataclass(frozen=True)
class ObjectIdentity:
    """What tells one state of an object from another.

    Attributes
    ----------
    size
        In bytes; None if the server does not say.
    etag
        Its ETag or, lacking that, when it was last modified; None if the server says neither.
    """

    size: int | None
    etag: str | None

    def differs(self, other: "ObjectIdentity") -> bool:
        """Tell whether something that both know is not the same."""
        return any(a != b for a, b in self._both_know(other))

    def is_same(self, other: "ObjectIdentity") -> bool:
        """Tell whether both know something, and all that both know is the same."""
        return bool(self._both_know(other)) and not self.differs(other)

    def _both_know(self, other: "ObjectIdentity") -> list[tuple[int | str, int | str]]:
        pairs = ((self.size, other.size), (self.etag, other.etag))
        return [(a, b) for a, b in pairs if a is not None and b is not None]


class DropError(Exception):
    """The request failed in a way that another one may not: what happened, in words."""


class StatusError(Exception):
    """The server answered something else than the bytes.

    Attributes
    ----------
    status
        HTTP's.
    retry_after
        Seconds, if the server says how long to wait.
    size
        Of the object, where a range beyond its end was asked for.
    """

    def __init__(self, status: int, retry_after: float | None, size: int | None) -> None:
        super().__init__(f"the server answers {status} {responses.get(status, '')}".rstrip())
        self.status = status
        self.retry_after = retry_after
        self.size = size


class Body(Protocol):
    """What an answer's bytes come from."""

    def read(self, n: int) -> Awaitable[bytes]:
        """Read up to ``n`` bytes; none at the end. Raises DropError."""

    def close(self) -> None:
        """Give up what has not been read."""


@dataclass(frozen=True)
class RangeResponse:
    """The bytes of an object, from some point on.

    Attributes
    ----------
    identity
        Of the object.
    offset
        Where the bytes begin: 0 where the server does not know ranges, whatever was asked for.
    framed
        Whether the end of the bytes can be told from a connection that was cut.
    body
        The bytes.
    """

    identity: ObjectIdentity
    offset: int
    framed: bool
    body: Body


def io_loop() -> asyncio.AbstractEventLoop:
    """Return the loop that all requests run in; it has a thread of its own."""
    loop: asyncio.AbstractEventLoop = fsspec.asyn.get_loop()
    return loop


async def request_range(url: str, first: int, last: int | None = None) -> RangeResponse:
    """Ask for the bytes of an object from ``first`` to ``last``, both included; to its end if that is None.

    Raises
    ------
    DropError, StatusError
        No answer, or another than the bytes.
    StorageError
        The request cannot be made at all.
    """
    span = None if first == 0 and last is None else f"bytes={first}-{'' if last is None else last}"
    return await (_ask_s3 if url[:2].lower() == "s3" else _ask_http)(url, span)


async def _ask_http(url: str, span: str | None) -> RangeResponse:
    files = _filesystem("http", os.getpid())
    session = await files.set_session()
    options = dict(files.kwargs)
    headers = {"User-Agent": f"deepchrome/{VERSION}", **options.pop("headers", {}), "Accept-Encoding": "identity"}
    if span:
        headers["Range"] = span
    # What is proper as it stands is sent as it stands: a signature covers every character.
    proper = url.isascii() and url.isprintable() and " " not in url
    try:
        target = URL(url, encoded=proper)
        if not target.host or target.port == 0:
            raise ValueError
    except ValueError:
        raise StorageError("this is not a proper URL") from None
    with _http_errors():
        response = await session.get(target, headers=headers, **options)
    if response.status not in (200, 206):
        error = _status_error(response.status, response.headers)
        response.close()
        raise error
    offset, size = 0, response.content_length
    if response.status == 206:
        offset, size = _content_range(response.headers.get("Content-Range", ""))
    identity = ObjectIdentity(size, response.headers.get("ETag") or response.headers.get("Last-Modified"))
    framed = response.content_length is not None or "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return RangeResponse(identity, offset, framed, _HttpBody(response))


class _HttpBody:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self, n: int) -> bytes:
        with _http_errors():
            return await self._response.content.read(n)

    def close(self) -> None:
        self._response.close()


@contextmanager
def _http_errors() -> Iterator[None]:
    """Turn what aiohttp raises into words without the URL, which may hold a secret."""
    try:
        yield
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        raise StorageError("this is not a proper URL") from None
    except aiohttp.TooManyRedirects:
        raise StorageError("the server redirects without end") from None
    except aiohttp.ClientSSLError as error:
        raise StorageError(f"no secure connection ({error.strerror or type(error).__name__})") from None
    except OSError as error:
        raise DropError((error.strerror or type(error).__name__).lower()) from None
    except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
        raise DropError("the connection was cut") from None
    except aiohttp.ClientError as error:
        raise DropError(f"no proper answer ({type(error).__name__})") from None


async def _ask_s3(url: str, span: str | None) -> RangeResponse:
    files = _filesystem("s3", os.getpid())
    bucket, key, version = files.split_path(url)
    options = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {}), **files.req_kw}
    if span:
        options["Range"] = span
    with _s3_errors():
        await files.set_session()
        client = await files.get_s3(bucket)
        response = await client.get_object(**options)
    offset, size = 0, response.get("ContentLength")
    framed = size is not None
    if response.get("ContentRange"):
        offset, size = _content_range(response["ContentRange"])
    return RangeResponse(ObjectIdentity(size, response.get("ETag")), offset, framed, _S3Body(response["Body"]))


class _S3Body:
    def __init__(self, body: Any) -> None:
        self._body = body

    async def read(self, n: int) -> bytes:
        with _s3_errors(), _http_errors():
            data: bytes = await self._body.read(n)
            return data

    def close(self) -> None:
        self._body.close()


@contextmanager
def _s3_errors() -> Iterator[None]:
    from botocore import exceptions as s3  # type: ignore[import-untyped]

    try:
        yield
    except s3.ClientError as error:
        reply = error.response.get("ResponseMetadata", {})
        raise _status_error(reply.get("HTTPStatusCode", 500), reply.get("HTTPHeaders", {})) from None
    except (s3.HTTPClientError, s3.ConnectionError, s3.IncompleteReadError) as error:
        raise DropError(f"the connection failed ({type(error).__name__})") from None
    except s3.BotoCoreError as error:
        raise StorageError(f"s3 cannot be asked ({' '.join(str(error).split())})") from None


def _status_error(status: int, headers: Any) -> StatusError:
    lower = {name.lower(): value for name, value in headers.items()}
    after, wait = lower.get("retry-after", ""), None
    if after.isdecimal():
        wait = float(after)
    elif after:
        try:
            wait = (parsedate_to_datetime(after).astimezone(UTC) - datetime.now(UTC)).total_seconds()
        except ValueError:
            wait = None
    size = lower.get("content-range", "").rpartition("/")[2]
    return StatusError(status, wait, int(size) if size.isdecimal() else None)


def _content_range(text: str) -> tuple[int, int | None]:
    """Return where ``bytes first-last/size`` begins, and the size if it is known."""
    span, _, size = text.removeprefix("bytes").strip().partition("/")
    first = span.partition("-")[0]
    if not first.isdecimal():
        raise DropError("the server does not say which bytes it sends")
    return int(first), int(size) if size.isdecimal() else None


@cache
def _filesystem(protocol: str, process: int) -> Any:  # noqa: ARG001 - sessions do not outlive a fork
    settings = fsspec.config.conf.get(protocol, {})
    if protocol == "http":
        # As stored: what is packed stays packed, whatever the server says of its encoding.
        ours = {"trust_env": True, "auto_decompress": False, "timeout": aiohttp.ClientTimeout(total=None)}
        client = ours | settings.get("client_kwargs", {})
        return fsspec.filesystem("http", skip_instance_cache=True, client_kwargs=client)
    try:
        import s3fs  # noqa: F401 - fsspec needs it
        from botocore.session import Session  # type: ignore[import-untyped]
    except ImportError as missing:
        raise UsageError(_INSTALL.format(missing.name)) from None
    given: dict[str, Any] = {"config_kwargs": _ONE_TRY | settings.get("config_kwargs", {})}
    if not {"anon", "key", "profile", "session"} & set(settings):
        given["anon"] = Session().get_credentials() is None
    return fsspec.filesystem("s3", skip_instance_cache=True, **given)
