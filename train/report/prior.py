"""The prior of the pattern maps: mean and principal axes of the inputs that a model was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

# Number of principal axes of the training genes that the stable recipe uses.
N_AXES: Final = 30


@dataclass(frozen=True)
class Moments:
    """Sums over the genes of one epigenome, from which priors are made. A missing mark adds nothing.

    Attributes
    ----------
    genes
        Number of genes.
    present
        bool (bins * marks,): whether the mark of an input was measured.
    total
        float64 (bins * marks,): sum of the inputs over the genes.
    product
        float64 (bins * marks, bins * marks): sum of the products of two inputs over the genes.
    """

    genes: int
    present: NDArray[np.bool_] = field(repr=False)
    total: NDArray[np.float64] = field(repr=False)
    product: NDArray[np.float64] = field(repr=False)

    @classmethod
    def from_inputs(cls, x: NDArray[np.float32]) -> Self:
        """Sum over x, float32 (genes, bins, marks). The inputs of a missing mark are NaN in all genes."""
        flat = x.reshape(len(x), -1).astype(np.float64)
        present = np.asarray(~np.isnan(flat[:1]).any(0))
        flat = np.where(present, flat, 0)
        return cls(len(x), present, flat.sum(0), flat.T @ flat)


@dataclass(frozen=True)
class Prior:
    """Mean and principal axes of the inputs of one or more epigenomes.

    Attributes
    ----------
    mean
        float32 (bins * marks,). NaN for a mark that no epigenome has.
    axes
        float32 (axes, bins * marks): principal axes. The length of an axis is the standard deviation along it.
    """

    mean: NDArray[np.float32] = field(repr=False)
    axes: NDArray[np.float32] = field(repr=False)

    @classmethod
    def from_moments(cls, moments: Sequence[Moments]) -> Self:
        """Compute the mean, and the first :data:`N_AXES` principal axes, over the genes of all epigenomes together.

        The mean of a mark is that of the epigenomes that have it. In the others, its inputs count as equal to the mean.
        """
        genes = np.sum([item.genes * item.present for item in moments], 0)
        mean = np.sum([item.total for item in moments], 0) / np.where(genes > 0, genes, 1)
        covariance = np.zeros((mean.size, mean.size))
        for item in moments:
            cross = np.outer(mean, item.total)
            about_mean = item.product - cross - cross.T + item.genes * np.outer(mean, mean)
            covariance += about_mean * np.outer(item.present, item.present)
        variance, vectors = np.linalg.eigh(covariance / sum(item.genes for item in moments))
        largest = slice(-1, -N_AXES - 1, -1)
        axes = np.sqrt(variance[largest].clip(0))[:, None] * vectors.T[largest]
        return cls(np.where(genes > 0, mean, np.nan).astype(np.float32), axes.astype(np.float32))

    @classmethod
    def from_inputs(cls, x: NDArray[np.float32]) -> Self:
        """Compute the prior of the inputs of one epigenome, float32 (genes, bins, marks)."""
        return cls.from_moments([Moments.from_inputs(x)])
