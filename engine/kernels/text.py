"""Parse and count lines of BED.

Most lines have the shape of the line before, so no position in them depends on their bytes. One subtraction and one
comparison of 64 bytes each check such a line from end to end. Eight lines are checked, and their numbers read, at
once. Lines of another shape get theirs from a table; lines without a pattern go to ``parse_line_slow``.
"""

from typing import NamedTuple

import numpy as np

from deepchrome.engine.kernels.counting import add_reads
from deepchrome.engine.kernels.digits import parse_eight_digits
from deepchrome.engine.kernels.jit import entry_point, helper, inlined
from deepchrome.engine.kernels.layout import (
    BATCH_COLUMNS,
    BATCH_READS,
    CURSOR,
    END,
    FAR,
    IN_WINDOWS,
    LINES,
    MAX_LENGTH,
    MAX_POSITION,
    MIN_LENGTH,
    MINUS,
    PAST_END,
    SIZE,
    START,
    STRAND,
    SUM_LENGTH,
    TILE,
    TILE_BITS,
    TILE_FIRST,
    TILE_LAST,
)
from deepchrome.engine.kernels.lines import MINUS_SIGN, Lines, end_of_line, has_columns, parse_line_slow, strand_of
from deepchrome.engine.kernels.names import find_id, open_names
from deepchrome.engine.kernels.shapes import BEGINNING, FREE, TABLE_BYTES, WHOLE, place_of_shape, has_shape, learn_shape, read_shape, start_table
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.vectors import (
    address_of,
    all_less,
    eight_of,
    larger,
    largest,
    last_of,
    load64,
    load_eight,
    matches,
    matches_eight,
    put,
    put_eight,
    smaller,
    smallest,
    sum_of,
)

_ONE, _EIGHT, _BYTE = np.uint64(1), np.uint64(8), np.uint64(255)


class Site(NamedTuple):
    """One row of ``sites``: where the tiles of a sequence are."""

    tile_first: int
    tile_last: int
    size: int


class Gap(NamedTuple):
    """A part of a sequence, in bp, without windows."""

    begin: int
    end: int


class Seen(NamedTuple):
    """Figures of the reads parsed so far; lengths in bp."""

    lines: int
    past_end: int
    shortest: int
    longest: int
    total: int


