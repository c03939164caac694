"""The quality of one file of reads: what was left out, strands, lengths, chromosomes, and library complexity."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from deepchrome.errors import BadDataError


@dataclass(frozen=True)
class PositionSample:
    """An exact count over a random subset of the positions of reads in regions.

    A position is a chromosome, a start, an end and a strand, as in ENCODE's pipeline. A hash of the position decides
    whether it is in the subset, so that either all reads at a position are counted or none.

    Attributes
    ----------
    fraction
        Share of all positions that the subset takes, above 0 and at most 1.
    reads
        Reads at positions of the subset.
    all_reads
        Reads at all positions.
    distinct
        Positions of the subset that have a read.
    once, twice
        Positions of the subset that have exactly one read, and exactly two.
    """

    fraction: float
    reads: int
    all_reads: int
    distinct: int
    once: int
    twice: int

    @property
    def nrf(self) -> float | None:
        """Return the non-redundant fraction of ENCODE, distinct positions / reads; None without reads.

        The number of distinct positions is estimated from the subset. The reads are not: whether a pile-up is in the
        subset would decide how many they seem to be.
        """
        return min(1.0, self.distinct / (self.fraction * self.all_reads)) if self.all_reads else None

    @property
    def pbc1(self) -> float | None:
        """Return ENCODE's first PCR bottlenecking coefficient, once / distinct; None without reads."""
        return _ratio(self.once, self.distinct)

    @property
    def pbc2(self) -> float | None:
        """Return ENCODE's second PCR bottlenecking coefficient, once / twice; None if no position has two reads."""
        return _ratio(self.once, self.twice)

    def record(self) -> dict[str, Any]:
        """Return the attributes as values that JSON can hold."""
        return {
            "fraction": self.fraction,
            "reads": self.reads,
            "all_reads": self.all_reads,
            "distinct": self.distinct,
            "once": self.once,
            "twice": self.twice,
        }


@dataclass(frozen=True, eq=False)
class ReadQuality:
    """The quality of one file of reads.

    Attributes
    ----------
    filtered
        BAM and CRAM records that were left out, by reason: ``unplaced``, ``duplicate``, ``qc_fail``, ``low_mapq`` and
        others. A record with several reasons is counted once.
    duplicates
        BAM and CRAM records flagged as duplicates, counted or left out; None for text, which has no such flag.
    forward, reverse
        Reads in regions on each strand. Both are 0 if the strands are not known.
    lengths
        int64 (L + 1,). ``lengths[k]`` is the number of reads of k bp along the reference; ``lengths[L]``, the last
        element, the number of reads of L bp or more.
    reads_on
        Reads on each chromosome of the genome.
    positions
        The sample that measures the complexity of the library; None if it was not taken.
    """

    filtered: Mapping[str, int]
    duplicates: int | None
    forward: int
    reverse: int
    lengths: npt.NDArray[np.int64] = field(repr=False)
    reads_on: Mapping[str, int] = field(repr=False)
    positions: PositionSample | None

    @property
    def strand_balance(self) -> float | None:
        """Return the share of forward reads among reads in regions; None if no strand is known."""
        return _ratio(self.forward, self.forward + self.reverse)

    @property
    def mean_length(self) -> float | None:
        """Return the mean length in bp; None without reads, or if a read is in the open last element of ``lengths``."""
        reads = int(self.lengths.sum())
        if not reads or self.lengths[-1]:
            return None
        return float(self.lengths @ np.arange(len(self.lengths), dtype=np.int64)) / reads

    @property
    def median_length(self) -> float | None:
        """Return the median length in bp, or the mean of the two middle lengths if the number of reads is even.

        None without reads, or if the median is in the open last element of ``lengths``.
        """
        cumulative = np.cumsum(self.lengths)
        reads = int(cumulative[-1]) if len(cumulative) else 0
        if not reads:
            return None
        lower, upper = np.searchsorted(cumulative, [(reads - 1) // 2, reads // 2], side="right")
        if upper == len(cumulative) - 1:
            return None
        return (int(lower) + int(upper)) / 2

    def record(self) -> dict[str, Any]:
        """Return the attributes as values that JSON can hold: what a feature file stores under ``quality``."""
        found = np.flatnonzero(self.lengths)
        return {
            "filtered": {reason: int(count) for reason, count in self.filtered.items()},
            "duplicates": self.duplicates,
            "forward": self.forward,
            "reverse": self.reverse,
            "longest_bp": len(self.lengths) - 1,
            "lengths": {str(length): int(self.lengths[length]) for length in found},
            "reads_on": {name: int(count) for name, count in self.reads_on.items() if count},
            "positions": self.positions.record() if self.positions else None,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Restore what :meth:`record` returned.

        Raises
        ------
        BadDataError
            The record does not have the values of a quality record.
        """
        try:
            lengths = np.zeros(record["longest_bp"] + 1, np.int64)
            for length, count in record["lengths"].items():
                lengths[int(length)] = count
            return cls(
                filtered={reason: int(count) for reason, count in record["filtered"].items()},
                duplicates=None if record["duplicates"] is None else int(record["duplicates"]),
                forward=int(record["forward"]),
                reverse=int(record["reverse"]),
                lengths=lengths,
                reads_on={name: int(count) for name, count in record["reads_on"].items()},
                positions=None if record["positions"] is None else PositionSample(**record["positions"]),
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise BadDataError(f"not a record of read quality ({error!r})") from None

    def add(self, other: "ReadQuality") -> "ReadQuality":
        """Return the quality of two files that are pooled.

        The complexity of the pooled library is None: two samples do not say which positions the files share. The number
        of duplicates is None if one of the files does not have it.
        """
        last = min(len(self.lengths), len(other.lengths)) - 1
        unknown = self.duplicates is None or other.duplicates is None
        return ReadQuality(
            filtered=_add_by_key(self.filtered, other.filtered),
            duplicates=None if unknown else (self.duplicates or 0) + (other.duplicates or 0),
            forward=self.forward + other.forward,
            reverse=self.reverse + other.reverse,
            lengths=_fold(self.lengths, last) + _fold(other.lengths, last),
            reads_on=_add_by_key(self.reads_on, other.reads_on),
            positions=None,
        )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _add_by_key(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    sums = Counter(one)
    sums.update(other)
    return dict(sums)


def _fold(lengths: npt.NDArray[np.int64], last: int) -> npt.NDArray[np.int64]:
    """Return a histogram whose last element, of index ``last``, has all reads of that length or longer."""
    return np.append(lengths[:last], lengths[last:].sum())
