"""Simulate training data of the size used in the DeepChrome paper."""

import numpy as np
from numpy.typing import NDArray

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, FittedModel
from deepchrome.train.fitting.training import network_spec
from deepchrome.train.models.trained import TrainedModel

MARKS, BINS, GENES = 5, 100, 6601
_SIGNAL_MARK = 3
_SIGNAL_BINS = slice(45, 55)


def simulate_dataset(name: str, seed: int, genes: int = GENES) -> Dataset:
    """Simulate an epigenome with ``genes`` genes in each part of the split.

    One mark predicts the label, but not perfectly.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 3 * genes).astype(np.uint8)
    x = rng.integers(0, 6, (3 * genes, BINS, MARKS), dtype=np.uint8).astype(np.float32)
    x[:, _SIGNAL_BINS, _SIGNAL_MARK] += rng.poisson(0.25 + 0.25 * y[:, None], (3 * genes, 10))
    split = np.repeat(np.arange(3, dtype=np.int8), genes)
    gene_id = tuple(map(str, range(3 * genes)))
    return Dataset(name, tuple(f"mark{i}" for i in range(MARKS)), gene_id, np.log1p(x, out=x), y, split)


def score_network(config: FitConfig, fitted: FittedModel, data: Dataset) -> NDArray[np.float64]:
    """Return the log odds of all genes of a data set, float64 (genes,), by one network."""
    weights = {name: value.unsqueeze(0) for name, value in fitted.weights.items()}
    return TrainedModel(network_spec(config, data), weights).score(data.x).log_odds
