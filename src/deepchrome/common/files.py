"""Write output files atomically, and let only one run write to an output at a time."""

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
_RANDOM_SUFFIX = f".????????{_SUFFIX}"  # glob pattern: mkstemp adds eight random characters


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the directory of ``path``; on success, rename it to ``path``.

    After an error the temporary file is removed, and an existing file at ``path`` is unchanged.

    Raises
    ------
    StorageError
        The directory cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        # In the directory of the target, because os.replace is atomic only within one file system.
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=_SUFFIX, dir=path.parent)
        os.close(handle)
        temporary = Path(name)  # guard: atomic-output
        yield temporary
        # mkstemp creates files that only their owner can read. Give the output the default permissions of new files.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}). An existing file is unchanged."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def output_lock(directory: Path, names: Sequence[str] = (), wait: float = 0.0) -> Iterator[None]:
    """Create an output directory if necessary, and lock it or some of its files against other runs.

    The operating system releases the locks when the process ends, even if it is killed. Temporary files that a
    killed process left behind are removed.

    Parameters
    ----------
    directory
        The output directory.
    names
        The files to lock. Runs that write other files of the directory may work at the same time. If empty,
        one lock covers the whole directory; it excludes only runs that also lock the whole directory.
    wait
        How long to wait for a run that holds a lock, in seconds.

    Raises
    ------
    StorageError
        Another run holds a lock (the message names its process), or the directory cannot be created or written.
    """
    with ExitStack() as locks:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not names:
                # Runs that lock single files may still be writing temporary files here. Do not remove those.
                leftovers = [] if state_directory(directory).exists() else directory.glob(f".*{_RANDOM_SUFFIX}")
                locks.enter_context(_hold_lock(directory / ".lock", directory, leftovers, wait))
            _allow_open_files(len(names))
            for name in names:
                state_directory(directory).mkdir(exist_ok=True)
                lock = state_directory(directory) / f"{name}.lock"
                leftovers = directory.glob(f".{name[:100]}{_RANDOM_SUFFIX}")
                locks.enter_context(_hold_lock(lock, directory / name, leftovers, wait))
        except OSError as error:
            raise StorageError(f"{directory}: cannot be written ({error.strerror or error})") from error
        yield


def state_directory(directory: Path) -> Path:
    """Return the hidden subdirectory of an output directory that holds locks and the cached hashes of inputs."""
    return directory / ".deepchrome"


def _allow_open_files(n: int) -> None:
    """Raise this process's limit on open files to make room for ``n`` locks, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if n > soft // 2:
        wanted = soft + n if hard == resource.RLIM_INFINITY else min(soft + n, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def _hold_lock(path: Path, output: Path, leftovers: Iterable[Path], wait: float) -> Iterator[None]:
    """Lock ``output`` with the lock file ``path``, and remove ``leftovers``, the temporary files of killed runs.

    A file beside the lock file names this process.
    """
    holder_file = path.with_name(f"{path.name}.holder")
    lock = FileLock(path, timeout=wait)
    try:
        lock.acquire()  # guard: output-lock
    except Timeout:
        raise StorageError(f"{output}: {_read_holder(holder_file)} is writing there", remedy="wait_or_out") from None
    try:
        holder_file.write_text(f"process {os.getpid()} of {_user_name()} on {socket.gethostname()}", encoding="utf-8")
        for leftover in leftovers:
            if leftover.is_file():
                leftover.unlink()  # guard: leftover-files
        yield
    finally:
        holder_file.unlink(missing_ok=True)
        lock.release()


def _read_holder(holder_file: Path) -> str:
    try:
        holder = holder_file.read_text(encoding="utf-8")
    except OSError:  # the holder has not written it yet, or has just removed it
        holder = ""
    return holder or "another process"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, a user may have a number but no name
        return "an unnamed user"
