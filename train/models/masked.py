"""Networks for inputs that lack marks."""

import torch
from torch import Tensor

from deepchrome.train.models.stacked import StackedModel


class Masked(StackedModel):
    """A stack that accepts NaN in place of a mark that was not measured.

    The inner networks get two channels per mark: the input, with 0 in place of NaN, and a mask that is 1 in all bins
    of a measured mark and 0 otherwise.

    Parameters
    ----------
    inner
        The networks, which take twice as many channels as there are marks.
    """

    def __init__(self, inner: StackedModel) -> None:
        super().__init__()
        self.inner = inner
        self.models, self.dropout_units = inner.models, inner.dropout_units

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Compute the outputs; see :meth:`StackedModel.forward`."""
        outputs: Tensor = self.inner(torch.cat([x.nan_to_num(0.0), (~x.isnan()).to(x.dtype)], 3), keep)
        return outputs
