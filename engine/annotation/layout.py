"""Rows of equal bins in which reads are counted."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genome import Genome


@dataclass(frozen=True)
class Layout:
    """n rows of equal bins in which reads are counted. A TSS window is a row of many bins, a region a row of one.

    Attributes
    ----------
    genome
        Names and lengths of the chromosomes.
    chrom_id
        int64 (n,): index of the row's chromosome in ``genome.sizes``, or -1 if the genome does not have it.
    start, end
        int64 (n,): 0-based half-open interval of the row (bp). ``start`` may be negative.
    n_bins
        Bins per row, all of equal width; 1 for regions.
    strand
        int8 (n,): PLUS, MINUS, or 0 for none.
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
