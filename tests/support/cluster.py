"""A Dask cluster of real processes on the loopback interface."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deepchrome.engine.features.count_sample import count_sample
from deepchrome.engine.features.samples import Sample
from support.places import TESTS

_SCHEDULER = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
_WORKER = [sys.executable, "-m", "distributed.cli.dask_worker"]
_TIMEOUTS = {
    # The scheduler notices a killed worker by its closed connection. These limits end everything else that hangs.
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "20s",
    "DASK_DISTRIBUTED__COMM__RETRY__COUNT": "0",
}


class Cluster:
    """A scheduler, and workers that a test can kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start([*_SCHEDULER, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"])
        deadline = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < deadline, "no scheduler"
            time.sleep(0.05)

    def _start(self, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        with (self.folder / f"process{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--scheduler-file", self.file],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | _TIMEOUTS | {"PYTHONPATH": path} | environment,
            )
        self.processes.append(process)
        return process

    def add_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker with one thread, and without a nanny that would restart it."""
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0", "--death-timeout", "60"]
        return self._start([*_WORKER, *options, "--local-directory", str(self.folder / "scratch")], **environment)

    def close(self) -> None:
        """Kill all processes."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """Run a cluster whose logs and scheduler file are in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    started = Cluster(folder)
    try:
        for _ in range(workers):
            started.add_worker()
        yield started
    finally:
        started.close()


def count_or_kill_worker(sample: Sample, *rest: Any) -> Any:
    """Count a file of reads; for the files of E5, kill the worker instead."""
    if sample.epigenome == "E5":
        os.kill(os.getpid(), signal.SIGKILL)
    return count_sample(sample, *rest)
