"""Small runs with gene symbols that contain markup, for tests of the report."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from deepchrome.engine.features.store import read_features, write_features
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.train import train_models
from support.epigenomes import write_random_features

HOSTILE = '"><img src=x onerror=document.body.dataset.pwned="yes">'
ENDING = "</script><script>document.body.dataset.pwned='yes'</script><!-- <script>"
CPU = Placement("cpu", threads=2)


def write_hostile_features(folder: Path, names: tuple[str, ...] = ("E001", "E002")) -> FeatureSource:
    """Write random features. The test genes 80 and 81 have the symbols HOSTILE and ENDING."""
    features, expression = write_random_features(folder / "features", names)
    for path in features.glob("*.parquet"):
        read = read_features(path)
        symbols = [f"GENE{i}" for i in range(len(read.genes))]
        symbols[80], symbols[81] = HOSTILE, ENDING
        counts = {mark: read.counts[:, :, i] for i, mark in enumerate(read.marks)}
        metadata = {key: read.metadata[key] for key in ("bin_size", "flank", "n_bins", "sources")}
        write_features(path, replace(read.genes, symbol=tuple(symbols)), counts, metadata)
    return FeatureSource(features, expression)


def hostile_run(folder: Path, model: str = "deepchrome", epochs: int = 3) -> Path:
    """Train two epigenomes on random features, without regression; the expression table has no other epigenome."""
    source = write_hostile_features(folder)
    train_models(source, folder / "run", config=FitConfig(model=model, epochs=epochs), placement=CPU)
    return folder / "run"


def pooled_run(folder: Path) -> Path:
    """Train a pooled model that regresses too, on E001 and E002. E003 is held out, and lacks the first mark.

    The expression table has five other epigenomes, so that there are variable genes.
    """
    source = write_hostile_features(folder, ("E001", "E002", "E003"))
    read = read_features(folder / "features" / "E003.parquet")
    counts = {mark: read.counts[:, :, i] for i, mark in enumerate(read.marks) if i}
    metadata = {key: read.metadata[key] for key in ("bin_size", "flank", "n_bins")}
    metadata["sources"] = {mark: {"reads": 1000} for mark in counts}
    write_features(folder / "features" / "E003.parquet", read.genes, counts, metadata)
    header, *rows = source.expression.read_text().splitlines()
    others = np.random.default_rng(9).random((len(rows), 5)) * 2
    text = [f"{header}\t" + "\t".join(f"X{i}" for i in range(5))]
    text += [f"{row}\t" + "\t".join(f"{value:.6f}" for value in more) for row, more in zip(rows, others, strict=True)]
    source.expression.write_text("\n".join(text) + "\n")
    config = FitConfig(epochs=6, task="both", pooled=True, mark_dropout=0.1)
    train_models(
        source, folder / "run", epigenomes=["E001", "E002", "E003"], held_out=["E003"], config=config, placement=CPU
    )
    return folder / "run"
