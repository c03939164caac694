"""Small training runs on random data in memory."""

from pathlib import Path
from typing import Any

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.summary import Summary
from deepchrome.train.run.train import RunOptions, train_datasets
from support.epigenomes import INPUTS, random_dataset

CONFIG = FitConfig(epochs=3, batch_size=16)
CPU = Placement("cpu", threads=2)


def random_datasets() -> list[Dataset]:
    """Return two epigenomes, E003 and E004, of 90 genes each."""
    return [random_dataset(f"E{i + 3:03d}", genes=90, seed=i) for i in range(2)]


def train(
    out: Path, config: FitConfig = CONFIG, datasets: list[Dataset] | None = None, **options: Any
) -> list[Summary]:
    """Train on the CPU; ``options`` are those of RunOptions."""
    return train_datasets(datasets or random_datasets(), INPUTS, out, config, CPU, options=RunOptions(**options))
