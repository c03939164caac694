"""A small run with gene symbols that contain markup, for tests of the report."""

from dataclasses import replace
from pathlib import Path

from deepchrome.engine.features.store import read_features, write_features
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.train import train_models
from support.epigenomes import write_random_features

HOSTILE = '"><img src=x onerror=document.body.dataset.pwned="yes">'
ENDING = "</script><script>document.body.dataset.pwned='yes'</script><!-- <script>"


def hostile_run(folder: Path, model: str = "deepchrome", epochs: int = 3) -> Path:
    """Train two epigenomes on random features. The test genes 80 and 81 have the symbols HOSTILE and ENDING."""
    features, expression = write_random_features(folder / "features")
    for path in features.glob("*.parquet"):
        read = read_features(path)
        symbols = [f"GENE{i}" for i in range(len(read.genes))]
        symbols[80], symbols[81] = HOSTILE, ENDING
        counts = {mark: read.counts[:, :, i] for i, mark in enumerate(read.marks)}
        metadata = {key: read.metadata[key] for key in ("bin_size", "flank", "n_bins", "sources")}
        write_features(path, replace(read.genes, symbol=tuple(symbols)), counts, metadata)
    config = FitConfig(model=model, epochs=epochs)
    train_models(FeatureSource(features, expression), folder / "run", config=config, placement=Placement(threads=2))
    return folder / "run"
