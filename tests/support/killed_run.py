"""Train the same run twice in forked processes: once uninterrupted, once killed at random moments and resumed.

Usage: killed_run.py FOLDER KILLS SEED [grow]. With grow, the second run is finished with one epigenome at first, and
killed while others are added. Writes FOLDER/unbroken and FOLDER/killed. Prints how many
processes were killed before they had finished, and how many of these had written a checkpoint.
The parent process imports everything and uses no threads, so that a fork takes milliseconds.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.train import RunOptions, train_datasets
from support.epigenomes import INPUTS, random_dataset

CONFIG = FitConfig(epochs=12, batch_size=8, optimizer="adam", lr=1e-3)


def run(out: Path, numbers: Sequence[int] = (0, 1, 2)) -> None:
    datasets = [random_dataset(f"E{i:03d}", genes=90, seed=i) for i in numbers]
    train_datasets(datasets, INPUTS, out, CONFIG, Placement("cpu", threads=2), options=RunOptions(resume=True))


def fork(out: Path, *numbers: Sequence[int]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            run(out, *numbers)
            status = 0
        finally:
            os._exit(status)
    return child


def checkpoints(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "checkpoints").glob("[!.]*")}


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.optim.Adam([torch.zeros(1)])  # PyTorch imports some modules only on first use
    began = time.monotonic()
    assert os.waitpid(fork(folder / "unbroken"), 0)[1] == 0
    duration = time.monotonic() - began
    out, rng, killed, progressed = folder / "killed", random.Random(seed), 0, 0
    if sys.argv[4:] == ["grow"]:
        assert os.waitpid(fork(out, [1]), 0)[1] == 0
    while True:
        before = checkpoints(out)
        child = fork(out)
        ended, status = 0, 0
        if killed < kills:
            # Kill every other process soon after a checkpoint, so that there is progress, and the others at any moment.
            while killed % 2 and not ended and checkpoints(out) == before:
                time.sleep(0.001)
                ended, status = os.waitpid(child, os.WNOHANG)
            if not ended:
                time.sleep(rng.uniform(0, 0.02 if killed % 2 else duration / 4))
                os.kill(child, signal.SIGKILL)
        if not ended:
            _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        killed += 1
        progressed += checkpoints(out) != before
    sys.stdout.write(f"{killed} {progressed}\n")


if __name__ == "__main__":
    main()
