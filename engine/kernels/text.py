"""Parse and count lines of BED.

Most lines have the shape of the line before, so the positions of their fields are known before their bytes are read.
One subtraction and one comparison check up to 64 bytes of such a line. Eight lines are checked, and their numbers
read, at the same time. The shape of any other line is looked up in a table, and added if it is new. Lines that no
pattern can describe go to ``parse_line_slow``.
"""

from typing import Any, NamedTuple

import numpy as np

from deepchrome.engine.kernels.counting import (
    add_lengths,
    add_past_end,
    add_reads,
    count_batch,
    open_ledger,
)
from deepchrome.engine.kernels.digits import parse_eight_digits
from deepchrome.engine.kernels.jit import entry_point, helper, inlined
from deepchrome.engine.kernels.layout import (
    BAI_LIMIT,
    BATCH_COLUMNS,
    BATCH_READS,
    BATCH_ROWS,
    END,
    FAR,
    MAX_POSITION,
    SIZE,
    START,
    STRAND_AT,
    TILE,
    TILE_BITS,
    TILE_FIRST,
    TILE_LAST,
    Tally,
)
from deepchrome.engine.kernels.lines import Lines, end_of_line, has_columns, parse_line_slow
from deepchrome.engine.kernels.names import find_id, open_names
from deepchrome.engine.kernels.segments import find_segment, open_segments
from deepchrome.engine.kernels.shapes import (
    BEGINNING,
    FREE,
    WHOLE,
    has_shape,
    learn_shape,
    place_of_shape,
    prepare_table,
    read_shape,
)
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.vectors import (
    address_of,
    all_less,
    counting_up,
    element_of,
    int32_at,
    load8,
    load64,
    load_eight,
    matches,
    matches_eight,
    put,
    put_eight,
    smaller,
)

_ONE = np.uint64(1)


class Extent(NamedTuple):
    """One row of ``extents``: where the tiles of a sequence are, and its length in bp."""

    tile_first: int
    tile_last: int
    size: int


class Gap(NamedTuple):
    """An interval in bp that no region overlaps; empty if ``end`` <= ``begin``."""

    begin: int
    end: int


class Batch(NamedTuple):
    """Reads that are parsed but not counted yet."""

    rows: Any
    """Address of the array, int32 (4, BATCH_COLUMNS)."""
    n: int
    """Number of reads in it."""


class Summary(NamedTuple):
    """Summary of the lines parsed so far."""

    lines: int
    usual_length: int
    """The length of the last reads in bp, less than ``MAX_LENGTH``."""
    n_usual: int
    """Reads of this length that are not in the histogram yet."""


