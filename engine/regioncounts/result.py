"""The counts of several files of reads in the same regions."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.regions import Regions
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.tally import ReadTally

Column: TypeAlias = npt.NDArray[np.uint32] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class RegionCounts:
    """Counts of several files of reads in the same regions.

    Attributes
    ----------
    regions
        The n regions.
    genome
        Names and lengths of the chromosomes.
    options
        Which reads count.
    paths
        The files of reads.
    names
        The name of the column of each file.
    columns
        For each file, its reads per region: uint32 (n,); or the mean signal of a bigWig file: float32 (n,).
    tallies
        For each file, a summary of its reads. Their ``counts`` are empty.
    off_genome
        int64 (k,): rows of the regions on chromosomes that the genome does not have. Their counts are 0.
    """

    regions: Regions = field(repr=False)
    genome: Genome
    options: ReadOptions
    paths: tuple[str, ...]
    names: tuple[str, ...]
    columns: tuple[Column, ...] = field(repr=False)
    tallies: tuple[ReadTally, ...] = field(repr=False)
    off_genome: npt.NDArray[np.int64] = field(repr=False)

    @property
    def counts(self) -> npt.NDArray[Any]:
        """Return all columns as one array (n, files): uint32, float32, or float64 if the columns have both types."""
        return np.stack(self.columns, axis=1)
