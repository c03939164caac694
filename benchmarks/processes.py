"""Whole processes, measured from outside by the operating system's own accounting."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from deepchrome.errors import MissingInputError, StorageError


@dataclass(frozen=True)
class Usage:
    """What one run took: wall-clock and CPU seconds, and the peak resident memory in MiB."""

    wall: float
    cpu: float
    rss_mib: float


def run(command: Sequence[str]) -> Usage:
    """Run a command to its end, its output thrown away.

    Raises
    ------
    MissingInputError
        It is not installed.
    StorageError
        It exited with something else than 0.
    """
    began = time.perf_counter()
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise MissingInputError(f"{command[0]} is not installed") from None
    assert process.stderr
    message = process.stderr.read().decode(errors="replace").strip()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise StorageError(f"{shlex.join(command)}: exit {process.returncode}: {message[-300:]}")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def interleaved(tasks: Mapping[str, Callable[[], Usage]], runs: int) -> dict[str, list[Usage]]:
    """Run every task once to warm up, then all of them in turn, ``runs`` times: noise meets all alike."""
    for task in tasks.values():
        task()
    results: dict[str, list[Usage]] = {name: [] for name in tasks}
    for _ in range(runs):
        for name, task in tasks.items():
            results[name].append(task())
    return results


def middle(usages: Sequence[Usage]) -> Usage:
    """Return the medians, each of its own figure."""
    return Usage(median(u.wall for u in usages), median(u.cpu for u in usages), median(u.rss_mib for u in usages))
