"""Networks that are not part of deepchrome, as a user of the library could register them: good ones and broken ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn

from deepchrome.train.models import NETWORKS
from deepchrome.train.models.stacked import Linear, StackedModel


class OneLayer(StackedModel):
    """Logistic regression on all bins of all marks: a correct stack."""

    def __init__(self, models: int, marks: int, bins: int, outputs: int = 2) -> None:
        super().__init__()
        self.models = models
        self.output = Linear(models, bins * marks, outputs)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        return self.output(x.flatten(2))


class PlainLayers(StackedModel):
    """Layers without the axis of models. With two models, the bias of the last layer looks like a stack."""

    def __init__(self, models: int, marks: int, bins: int, outputs: int = 2) -> None:
        super().__init__()
        self.models = models
        self.output = nn.Linear(bins * marks, outputs)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        return self.output(x.flatten(2))


class SizedByStack(OneLayer):
    """A second axis that depends on the number of models."""

    def __init__(self, models: int, marks: int, bins: int, outputs: int = 2) -> None:
        super().__init__(models, marks, bins, outputs)
        self.mixture = nn.Parameter(torch.zeros(models, models))


class OneScale(OneLayer):
    """A number shared by all models."""

    def __init__(self, models: int, marks: int, bins: int, outputs: int = 2) -> None:
        super().__init__(models, marks, bins, outputs)
        self.scale = nn.Parameter(torch.ones(()))


class RunningMean(OneLayer):
    """A batch norm, whose running mean a model file would not hold."""

    def __init__(self, models: int, marks: int, bins: int, outputs: int = 2) -> None:
        super().__init__(models, marks, bins, outputs)
        self.norm = nn.BatchNorm1d(marks, affine=False)


class NotStacked(nn.Sequential):
    """Not a StackedModel."""

    def __init__(self, models: int, marks: int, bins: int, outputs: int = 2) -> None:
        super().__init__(nn.Linear(bins * marks, outputs))


class MixesModels(OneLayer):
    """A norm over the stack: the scores of a model depend on the other models."""

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        logits = super().forward(x)
        return logits - logits.mean(0, keepdim=True)


class MixesGenes(OneLayer):
    """A batch norm without running means: the scores of a gene depend on the other genes of the batch."""

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        return super().forward((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 0.01))


class Noisy(OneLayer):
    """Random numbers when it scores."""

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        outputs = super().forward(x)
        return outputs + torch.rand(outputs.shape[-1])


@contextmanager
def registered(network: type[nn.Module], name: str = "outside") -> Iterator[str]:
    """Register a network of this module under a name, as a program that uses the library could."""
    with patch.dict(NETWORKS, {name: f"{__name__}:{network.__name__}"}):
        yield name
