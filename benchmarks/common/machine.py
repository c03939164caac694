"""What a figure was measured on: the machine, by its processor and never by its name, and the software."""

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
# Program: how to ask for its version, and what stands before it.
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
    """Return processor, cores (those that this process may use), memory in GiB, kernel, and Python."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def program_versions() -> dict[str, str]:
    """Return the version of every program that figures here and is installed."""
    found = {}
    for program, (option, before) in _PROGRAMS.items():
        if shutil.which(program):
            done = subprocess.run([program, option], capture_output=True, text=True, errors="replace", check=False)
            told = re.search(rf"{before}(\d+(?:\.\d+)+)", done.stdout + done.stderr)
            found[program] = told[1] if told else "unknown"
    return found


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that the figures depend on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> tuple[str, bool]:
    """Return the short commit of the checkout that runs, and whether its code was changed since.

    Installed without a checkout, the commit is ``release``.
    """
    git = ["git", "-C", str(_CHECKOUT)]
    try:
        name = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "engine", "train", "src", "benchmarks/*.py"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "release", False
    return name.stdout.strip(), bool(changed.stdout.strip())


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())
