"""Base classes for the formats of reads: cut blocks, pass them to the kernels, and keep the counts of each thread.

A format cuts each block of bytes after its last complete line or record. A counter passes the piece to a kernel; each
thread has its own counter.
"""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepchrome.engine import kernels
from deepchrome.engine.annotation.windows import WindowIndex
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.errors import BadDataError

# A read adds at most 1 to a bin, so 32-bit differences cannot overflow if they are folded after this many reads.
READS_PER_FOLD = 1 << 30
# More names than any assembly has, but few enough that a file of another kind cannot fill the memory.
MAX_NAMES = 1 << 20
MAX_NAMES_BYTES = 1 << 25
_MAX_COUNT = int(np.iinfo(np.uint32).max)

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]


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
    """Names of sequences by id: those of the genome, then others in the order in which they occur. Thread-safe."""

    def __init__(self, genome_names: list[str], index: WindowIndex) -> None:
        self.names = [name.encode() for name in genome_names]
        self.n_known = len(self.names)
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
                self._ids[name] = len(self.names)
                self.names.append(name)
            return self._ids[name]

    def extent(self, sequence: int, unknown_on_first: bool) -> Integers:
        """Return the row of the kernels' ``extents`` for a sequence.

        With ``unknown_on_first``, reads on sequences that the genome does not have count on its first chromosome.
        """
        if sequence < self.n_known:
            row: Integers = self._index.extents[sequence]
            return row
        if unknown_on_first:
            tile_first, tile_last, size = self._index.extents[0]
            return np.array([tile_first, tile_last, max(size, kernels.BAI_LIMIT)], np.int64)
        return self._index.unknown_extent


@dataclass(frozen=True)
class Target:
    """The windows in which to count, and the options that select the reads."""

    sequences: Sequences
    index: WindowIndex
    n_bins: int
    bin_size: int
    options: ReadOptions


class Counter(ABC):
    """Count pieces of a file in one thread, and keep the totals.

    A counter numbers the sequences of its file itself, from 0. The kernels use these local ids.

    Attributes
    ----------
    target
        The windows in which to count, and the options that select the reads.
    windows
        The windows in the form that the kernels take.
    totals
        The totals of all pieces; only the differences start again from 0 each time they are folded.
    extents
        int64 (local ids, 3): the kernels' ``extents``.
    sequences
        The id in :class:`Sequences` of each local id.
    """

    def __init__(self, target: Target) -> None:
        index = target.index
        self.target = target
        self.windows = kernels.WindowTable(index.tiles, index.starts, index.accepts, target.bin_size)
        self.totals = kernels.Totals.empty(len(index.starts), target.n_bins)
        self.extents = np.empty((0, 3), np.int64)
        self.sequences: list[int] = []
        self._folded: Counts | None = None
        self._n_since_fold = 0

    def total(self, element: kernels.Tally) -> int:
        """Return one element of the tally."""
        return int(self.totals.tally[element])

    def add_sequence(self, sequence: int, extent: Integers) -> int:
        """Give a sequence the next local id and return it."""
        local = len(self.sequences)
        if local == len(self.extents):
            more = max(64, local)
            self.extents = np.concatenate([self.extents, np.zeros((more, 3), np.int64)])
            reads_on = np.concatenate([self.totals.reads_on, np.zeros(more, np.int64)])
            self.totals = self.totals._replace(reads_on=reads_on)
        self.extents[local] = extent
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
        self._n_since_fold += n
        if self._n_since_fold > READS_PER_FOLD:  # guard: fold-differences
            self._fold()
        return n

    def add_to(self, counts: Counts) -> None:
        """Add all counts to ``counts``, uint32 (genes, bins). Raise a BadDataError if a sum does not fit."""
        if self._folded is not None:
            sums = counts[: len(self._folded)] + self._folded.astype(np.int64)
            _check_largest(int(sums.max(initial=0)))
            counts[: len(self._folded)] = sums
        _check_largest(kernels.fold(self.totals.difference, self.target.index.order, counts))

    def _fold(self) -> None:
        """Turn the differences into counts, and start again with differences of 0."""
        difference, order = self.totals.difference, self.target.index.order
        if self._folded is None:
            self._folded = np.zeros((int(order.max()) + 1, self.target.n_bins), np.uint32)
        _check_largest(kernels.fold(difference, order, self._folded))
        difference[:] = 0
        self._n_since_fold = 0

    @abstractmethod
    def _count(self, buffer: Bytes, begin: int, end: int) -> None:
        """Count complete lines or records.

        Before raising a BadItemError, set LINES to count the lines or records before the wrong one.
        """


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
