"""Write output files atomically, and refuse special files where a regular file is needed."""

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from deepchrome.errors import MissingInputError, StorageError

_SUFFIX: Final = ".part"
_RANDOM_BYTES: Final = 4  # eight hexadecimal digits in the name of a temporary file
NAME_LENGTH: Final = 100  # longer names of outputs are cut in the names of their temporary files
_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the directory of ``path``; on success, rename it to ``path``.

    After an error the temporary file is removed, and an existing file at ``path`` is unchanged. If ``path`` is a
    symbolic link, the link is replaced, not the file that it points to.

    Raises
    ------
    StorageError
        The directory cannot be written, the disk is full, or ``path`` is a directory, a pipe or a device.
    OSError
        An error in the ``with`` block that concerns another file.
    """
    temporary: Path | None = None
    try:
        if kind := special_kind(path):  # guard: special-output
            raise OSError(f"it is {kind}")
        temporary = create_temporary(path)  # guard: atomic-output
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and error.filename is not None and Path(os.fsdecode(error.filename)) != temporary:
            raise  # such as an input that cannot be read
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}). An existing file is unchanged."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def create_temporary(path: Path) -> Path:
    """Create an empty file beside ``path``, with the default permissions of new files, and return its path.

    It is in the same directory because ``os.replace`` is atomic only within one file system. An existing file or link
    is never opened.
    """
    while True:
        name = f".{path.name[:NAME_LENGTH]}.{secrets.token_hex(_RANDOM_BYTES)}{_SUFFIX}"
        temporary = path.with_name(name)
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return temporary


def temporary_owner(name: str) -> str | None:
    """Return the name of the output that a temporary file belongs to, cut as in the name; None for other files."""
    owner, dot, random = name.removesuffix(_SUFFIX).rpartition(".")
    is_temporary = name.endswith(_SUFFIX) and owner.startswith(".") and dot
    return owner[1:] if is_temporary and len(random) == 2 * _RANDOM_BYTES else None


def special_kind(path: Path) -> str:
    """Return what ``path`` is if it is no regular file, such as ``a pipe``; an empty text if it is one or is absent."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "a special file")


def check_regular_file(path: Path) -> None:
    """Refuse a directory, pipe, socket or device where a file is needed. A pipe without a writer would block forever.

    An absent file passes, because callers have their own message for it.

    Raises
    ------
    MissingInputError
        ``path`` is not a regular file.
    """
    if kind := special_kind(path):  # guard: special-input
        raise MissingInputError(f"{path}: {kind}, but a regular file is needed here")


def standard_input() -> BinaryIO:
    """Return standard input as a stream of bytes.

    Raises
    ------
    MissingInputError
        Standard input is closed.
    """
    if sys.stdin is None:
        raise MissingInputError("standard input is closed")
    return sys.stdin.buffer
