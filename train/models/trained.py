"""A trained model: its weights, and what turns its outputs into scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepchrome.train.models import NetworkSpec, build_network, compute_outputs
from deepchrome.train.models.calibration import Calibration
from deepchrome.train.models.outputs import expression, log_odds
from deepchrome.train.models.stacked import StackedModel


@dataclass(frozen=True)
class GeneScores:
    """The scores of n genes.

    Attributes
    ----------
    score
        float64 (n,): probability that the gene is on.
    log_odds
        float64 (n,): log odds before calibration, averaged over the members of the model.
    log2_rpkm
        float64 (n,): predicted log2(RPKM + 1); ``None`` if the model does not regress.
    """

    score: NDArray[np.float64] = field(repr=False)
    log_odds: NDArray[np.float64] = field(repr=False)
    log2_rpkm: NDArray[np.float64] | None = field(repr=False)


@dataclass(frozen=True)
class TrainedModel:
    """One model of a run.

    Attributes
    ----------
    spec
        The shape of its networks, or the name of a baseline.
    weights
        Weights by name. Those of a network have a first axis of length ``members``.
    calibration
        Turns log odds into probabilities.
    target_mean, target_sd
        Mean and standard deviation of log2(RPKM + 1) over the training genes: the standard units of the regression.
    """

    spec: NetworkSpec
    weights: Mapping[str, Tensor] = field(repr=False)
    calibration: Calibration = field(default_factory=Calibration)
    target_mean: float = 0.0
    target_sd: float = 1.0

    def outputs(self, x: NDArray[np.float32], device: str | torch.device = "cpu") -> NDArray[np.float64]:
        """Compute the outputs of every member; see :func:`~deepchrome.train.models.compute_outputs`."""
        return compute_outputs(self.spec, self.weights, x, device)

    def member(self, number: int) -> StackedModel:
        """Build one of the networks, counted from 0, as a stack of one. Its weights need no gradients."""
        network = build_network(self.spec, 1)
        network.load(0, {name: value[number] for name, value in self.weights.items()})
        return network.requires_grad_(False).eval()

    def score(self, x: NDArray[np.float32], device: str | torch.device = "cpu") -> GeneScores:
        """Score genes.

        Parameters
        ----------
        x
            float32 (genes, bins, marks), prepared like the training data.
        device
            Device to compute on.
        """
        return self.score_outputs(self.outputs(x, device))

    def score_outputs(self, outputs: NDArray[np.float64]) -> GeneScores:
        """Turn outputs (members, genes, outputs) into the scores of the genes."""
        odds, values = member_log_odds(self.spec, outputs).mean(0), None
        if (standard := expression(torch.from_numpy(outputs), self.spec.task)) is not None:
            values = standard.mean(0).numpy() * self.target_sd + self.target_mean
        return GeneScores(self.calibration.probability(odds), odds, values)


def member_log_odds(spec: NetworkSpec, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log odds of every member, float64 (members, genes), before calibration."""
    if outputs.shape[2] == 1:  # a baseline, or regression
        return outputs[:, :, 0]
    return log_odds(torch.from_numpy(outputs), spec.task).numpy()
