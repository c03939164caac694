"""Arrays and constants that the kernels share with their callers."""

from typing import Any, NamedTuple

# Strands, as bits.
PLUS, MINUS = 1, 2

TILE_BITS = 13
"""A tile is 2^TILE_BITS bp."""

FAR = (1 << 31) - 1
"""Start of a sentinel window, in bp: beyond any read."""

MAX_POSITION = (1 << 29) - 1
"""The largest end of a read in text, in bp."""

MAX_LINE_BYTES = 1 << 16

# Columns of ``sites``, int64 (sequences, 3): the first tile of a sequence, the number of its last tile (counted
# from the first one), and its length in bp.
TILE_FIRST, TILE_LAST, SIZE = range(3)

# Elements of ``tally``, int64 (N_TALLY,). CURSOR is the position in the buffer where the last call stopped.
LINES, IN_WINDOWS, PAST_END, MIN_LENGTH, MAX_LENGTH, SUM_LENGTH, FILTERED, CURSOR = range(8)
N_TALLY = 8

# Columns of ``NameTable.slots``: the first and last eight bytes of a name, its length, its place in ``text``, and
# the id it stands for, plus 1; 0 marks a free slot.
HEAD, TAIL, LENGTH, PLACE, ID = range(5)
N_NAME_COLUMNS = 5


# Rows of a batch of reads, int32 (4, BATCH_COLUMNS): tile of the start; start and end in bp; PLUS or MINUS, or 0 where
# strands do not matter. A batch is counted as soon as it has BATCH_READS reads; the parser of text can exceed this by
# less than 16.
TILE, START, END, STRAND = range(4)
BATCH_READS = 1024
BATCH_COLUMNS = BATCH_READS + 16


class NameTable(NamedTuple):
    """Sequence names and their ids: a hash table with open addressing."""

    slots: Any
    """uint64 (slots, N_NAME_COLUMNS), zero where free. The number of slots is a power of two."""
    text: Any
    """uint8 (bytes,): the names one after another, with at least eight bytes of room at the end."""


class WindowTable(NamedTuple):
    """The windows, sorted by sequence and start, and the tiles that find them."""

    tiles: Any
    """int32 (tiles,): for each tile, the first window that can overlap a read which starts in it."""
    starts: Any
    """int32 (windows,): first position in bp. After the windows of each sequence comes a sentinel at ``FAR``."""
    accepts: Any
    """int8 (windows,): strands of the reads to count, as bits ``PLUS`` and ``MINUS``."""
    bin_size: int
    """In bp."""


class Totals(NamedTuple):
    """Results that a kernel adds to."""

    difference: Any
    """int32 (windows, bins + 1): +1 at the first bin of each read, -1 after its last bin."""
    reads_on: Any
    """int64 (sequences,): reads on each sequence."""
    tally: Any
    """int64 (N_TALLY,)."""
