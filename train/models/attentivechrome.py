"""AttentiveChrome: LSTMs over bins and over marks, with attention (Singh et al. 2017, NIPS 30:6785)."""

import math

import torch
from torch import Tensor, nn

from deepchrome.train.models.stacked import Block, Output, StackedModel

BIN_UNITS = 32
MARK_UNITS = 16


class BiLSTM(Block):
    """``copies`` bidirectional LSTMs per model, each with its own weights and its own sequences.

    The equations, the order of the gates (input, forget, cell, output) and the initial weights (uniform within
    ±1/√units) are those of :class:`torch.nn.LSTM`. One bias replaces the two of PyTorch.
    """

    def __init__(self, models: int, copies: int, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.bound = 1 / math.sqrt(units)
        self.from_input = nn.Parameter(torch.zeros(models, copies, 2, inputs, 4 * units))
        self.from_state = nn.Parameter(torch.zeros(models, copies, 2, units, 4 * units))
        self.bias = nn.Parameter(torch.zeros(models, copies, 2, 1, 4 * units))

    def forward(self, x: Tensor) -> Tensor:
        """Map (models, copies, genes, steps, inputs) to (models, copies, genes, steps, 2 * units)."""
        models, copies, genes, steps, _ = x.shape
        both_ways = torch.stack([x, x.flip(3)], 2).transpose(3, 4)  # (models, copies, 2, steps, genes, inputs)
        rows = both_ways.flatten(0, 2).flatten(1, 2)
        gates = torch.baddbmm(self.bias.flatten(0, 2), rows, self.from_input.flatten(0, 2))
        from_state = self.from_state.flatten(0, 2)
        state = cell = gates.new_zeros(models * copies * 2, genes, self.units)
        states = []
        for gate in gates.view(-1, steps, genes, 4 * self.units).unbind(1):
            input_gate, forget_gate, candidate, output_gate = torch.baddbmm(gate, state, from_state).chunk(4, 2)
            cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
            state = output_gate.sigmoid() * cell.tanh()
            states.append(state)
        forward, backward = torch.stack(states, 2).view(models, copies, 2, genes, steps, self.units).unbind(2)
        return torch.cat([forward, backward.flip(3)], 4)


class Attention(Block):
    """Attention over the steps of a sequence.

    The weight of a step is the softmax of its product with a learned context vector. Every copy has its own vector.
    """

    def __init__(self, models: int, copies: int, inputs: int) -> None:
        super().__init__()
        self.bound = 0.1
        self.context = nn.Parameter(torch.zeros(models, copies, inputs, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (models, copies, genes, steps, inputs) to weights (..., steps) and weighted sums (..., inputs)."""
        scores = (x.flatten(2, 3) @ self.context).view(x.shape[:-1])
        weights = scores.softmax(3)
        return weights, (weights.unsqueeze(3) @ x).squeeze(3)


class AttentiveChrome(StackedModel):
    """A BiLSTM with attention over the bins of each mark, then a BiLSTM with attention over the marks.

    Parameters
    ----------
    models
        Number of models.
    marks, bins
        Numbers of channels and bins of the input. No weight depends on the number of bins.
    outputs
        Number of outputs; see :mod:`deepchrome.train.models.outputs`.
    """

    def __init__(self, models: int, marks: int, bins: int, outputs: int = 2) -> None:  # noqa: ARG002 - as all networks
        super().__init__()
        self.models = models
        self.over_bins = BiLSTM(models, marks, 1, BIN_UNITS)
        self.bin_attention = Attention(models, marks, 2 * BIN_UNITS)
        self.over_marks = BiLSTM(models, 1, 2 * BIN_UNITS, MARK_UNITS)
        self.mark_attention = Attention(models, 1, 2 * MARK_UNITS)
        self.output = Output(models, 2 * MARK_UNITS, outputs)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:  # noqa: ARG002 - no dropout
        """Compute the outputs; see :meth:`StackedModel.forward`."""
        return self.attend(x)[0]

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the outputs and the attention.

        Parameters
        ----------
        x
            float32 (models, genes, bins, marks).

        Returns
        -------
        outputs
            float32 (models, genes, outputs).
        bin_attention
            float32 (models, genes, marks, bins); sums to 1 over bins.
        mark_attention
            float32 (models, genes, marks); sums to 1 over marks.
        """
        sequences = x.permute(0, 3, 1, 2).unsqueeze(4)  # (models, marks, genes, bins, 1)
        bin_weights, per_mark = self.bin_attention(self.over_bins(sequences))
        mark_weights, per_gene = self.mark_attention(self.over_marks(per_mark.transpose(1, 2).unsqueeze(1)))
        return self.output(per_gene.squeeze(1)), bin_weights.transpose(1, 2), mark_weights.squeeze(1)
