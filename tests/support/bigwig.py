"""Write bigWig files, and compute the means of bins with pyBigWig."""

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
import pyBigWig

Run = tuple[str, int, int, float]
"""Chromosome, start and end (0-based half-open), and value."""


def random_runs(sizes: Mapping[str, int], seed: int, mean: int = 30, negative: bool = False) -> list[Run]:
    """Return runs of equal values that cover about two thirds of a genome; some touch, and some end at its ends."""
    rng = np.random.default_rng(seed)
    runs = []
    for chrom, size in sizes.items():
        edges = np.unique(np.append(rng.integers(0, size, size // mean), [0, size])).tolist()
        for start, end in pairwise(edges):
            if rng.random() < 0.66:
                value = float(np.float32(rng.gamma(0.5, 20) * (rng.choice([-1, 1]) if negative else 1)))
                runs.append((chrom, start, end, value))
    return runs


def write_bigwig(path: Path, sizes: Mapping[str, int], runs: Sequence[Run], program: str = "pyBigWig") -> Path:
    """Write runs, sorted by chromosome (in the order of ``sizes``) and start."""
    if program == "pybigtools":
        pybigtools.open(str(path), "w").write(dict(sizes), iter(runs))
        return path
    file = pyBigWig.open(str(path), "w")
    file.addHeader(list(sizes.items()))
    if runs:
        chroms, starts, ends, values = (list(column) for column in zip(*runs, strict=True))
        file.addEntries(chroms, starts, ends=ends, values=values)
    file.close()
    return path


def exact_mean(file: Any, chrom: str, start: int, end: int) -> float:
    """Return pyBigWig's exact mean of [start, end) times the share of its bases that have data."""
    size = file.chroms(chrom)
    inside = max(start, 0), min(end, size or 0)
    if inside[0] >= inside[1]:
        return 0.0
    (mean,) = file.stats(chrom, *inside, type="mean", exact=True)
    (covered,) = file.stats(chrom, *inside, type="coverage", exact=True)
    return 0.0 if mean is None else mean * covered * (inside[1] - inside[0]) / (end - start)


def read_values(path: Path, chrom: str) -> np.ndarray:
    """Return the value of every base of a chromosome, NaN without data, as pyBigWig reads it."""
    with warnings.catch_warnings():
        file = pyBigWig.open(str(path))
        return np.array(file.values(chrom, 0, file.chroms(chrom)))
