"""Measure how a model uses its input, by integrated gradients and attention. See docs/report.md."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from deepchrome.train.models.attentivechrome import AttentiveChrome
from deepchrome.train.models.outputs import log_odds
from deepchrome.train.models.stacked import StackedModel

# Number of points on the path from the input of a gene without reads to that of a gene.
PATH_STEPS: Final = 32
# The attributions of a gene should add up to its change in log-odds. The mean absolute gap may be at most
# TOLERANCE * max(1, mean absolute change).
TOLERANCE: Final = 0.02
_GENES_PER_BATCH: Final = 8
_ATTENTION_GENES_PER_BATCH: Final = 256


@dataclass(frozen=True)
class Attributions:
    """Integrated gradients of genes.

    Attributes
    ----------
    values
        float32 (genes, bins, marks): contribution of each bin to the log-odds of "on", relative to a gene
        without reads.
    change
        float32 (genes,): log-odds of the gene minus log-odds of a gene without reads.
    gap
        float32 (genes,): the sum of ``values`` minus ``change``; 0 for an infinitely fine path.
    """

    values: NDArray[np.float32] = field(repr=False)
    change: NDArray[np.float32] = field(repr=False)
    gap: NDArray[np.float32] = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether the sums of the attributions are within :data:`TOLERANCE` of the changes in log-odds."""
        return bool(np.abs(self.gap).mean() <= TOLERANCE * max(1.0, float(np.abs(self.change).mean())))


def integrated_gradients(
    model: StackedModel,
    x: NDArray[np.float32],
    task: str = "classify",
    steps: int = PATH_STEPS,
    *,
    no_reads: NDArray[np.float32] | None = None,
) -> Attributions:
    """Attribute the log-odds of "on" to bins, by integrated gradients from a gene without reads.

    With b the input of a gene without reads, the value of a bin is x - b times the mean gradient at b + a (x - b),
    where a runs over the midpoints of ``steps`` equal parts of [0, 1] (Sundararajan et al. 2017, Proc. ICML 70:3319;
    midpoint rule). A model that only regresses has its expression in standard units in place of log-odds.

    Parameters
    ----------
    model
        A stack of one model whose weights need no gradients.
    x
        float32 (genes, bins, marks). The inputs of a missing mark are NaN in all genes, and their values are 0.
    task
        What the outputs of the model mean; see :mod:`deepchrome.train.models.outputs`.
    steps
        Number of points on the path.
    no_reads
        float32 (marks,): input of a bin without reads. Default: 0.
    """
    values, change = np.empty_like(x), np.empty(len(x), np.float32)
    if not len(x):
        return Attributions(values, change, change)
    midpoints = (torch.arange(steps, dtype=torch.float32) + 0.5).view(1, steps, 1, 1) / steps
    # x * 0 keeps the NaN of missing marks.
    start = torch.from_numpy(x[:1] * 0 + (0 if no_reads is None else no_reads))
    with torch.no_grad():
        without_reads = _log_odds(model, start, task)
    for first in range(0, len(x), _GENES_PER_BATCH):
        batch = torch.from_numpy(x[first : first + _GENES_PER_BATCH])
        genes = slice(first, first + len(batch))
        difference = batch - start
        path = (start + difference.unsqueeze(1) * midpoints).requires_grad_(True)
        (gradient,) = torch.autograd.grad(_log_odds(model, path.flatten(0, 1), task).sum(), path)
        values[genes] = (difference * gradient.mean(1)).nan_to_num(0.0).numpy()
        with torch.no_grad():
            change[genes] = (_log_odds(model, batch, task) - without_reads).numpy()
    return Attributions(values, change, values.sum((1, 2)) - change)


def _log_odds(model: StackedModel, x: torch.Tensor, task: str) -> torch.Tensor:
    return log_odds(model(x.unsqueeze(0))[0], task).float()


def mean_attention(model: AttentiveChrome, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average the attention of a model over genes.

    Parameters
    ----------
    model
        A stack of one model.
    x
        float32 (genes, bins, marks): the inputs of the genes.

    Returns
    -------
    over_bins
        float32 (bins, marks), summing to 1 over the bins of each mark.
    over_marks
        float32 (marks,), summing to 1.
    """
    over_bins = np.zeros(x.shape[1:])
    over_marks = np.zeros(x.shape[2])
    with torch.no_grad():
        for batch in torch.split(torch.from_numpy(x), _ATTENTION_GENES_PER_BATCH):
            _, bin_attention, mark_attention = model.attend(batch.unsqueeze(0))
            over_bins += bin_attention[0].sum(0).T.numpy()
            over_marks += mark_attention[0].sum(0).numpy()
    return (over_bins / len(x)).astype(np.float32), (over_marks / len(x)).astype(np.float32)
