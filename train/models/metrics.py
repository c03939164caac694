"""Measures of how well scores separate genes that are on from genes that are off."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score


def auroc(on: NDArray[Any], scores: NDArray[np.float64]) -> float | None:
    """Return the area under the ROC curve, or ``None`` if all genes are of one class."""
    return float(roc_auc_score(on, scores)) if np.unique(on).size == 2 else None


def auprc(on: NDArray[Any], scores: NDArray[np.float64]) -> float | None:
    """Return the average precision, or ``None`` if all genes are of one class."""
    return float(average_precision_score(on, scores)) if np.unique(on).size == 2 else None


def bootstrap_areas(
    on: NDArray[Any], scores: NDArray[np.float64], resamples: int = 1000, seed: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute AUROC and AUPRC of bootstrap resamples of the genes.

    A resample is stored as the number of times each gene was drawn. Both areas are computed from cumulative
    sums over the genes in descending order of score, with tied genes merged.

    Parameters
    ----------
    on
        Labels (genes,), 0 or 1.
    scores
        float64 (genes,).
    resamples
        Number of resamples, each drawn with replacement.
    seed
        Seed of the resampling.

    Returns
    -------
    auroc, auprc
        float64 (resamples,) each. NaN for a resample that has genes of one class only.
    """
    rng = np.random.default_rng(seed)
    n = len(scores)
    order = np.argsort(-scores, kind="stable")
    labels = np.asarray(on)[order].astype(bool)
    first_of_tie = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)
    areas = np.full((2, resamples), np.nan)
    for i in range(resamples):
        draws = np.bincount(rng.integers(0, n, n), minlength=n)[order]
        positives = np.add.reduceat(draws * labels, first_of_tie)
        negatives = np.add.reduceat(draws * ~labels, first_of_tie)
        true_positives, false_positives = positives.cumsum(), negatives.cumsum()
        if not (true_positives[-1] and false_positives[-1]):
            continue
        won_pairs = positives * (false_positives[-1] - false_positives + negatives / 2)
        precision = true_positives / np.maximum(true_positives + false_positives, 1)
        areas[0, i] = won_pairs.sum() / (true_positives[-1] * false_positives[-1])
        areas[1, i] = (positives * precision).sum() / true_positives[-1]
    return areas[0], areas[1]
