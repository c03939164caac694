"""Open an input (a file, a URL or standard input), and translate errors in reading it into messages for the user."""

import gzip
import zlib
from pathlib import Path
from typing import cast

from isal.isal_zlib import IsalError

from deepchrome.common.files import standard_input
from deepchrome.common.signatures import CRAM_MAGIC
from deepchrome.common.urls import hide_secrets, is_url
from deepchrome.engine.streams.byte_streams import ByteStream
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError, StorageError


def open_stream(path: str) -> ByteStream:
    """Open a file, a URL, or standard input (``-``) as raw bytes.

    Error messages do not name ``path``. :func:`translate_error` adds it.

    Raises
    ------
    MissingInputError
        The file or object does not exist or may not be read, or standard input is closed.
    StorageError
        The server does not answer, or its answer is not valid.
    NotInstalledError
        ``path`` is a URL, and the packages that read URLs are not installed.
    """
    if is_url(path):
        from deepchrome.engine.streams.remote import RemoteStream

        return cast(ByteStream, RemoteStream(path))
    if path == "-":
        return cast(ByteStream, standard_input())
    try:
        return cast(ByteStream, open(path, "rb", buffering=0))
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        raise MissingInputError(error.strerror or str(error)) from None


def is_cram(path: str) -> bool:
    """Return whether ``path`` is a readable CRAM file; False for URLs and standard input."""
    if path == "-" or not Path(path).is_file():
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(CRAM_MAGIC)) == CRAM_MAGIC
    except PermissionError:
        return False


def translate_error(error: Exception, path: str) -> DeepchromeError:
    """Turn an error in reading ``path`` into an error for the user, whose message names ``path``.

    Raises
    ------
    Exception
        ``error`` itself, if it is a bug and not a problem of the input.
    """
    path = hide_secrets(path)
    if isinstance(error, DeepchromeError):
        return type(error)(f"{path}: {error}", remedy=error.remedy)
    if isinstance(error, EOFError):
        return BadDataError(f"{path}: the data end too early: the file is truncated. Get the file again.")
    if isinstance(error, gzip.BadGzipFile | IsalError | zlib.error):
        return BadDataError(f"{path}: the compressed data are damaged ({error}). Get the file again.")
    if isinstance(error, OSError):
        return StorageError(f"{path}: cannot be read ({error.strerror or error})")
    if isinstance(error, MemoryError):
        return StorageError(f"{path}: not enough memory ({error}). Use larger bins, or fewer threads and jobs.")
    raise error
