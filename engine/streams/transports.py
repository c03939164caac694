"""Request the bytes of an object over http or s3, with the same response type and the same errors for both.

fsspec creates the sessions, so its configuration (headers, proxies, keys, endpoints) applies.
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

from deepchrome.errors import NotInstalledError, StorageError
from deepchrome.version import VERSION

_INSTALL = "reading from a URL needs more packages ({} is missing). Install them: pip install 'deepchrome[remote]'"
try:
    import aiohttp
    import fsspec.asyn
    from yarl import URL
except ImportError as missing:
    raise NotInstalledError(_INSTALL.format(missing.name)) from None

_ONE_TRY = {"retries": {"total_max_attempts": 1}}  # the caller decides when to retry


@dataclass(frozen=True)
class ObjectIdentity:
    """The size and the version of an object. The server may not report them.

    Attributes
    ----------
    size
        Size in bytes, or None.
    etag
        The ETag of the object, or else its Last-Modified date, or None.
    """

    size: int | None
    etag: str | None

    def differs(self, other: "ObjectIdentity") -> bool:
        """Return whether the sizes or the ETags differ. Unknown values are ignored."""
        return any(a != b for a, b in self._known_pairs(other))

    def is_same(self, other: "ObjectIdentity") -> bool:
        """Return whether at least one value is known on both sides, and none of these differ."""
        return bool(self._known_pairs(other)) and not self.differs(other)

    def _known_pairs(self, other: "ObjectIdentity") -> list[tuple[int | str, int | str]]:
        pairs = ((self.size, other.size), (self.etag, other.etag))
        return [(a, b) for a, b in pairs if a is not None and b is not None]


class RequestFailedError(Exception):
    """A request failed for a reason that may be temporary. The message gives the reason."""


class StatusError(Exception):
    """The server answered with an error status.

    Attributes
    ----------
    status
        The HTTP status code.
    retry_after
        The waiting time that the server requests, in seconds, or None.
    size
        The size of the object in bytes, if the request asked for a range beyond its end; otherwise None.
    """

    def __init__(self, status: int, retry_after: float | None, size: int | None) -> None:
        super().__init__(f"the server answers {status} {responses.get(status, '')}".rstrip())
        self.status = status
        self.retry_after = retry_after
        self.size = size


class Body(Protocol):
    """The body of a response."""

    def read(self, n: int) -> Awaitable[bytes]:
        """Read up to ``n`` bytes; return ``b""`` at the end.

        Raises
        ------
        RequestFailedError
            The connection failed.
        """

    def close(self) -> None:
        """Close the connection, whether or not all bytes have been read."""


@dataclass(frozen=True)
class RangeResponse:
    """A response with the bytes of an object, starting at an offset.

    Attributes
    ----------
    identity
        Size and ETag of the object.
    offset
        Offset of the first byte in the body; 0 if the server ignores ranges.
    framed
        Whether the response shows where its body ends, so that a cut connection is noticed.
    body
        The bytes.
    """

    identity: ObjectIdentity
    offset: int
    framed: bool
    body: Body


def io_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that runs all requests. It has its own thread."""
    loop: asyncio.AbstractEventLoop = fsspec.asyn.get_loop()
    return loop


async def request_range(url: str, first: int, last: int | None = None) -> RangeResponse:
    """Request the bytes of an object from offset ``first`` to ``last`` (inclusive), or to the end if ``last`` is None.

    Raises
    ------
    RequestFailedError, StatusError
        The server does not answer, or answers with an error.
    StorageError
        The request cannot succeed: for example, the URL is not valid or the server redirects too many times.
    NotInstalledError
        The URL is s3, and s3fs is not installed.
    """
    byte_range = None if first == 0 and last is None else f"bytes={first}-{'' if last is None else last}"
    return await (_request_s3 if url[:2].lower() == "s3" else _request_http)(url, byte_range)


