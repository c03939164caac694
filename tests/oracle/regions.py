"""A slow, obviously correct counter of reads in regions, one read and one region at a time: docs/definitions.md.

It shares no code with the engine. The tests compare it with bedtools, and the engine with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pysam

from oracle.naive import REFERENCE_OPERATIONS, overlaps, text_reads

Span = tuple[int, int]
"""Start and end, 0-based and half-open (bp)."""

MULTICOV_FRACTION = 1e-9  # the default of multicov -f
CIGAR_OPERATIONS = "MIDNSHP=X"
BED12_COLUMNS = 12


class Region(NamedTuple):
    """A region; one of no width is already extended by one base on both sides."""

    chrom: str
    start: int
    end: int
    strand: str  # as in the file; empty if it has no strands
    blocks: tuple[Span, ...]  # those of BED12; otherwise the region itself


class Alignment(NamedTuple):
    """A read, or a fragment."""

    chrom: str
    start: int
    end: int
    strand: str
    blocks: tuple[Span, ...]  # its CIGAR, cut at N


def widen(start: int, end: int) -> Span:
    """Extend an interval of no width by one base on both sides, as bedtools does."""
    return (start - 1, end + 1) if start == end else (start, end)


def bed_regions(text: bytes) -> list[Region]:
    """Parse the lines of a BED file of regions."""
    regions = []
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        line = line.removesuffix("\r").removesuffix("\t")
        if not line or line.startswith(("#", "track", "browser")):
            continue
        fields = line.split("\t")
        start, end = widen(int(fields[1]), int(fields[2]))
        blocks: tuple[Span, ...] = ((start, end),)
        if len(fields) == BED12_COLUMNS:
            lengths, offsets = ([int(number) for number in fields[i].strip(",").split(",")] for i in (10, 11))
            blocks = tuple(
                (start + offset, start + offset + length) for offset, length in zip(offsets, lengths, strict=True)
            )
        regions.append(Region(fields[0], start, end, fields[5] if len(fields) > 5 else "", blocks))
    return regions


def text_alignments(text: bytes) -> list[Alignment]:
    """Parse BED reads. A read has one block, because bedtobam makes one operation of it."""
    return [
        Alignment(read.chrom, read.start, read.end, read.strand, ((read.start, read.end),)) for read in text_reads(text)
    ]


def bam_alignments(
    path: Path,
    *,
    min_mapq: int = 0,
    proper_pairs: bool = False,
    include_duplicates: bool = False,
    include_qc_fail: bool = False,
) -> list[Alignment]:
    """Read the records that ``bedtools multicov`` counts, with their spans and blocks."""
    return [
        _alignment(record)
        for record in _records(path, min_mapq, include_duplicates, include_qc_fail)
        if record.is_proper_pair or not proper_pairs
    ]


def bam_fragments(
    path: Path, *, min_mapq: int = 0, include_duplicates: bool = False, include_qc_fail: bool = False
) -> list[Alignment]:
    """Read one fragment per proper pair: from the position of the record with a positive TLEN, as long as TLEN says."""
    fragments = []
    for record in _records(path, min_mapq, include_duplicates, include_qc_fail):
        same_chrom = record.next_reference_id == record.reference_id
        primary = not record.is_secondary and not record.is_supplementary and not record.is_unmapped
        if record.is_proper_pair and same_chrom and primary and record.template_length > 0:
            start = record.reference_start
            fragments.append(_whole(record.reference_name, start, start + record.template_length))
    return fragments


def bedpe_fragments(text: bytes) -> list[Alignment]:
    """Read one fragment per line of BEDPE: from the leftmost start to the rightmost end, if on one chromosome."""
    fragments = []
    for line in text.decode().splitlines():
        if line and not line.startswith("#"):
            chrom1, start1, end1, chrom2, start2, end2 = line.split("\t")[:6]
            if chrom1 == chrom2:
                fragments.append(_whole(chrom1, min(int(start1), int(start2)), max(int(end1), int(end2))))
    return fragments


def _records(
    path: Path, min_mapq: int, include_duplicates: bool, include_qc_fail: bool
) -> Iterable[pysam.AlignedSegment]:
    with pysam.AlignmentFile(str(path), check_sq=False) as file:
        for record in file.fetch(until_eof=True):
            if record.reference_id < 0 or record.mapping_quality < min_mapq:
                continue
            if (record.is_duplicate and not include_duplicates) or (record.is_qcfail and not include_qc_fail):
                continue
            yield record


def _alignment(record: pysam.AlignedSegment) -> Alignment:
    """Return the span and the blocks of a record. Unmapped records, and those without a CIGAR, span 1 bp."""
    start = at = block_start = record.reference_start
    blocks = []
    for code, n in record.cigartuples or ():
        operation = CIGAR_OPERATIONS[code]
        if operation == "N":
            blocks.append((block_start, at))
            block_start = at + n
        if operation in REFERENCE_OPERATIONS:
            at += n
    blocks.append((block_start, at))
    end = at if record.cigartuples and not record.is_unmapped else start + 1
    return Alignment(record.reference_name, start, end, "-" if record.is_reverse else "+", tuple(blocks))


def _whole(chrom: str, start: int, end: int) -> Alignment:
    return Alignment(chrom, start, end, "+", ((start, end),))


# --- What a read becomes before it is counted ---


def shift(read: Alignment, bp: int) -> Alignment:
    """Move a read towards its 3' end."""
    by = -bp if read.strand == "-" else bp
    return _moved(read, read.start + by, read.end + by)


