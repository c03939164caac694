"""Put a trained model together, write it, and check that the file gives the results of training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
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


def build_model(
    config: FitConfig, spec: NetworkSpec, datasets: Sequence[Dataset], members: Sequence[FittedModel], device: Device
) -> TrainedModel:
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
    """
    weights: Mapping[str, Tensor] = members[0].weights
    if is_network(spec.name):
        weights = {key: torch.stack([member.weights[key] for member in members]) for key in weights}
    mean, spread = Training(members[0].key, tuple(datasets)).target_scale()
    model = TrainedModel(spec, weights, target_mean=mean, target_sd=spread)
    valid = [data.split == VALID for data in datasets]
    odds = [model.score(data.x[rows], device).log_odds for data, rows in zip(datasets, valid, strict=True)]
    on = [data.y[rows] for data, rows in zip(datasets, valid, strict=True)]
    # The outputs of a network that classifies are log odds already. Only their scale can be wrong.
    with_intercept = config.task == "regress" or not is_network(spec.name)
    calibration = fit_calibration(np.concatenate(odds), np.concatenate(on), with_intercept=with_intercept)
    return replace(model, calibration=calibration)


def save_model(
    run: Path, config: RunConfig, datasets: Sequence[Dataset], model: StoredModel, device: Device, rounding: float
) -> None:
    """Write a model file, read it back, and check that what was read gives the results of training.

    Parameters
    ----------
    run, config
        The run directory and its config.
    datasets
        The data sets that the model was trained on.
    model
        The model.
    device
        Device to score on.
    rounding
        See :func:`score_rounding`.

    Raises
    ------
    BadDataError
        The weights or scores differ from those in memory, or the AUROC of the validation genes differs from the
        one that was measured in training, by more than rounding explains.
    StorageError
        The file cannot be written.
    """
    write_model(run, config, model)
    file, trained = model_path(run, model.name), model.trained
    read = read_model(run, config, model.name).trained
    # Equal weights give equal scores, unless scoring is random. One batch shows that, and takes little time.
    x = datasets[0].x[:GENES_PER_BATCH]
    same_weights = all(torch.equal(read.weights[key], weights) for key, weights in trained.weights.items())
    same_scores = np.array_equal(read.score(x, device).score, trained.score(x, device).score)
    if not (same_weights and same_scores):  # guard: saved-scores
        raise BadDataError(
            f"{file}: the saved model does not give the scores of the model in memory. "
            "Check the disk, and that the network has no random numbers when it scores"
        )
    if is_network(trained.spec.name):
        _check_areas(file, datasets, model, read, device, rounding)


def _check_areas(
    file: Path,
    datasets: Sequence[Dataset],
    model: StoredModel,
    read: TrainedModel,
    device: Device,
    rounding: float,
) -> None:
    """Raise BadDataError if the validation AUROC of a network is not the one that was measured in training."""
    areas, swappable = [], []
    for data in datasets:
        valid = data.split == VALID
        odds = member_log_odds(read.spec, read.outputs(data.x[valid], device))
        areas.append([auroc(data.y[valid], each) or 0.0 for each in odds])
        swappable.append([_swappable_pairs(data.y[valid], each, rounding) for each in odds])
    for member, found, pairs in zip(model.members, np.mean(areas, 0), np.mean(swappable, 0), strict=True):
        assert member.best_epoch is not None
        measured = member.history[member.best_epoch - 1].valid_auroc
        allowed = _AUROC_TOLERANCE + min(_MAX_SWAPPED, float(pairs))
        if abs(found - measured) > allowed:  # guard: measured-auroc
            raise BadDataError(
                f"{file}: the saved model has a validation AUROC of {found:.4f}, but {measured:.4f} was measured in "
                f"epoch {member.best_epoch} of training. The network {read.spec.name} must score each gene by itself, "
                "whatever the other genes of the batch and the other models of the stack"
            )


def _swappable_pairs(on: NDArray[np.uint8], log_odds: NDArray[np.float64], rounding: float) -> float:
    """Return the fraction of pairs (on, off) whose log odds are so close that rounding can swap or tie them."""
    off, width = np.sort(log_odds[on == 0]), 2 * rounding * (1 + np.abs(log_odds[on == 1]))
    first = np.searchsorted(off, log_odds[on == 1] - width, side="left")
    last = np.searchsorted(off, log_odds[on == 1] + width, side="right")
    return float(np.mean(last - first) / off.size)
