"""The number of CPU cores that this process may use, and the number of threads that it may start."""

import os
from pathlib import Path
from typing import Final

from deepchrome.errors import ParameterError

# Threads that count need memory of their own, about 15 MB each.
MAX_THREADS: Final = 256
# One thread at a time takes bytes from a file, so more threads than this do not find work.
_MAX_PER_FILE: Final = 32
_CGROUPS: Final = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the number of cores that the CPU affinity and the cgroup limit of this process allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _cgroup_cores() or cores)


def check_threads(threads: int | None) -> None:
    """Check a number of threads; None stands for the number of usable cores.

    Raises
    ------
    ParameterError
        The number is below 1, or above both :data:`MAX_THREADS` and the number of usable cores.
    """
    if threads is not None and threads < 1:
        raise ParameterError("threads", f"must be at least 1, got {threads}")
    if threads is not None and threads > (limit := max(MAX_THREADS, usable_cores())):  # guard: max-threads
        raise ParameterError("threads", f"must be at most {limit}, got {threads}")


def threads_per_file(threads: int) -> int:
    """Return how many of ``threads`` to start for one file of reads: the others would only use memory."""
    return min(threads, max(_MAX_PER_FILE, usable_cores()))  # guard: threads-per-file


def _cgroup_cores() -> int | None:
    """Return the limit of the cgroup on CPU time, in cores; None if there is no limit."""
    try:
        try:
            quota, period = (_CGROUPS / "cpu.max").read_text(encoding="ascii").split()  # cgroup v2
        except OSError:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((_CGROUPS / "cpu" / name).read_text(encoding="ascii").strip() for name in names)
        return max(1, int(quota) // int(period)) if quota not in {"max", "-1"} else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
