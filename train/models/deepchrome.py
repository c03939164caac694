"""DeepChrome: a convolution over bins, then three dense layers (Singh et al. 2016, Bioinformatics 32:i639)."""

import torch
from torch import Tensor

from deepchrome.errors import BadDataError
from deepchrome.train.models.stacked import Linear, Output, StackedModel, dropout, max_over_rows

FILTERS = 50
WIDTH = 10  # bins per filter
POOL = 5  # positions per pool
HIDDEN = (625, 125)  # units of the hidden layers


class DeepChrome(StackedModel):
    """Stack of DeepChrome models.

    Layers: convolution (50 filters of 10 bins), ReLU, max-pooling over 5 positions, dropout 0.5, dense 625, ReLU,
    dense 125, ReLU, dense ``outputs``.

    The convolution is a matrix product over patches of ``WIDTH`` bins. Patches are grouped by their
    position within a pool, so max-pooling is the element-wise maximum of ``POOL`` matrices. On a CPU this is several
    times faster than a pooling operator.

    Parameters
    ----------
    models
        Number of models.
    marks, bins
        Numbers of channels and bins of the input.
    outputs
        Number of outputs; see :mod:`deepchrome.train.models.outputs`.

    Raises
    ------
    BadDataError
        There are fewer than 14 bins, too few to fill one pool.
    """

    def __init__(self, models: int, marks: int, bins: int, outputs: int = 2) -> None:
        super().__init__()
        if bins < WIDTH + POOL - 1:
            raise BadDataError(f"{bins} bins per gene; the deepchrome model needs at least {WIDTH + POOL - 1}")
        self.models = models
        # Positions after the last full pool are ignored, as in Torch's max-pooling.
        self.pools = (bins - WIDTH + 1) // POOL
        self.dropout_units = FILTERS * self.pools
        self.conv = Linear(models, WIDTH * marks, FILTERS)
        self.hidden1 = Linear(models, FILTERS * self.pools, HIDDEN[0])
        self.hidden2 = Linear(models, *HIDDEN)
        self.output = Output(models, HIDDEN[1], outputs)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """Compute the outputs; see :meth:`StackedModel.forward`."""
        models, genes, _, marks = x.shape
        if torch.is_autocast_enabled(x.device.type):  # rounded before they are copied ten times
            x = x.to(torch.get_autocast_dtype(x.device.type))
        patches = x.flatten(2).unfold(2, WIDTH * marks, marks)[:, :, : self.pools * POOL]
        patches = patches.reshape(models, genes, self.pools, POOL, WIDTH * marks).movedim(3, 1)
        convolved = self.conv(patches.reshape(models, -1, WIDTH * marks))
        # ReLU after the maximum gives the same result as before it, with a fifth of the work.
        pooled = max_over_rows(convolved.view(models, POOL, -1, FILTERS)).relu()
        h = dropout(pooled.view(models, genes, -1), keep)
        h = self.hidden1(h).relu()
        h = self.hidden2(h).relu()
        outputs: Tensor = self.output(h)
        return outputs
