"""AttentiveChrome: LSTMs over bins and over marks, with attention (Singh et al. 2017, NIPS 30:6785)."""

import math

import torch
from torch import Tensor, nn

from deepchrome.train.models.stacked import Block, Linear, StackedModel

BIN_UNITS = 32
MARK_UNITS = 16


class BiLSTM(Block):
    """``copies`` bidirectional LSTMs per model, each on its own sequences.

    The equations and the initial weights are those of :class:`torch.nn.LSTM`, with one bias in place
    of its two: gates in, forget, cell, out; weights uniform within 1/√units.
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
        both = torch.stack([x, x.flip(3)], 2).transpose(3, 4)  # (models, copies, 2, steps, genes, inputs)
        gates = torch.baddbmm(self.bias.flatten(0, 2), both.flatten(0, 2).flatten(1, 2), self.from_input.flatten(0, 2))
        by_step = gates.view(-1, steps, genes, 4 * self.units).unbind(1)
        from_state = self.from_state.flatten(0, 2)
        state = cell = gates.new_zeros(models * copies * 2, genes, self.units)
        states = []
        for gate in by_step:
            enter, forget, new, leave = torch.baddbmm(gate, state, from_state).chunk(4, 2)
            cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            state = leave.sigmoid() * cell.tanh()
            states.append(state)
        forward, backward = torch.stack(states, 2).view(models, copies, 2, genes, steps, self.units).unbind(2)
        return torch.cat([forward, backward.flip(3)], 4)


class Attention(Block):
    """A context vector per copy weighs the steps of a sequence: softmax over their products with it."""

    def __init__(self, models: int, copies: int, inputs: int) -> None:
        super().__init__()
        self.bound = 0.1
        self.context = nn.Parameter(torch.zeros(models, copies, inputs, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (models, copies, genes, steps, inputs) to weights (..., steps) and the weighted sum (..., inputs)."""
        scores = (x.flatten(2, 3) @ self.context).view(x.shape[:-1])
        weights = scores.softmax(3)
        return weights, (weights.unsqueeze(3) @ x).squeeze(3)


class AttentiveChrome(StackedModel):
    """A BiLSTM over the bins of each mark and attention over them, then the same over the marks.

    Parameters
    ----------
    models, marks, bins
        See :func:`deepchrome.train.models.build_network`. The number of bins shapes no weight.
    """

    def __init__(self, models: int, marks: int, bins: int) -> None:  # noqa: ARG002 - as all networks
        super().__init__()
        self.models = models
        self.over_bins = BiLSTM(models, marks, 1, BIN_UNITS)
        self.bin_attention = Attention(models, marks, 2 * BIN_UNITS)
        self.over_marks = BiLSTM(models, 1, 2 * BIN_UNITS, MARK_UNITS)
        self.mark_attention = Attention(models, 1, 2 * MARK_UNITS)
        self.output = Linear(models, 2 * MARK_UNITS, 2)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:  # noqa: ARG002 - it has no dropout
        """See :meth:`StackedModel.forward`."""
        return self.attend(x)[0]

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute logits and where the model looked.

        Parameters
        ----------
        x
            float32 (models, genes, bins, marks).

        Returns
        -------
        logits
            float32 (models, genes, 2).
        bin_attention
            float32 (models, genes, marks, bins), summing to 1 over bins.
        mark_attention
            float32 (models, genes, marks), summing to 1 over marks.
        """
        sequences = x.permute(0, 3, 1, 2).unsqueeze(4)  # (models, marks, genes, bins, 1)
        bins, of_mark = self.bin_attention(self.over_bins(sequences))
        marks, of_gene = self.mark_attention(self.over_marks(of_mark.transpose(1, 2).unsqueeze(1)))
        return self.output(of_gene.squeeze(1)), bins.transpose(1, 2), marks.squeeze(1)
