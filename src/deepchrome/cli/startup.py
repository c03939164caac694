"""Load the compiled kernels quickly."""

import ctypes
import gc
import threading
from typing import Final

from deepchrome.cli.messages import print_note
from deepchrome.errors import StorageError

# Settings for glibc's mallopt, by their numbers in malloc.h: never return memory to the system; reuse blocks up to 32
# MB; and use one heap for all threads, because with one heap per thread the peak memory varies between runs.
_MALLOC_OPTIONS: Final = {
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD
    -2: 64 << 20,  # M_TOP_PAD
    -3: 32 << 20,  # M_MMAP_THRESHOLD
    -8: 1,  # M_ARENA_MAX
}
_SLOW_SECONDS: Final = 2.0  # loading from the cache takes less than this, compiling takes more


def keep_memory() -> None:
    """Let glibc keep freed memory for reuse; do nothing on systems without glibc.

    Counting one file uses about 20 MB. Requesting this memory from the system, page by page, took a sixth of the time
    to count a million reads, and more with several threads, which wait for each other in the operating system.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    for option, value in _MALLOC_OPTIONS.items():
        mallopt(option, value)


def load_kernels(*, fragments: bool = False) -> None:
    """Load the kernels from their cache, or compile them and print a message that explains the delay.

    Parameters
    ----------
    fragments
        Whether also those for fragments are needed.
    """
    keep_memory()
    timer = threading.Timer(_SLOW_SECONDS, _explain_delay)
    timer.start()
    was_enabled = gc.isenabled()
    gc.disable()  # imports create no garbage
    try:
        from deepchrome.engine import kernels

        kernels.warm_up(fragments=fragments)
    finally:
        timer.cancel()
        gc.freeze()  # imported objects stay in use, so later collections can skip them
        if was_enabled:
            gc.enable()


def _explain_delay() -> None:
    from deepchrome.engine.kernels.cache import private_directory

    try:
        private_directory()
        runs = "later runs load them, if they can be saved"
    except StorageError as error:
        runs = f"every run does this: {error}. Set NUMBA_CACHE_DIR to a directory of your own."
    print_note(f"compiling the kernels for this processor; {runs}")
