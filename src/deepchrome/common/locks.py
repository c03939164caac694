"""Let only one run at a time write to an output.

Two kinds of locks, both held by the operating system until the process ends, even if it is killed:

- The whole directory: the file ``.lock``.
- Some files of a directory: each run keeps one file in the directory ``.deepchrome`` locked, and lists the names of its
  outputs in it. A run reads the files of the other runs before it starts. So it needs one file descriptor, however many
  outputs it has. While a run reads and adds such files, it holds ``.deepchrome/lock``.
"""

import fcntl
import getpass
import json
import os
import secrets
import socket
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from deepchrome.common.files import NAME_LENGTH, temporary_owner
from deepchrome.errors import StorageError

_POLL_SECONDS: Final = 0.02
# The list of runs is locked for milliseconds. A process that holds it for longer than this is stuck.
_LIST_SECONDS: Final = 60.0
_RUN_SUFFIX: Final = ".run"
_SAFE_OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK  # follow no link, and wait for no writer of a pipe # guard: no-follow


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
            if names:
                locks.enter_context(_hold_names(directory, names, wait))
                _remove_temporary_files(directory, {name[:NAME_LENGTH] for name in names})
            else:
                locks.enter_context(_hold_directory(directory, wait))
                # Runs that lock single files may still be writing temporary files here. Do not remove those.
                if not os.path.lexists(state_directory(directory)):
                    _remove_temporary_files(directory)
        except OSError as error:
            raise StorageError(f"{directory}: cannot be written ({error.strerror or error})") from error
        yield


def state_directory(directory: Path) -> Path:
    """Return the hidden subdirectory of an output directory that holds locks and the cached hashes of inputs."""
    return directory / ".deepchrome"


def replace_text(path: Path, text: str) -> None:
    """Write a small file of the state of a run. Never write into an existing file, or one that a link points to.

    A reader must accept that the file is missing or incomplete.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "w", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def _hold_directory(directory: Path, wait: float) -> Iterator[None]:
    """Lock a directory. A file beside the lock names this process."""
    holder_file = directory / ".lock.holder"
    lock = _lock(directory / ".lock", wait)
    if lock is None:
        raise _is_locked(directory, _read_holder(holder_file))
    try:
        replace_text(holder_file, _this_process())
        yield
    finally:
        _release(holder_file, lock)


@contextmanager
def _hold_names(directory: Path, names: Sequence[str], wait: float) -> Iterator[None]:
    """Lock some files of a directory."""
    state = state_directory(directory)
    if state.is_symlink():  # guard: state-directory
        raise StorageError(f"{state}: is a symbolic link, but must be a directory. Remove the link.")
    state.mkdir(exist_ok=True)
    deadline = time.monotonic() + wait
    while True:
        with _hold_list(state):
            holder = _find_holder(state, frozenset(names))
            if holder is None:
                path, lock = _add_run(state, names)
                break
        if time.monotonic() >= deadline:
            raise _is_locked(directory / holder[0], holder[1])
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        _release(path, lock)


@contextmanager
def _hold_list(state: Path) -> Iterator[None]:
    """Lock the list of runs."""
    lock = _lock(state / "lock", _LIST_SECONDS)
    if lock is None:
        raise StorageError(f"{state / 'lock'}: another process has held this lock for {_LIST_SECONDS:.0f} seconds")
    try:
        yield
    finally:
        os.close(lock)


def _find_holder(state: Path, names: frozenset[str]) -> tuple[str, str] | None:
    """Return the first of ``names`` that another run has locked, and that run; None if there is no such run.

    Files of runs that have ended are removed.
    """
    for path in state.glob(f"*{_RUN_SUFFIX}"):
        try:
            file = os.open(path, os.O_RDONLY | _SAFE_OPEN)
        except FileNotFoundError:
            continue
        with open(file, "rb") as run:
            if _try_lock(file, fcntl.LOCK_SH):  # guard: output-lock
                with suppress(OSError):  # it may belong to another user
                    path.unlink()
                continue
            try:
                document = json.load(run)
                taken, holder = sorted(names.intersection(document["names"])), str(document["holder"])
            except (ValueError, KeyError, TypeError):
                raise StorageError(f"{path}: locked, but not by a run of dc. End its process.") from None
        if taken:
            return taken[0], holder
    return None


def _add_run(state: Path, names: Sequence[str]) -> tuple[Path, int]:
    """Add a run to the list; return its file, and the descriptor that holds the lock."""
    path = state / f"{secrets.token_hex(8)}{_RUN_SUFFIX}"
    lock = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with open(lock, "w", encoding="utf-8", closefd=False) as file:
            json.dump({"holder": _this_process(), "names": list(names)}, file)
    except BaseException:  # such as a full disk: nobody could read who holds this lock
        _release(path, lock)
        raise
    return path, lock


def _release(path: Path, lock: int) -> None:
    """Remove the file that names the holder of a lock, and release the lock."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    os.close(lock)


def _lock(path: Path, wait: float) -> int | None:
    """Lock a file, which is created if necessary; return its descriptor, or None if another run holds the lock."""
    try:
        file = os.open(path, os.O_CREAT | os.O_RDWR | _SAFE_OPEN, 0o666)
    except PermissionError:  # the file of another user, in a shared directory
        file = os.open(path, os.O_RDONLY | _SAFE_OPEN)
    deadline = time.monotonic() + wait
    try:
        while not _try_lock(file, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                os.close(file)
                return None
            time.sleep(_POLL_SECONDS)
    except BaseException:
        os.close(file)
        raise
    return file


def _try_lock(file: int, kind: int) -> bool:
    """Lock an open file; return False if another run holds the lock."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_temporary_files(directory: Path, outputs: Container[str] | None = None) -> None:
    """Remove the temporary files of these outputs, or of all; killed runs have left them behind."""
    with os.scandir(directory) as entries:
        for entry in entries:
            owner = temporary_owner(entry.name)
            if owner is not None and (outputs is None or owner in outputs) and entry.is_file():
                Path(entry.path).unlink()  # guard: leftover-files


def _is_locked(output: Path, holder: str) -> StorageError:
    return StorageError(f"{output}: {holder} is writing there", remedy="wait_or_out")


def _this_process() -> str:
    return f"process {os.getpid()} of {_user_name()} on {socket.gethostname()}"


def _read_holder(holder_file: Path) -> str:
    try:
        with open(os.open(holder_file, os.O_RDONLY | _SAFE_OPEN), encoding="utf-8") as file:
            holder = file.read()
    except (OSError, UnicodeDecodeError):  # the holder has not written it yet, or has just removed it
        holder = ""
    return holder or "another process"


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, a user may have a number but no name
        return "an unnamed user"
