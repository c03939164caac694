"""Run programs and measure their time and memory as the operating system reports them."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TypeVar

from deepchrome.errors import MissingInputError, StorageError

Key = TypeVar("Key")


@dataclass(frozen=True)
class Usage:
    """Time and memory that one run used.

    Attributes
    ----------
    wall
        Wall-clock seconds.
    cpu
        CPU seconds of the process and its children, in total.
    rss_mib
        Peak resident memory in MiB: of the process or of one of its children, whichever is largest.
    """

    wall: float
    cpu: float
    rss_mib: float


# The peak memory of a process includes that of the process that started it. So a small launcher starts the command.
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
    """Run a command and return its time and memory.

    Parameters
    ----------
    command
        The program and its arguments.
    stdout
        The file for its standard output. By default the output is discarded.
    variables
        Environment variables to add.
    cores
        The numbers of the cores that the program may use (Linux only). By default it may use all.
    name
        The name of the command in error messages. By default this is the command itself.

    Raises
    ------
    MissingInputError
        The program is not installed.
    StorageError
        The program failed.
    """
    if shutil.which(command[0]) is None:
        raise MissingInputError(f"{command[0]}: program is not installed")
    output = str(stdout or os.devnull)
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, output, ",".join(map(str, cores))]
    environment = {**os.environ, **(variables or {})}
    done = subprocess.run([*launcher, *command], capture_output=True, text=True, errors="replace", env=environment)
    if done.returncode != 0:
        message = " ".join(done.stderr.split())
        raise StorageError(f"{name or shlex.join(command)[:300]}: failed: {message[-500:] or 'no message'}")
    return Usage(*json.loads(done.stdout))


def run_shell(script: str, variables: Mapping[str, str], name: str) -> Usage:
    """Run a bash script, which stops at the first failing command or pipeline, and return its time and memory.

    Raises
    ------
    MissingInputError, StorageError
        See :func:`run`.
    """
    return run(["bash", "-e", "-o", "pipefail", "-c", script], variables=variables, name=name)


def run_interleaved(
    tasks: Mapping[Key, Callable[[], Usage]], rounds: int, budget: float = float("inf")
) -> dict[Key, list[Usage]]:
    """Run every task once per round, so that other load on the machine affects all tasks equally.

    The caller must run each task once beforehand, so that its files are in the page cache.

    Parameters
    ----------
    tasks
        The tasks, by name.
    rounds
        The number of rounds.
    budget
        Time limit per task, in seconds. A task that has taken this long in total is left out of later rounds.

    Returns
    -------
    dict
        The time and memory of each run, by task.
    """
    usages: dict[Key, list[Usage]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            if sum(usage.wall for usage in usages[name]) < budget:
                usages[name].append(task())
    return usages


def extrapolate(runs: Sequence[Usage], start: Sequence[Usage], scale: float) -> list[Usage]:
    """Extrapolate the time of a program from a part of its work to all of it.

    Parameters
    ----------
    runs
        Runs of the program on a part of its work.
    start
        Runs with almost no work. Their median counts as the start-up time, which is not multiplied.
    scale
        The factor for the rest.
    """
    start_wall, start_cpu = median(usage.wall for usage in start), median(usage.cpu for usage in start)
    return [
        replace(
            usage,
            wall=start_wall + max(usage.wall - start_wall, 0) * scale,
            cpu=start_cpu + max(usage.cpu - start_cpu, 0) * scale,
        )
        for usage in runs
    ]
