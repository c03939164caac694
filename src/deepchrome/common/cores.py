"""The number of CPU cores that this process may use."""

import os
from pathlib import Path


def usable_cores() -> int:
    """Return the number of cores that the CPU affinity and the cgroup limit of this process allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return cores
