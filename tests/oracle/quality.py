"""The quality of reads by slow and obvious code, which shares nothing with the engine."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pysam

from oracle.naive import Gene, Read, in_a_window


def position(read: Read) -> tuple[str, int, int, str]:
    """Return the position of a read, as ENCODE's pipeline defines it: reads at the same position may be duplicates."""
    return read.chrom, read.start, read.end, read.strand


def filtered_records(path: Path, min_mapq: int = 0) -> dict[str, int]:
    """Count the records that ``bedtools multicov`` leaves out, by the first reason that applies."""
    found: Counter[str] = Counter()
    with pysam.AlignmentFile(str(path), check_sq=False) as file:
        for record in file.fetch(until_eof=True):
            if record.reference_id < 0:
                found["unplaced"] += 1
            elif record.is_duplicate:
                found["duplicate"] += 1
            elif record.is_qcfail:
                found["qc_fail"] += 1
            elif record.mapping_quality < min_mapq:
                found["low_mapq"] += 1
    return dict(found)


def quality_of(
    reads: Sequence[Read],
    genes: Sequence[Gene],
    sizes: Mapping[str, int],
    flank: int = 5000,
    longest: int = 1000,
    filtered: Mapping[str, int] | None = None,
    duplicates: int | None = None,
) -> dict[str, Any]:
    """Return the attributes of ``ReadQuality``, with a sample of all positions."""
    inside = [read for read in reads if read.chrom in sizes and in_a_window(read, genes, flank)]
    at: Counter[Any] = Counter(map(position, inside))
    lengths = [0] * (longest + 1)
    for read in reads:
        lengths[min(read.end - read.start, longest)] += 1
    return {
        "filtered": dict(filtered or {}),
        "duplicates": duplicates,
        "forward": sum(read.strand == "+" for read in inside),
        "reverse": sum(read.strand == "-" for read in inside),
        "lengths": lengths,
        "reads_on": dict(Counter(read.chrom for read in reads if read.chrom in sizes)),
        "positions": {
            "fraction": 1.0,
            "reads": len(inside),
            "all_reads": len(inside),
            "distinct": len(at),
            "once": sum(n == 1 for n in at.values()),
            "twice": sum(n == 2 for n in at.values()),
        },
    }


def duplicate_records(path: Path) -> int:
    """Count the records that are flagged as duplicates."""
    with pysam.AlignmentFile(str(path), check_sq=False) as file:
        return sum(record.is_duplicate for record in file.fetch(until_eof=True))


def median(values: Iterable[int]) -> float:
    """Return the median: the middle value, or the mean of the two in the middle."""
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