@entry_point
def count_text(buffer, begin, end, columns, names, shapes, extents, segments, spans, rule, totals):
    """Count the reads of whole lines of BED.

    Parameters
    ----------
    buffer
        uint8 (bytes,).
    begin, end
        The lines are in [begin, end), and the last one ends with a newline. The kernel may read 64 bytes before and
        after them.
    columns
        The number of fields that every line must have, 3 or more.
    names
        The :class:`~deepchrome.engine.kernels.layout.NameTable` of the sequences known so far.
    shapes
        uint8 (SHAPE_TABLE_BYTES,): scratch space for the shapes of lines. The caller owns it, because numba frees an
        array as soon as its name is not used any more, although the kernel still uses its address.
    extents
        int64 (sequences, 3): TILE_FIRST, TILE_LAST and SIZE of each sequence, by its id in ``names``. If
        ``rule.changes``, TILE_FIRST is the id itself, and TILE_LAST is 0.
    segments, spans, rule
        See :mod:`~deepchrome.engine.kernels.layout`. With fewer than six columns, no byte may have
        ``rule.strand_value``.
    totals
        The :class:`~deepchrome.engine.kernels.layout.Totals` to add to. CURSOR is where this call stopped; LINES
        counts the lines before it.

    Returns
    -------
    Status
        DONE; NEW_NAME if the name at CURSOR is not in ``names``; or the BAD_ status of the line at CURSOR.
    """
    # Unpack all arrays here: in the loop, each access through a tuple would cost two atomic operations.
    known = open_names(names)
    ledger, opened, tally = open_ledger(totals), open_segments(segments), totals.tally
    lines = Lines(address_of(buffer), end, columns, not rule.changes)
    reads = np.zeros((BATCH_ROWS, BATCH_COLUMNS), np.int32)
    batch = Batch(address_of(reads), np.uint64(0))
    shapes[:] = 0
    table = prepare_table(address_of(shapes))
    summary = Summary(np.int64(0), np.int64(0), np.int64(0))
    # Sequence and shape of the line before, and the gap that its read is in.
    sequence, extent = np.int64(-1), Extent(np.int64(0), np.int64(0), np.int64(0))
    gap = Gap(np.uint64(FAR), np.uint64(0))
    shape = read_shape(table, np.int64(0))
    n_alike, looked_up, status, at = np.int64(0), np.int64(-1), Status.DONE, np.int64(begin)
    while at < end:
        if batch.n >= BATCH_READS:
            count_batch(reads, batch.n, lines.text, segments, spans, rule, totals)
            batch = Batch(batch.rows, np.uint64(0))
        if n_alike == 8 and shape.kind == WHOLE:
            n_lines, batch, gap, summary = _parse_eights(lines, at, shape, extent, gap, opened, ledger, batch, summary)
            add_reads(ledger, sequence, n_lines)
            at += n_lines * shape.step
            if batch.n >= BATCH_READS:
                continue
        n_alike, at, batch, summary = _parse_up_to_eight(lines, at, shape, extent, sequence, ledger, batch, summary)
        if n_alike:
            add_reads(ledger, sequence, n_alike)
        if n_alike == 8 or at >= end:
            continue
        # This line does not match. If it has another shape, go on with that one.
        if at != looked_up:
            looked_up = at
            place, status = place_of_shape(lines.text, at), Status.DONE
            if not has_shape(lines.text, at, table, place):
                status = learn_shape(lines, at, known, shape.separators, table, place)
                if status == Status.NEW_NAME:
                    break
            if status == Status.DONE:
                shape = read_shape(table, place)
                if shape.sequence != sequence:
                    sequence, extent = shape.sequence, _read_extent(extents, shape.sequence)
                    gap = Gap(np.uint64(FAR), np.uint64(0))
                continue
        # It has no pattern, or its read is unusual or wrong.
        status, at, batch, summary = _parse_other(lines, at, known, extents, ledger, batch, summary)
        if status != Status.DONE:
            break
    count_batch(reads, batch.n, lines.text, segments, spans, rule, totals)
    add_lengths(ledger, summary.usual_length, summary.n_usual)
    tally[Tally.LINES] += summary.lines
    tally[Tally.CURSOR] = at
    return status


@helper
def _parse_eights(lines, at, shape, extent, gap, segments, ledger, batch, summary):
    """Parse eight lines at a time, as long as all eight have the shape and are usual reads.

    A usual read is not empty and ends within its sequence. Numbers are stored only after all eight lines are checked,
    so nothing must be undone. This is not inlined: on its own, it keeps all its vectors in registers.

    Returns
    -------
    tuple
        The number of lines parsed, the batch, the gap that the last read is in, and the summary.
    """
    text, step, n = lines.text, shape.step, batch.n
    end_limit = np.uint64(extent.size + 1)
    tile_first, tile_last = np.uint64(extent.tile_first), np.uint64(extent.tile_last)
    gap_begin, gap_end = gap
    usual, n_usual = np.uint64(summary.usual_length), summary.n_usual
    n_lines = np.int64(0)
    while at + 8 * step <= lines.end and n < BATCH_READS:
        if not matches_eight(text, at, step, shape.table, shape.place):
            break
        begins = parse_eight_digits(load_eight(text, at + shape.start_at, step), shape.start_mask) + shape.start_top
        ends = parse_eight_digits(load_eight(text, at + shape.end_at, step), shape.end_mask) + shape.end_top
        if not (all_less(begins, ends) and all_less(ends, end_limit)):
            break
        lengths_here = ends - begins
        if all_less(lengths_here ^ usual, _ONE):
            n_usual += 8
        else:
            for k in range(8):
                length = np.uint64(element_of(lengths_here, k))
                if length != usual:
                    add_lengths(ledger, np.int64(usual), n_usual)
                    usual, n_usual = length, np.int64(0)
                n_usual += 1
        # If all eight reads are in the same gap as the read before, they overlap no region and are not stored.
        if not (all_less(gap_begin, begins + _ONE) and all_less(ends, gap_end + _ONE)):
            read_tiles = smaller(begins >> np.uint64(TILE_BITS), tile_last) + tile_first
            put_eight(batch.rows, TILE, n, read_tiles)
            put_eight(batch.rows, START, n, begins)
            put_eight(batch.rows, END, n, ends)
            put_eight(batch.rows, STRAND_AT, n, counting_up(at + shape.strand_at, step))
            n += np.uint64(8)
            if lines.skips_gaps:
                last_begin = element_of(begins, 7)
                last_tile = np.uint64(element_of(read_tiles, 7))
                segment = find_segment(segments, last_tile, last_begin)
                gap_begin = np.uint64(last_begin)
                is_gap = load8(segments.accepts, np.int64(segment)) == 0
                gap_end = np.uint64(int32_at(segments.points, segment) if is_gap else 0)
        n_lines, at = n_lines + 8, at + 8 * step
    summary = Summary(summary.lines + n_lines, np.int64(usual), n_usual)
    return n_lines, Batch(batch.rows, n), Gap(gap_begin, gap_end), summary


