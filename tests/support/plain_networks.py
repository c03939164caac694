"""Networks written for one model, as users write them: good ones and broken ones."""

import torch
from torch import Tensor, nn


class OneHidden(nn.Module):
    """One hidden layer with dropout; classifies."""

    outputs = 2

    def __init__(self, marks: int, bins: int, p: float = 0.5) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(bins * marks, 8), nn.ReLU(), nn.Dropout(p), nn.Linear(8, self.outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class NoDropout(OneHidden):
    """The same without dropout."""

    def __init__(self, marks: int, bins: int) -> None:
        super().__init__(marks, bins, p=0.0)


class Regresses(NoDropout):
    """One output."""

    outputs = 1


class DoesBoth(NoDropout):
    """Three outputs."""

    outputs = 3


class FourOutputs(NoDropout):
    """Fits no task."""

    outputs = 4


class WithBatchNorm(NoDropout):
    """A running mean, which a model file would not hold."""

    def __init__(self, marks: int, bins: int) -> None:
        super().__init__(marks, bins)
        self.norm = nn.BatchNorm1d(bins)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x))


class OneDimension(nn.Module):
    """Returns one number per gene, without an axis of outputs."""

    def __init__(self, marks: int, bins: int) -> None:
        super().__init__()
        self.layer = nn.Linear(bins * marks, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1))[:, 0]


class TakesMarksFirst(nn.Module):
    """Expects (genes, marks, bins), so it fails."""

    def __init__(self, marks: int, bins: int) -> None:
        super().__init__()
        self.layer = nn.Conv1d(marks, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).amax(2)


class FailsToBuild(nn.Module):
    """Raises in the constructor."""

    def __init__(self, marks: int, bins: int) -> None:
        super().__init__()
        raise ValueError(f"no room for {marks} marks\nand {bins} bins")


class NoModule:
    """Not a PyTorch module."""

    def __init__(self, marks: int, bins: int) -> None:
        pass


class Tuples(NoDropout):
    """Returns a tuple."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(x), torch.zeros(1)