@entry_point
def count_text(buffer, begin, end, columns, names, sites, windows, stranded, totals):
    """Count the reads of whole BED lines.

    Parameters
    ----------
    buffer, begin, end
        uint8 bytes; the lines are in [begin, end), and the last one ends with a newline. The kernel also reads, and
        ignores, up to 64 bytes on either side.
    columns
        The number of fields that every line must have, 3 or more.
    names
        ``NameTable`` of the sequences known so far.
    sites
        int64 (sequences, 3): TILE_FIRST, TILE_LAST and SIZE of each sequence in ``names``.
    windows
        ``WindowTable``.
    stranded
        Whether strands matter; then every line must have six fields or more.
    totals
        ``Totals`` to add to. CURSOR is where the call stopped, LINES counts the lines before it.

    Returns
    -------
    Status
        DONE; NEW_NAME if the name at CURSOR is not in ``names``; BAD_ if the line at CURSOR is wrong.
    """
    # Arrays in a tuple would cost counting of references in the loop.
    known = open_names(names)
    tiles, starts = windows.tiles, windows.starts
    difference, reads_on, tally = totals
    width = np.int64((difference.shape[1] - 1) * windows.bin_size)
    lines = Lines(address_of(buffer), end, columns, stranded)
    batch, n = np.zeros((4, BATCH_COLUMNS), np.int32), np.uint64(0)
    rows = address_of(batch)
    shapes = np.zeros(TABLE_BYTES, np.uint8)
    table = address_of(shapes)
    start_table(table)
    # The shape of the line before; most lines have the same.
    shape = read_shape(table, np.int64(0))
    site = Site(np.int64(0), np.int64(0), np.int64(0))
    gap = Gap(np.uint64(FAR), np.uint64(0))
    seen = Seen(np.int64(0), np.int64(0), tally[MIN_LENGTH], tally[MAX_LENGTH], tally[SUM_LENGTH])
    at, status = np.int64(begin), Status.DONE
    n_alike, tried, sequence = np.int64(0), np.int64(-1), np.int64(-1)
    while at < end:
        if n >= BATCH_READS:
            tally[IN_WINDOWS] += add_reads(batch, n, windows, difference)
            n = np.uint64(0)
        if n_alike == 8 and shape.kind == WHOLE:
            n_lines, n, gap, seen = _parse_eights(lines, at, shape, site, gap, tiles, starts, width, rows, n, seen)
            at += n_lines * shape.step
            reads_on[sequence] += n_lines
            if n >= BATCH_READS:
                continue
        at, n, n_alike, seen = _parse_up_to_eight(lines, at, shape, site, rows, n, seen)
        if n_alike:
            reads_on[sequence] += n_alike
        if n_alike == 8 or at >= end:
            continue
        if at != tried:
            tried = at
            place, status = place_of_shape(lines.text, at), Status.DONE
            if not has_shape(lines.text, at, table, place):
                status = learn_shape(lines, at, known, shape.separators, table, place)
                if status == Status.NEW_NAME:
                    break
            if status == Status.DONE:
                shape = read_shape(table, place)
                if shape.sequence != sequence:
                    sequence = shape.sequence
                    site = _read_site(sites, sequence)
                    gap = Gap(np.uint64(FAR), np.uint64(0))
                continue
        # Headers, blanks, reads of no length, unusual numbers, and everything that is wrong.
        status, at, n, seen = _parse_other(lines, at, known, sites, reads_on, rows, n, seen)
        if status != Status.DONE:
            break
    tally[IN_WINDOWS] += add_reads(batch, n, windows, difference)
    tally[LINES] += seen.lines
    tally[PAST_END] += seen.past_end
    tally[MIN_LENGTH], tally[MAX_LENGTH], tally[SUM_LENGTH] = seen.shortest, seen.longest, seen.total
    tally[CURSOR] = at
    return status


@helper
def _parse_eights(lines, at, shape, site, gap, tiles, starts, width, rows, n, seen):
    """Parse eight lines at once, again and again, while all eight have one shape and are reads without a flaw.

    No number is stored before all eight lines are known to be good, so nothing has to be taken back.

    Returns
    -------
    tuple
        The position of the first line that was not parsed; the number of reads in the batch; the gap of the last
        read; the lengths.
    """
    text, step = lines.text, shape.step
    shortest, longest, total = eight_of(FAR), eight_of(0), eight_of(0)
    end_limit = np.uint64(min(site.size, MAX_POSITION) + 1)
    first_tile, last_tile = np.uint64(site.tile_first), np.uint64(site.tile_last)
    gap_begin, gap_end = gap
    n_lines = np.int64(0)
    while at + 8 * step <= lines.end and n < BATCH_READS:
        if not matches_eight(text, at, step, shape.table, shape.place):
            break
        begins = parse_eight_digits(load_eight(text, at + shape.start_at, step), shape.start_mask) + shape.start_top
        ends = parse_eight_digits(load_eight(text, at + shape.end_at, step), shape.end_mask) + shape.end_top
        if not (all_less(begins, ends) and all_less(ends, end_limit)):
            break
        spans = ends - begins
        shortest, longest, total = smaller(shortest, spans), larger(longest, spans), total + spans
        # Reads that lie in one gap between windows are left out.
        if not (all_less(gap_begin, begins + _ONE) and all_less(ends, gap_end + _ONE)):
            places = smaller(begins >> np.uint64(TILE_BITS), last_tile) + first_tile
            put_eight(rows, TILE, n, places)
            put_eight(rows, START, n, begins)
            put_eight(rows, END, n, ends)
            if lines.stranded:
                signs = load_eight(text, at + shape.strand_at, step) & _BYTE
                is_plus = smaller(signs ^ np.uint64(MINUS_SIGN), _ONE)
                put_eight(rows, STRAND, n, eight_of(MINUS) - is_plus)
            n += _EIGHT
            gap_begin = np.uint64(last_of(begins))
            gap_end = np.uint64(_end_of_gap(last_of(begins), tiles[np.uint64(last_of(places))], starts, width))
        n_lines, at = n_lines + 8, at + 8 * step
    seen = Seen(
        seen.lines + n_lines,
        seen.past_end,
        min(seen.shortest, smallest(shortest)),
        max(seen.longest, largest(longest)),
        seen.total + sum_of(total),
    )
    return n_lines, n, Gap(gap_begin, gap_end), seen


