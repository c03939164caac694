"""Arrays and constants that the kernels share with their callers."""

from enum import IntEnum
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

PLUS, MINUS = 1, 2
"""Strands, as bits."""

TILE_BITS = 13
"""Sequences are divided into tiles of 2^TILE_BITS bp, in which regions are looked up."""

FAR = (1 << 31) - 1
"""A position in bp beyond any read."""

MAX_POSITION = FAR - 1
"""The largest end of a read, in bp, on sequences longer than ``BAI_LIMIT``."""

BAI_LIMIT = (1 << 29) - 1
"""The largest end of a read in a BED file, in bp, on all other sequences: what a BAI index can address."""

SPAN_GROUP = 64
"""Regions that are passed over together if none of them reaches a read; a power of two."""

MAX_LINE_BYTES = 1 << 16
"""The length of the longest line of BED allowed, in bytes, without its newline."""

MAX_LENGTH = 1 << 10
"""Reads of this length (bp) or more share the last element of the histogram of lengths."""

# Columns of ``extents``, int64 (sequences, 3): the first tile of a sequence, the number of its last tile (counted
# from the first one), and its length in bp.
TILE_FIRST, TILE_LAST, SIZE = range(3)

# Columns of ``NameTable.slots``: the first and last eight bytes of a name, its length, its place in ``text``, and
# its id plus 1, which is 0 in a free slot.
HEAD, TAIL, LENGTH, PLACE, ID = range(5)
N_NAME_COLUMNS = 5


# Rows of a batch of reads, int32 (5, columns): tile of the start; start and end in bp; the position in the buffer of
# the byte that gives the strand; and how many of the following columns belong to the same read, which is not 0 only for
# the blocks of a spliced read. If reads are changed before they count, TILE is the id of the sequence instead.
# A batch is counted as soon as it has BATCH_READS reads; the parser of text can exceed this by less than 16.
TILE, START, END, STRAND_AT, BLOCKS = range(5)
BATCH_ROWS = 5
BATCH_READS = 1024
BATCH_COLUMNS = BATCH_READS + 16


class Tally(IntEnum):
    """Elements of ``Totals.tally``. Lengths are those of the reads along the reference, in bp."""

    LINES = 0
    """Lines or records, including those that are not reads."""
    IN_REGIONS = 1
    """Reads that overlap at least one region."""
    REVERSE = 2
    """Of these, reads on the minus strand."""
    LONG_SUM = 3
    """Sum of the lengths of ``MAX_LENGTH`` or more."""
    LONG_MAX = 4
    """The largest of these lengths; 0 if there are none."""
    LONG_MIN = 5
    """The smallest of these lengths; ``FAR`` if there are none."""
    SAMPLED = 6
    """Number of keys in ``Totals.sample``."""
    DUPLICATES = 7
    """BAM records with the flag of duplicates, counted or not."""

    # Records and lines left out, by reason.
    UNPLACED = 8
    """BAM records without a position."""
    IMPROPER = 9
    """BAM records that are not properly paired."""
    DUPLICATE = 10
    """BAM records left out as duplicates."""
    QC_FAIL = 11
    """BAM records left out because they failed quality control."""
    LOW_MAPQ = 12
    """BAM records with a low mapping quality."""
    NOT_FRAGMENT = 13
    """BAM records that do not stand for a fragment, and pairs of BEDPE that are not on one sequence."""
    OFF_END = 14
    """Reads that were shifted off their sequence."""
    BLACKLISTED = 15
    """Reads that overlap a region of the blacklist."""

    CURSOR = 16
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


class SegmentTable(NamedTuple):
    """The segments into which the edges of all regions cut the sequences.

    A point is a start or an end of regions. Segment ``k`` begins at the point before, or at the start of the sequence,
    and ends before point ``k``. The points of each sequence are sorted and different; a last one at ``FAR`` closes the
    sequence.
    """

    tiles: npt.NDArray[np.int32]
    """int32 (tiles + 1, 2): for each tile, the first point at or after its start, and the position of that point in bp.
    The number is inverted (``~``) if no region covers the segment before the point. The last tile of each sequence
    begins after all its points."""
    inverse_steps: npt.NDArray[np.uint32]
    """uint32 (tiles,): 2^31 divided by the distance in bp between the points in a tile and rounded up, if all of them
    are as far apart and regions cover all segments between them; otherwise 0. Such a tile is divided into cells."""
    cells_at: npt.NDArray[np.int32]
    """int32 (tiles,): where the cells of a tile begin in ``cells``, if it has any."""
    cell_bits: int
    """A cell has 2^cell_bits bp."""
    cells: npt.NDArray[np.int32]
    """int32 (cells + 1,): for each cell, the first point at or after its start."""
    last_tiles: npt.NDArray[np.int32]
    """int32 (tiles,): for each tile, the last tile of its sequence."""
    points: npt.NDArray[np.int32]
    """int32 (points,): positions in bp."""
    accepts: npt.NDArray[np.int8]
    """int8 (points,): for each segment, the strands that the regions over it count, as bits ``PLUS`` and ``MINUS``."""


