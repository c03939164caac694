"""Networks of many models at once: every parameter has the models as its first axis.

One pass computes all models, each on its own genes, as batched matrix products. Nothing mixes
models, so a model's gradients and weights are what they would be if it were alone.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Block(nn.Module):
    """Parameters that start uniform in [-bound, bound), the same for every model of the stack."""

    bound: float


class Linear(Block):
    """y = x W + b, as :class:`torch.nn.Linear`, with W stored (models, inputs, outputs).

    Initial weights are uniform within 1/√inputs, as in Torch7 and PyTorch.
    """

    def __init__(self, models: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(models, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(models, 1, outputs))
        self.bound = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (models, rows, inputs) to (models, rows, outputs)."""
        return torch.baddbmm(self.bias, x, self.weight)


class StackedModel(nn.Module, ABC):
    """Base of all networks: ``models`` networks that classify genes as off (0) or on (1).

    Attributes
    ----------
    models
        Length of the first axis of every parameter.
    dropout_units
        Units per gene that dropout with p = 1/2 falls on: the random bits that :meth:`forward` wants.
    """

    models: int
    dropout_units: int = 0

    @abstractmethod
    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Compute logits.

        Parameters
        ----------
        x
            float32 (models, genes, bins, marks).
        keep
            In training, uint8 (models, genes, dropout_units) of 0 and 1; ``None`` for no dropout.

        Returns
        -------
        float32 (models, genes, 2): off, on.
        """

    @torch.no_grad()
    def draw(self, model: int, rng: np.random.Generator) -> None:
        """Draw the initial weights of one model of the stack; they depend on ``rng`` alone."""
        for block in self.modules():
            if isinstance(block, Block):
                for parameter in block.parameters(recurse=False):
                    values = rng.uniform(-block.bound, block.bound, parameter.shape[1:])
                    parameter[model] = torch.from_numpy(values.astype(np.float32))

    def weights(self, model: int) -> dict[str, Tensor]:
        """Copy the weights of one model, without the models' axis, to the host."""
        return {name: parameter[model].detach().cpu().clone() for name, parameter in self.named_parameters()}

    @torch.no_grad()
    def load(self, model: int, weights: Mapping[str, Tensor]) -> None:
        """Set the weights of one model in place, so that a captured CUDA graph sees them."""
        for name, parameter in self.named_parameters():
            parameter[model].copy_(weights[name])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of one model's weights, by name."""
        return {name: tuple(parameter.shape[1:]) for name, parameter in self.named_parameters()}


class _LargestOf(torch.autograd.Function):
    """The maximum over axis 1, with the gradient of :func:`torch.amax`: equal values share it equally.

    PyTorch's own gradient converts masks to numbers and back, a sixth of a training step on a CPU.
    This one is written over ``x``, so it can be taken once only.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        largest = x.amax(1)
        ctx.save_for_backward(x, largest)
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, largest = ctx.saved_tensors
        share = x.eq_(largest.unsqueeze(1))
        return cast(Tensor, share.mul_((gradient / share.sum(1)).unsqueeze(1)))


def largest_of(x: Tensor) -> Tensor:
    """Return the maximum over axis 1 of values that nobody else uses: the gradient overwrites them."""
    largest: Tensor = _LargestOf.apply(x)  # type: ignore[no-untyped-call]
    return largest


def dropout(x: Tensor, keep: Tensor | None) -> Tensor:
    """Drop half of the units and double the rest (Hinton et al. 2012, arXiv:1207.0580, inverted)."""
    return x if keep is None else x * (2 * keep)


def on_probability(logits: Tensor) -> Tensor:
    """Turn logits (..., 2) into the probability of "on": float64 (...), the softmax of two classes.

    In float64, so that a confident model's scores are not rounded into ties.
    """
    return torch.sigmoid((logits[..., 1] - logits[..., 0]).double())
