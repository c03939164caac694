"""The decorators of the kernels: compile with numba, and keep the machine code on disk."""

from collections.abc import Callable
from typing import Any, cast

from numba import njit

from deepchrome.engine.kernels.cache import KernelCache

Function = Callable[..., Any]


def entry_point(function: Function) -> Function:
    """Compile a kernel that Python calls. It releases the GIL, and its machine code is kept on disk."""
    compiled: Any = njit(nogil=True)(function)
    if compiled is not function:  # false with NUMBA_DISABLE_JIT
        compiled._cache = KernelCache(function)
    return cast(Function, compiled)


def helper(function: Function) -> Function:
    """Compile a function that only kernels call. Its machine code becomes part of theirs and has no cache file."""
    return cast(Function, njit(nogil=True)(function))


def inlined(function: Function) -> Function:
    """Compile a function that only kernels call, and inline every call.

    This is for code that runs for each read: LLVM does not inline long functions by itself, and a call would pass
    every field of every tuple through memory.
    """
    return cast(Function, njit(nogil=True, forceinline=True)(function))
