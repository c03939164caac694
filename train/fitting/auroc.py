"""The AUROC of many models at once, on the device of their scores."""

import torch
from torch import Tensor


def stacked_auroc(scores: Tensor, on: Tensor, counted: Tensor) -> Tensor:
    """Compute the area under the ROC curve of many models.

    The area is the share of (on, off) pairs in which the gene that is on has the higher score. A tie counts
    one half (Hanley & McNeil 1982, Radiology 143:29). Pairs are counted in integers, so the result is exact.

    Parameters
    ----------
    scores
        float (models, genes).
    on
        bool (models, genes): whether the gene is on.
    counted
        bool (models, genes): ``False`` where a gene is padding.

    Returns
    -------
    float64 (models,)
        NaN for a model whose genes are all of one class, or that has a NaN among its scores.
    """
    sorted_scores, order = scores.sort(1)
    off_so_far = torch.nn.functional.pad((counted & ~on).gather(1, order).long().cumsum(1), (1, 0))
    off_below = off_so_far.gather(1, torch.searchsorted(sorted_scores, scores))
    off_up_to = off_so_far.gather(1, torch.searchsorted(sorted_scores, scores, right=True))
    positive = on & counted
    # off_below + off_up_to counts every off gene with a lower score twice and every off gene with the same score once.
    twice_won = ((off_below + off_up_to) * positive).sum(1)
    pairs = positive.sum(1) * off_so_far[:, -1]
    has_nan = (scores.isnan() & counted).any(1)
    return (twice_won.double() / (2 * pairs)).masked_fill(has_nan, torch.nan)
