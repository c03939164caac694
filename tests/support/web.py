"""A local web server that logs requests and fails on purpose, and helpers to read from it.

Faults are set per object and request. The server supports the part of S3 that reading needs: /bucket/key, Range,
ETag, and errors in XML.
"""

import io
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

PROBE = "bytes=0-0"  # the range that deepchrome requests to learn the size and the ETag of an object
SECRET = "X-Amz-Signature=5ec7e7"  # a query that must not appear in any output


@dataclass(frozen=True)
class Fault:
    """A fault of one response. The default is a correct response."""

    status: int = 0  # error status
    headers: dict[str, str] = field(default_factory=dict)  # additional headers
    cut_after: int | None = None  # reset the connection after this many bytes of the body
    announce: int | None = None  # value of Content-Length
    chunk: int = 1 << 20  # bytes sent at a time
    pause: float = 0.0  # seconds between chunks
    stall_after: int | None = None  # send nothing after this many bytes, but keep the connection open
    no_length: bool = False  # neither Content-Length nor chunked encoding
    then: tuple[str | None, str | None] | None = None  # ETag and Last-Modified of all later responses


@dataclass
class StoredObject:
    """An object on the server."""

    data: bytes
    etag: str | None = '"1"'
    modified: str | None = None  # Last-Modified
    ranges: bool = True  # whether the server supports ranges
    faults: list[Fault] = field(default_factory=list)  # of the next responses, in order
    always: Fault | None = None  # of all responses after those
    probes_too: bool = False  # whether faults also apply to probes


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    range: str | None
    headers: dict[str, str]


class Web:
    """The server, its objects by path, and the log of its requests."""

    def __init__(self) -> None:
        self.objects: dict[str, StoredObject] = {}
        self.log: list[Request] = []
        self.ended = threading.Event()
        web = self

        class Handler(_Handler):
            server_of = web

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.root = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def put(self, path: str, data: bytes, **options: Any) -> str:
        """Store an object, with attributes of StoredObject as options; return its URL."""
        self.objects[f"/{path}"] = StoredObject(data, **options)
        return f"{self.root}/{path}"

    def ranges(self, path: str) -> list[str | None]:
        """Return the Range header of each request for an object, except probes."""
        return [
            request.range for request in self.log if request.path.split("?")[0] == f"/{path}" and request.range != PROBE
        ]

    def probes(self, path: str) -> int:
        """Return the number of probes for an object."""
        return sum(request.path == f"/{path}" and request.range == PROBE for request in self.log)

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving() -> Iterator[Web]:
    """Run a server."""
    web = Web()
    try:
        yield web
    finally:
        web.close()


@pytest.fixture(name="web")
def web_fixture() -> Iterator[Web]:
    """Provide a running server; tests/conftest.py makes this fixture available to all tests."""
    with serving() as server:
        yield server


def shorten_retries(monkeypatch: pytest.MonkeyPatch, *, block_bytes: int, tries: int) -> None:
    """Make remote streams use small blocks, few tries and short pauses."""
    from deepchrome.engine.streams import remote

    monkeypatch.setattr(remote, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(remote, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(remote, "TRIES", tries)


def read_url(url: str, **options: Any) -> bytes:
    """Read a whole object through RemoteStream."""
    from deepchrome.engine.streams.remote import RemoteStream

    with closing(RemoteStream(url, **options)) as stream:
        return io.BufferedReader(stream, 10_000).read()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Web

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Log nothing to standard error."""

    def do_GET(self) -> None:
        web = self.server_of
        web.log.append(Request(self.command, self.path, self.headers.get("Range"), dict(self.headers)))
        stored = web.objects.get(self.path.split("?")[0])
        if stored is None:
            return self._fail(404, "NoSuchKey")
        fault = self._next_fault(stored)
        if fault.status:
            return self._fail(fault.status, "Fault", fault.headers)
        data, requested = stored.data, re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"ETag": stored.etag, "Last-Modified": stored.modified, **fault.headers}
        if stored.ranges and requested:
            first, last = int(requested[1]), min(int(requested[2] or len(data) - 1), len(data) - 1)
            if first >= len(data):
                return self._fail(416, "InvalidRange", {"Content-Range": f"bytes */{len(data)}"})
            headers |= {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            data = data[first : last + 1]
        if not fault.no_length:
            headers["Content-Length"] = str(len(data) if fault.announce is None else fault.announce)
        self.send_response(206 if stored.ranges and requested else 200)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        if fault != Fault():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if fault.then:
            stored.etag, stored.modified = fault.then
        if self.command == "GET":
            self._send(data, fault)
        return None

    def do_HEAD(self) -> None:
        self.do_GET()

    def _next_fault(self, stored: StoredObject) -> Fault:
        if self.headers.get("Range") == PROBE and not stored.probes_too:
            return Fault()
        return stored.faults.pop(0) if stored.faults else stored.always or Fault()

    def _send(self, data: bytes, fault: Fault) -> None:
        sent = 0
        while sent < len(data):
            limits = [n for n in (fault.cut_after, fault.stall_after) if n is not None]
            end = min([sent + fault.chunk, len(data), *limits])
            self.wfile.write(data[sent:end])
            sent = end
            if fault.cut_after == sent:
                time.sleep(0.1)  # let the sent bytes arrive before the reset
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            if fault.stall_after == sent:
                self.server_of.ended.wait(60)
                return
            if fault.pause and self.server_of.ended.wait(fault.pause):
                return

    def _fail(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a planned fault</Message></Error>".encode()
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "Content-Type": "application/xml",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
