"""Describe the machine and the software that a benchmark ran on."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deepchrome.common.cores import usable_cores

_CHECKOUT = Path(__file__).resolve().parents[2]
# Program: the option that prints its version, and a pattern for the text before the version number.
_PROGRAMS: Mapping[str, tuple[str, str]] = {
    "bedtools": ("--version", "v"),
    "samtools": ("--version", "samtools "),
    "igzip": ("--version", "interface "),
    "gzip": ("--version", "gzip "),
    "sort": ("--version", r"\) "),
    "bedmap": ("--version", r"version:\s+"),
    "featureCounts": ("-v", "v"),
}
_PACKAGES = ("numba", "numpy", "polars", "pyarrow", "isal", "pysam", "torch")


def describe_machine() -> dict[str, str | int]:
    """Return processor, usable cores, memory (GiB), operating system kernel and Python version; no host name."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def program_versions() -> dict[str, str]:
    """Return the versions of the installed programs that benchmarks run."""
    versions = {}
    for program, (option, prefix) in _PROGRAMS.items():
        if shutil.which(program):
            done = subprocess.run([program, option], capture_output=True, text=True, errors="replace", check=False)
            match = re.search(rf"{prefix}(\d+(?:\.\d+)+)", done.stdout + done.stderr)
            versions[program] = match[1] if match else "unknown"
    return versions


def package_versions() -> dict[str, str]:
    """Return the versions of the installed Python packages that affect the results."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def current_commit() -> tuple[str, bool]:
    """Return the short hash of the checked-out commit, and whether the code has uncommitted changes.

    Outside a git checkout, the hash is ``release``.
    """
    git = ["git", "-C", str(_CHECKOUT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--", "engine", "train", "src", "benchmarks/*.py"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "release", False
    return commit.stdout.strip(), bool(changes.stdout.strip())
