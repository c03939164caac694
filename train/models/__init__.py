"""List the models, build and check networks, and compute their outputs.

:mod:`deepchrome.train.fitting.fit` trains networks. :mod:`deepchrome.train.models.baselines` fits baselines.
This module imports neither, so a command can list the models without loading PyTorch.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a network.

    Attributes
    ----------
    name
        A key of :data:`NETWORKS`, or ``module:Class``; see :mod:`deepchrome.train.models.custom`.
    marks, bins
        Numbers of marks and bins in the input of one gene.
    task
        What the outputs mean; see :mod:`deepchrome.train.models.outputs`.
    missing_marks
        Whether inputs may lack marks. The network then gets a second channel per mark: 1 if it was measured, else 0.
    """

    name: str
    marks: int
    bins: int
    task: str = "classify"
    missing_marks: bool = False


def is_network(name: str) -> bool:
    """Return whether a model is a network: one of :data:`NETWORKS`, or ``module:Class``."""
    return name in NETWORKS or is_custom(name)


def is_custom(name: str) -> bool:
    """Return whether a model is a class of the user, ``module:Class``."""
    return ":" in name


def build_network(spec: NetworkSpec, models: int) -> "StackedModel":
    """Build a stack of untrained networks whose weights are all 0.

    Parameters
    ----------
    spec
        The shape of each network.
    models
        Number of networks in the stack.

    Raises
    ------
    UsageError
        No network has this name, or a class of the user cannot be used.
    BadDataError
        There are too few bins for this network.
    """
    if not is_network(spec.name):
        raise UsageError(f"no network is named {spec.name!r}. Choose one of {', '.join(NETWORKS)}.")
    channels = 2 * spec.marks if spec.missing_marks else spec.marks
    if spec.name in NETWORKS:
        from deepchrome.train.models.outputs import OUTPUTS

        module, _, class_name = NETWORKS[spec.name].partition(":")
        network: StackedModel = getattr(import_module(module), class_name)(
            models, channels, spec.bins, OUTPUTS[spec.task]
        )
    else:
        from deepchrome.train.models.custom import CustomNetworks

        network = CustomNetworks(spec.name, models, channels, spec.bins, spec.task)
    if not spec.missing_marks:
        return network
    from deepchrome.train.models.masked import Masked

    return Masked(network)


def check_network(spec: NetworkSpec) -> None:
    """Check that a network is a stack of models whose parameters are all that a model file needs to hold.

    The first axis of every parameter must be the models. A model file holds one row of each parameter. It would hold a
    part of a plain :class:`torch.nn.Linear`, and nothing of a buffer, such as the running mean of a batch norm.

    Parameters
    ----------
    spec
        The shape of the network. See :func:`build_network` for its errors.

    Raises
    ------
    UsageError
        The network is not a stack of models. The message names the parameter or buffer.
    """
    from deepchrome.train.models.stacked import StackedModel

    def refuse(problem: str) -> UsageError:
        place = f" ({NETWORKS[spec.name]})" if spec.name in NETWORKS else ""
        return UsageError(f"the network {spec.name!r}{place} cannot be trained: {problem}")

    # With one size only, a parameter of two outputs would look like a stack of two models.
    sizes = (2, 3)
    stacks = [build_network(spec, models) for models in sizes]
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


def compute_outputs(
    spec: NetworkSpec, weights: "Mapping[str, Tensor]", x: "NDArray[np.float32]", device: "str | torch.device" = "cpu"
) -> "NDArray[np.float64]":
    """Compute the outputs of the members of one trained model.

    Parameters
    ----------
    spec
        The shape of the model. Its name can be a baseline.
    weights
        Weights of the trained model. Those of a network have a first axis of length ``members``; see
        :class:`~deepchrome.train.models.trained.TrainedModel`.
    x
        float32 (genes, bins, marks), prepared like the training data.
    device
        Device on which a network computes. Baselines use the CPU.

    Returns
    -------
    float64 (members, genes, outputs)
        See :mod:`deepchrome.train.models.outputs`. A baseline has one output, which takes the place of log odds.
    """
    import numpy as np
    import torch

    from deepchrome.train.models.outputs import OUTPUTS

    if spec.name in BASELINES:
        from deepchrome.train.models.baselines import score_baseline

        return score_baseline(spec.name, {key: value.numpy() for key, value in weights.items()}, x)[None, :, None]
    members = len(next(iter(weights.values())))
    model = build_network(spec, members)
    for member in range(members):
        model.load(member, {name: value[member] for name, value in weights.items()})
    model.to(device).eval()
    outputs = []
    with torch.no_grad():
        for start in range(0, len(x), GENES_PER_BATCH):
            batch = torch.from_numpy(x[start : start + GENES_PER_BATCH]).to(device)
            outputs.append(model(batch.expand(members, *batch.shape)).double().cpu())
        if not outputs:
            return np.empty((members, 0, OUTPUTS[spec.task]))
    return torch.cat(outputs, 1).numpy()
