"""Small training runs on random data in memory."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.config import read_config, write_config
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.summary import Summary
from deepchrome.train.run.tensors import read_tensors, write_tensors
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


def drop_origin(file: Path) -> None:
    """Remove from a model, checkpoint or table what earlier versions did not write."""
    if file.suffix == ".parquet":
        write_frame(file, read_frame(file)[0], {})
    else:
        tensors, document = read_tensors(file)
        old = ("epigenome", "model", "best_epoch", "history")
        write_tensors(file, tensors, {key: document[key] for key in old if key in document})


def make_old(run: Path) -> None:
    """Turn a run into one of format version 1, from before features were described and files named their run."""
    config = read_config(run)
    data = {
        name: {key: value for key, value in entry.items() if key not in ("profile", "counting")}
        for name, entry in config.data.items()
    }
    write_config(run, replace(config, data=data, format_version=1))
    for file in (*run.glob("*.parquet"), *run.glob("*/*.safetensors")):
        drop_origin(file)


def visible(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, except the locks of runs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }
