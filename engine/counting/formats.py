"""Base classes for the formats of reads: cut blocks, pass them to the kernels, and keep the counts of each thread.

A format cuts each block of bytes after its last complete line or record. A counter passes the piece to a kernel; each
thread has its own counter.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deepchrome.engine import kernels
from deepchrome.engine.annotation.aliases import ChromAliases
from deepchrome.engine.annotation.region_index import NO_SPANS, RegionIndex
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.positions import MAX_DISTINCT, PositionSampler
from deepchrome.engine.counting.rules import make_rule
from deepchrome.errors import BadDataError

# A read adds at most 1 to a segment, so 32-bit hits cannot overflow if they are folded after this many reads.
READS_PER_FOLD = 1 << 30
# More reads than fit into one block.
MAX_KEYS = 1 << 20
# More names than any assembly has, but few enough that a file of another kind cannot fill the memory.
MAX_NAMES = 1 << 20
MAX_NAMES_BYTES = 1 << 25
_MAX_COUNT = int(np.iinfo(np.uint32).max)

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]
NO_ORDER: Integers = np.zeros(0, np.int64)


class BadItemError(Exception):
    """A line or record is wrong.

    Attributes
    ----------
    item
        ``line`` or ``record``.
    n_before
        Number of lines or records before it: in the counted piece when a counter raises the error, in the whole file
        when the pipeline raises it.
    """

    def __init__(self, item: str, problem: str) -> None:
        super().__init__(problem)
        self.item = item
        self.n_before = 0

    def message(self, path: str) -> str:
        """Return the message for the user."""
        number = self.n_before + 1
        return f"{path}:{number}: {self}" if self.item == "line" else f"{path}: {self.item} {number}: {self}"


class Sequences:
    """Names of sequences by id: those of the genome, then others in the order in which they occur. Thread-safe.

    Attributes
    ----------
    names
        The name of each id.
    n_known
        Number of sequences of the genome.
    alias_of
        For each id of another name of a sequence of the genome, the id of that sequence.
    guesses_aliases
        Whether other names are guessed, not read from a table.
    """

    def __init__(self, index: RegionIndex, aliases: ChromAliases | None = None) -> None:
        self.names = [name.encode() for name in index.layout.genome.sizes]
        self.n_known = len(self.names)
        self.alias_of: dict[int, int] = {}
        self.guesses_aliases = aliases is not None and aliases.sha256 is None
        self._aliases = aliases
        self._index = index
        self._ids = {name: i for i, name in enumerate(self.names)}
        self._n_bytes = 0
        self._lock = threading.Lock()

    def id_of(self, name: bytes) -> int:
        """Return the id of a name; a new name gets a new id. Raise a BadDataError if there are too many names."""
        with self._lock:
            if name not in self._ids:
                self._n_bytes += len(name)
                if len(self.names) >= MAX_NAMES or self._n_bytes > MAX_NAMES_BYTES:
                    raise BadDataError(
                        f"more than {len(self.names):,} different chromosome names. Is this a file of reads?"
                    )
                new = self._ids[name] = len(self.names)
                self.names.append(name)
                target = self._aliases.target(name.decode("utf-8", "surrogateescape")) if self._aliases else None
                if target is not None:
                    self.alias_of[new] = self._ids[target.encode()]
            return self._ids[name]

    def known_id(self, sequence: int) -> int | None:
        """Return the id of the sequence of the genome that an id stands for; None if the genome does not have it."""
        return sequence if sequence < self.n_known else self.alias_of.get(sequence)

    def extent(self, sequence: int, unknown_on_first: bool) -> Integers:
        """Return the row of the kernels' ``extents`` for a sequence.

        With ``unknown_on_first``, reads on sequences that the genome does not have count on its first chromosome.
        """
        known = self.known_id(sequence)
        if known is not None:
            row: Integers = self._index.extents[known]
            return row
        if unknown_on_first:
            tile_first, tile_last, size = self._index.extents[0]
            return np.array([tile_first, tile_last, max(size, kernels.BAI_LIMIT)], np.int64)
        return self._index.unknown_extent


@dataclass(frozen=True)
class Target:
    """The regions in which to count, and the options that select the reads."""

    sequences: Sequences
    index: RegionIndex
    options: ReadOptions


class Counter(ABC):
    """Count pieces of a file in one thread, and keep the totals.

    A counter numbers the sequences of its file itself, from 0. The kernels use these local ids.

    Attributes
    ----------
    target
        The regions in which to count, and the options that select the reads.
    rule
        The rule of the options, in the form that the kernels take.
    totals
        The totals of all pieces; only the hits start again from 0 each time they are folded.
    positions
        A random sample of the positions of reads in regions.
    lost_positions
        Whether some positions could not be sampled, because the reads of one block were too many.
    sequences
        The id in :class:`Sequences` of each local id.
    """

    moves_unknown = False
    """Whether bedtools places reads on unknown sequences on the first one."""
    has_strands = True
    """Whether the format gives strands."""

    def __init__(self, target: Target, strand_mask: int, strand_value: int) -> None:
        options, segments = target.options, target.index.segments
        self.target = target
        self.rule = make_rule(options, strand_mask, strand_value)
        n_points = 0 if self.rule.by_span else len(segments.points)
        self.totals = kernels.Totals.empty(n_points, stranded=options.strand is not None, n_keys=MAX_KEYS)
        self.spans, self._span_order = target.index.new_spans() if self.rule.by_span else (NO_SPANS, NO_ORDER)
        self.positions = PositionSampler()
        self.lost_positions = False
        self.sequences: list[int] = []
        self._extents = np.zeros((0, 3), np.int64)
        self._earlier: Integers | None = None  # the hits, or the counts of spans, before the last fold
        self._n_since_fold = 0

    def total(self, element: kernels.Tally) -> int:
        """Return one element of the tally."""
        return int(self.totals.tally[element])

    @property
    def extents(self) -> Integers:
        """The kernels' ``extents``, int64 (local ids and spare rows, 3)."""
        return self._extents

    def add_sequence(self, sequence: int) -> int:
        """Give a sequence the next local id and return it."""
        local = len(self.sequences)
        if local == len(self._extents):
            more = max(64, local)
            self._extents = _with_rows(self._extents, more)
            reads_on = np.concatenate([self.totals.reads_on, np.zeros(more, np.int64)])
            self.totals = self.totals._replace(reads_on=reads_on)
            if self.rule.changes:
                self.rule = self.rule._replace(targets=_with_rows(self.rule.targets, more))
        sequences, options = self.target.sequences, self.target.options
        known = sequences.known_id(sequence)
        extent = sequences.extent(sequence, unknown_on_first=self.moves_unknown and options.unknown_chrom == "bedtools")
        self._extents[local] = extent
        past_end = self.totals.past_end
        if known is not None and local >= len(past_end):
            self.totals = self.totals._replace(past_end=_with_rows(past_end, max(64, 2 * local) - len(past_end)))
        if self.rule.changes:
            # The kernel looks the tile up after it has changed the read, so it needs the local id.
            self._extents[local] = local, 0, extent[2]
            masked = (0, 0)
            if options.blacklist and known is not None:
                masked = options.blacklist.first[known], options.blacklist.first[known + 1]
            self.rule.targets[local] = *extent, *masked
        self.sequences.append(sequence)
        return local

    def count(self, buffer: Bytes, begin: int, end: int) -> int:
        """Count complete lines or records, and return how many there were.

        Raises
        ------
        BadItemError
            A line or record is wrong.
        """
        before = self.total(kernels.Tally.LINES)
        try:
            self._count(buffer, begin, end)
        except BadItemError as error:
            error.n_before = self.total(kernels.Tally.LINES) - before
            raise
        n = self.total(kernels.Tally.LINES) - before
        if self.total(kernels.Tally.SAMPLED) > MAX_DISTINCT:
            self._take_sample()
        self._n_since_fold += n
        if self._n_since_fold > READS_PER_FOLD:  # guard: fold-differences
            self._earlier = self._sums()
            self._raw[:] = 0
            self._n_since_fold = 0
        return n

    def finish(self) -> None:
        """Complete the sample of positions, after the last piece."""
        self._take_sample()

    @property
    def _raw(self) -> npt.NDArray[np.int32]:
        """What the kernels add to, in 32 bits."""
        return self.spans.counts if self.rule.by_span else self.totals.hits

    def _sums(self) -> Integers:
        """Return all hits, or all counts of spans, in 64 bits."""
        return self._raw.astype(np.int64) if self._earlier is None else self._earlier + self._raw

    def _take_sample(self) -> None:
        n = self.total(kernels.Tally.SAMPLED)
        self.lost_positions |= n == len(self.totals.sample)
        self.positions.add(self.totals.sample[:n])
        self.totals.limit[0] = self.positions.limit
        self.totals.tally[kernels.Tally.SAMPLED] = 0

    @staticmethod
    def counts(counters: Iterable["Counter"], index: RegionIndex) -> Counts:
        """Return the counts of all rows: uint32 (rows, bins).

        Parameters
        ----------
        counters
            The counters of all threads of one file.
        index
            The regions in which they counted.

        Raises
        ------
        BadDataError
            A count does not fit into 32 bits.
        """
        layout = index.layout
        counts = np.zeros((len(layout), layout.n_bins), np.uint32)
        counters = list(counters)
        if not counters:
            return counts
        is_small = all(counter._earlier is None for counter in counters)
        is_small &= sum(counter.total(kernels.Tally.LINES) for counter in counters) < READS_PER_FOLD
        # No sum of hits exceeds the number of reads, so 32 bits are usually enough, and take half the time.
        sums: npt.NDArray[np.signedinteger[Any]] = counters[0]._raw if is_small else counters[0]._sums()
        for counter in counters[1:]:
            sums += counter._raw if is_small else counter._sums()
        if counters[0].rule.by_span:
            order = counters[0]._span_order
            is_bin = order >= 0
            _check_largest(int(sums.max(initial=0)))
            counts.reshape(-1)[order[is_bin]] = sums[is_bin]
        else:
            rows = (layout.chrom_id, layout.start, layout.end, index.accepts)
            _check_largest(kernels.fold(sums, index.segments, index.extents, *rows, counts))
        if len(layout.outside):
            counts[layout.outside] *= ~layout.outside_bins()
        return counts

    @abstractmethod
    def _count(self, buffer: Bytes, begin: int, end: int) -> None:
        """Count complete lines or records.

        Before raising a BadItemError, set LINES to count the lines or records before the wrong one.
        """


def _with_rows(table: Integers, n: int) -> Integers:
    """Add ``n`` rows of zeros to a table."""
    return np.concatenate([table, np.zeros((n, table.shape[1]), np.int64)])


def _check_largest(count: int) -> None:
    if count > _MAX_COUNT:  # guard: count-overflow
        raise BadDataError(f"a bin with {count:,} reads or more: a count can hold {_MAX_COUNT:,}")


class Format(ABC):
    """A format of reads."""

    name: str

    @abstractmethod
    def cut(self, buffer: Bytes, begin: int, end: int, is_last: bool) -> tuple[int, int]:
        """Return the begin and end of the part of [begin, end) that can be counted now.

        Call this for one block after another, in the order of the file. ``is_last`` is true for the last block.

        Raises
        ------
        BadItemError
            A line or record is wrong.
        BadDataError
            The file is damaged, or its format or columns are not usable.
        EOFError
            The file is truncated.
        """

    @abstractmethod
    def counter(self) -> Counter:
        """Return a new counter for one thread."""
