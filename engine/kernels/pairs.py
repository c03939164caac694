"""Parse and count lines of BEDPE: the fragments from the first base of a pair of reads to its last."""

import numpy as np

from deepchrome.engine.kernels.counting import add_lengths, add_past_end, add_reads, count_batch, open_ledger
from deepchrome.engine.kernels.digits import parse_number
from deepchrome.engine.kernels.jit import entry_point, helper
from deepchrome.engine.kernels.layout import (
    BAI_LIMIT,
    BATCH_COLUMNS,
    BATCH_READS,
    BATCH_ROWS,
    END,
    MAX_LINE_BYTES,
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
from deepchrome.engine.kernels.lines import end_of_line, is_header
from deepchrome.engine.kernels.names import find_id, open_names
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.vectors import RETURN, TAB, address_of, load8

_DOT = 46


@entry_point
def count_pairs(buffer, begin, end, columns, names, extents, segments, spans, rule, totals):
    """Count the fragments of whole lines of BEDPE. Pairs that are not on one sequence are left out.

    Parameters
    ----------
    buffer, begin, end, names, extents, segments, spans, rule, totals
        As in :func:`~deepchrome.engine.kernels.text.count_text`.
    columns
        The number of fields that every line must have, 6 or more.

    Returns
    -------
    Status
        As :func:`~deepchrome.engine.kernels.text.count_text`.
    """
    text, known, n = address_of(buffer), open_names(names), np.uint64(0)
    batch = np.zeros((BATCH_ROWS, BATCH_COLUMNS), np.int32)
    ledger, tally = open_ledger(totals), totals.tally
    at, status = np.int64(begin), Status.DONE
    while at < end:
        if n == BATCH_READS:
            count_batch(batch, n, text, segments, spans, rule, totals)
            n = np.uint64(0)
        newline, n_tabs = end_of_line(text, at)
        status, name_length, start, stop = _parse_pair(text, at, newline, n_tabs, columns)
        if status == Status.NO_READ or (status == Status.DONE and start < 0):
            tally[Tally.LINES] += 1
            tally[Tally.NOT_FRAGMENT] += status == Status.DONE
            at, status = newline + 1, Status.DONE
            continue
        if status != Status.DONE:
            break
        sequence = find_id(text, at, name_length, known)
        if sequence < 0:
            status = Status.NEW_NAME
            break
        size = extents[sequence, SIZE]
        if stop > (MAX_POSITION if size > BAI_LIMIT else BAI_LIMIT):
            status = Status.BAD_LARGE
            break
        tally[Tally.LINES] += 1
        add_reads(ledger, sequence, 1)
        if stop > size:
            add_past_end(ledger, sequence, start, stop, size)
        add_lengths(ledger, stop - start, 1)
        if start == stop:  # as a read of no length
            start, stop = start - 1, stop + 1
        tile = min(max(start, 0) >> TILE_BITS, extents[sequence, TILE_LAST])
        batch[TILE, n] = extents[sequence, TILE_FIRST] + tile
        batch[START, n], batch[END, n], batch[STRAND_AT, n] = start, stop, at
        n += np.uint64(1)
        at = newline + 1
    count_batch(batch, n, text, segments, spans, rule, totals)
    tally[Tally.CURSOR] = at
    return status


@helper
def _parse_pair(text, at, newline, n_tabs, columns):
    """Parse one line.

    Returns
    -------
    tuple
        DONE, NO_READ or a BAD_ status; the length of the name; start and end of the fragment in bp. The start is -1 if
        the reads are not on one sequence.
    """
    nothing, end = np.int64(0), np.int64(newline)
    if end - at > MAX_LINE_BYTES:
        return Status.BAD_LONG, nothing, nothing, nothing
    if end > at and load8(text, end - 1) == RETURN:
        end -= 1
    if end == at or is_header(text, at):
        return Status.NO_READ, nothing, nothing, nothing
    if n_tabs + 1 - (load8(text, end - 1) == TAB) != columns:
        return Status.BAD_RAGGED, nothing, nothing, nothing
    tab1 = _next_tab(text, at, end)
    tab2 = _next_tab(text, tab1 + 1, end)
    tab3 = _next_tab(text, tab2 + 1, end)
    tab4 = _next_tab(text, tab3 + 1, end)
    tab5 = _next_tab(text, tab4 + 1, end)
    tab6 = _next_tab(text, tab5 + 1, end)
    if tab1 == at or tab4 == tab3 + 1:
        return Status.BAD_NAME, nothing, nothing, nothing
    if _is_dot(text, at, tab1) or _is_dot(text, tab3 + 1, tab4):  # one of the reads has no position
        return Status.DONE, nothing, np.int64(-1), nothing
    start1, end1 = parse_number(text, tab1 + 1, tab2), parse_number(text, tab2 + 1, tab3)
    start2, end2 = parse_number(text, tab4 + 1, tab5), parse_number(text, tab5 + 1, tab6)
    if start1 == -1 or start2 == -1:
        return Status.BAD_START, nothing, nothing, nothing
    if end1 == -1 or end2 == -1:
        return Status.BAD_END, nothing, nothing, nothing
    if min(start1, start2, end1, end2) == -2:
        return Status.BAD_LARGE, nothing, nothing, nothing
    if end1 < start1 or end2 < start2:
        return Status.BAD_ORDER, nothing, nothing, nothing
    length = np.int64(tab1 - at)
    is_same = tab4 - tab3 - 1 == length
    for i in range(length):
        is_same = is_same and load8(text, at + i) == load8(text, tab3 + 1 + i)
    if not is_same:
        return Status.DONE, length, np.int64(-1), nothing
    return Status.DONE, length, min(start1, start2), max(end1, end2)


@helper
def _next_tab(text, at, end):
    """Return the position of the next tab, or ``end``."""
    while at < end and load8(text, at) != TAB:
        at += 1
    return min(at, end)


@helper
def _is_dot(text, first, last):
    return last - first == 1 and load8(text, first) == _DOT
