"""Write and serve report.html: one file that contains its style, script and data, and makes no network requests."""

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
from deepchrome.errors import ParameterError, StorageError

# "<" could end the script element that holds the data, or open a comment there. Old browsers treat U+2028 and
# U+2029 as line ends in scripts.
_ESCAPES: Final = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)
# The parts of the script, in order. They share one scope.
SCRIPTS: Final = (
    *("basics.js", "figures.js", "maps.js", "accuracy.js", "expression.js", "charts.js", "genes.js", "start.js"),
)
_SCRIPT_START: Final = '"use strict";\n(async () => {\n'
_SCRIPT_END: Final = "})();\n"
_LARGEST_PORT: Final = 65535


def render_report(document: Mapping[str, Any]) -> str:
    """Return the HTML of the report.

    ``document`` holds JSON values without NaN; see :func:`deepchrome.train.report.document.build_document`.

    The Content-Security-Policy of the page allows its own script and style, by their hashes, and nothing else.
    Names from the data occur only in the document, and the script inserts them as text, not as HTML.
    """
    page, style = _read_asset("report.html"), _read_asset("report.css")
    script = _SCRIPT_START + "".join(map(_read_asset, SCRIPTS)) + _SCRIPT_END
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    parts = {
        "script_hash": _hash(script),
        "style_hash": _hash(style),
        "style": style,
        "script": script,
        "data": text.translate(_ESCAPES),
    }
    # Replace all placeholders in one pass, so that a placeholder inside an inserted text stays as it is.
    return re.sub(r"\{(script_hash|style_hash|style|script|data)\}", lambda match: parts[match[1]], page)


def write_report(path: Path, document: Mapping[str, Any]) -> int:
    """Write report.html atomically; return its size in bytes.

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
    """Serve one report to browsers on this machine.

    Every URL path returns the report. A request whose Host header does not name this machine is refused. Without
    this check, another website could point its own domain at 127.0.0.1 and read the report (DNS rebinding).

    Parameters
    ----------
    path
        The report.
    port
        Port on 127.0.0.1; 0 chooses a free one.

    Yields
    ------
    address
        URL of the report.
    serve_forever
        Function that serves until it is interrupted.

    Raises
    ------
    ParameterError
        The port is out of range.
    StorageError
        The port is in use, or the report cannot be read.
    """
    if not 0 <= port <= _LARGEST_PORT:
        raise ParameterError("port", f"must be between 0 and {_LARGEST_PORT}, got {port}")

    class ReportHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_local = self.headers.get("Host", "").rpartition(":")[0] in ("127.0.0.1", "localhost")
            self.send_response(200 if is_local else 403)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page) if is_local else 0))
            self.end_headers()
            if is_local:
                self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
            """Do not print requests."""

    try:
        page = path.read_bytes()
        server = ThreadingHTTPServer(("127.0.0.1", port), ReportHandler)
    except OSError as error:
        raise StorageError(f"{path}: cannot serve on port {port} ({error.strerror or error})") from error
    with server:
        yield f"http://127.0.0.1:{server.server_address[1]}/", server.serve_forever


def _read_asset(name: str) -> str:
    return files("deepchrome.train.report").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
