"""Whole processes, measured from outside by the operating system's own accounting."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deepchrome.errors import MissingInputError, StorageError

Key = TypeVar("Key")


@dataclass(frozen=True)
class Usage:
    """What one run took: wall-clock and CPU seconds, and the peak resident memory in MiB.

    CPU is of the process and all that it waited for; memory is of the largest among them.
    """

    wall: float
    cpu: float
    rss_mib: float


# A child's peak memory begins with that of the process it was forked from: so fork from a small one.
_LAUNCHER = """
import json, os, sys, time
out, cores = sys.argv[1:3]
if cores:
    os.sched_setaffinity(0, map(int, cores.split(",")))
actions = [(os.POSIX_SPAWN_OPEN, 1, out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)]
began = time.perf_counter()
pid = os.posix_spawnp(sys.argv[3], sys.argv[3:], os.environ, file_actions=actions)
_, status, used = os.wait4(pid, 0)
print(json.dumps([time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
sys.exit(os.waitstatus_to_exitcode(status) and 1)
"""


def run(
    command: Sequence[str],
    *,
    stdout: Path | None = None,
    variables: Mapping[str, str] | None = None,
    cores: Sequence[int] = (),
    name: str = "",
) -> Usage:
    """Run a command to its end.

    Parameters
    ----------
    command
        A program and its arguments.
    stdout
        Where its output goes; by default it is thrown away.
    variables
        Set in its environment, beside those that are there.
    cores
        The only ones it may run on; by default all (Linux).
    name
        What to call it in an error, if not by its command.

    Raises
    ------
    MissingInputError
        It is not installed.
    StorageError
        It exited with something else than 0.
    """
    if shutil.which(command[0]) is None:
        raise MissingInputError(f"{command[0]} is not installed")
    where = str(stdout or os.devnull)
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, where, ",".join(map(str, cores))]
    done = subprocess.run(
        [*launcher, *command], capture_output=True, text=True, errors="replace", env={**os.environ, **(variables or {})}
    )
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise StorageError(f"{name or shlex.join(command)[:300]}: failed: {said[-500:] or 'it said nothing'}")
    return Usage(*json.loads(done.stdout))


def shell(script: str, variables: Mapping[str, str], name: str) -> Usage:
    """Run a line of bash, all its pipelines included; it fails if any program in them does."""
    return run(["bash", "-e", "-o", "pipefail", "-c", script], variables=variables, name=name)


def in_turns(
    tasks: Mapping[Key, Callable[[], Usage]], rounds: int, budget: float = float("inf")
) -> dict[Key, list[Usage]]:
    """Run all tasks in turn, ``rounds`` times, so that noise meets all alike.

    Parameters
    ----------
    tasks
        By name; all have run before, so that what they read lies in the page cache.
    rounds
        How often, at most.
    budget
        A task whose runs have taken so many seconds together sits the later rounds out.
    """
    usages: dict[Key, list[Usage]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            if sum(usage.wall for usage in usages[name]) < budget:
                usages[name].append(task())
    return usages
