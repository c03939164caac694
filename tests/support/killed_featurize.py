"""Run ``dc featurize --force`` again and again on two versions of the reads, and kill it at random moments.

Usage: killed_featurize.py FOLDER KILLS SEED. FOLDER holds genes.tsv, small.sizes, and the versions in a/ and b/.
After every kill each file of FOLDER/out must be one of the two versions, whole. Prints how many processes were killed
by SIGKILL before they were done, how many of them had changed a file, and how many left a half-written one.
Forks come from a process that has loaded the kernels and has no thread, so that each takes milliseconds to start.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from deepchrome.cli import main as command
from deepchrome.cli.startup import load_kernels
from deepchrome.engine.features.store import read_features

EPIGENOMES = ("E1", "E2")


def start(folder: Path, version: str, out: str) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            given = ["--genes", f"{folder}/genes.tsv", "--genome", f"{folder}/small.sizes", "--out", f"{folder}/{out}"]
            sys.argv = ["dc", "featurize", f"{folder}/{version}", *given, "--force"]
            command()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        finally:
            os._exit(status)
    return child


def complete(folder: Path, version: str, out: str) -> None:
    _, status = os.waitpid(start(folder, version, out), 0)
    assert os.WIFEXITED(status), status
    assert os.WEXITSTATUS(status) == 0, status


def contents(folder: Path, out: str) -> dict[str, bytes]:
    """The counts of every epigenome; reading checks every checksum of the files."""
    return {name: read_features(folder / out / f"{name}.parquet").counts.tobytes() for name in EPIGENOMES}


def halves(out: Path) -> list[Path]:
    return [path for path in out.rglob(".*.part") if path.is_file()]


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    load_kernels()
    for version in "ab":
        complete(folder, version, f"whole-{version}")
    whole = {version: contents(folder, f"whole-{version}") for version in "ab"}
    assert whole["a"] != whole["b"]
    began = time.monotonic()
    complete(folder, "a", "out")
    lasts = time.monotonic() - began
    out, dice, killed, changed, remains = folder / "out", random.Random(seed), 0, 0, 0
    while killed < kills:
        version = "ab"[killed % 2]
        before, old_halves = contents(folder, "out"), set(halves(out))
        child, ended = start(folder, version, "out"), 0
        # Every other time at any moment, else while a file is being written.
        while killed % 4 > 1 and not ended and set(halves(out)) <= old_halves:
            ended, _ = os.waitpid(child, os.WNOHANG)
        time.sleep(dice.uniform(0, lasts if killed % 4 < 2 else 0.01))
        if not ended:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            killed += os.WIFSIGNALED(status)
        now = contents(folder, "out")
        assert all(now[name] in (whole["a"][name], whole["b"][name]) for name in EPIGENOMES), killed
        changed += now != before
        remains += bool(halves(out))
    complete(folder, "b", "out")
    assert contents(folder, "out") == whole["b"]
    assert not halves(out)
    sys.stdout.write(f"{killed} {changed} {remains}\n")


if __name__ == "__main__":
    main()