async def _request_http(url: str, byte_range: str | None) -> RangeResponse:
    filesystem = _filesystem("http", os.getpid())
    session = await filesystem.set_session()
    options = dict(filesystem.kwargs)
    headers = {"User-Agent": f"deepchrome/{VERSION}", **options.pop("headers", {}), "Accept-Encoding": "identity"}
    if byte_range:
        headers["Range"] = byte_range
    # Do not re-encode a valid URL, because the signature of a presigned URL covers every character.
    is_encoded = url.isascii() and url.isprintable() and " " not in url
    try:
        target = URL(url, encoded=is_encoded)
        if not target.host or target.port == 0:
            raise ValueError
    except ValueError:
        raise StorageError("not a valid URL") from None
    with _http_errors():
        response = await session.get(target, headers=headers, **options)
    if response.status not in (200, 206):
        error = _status_error(response.status, response.headers)
        response.close()
        raise error
    offset, size = 0, response.content_length
    if response.status == 206:
        offset, size = _parse_content_range(response.headers.get("Content-Range", ""))
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
    """Translate the errors of aiohttp into errors whose messages omit the URL, which may contain a secret."""
    try:
        yield
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        raise StorageError("not a valid URL") from None
    except aiohttp.TooManyRedirects:
        raise StorageError("the server redirects too many times") from None
    except aiohttp.ClientSSLError as error:
        raise StorageError(f"no secure connection ({error.strerror or type(error).__name__})") from None
    except OSError as error:
        raise RequestFailedError((error.strerror or type(error).__name__).lower()) from None
    except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError):
        raise RequestFailedError("the connection was cut") from None
    except aiohttp.ClientError as error:
        raise RequestFailedError(f"no valid response ({type(error).__name__})") from None


async def _request_s3(url: str, byte_range: str | None) -> RangeResponse:
    filesystem = _filesystem("s3", os.getpid())
    bucket, key, version = filesystem.split_path(url)
    options = {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {}), **filesystem.req_kw}
    if byte_range:
        options["Range"] = byte_range
    with _s3_errors():
        await filesystem.set_session()
        client = await filesystem.get_s3(bucket)
        response = await client.get_object(**options)
    offset, size = 0, response.get("ContentLength")
    framed = size is not None
    if response.get("ContentRange"):
        offset, size = _parse_content_range(response["ContentRange"])
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
        raise RequestFailedError(f"the connection failed ({type(error).__name__})") from None
    except s3.BotoCoreError as error:
        raise StorageError(f"the s3 request cannot be sent ({' '.join(str(error).split())})") from None


def _status_error(status: int, headers: Any) -> StatusError:
    values = {name.lower(): value for name, value in headers.items()}
    size = values.get("content-range", "").rpartition("/")[2]
    retry_after = _parse_retry_after(values.get("retry-after", ""))
    return StatusError(status, retry_after, int(size) if size.isdecimal() else None)


def _parse_retry_after(text: str) -> float | None:
    """Return the seconds to wait from a Retry-After header (a number or a date); None if it is not valid."""
    if text.isdecimal():
        return float(text)
    try:
        return (parsedate_to_datetime(text).astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except ValueError:
        return None


def _parse_content_range(text: str) -> tuple[int, int | None]:
    """Return the first offset and the object size of ``bytes first-last/size``; the size is None if unknown."""
    span, _, size = text.removeprefix("bytes").strip().partition("/")
    first = span.partition("-")[0]
    if not first.isdecimal():
        raise RequestFailedError("the server does not report the range of the bytes it sends")
    return int(first), int(size) if size.isdecimal() else None


@cache
def _filesystem(protocol: str, process: int) -> Any:  # noqa: ARG001 - part of the cache key: forks need new sessions
    settings = fsspec.config.conf.get(protocol, {})
    if protocol == "http":
        # Keep the bytes as stored: some servers declare the gzip of a .gz file as a content encoding.
        defaults = {"trust_env": True, "auto_decompress": False, "timeout": aiohttp.ClientTimeout(total=None)}
        client = defaults | settings.get("client_kwargs", {})
        return fsspec.filesystem("http", skip_instance_cache=True, client_kwargs=client)
    try:
        import s3fs  # noqa: F401 - required by fsspec
        from botocore.session import Session  # type: ignore[import-untyped]
    except ImportError as missing:
        raise NotInstalledError(_INSTALL.format(missing.name)) from None
    options: dict[str, Any] = {"config_kwargs": _ONE_TRY | settings.get("config_kwargs", {})}
    if not {"anon", "key", "profile", "session"} & set(settings):
        options["anon"] = Session().get_credentials() is None
    return fsspec.filesystem("s3", skip_instance_cache=True, **options)
