"""Work in threads: order of values, errors, and interrupts that reach another thread."""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import pytest

from deepchrome.common.threads import join_thread, map_in_threads, wait_for_first, wait_for_result, wait_until

GIVE_UP_SECONDS = 20.0


def test_values_are_in_the_order_of_the_items() -> None:
    first_ends = threading.Event()
    reported: list[tuple[int, int]] = []

    def square(n: int) -> int:
        if n == 2:
            assert first_ends.wait(GIVE_UP_SECONDS)
        first_ends.set()
        return n * n

    values = map_in_threads(square, [2, 3, 4], 2, on_value=lambda *pair: reported.append(pair))
    assert values == [4, 9, 16]
    assert sorted(reported) == [(2, 4), (3, 9), (4, 16)]
    assert map_in_threads(square, [], 2) == []


def test_an_error_ends_the_work() -> None:
    """No further call starts, and ``cancel`` ends the calls that have started."""
    started, ended = [], threading.Event()

    def work(n: int) -> None:
        started.append(n)
        if n == 1:
            raise ValueError("bad")
        assert ended.wait(GIVE_UP_SECONDS)

    def cancel() -> None:
        ended.set()
        time.sleep(0.1)  # time for the free threads to start more calls

    with pytest.raises(ValueError, match="bad"):
        map_in_threads(work, range(50), 2, cancel=cancel)
    assert ended.is_set()
    assert len(started) <= 3  # 0, 1, and 2 if a thread takes it before the error of 1 is noticed


def test_results_of_one_future() -> None:
    future: Future[int] = Future()
    threading.Timer(0.2, future.set_result, (3,)).start()
    assert wait_for_result(future) == 3
    cancelled: Future[int] = Future()
    cancelled.cancel()
    with pytest.raises(CancelledError):
        wait_for_result(cancelled)
    failed: Future[int] = Future()
    failed.set_exception(TimeoutError("of the task"))
    with pytest.raises(TimeoutError, match="of the task"):
        wait_for_result(failed)


def wait_in_pool(end: threading.Event) -> None:
    map_in_threads(lambda _: end.wait(), [0], 1, cancel=end.set)


def wait_for_future(end: threading.Event) -> None:
    with ThreadPoolExecutor(1) as pool:
        try:
            wait_for_first([pool.submit(end.wait)])
        finally:
            end.set()


def wait_for_value(end: threading.Event) -> None:
    with ThreadPoolExecutor(1) as pool:
        try:
            wait_for_result(pool.submit(end.wait))
        finally:
            end.set()


def wait_for_change(end: threading.Event) -> None:
    with (changed := threading.Condition()):
        wait_until(changed, end.is_set)


def wait_for_thread(end: threading.Event) -> None:
    thread = threading.Thread(target=end.wait)
    thread.start()
    join_thread(thread)


@pytest.mark.campaign("interrupt")
@pytest.mark.parametrize(
    "wait", [wait_in_pool, wait_for_future, wait_for_value, wait_for_change, wait_for_thread], ids=lambda f: f.__name__
)
def test_an_interrupt_that_reaches_another_thread_ends_the_wait(wait: Callable[[threading.Event], None]) -> None:
    end = threading.Event()

    def interrupt() -> None:
        time.sleep(0.3)  # the main thread waits by then
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        if not end.wait(GIVE_UP_SECONDS):  # the wait did not end: let the test fail instead of hang
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    began = time.monotonic()
    other.start()
    with pytest.raises(KeyboardInterrupt):
        wait(end)
    took = time.monotonic() - began
    end.set()
    other.join()
    assert took < GIVE_UP_SECONDS
