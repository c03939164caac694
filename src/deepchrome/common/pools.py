"""Run tasks in the threads of this process or on the workers of a Dask cluster."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from deepchrome.errors import (
    BadDataError,
    DeepchromeError,
    NotInstalledError,
    ParameterError,
    StorageError,
    UsageError,
)
from deepchrome.version import VERSION

T = TypeVar("T")

# How often Dask repeats a failed task, on any free worker, because one worker may fail to read a file that others can.
RETRIES = 2
_CONNECT_SECONDS = 30
_LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.utils")
# An adaptive cluster starts workers only when it sees tasks, so submit some even while it has no workers.
_MIN_PENDING = 32


class Pool(Protocol):
    """Interface of the two pools, which run tasks in other threads or processes.

    Attributes
    ----------
    is_remote
        Whether tasks run in other processes. If so, they get copies of their arguments, and callbacks do not work.
    """

    is_remote: bool

    def share(self, value: T) -> T:
        """Prepare a value that many tasks need; pass the returned value to :meth:`submit`."""

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Start a module-level function as a task, and return the future of its result."""

    def submit_here(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Start a function as a task in this process. These tasks start in the order of submission."""

    def result(self, future: Future[T]) -> T:
        """Return the result of a finished task.

        Raises
        ------
        StorageError
            The task was lost: its workers died repeatedly, or the cluster is gone.
        DeepchromeError
            The error that the task raised.
        """

    def max_pending(self) -> int:
        """Return how many unfinished tasks to keep submitted, so that no worker runs out of tasks."""

    def slots(self) -> int:
        """Return how many tasks can run at the same time; 0 if the cluster has no worker yet."""


class LocalPool:
    """A pool of threads of this process."""

    is_remote = False

    def __init__(self, executor: ThreadPoolExecutor, slots: int) -> None:
        self._executor = executor
        self._slots = slots

    def share(self, value: T) -> T:  # noqa: D102 - see Pool
        return value

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:  # noqa: D102 - see Pool
        return self._executor.submit(function, *arguments)

    submit_here = submit

    def result(self, future: Future[T]) -> T:  # noqa: D102 - see Pool
        return future.result()

    def max_pending(self) -> int:  # noqa: D102 - see Pool
        return self._slots + 1

    def slots(self) -> int:  # noqa: D102 - see Pool
        return self._slots


class ClusterPool:
    """The workers of a running Dask cluster. Tasks of a lost worker are repeated on another one."""

    is_remote = True

    def __init__(self, client: Any, address: str, local_executor: ThreadPoolExecutor) -> None:
        self._client = client
        self._local_executor = local_executor
        self._executor = client.get_executor(pure=False, retries=RETRIES)
        self._address = address
        self._n_submitted = 0

    def share(self, value: T) -> T:
        """Send a value to the cluster once. Each worker fetches it, and Dask replaces lost copies."""
        # Submit a task instead of scattering the value, because Dask can repeat a task but not restore scattered data.
        shared: T = self._client.submit(_return_unchanged, value, pure=False)
        return shared

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:  # noqa: D102 - see Pool
        self._n_submitted += 1  # the priority: Dask does not run tasks in the order of submission
        future: Future[T] = Future()
        try:
            future = self._executor.submit(_run_on_worker, VERSION, function, *arguments, priority=-self._n_submitted)
        except Exception:
            future.set_exception(self._cluster_lost())
        return future

    def submit_here(self, function: Callable[..., T], *arguments: Any) -> Future[T]:  # noqa: D102 - see Pool
        return self._local_executor.submit(function, *arguments)

    def result(self, future: Future[T]) -> T:  # noqa: D102 - see Pool
        try:
            returned = future.result()
        except DeepchromeError:
            raise
        except CancelledError:
            raise self._cluster_lost() from None
        except Exception as error:
            # For example KilledWorker, or a worker that cannot import deepchrome. Dask's message explains it.
            reason = " ".join(str(error).split())[:300]
            raise StorageError(f"lost on the cluster at {self._address} ({type(error).__name__}: {reason})") from error
        if isinstance(returned, _NonRetryableFailure):
            raise returned.error
        return returned

    def max_pending(self) -> int:  # noqa: D102 - see Pool
        return max(_MIN_PENDING, 2 * self.slots())

    def slots(self) -> int:  # noqa: D102 - see Pool
        try:
            return int(sum(self._client.nthreads().values()))
        except Exception:  # the scheduler does not answer; if it is gone, the tasks fail and report that
            return 0

    def _cluster_lost(self) -> StorageError:
        return StorageError(
            f"the cluster at {self._address} is gone, and this task with it. Run the same command again to continue."
        )

    def close(self) -> None:
        """Cancel all unfinished tasks."""
        self._executor.shutdown(wait=False)


@contextmanager
def local_pool(slots: int) -> Iterator[LocalPool]:
    """Provide a pool of ``slots`` threads; after an error, cancel the tasks that have not started."""
    with ThreadPoolExecutor(slots) as executor:
        try:
            yield LocalPool(executor, slots)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def cluster_pool(address: str) -> Iterator[ClusterPool]:
    """Connect to a running Dask scheduler and provide its workers as a pool; at the end, cancel the unfinished tasks.

    Parameters
    ----------
    address
        The address of the scheduler, like ``tcp://host:8786`` or ``tls://host:8786``, or the path of a scheduler
        file.

    Raises
    ------
    NotInstalledError
        Dask is not installed.
    ParameterError
        ``address`` is not valid.
    StorageError
        No scheduler answers at this address.
    """
    try:
        from distributed import Client
    except ImportError:
        raise NotInstalledError(
            "working on a cluster needs Dask, which is not installed. Install it: pip install 'deepchrome[cluster]'"
        ) from None
    for name in _LOGGERS:  # errors reach the user through the tasks, once and without a traceback
        logging.getLogger(name).setLevel(logging.CRITICAL)
    where = {"address": address} if "://" in address else {"scheduler_file": address}
    if "scheduler_file" in where and not Path(address).is_file():  # Dask would wait for the file forever
        raise ParameterError(
            "scheduler", f"{address} is neither an address like tcp://host:8786 nor the path of a scheduler file"
        )
    try:
        client = Client(**where, timeout=_CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ParameterError("scheduler", f"{address} is not the address of a scheduler ({error})") from None
    except OSError as error:  # includes Dask's timeouts
        raise StorageError(f"{address}: no Dask scheduler answers there ({error}). Is it running?") from None
    with client, ThreadPoolExecutor(1) as local_executor:
        pool = ClusterPool(client, address, local_executor)
        try:
            yield pool
        finally:
            pool.close()


class _NonRetryableFailure:
    """An error that would occur on every worker. The task returns it, because Dask repeats a task that raises it."""

    def __init__(self, error: DeepchromeError) -> None:
        self.error = error


def _return_unchanged(value: T) -> T:
    return value


def _run_on_worker(version: str, function: Callable[..., T], *arguments: Any) -> T | _NonRetryableFailure:
    """Run a task on a worker, which must have the same version of deepchrome as the client.

    Another version could give other results.

    Raises
    ------
    UsageError
        The versions differ.
    """
    if version != VERSION:
        raise UsageError(
            f"a worker has deepchrome {VERSION}, but this process has {version}. "
            "Install the same version on all machines."
        )
    try:
        return function(*arguments)
    except BadDataError as error:
        return _NonRetryableFailure(error)
