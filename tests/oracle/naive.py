"""A slow, obviously correct counter: the rule of docs/definitions.md, one read and one bin at a time.

It shares no code with the engine. The tests compare it with bedtools, and the engine with it.
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
    """Return [start, end) of every bin, in genomic order. The 1-based TSS is used as a 0-based position."""
    first = gene.tss - flank
    return [(first + i, first + i + bin_size) for i in range(0, 2 * flank, bin_size)]


def overlaps(start: int, end: int, bin_start: int, bin_end: int) -> bool:
    return max(start, bin_start) < min(end, bin_end)


def outside(bin_start: int, bin_end: int, chrom_size: int) -> bool:
    """Return whether a bin lies completely outside its chromosome."""
    return bin_end <= 0 or bin_start >= chrom_size


def text_reads(text: bytes) -> list[Read]:
    """Parse BED lines. A read of length 0 is extended by one base on both sides."""
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
    """Read the records that ``bedtools multicov`` counts, with the intervals that it uses.

    Skip records without a position or with a low mapping quality, and by default duplicates and QC failures. Keep
    secondary, supplementary and unmapped records that have a position. The interval is the span of the CIGAR on the
    reference, including gaps; unmapped records and records without a CIGAR are 1 bp long.
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
            # Position -1 (SAM's POS 0) is before the first base, so an unmapped record there overlaps nothing.
            reads.append(Read(record.reference_name, max(start, 0), end, "-" if record.is_reverse else "+"))
    return reads


def unknown_chroms(reads: Iterable[Read], sizes: Mapping[str, int]) -> set[str]:
    """Return the chromosomes of the reads that the genome does not have."""
    return {read.chrom for read in reads} - set(sizes)


def on_genome(reads: Iterable[Read], sizes: Mapping[str, int]) -> list[Read]:
    """Return the reads on chromosomes of the genome."""
    return [read for read in reads if read.chrom in sizes]


def on_first(reads: Iterable[Read], sizes: Mapping[str, int]) -> list[Read]:
    """Move reads on unknown chromosomes to the first chromosome of the genome, as ``bedtools bedtobam`` does."""
    return [read if read.chrom in sizes else read._replace(chrom=next(iter(sizes))) for read in reads]


def in_a_window(read: Read, genes: Iterable[Gene], flank: int) -> bool:
    """Return whether a read overlaps the window of any gene."""
    windows = [(gene.chrom, gene.tss - flank, gene.tss + flank) for gene in genes]
    return any(chrom == read.chrom and overlaps(read.start, read.end, start, end) for chrom, start, end in windows)


def strand_matches(gene: Gene, read: Read, strand: str | None) -> bool:
    """Return whether a read has the right strand for a gene.

    ``same`` requires equal strands, and ``opposite`` unequal ones: a gene on ``.`` then counts all reads.
    """
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
        near = [read for read in reads if read.chrom == gene.chrom and strand_matches(gene, read, strand)]
        for bin_start, bin_end in bins_of(gene, flank, bin_size):
            if gene.chrom not in sizes or outside(bin_start, bin_end, sizes[gene.chrom]):
                row.append(0)
            else:
                row.append(sum(overlaps(read.start, read.end, bin_start, bin_end) for read in near))
        counts.append(row)
    return counts
