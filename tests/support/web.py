"""A web server on this machine that fails as told: real sockets, a log of what was asked, faults by request.

It speaks as much of S3 as reading takes: /bucket/key, Range, ETag, and errors in XML.
"""

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROBE = "bytes=0-0"  # what deepchrome asks for to learn size and ETag


@dataclass(frozen=True)
class Fault:
    """What is wrong with an answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of the body, then the connection is reset
    announce: int | None = None  # as Content-Length
    chunk: int = 1 << 20
    pause: float = 0.0  # seconds between chunks
    stall_after: int | None = None  # bytes, then nothing, the connection stays
    no_length: bool = False  # neither Content-Length nor chunks
    then: tuple[str | None, str | None] | None = None  # ETag and Last-Modified of all answers after this


@dataclass
class Thing:
    """An object on the server: its bytes, what is said of them, and the faults of the next requests, in turn."""

    data: bytes
    etag: str | None = '"1"'
    modified: str | None = None
    ranges: bool = True
    faults: list[Fault] = field(default_factory=list)
    always: Fault | None = None  # once the others are used up
    probes_too: bool = False  # or they are answered as they should be


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    range: str | None
    headers: dict[str, str]


class Web:
    """The server, its things by path, and what it was asked for."""

    def __init__(self) -> None:
        self.things: dict[str, Thing] = {}
        self.log: list[Asked] = []
        self.ended = threading.Event()
        web = self

        class Handler(_Handler):
            server_of = web

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.root = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def put(self, path: str, data: bytes, **options: Any) -> str:
        """Place a thing; return its URL."""
        self.things[f"/{path}"] = Thing(data, **options)
        return f"{self.root}/{path}"

    def ranges(self, path: str) -> list[str | None]:
        """The Range of each request for a thing, but for those that only ask for its size."""
        return [a.range for a in self.log if a.path.split("?")[0] == f"/{path}" and a.range != PROBE]

    def probes(self, path: str) -> int:
        return sum(a.path == f"/{path}" and a.range == PROBE for a in self.log)

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving() -> Iterator[Web]:
    web = Web()
    try:
        yield web
    finally:
        web.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may go when they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Web

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Keep quiet."""

    def do_GET(self) -> None:
        web = self.server_of
        web.log.append(Asked(self.command, self.path, self.headers.get("Range"), dict(self.headers)))
        thing = web.things.get(self.path.split("?")[0])
        if thing is None:
            return self._fail(404, "NoSuchKey")
        fault = self._fault(thing)
        if fault.status:
            return self._fail(fault.status, "Fault", fault.headers)
        data, asked = thing.data, re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"ETag": thing.etag, "Last-Modified": thing.modified, **fault.headers}
        if thing.ranges and asked:
            first, last = int(asked[1]), min(int(asked[2] or len(data) - 1), len(data) - 1)
            if first >= len(data):
                return self._fail(416, "InvalidRange", {"Content-Range": f"bytes */{len(data)}"})
            headers |= {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            data = data[first : last + 1]
        if not fault.no_length:
            headers["Content-Length"] = str(len(data) if fault.announce is None else fault.announce)
        self.send_response(206 if thing.ranges and asked else 200)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        if fault != Fault():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if fault.then:
            thing.etag, thing.modified = fault.then
        if self.command == "GET":
            self._send(data, fault)
        return None

    def do_HEAD(self) -> None:
        self.do_GET()

    def _fault(self, thing: Thing) -> Fault:
        if self.headers.get("Range") == PROBE and not thing.probes_too:
            return Fault()
        return thing.faults.pop(0) if thing.faults else thing.always or Fault()

    def _send(self, data: bytes, fault: Fault) -> None:
        sent = 0
        while sent < len(data):
            limits = [n for n in (fault.cut_after, fault.stall_after) if n is not None]
            end = min([sent + fault.chunk, len(data), *limits])
            self.wfile.write(data[sent:end])
            sent = end
            if fault.cut_after == sent:
                time.sleep(0.1)  # what was sent may arrive before the reset does
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            if fault.stall_after == sent:
                self.server_of.ended.wait(60)
                return
            if fault.pause and self.server_of.ended.wait(fault.pause):
                return

    def _fail(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
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
