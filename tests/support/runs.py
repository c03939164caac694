"""Small training runs on random data in memory."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.models import BASELINES
from deepchrome.train.run.config import _digest as config_digest
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.summary import Summary
from deepchrome.train.run.tensors import read_tensors, write_tensors
from deepchrome.train.run.train import RunOptions, train_datasets
from support.epigenomes import INPUTS, random_dataset

CONFIG = FitConfig(epochs=3, batch_size=16)
CPU = Placement("cpu", threads=2)
# What files have only in runs of later versions.
ORIGIN = ("fit", "inputs", "data")
NEW_SETTINGS = (
    "task",
    "pooled",
    "members",
    "nesterov",
    "schedule",
    "shift_bins",
    "augment_depth",
    "mark_dropout",
)


def random_datasets() -> list[Dataset]:
    """Return two epigenomes, E003 and E004, of 90 genes each."""
    return [random_dataset(f"E{i + 3:03d}", genes=90, seed=i) for i in range(2)]


def train(
    out: Path, config: FitConfig = CONFIG, datasets: list[Dataset] | None = None, **options: Any
) -> list[Summary]:
    """Train on the CPU; ``options`` are those of RunOptions."""
    return train_datasets(datasets or random_datasets(), INPUTS, out, config, CPU, options=RunOptions(**options))


def drop_origin(file: Path) -> None:
    """Remove from a model, checkpoint or table the origin that names its run."""
    if file.suffix == ".parquet":
        write_frame(file, read_frame(file)[0], {})
    else:
        tensors, document = read_tensors(file)
        write_tensors(file, tensors, {key: value for key, value in document.items() if key not in ORIGIN})


def make_old(run: Path) -> None:
    """Turn a run of one network per model into one of format version 1.

    Features were not described, files did not name their run, a model was one network, and nothing was calibrated.
    """
    document = json.loads((run / "config.json").read_text())
    document["format_version"] = 1
    document["fit"] = {key: value for key, value in document["fit"].items() if key not in NEW_SETTINGS}
    scaled = document["inputs"].pop("depth") == "library-size"
    document["inputs"] = {**document["inputs"], "library_size": scaled}
    del document["inputs"]["missing_marks"]
    for entry in document["data"].values():
        for key in ("profile", "counting"):
            entry.pop(key, None)
    del document["sha256"]
    (run / "config.json").write_text(json.dumps({**document, "sha256": config_digest(document)}))
    for file in run.glob("models/*.safetensors"):
        tensors, stored = read_tensors(file)
        weights = tensors if document["fit"]["model"] in BASELINES else {key: tensors[key][0] for key in tensors}
        (epoch,) = stored["best_epoch"]
        write_tensors(file, weights, {"epigenome": stored["epigenome"], "model": stored["model"], "best_epoch": epoch})
    for file in run.glob("checkpoints/*.safetensors"):
        drop_origin(file)
    for name, column in (("predictions.parquet", "log2_rpkm"), ("metrics.parquet", "member")):
        if (run / name).exists():
            write_frame(run / name, read_frame(run / name)[0].drop(column), {})
    if (run / "summary.tsv").exists():
        summary = pl.read_csv(run / "summary.tsv", separator="\t").drop("pearson", "spearman", "held_out")
        summary.write_csv(run / "summary.tsv", separator="\t")


def visible(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, except the locks of runs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }
