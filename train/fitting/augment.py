"""Change the inputs of training genes at random: fewer reads, shifted bins, hidden marks.

All random numbers come from the caller, so that the result is the same on every device.
"""

import math
from functools import cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from deepchrome.train.datasets.depth import MAX_RANKED_COUNT, RATES, thinning_rates

# The table of thinned counts ends here. Larger counts are thinned with the normal approximation.
_MAX_COUNT: Final = 255
_BYTES: Final = 256  # values of a random byte


@cache
def _thinning_table(device: torch.device) -> Tensor:
    """Return quantiles of binomial distributions on a device: uint8 (index of a rate, count, random byte), flat.

    The entry is the smallest number k for which the probability of at most k counts reaches (byte + 1/2) / 256.
    """
    rates = thinning_rates()[:, None]
    probability = np.zeros((RATES + 1, _MAX_COUNT + 1))
    probability[:, 0] = 1
    levels = (np.arange(_BYTES) + 0.5) / _BYTES
    table = np.zeros((RATES + 1, _MAX_COUNT + 1, _BYTES), np.uint8)
    for count in range(_MAX_COUNT + 1):
        if count:  # one count more is kept with the probability of the rate
            kept = np.pad(probability[:, :-1], ((0, 0), (1, 0)))
            probability = probability * (1 - rates) + kept * rates
        for i, up_to in enumerate(probability.cumsum(1)):
            table[i, count] = np.minimum(np.searchsorted(up_to, levels), count)
    return torch.from_numpy(table.reshape(-1)).to(device)


@cache
def _normal_quantiles(device: torch.device) -> Tensor:
    """Return the quantiles of the standard normal distribution at (byte + 1/2) / 256, on a device: float32 (256,)."""
    levels = (torch.arange(_BYTES, dtype=torch.float64) + 0.5) / _BYTES
    return (math.sqrt(2) * torch.erfinv(2 * levels - 1)).float().to(device)


def thin(counts: Tensor, rate: Tensor, random_bytes: Tensor, *, largest: int = MAX_RANKED_COUNT) -> Tensor:
    """Thin the counts of genes: keep each count with the probability of its rate, as if the sample had fewer reads.

    Parameters
    ----------
    counts
        int16 or int32 (genes, bins, marks).
    rate
        uint8 (genes, marks): an index into :func:`~deepchrome.train.datasets.depth.thinning_rates`.
    random_bytes
        uint8 (genes, bins, marks).
    largest
        No count is larger.

    Returns
    -------
    int64 (genes, bins, marks)
    """
    device = counts.device
    index = rate.unsqueeze(1).long() * (_MAX_COUNT + 1) + counts.clamp(max=_MAX_COUNT)
    thinned = _thinning_table(device).take(index * _BYTES + random_bytes).long()
    if largest <= _MAX_COUNT:
        return thinned
    p = torch.from_numpy(thinning_rates()).float().to(device)[rate.long()].unsqueeze(1)
    expected = counts * p
    noise = (expected * (1 - p)).sqrt() * _normal_quantiles(device)[random_bytes.long()]
    return torch.where(counts > _MAX_COUNT, (expected + noise).round().clamp(min=0).long(), thinned)


def shift(x: Tensor, bins: Tensor) -> Tensor:
    """Shift each gene along its bins. Bins that come in from outside the window are 0, below the input of any count.

    Parameters
    ----------
    x
        float32 (genes, bins, marks). It is changed in place.
    bins
        int8 (genes,): number of bins; positive numbers move reads to higher bins.

    Returns
    -------
    Tensor
        ``x``.
    """
    for by in torch.unique(bins).tolist():
        if by == 0:
            continue
        rows = (bins == by).nonzero()[:, 0]
        moved = x[rows].roll(by, 1)
        # A mark that is missing stays missing: 0 * NaN is NaN.
        moved[:, slice(0, by) if by > 0 else slice(by, None)] *= 0
        x[rows] = moved
    return x


def hide_marks(x: Tensor, hidden: Tensor) -> Tensor:
    """Replace the inputs of hidden marks by NaN, in place; ``hidden`` is bool (genes, marks)."""
    return x.masked_fill_(hidden.unsqueeze(1), torch.nan)
