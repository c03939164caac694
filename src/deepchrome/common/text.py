"""Read text files, plain or compressed with gzip or bgzip, and check that they are complete."""

import io
import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources.abc import Traversable
from itertools import chain
from pathlib import Path
from typing import Final, cast

from isal import isal_zlib

from deepchrome.common.files import standard_input
from deepchrome.common.signatures import GZIP_MAGIC
from deepchrome.errors import BadDataError, MissingInputError, StorageError

# The largest text that is read at once. Tables of 19,802 genes x 100 bins take about 30 MB.
MAX_BYTES: Final = 1 << 30
_READ_BYTES: Final = 1 << 14  # at a time; they inflate to 16 MiB at most
_GZIP_FORMAT: Final = 31  # the code of zlib for gzip with its header and checksum
# A gzip member is a block of bgzip if its header has an extra field that begins with BC (SAM specification, 4.1).
_BGZIP_START: Final = GZIP_MAGIC + b"\x08\x04"
_BGZIP_FIELD: Final = slice(12, 16), b"BC\2\0"
_LINE_END: Final = re.compile("\r\n|\n|\r")
# The type stub of isal declares this class as an instance.
_IsalError = cast("type[Exception]", isal_zlib.IsalError)


@contextmanager
def open_text(path: Path | Traversable) -> Iterator[io.BufferedReader]:
    """Open a text file as bytes, and unpack gzip and bgzip.

    The errors below are raised while the file is read, inside the ``with`` block. A file that is read to its end
    without an error is complete.

    Parameters
    ----------
    path
        The file; ``-`` is standard input.

    Raises
    ------
    MissingInputError
        The file does not exist, is a directory or may not be read, or standard input is closed.
    BadDataError
        The compressed data are damaged or truncated.
    StorageError
        Reading failed.
    """
    try:
        with ExitStack() as stack:
            file = standard_input() if str(path) == "-" else stack.enter_context(path.open("rb"))
            head = file.read(len(GZIP_MAGIC))
            rest = iter(lambda: file.read(_READ_BYTES), b"")
            pieces = _inflate(head, rest) if head == GZIP_MAGIC else chain([head], rest)
            yield stack.enter_context(io.BufferedReader(_PieceStream(pieces), _READ_BYTES))
    except (EOFError, zlib.error, _IsalError) as error:
        raise BadDataError(f"{path}: damaged or truncated gzip data ({error}). Get the file again.") from None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise MissingInputError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_bytes(path: Path | Traversable) -> bytes:
    """Read a text file of up to :data:`MAX_BYTES`.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        See :func:`open_text`. BadDataError is also raised if the text is larger.
    """
    with open_text(path) as file:
        data = file.read(MAX_BYTES + 1)  # one byte more than allowed, to detect larger files
    if len(data) > MAX_BYTES:
        raise BadDataError(f"{path}: more than {MAX_BYTES >> 30} GiB of text. Is this the right file?")
    return data


def read_lines(path: Path | Traversable, what: str) -> list[str]:
    r"""Read the lines of a text file, without their ends: ``\n``, ``\r\n`` or ``\r``.

    Parameters
    ----------
    path
        The file; ``-`` is standard input. A byte order mark, which spreadsheets add, is dropped.
    what
        What the file should be (``a table of samples``), for the error message.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        See :func:`read_bytes`. BadDataError is also raised if the file is not UTF-8 text.
    """
    return split_lines(path, read_bytes(path), what)


def split_lines(path: Path | Traversable, data: bytes, what: str) -> list[str]:
    """Split the bytes of a text file into lines; see :func:`read_lines`.

    Raises
    ------
    BadDataError
        The bytes are not UTF-8 text.
    """
    try:
        return _LINE_END.split(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadDataError(f"{path}: not {what} (it is not UTF-8 text)") from None


def _inflate(packed: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """Inflate all members of gzip data, which begin with ``packed``; ignore zeros at the end, as gzip does.

    gzip marks the end of each member, but not the end of the file. bgzip marks it by an empty block. Without the last
    check, a file cut between two blocks would be read in part, without an error.
    """
    is_block = has_data = False
    while packed := packed or next(rest, b""):
        if packed.startswith(b"\0"):
            if any(piece.strip(b"\0") for piece in chain([packed], rest)):
                raise EOFError("data after zeros")
            break
        place, field = _BGZIP_FIELD
        while len(packed) < place.stop and (more := next(rest, b"")):
            packed += more
        is_block, has_data = packed.startswith(_BGZIP_START) and packed[place] == field, False
        member = isal_zlib.decompressobj(wbits=_GZIP_FORMAT)
        while True:
            data = member.decompress(packed)
            has_data = has_data or bool(data)
            yield data
            if member.eof:
                break
            packed = next(rest, b"")
            if not packed:
                raise EOFError("the data end too early")
        packed = member.unused_data
    if is_block and has_data:  # guard: table-last-block
        raise EOFError("the last block of bgzip is missing")


class _PieceStream(io.RawIOBase):
    """A stream of pieces of bytes, some of which may be empty."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        n = min(len(buffer), len(self._piece))
        buffer[:n] = self._piece[:n]
        self._piece = self._piece[n:]
        return n
