"""List the models, build and check networks by name, and score genes.

:mod:`deepchrome.train.fitting.fit` trains networks. :mod:`deepchrome.train.models.baselines` fits baselines.
This module imports neither, so a command can list the models without loading PyTorch.
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

# To add a network, write a file with a StackedModel and add a line here. A program that uses the library can also add
# one of its own. check_network refuses networks that are not stacks of models.
NETWORKS: Final = {
    "deepchrome": "deepchrome.train.models.deepchrome:DeepChrome",
    "attentivechrome": "deepchrome.train.models.attentivechrome:AttentiveChrome",
}
BASELINES: Final = ("logistic", "random-forest", "svm")
MODELS: Final = (*NETWORKS, *BASELINES)
GENES_PER_BATCH: Final = 1024  # when scoring


def build_network(name: str, models: int, marks: int, bins: int) -> "StackedModel":
    """Build a stack of untrained networks whose weights are all 0.

    Parameters
    ----------
    name
        A key of :data:`NETWORKS`.
    models
        Number of networks in the stack.
    marks, bins
        Numbers of marks and bins in the input of one gene.

    Raises
    ------
    UsageError
        No network has this name.
    BadDataError
        There are too few bins for this network.
    """
    if name not in NETWORKS:
        raise UsageError(f"no network is named {name!r}. Choose one of {', '.join(NETWORKS)}.")
    module, _, class_name = NETWORKS[name].partition(":")
    network: StackedModel = getattr(import_module(module), class_name)(models, marks, bins)
    return network


def check_network(name: str, marks: int, bins: int) -> None:
    """Check that a network is a stack of models whose parameters are all that a model file needs to hold.

    The first axis of every parameter must be the models. A model file holds one row of each parameter. It would hold a
    part of a plain :class:`torch.nn.Linear`, and nothing of a buffer, such as the running mean of a batch norm.

    Parameters
    ----------
    name, marks, bins
        See :func:`build_network`, also for the errors.

    Raises
    ------
    UsageError
        The network is not a stack of models. The message names the parameter or buffer.
    """
    from deepchrome.train.models.stacked import StackedModel

    def refuse(problem: str) -> UsageError:
        return UsageError(f"the network {name!r} ({NETWORKS[name]}) cannot be trained: {problem}")

    # With one size only, a parameter of two outputs would look like a stack of two models.
    sizes = (2, 3)
    stacks = [build_network(name, models, marks, bins) for models in sizes]
    if not all(isinstance(stack, StackedModel) for stack in stacks):
        raise refuse("its class is not a StackedModel. Derive it from deepchrome.train.models.stacked.StackedModel")
    small, large = ({key: tuple(value.shape) for key, value in stack.named_parameters()} for stack in stacks)
    for key in sorted(small.keys() | large):
        one_model = small.get(key, ())[1:]
        found, expected = (small.get(key), large.get(key)), tuple((models, *one_model) for models in sizes)
        if found != expected:  # guard: not-a-stack
            raise refuse(
                f"its parameter {key} has the shape {found[0]} in a stack of {sizes[0]} models and {found[1]} in a "
                f"stack of {sizes[1]}. The first axis of every parameter must be the models, as in the layers of "
                "deepchrome.train.models.stacked"
            )
    parameters = {key for key, _ in stacks[0].named_parameters(remove_duplicate=False)}
    if buffers := sorted(stacks[0].state_dict().keys() - parameters):  # guard: unsaved-buffers
        raise refuse(f"a model file would not hold its buffer {buffers[0]}. Use parameters, or compute it from them")


def score_genes(
    name: str, weights: "Mapping[str, Tensor]", x: "NDArray[np.float32]", device: "str | torch.device" = "cpu"
) -> "NDArray[np.float64]":
    """Score genes with one trained model.

    Parameters
    ----------
    name
        One of :data:`MODELS`.
    weights
        Weights of the trained model; see :meth:`~deepchrome.train.run.directory.Run.weights`.
    x
        float32 (genes, bins, marks), oriented and transformed like the training data.
    device
        Device on which a network computes. Baselines use the CPU.

    Returns
    -------
    float64 (genes,)
        The probability that a gene is on. For ``svm``, the value of the decision function, which is not a
        probability. A gene with a higher score is more likely to be on.
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
        for start in range(0, len(x), GENES_PER_BATCH):
            genes = slice(start, start + GENES_PER_BATCH)
            batch = torch.from_numpy(x[genes]).to(device)
            scores[genes] = on_probability(model(batch.unsqueeze(0)))[0].cpu().numpy()
    return scores
