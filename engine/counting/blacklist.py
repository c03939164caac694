"""Regions in which reads do not count, such as ENCODE's blacklists."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.aliases import ChromAliases
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.annotation.regions import read_regions


@dataclass(frozen=True)
class Blacklist:
    """Disjoint intervals on the chromosomes of a genome. A read that overlaps one of them does not count.

    Attributes
    ----------
    name
        Name of the file.
    sha256
        SHA-256 of the file, in hexadecimal.
    intervals
        int32 (n, 2): start and end in bp, 0-based and half-open, sorted by chromosome and start.
    first
        int64 (chromosomes + 1,): the first row of ``intervals`` of each chromosome of the genome.
    """

    name: str
    sha256: str
    intervals: npt.NDArray[np.int32] = field(repr=False, compare=False)
    first: npt.NDArray[np.int64] = field(repr=False, compare=False)

    @classmethod
    def of_layout(cls, name: str, sha256: str, layout: Layout) -> Self:
        """Merge the regions of a layout into disjoint intervals."""
        n_chroms = len(layout.genome.sizes)
        rows = np.flatnonzero((layout.chrom_id >= 0) & (layout.end > layout.start))
        rows = rows[np.lexsort((layout.start[rows], layout.chrom_id[rows]))]
        # Positions on one axis for all chromosomes, so that one running maximum serves them all.
        base = layout.chrom_id[rows] << 33
        start, end = base + layout.start[rows] + 1, base + layout.end[rows] + 1
        reach = np.maximum.accumulate(end)
        begins = np.append(True, start[1:] > reach[:-1])[: len(rows)]
        last = np.append(np.flatnonzero(begins)[1:] - 1, len(rows) - 1) if len(rows) else np.zeros(0, np.int64)
        starts, ends = start[begins] - base[begins] - 1, reach[last] - base[last] - 1
        first = np.searchsorted(layout.chrom_id[rows][begins], np.arange(n_chroms + 1))
        intervals = np.stack([starts, np.minimum(ends, (1 << 31) - 1)], axis=1).astype(np.int32)
        return cls(name, sha256, np.ascontiguousarray(intervals), first.astype(np.int64))


def read_blacklist(path: str | Path, genome: Genome, aliases: ChromAliases | None = None) -> Blacklist:
    """Read a blacklist: a BED file with three columns or more.

    Parameters
    ----------
    path
        The file, plain or compressed.
    genome
        The genome of the reads. Intervals on other chromosomes are ignored.
    aliases
        Other names of its chromosomes.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        See :func:`~deepchrome.engine.annotation.regions.read_regions`.
    """
    layout = read_regions(path).layout(genome, aliases)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Blacklist.of_layout(Path(path).name, digest, layout)
