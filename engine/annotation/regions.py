"""Regions in which reads are counted: rows of BED, features of GTF or GFF3, or tiles of a genome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.aliases import ChromAliases, chromosome_ids
from deepchrome.engine.annotation.bed_blocks import BED12_COLUMNS, read_blocks
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.annotation.region_files import read_region_file
from deepchrome.errors import ParameterError

# More bins than this do not fit the memory of most machines: one takes 21 bytes here, and 4 more per file of counts.
_MAX_BINS = 1 << 27


@dataclass(frozen=True)
class Regions:
    """n regions, in the order of their file. They may overlap, nest and repeat.

    Attributes
    ----------
    source
        Name of the file, or a description such as ``bins of 1000 bp``.
    chrom_names
        The distinct chromosome names, by first occurrence.
    chrom
        int32 (n,): index of the region's chromosome in ``chrom_names``.
    start, end
        int64 (n,): 0-based half-open intervals (bp). ``end`` may equal ``start``.
    strand
        int8 (n,): PLUS, MINUS, or 0 for none.
    format
        ``bed``, ``gff`` (GTF or GFF3) or ``bins``.
    columns
        All columns of the file as text, n strings each, by name: ``chrom``, ``start``, ``end``, ``name``, ``score``,
        ``strand`` and so on for BED; ``seqname``, ``source``, ``feature``, ``start``, ``end``, ``score``, ``strand``,
        ``frame`` and ``attributes`` for GTF and GFF3, with start and end 1-based as in the file. Empty for bins.
    """

    source: str
    chrom_names: tuple[str, ...] = field(repr=False)
    chrom: npt.NDArray[np.int32] = field(repr=False)
    start: npt.NDArray[np.int64] = field(repr=False)
    end: npt.NDArray[np.int64] = field(repr=False)
    strand: npt.NDArray[np.int8] = field(repr=False)
    format: str
    columns: Mapping[str, Sequence[str]] = field(repr=False)

    def __len__(self) -> int:
        return len(self.start)

    def layout(self, genome: Genome, aliases: ChromAliases | None = None, *, in_blocks: bool = False) -> Layout:
        """Return the intervals in which reads are counted.

        A region of no width becomes [start - 1, start + 1), as in bedtools multicov.

        Parameters
        ----------
        genome
            Names and lengths of the chromosomes.
        aliases
            Other names of its chromosomes, for regions on a chromosome that it does not have by name.
        in_blocks
            Count in the blocks of regions that have 12 columns, as multicov does with -split.

        Raises
        ------
        BadDataError
            The blocks of a region are not valid.
        """
        id_of_chrom = chromosome_ids(self.chrom_names, genome, aliases)
        chrom_id = np.array([id_of_chrom[name] for name in self.chrom_names], np.int64)[self.chrom]
        is_empty = self.start == self.end
        start, end, blocks = self.start - is_empty, self.end + is_empty, None
        if in_blocks and self.format == "bed" and len(self.columns) == BED12_COLUMNS:
            blocks = read_blocks(self.source, self.columns, start)
        return Layout(genome, chrom_id, start, end, 1, self.strand, "regions", blocks=blocks)


def read_regions(path: str | Path, feature: str | None = None) -> Regions:
    """Read the regions of a BED, GTF or GFF3 file. Its content, not its name, determines the format.

    Parameters
    ----------
    path
        The file, plain or compressed; ``-`` is standard input.

        - BED with three columns or more, also narrowPeak and broadPeak. A region has a strand if its column 6 is ``+``
          or ``-``, as in bedtools. Lines that begin with ``#``, ``track`` or ``browser`` are skipped.
        - GTF or GFF3. Its coordinates are 1-based and inclusive. Sequences at the end of GFF3 are skipped.
    feature
        For GTF and GFF3, the type of the lines to use (third column), such as ``exon``. It may be None if the file
        has lines of one type only.

    Returns
    -------
    Regions
        The regions in the order of the file.

    Raises
    ------
    MissingInputError, StorageError
        The file cannot be opened or read.
    BadDataError
        The file has neither format, has no region, is damaged or truncated, or has a line that is not valid (the
        message quotes the line and its number); or it is a GTF or GFF3 file of several types and ``feature`` is None,
        or no line has this type.
    ParameterError
        ``feature`` is given for a BED file.
    """
    path = Path(path)
    table = read_region_file(path, feature)
    return Regions(
        "standard input" if str(path) == "-" else path.name,
        table.chrom_names,
        table.chrom,
        table.start,
        table.end,
        table.strand,
        table.format,
        table.columns,
    )


def genome_bins(genome: Genome, size: int) -> Regions:
    """Cut every chromosome into bins, as ``bedtools makewindows -g GENOME -w SIZE`` does.

    Parameters
    ----------
    genome
        Names and lengths of the chromosomes.
    size
        Width of a bin (bp). The last bin of a chromosome ends at the end of the chromosome.

    Raises
    ------
    ParameterError
        ``size`` is not positive, or so small that the bins would not fit into memory.
    """
    if size < 1:
        raise ParameterError("genome_bins", f"must be at least 1 bp, got {size}")
    lengths = np.array([*genome.sizes.values()], np.int64)
    n_bins = -(-lengths // size)
    if n_bins.sum() > _MAX_BINS:
        raise ParameterError(
            "genome_bins", f"of {size} bp gives {n_bins.sum():,} bins, more than {_MAX_BINS:,}. Use wider bins"
        )
    chrom = np.repeat(np.arange(len(lengths), dtype=np.int32), n_bins)
    first = np.repeat(np.cumsum(n_bins) - n_bins, n_bins)
    start = (np.arange(len(chrom)) - first) * size
    end = np.minimum(start + size, np.repeat(lengths, n_bins))
    strand = np.zeros(len(chrom), np.int8)
    return Regions(f"bins of {size} bp", tuple(genome.sizes), chrom, start, end, strand, "bins", {})
