"""report.html: one file with its styles, script and data inside, that asks the network for nothing."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from deepchrome.common.files import atomic_write
from deepchrome.errors import StorageError, UsageError

# Inside a script element "<" could end it or open a comment; U+2028 and U+2029 once ended a line of script.
_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def render_report(document: Mapping[str, Any]) -> str:
    """Put a document, JSON values without NaN, into the page that draws it.

    The page's content policy allows this very script and style, by their hashes, and nothing else. Names from
    the data are in the document alone, and the script sets them as text.
    """
    page, style, script = (_asset(f"report.{kind}") for kind in ("html", "css", "js"))
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    parts = {
        "script_hash": _hash(script),
        "style_hash": _hash(style),
        "style": style,
        "script": script,
        "data": text.translate(_ESCAPES),
    }
    # All at once: what is filled in is not searched for further places.
    return re.sub(r"\{(script_hash|style_hash|style|script|data)\}", lambda place: parts[place[1]], page)


def write_report(path: Path, document: Mapping[str, Any]) -> int:
    """Write report.html, whole or not at all; return its bytes.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    page = render_report(document).encode()
    with atomic_write(path) as temporary:
        temporary.write_bytes(page)
    return len(page)


@contextmanager
def serve_report(path: Path, port: int = 0) -> Iterator[tuple[str, Callable[[], None]]]:
    """Serve one report on 127.0.0.1, to this machine alone; port 0 takes one that is free.

    Gives the address, and a function that serves until it is interrupted. Only the report is served, whatever
    path is asked for, and only to requests that name this machine: no page elsewhere can read it by a name
    that it points here.

    Raises
    ------
    UsageError
        No such port.
    StorageError
        The port is taken, or the report cannot be read.
    """
    if not 0 <= port < 1 << 16:
        raise UsageError(f"--port {port} makes no sense; give one from 0 to 65535")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            local = self.headers.get("Host", "").rpartition(":")[0] in ("127.0.0.1", "localhost")
            self.send_response(200 if local else 403)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page) if local else 0))
            self.end_headers()
            if local:
                self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
            pass

    try:
        page = path.read_bytes()
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise StorageError(f"{path} at port {port}: cannot be served ({error.strerror or error})") from error
    with server:
        yield f"http://127.0.0.1:{server.server_address[1]}/", server.serve_forever


def _asset(name: str) -> str:
    return files("deepchrome.train.report").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
