"""Fuzz one target, guided by coverage, for some seconds: guided.py TARGET SECONDS CORPUS [SEEDS...].

New inputs go to CORPUS. The kernels run as plain Python, whose branches the fuzzer can see and whose look-ups all
check their bounds. A difference, a crash or an unexpected exception ends it with a non-zero status, and libFuzzer
leaves the input as crash-*. Prints how many inputs it tried. Linux only, as atheris is.
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

warnings.filterwarnings("ignore", "overflow encountered in scalar", RuntimeWarning)  # 64 bits are meant to wrap


def main() -> None:
    name, seconds, *corpora = sys.argv[1:]
    words = [sys.argv[0], f"-max_total_time={seconds}", "-max_len=2000", "-timeout=60", "-print_final_stats=1"]
    atheris.Setup([*words, "-artifact_prefix=" + corpora[0] + "/", *corpora], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
