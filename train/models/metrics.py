"""How well scores tell genes that are on from genes that are off."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor


def stacked_auroc(scores: Tensor, on: Tensor, counted: Tensor) -> Tensor:
    """Area under the ROC curve of many models at once, on the device the scores are on.

    The share of (on, off) pairs in which the gene that is on has the higher score, ties counting half
    (Hanley & McNeil 1982, Radiology 143:29). Pairs are counted in integers, so the result is exact.

    Parameters
    ----------
    scores
        float (models, genes).
    on
        bool (models, genes).
    counted
        bool (models, genes): ``False`` where a row is padding.

    Returns
    -------
    float64 (models,)
        NaN where all genes are of one class, or a score is NaN.
    """
    ordered, order = scores.sort(1)
    off_so_far = torch.nn.functional.pad((counted & ~on).gather(1, order).long().cumsum(1), (1, 0))
    below = off_so_far.gather(1, torch.searchsorted(ordered, scores))
    up_to = off_so_far.gather(1, torch.searchsorted(ordered, scores, right=True))
    positive = on & counted
    twice_won = ((below + up_to) * positive).sum(1)
    pairs = positive.sum(1) * off_so_far[:, -1]
    unknown = (scores.isnan() & counted).any(1)
    return (twice_won.double() / (2 * pairs)).masked_fill(unknown, torch.nan)


def auroc(on: NDArray[Any], scores: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve by scikit-learn; ``None`` if all genes are of one class."""
    return float(roc_auc_score(on, scores)) if np.unique(on).size == 2 else None


def auprc(on: NDArray[Any], scores: NDArray[np.float64]) -> float | None:
    """Average precision by scikit-learn; ``None`` if all genes are of one class."""
    return float(average_precision_score(on, scores)) if np.unique(on).size == 2 else None


def bootstrap_interval(
    on: NDArray[Any], scores: NDArray[np.float64], resamples: int = 1000, seed: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Resample genes with replacement, and score every resample.

    A resample is a count per gene, so both areas follow from cumulative sums over the genes in order
    of score, tied genes taken together.

    Parameters
    ----------
    on
        n labels, 0 or 1.
    scores
        float64 (n,).
    resamples
        How many.
    seed
        Of the resampling.

    Returns
    -------
    auroc, auprc
        float64 (resamples,) each; NaN for a resample that drew one class only.
    """
    rng = np.random.default_rng(seed)
    n = len(scores)
    order = np.argsort(-scores, kind="stable")
    labels = np.asarray(on)[order].astype(bool)
    first_of_tie = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)
    areas = np.full((2, resamples), np.nan)
    for i in range(resamples):
        drawn = np.bincount(rng.integers(0, n, n), minlength=n)[order]
        positives = np.add.reduceat(drawn * labels, first_of_tie)
        negatives = np.add.reduceat(drawn * ~labels, first_of_tie)
        true, false = positives.cumsum(), negatives.cumsum()
        if not (true[-1] and false[-1]):
            continue
        won = positives * (false[-1] - false + negatives / 2)
        precision = true / np.maximum(true + false, 1)
        areas[:, i] = won.sum() / (true[-1] * false[-1]), (positives * precision).sum() / true[-1]
    return areas[0], areas[1]
