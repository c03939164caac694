"""Where to count: rows of equal bins on the chromosomes of a genome."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genome import Genome

Integers = npt.NDArray[np.int64]
BinValues = npt.NDArray[np.uint32] | npt.NDArray[np.float32]
"""Reads per row and bin (uint32), or the mean signal of each bin (float32)."""


class RowBlocks(NamedTuple):
    """The blocks of n rows, such as the exons of BED12."""

    first: Integers
    """int64 (n + 1,): the first block of each row; the last element is the number of blocks."""
    edges: Integers
    """int64 (blocks, 2): start and end in bp, 0-based and half-open."""


@dataclass(frozen=True, eq=False)
class Layout:
    """n rows of equal bins in which reads are counted.

    The window of a gene is a row of many bins; a region is a row of one. Rows may overlap and come in any order.

    Attributes
    ----------
    genome
        Names and lengths of the chromosomes.
    chrom_id
        int64 (n,): the chromosome of each row, as an index in the genome; -1 if the genome does not have it. Such a
        row counts 0.
    start, end
        int64 (n,): 0-based, half-open, in bp. They may lie outside the chromosome.
    n_bins
        Number of bins per row. It divides the width of every row.
    strand
        int8 (n,): ``PLUS``, ``MINUS``, or 0 for none (see :mod:`deepchrome.engine.kernels`).
    what
        What the rows are, for messages: ``genes`` or ``regions``.
    outside
        int64 (k,): rows with bins completely outside their chromosome that count 0 whatever reads lie there.
    blocks
        The blocks of rows of one bin, if reads count in these only; None if they count in the whole rows.
    indexes
        What :func:`~deepchrome.engine.annotation.region_index.region_index` keeps with the layout: its indexes by
        strand. They are not pickled.
    """

    genome: Genome
    chrom_id: Integers = field(repr=False)
    start: Integers = field(repr=False)
    end: Integers = field(repr=False)
    n_bins: int
    strand: npt.NDArray[np.int8] = field(repr=False)
    what: str
    outside: Integers = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    blocks: RowBlocks | None = field(default=None, repr=False)
    indexes: dict[str | None, Any] = field(default_factory=dict, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"indexes": {}}

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def chroms_in_use(self) -> npt.NDArray[np.bool_]:
        """Which chromosomes of the genome have rows: bool (chromosomes,)."""
        in_use = np.zeros(len(self.genome.sizes) + 1, np.bool_)
        in_use[self.chrom_id] = True  # -1 marks the element after the last chromosome
        return in_use[:-1]

    def outside_bins(self) -> npt.NDArray[np.bool_]:
        """Return which bins of the rows in ``outside`` lie completely outside their chromosome: bool (k, bins)."""
        sizes = np.array([*self.genome.sizes.values()], np.int64)[self.chrom_id[self.outside]]
        width = (self.end - self.start)[self.outside, None] // self.n_bins
        bin_start = self.start[self.outside, None] + width * np.arange(self.n_bins)
        outside: npt.NDArray[np.bool_] = (bin_start + width <= 0) | (bin_start >= sizes[:, None])
        return outside
