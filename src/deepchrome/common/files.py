"""Output that appears whole or not at all, and that one run at a time writes."""

import getpass
import os
import resource
import socket
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from deepchrome.errors import StorageError

_SUFFIX = ".part"
_REMAINS = f".????????{_SUFFIX}"  # what mkstemp adds to a name


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
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
def output_lock(directory: Path, names: Sequence[str] = (), wait: float = 0.0) -> Iterator[None]:
    """Make a directory if need be, and keep other runs from writing the same into it meanwhile.

    The locks are the operating system's: they end with the process, however that ends. What a killed
    process has left half-written is removed.

    Parameters
    ----------
    directory
        Where output goes.
    names
        The files that are written there, each with a lock of its own: runs that write others may work beside
        this one. By default one lock is for the whole directory, among runs that take it.
    wait
        How many seconds to wait for a run that holds it.

    Raises
    ------
    StorageError
        Another run holds it (the message says which), or the directory cannot be made or written.
    """
    with ExitStack() as held:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not names:
                # Files with locks of their own may be in the making there: their remains are not ours to clear.
                remains = [] if state_directory(directory).exists() else directory.glob(f".*{_REMAINS}")
                held.enter_context(_locked(directory / ".lock", str(directory), remains, wait))
            _raise_limit(len(names))
            for name in names:
                state_directory(directory).mkdir(exist_ok=True)
                lock = state_directory(directory) / f"{name}.lock"
                own = directory.glob(f".{name[:100]}{_REMAINS}")
                held.enter_context(_locked(lock, str(directory / name), own, wait))
        except OSError as error:
            raise StorageError(f"{directory}: cannot be written ({error.strerror or error})") from error
        yield


def _raise_limit(n: int) -> None:
    """Let this process hold ``n`` locks, as far as the system lets it: each is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if n > soft // 2:
        wanted = soft + n if hard == resource.RLIM_INFINITY else min(soft + n, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def state_directory(directory: Path) -> Path:
    """Return the hidden directory for locks, and for what runs remember of the output in ``directory``."""
    return directory / ".deepchrome"


@contextmanager
def _locked(path: Path, what: str, remains: Iterable[Path], wait: float) -> Iterator[None]:
    """Hold one lock, say beside it who does, and clear away what a killed holder has left."""
    holder = path.with_name(f"{path.name}.holder")
    lock = FileLock(path, timeout=wait)
    try:
        lock.acquire()
    except Timeout:
        try:
            who = holder.read_text(encoding="utf-8")
        except OSError:  # it holds the lock, but has not yet said so, or no longer does
            who = ""
        who = who or "another process"
        raise StorageError(f"{what}: {who} is writing there; wait for it, or choose another --out") from None
    try:
        holder.write_text(f"process {os.getpid()} of {_user()} on {socket.gethostname()}", encoding="utf-8")
        for stale in remains:
            if stale.is_file():
                stale.unlink()
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have a number and no name
        return "an unnamed user"
