"""What the data say beside the pattern maps: observed signal, integrated gradients, attention. See docs/report.md."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.inputs import InputSpec
from deepchrome.train.datasets.splits import TEST
from deepchrome.train.models.attentivechrome import AttentiveChrome
from deepchrome.train.models.stacked import StackedModel
from deepchrome.train.report.patterns import reads_per_bin

# Points of the path from no reads to the gene.
PATH_STEPS: Final = 32
# The sum of the attributions may miss the change of the score by this share, or this much, on the average gene.
COMPLETENESS: Final = 0.02
_GENES_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Observed:
    """Reads per bin of the genes of one class, all parts of the split together.

    Attributes
    ----------
    genes
        How many.
    mean, low, high
        float32 (bins, marks): the mean, and the quartiles between which half of the genes lie.
    """

    genes: int
    mean: NDArray[np.float32] = field(repr=False)
    low: NDArray[np.float32] = field(repr=False)
    high: NDArray[np.float32] = field(repr=False)


@dataclass(frozen=True)
class Attributions:
    """Integrated gradients of genes.

    Attributes
    ----------
    values
        float32 (genes, bins, marks): what a bin adds to the log-odds of "on", against a gene without reads.
    change
        float32 (genes,): the log-odds of the gene less those of a gene without reads.
    gap
        float32 (genes,): by how much the sum of the values misses ``change``; 0 for an infinitely fine path.
    """

    values: NDArray[np.float32] = field(repr=False)
    change: NDArray[np.float32] = field(repr=False)
    gap: NDArray[np.float32] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether the mean gap is small beside the mean change: the check that the attributions add up."""
        return bool(np.abs(self.gap).mean() <= COMPLETENESS * max(1.0, float(np.abs(self.change).mean())))


def observed(data: Dataset, inputs: InputSpec) -> tuple[Observed, Observed]:
    """Describe the reads per bin of the genes that are off, and of those that are on; there must be genes of both."""
    described = []
    for label in (0, 1):
        reads = reads_per_bin(data.x[data.y == label], inputs)
        low, high = np.percentile(reads, (25, 75), axis=0).astype(np.float32)
        described.append(Observed(len(reads), reads.mean(0, dtype=np.float64).astype(np.float32), low, high))
    return described[0], described[1]


def integrated_gradients(model: StackedModel, x: NDArray[np.float32], steps: int = PATH_STEPS) -> Attributions:
    """Attribute the log-odds of "on" to bins, by integrated gradients from a gene without reads.

    values = x * mean over the path of the gradient at a * x, with a at the middles of ``steps`` equal parts
    of 0 to 1 (Sundararajan et al. 2017, Proc. ICML 70:3319; the midpoint rule).

    Parameters
    ----------
    model
        A stack of one, without gradients for its weights.
    x
        float32 (genes, bins, marks).
    steps
        Points of the path.
    """
    values = np.empty_like(x)
    change = np.empty(len(x), np.float32)
    along = (torch.arange(steps, dtype=torch.float32) + 0.5).view(1, steps, 1, 1) / steps
    with torch.no_grad():
        nothing = _log_odds(model, torch.zeros(1, *x.shape[1:]))
    for first in range(0, len(x), _GENES_AT_ONCE):
        part = torch.from_numpy(x[first : first + _GENES_AT_ONCE])
        path = (part.unsqueeze(1) * along).requires_grad_(True)
        (gradient,) = torch.autograd.grad(_log_odds(model, path.flatten(0, 1)).sum(), path)
        values[first : first + len(part)] = (part * gradient.mean(1)).numpy()
        with torch.no_grad():
            change[first : first + len(part)] = (_log_odds(model, part) - nothing).numpy()
    return Attributions(values, change, values.sum((1, 2)) - change)


def mean_attention(model: AttentiveChrome, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average where a model looks.

    Returns
    -------
    float32 (bins, marks), per mark summing to 1, and float32 (marks,), summing to 1.
    """
    bins = np.zeros(x.shape[1:])
    marks = np.zeros(x.shape[2])
    with torch.no_grad():
        for part in torch.split(torch.from_numpy(x), 256):
            _, over_bins, over_marks = model.attend(part.unsqueeze(0))
            bins += over_bins[0].sum(0).T.numpy()
            marks += over_marks[0].sum(0).numpy()
    return (bins / len(x)).astype(np.float32), (marks / len(x)).astype(np.float32)


def chosen_test_genes(data: Dataset, label: int, most: int, seed: int = 1) -> NDArray[np.int64]:
    """Choose at most so many test genes of a class, at random, in the order of the data."""
    rows = np.flatnonzero((data.split == TEST) & (data.y == label))
    if rows.size > most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    return rows


def rank_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> list[float | None]:
    """Correlate two maps (bins, marks) mark by mark, by Spearman's rho; ``None`` where a row does not vary."""
    found: list[float | None] = []
    for a, b in zip(one.T, other.T, strict=True):
        varies = np.ptp(a) > 0 and np.ptp(b) > 0
        found.append(float(spearmanr(a, b).statistic) if varies else None)
    return found


def _log_odds(model: StackedModel, x: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(x.unsqueeze(0))[0]
    return logits[:, 1] - logits[:, 0]
