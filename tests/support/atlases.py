"""Runs on three small random epigenomes, with an expression table of nine."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.directory import Run
from deepchrome.train.run.train import train_models
from support.epigenomes import write_random_features

NAMES = ("E001", "E002", "E003")
GENES = 240


@dataclass(frozen=True)
class Data:
    """Features of three epigenomes, and expression of nine."""

    features: Path
    expression: Path


def write_atlas(folder: Path) -> Data:
    """Write features, and a table in which E004 to E009 are on where E001 or E002 is, with noise.

    The table has 60 genes without features, which are silent in all epigenomes.
    """
    features, expression = write_random_features(folder / "features", NAMES, GENES)
    table = pl.read_csv(expression, separator="\t")
    rng = np.random.default_rng(9)
    for i in range(4, 10):
        weight = rng.random()
        mixed = weight * table["E001"].to_numpy() + (1 - weight) * table["E002"].to_numpy()
        table = table.with_columns(pl.Series(f"E{i:03}", (mixed * rng.lognormal(0, 0.6, GENES)).round(4)))
    silent = {name: [0.0] * 60 for name in table.columns[1:]}
    more = pl.DataFrame({"gene_id": [f"ENSG{i:011d}" for i in range(5000, 5060)], **silent})
    pl.concat([table, more]).write_csv(expression, separator="\t")
    return Data(features, expression)


def train_on(
    data: Data,
    out: Path,
    *,
    held_out: tuple[str, ...] = (),
    epigenomes: tuple[str, ...] | None = None,
    labels: dict[str, object] | None = None,
    **fit: object,
) -> Run:
    """Train a run with a random split of equal parts."""
    config = FitConfig(**{"epochs": 3, "batch_size": 16, **fit})
    inputs = InputOptions(transform="log1p", missing_marks=config.pooled)
    source = FeatureSource(data.features, data.expression, split="random", seed=3, **(labels or {}))
    train_models(
        source,
        out,
        epigenomes=epigenomes,
        held_out=held_out,
        inputs=inputs,
        config=config,
        placement=Placement("cpu", threads=2),
    )
    return Run(out)
