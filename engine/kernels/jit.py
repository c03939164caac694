"""The decorators of the kernels: compile with numba, and keep the machine code on disk."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import llvmlite
import numba
from numba import njit

Function = Callable[..., Any]
_FOLDER = Path(__file__).parent


def entry_point(function: Function) -> Function:
    """Compile a kernel that Python calls. It releases the GIL, and its machine code is cached on disk.

    numba compiles a cached function anew if the file of that function has changed, but not if a function that it
    calls has changed in another file. The name of a cache file contains the ``__qualname__`` of its function, so
    a digest of all kernels is appended to that: after any edit or upgrade, numba looks for another file.

    If there is no directory to write a cache to, each process compiles the function anew.
    """
    file = Path(function.__code__.co_filename)
    function.__qualname__ += f"_{_digest(None if file.parent == _FOLDER else file)}"
    try:
        return cast(Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # there is no directory for the cache  # guard: no-cache-directory
        return cast(Function, njit(nogil=True)(function))


def helper(function: Function) -> Function:
    """Compile a function that only kernels call. Its machine code becomes part of theirs and has no cache file."""
    return cast(Function, njit(nogil=True)(function))


def inlined(function: Function) -> Function:
    """Compile a function that only kernels call, and inline every call.

    This is for code that runs for each read: LLVM does not inline long functions by itself, and a call would pass
    every field of every tuple through memory.
    """
    return cast(Function, njit(nogil=True, forceinline=True)(function))


@lru_cache
def _digest(file: Path | None) -> str:
    """Return a digest of the sources of all kernels, of ``file`` if given, and of the versions of the compiler."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for source in [*sorted(_FOLDER.glob("*.py")), *([file] if file else [])]:
        if source.exists():  # false without installed sources; numba then keeps no cache
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
