"""Small runs with gene symbols that contain markup, and the data of a report, for tests of the report."""

import base64
import gzip
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deepchrome.engine.features.store import read_features, write_features
from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.protocols import BEST
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
    return FeatureSource(features, expression, split="published")


def hostile_run(folder: Path, model: str = "deepchrome", epochs: int = 3, inputs: InputOptions = BEST.inputs) -> Path:
    """Train two epigenomes on random features, without regression; the expression table has no other epigenome."""
    source = write_hostile_features(folder)
    config = FitConfig(model=model, epochs=epochs)
    train_models(source, folder / "run", inputs=inputs, config=config, placement=CPU)
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
    table = pl.read_csv(source.expression, separator="\t")
    # Genes that are on have an RPKM of 8 to 16, the others of 0 to 8.
    table = table.with_columns(pl.col("E001", "E002", "E003") * 8)
    rng = np.random.default_rng(9)
    others = {f"X{i}": rng.random(table.height) * 16 for i in range(5)}
    table.with_columns(**others).write_csv(source.expression, separator="\t")
    config = FitConfig(epochs=6, task="both", pooled=True, mark_dropout=0.1)
    train_models(
        source, folder / "run", epigenomes=["E001", "E002", "E003"], held_out=["E003"], config=config, placement=CPU
    )
    return folder / "run"


class Page(HTMLParser):
    """The elements of a page, and the text of its data element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data_texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][1].get("id") == "data" and data.strip():
            self.data_texts.append(data)


def page_data(report: Path) -> dict[str, Any]:
    """Return the data inside a report.html."""
    (text,) = Page(report.read_text(encoding="utf-8")).data_texts
    document: dict[str, Any] = json.loads(text)
    return document


def unpack(document: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of a report, without their scales."""
    raw = gzip.decompress(base64.b64decode(document["blob"]))
    found = {}
    for name, entry in document["arrays"].items():
        count = int(np.prod(entry["shape"]))
        flat = np.frombuffer(raw, np.dtype(entry["type"]).newbyteorder("<"), count, entry["offset"])
        found[name] = flat.reshape(entry["shape"])
    return found
