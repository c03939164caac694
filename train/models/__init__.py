"""The models, one small file each, and the register that names them.

Networks are trained by :mod:`deepchrome.train.fit`, baselines by :mod:`deepchrome.train.models.baselines`.
This module imports none of them, so that a command can list them without loading PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from deepchrome.train.models.stacked import StackedModel

# A new network is a file with a StackedModel, and a line here.
NETWORKS: Final = {
    "deepchrome": "deepchrome.train.models.deepchrome:DeepChrome",
    "attentivechrome": "deepchrome.train.models.attentivechrome:AttentiveChrome",
}
BASELINES: Final = ("logistic", "random-forest", "svm")
MODELS: Final = (*NETWORKS, *BASELINES)


def network(name: str, models: int, marks: int, bins: int) -> "StackedModel":
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
