"""Keep the machine code of kernels on disk.

numba's own cache has an index, written first, and data files that are loaded without a check. Here each kernel has one
file with a checksum, in a directory that only its user can write. Whatever goes wrong, the kernel is compiled anew.
"""

import hashlib
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import llvmlite
import numba
import numpy as np
from numba.core import config as _config
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

from deepchrome.errors import StorageError

config: Any = _config  # numba defines these names at run time
_SOURCES: Final = Path(__file__).parent
_MAX_FILES: Final = 64  # of about eight versions or processors
_CHECKSUM_BYTES: Final = 32


class KernelCache(NullCache):
    """The cache of one kernel, in the form that numba's dispatchers use.

    A file is found by its key: the sources of all kernels, the versions of Python and the compiler, the processor, and
    the types of the arguments. Its checksum covers the key too, so a renamed file is not loaded.

    Parameters
    ----------
    function
        The kernel, before compilation.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        try:
            # Read now, not at the first call: an upgrade may replace the sources of a program that runs.
            self._sources = _digest() + _file_digest(Path(function.__code__.co_filename))
        except OSError:  # not installed as files
            self._sources = ""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kernel compiled for the types ``sig``, or None if it must be compiled."""
        # Machine code needs only the runtime. numba's own cache refreshes the context here, which imports all that the
        # compiler knows, and scipy.linalg. The compiler does so itself.
        rtsys.initialize(target_context)
        try:
            key = self._key(sig, target_context.codegen())
            data = _read_private_file(private_directory() / self._file_name(key))
            checksum, code = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
            if checksum != _checksum(key, code):  # guard: kernel-checksum
                return None
            return CompileResult._rebuild(target_context, *pickle.loads(code))  # noqa: S301 - from this user's file
        except Exception:  # whatever is wrong with the file or its directory  # guard: no-cache-directory
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a compiled kernel. If that fails, there is no file, and the next run compiles it again."""
        with suppress(Exception):  # such as a full disk  # guard: unsaved-kernel
            if data.library.has_dynamic_globals:  # its code contains addresses of this process
                return
            key = self._key(sig, data.codegen)
            code = dumps(data._reduce())
            directory = private_directory()
            _write_private_file(directory / self._file_name(key), _checksum(key, code) + code)
            _remove_oldest_files(directory)

    def _key(self, sig: Any, codegen: Any) -> bytes:
        """Return everything that the machine code depends on."""
        if not self._sources:
            raise StorageError("the sources of the kernels are not known")
        options = (config.OPT, config.BOUNDSCHECK)
        return repr((self._sources, self._name, str(sig), codegen.magic_tuple(), options)).encode()

    def _file_name(self, key: bytes) -> str:
        return f"{self._name}-{hashlib.sha256(key).hexdigest()[:32]}.kernel"


def private_directory() -> Path:
    """Return the directory of the cache; create it if necessary.

    It is in ``NUMBA_CACHE_DIR``, or else in the user's cache directory. The files in it are unpickled and their code is
    executed, so nobody else may write there.

    Raises
    ------
    StorageError
        It cannot be created, belongs to somebody else, or others can write in it.
    """
    try:
        base = Path(config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        directory = base / f"deepchrome-{os.geteuid()}"
        directory.mkdir(0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home directory
        raise StorageError(f"no cache directory ({error})") from error
    if not _is_private(status, stat.S_ISDIR):
        raise StorageError(f"{directory}: not a directory that only you can write")
    return directory


def _is_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Return whether a file is of the right kind, belongs to this user, and nobody else can write it."""
    belongs_to_us = status.st_uid == os.geteuid() and not status.st_mode & 0o022  # guard: private-kernels
    return is_kind(status.st_mode) and belongs_to_us


def _read_private_file(path: Path) -> bytes:
    """Return the content of a regular file that nobody else can write."""
    # Follow no symbolic link, and do not wait for the writer of a FIFO.
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as file:
        if not _is_private(os.fstat(file.fileno()), stat.S_ISREG):
            raise StorageError(f"{path}: not a file that only you can write")
        return file.read()


def _write_private_file(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, under a temporary name, and rename it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _remove_oldest_files(directory: Path) -> None:
    """Keep the newest files. The others are of old versions, or temporary files of runs that were killed."""
    newest_first = sorted(directory.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True)
    for path in newest_first[_MAX_FILES:]:
        path.unlink(missing_ok=True)


def _checksum(key: bytes, code: bytes) -> bytes:
    """Return the SHA-256 of a kernel's key and its code."""
    return hashlib.sha256(hashlib.sha256(key).digest() + code).digest()


@lru_cache
def _digest() -> str:
    """Return a digest of the sources of all kernels and of the versions of the software."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__} {np.__version__} {sys.version}".encode())
    for file in sorted(_SOURCES.glob("*.py")):
        digest.update(f"{file.name} {_file_digest(file)}\n".encode())  # guard: kernel-sources
    return digest.hexdigest()


@lru_cache
def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
