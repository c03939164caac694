"""Measures of scores: how well they separate on from off, serve as probabilities, or predict expression.

A measure is ``None`` where it is not defined.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, brier_score_loss, r2_score, roc_auc_score

# Values that differ by less than this share of the largest differ by rounding only.
_ROUNDING: Final = 1e-12


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


@dataclass(frozen=True)
class CalibrationCurve:
    """How often genes are on, by their predicted probability, in bins of equal width over [0, 1].

    Attributes
    ----------
    genes
        Number of genes in each bin: int64 (bins,).
    mean_score
        Mean probability of these genes: float64 (bins,), NaN in an empty bin.
    fraction_on
        Fraction of these genes that are on: float64 (bins,), NaN in an empty bin.
    """

    genes: NDArray[np.int64]
    mean_score: NDArray[np.float64]
    fraction_on: NDArray[np.float64]


def calibration_curve(on: NDArray[Any], p: NDArray[np.float64], bins: int = 10) -> CalibrationCurve | None:
    """Compare predicted probabilities with the fraction of genes that are on.

    A probability at an edge belongs to the lower bin, as in :func:`sklearn.calibration.calibration_curve`, which leaves
    out empty bins and does not count genes.

    Parameters
    ----------
    on
        Labels (genes,), 0 or 1.
    p
        Probability that the gene is on: float64 (genes,).
    bins
        Number of bins.

    Returns
    -------
    CalibrationCurve
        ``None`` if there are no genes, or a score is not a probability, such as a value of an SVM.
    """
    if not _are_probabilities(p):
        return None
    bin_of_gene = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], p)
    genes, scores, positives = (np.bincount(bin_of_gene, weights, bins) for weights in (None, p, on))
    divisor = np.where(genes > 0, genes, np.nan)
    return CalibrationCurve(genes.astype(np.int64), scores / divisor, positives / divisor)


def expected_calibration_error(on: NDArray[Any], p: NDArray[np.float64], bins: int = 10) -> float | None:
    """Return the mean difference of probability and fraction on, over the bins of :func:`calibration_curve`.

    Each bin has the weight of its genes (Guo et al. 2017, ICML 70:1321). The error is 0 to 1; ``None`` as in
    :func:`calibration_curve`.
    """
    curve = calibration_curve(on, p, bins)
    if curve is None:
        return None
    return float(np.nansum(curve.genes * np.abs(curve.mean_score - curve.fraction_on)) / curve.genes.sum())


def brier_score(on: NDArray[Any], p: NDArray[np.float64]) -> float | None:
    """Return the mean squared difference of probability and label (Brier 1950, Monthly Weather Review 78:1).

    It is 0 to 1, and lower is better. ``None`` if there are no genes, or a score is not a probability.
    """
    return float(brier_score_loss(on, p, pos_label=1)) if _are_probabilities(p) else None


def pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation; ``None`` if a value is not finite, or one of the two is constant up to rounding."""
    if not (_vary(a, _ROUNDING) and _vary(b, _ROUNDING)):
        return None
    return float(pearsonr(a, b).statistic)


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation; ``None`` if a value is not finite, or one of the two is constant."""
    return float(spearmanr(a, b).statistic) if _vary(a) and _vary(b) else None


def r_squared(observed: NDArray[np.float64], predicted: NDArray[np.float64]) -> float | None:
    """Return the share of the variance of the observed values that is explained: 1 - SS_res / SS_tot.

    It is negative if the predictions are worse than the mean of the observed values. ``None`` if a value is not
    finite, or the observed values are constant up to rounding.
    """
    if not (_vary(observed, _ROUNDING) and np.isfinite(predicted).all()):
        return None
    return float(r2_score(observed, predicted))


def _are_probabilities(p: NDArray[np.float64]) -> bool:
    return bool(p.size and np.all((p >= 0) & (p <= 1)))


def _vary(values: NDArray[np.float64], rounding: float = 0.0) -> bool:
    """Return whether values are finite and not all the same."""
    if values.size < 2 or not np.isfinite(values).all():
        return False
    return bool(np.ptp(values) > rounding * np.abs(values).max())
