"""Correct counts for the depth of a sample: the number of its reads, and how they spread over signal and background.

By ranks, every count becomes the value that has the same rank in one fixed distribution. Two samples of one cell type
then have the same inputs, but for noise, however many reads they have. docs/training.md says how this was chosen.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Transform = Literal["counts", "log1p"]
Depth = Literal["ranks", "library-size", "raw"]

# The maximum number of reads in a Roadmap file, so scaled counts stay close to the raw counts.
LIBRARY_READS: Final = 30_000_000
# Reads are thinned with RATES probabilities, evenly spaced on a log scale from LOWEST_RATE to below 1.
LOWEST_RATE: Final = 0.05
RATES: Final = 31
# Larger counts share one rank. The share of such bins is small even in very deep samples.
MAX_RANKED_COUNT: Final = 4095
# Classes of signal, which has no whole numbers that could share a rank.
RANKED_LEVELS: Final = 4096
# A count gets the ranks of at least this share of the bins, so that one that never occurs has a value, too.
_LEAST_SHARE: Final = 1e-7


def thinning_rates() -> NDArray[np.float64]:
    """Return the probability of keeping a read for each index: float64 (RATES + 1,). The index 0 keeps all."""
    return LOWEST_RATE ** (np.arange(RATES + 1) / RATES)


@dataclass(frozen=True)
class CountScale:
    """How the counts, or the signal, of one mark become inputs.

    Attributes
    ----------
    transform
        ``counts``: the corrected counts. ``log1p``: ln(1 + corrected count).
    factor
        Factor of the counts.
    shares
        float64 (largest count + 1,): share of the bins that have each count, to correct by ranks. ``None``: the factor
        is the whole correction.
    is_signal
        Whether the mark is signal of a bigWig file. Signal has no reads that could be thinned.
    levels
        float64 (classes,): for signal corrected by ranks, the lowest signal of each class, ascending. A class takes the
        place of a count.
    """

    transform: Transform
    factor: float = 1.0
    shares: NDArray[np.float64] | None = field(default=None, repr=False)
    is_signal: bool = False
    levels: NDArray[np.float64] | None = field(default=None, repr=False)

    @classmethod
    def by_ranks(cls, transform: Transform, counts: NDArray[np.generic]) -> "CountScale":
        """Return the scale that gives counts their ranks. Without counts, all are 0 and stay so."""
        capped = np.minimum(counts.reshape(-1), MAX_RANKED_COUNT).astype(np.int64)
        if not capped.any():
            return cls(transform)
        return cls(transform, shares=np.bincount(capped) / capped.size)

    @classmethod
    def by_ranks_of_signal(cls, transform: Transform, signal: NDArray[np.generic]) -> "CountScale":
        """Return the scale that gives a signal its ranks. A signal of 0 everywhere stays so.

        Signal with more than :data:`RANKED_LEVELS` values is divided into classes: half of them equally large, and half
        ever smaller towards the largest signal, where the reference changes most.
        """
        ascending = np.sort(signal.reshape(-1).astype(np.float64))
        if not ascending.any():
            return cls(transform, is_signal=True)
        levels, n = np.unique(ascending), ascending.size
        if levels.size > RANKED_LEVELS:
            half = RANKED_LEVELS // 2
            ranks = np.concatenate([np.arange(half) / half, 1 - np.geomspace(1 / n, 0.5, half)])
            levels = np.unique(ascending[(ranks * n).astype(np.int64)])
            # A value of many bins, such as 0, is a class of its own: the next value begins another.
            first, after = (np.searchsorted(ascending, levels, side) for side in ("left", "right"))
            is_common = (after - first > n / RANKED_LEVELS) & (after < n)
            levels = np.union1d(levels, ascending[after[is_common]])
        first = np.searchsorted(ascending, levels)
        return cls(transform, shares=np.diff(first, append=n) / n, is_signal=True, levels=levels)

    def apply(self, counts: NDArray[np.generic]) -> NDArray[np.float32]:
        """Turn counts or signal into inputs of the same shape: float32. With ``log1p``, signal below -1 becomes NaN."""
        if self.shares is None:
            corrected = counts.astype(np.float32) * np.float32(self.factor)
            if self.transform == "log1p":
                with np.errstate(invalid="ignore", divide="ignore"):
                    np.log1p(corrected, out=corrected)
            return corrected
        values = _values_by_rank(self.shares, self.transform)
        if self.levels is not None:
            return np.asarray(values[np.maximum(np.searchsorted(self.levels, counts, side="right") - 1, 0)])
        return np.asarray(values[np.minimum(counts, values.size - 1).astype(np.int64)])

    def invert(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn inputs back into counts of the same shape: float32. NaN becomes 0.

        Inputs between those of two counts give a value between them. Counts that share an input give the smallest.
        Signal corrected by ranks becomes the lowest signal of its class.
        """
        known = np.nan_to_num(x)
        if self.shares is None:
            return np.asarray(
                (np.expm1(known) if self.transform == "log1p" else known) / np.float32(self.factor), np.float32
            )
        values, counts = np.unique(_values_by_rank(self.shares, self.transform), return_index=True)
        return np.interp(known, values, counts if self.levels is None else self.levels[counts]).astype(np.float32)

    def thinned_values(self, size: int) -> NDArray[np.float32]:
        """Return the inputs of counts from 0 to size - 1 if the sample had fewer reads. Signal has no such inputs.

        Returns
        -------
        float32 (RATES + 1, size)
            Row i is for a sample that keeps each read with the probability ``thinning_rates()[i]``.
        """
        rates = thinning_rates()
        if self.shares is None:
            counts = np.arange(size)
            return np.stack([CountScale(self.transform, self.factor / rate).apply(counts) for rate in rates])
        n = self.shares.size
        kept = _binomial_matrix(1 << (n - 1).bit_length(), float(rates[1]))[:n, :n]
        shares, rows = self.shares, []
        for _ in rates:
            values = _values_by_rank(shares, self.transform)
            rows.append(values[np.minimum(np.arange(size), values.size - 1)])
            shares = shares @ kept  # one rate lower: the rates are a geometric series
        return np.stack(rows)


