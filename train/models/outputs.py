"""What the outputs of a network mean, by task: the log odds of "on", the expression, and the loss.

A network that classifies has two outputs, the logits of off and on. A network that regresses has one, the expression in
standard units. A network that does both has three: the two logits, then the expression.
"""

from typing import Final, Literal

from torch import Tensor
from torch.nn.functional import cross_entropy, smooth_l1_loss

Task = Literal["classify", "regress", "both"]
OUTPUTS: Final[dict[str, int]] = {"classify": 2, "regress": 1, "both": 3}


def log_odds(outputs: Tensor, task: str) -> Tensor:
    """Return the log odds of "on" of each gene, float64 (...), from the outputs (..., outputs) of a network.

    For regression, the expression takes their place: it ranks genes in the same way, but it is not calibrated.
    float64 keeps the scores of a confident model from being rounded into ties.
    """
    if task == "regress":
        return outputs[..., 0].double()
    return outputs[..., 1].double() - outputs[..., 0].double()


def expression(outputs: Tensor, task: str) -> Tensor | None:
    """Return the expression of each gene in standard units, float64 (...); ``None`` without regression."""
    return None if task == "classify" else outputs[..., -1].double()


def gene_losses(outputs: Tensor, on: Tensor, target: Tensor, task: str) -> Tensor:
    """Return the loss of each gene: cross entropy, Huber's loss of the expression, or their sum.

    Huber's loss (1964, Ann. Math. Statist. 35:73) is the squared error up to one standard unit, and grows linearly from
    there. With the squared error alone, single genes make the training of a pooled model diverge.

    Parameters
    ----------
    outputs
        float32 (genes, outputs).
    on
        int64 (genes,): 1 if the gene is on, else 0.
    target
        float32 (genes,): expression in standard units. Not used by classification.
    task
        The task of the network.

    Returns
    -------
    float32 (genes,)
    """
    losses = outputs.new_zeros(on.shape)
    if task != "regress":
        losses = losses + cross_entropy(outputs[:, :2], on, reduction="none")
    if task != "classify":
        losses = losses + smooth_l1_loss(outputs[:, -1], target, reduction="none")
    return losses
