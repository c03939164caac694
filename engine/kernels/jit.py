"""The decorators of the kernels: compile with numba, and keep the machine code on disk."""

import hashlib
import inspect
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import llvmlite
import numba
from numba import njit

Function = Callable[..., Any]


def entry_point(function: Function) -> Function:
    """Compile a kernel that Python calls: it releases the GIL, and its machine code is cached.

    numba recompiles a cached function when the file of that function changes, but not when a function that it
    calls has changed in another file. The name of the cache file contains the function's ``__qualname__``, so the
    digest of all kernel sources goes in there: after any edit, and after any upgrade, numba looks for another file.

    If no directory for the cache can be written to, the function is compiled anew in each process.
    """
    function.__qualname__ += f"_{_digest(Path(inspect.getfile(function)))}"
    try:
        return cast(Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba found no directory for the cache  # guard: no-cache-directory
        return cast(Function, njit(nogil=True)(function))


def helper(function: Function) -> Function:
    """Compile a function that only kernels call. Its machine code is part of theirs, so it has no cache of its own."""
    return cast(Function, njit(nogil=True)(function))


def inlined(function: Function) -> Function:
    """Compile a function that only kernels call, and inline every call.

    For code that runs once or more per read: LLVM would not inline all of it, and a call passes every field of
    every tuple through memory.
    """
    return cast(Function, njit(nogil=True, forceinline=True)(function))


@lru_cache
def _digest(path: Path) -> str:
    """Return a digest of all kernel sources, the source at ``path``, and the versions of the compiler."""
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for source in sorted({*Path(__file__).parent.glob("*.py"), path}):
        digest.update(b"\0" + source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]
