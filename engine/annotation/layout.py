"""Rows of equal bins in which reads are counted: the windows of genes, or regions."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genome import Genome

BinValues = npt.NDArray[np.uint32] | npt.NDArray[np.float32]
"""Reads per row and bin (uint32), or the mean signal of each bin (float32)."""


@dataclass(frozen=True)
class Layout:
    """Rows of equal bins in which reads are counted. A TSS window is a row of many bins, a region a row of one.

    Attributes
    ----------
    genome
        Names and lengths of the chromosomes.
    chrom_id
        int64 (n,): index of each row's chromosome in the genome, or -1 if the genome does not have it.
    start, end
        int64 (n,): the row is [start, end), 0-based half-open, in bp. ``start`` may be negative.
    n_bins
        Number of bins per row. All bins of a row have the same width.
    strand
        int8 (n,): PLUS, MINUS, or 0 for a row without strand.
    what
        ``genes`` or ``regions``, for messages.
    """

    genome: Genome
    chrom_id: npt.NDArray[np.int64] = field(repr=False)
    start: npt.NDArray[np.int64] = field(repr=False)
    end: npt.NDArray[np.int64] = field(repr=False)
    n_bins: int
    strand: npt.NDArray[np.int8] = field(repr=False)
    what: str