def extend(read: Alignment, bp: int, size: int) -> Alignment:
    """Extend a shorter read from its 5' end to ``bp``, but not beyond its chromosome."""
    if read.end - read.start >= bp:
        return read
    if read.strand == "-":
        return _moved(read, min(max(read.end - bp, 0), read.start), read.end)
    return _moved(read, read.start, max(min(read.start + bp, size), read.end))


def five_prime(read: Alignment) -> Alignment:
    """Return the first base of a read."""
    at = read.end - 1 if read.strand == "-" else read.start
    return _moved(read, at, at + 1)


def center(read: Alignment) -> Alignment:
    """Return the middle base of a read, or the one before the middle."""
    at = (read.start + read.end - 1) // 2
    return _moved(read, at, at + 1)


def _moved(read: Alignment, start: int, end: int) -> Alignment:
    return read._replace(start=start, end=end, blocks=((start, end),))


def prepare(
    reads: Iterable[Alignment],
    sizes: Mapping[str, int],
    *,
    shift_bp: int = 0,
    point: str | None = None,
    extend_bp: int = 0,
    blacklist: Sequence[Region] = (),
) -> list[Alignment]:
    """Shift the reads, reduce them to points or extend them, and leave out those on the blacklist."""
    prepared = []
    for read in reads:
        if read.start >= read.end:
            continue
        if shift_bp:
            read = shift(read, shift_bp)
            if read.end <= 0 or read.start >= sizes[read.chrom]:
                continue
        if point:
            read = {"five-prime": five_prime, "center": center}[point](read)
        if extend_bp:
            read = extend(read, extend_bp, sizes[read.chrom])
        on_chrom = (region for region in blacklist if region.chrom == read.chrom)
        if not any(overlaps(read.start, read.end, region.start, region.end) for region in on_chrom):
            prepared.append(read)
    return prepared


# --- Counting ---


def covers(part: int, whole: int, fraction: float, strictly: bool) -> bool:
    """Return whether ``part`` is a sufficient fraction of ``whole``, with the single precision of bedtools."""
    found, wanted = np.float32(part) / np.float32(whole), np.float32(fraction)
    return bool(found > wanted if strictly else found >= wanted)


def block_overlap(blocks: Sequence[Span], others: Sequence[Span]) -> int:
    """Return the overlap in bp, summed over all pairs of blocks."""
    return sum(max(0, min(end, to) - max(start, begin)) for start, end in blocks for begin, to in others)


def total_length(blocks: Sequence[Span]) -> int:
    return sum(end - start for start, end in blocks)


def is_counted(
    read: Alignment,
    region: Region,
    strand: str | None = None,
    fraction: float | None = None,
    reciprocal: bool = False,
    split: bool = False,
) -> bool:
    """Return whether ``bedtools multicov`` counts a read in a region."""
    if read.chrom != region.chrom or not overlaps(read.start, read.end, max(region.start, 0), region.end):
        return False
    if strand is not None and (region.strand == read.strand) != (strand == "same"):
        return False
    least = MULTICOV_FRACTION if fraction is None else fraction
    if split:
        overlap = block_overlap(read.blocks, region.blocks)
        if overlap == 0:
            return False
        first, second = total_length(read.blocks), total_length(region.blocks)
    else:
        overlap = min(read.end, region.end) - max(read.start, region.start)
        first, second = region.end - region.start, read.end - read.start
    enough = covers(overlap, first, least, split)
    return enough and (not reciprocal or covers(overlap, second, least, split))


def count(
    reads: Sequence[Alignment],
    regions: Sequence[Region],
    strand: str | None = None,
    fraction: float | None = None,
    reciprocal: bool = False,
    split: bool = False,
) -> list[int]:
    """Count the reads in each region."""
    return [sum(is_counted(read, region, strand, fraction, reciprocal, split) for read in reads) for region in regions]