class SpanTable(NamedTuple):
    """The regions one by one, sorted by sequence and start, for rules that look at each read and region.

    The regions of each sequence end with a sentinel that starts at ``FAR``.
    """

    tiles: npt.NDArray[np.int32]
    """int32 (tiles,): for each tile of the ``SegmentTable``, the first region that can overlap a read which starts in
    it."""
    starts: npt.NDArray[np.int32]
    """int32 (spans,): first position in bp."""
    ends: npt.NDArray[np.int32]
    """int32 (spans,): the position after the last one, in bp."""
    reaches: npt.NDArray[np.int32]
    """int32 (groups,): the largest end in each group of ``SPAN_GROUP`` regions."""
    accepts: npt.NDArray[np.int8]
    """int8 (spans,): strands of the reads to count, as bits ``PLUS`` and ``MINUS``."""
    counts: npt.NDArray[np.int32]
    """int32 (spans,): reads counted so far, added to."""
    first_blocks: npt.NDArray[np.int32]
    """int32 (spans + 1,): the first row in ``blocks`` of each region; not used if there are no blocks."""
    blocks: npt.NDArray[np.int32]
    """int32 (blocks, 2): start and end in bp of the blocks of the regions. If there are none, regions are whole."""


class Rule(NamedTuple):
    """How to change reads before they count, and which of them count. Lengths are in bp."""

    stranded: bool
    """Whether strands matter."""
    strand_mask: int
    """The bits of the byte at ``STRAND_AT`` that give the strand."""
    strand_value: int
    """The value of these bits on the minus strand."""
    by_span: bool
    """Whether to look at each read and region, as ``fraction`` and blocks require."""
    fraction: float
    """The fraction of a region that a read must cover, with ``by_span``."""
    reciprocal: bool
    """Whether the region must also cover this fraction of the read."""
    split: bool
    """Whether the blocks of a read count instead of its whole span."""
    changes: bool
    """Whether the fields below are used."""
    shift: int
    """By how much to move reads towards their 3' end."""
    extend: int
    """The length to which shorter reads are extended, from their 5' end; 0 to leave them."""
    point: int
    """0 to count whole reads, ``FIVE_PRIME`` or ``CENTER`` to count one position of each."""
    blacklist: npt.NDArray[np.int32]
    """int32 (intervals, 2): sorted, disjoint intervals in which reads do not count."""
    targets: npt.NDArray[np.int64]
    """int64 (sequences, 5): first tile, number of the last tile, length, and the first and last row in ``blacklist``
    of each sequence, by local id."""


FIRST, ORIGIN = 0, 1  # columns of ``SegmentTable.tiles``
FIVE_PRIME, CENTER = 1, 2
MASK_FIRST, MASK_LAST = 3, 4  # columns of ``Rule.targets`` after those of ``extents``


class Totals(NamedTuple):
    """The results, to which kernels add."""

    hits: npt.NDArray[np.int32]
    """int32 (1, points, 2), or (2, points, 2) if strands matter: reads that start in each segment, and reads whose last
    base is in it, on both strands or on the plus and minus strand."""
    reads_on: npt.NDArray[np.int64]
    """int64 (sequences,): reads on each sequence."""
    past_end: npt.NDArray[np.int64]
    """int64 (sequences of the genome, 3): reads that end beyond the end of their sequence; those that start beyond it;
    and the furthest end of these, 0 if there are none. Sequences after the last row are not in the genome."""
    lengths: npt.NDArray[np.int64]
    """int64 (MAX_LENGTH + 1,): reads of each length in bp; the last element has all longer ones."""
    sample: npt.NDArray[np.uint64]
    """uint64 (keys,): the keys of reads in regions that are below ``limit``: a random sample of their positions."""
    limit: npt.NDArray[np.uint64]
    """uint64 (1,): the largest key to sample."""
    tally: npt.NDArray[np.int64]
    """int64 (elements of :class:`Tally`,)."""

    @classmethod
    def empty(cls, n_points: int, *, stranded: bool = False, n_sequences: int = 0, n_keys: int = 0) -> Self:
        """Return totals of no reads."""
        tally = np.zeros(len(Tally), np.int64)
        tally[Tally.LONG_MIN] = FAR
        return cls(
            np.zeros((1 + stranded, n_points, 2), np.int32),
            np.zeros(n_sequences, np.int64),
            np.zeros((n_sequences, 3), np.int64),
            np.zeros(MAX_LENGTH + 1, np.int64),
            np.empty(n_keys, np.uint64),
            np.full(1, np.iinfo(np.uint64).max, np.uint64),
            tally,
        )
