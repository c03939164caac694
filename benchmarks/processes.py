"""Whole processes, measured from outside by the operating system's own accounting."""

import json
import shlex
import shutil
import subprocess
import sys
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


# A child's peak memory begins with that of the process it was forked from: so fork from a small one.
_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
_, status, used = os.wait4(pid, 0)
print(json.dumps([time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
sys.exit(os.waitstatus_to_exitcode(status) and 1)
"""


def run(command: Sequence[str]) -> Usage:
    """Run a command to its end, its output thrown away.

    Raises
    ------
    MissingInputError
        It is not installed.
    StorageError
        It exited with something else than 0.
    """
    if shutil.which(command[0]) is None:
        raise MissingInputError(f"{command[0]} is not installed")
    done = subprocess.run([sys.executable, "-I", "-S", "-c", _LAUNCHER, *command], capture_output=True, text=True)
    if done.returncode != 0:
        raise StorageError(f"{shlex.join(command)}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
    return Usage(*json.loads(done.stdout))


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
