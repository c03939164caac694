"""Where files are counted and models trained: the threads of this process, or the workers of a Dask cluster."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from deepchrome.errors import BadDataError, DeepchromeError, StorageError, UsageError
from deepchrome.version import VERSION

T = TypeVar("T")

# How often a task that could not read or write its files is tried again, on whichever worker is free.
RETRIES = 2
_CONNECT_SECONDS = 30
_LOGGERS = ("distributed", "distributed.client", "distributed.core", "distributed.utils")
# A cluster that grows with its work must see some, also while it has no worker.
_LEAST_SUBMITTED = 32


class Pool(Protocol):
    """Runs functions elsewhere.

    Attributes
    ----------
    is_remote
        Whether what is handed over leaves this process: then it must not be changed, and no callback comes back.
    """

    is_remote: bool

    def share(self, value: T) -> T:
        """Hand over a value that many tasks need; pass what this returns to :meth:`submit`."""

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Run a function of a module on shared and other arguments."""

    def submit_here(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Run a function in this process, in its turn: what was submitted to run here before comes first."""

    def result(self, future: Future[T]) -> T:
        """Return what a task that has ended came to.

        Raises
        ------
        StorageError
            The task itself was lost: its worker died again and again, or the cluster is gone.
        """

    def room(self) -> int:
        """Return how many tasks to have submitted at a time: enough for every worker to have a next one."""

    def workers(self) -> int:
        """Return how many tasks can run at a time; 0 if there is no worker yet."""


class LocalPool:
    """Threads of this process."""

    is_remote = False

    def __init__(self, executor: ThreadPoolExecutor, slots: int) -> None:
        self._executor = executor
        self._slots = slots

    def share(self, value: T) -> T:  # noqa: D102 - of the protocol
        return value

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:  # noqa: D102 - of the protocol
        return self._executor.submit(function, *arguments)

    submit_here = submit

    def result(self, future: Future[T]) -> T:  # noqa: D102 - of the protocol
        return future.result()

    def room(self) -> int:  # noqa: D102 - of the protocol
        return self._slots + 1

    def workers(self) -> int:  # noqa: D102 - of the protocol
        return self._slots


class ClusterPool:
    """The workers of a running Dask cluster; what a lost one did not finish is done by another."""

    is_remote = True

    def __init__(self, client: Any, address: str, here: ThreadPoolExecutor) -> None:
        self._client = client
        self._here = here
        self._executor = client.get_executor(pure=False, retries=RETRIES)
        self._address = address
        self._n_submitted = 0

    def share(self, value: T) -> T:
        """Hand over a value once; each worker that needs it fetches it, and a lost copy is made again."""
        shared: T = self._client.submit(_same, value, pure=False)
        return shared

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:  # noqa: D102 - of the protocol
        self._n_submitted += 1  # first come, first served; Dask by itself keeps no order
        future: Future[T] = Future()
        try:
            future = self._executor.submit(_run_there, VERSION, function, *arguments, priority=-self._n_submitted)
        except Exception:
            future.set_exception(self._lost())
        return future

    def result(self, future: Future[T]) -> T:  # noqa: D102 - of the protocol
        try:
            found = future.result()
        except DeepchromeError:
            raise
        except CancelledError:
            raise self._lost() from None
        except Exception as error:
            # KilledWorker, or a worker on which deepchrome cannot be imported: Dask's words say which.
            reason = " ".join(str(error).split())[:300]
            raise StorageError(f"lost on the cluster at {self._address}: {type(error).__name__}: {reason}") from error
        if isinstance(found, _Hopeless):
            raise found.error
        return found

    def submit_here(self, function: Callable[..., T], *arguments: Any) -> Future[T]:  # noqa: D102 - of the protocol
        return self._here.submit(function, *arguments)

    def room(self) -> int:  # noqa: D102 - of the protocol
        return max(_LEAST_SUBMITTED, 2 * self.workers())

    def workers(self) -> int:  # noqa: D102 - of the protocol
        try:
            return int(sum(self._client.nthreads().values()))
        except Exception:  # the scheduler does not answer; what becomes of the tasks tells whether it is gone
            return 0

    def _lost(self) -> StorageError:
        return StorageError(
            f"the cluster at {self._address} is gone, and this task with it; the same command goes on where it ended"
        )

    def close(self) -> None:
        """Cancel what has not ended."""
        self._executor.shutdown(wait=False)


@contextmanager
def local_pool(slots: int) -> Iterator[LocalPool]:
    """Use ``slots`` threads; on an error what has not begun is dropped."""
    with ThreadPoolExecutor(slots) as executor:
        try:
            yield LocalPool(executor, slots)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def cluster_pool(address: str) -> Iterator[ClusterPool]:
    """Connect to a running Dask scheduler; on an error what has not ended is cancelled.

    Parameters
    ----------
    address
        As ``tcp://host:8786`` or ``tls://host:8786``, or the path of a scheduler file.

    Raises
    ------
    UsageError
        Dask is not installed, or this is no address.
    StorageError
        No scheduler answers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("--scheduler needs Dask: pip install 'deepchrome[cluster]'") from None
    for name in _LOGGERS:  # what goes wrong is told by us, once, without a traceback
        logging.getLogger(name).setLevel(logging.CRITICAL)
    where = {"address": address} if "://" in address else {"scheduler_file": address}
    if "scheduler_file" in where and not Path(address).is_file():  # Dask would wait for it for ever
        raise UsageError(f"--scheduler {address}: neither an address like tcp://host:8786 nor a scheduler file")
    try:
        client = Client(**where, timeout=_CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise UsageError(f"--scheduler {address}: not the address of a scheduler ({error})") from None
    except OSError as error:  # Dask's time-outs are of this kind
        raise StorageError(f"{address}: no Dask scheduler answers there ({error}); is it running?") from None
    with client, ThreadPoolExecutor(1) as here:
        pool = ClusterPool(client, address, here)
        try:
            yield pool
        finally:
            pool.close()


class _Hopeless:
    """An error that no other worker would be spared: returned, since what is raised is tried again."""

    def __init__(self, error: DeepchromeError) -> None:
        self.error = error


def _same(value: T) -> T:
    return value


def _run_there(version: str, function: Callable[..., T], *arguments: Any) -> T | _Hopeless:
    """Run a task on a worker, which must have the same deepchrome: another could count by another rule."""
    if version != VERSION:
        raise UsageError(f"a worker has deepchrome {VERSION}, this is {version}: install the same on all")
    try:
        return function(*arguments)
    except BadDataError as error:
        return _Hopeless(error)
