"""Put a trained model together, write it, and check that the file gives the results of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepchrome.common.names import VALID
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, FittedModel
from deepchrome.train.fitting.training import Training
from deepchrome.train.models import GENES_PER_BATCH, NetworkSpec, is_network
from deepchrome.train.models.calibration import fit_calibration
from deepchrome.train.models.metrics import auroc
from deepchrome.train.models.trained import TrainedModel, member_log_odds
from deepchrome.train.run.config import RunConfig
from deepchrome.train.run.layout import model_path
from deepchrome.train.run.weights import StoredModel, read_model, write_model

Device = str | torch.device

# Largest relative rounding error of a logit. Genes are scored in fp32, whatever the precision of training.
_ROUNDING: Final = {"fp32": 1e-5, "tf32": 1e-2, "bf16": 5e-2}
# An AUROC may differ by this much, plus the fraction of pairs that rounding can swap, up to a limit: the scores of
# a model without any information are all equal, and must not agree with every AUROC.
_AUROC_TOLERANCE: Final = 1e-3
_MAX_SWAPPED: Final = 0.05


def score_rounding(precision: str) -> float:
    """Return the relative rounding error of log odds to expect between training in a precision and scoring in fp32.

    ``precision`` is ``fp32``, ``tf32`` or ``bf16``; see :class:`~deepchrome.train.fitting.config.FitConfig`.
    """
    return _ROUNDING[precision]


@dataclass(frozen=True)
class ScoredData:
    """A data set, and the outputs of a model for all of its genes: float64 (members, genes, outputs)."""

    data: Dataset
    outputs: NDArray[np.float64] = field(repr=False)

    def of(self, part: int) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Return outputs and labels of the genes of a part of the split."""
        rows = self.data.split == part
        return self.outputs[:, rows], self.data.y[rows]


def build_model(
    config: FitConfig, spec: NetworkSpec, datasets: Sequence[Dataset], members: Sequence[FittedModel], device: Device
) -> tuple[TrainedModel, list[ScoredData]]:
    """Put the networks of one model together, and calibrate its scores on the validation genes.

    Parameters
    ----------
    config, spec
        Settings of the training, and the shape of the networks.
    datasets
        The data sets that the model was trained on.
    members
        Its networks, or one fitted baseline.
    device
        Device to score on.

    Returns
    -------
    model
        The model.
    scored
        Its outputs for the data sets.
    """
    weights: Mapping[str, Tensor] = members[0].weights
    if is_network(spec.name):
        weights = {key: torch.stack([member.weights[key] for member in members]) for key in weights}
    mean, spread = Training(members[0].key, tuple(datasets)).target_scale
    model = TrainedModel(spec, weights, target_mean=mean, target_sd=spread)
    scored = [ScoredData(data, model.outputs(data.x, device)) for data in datasets]
    outputs, on = zip(*(each.of(VALID) for each in scored), strict=True)
    log_odds = model.score_outputs(np.concatenate(outputs, 1)).log_odds
    # The outputs of a network that classifies are log odds already. Only their scale can be wrong.
    with_intercept = config.task == "regress" or not is_network(spec.name)
    calibration = fit_calibration(log_odds, np.concatenate(on), with_intercept=with_intercept)
    return replace(model, calibration=calibration), scored


def save_model(
    run: Path, config: RunConfig, model: StoredModel, scored: Sequence[ScoredData], device: Device, rounding: float
) -> None:
    """Write a model file, read it back, and check that what was read gives the results of training.

    Parameters
    ----------
    run, config
        The run directory and its config.
    model
        The model.
    scored
        Its outputs for the data sets that it was trained on.
    device
        Device to score on.
    rounding
        See :func:`score_rounding`.

    Raises
    ------
    BadDataError
        The weights or outputs differ from those in memory, or the AUROC of the validation genes differs from the
        one that was measured in training, by more than rounding explains.
    StorageError
        The file cannot be written.
    """
    write_model(run, config, model)
    file, trained = model_path(run, model.name), model.trained
    read = read_model(run, config, model.name).trained
    # Equal weights give equal outputs, unless scoring is random. One batch shows that, and takes little time.
    first = scored[0]
    again = read.outputs(first.data.x[:GENES_PER_BATCH], device)
    same_weights = all(torch.equal(read.weights[key], weights) for key, weights in trained.weights.items())
    if not (same_weights and np.array_equal(again, first.outputs[:, : again.shape[1]])):  # guard: saved-scores
        raise BadDataError(
            f"{file}: the saved model does not give the scores of the model in memory. "
            "Check the disk, and that the network has no random numbers when it scores"
        )
    if is_network(trained.spec.name):
        _check_areas(file, model, scored, rounding)


def _check_areas(file: Path, model: StoredModel, scored: Sequence[ScoredData], rounding: float) -> None:
    """Raise BadDataError if the validation AUROC of a network is not the one that was measured in training."""
    areas, swappable = [], []
    for each in scored:
        outputs, on = each.of(VALID)
        log_odds = member_log_odds(model.trained.spec, outputs)
        areas.append([auroc(on, odds) or 0.0 for odds in log_odds])
        swappable.append([_swappable_pairs(on, odds, rounding) for odds in log_odds])
    for member, found, pairs in zip(model.members, np.mean(areas, 0), np.mean(swappable, 0), strict=True):
        assert member.best_epoch is not None
        measured = member.history[member.best_epoch - 1].valid_auroc
        allowed = _AUROC_TOLERANCE + min(_MAX_SWAPPED, float(pairs))
        if abs(found - measured) > allowed:  # guard: measured-auroc
            raise BadDataError(
                f"{file}: the saved model has a validation AUROC of {found:.4f}, but {measured:.4f} was measured in "
                f"epoch {member.best_epoch} of training. The network {model.trained.spec.name} must score each gene by "
                "itself, whatever the other genes of the batch and the other models of the stack"
            )


def _swappable_pairs(on: NDArray[np.uint8], log_odds: NDArray[np.float64], rounding: float) -> float:
    """Return the fraction of pairs (on, off) whose log odds are so close that rounding can swap or tie them."""
    off, width = np.sort(log_odds[on == 0]), 2 * rounding * (1 + np.abs(log_odds[on == 1]))
    first = np.searchsorted(off, log_odds[on == 1] - width, side="left")
    last = np.searchsorted(off, log_odds[on == 1] + width, side="right")
    return float(np.mean(last - first) / off.size)
