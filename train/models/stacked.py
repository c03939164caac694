"""Stacks of networks: the first axis of every parameter is the model.

One pass computes all models, each on its own genes, with batched matrix products. No operation mixes
models, so each model has the gradients and weights that it would have alone.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class StackedModel(nn.Module, ABC):
    """Base class of all networks: a stack of models, each of which gets its own genes.

    Attributes
    ----------
    models
        Number of models, the length of the first axis of every parameter.
    dropout_units
        Number of units per gene to which dropout (p = 1/2) applies; the length of the last axis of ``keep``.
    """

    models: int
    dropout_units: int = 0

    @abstractmethod
    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Compute the outputs.

        Parameters
        ----------
        x
            float32 (models, genes, bins, marks).
        keep
            uint8 (models, genes, dropout_units) in training: 1 keeps a unit, 0 drops it. ``None`` disables
            dropout.

        Returns
        -------
        float32 (models, genes, outputs)
            See :mod:`deepchrome.train.models.outputs`.
        """

    @torch.no_grad()
    def draw(self, model: int, rng: np.random.Generator) -> None:
        """Draw the initial weights of one model of the stack; they depend on ``rng`` only."""
        for block in self.modules():
            if isinstance(block, Block):
                for parameter in block.parameters(recurse=False):
                    values = rng.uniform(-block.bound, block.bound, parameter.shape[1:])
                    parameter[model] = torch.from_numpy(values.astype(np.float32))

    def weights(self, model: int) -> dict[str, Tensor]:
        """Copy the weights of one model to CPU memory, without the axis of models."""
        return {name: parameter[model].detach().cpu().clone() for name, parameter in self.named_parameters()}

    @torch.no_grad()
    def load(self, model: int, weights: Mapping[str, Tensor]) -> None:
        """Set the weights of one model in place, so that a captured CUDA graph uses them."""
        for name, parameter in self.named_parameters():
            parameter[model].copy_(weights[name])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights of one model, by name."""
        return {name: tuple(parameter.shape[1:]) for name, parameter in self.named_parameters()}


class Block(nn.Module):
    """A layer whose initial parameters are uniform in [-bound, bound), for every model of the stack."""

    bound: float


class Linear(Block):
    """y = x W + b, like :class:`torch.nn.Linear`, with W stored as (models, inputs, outputs).

    Initial weights are uniform within ±1/√inputs, as in Torch7 and PyTorch.
    """

    def __init__(self, models: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(models, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(models, 1, outputs))
        self.bound = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (models, rows, inputs) to (models, rows, outputs)."""
        return torch.baddbmm(self.bias, x, self.weight)


class Output(Linear):
    """The last layer of a network. It computes in fp32 also where the others compute in bf16.

    In bf16, which has three significant digits, the log odds of many genes would be equal.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (models, rows, inputs) to (models, rows, outputs)."""
        if x.dtype == torch.float32:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def max_over_rows(x: Tensor) -> Tensor:
    """Return the maximum over axis 1.

    The backward pass writes the gradient into ``x``. Pass only values that no other operation uses.
    """
    maximum: Tensor = _MaxOverRows.apply(x)  # type: ignore[no-untyped-call]
    return maximum


class _MaxOverRows(torch.autograd.Function):
    """The maximum over axis 1, with the gradient of :func:`torch.amax`, which ties share equally.

    PyTorch's own gradient converts masks to numbers and back, which takes a sixth of a training step on a CPU.
    This gradient is written over ``x``, so it can be computed only once.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        maximum = x.amax(1)
        ctx.save_for_backward(x, maximum)
        return maximum

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x, maximum = ctx.saved_tensors
        is_maximum = x.eq_(maximum.unsqueeze(1))
        return cast(Tensor, is_maximum.mul_((gradient / is_maximum.sum(1)).unsqueeze(1)))


def dropout(x: Tensor, keep: Tensor | None) -> Tensor:
    """Drop half of the units and double the others (inverted dropout; Hinton et al. 2012, arXiv:1207.0580)."""
    return x if keep is None else x * (2 * keep)
