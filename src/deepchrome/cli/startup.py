"""Getting the compiled kernels ready as fast as can be."""

import gc
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import typer


def load_kernels() -> None:
    """Load the kernels from numba's cache; compile them, and say so, where they are not in it yet."""
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
