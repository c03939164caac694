"""Write the model of one epigenome, and check that the file gives the results of training."""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from deepchrome.common.names import VALID
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FittedModel
from deepchrome.train.models import GENES_PER_BATCH, score_genes
from deepchrome.train.models.metrics import auroc
from deepchrome.train.run.config import RunConfig
from deepchrome.train.run.layout import model_path
from deepchrome.train.run.weights import read_model, write_model

# Largest relative rounding error of a logit. Genes are scored in fp32, whatever the precision of training.
_ROUNDING: Final = {"fp32": 1e-5, "tf32": 1e-2, "bf16": 5e-2}
# An AUROC may differ by this much, plus the fraction of pairs that rounding can swap, up to a limit: the scores of
# a model without any information are all equal, and must not agree with every AUROC.
_AUROC_TOLERANCE: Final = 1e-3
_MAX_SWAPPED: Final = 0.05


def score_rounding(precision: str, *, on_gpu: bool) -> float:
    """Return the relative rounding error of logits to expect between training and scoring.

    Parameters
    ----------
    precision
        See :class:`~deepchrome.train.fitting.config.FitConfig`.
    on_gpu
        Whether the models may have been trained on a GPU.
    """
    return _ROUNDING[("tf32" if on_gpu else "fp32") if precision == "auto" else precision]


def save_and_score(
    run: Path, config: RunConfig, data: Dataset, model: FittedModel, device: torch.device, rounding: float
) -> NDArray[np.float64]:
    """Write a model file, read it back, and score all genes with what was read.

    Parameters
    ----------
    run, config
        The run directory and its config.
    data
        The n genes of the epigenome.
    model
        The trained model.
    device
        Device to score on.
    rounding
        See :func:`score_rounding`.

    Returns
    -------
    float64 (n,)
        The scores of the genes.

    Raises
    ------
    BadDataError
        The weights or scores differ from those in memory, or the AUROC of the validation genes differs from the
        one that was measured in training, by more than rounding explains.
    StorageError
        The file cannot be written.
    """
    write_model(run, config, model)
    file, name = model_path(run, model.epigenome), config.fit.model
    read = read_model(run, config, model.epigenome)
    scores = score_genes(name, read, data.x, device)
    # Equal weights give equal scores, unless scoring is random. One batch shows that, and takes little time.
    batch = score_genes(name, model.weights, data.x[:GENES_PER_BATCH], device)
    same_weights = all(torch.equal(read[key], weights) for key, weights in model.weights.items())
    if not (same_weights and np.array_equal(scores[: batch.size], batch)):  # guard: saved-scores
        raise BadDataError(
            f"{file}: the saved model does not give the scores of the model in memory. "
            "Check the disk, and that the network has no random numbers when it scores"
        )
    if model.best_epoch is None:  # a baseline
        return scores
    measured = model.history[model.best_epoch - 1].valid_auroc
    valid = data.split == VALID
    found = auroc(data.y[valid], scores[valid])
    allowed = _AUROC_TOLERANCE + min(_MAX_SWAPPED, _swappable_pairs(data.y[valid], scores[valid], rounding))
    if found is None or abs(found - measured) > allowed:  # guard: measured-auroc
        raise BadDataError(
            f"{file}: the saved model has a validation AUROC of {found or 0:.4f}, but {measured:.4f} was measured in "
            f"epoch {model.best_epoch} of training. The network {name} must score each gene by itself, whatever the "
            "other genes of the batch and the other models of the stack"
        )
    return scores


def _swappable_pairs(on: NDArray[np.uint8], scores: NDArray[np.float64], rounding: float) -> float:
    """Return the fraction of pairs (on, off) whose log odds are so close that rounding can swap or tie them."""
    probability = np.clip(scores, 1e-300, 1 - 2**-53)
    log_odds = np.log(probability) - np.log1p(-probability)
    off, width = np.sort(log_odds[on == 0]), 2 * rounding * (1 + np.abs(log_odds[on == 1]))
    first = np.searchsorted(off, log_odds[on == 1] - width, side="left")
    last = np.searchsorted(off, log_odds[on == 1] + width, side="right")
    return float(np.mean(last - first) / off.size)
