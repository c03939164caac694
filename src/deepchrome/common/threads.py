"""Run functions in threads, and wait for threads such that Ctrl-C ends the wait.

A signal can arrive in any thread of a process. Python handles it in the main thread, but does not wake the main thread
for it. So the main thread must not wait without a time limit.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Final, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

_WAKE_SECONDS: Final = 0.1  # an interrupt is noticed after at most this time # guard: interrupt-wakes


def map_in_threads(
    function: Callable[[Item], Value],
    items: Sequence[Item],
    threads: int,
    *,
    on_value: Callable[[Item, Value], None] | None = None,
    cancel: Callable[[], None] | None = None,
) -> list[Value]:
    """Call a function with each item in several threads, and return the values in the order of the items.

    After an error or an interrupt, no further call starts; the error is raised when the calls that have started end.

    Parameters
    ----------
    function
        The function to call. Its errors are passed on.
    items
        Its arguments, one for each call.
    threads
        Number of calls at a time.
    on_value
        Called in this thread with an item and its value, soon after its call has ended.
    cancel
        Called in this thread after an error or an interrupt, to end the calls that have started.
    """
    with ThreadPoolExecutor(threads) as pool:
        try:
            item_of = {pool.submit(function, item): item for item in items}
            waiting = set(item_of)
            while waiting:
                ready, waiting = wait_for_first(waiting)
                for future in ready:
                    value = future.result()
                    if on_value:
                        on_value(item_of[future], value)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # first, so that no call starts after ``cancel``
            if cancel:
                cancel()
            raise
    return [future.result() for future in item_of]


def wait_for_first(futures: Iterable[Future[Value]]) -> tuple[set[Future[Value]], set[Future[Value]]]:
    """Wait until at least one of the futures is done; return those that are done, and the others."""
    pending = set(futures)
    while True:
        done, others = wait(pending, _WAKE_SECONDS, FIRST_COMPLETED)
        if done:
            return done, others


def wait_for_result(future: Future[Value]) -> Value:
    """Wait until a future is done, and return its result.

    Raises
    ------
    concurrent.futures.CancelledError
        The future was cancelled.
    Exception
        The exception of the future.
    """
    while not future.done():
        with suppress(TimeoutError):
            future.exception(_WAKE_SECONDS)
    return future.result()


def wait_until(changed: threading.Condition, predicate: Callable[[], bool]) -> None:
    """Wait on a condition, which the caller holds, until ``predicate`` returns True."""
    while not changed.wait_for(predicate, _WAKE_SECONDS):
        pass


def join_thread(thread: threading.Thread) -> None:
    """Wait until a thread has ended."""
    while thread.is_alive():
        thread.join(_WAKE_SECONDS)
