"""The models, one small file each, and the register that names them.

Networks are trained by :mod:`deepchrome.train.fitting.fit`, baselines by :mod:`deepchrome.train.models.baselines`.
This module imports none of them, so that a command can list them without loading PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from deepchrome.train.models.stacked import StackedModel

# A new network is a file with a StackedModel, and a line here.
NETWORKS: Final = {
    "deepchrome": "deepchrome.train.models.deepchrome:DeepChrome",
    "attentivechrome": "deepchrome.train.models.attentivechrome:AttentiveChrome",
}
BASELINES: Final = ("logistic", "random-forest", "svm")
MODELS: Final = (*NETWORKS, *BASELINES)
_SCORED_AT_ONCE: Final = 1024


def build_network(name: str, models: int, marks: int, bins: int) -> "StackedModel":
    """Build ``models`` untrained copies of a network, stacked; their weights are 0 until drawn or loaded.

    Parameters
    ----------
    name
        A key of :data:`NETWORKS`.
    models
        How many.
    marks, bins
        The shape of one gene's input.

    Raises
    ------
    UsageError
        No such network, or the input is too small for it.
    """
    if name not in NETWORKS:
        raise UsageError(f"no network {name!r}; choose {', '.join(NETWORKS)}")
    module, _, kind = NETWORKS[name].partition(":")
    built: StackedModel = getattr(import_module(module), kind)(models, marks, bins)
    return built


def score_genes(
    name: str, weights: "Mapping[str, Tensor]", x: "NDArray[np.float32]", device: "str | torch.device" = "cpu"
) -> "NDArray[np.float64]":
    """Score genes with one trained model.

    Parameters
    ----------
    name
        One of :data:`MODELS`.
    weights
        What training gave; see :meth:`~deepchrome.train.run.directory.Run.weights`.
    x
        float32 (genes, bins, marks), treated as the training data were.
    device
        Where a network computes.

    Returns
    -------
    float64 (genes,)
        The probability that a gene is on; of ``svm``, its signed distance from the margin. Higher is
        more likely on.
    """
    import numpy as np
    import torch

    if name in BASELINES:
        from deepchrome.train.models.baselines import score_baseline

        return score_baseline(name, {key: value.numpy() for key, value in weights.items()}, x)
    from deepchrome.train.models.stacked import on_probability

    model = build_network(name, 1, x.shape[2], x.shape[1])
    model.load(0, weights)
    model.to(device)
    scores = np.empty(len(x))
    with torch.no_grad():
        for start in range(0, len(x), _SCORED_AT_ONCE):
            part = torch.from_numpy(x[start : start + _SCORED_AT_ONCE]).to(device)
            scores[start : start + _SCORED_AT_ONCE] = on_probability(model(part.unsqueeze(0)))[0].cpu().numpy()
    return scores
