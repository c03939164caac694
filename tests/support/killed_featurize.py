"""Run ``dc featurize --force`` many times on two versions of the reads, and kill it at random moments.

Usage: killed_featurize.py FOLDER KILLS SEED. FOLDER has genes.tsv, small.sizes, and the two versions in a/ and b/.
After every kill, each file of FOLDER/out must equal one of the two versions. Prints three numbers: processes that were
killed before they had finished, processes that had changed a file, and processes that left a partial file.

The processes are forked from this one, which has loaded the kernels and has no threads, so that each starts within
milliseconds.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from deepchrome.cli import main as run_command
from deepchrome.cli.startup import load_kernels
from deepchrome.engine.features.store import read_features

EPIGENOMES = ("E1", "E2")


def start(folder: Path, version: str, out: str) -> int:
    """Start ``dc featurize`` on one version of the reads; return its process id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            given = ["--genes", f"{folder}/genes.tsv", "--genome", f"{folder}/small.sizes", "--out", f"{folder}/{out}"]
            sys.argv = ["dc", "featurize", f"{folder}/{version}", *given, "--force"]
            run_command()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        finally:
            os._exit(status)
    return child


def run_to_end(folder: Path, version: str, out: str) -> None:
    """Run ``dc featurize`` without killing it."""
    _, status = os.waitpid(start(folder, version, out), 0)
    assert os.WIFEXITED(status), status
    assert os.WEXITSTATUS(status) == 0, status


def read_counts(folder: Path, out: str) -> dict[str, bytes]:
    """Return the counts of every epigenome. Reading a file checks all its checksums."""
    return {name: read_features(folder / out / f"{name}.parquet").counts.tobytes() for name in EPIGENOMES}


def inode(out: Path, name: str) -> int:
    return (out / f"{name}.parquet").stat().st_ino


def partial_files(out: Path) -> list[Path]:
    return [path for path in out.rglob(".*.part") if path.is_file()]


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    load_kernels()
    for version in "ab":
        run_to_end(folder, version, f"whole-{version}")
    expected = {version: read_counts(folder, f"whole-{version}") for version in "ab"}
    assert expected["a"] != expected["b"]
    start_time = time.monotonic()
    run_to_end(folder, "a", "out")
    duration = time.monotonic() - start_time
    out, dice, killed, changed, leftovers = folder / "out", random.Random(seed), 0, 0, 0
    while killed < kills:
        before, old_partial_files = read_counts(folder, "out"), set(partial_files(out))
        version = "a" if before != expected["a"] else "b"
        to_change = {name: inode(out, name) for name in EPIGENOMES if before[name] != expected[version][name]}
        kind = ("random moment", "a file has changed", "a file is being written", "soon after")[killed % 4]
        child, ended = start(folder, version, "out"), 0
        while kind != "random moment" and not ended:
            if kind == "a file has changed":
                kill_now = any(inode(out, name) != number for name, number in to_change.items())
            else:
                kill_now = not set(partial_files(out)) <= old_partial_files
            if kill_now:
                break
            ended, _ = os.waitpid(child, os.WNOHANG)
        time.sleep({"random moment": dice.uniform(0, duration), "soon after": dice.uniform(0, 0.01)}.get(kind, 0.0))
        if not ended:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            killed += os.WIFSIGNALED(status)
        now = read_counts(folder, "out")
        assert all(now[name] in (expected["a"][name], expected["b"][name]) for name in EPIGENOMES), killed
        changed += now != before
        leftovers += bool(partial_files(out))
    run_to_end(folder, "b", "out")
    assert read_counts(folder, "out") == expected["b"]
    assert not partial_files(out)
    sys.stdout.write(f"{killed} {changed} {leftovers}\n")


if __name__ == "__main__":
    main()
