"""Simulate training data of the size used in the DeepChrome paper, with libraries for arrays only."""

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.common.cores import usable_cores
from deepchrome.common.threads import map_in_threads
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.depth import CountScale

MARKS, BINS, GENES = 5, 100, 6601
_SIGNAL_MARKS: Final = (2, 3)
_SIGNAL_BINS: Final = slice(40, 60)
_BYTES: Final = 256


def simulate_datasets(models: int, genes: int = GENES) -> list[Dataset]:
    """Simulate some epigenomes; see :func:`simulate_dataset`."""

    def simulate(i: int) -> Dataset:
        return simulate_dataset(f"E{i:03d}", i, genes)

    return map_in_threads(simulate, range(models), usable_cores())


def simulate_dataset(name: str, seed: int, genes: int = GENES) -> Dataset:
    """Simulate an epigenome with ``genes`` genes in each part of the split.

    The activity of a gene has a standard normal distribution. log2(RPKM + 1) is 2 + activity, but not below 0; genes
    with an activity above 0 are on. Two marks have more reads near the TSS of active genes. Other counts have a
    heavy tail, like those of real reads, and say nothing about the gene.
    """
    rng = np.random.default_rng(seed)
    n = 3 * genes
    activity = rng.standard_normal(n)
    counts = _background()[rng.integers(0, _BYTES, (n, BINS, MARKS), np.uint8)]
    bins = _SIGNAL_BINS.stop - _SIGNAL_BINS.start
    for mark in _SIGNAL_MARKS:
        # Noise of a gene and mark: activity cannot be read from the counts exactly, however many there are.
        level = np.exp(activity + 0.5 * rng.standard_normal(n))
        counts[:, _SIGNAL_BINS, mark] += rng.poisson(level[:, None], (n, bins)).astype(np.int16)
    scales = tuple(CountScale.by_ranks("log1p", counts[:, :, i]) for i in range(MARKS))
    x = np.stack([scale.apply(counts[:, :, i]) for i, scale in enumerate(scales)], 2)
    return Dataset(
        name,
        tuple(f"mark{i}" for i in range(MARKS)),
        tuple(map(str, range(n))),
        x,
        (activity > 0).astype(np.uint8),
        np.repeat(np.arange(3, dtype=np.int8), genes),
        rpkm=np.exp2(np.maximum(2 + activity, 0)) - 1,
        scales=scales,
    )


@cache
def _background() -> NDArray[np.int16]:
    """Return counts of bins by their quantile, int16 (256,): most are 0, one in a hundred is above 18."""
    quantile = (np.arange(_BYTES) + 0.5) / _BYTES
    return np.asarray(-(np.log1p(-quantile) ** 3) / 5, np.int16)


def without_mark(data: Dataset, mark: int) -> Dataset:
    """Return a data set in which one mark was not measured."""
    x = data.x.copy()
    x[:, :, mark] = np.nan
    assert data.scales is not None
    scales = tuple(CountScale("log1p") if i == mark else scale for i, scale in enumerate(data.scales))
    return replace(data, x=x, scales=scales)