@inlined
def _end_of_gap(start, window, starts, width):
    """Return the end of the gap between windows that ``start`` is in, 0 or more; ``start`` or less if it is in none.

    No window overlaps [start, end of the gap). ``tile`` is that of ``start``.
    """
    window = np.uint64(window)
    while np.int64(starts[window]) + width <= start:
        window += _ONE
    return max(np.int64(starts[window]), 0)


@inlined
def _parse_up_to_eight(lines, at, shape, site, rows, n, seen):
    """Parse up to eight lines, one by one, while they have one shape and are reads without a flaw.

    Returns
    -------
    tuple
        The position of the first line that was not parsed; the number of reads in the batch; the number of lines
        parsed; the lengths.
    """
    text, step = lines.text, shape.step
    _, past_end, shortest, longest, total = seen
    n_lines = np.int64(0)
    while n_lines < 8 and at < lines.end and shape.kind != FREE:
        if not matches(text, at, shape.table, shape.place):
            break
        if shape.kind == BEGINNING:
            newline, n_tabs = end_of_line(text, at)
            step = newline + 1 - at
            if not has_columns(lines, at, newline, n_tabs):
                break
        start = np.int64(parse_eight_digits(load64(text, at + shape.start_at), shape.start_mask) + shape.start_top)
        end = np.int64(parse_eight_digits(load64(text, at + shape.end_at), shape.end_mask) + shape.end_top)
        if (end <= start) | (end > MAX_POSITION):
            break
        span = end - start
        shortest, longest, total = min(shortest, span), max(longest, span), total + span
        past_end += end > site.size
        put(rows, TILE, n, site.tile_first + min(start >> TILE_BITS, site.tile_last))
        put(rows, START, n, start)
        put(rows, END, n, end)
        if lines.stranded:
            put(rows, STRAND, n, strand_of(text, at))
        n, n_lines, at = n + _ONE, n_lines + 1, at + step
    return at, n, n_lines, Seen(seen.lines + n_lines, past_end, shortest, longest, total)


@inlined
def _parse_other(lines, at, names, sites, reads_on, rows, n, seen):
    """Parse one line of any form.

    Returns
    -------
    tuple
        DONE, NEW_NAME or BAD_; the position of the next line, or of this one unless DONE; the number of reads in the
        batch; the lengths.
    """
    newline, _ = end_of_line(lines.text, at)
    status, name_length, start, end = parse_line_slow(lines, at, newline)
    if status == Status.NO_READ:
        return Status.DONE, newline + 1, n, Seen(seen.lines+1, seen.past_end, seen.shortest, seen.longest, seen.total)
    if status != Status.DONE:
        return status, at, n, seen
    sequence = find_id(lines.text, at, name_length, names)
    if sequence < 0:
        return Status.NEW_NAME, at, n, seen
    site = _read_site(sites, sequence)
    span = end - start
    past_end = seen.past_end + (end > site.size)
    reads_on[sequence] += 1
    if span == 0:  # bedtools counts a read of no length in both bins at its position
        start, end = start - 1, end + 1
    put(rows, TILE, n, site.tile_first + min(max(start, 0) >> TILE_BITS, site.tile_last))
    put(rows, START, n, start)
    put(rows, END, n, end)
    if lines.stranded:
        put(rows, STRAND, n, strand_of(lines.text, at))
    seen = Seen(seen.lines + 1, past_end, min(seen.shortest, span), max(seen.longest, span), seen.total + span)
    return Status.DONE, newline + 1, n + _ONE, seen


@inlined
def _read_site(sites, sequence):
    return Site(sites[sequence, TILE_FIRST], sites[sequence, TILE_LAST], sites[sequence, SIZE])
