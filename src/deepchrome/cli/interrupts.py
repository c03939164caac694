"""Let Ctrl-C end the program at any moment, with exit code 130."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, NoReturn

INTERRUPTED: Final = 130  # the exit code, by the convention of shells: 128 + SIGINT
_RETRY_SECONDS: Final = 0.02


def end_on_interrupt() -> None:
    """Let SIGINT end the process at once, except within :func:`interrupts_after_imports`.

    This is for the time before and after a command, when there is nothing to clean up. SIGINT stays ignored if the
    parent process ignores it, as shells do for jobs in the background.

    Python prints and drops exceptions in places where it cannot raise them, such as destructors. After a
    KeyboardInterrupt there, SIGINT comes again a moment later.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
        sys.unraisablehook = _repeat_interrupt


@contextmanager
def interrupts_after_imports() -> Iterator[None]:
    """Raise KeyboardInterrupt after SIGINT as Python does, but never inside an import.

    A module that is being imported may drop the exception, and the run would go on as if nothing had happened. Some
    extension modules do this.

    SIGINT stays ignored if the parent process ignores it.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, _end):
        yield
        return
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_interrupted() -> NoReturn:
    """End the process at once, with the exit code of an interrupt.

    If the interrupt came inside ``exec``, which dataclasses and numba use, Python ends the process with SIGINT,
    whatever exit code is asked for. And a normal exit waits for threads, which may be reading from a silent pipe.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(INTERRUPTED)  # guard: interrupted-exit


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """Handle SIGINT when there is nothing to clean up."""
    os._exit(INTERRUPTED)  # guard: interrupt-at-exit


def _repeat_interrupt(dropped: "sys.UnraisableHookArgs") -> None:
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)  # guard: interrupt-in-destructor
    else:
        sys.__unraisablehook__(dropped)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    """Handle SIGINT; inside an import, try again a moment later."""
    if not _is_importing(frame):  # guard: interrupt-in-import
        raise KeyboardInterrupt
    signal.setitimer(signal.ITIMER_REAL, _RETRY_SECONDS)


def _is_importing(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_code.co_filename.startswith("<frozen importlib."):
            return True
        frame = frame.f_back
    return False
