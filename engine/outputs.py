"""Output that appears whole or not at all, and that one run at a time writes."""

import getpass
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deepchrome.errors import StorageError

_SUFFIX = ".part"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it takes that name at once, else it is removed.

    Raises
    ------
    StorageError
        The directory cannot be written, or the disk is full. What stood at ``path`` still stands.
    """
    temporary: Path | None = None
    try:
        # Beside the target: os.replace is atomic only within one file system.
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=_SUFFIX, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes private files; an output gets the permissions any new file would.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); what stood there is untouched"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Make a directory if need be, and keep other runs from writing into it meanwhile.

    The lock is the operating system's: it ends with the process, however that ends. What a killed
    process has left half-written is removed.

    Raises
    ------
    StorageError
        Another run holds it (the message says which), or the directory cannot be made or written.
    """
    holder = directory / ".lock.holder"
    lock = FileLock(directory / ".lock", timeout=0)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        holder.write_text(f"process {os.getpid()} of {_user()} on {socket.gethostname()}", encoding="utf-8")
        for stale in directory.glob(f".*.????????{_SUFFIX}"):  # the names that mkstemp makes
            if stale.is_file():
                stale.unlink()
    except Timeout:
        try:
            who = holder.read_text(encoding="utf-8")
        except OSError:  # it holds the lock, but has not yet said so, or no longer does
            who = ""
        who = who or "another process"
        raise StorageError(f"{directory}: {who} is writing there; wait for it, or choose another --out") from None
    except OSError as error:
        lock.release()
        raise StorageError(f"{directory}: cannot be written ({error.strerror or error})") from error
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have a number and no name
        return "an unnamed user"