def _values_by_rank(shares: NDArray[np.float64], transform: Transform) -> NDArray[np.float32]:
    """Return the input of each count: the mean of the reference over the ranks that the count takes, transformed."""
    above = np.append(shares[:0:-1].cumsum()[::-1], 0.0)  # share of the bins that have a larger count
    width = np.maximum(shares, _LEAST_SHARE)
    means = (_reference_above(above + width) - _reference_above(above)) / width
    return np.asarray(np.log1p(means) if transform == "log1p" else means, np.float32)


def _reference_above(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the integral of the reference's quantile function over its highest ranks, which are a share of all.

    The reference is a Weibull distribution with shape 1/2 and mean 1, like counts divided by their mean: half of its
    values are below 0.24, and one in a hundred is above 10. The value with a share s of all values above it is t² / 2,
    with t = -ln(s). Its integral from 0 to s is s (t² + 2 t + 2) / 2.
    """
    positive = np.clip(share, np.finfo(np.float64).tiny, 1.0)
    t = -np.log(positive)
    return np.asarray(positive * (t * t + 2 * t + 2) / 2)


@cache
def _binomial_matrix(size: int, rate: float) -> NDArray[np.float64]:
    """Return the probability that thinning turns one count (row) into another (column): float64 (size, size)."""
    matrix = np.zeros((size, size))
    matrix[0, 0] = 1
    for count in range(1, size):  # one read more is kept with the probability of the rate
        matrix[count] = matrix[count - 1] * (1 - rate)
        matrix[count, 1:] += matrix[count - 1, :-1] * rate
    return matrix
