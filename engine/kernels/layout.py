"""Arrays and constants that the kernels share with their callers."""

from enum import IntEnum
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

PLUS, MINUS = 1, 2
"""Strands, as bits."""

TILE_BITS = 13
"""Sequences are divided into tiles of 2^TILE_BITS bp, in which windows are looked up."""

FAR = (1 << 31) - 1
"""Start of a sentinel window, in bp: beyond any read."""

MAX_POSITION = FAR - 1
"""The largest end of a read, in bp, on sequences longer than ``BAI_LIMIT``."""

BAI_LIMIT = (1 << 29) - 1
"""The largest end of a read in a BED file, in bp, on all other sequences: what a BAI index can address."""

MAX_LINE_BYTES = 1 << 16
"""The length of the longest line of BED allowed, in bytes, without its newline."""

# Columns of ``extents``, int64 (sequences, 3): the first tile of a sequence, the number of its last tile (counted
# from the first one), and its length in bp.
TILE_FIRST, TILE_LAST, SIZE = range(3)

# Columns of ``NameTable.slots``: the first and last eight bytes of a name, its length, its place in ``text``, and
# its id plus 1, which is 0 in a free slot.
HEAD, TAIL, LENGTH, PLACE, ID = range(5)
N_NAME_COLUMNS = 5


# Rows of a batch of reads, int32 (4, BATCH_COLUMNS): tile of the start; start and end in bp; PLUS or MINUS, or 0 where
# strands do not matter. A batch is counted as soon as it has BATCH_READS reads; the parser of text can exceed this by
# less than 16.
TILE, START, END, STRAND = range(4)
BATCH_READS = 1024
BATCH_COLUMNS = BATCH_READS + 16


class Tally(IntEnum):
    """Elements of ``Totals.tally``. Lengths are those of the reads along the reference, in bp."""

    LINES = 0
    """Lines or records, including those that are not reads."""
    IN_WINDOWS = 1
    """Reads that overlap a window."""
    PAST_END = 2
    """Reads that end beyond the end of their sequence."""
    MIN_LENGTH = 3
    MAX_LENGTH = 4
    SUM_LENGTH = 5
    FILTERED = 6
    """BAM records left out."""
    CURSOR = 7
    """Not a total: the position in the buffer where the last call stopped."""


class NameTable(NamedTuple):
    """Sequence names and their ids: a hash table with open addressing."""

    slots: npt.NDArray[np.uint64]
    """uint64 (slots, N_NAME_COLUMNS), 0 where free. The number of slots is a power of two."""
    text: npt.NDArray[np.uint8]
    """uint8 (bytes,): the names one after another, with at least eight bytes of room at the end."""

    @classmethod
    def empty(cls, n_slots: int, n_bytes: int) -> Self:
        """Return a table without names."""
        return cls(np.zeros((n_slots, N_NAME_COLUMNS), np.uint64), np.zeros(n_bytes, np.uint8))


class WindowTable(NamedTuple):
    """The windows, sorted by sequence and start, and the tiles with which to find them."""

    tiles: npt.NDArray[np.int32]
    """int32 (tiles,): for each tile, the first window that can overlap a read which starts in it."""
    starts: npt.NDArray[np.int32]
    """int32 (windows,): first position in bp. The windows of each sequence end with a sentinel at ``FAR``."""
    accepts: npt.NDArray[np.int8]
    """int8 (windows,): strands of the reads to count, as bits ``PLUS`` and ``MINUS``."""
    bin_size: int
    """Width of a bin, in bp."""


class Totals(NamedTuple):
    """The results, to which kernels add."""

    difference: npt.NDArray[np.int32]
    """int32 (windows, bins + 1): +1 for each read at its first bin, -1 after its last bin."""
    reads_on: npt.NDArray[np.int64]
    """int64 (sequences,): reads on each sequence."""
    tally: npt.NDArray[np.int64]
    """int64 (elements of :class:`Tally`,)."""

    @classmethod
    def empty(cls, n_windows: int, n_bins: int, n_sequences: int = 0) -> Self:
        """Return totals of no reads."""
        tally = np.zeros(len(Tally), np.int64)
        tally[Tally.MIN_LENGTH] = FAR
        return cls(np.zeros((n_windows, n_bins + 1), np.int32), np.zeros(n_sequences, np.int64), tally)
