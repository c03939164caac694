"""Pool the files of reads of one epigenome and mark: their counts add up."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.layout import BinValues
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.samples import Sample
from deepchrome.errors import BadDataError

Counts = npt.NDArray[np.uint32]

# Two files with as many reads in windows do not have the same counts and lengths by chance.
_TELLING_READS: Final = 100
_MAX_COUNT: Final = int(np.iinfo(np.uint32).max)


class SamplePool:
    """The files of one epigenome and mark that are counted so far.

    Parameters
    ----------
    n_files
        Number of files that the sample has.

    Attributes
    ----------
    counts
        The sum of their counts: uint32 (genes, bins), bins in genomic order; None before the first file.
    """

    def __init__(self, n_files: int) -> None:
        self.counts: BinValues | None = None
        self._n_files = n_files
        self._paths: dict[str, str] = {}  # by hash of the file or of its counts

    def add(self, sample: Sample, tally: ReadTally) -> None:
        """Add the counts of a file.

        Raises
        ------
        BadDataError
            The sample has several files, and this one has the same content or the same reads as an earlier one, is a
            signal, or makes a count too large.
        """
        if self._n_files > 1:
            self._check(sample, tally)
        self.counts = tally.counts if self.counts is None else _add(self.counts, tally.counts, sample)

    def _check(self, sample: Sample, tally: ReadTally) -> None:
        if tally.counts.dtype != np.uint32:
            raise BadDataError(f"{sample.shown_path}: signal cannot be pooled. Pool the reads that it was made from")
        marks = {"the same file": tally.sha256 or ""}
        if tally.in_windows >= _TELLING_READS:
            numbers = (tally.reads, tally.min_length, tally.mean_length, tally.max_length)
            counts = np.ascontiguousarray(tally.counts)
            marks["the same reads"] = hashlib.sha256(repr(numbers).encode() + counts.tobytes()).hexdigest()
        for same, mark in marks.items():
            if mark and mark in self._paths:  # guard: pooled-twice
                raise BadDataError(
                    f"{sample.shown_path}: {same} as {self._paths[mark]}, which would count twice. "
                    "Give every file of reads once"
                )
        self._paths |= dict.fromkeys(marks.values(), sample.shown_path)


def pool_records(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what a feature file stores about the reads of a mark (see docs/format.md).

    Parameters
    ----------
    records
        The record of each file, in any order.

    Returns
    -------
    mapping
        The record of a single file unchanged. For several files, the sums of their numbers, and under ``pooled`` all
        records, sorted by file name.
    """
    if len(records) == 1:
        return records[0]
    records = sorted(records, key=lambda record: (record["name"], record["sha256"] or ""))
    off_genome: dict[str, int] = {}
    for record in records:
        for name, n in record["reads_off_genome"].items():
            off_genome[name] = off_genome.get(name, 0) + n
    sums = {
        name: sum(record[name] for record in records)
        for name in ("bytes", "reads", "reads_in_windows", "reads_past_end", "reads_filtered")
    }
    return {
        **sums,
        "format": "+".join(sorted({record["format"] for record in records})),
        "reads_off_genome": dict(sorted(off_genome.items(), key=lambda item: (-item[1], item[0]))),
        "read_length_bp": _pool_lengths(records, sums["reads"]),
        "pooled": list(records),
    }


def records_of(source: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the record of each file of reads of a mark; the inverse of :func:`pool_records`."""
    return list(source["pooled"]) if "pooled" in source else [source]


def _pool_lengths(records: Sequence[Mapping[str, Any]], reads: int) -> dict[str, float]:
    lengths = [(record["read_length_bp"], record["reads"]) for record in records if record["reads"]]
    if not lengths:
        return {"min": 0, "mean": 0.0, "max": 0}
    return {
        "min": min(length["min"] for length, _ in lengths),
        "mean": sum(length["mean"] * n for length, n in lengths) / reads,
        "max": max(length["max"] for length, _ in lengths),
    }


def _add(counts: BinValues, more: BinValues, sample: Sample) -> Counts:
    sums = counts.astype(np.int64) + more.astype(np.int64)
    largest = int(sums.max(initial=0))
    if largest > _MAX_COUNT:  # guard: pooled-overflow
        raise BadDataError(
            f"{sample.shown_path}: pooled with the files before it, a bin has {largest:,} reads: a count can hold "
            f"{_MAX_COUNT:,}. Pool fewer files"
        )
    return sums.astype(np.uint32)
