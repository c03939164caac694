"""Fuzz one target, guided by coverage: guided.py TARGET SECONDS CORPUS [SEEDS...].

The kernels run as plain Python, so that the fuzzer sees their branches and every access is checked. New inputs go to
CORPUS. An input that fails is saved there as crash-*, timeout-* or oom-*, and the exit code is not 0. Prints the number
of inputs tried. Linux only, like atheris.
"""

import os
import sys
import warnings
from pathlib import Path

os.environ["NUMBA_DISABLE_JIT"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

import atheris

with atheris.instrument_imports(include=["deepchrome.engine", "fuzz.targets"]):
    from fuzz.targets import TARGETS

warnings.filterwarnings(
    "ignore", "overflow encountered in scalar", RuntimeWarning
)  # products of 64 bits are meant to overflow


def main() -> None:
    name, seconds, *corpora = sys.argv[1:]
    arguments = [sys.argv[0], f"-max_total_time={seconds}", "-max_len=2000", "-timeout=60", "-print_final_stats=1"]
    # The peak memory of a process includes that of the process it was started from, here all tests so far.
    arguments.append("-rss_limit_mb=8192")
    atheris.Setup([*arguments, "-artifact_prefix=" + corpora[0] + "/", *corpora], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
