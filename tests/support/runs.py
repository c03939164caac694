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

CONFIG = FitConfig(epochs=3, batch_size=16, precision="fp32")
CPU = Placement("cpu", threads=2)
# What files have only in runs of later versions.
ORIGIN = ("fit", "inputs", "data")
NEW_RESULTS = ("pearson", "spearman", "held_out")
NEW_SETTINGS = (
    "task",
    "pooled",
    "members",
    "min_steps",
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


def _old_row(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in NEW_RESULTS}


def drop_origin(file: Path) -> None:
    """Remove from a model, checkpoint or table the origin that names its run."""
    if file.suffix == ".parquet":
        write_frame(file, read_frame(file)[0], {})
    else:
        tensors, document = read_tensors(file)
        write_tensors(file, tensors, {key: value for key, value in document.items() if key not in ORIGIN})


def _old_settings(document: dict[str, Any]) -> dict[str, Any]:
    """Return a config or an origin with the settings that versions 1 and 2 had, or nothing if it has no settings."""
    if "fit" not in document:
        return {}
    fit = {key: value for key, value in document["fit"].items() if key not in NEW_SETTINGS}
    inputs = dict(document["inputs"])
    scaled = inputs.pop("depth") == "library-size"
    del inputs["missing_marks"]
    return {"fit": fit, "inputs": {**inputs, "library_size": scaled}}


def make_old(run: Path, version: int = 1) -> None:
    """Turn a run of one network per model into one of format version 1 or 2.

    In both, a model was one network, and nothing was calibrated. In version 1, moreover, features were not described,
    and files did not name their run.
    """
    document = json.loads((run / "config.json").read_text())
    document |= {"format_version": version, **_old_settings(document)}
    for entry in document["data"].values() if version == 1 else ():
        for key in ("profile", "counting"):
            entry.pop(key, None)

    def old_origin(stored: dict[str, Any]) -> dict[str, Any]:
        return {} if version == 1 else {**_old_settings(stored), "data": stored["data"]}

    del document["sha256"]
    (run / "config.json").write_text(json.dumps({**document, "sha256": config_digest(document)}))
    for file in run.glob("models/*.safetensors"):
        tensors, stored = read_tensors(file)
        weights = tensors if document["fit"]["model"] in BASELINES else {key: tensors[key][0] for key in tensors}
        (epoch,) = stored["best_epoch"]
        known = {"epigenome": stored["epigenome"], "model": stored["model"], "best_epoch": epoch}
        write_tensors(file, weights, {**known, **old_origin(stored)})
    for file in run.glob("checkpoints/*.safetensors") if version == 1 else ():
        drop_origin(file)
    for name, column in (("predictions.parquet", "log2_rpkm"), ("metrics.parquet", "member")):
        if (run / name).exists():
            table, stored = read_frame(run / name)
            results = {"summary": [_old_row(row) for row in stored["summary"]]} if "summary" in stored else {}
            write_frame(run / name, table.drop(column), old_origin(stored) | (results if version > 1 else {}))
    if (run / "summary.tsv").exists():
        summary = pl.read_csv(run / "summary.tsv", separator="\t").drop(NEW_RESULTS)
        summary.write_csv(run / "summary.tsv", separator="\t")


def visible(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder, except the locks of runs."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }
