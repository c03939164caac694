"""A slow counter that anyone can check by eye: the rule of docs/definitions.md, one read and one bin at a time.

It knows nothing of the engine. The suite holds it against live bedtools, and the engine against it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pysam

REFERENCE_OPERATIONS = "MDN=X"  # the CIGAR operations that move along the reference


class Gene(NamedTuple):
    chrom: str
    tss: int  # 1-based
    strand: str = "+"


class Read(NamedTuple):
    chrom: str
    start: int  # 0-based, half-open
    end: int
    strand: str = "+"


def bins_of(gene: Gene, flank: int, bin_size: int) -> list[tuple[int, int]]:
    """Return [start, end) of every bin, in genomic order: the 1-based TSS is used as it stands."""
    first = gene.tss - flank
    return [(first + i, first + i + bin_size) for i in range(0, 2 * flank, bin_size)]


def overlaps(start: int, end: int, bin_start: int, bin_end: int) -> bool:
    return max(start, bin_start) < min(end, bin_end)


def outside(bin_start: int, bin_end: int, chrom_size: int) -> bool:
    """Tell whether a bin shares no position with its chromosome."""
    return bin_end <= 0 or bin_start >= chrom_size


def text_reads(text: bytes) -> list[Read]:
    """Read BED-like lines; a read of no length covers one base on either side of its position."""
    reads = []
    for line in text.split(b"\n"):
        line = line.removesuffix(b"\r")
        if not line or line.startswith((b"#", b"track", b"browser")):
            continue
        fields = line.decode("utf-8", "surrogateescape").split("\t")
        start, end = int(fields[1]), int(fields[2])
        if start == end:
            start, end = start - 1, end + 1
        reads.append(Read(fields[0], start, end, "-" if fields[5:6] == ["-"] else "+"))
    return reads


def bam_reads(
    path: Path, min_mapq: int = 0, include_duplicates: bool = False, include_qc_fail: bool = False
) -> list[Read]:
    """Read the records that ``bedtools multicov`` would count, with the span it gives them.

    Left out are duplicates and QC failures, unless asked for, low MAPQ, and records without a position.
    Secondary, supplementary and unmapped records with a position count like any other. The span is that
    of the CIGAR on the reference, gaps included; unmapped records and those without a CIGAR have 1 bp.
    """
    reads = []
    with pysam.AlignmentFile(str(path), check_sq=False) as file:
        for record in file.fetch(until_eof=True):
            if record.reference_id < 0 or record.mapping_quality < min_mapq:
                continue
            if (record.is_duplicate and not include_duplicates) or (record.is_qcfail and not include_qc_fail):
                continue
            start = record.reference_start
            end = start + 1
            if not record.is_unmapped and record.cigartuples:
                end = start + sum(n for code, n in record.cigartuples if "MIDNSHP=X"[code] in REFERENCE_OPERATIONS)
            # Position -1, SAM's POS 0, is before the first base: unmapped records there touch nothing.
            reads.append(Read(record.reference_name, max(start, 0), end, "-" if record.is_reverse else "+"))
    return reads


def unknown_chroms(reads: Iterable[Read], sizes: Mapping[str, int]) -> set[str]:
    """Name the chromosomes that the genome lacks."""
    return {read.chrom for read in reads} - set(sizes)


def on_genome(reads: Iterable[Read], sizes: Mapping[str, int]) -> list[Read]:
    """Leave out the reads on chromosomes that the genome lacks."""
    return [read for read in reads if read.chrom in sizes]


def on_first(reads: Iterable[Read], sizes: Mapping[str, int]) -> list[Read]:
    """Put such reads on the first chromosome of the genome, as ``bedtools bedtobam`` does."""
    return [read if read.chrom in sizes else read._replace(chrom=next(iter(sizes))) for read in reads]


def in_a_window(read: Read, genes: Iterable[Gene], flank: int) -> bool:
    windows = [(gene.chrom, gene.tss - flank, gene.tss + flank) for gene in genes]
    return any(chrom == read.chrom and overlaps(read.start, read.end, start, end) for chrom, start, end in windows)


def strand_counts(gene: Gene, read: Read, strand: str | None) -> bool:
    """``same``: the strands are equal; ``opposite``: they are not, so a gene on ``.`` takes all reads."""
    return strand is None or (gene.strand == read.strand) == (strand == "same")


def count(
    reads: list[Read],
    genes: list[Gene],
    sizes: Mapping[str, int],
    flank: int,
    bin_size: int,
    strand: str | None = None,
) -> list[list[int]]:
    """Count the reads that overlap each bin of each gene by at least 1 bp."""
    counts = []
    for gene in genes:
        row = []
        near = [read for read in reads if read.chrom == gene.chrom and strand_counts(gene, read, strand)]
        for bin_start, bin_end in bins_of(gene, flank, bin_size):
            if gene.chrom not in sizes or outside(bin_start, bin_end, sizes[gene.chrom]):
                row.append(0)
            else:
                row.append(sum(overlaps(read.start, read.end, bin_start, bin_end) for read in near))
        counts.append(row)
    return counts
