"""Count reads in the windows of some genes without the kernels: one read and one bin at a time."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.aliases import ChromAliases
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.regions import read_regions
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.naive_reads import NaiveRead, Span, iterate_reads

Intervals = Mapping[str, Sequence[Span]]
"""Intervals on each chromosome of the genome."""

_ANY_OVERLAP: Final = 1e-9  # the fraction of multicov without -f


@dataclass(frozen=True)
class Rule:
    """How the reads of a feature file were counted.

    Attributes
    ----------
    genome
        Names and lengths of the chromosomes.
    options
        Which reads count.
    flank, bin_size
        Half the width of a window, and the width of a bin (bp).
    blacklist
        The intervals of the blacklist in ``options``, one by one.
    """

    genome: Genome = field(repr=False)
    options: ReadOptions
    flank: int
    bin_size: int
    blacklist: Intervals = field(repr=False)

    def chromosome(self, name: str) -> str | None:
        """Return the genome's name of a chromosome; None if the genome does not have it."""
        if name in self.genome.sizes:
            return name
        return self.options.aliases.target(name) if self.options.aliases else None


def read_intervals(path: str | Path, genome: Genome, aliases: ChromAliases | None) -> Intervals:
    """Read the intervals of a blacklist; those of no width become [start - 1, start + 1), as in bedtools intersect."""
    regions = read_regions(path)
    layout = regions.layout(genome, aliases)
    names = [*genome.sizes]
    intervals: dict[str, list[Span]] = defaultdict(list)
    for chrom, start, end in zip(layout.chrom_id.tolist(), layout.start.tolist(), layout.end.tolist(), strict=True):
        if chrom >= 0:
            intervals[names[chrom]].append((start, end))
    return intervals


def recount(
    path: str, file_format: str, genes: Genes, rule: Rule, on_read: Callable[[int], None] | None = None
) -> tuple[npt.NDArray[np.int64], int]:
    """Count the reads of one file in the windows of some genes.

    Parameters
    ----------
    path
        A file, a URL, or ``-`` for standard input.
    file_format
        The format that the feature file records.
    genes
        n genes.
    rule
        How to count.
    on_read
        Called after every 100,000 reads with the number of reads so far.

    Returns
    -------
    counts
        int64 (n, bins), bins in genomic order.
    n_reads
        Number of reads in the file.

    Raises
    ------
    BadLineError, DeepchromeError
        See :func:`~deepchrome.engine.features.naive_reads.iterate_reads`.
    """
    options, width = rule.options, 2 * rule.flank
    # With ``unknown_chrom="bedtools"``, BED reads on unknown chromosomes are placed on the first one, as bedtools does.
    as_bedtools = options.unknown_chrom == "bedtools" and file_format == "BED"
    unknown_chrom = next(iter(rule.genome.sizes)) if as_bedtools else None
    # For each chromosome, its windows sorted by start, as (start, row of the gene, strands that count).
    windows: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for row, (chrom, tss, strand) in enumerate(zip(genes.chrom, genes.tss, genes.strand, strict=True)):
        if place := rule.chromosome(chrom):
            windows[place].append((int(tss) - rule.flank, row, _accepted_strands(strand, options.strand)))
    for windows_here in windows.values():
        windows_here.sort()
    starts = {chrom: [start for start, _, _ in windows_here] for chrom, windows_here in windows.items()}
    is_partial = options.split or options.overlap_fraction is not None
    counts = np.zeros((len(genes), width // rule.bin_size), np.int64)
    n_reads = 0
    for read in iterate_reads(path, file_format, options):
        n_reads += 1
        if on_read and n_reads % 100_000 == 0:
            on_read(n_reads)
        place = rule.chromosome(read.chrom) or unknown_chrom
        if place is None or place not in starts:
            continue
        changed = _change(read, rule.genome.sizes[place], options)
        if changed is None:
            continue
        # Only these windows can overlap: they start before the read ends, and end after it starts.
        low, high = bisect_left(starts[place], changed.start - width), bisect_right(starts[place], changed.end)
        if low == high or _overlaps_any(changed, rule.blacklist.get(place, ())):
            continue
        for window_start, row, strands in windows[place][low:high]:
            if changed.strand not in strands:
                continue
            for b in range(counts.shape[1]):
                bin_start = window_start + b * rule.bin_size
                bin_end = bin_start + rule.bin_size
                if max(changed.start, bin_start) < min(changed.end, bin_end):
                    counts[row, b] += not is_partial or _covers(changed, bin_start, bin_end, options)
    for row in range(len(genes)):  # bins completely outside their chromosome count 0
        bin_starts = int(genes.tss[row]) - rule.flank + rule.bin_size * np.arange(counts.shape[1])
        size = rule.genome.sizes.get(rule.chromosome(genes.chrom[row]) or "", 0)
        counts[row, (bin_starts + rule.bin_size <= 0) | (bin_starts >= size)] = 0
    return counts, n_reads


def _accepted_strands(gene_strand: str, option: str | None) -> str:
    """Return the strands of the reads that count for a gene."""
    if option == "same":
        return gene_strand if gene_strand in "+-" else ""
    if option == "opposite":
        return {"+": "-", "-": "+"}.get(gene_strand, "+-")
    return "+-"


def _change(read: NaiveRead, size: int, options: ReadOptions) -> NaiveRead | None:
    """Shift a read, and extend it or reduce it to one position; None if nothing is left on its chromosome."""
    start, end, is_reverse = read.start, read.end, read.strand == "-"
    if start >= end or end <= 0:
        return None
    if not (options.shift or options.extend or options.point):
        return read
    shift = -options.shift if is_reverse else options.shift
    start, end = start + shift, end + shift
    if options.shift and (end <= 0 or start >= size):
        return None
    if options.point == "five-prime":
        start = end - 1 if is_reverse else start
        end = start + 1
    elif options.point == "center":
        start = (start + end - 1) // 2
        end = start + 1
    elif end - start < options.extend and is_reverse:
        start = min(start, max(end - options.extend, 0))
    elif end - start < options.extend:
        end = max(end, min(start + options.extend, size))
    return read._replace(start=start, end=end, blocks=((start, end),))


def _overlaps_any(read: NaiveRead, intervals: Sequence[Span]) -> bool:
    return any(max(read.start, start) < min(read.end, end) for start, end in intervals)


def _covers(read: NaiveRead, bin_start: int, bin_end: int, options: ReadOptions) -> bool:
    """Return whether a read overlaps enough of a bin. Fractions are compared in single precision, as in bedtools."""
    least = np.float32(_ANY_OVERLAP if options.overlap_fraction is None else options.overlap_fraction)
    width, length = bin_end - bin_start, read.end - read.start
    if not options.split:
        overlap = min(read.end, bin_end) - max(read.start, bin_start)
        fractions = [_fraction(overlap, width), *([_fraction(overlap, length)] if options.reciprocal else [])]
        return all(fraction >= least for fraction in fractions)
    # multicov -split compares the blocks of the read with the region, and demands more than the fraction.
    overlap = sum(max(0, min(end, bin_end) - max(start, bin_start)) for start, end in read.blocks)
    if overlap == 0:
        return False
    length = sum(end - start for start, end in read.blocks)
    fractions = [_fraction(overlap, length), *([_fraction(overlap, width)] if options.reciprocal else [])]
    return all(fraction > least for fraction in fractions)


def _fraction(part: int, whole: int) -> np.float32:
    return np.float32(part) / np.float32(whole)
