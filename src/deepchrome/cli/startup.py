"""Getting the compiled kernels ready as fast as can be."""

import ctypes
import gc
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import typer

# Of glibc's malloc.h, with what to set them to: nothing is given back, and arrays of up to 32 MB are kept for reuse.
_MALLOC_OPTIONS = {-1: 2**31 - 1, -2: 64 << 20, -3: 32 << 20}  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD


def keep_memory() -> None:
    """Have the memory that one file of reads has used kept for the next.

    Every file takes some 20 MB anew; getting them from the system page by page took a sixth of the time of a file
    of a million reads, and more with several threads, which wait for each other there. Nothing happens without glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for option, value in _MALLOC_OPTIONS.items():
        mallopt(option, value)


def load_kernels() -> None:
    """Load the kernels from numba's cache; compile them, and say so, where they are not in it yet."""
    keep_memory()
    timer = threading.Timer(
        2.0, lambda: typer.echo("compiling the kernels for this processor; only the first run does this", err=True)
    )
    timer.start()
    collecting = gc.isenabled()
    gc.disable()  # nothing that is being imported is garbage
    try:
        with _without_blas():
            from deepchrome.engine import kernels

            kernels.warm_up()
    finally:
        timer.cancel()
        gc.freeze()  # and none of it will be: let later collections pass it by
        if collecting:
            gc.enable()


@contextmanager
def _without_blas() -> Iterator[None]:
    """Keep numba from importing scipy.linalg, a fifth of the time to start, for products that no kernel has.

    While it starts, numba asks only whether that module can be imported; it imports it again where
    a matrix product is compiled, so that nothing is lost by answering without the import.
    """
    names = ("scipy.linalg", "scipy.linalg.cython_blas")
    if names[0] in sys.modules or importlib.util.find_spec("scipy") is None:
        yield
        return
    stand_ins = {name: ModuleType(name) for name in names}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