@inlined
def _parse_up_to_eight(lines, at, shape, extent, sequence, ledger, batch, summary):
    """Parse up to eight lines, one at a time, as long as they have the shape and are usual reads.

    Here usual reads may also end beyond the end of their sequence, up to ``BAI_LIMIT``.

    Returns
    -------
    tuple
        The number of lines parsed, the position of the next line, the batch, and the summary.
    """
    text, step = lines.text, shape.step
    n_before, usual, n_usual = summary
    n_lines = np.int64(0)
    while n_lines < 8 and at < lines.end and shape.kind != FREE:
        if not matches(text, at, shape.table, shape.place):
            break
        strand_at = at + shape.strand_at
        if shape.kind == BEGINNING:
            newline, n_tabs = end_of_line(text, at)
            step = newline + 1 - at
            if not has_columns(lines, at, newline, n_tabs):
                break
            strand_at = _strand_later(lines, at)
        start = np.int64(parse_eight_digits(load64(text, at + shape.start_at), shape.start_mask) + shape.start_top)
        end = np.int64(parse_eight_digits(load64(text, at + shape.end_at), shape.end_mask) + shape.end_top)
        if (end <= start) | (end > max(extent.size, BAI_LIMIT)):
            break
        if end - start != usual:
            add_lengths(ledger, usual, n_usual)
            usual, n_usual = end - start, np.int64(0)
        n_usual += 1
        if end > extent.size:
            add_past_end(ledger, sequence, start, end, extent.size)
        batch = _put_read(extent, start, end, strand_at, batch)
        n_lines, at = n_lines + 1, at + step
    return n_lines, at, batch, Summary(n_before + n_lines, usual, n_usual)


@inlined
def _parse_other(lines, at, names, extents, ledger, batch, summary):
    """Parse one line of any form.

    Returns
    -------
    tuple
        DONE, NEW_NAME or a BAD_ status; the position of the next line, or of this one unless DONE; the batch; and the
        summary.
    """
    newline, _ = end_of_line(lines.text, at)
    n_lines, usual, n_usual = summary
    status, name_length, start, end = parse_line_slow(lines, at, newline)
    if status == Status.NO_READ:
        return Status.DONE, newline + 1, batch, Summary(n_lines + 1, usual, n_usual)
    if status != Status.DONE:
        return status, at, batch, summary
    sequence = find_id(lines.text, at, name_length, names)
    if sequence < 0:
        return Status.NEW_NAME, at, batch, summary
    extent = _read_extent(extents, sequence)
    if end > (MAX_POSITION if extent.size > BAI_LIMIT else BAI_LIMIT):
        return Status.BAD_LARGE, at, batch, summary
    add_reads(ledger, sequence, 1)
    if end > extent.size:
        add_past_end(ledger, sequence, start, end, extent.size)
    add_lengths(ledger, end - start, 1)
    if start == end:  # bedtools extends a read of no length by 1 bp on either side
        start, end = start - 1, end + 1
    batch = _put_read(extent, start, end, _strand_later(lines, at), batch)
    return Status.DONE, newline + 1, batch, Summary(n_lines + 1, usual, n_usual)


@inlined
def _strand_later(lines, at):
    """Return what to store as ``STRAND_AT`` for a line whose sixth field is not found yet: the line, inverted."""
    return ~at if lines.columns >= 6 else at


@inlined
def _put_read(extent, start, end, strand_at, batch):
    """Add a read to a batch, and return the batch."""
    rows, n = batch
    put(rows, TILE, n, extent.tile_first + min(max(start, 0) >> TILE_BITS, extent.tile_last))
    put(rows, START, n, start)
    put(rows, END, n, end)
    put(rows, STRAND_AT, n, strand_at)
    return Batch(rows, n + _ONE)


@inlined
def _read_extent(extents, sequence):
    """Return one row of ``extents``."""
    return Extent(extents[sequence, TILE_FIRST], extents[sequence, TILE_LAST], extents[sequence, SIZE])
