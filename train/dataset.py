"""Features and labels as arrays, ready to train on."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Dataset:
    """One epigenome, ready to train on.

    Attributes
    ----------
    epigenome
        Its name.
    marks
        Names of the marks, in the order of the last axis of ``x``.
    gene_id
        n ids, as the features have them.
    x
        float32 (n, bins, marks), after orientation and transform.
    y
        uint8 (n,), 1 where the gene is on.
    split
        int8 (n,): ``TRAIN``, ``VALID`` or ``TEST`` of :mod:`deepchrome.train.splits`.
    """

    epigenome: str
    marks: tuple[str, ...]
    gene_id: tuple[str, ...] = field(repr=False)
    x: NDArray[np.float32] = field(repr=False)
    y: NDArray[np.uint8] = field(repr=False)
    split: NDArray[np.int8] = field(repr=False)
