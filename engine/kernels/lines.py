"""Parse lines of any form, one at a time; find the end, the number of fields and the strand of a line."""

from typing import Any, NamedTuple

import numpy as np

from deepchrome.engine.kernels.digits import parse_number
from deepchrome.engine.kernels.jit import entry_point, helper, inlined
from deepchrome.engine.kernels.layout import MAX_LINE_BYTES
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.vectors import (
    NEWLINE,
    RETURN,
    TAB,
    address_of,
    count_bits,
    load8,
    load64,
    lowest_bit,
    newlines64,
    prefetch,
    tabs64,
)

_HASH = 35
_FIVE_BYTES, _TRACK = np.uint64((1 << 40) - 1), np.uint64(int.from_bytes(b"track", "little"))
_SEVEN_BYTES, _BROWSER = np.uint64((1 << 56) - 1), np.uint64(int.from_bytes(b"browser", "little"))


class Lines(NamedTuple):
    """The text to parse, and the properties that its lines must have."""

    text: Any
    """Address of the buffer."""
    end: int
    """The position after the last newline."""
    columns: int
    """The number of fields that every line must have, 3 or more."""
    skips_gaps: bool
    """Whether reads between two regions can be left out as they are parsed."""


@entry_point
def count_columns(buffer, begin, end):
    """Return the number of fields of the first line in [begin, end) that is a read.

    As in bedtools, an empty last field does not count. Return 0 if no line is a read, and -1 if there is a carriage
    return within the line: the file then has the line ends of old Macs.
    """
    text = address_of(buffer)
    at = begin
    while at < end:
        newline, n_tabs = end_of_line(text, at)
        last = newline - 1 if newline > at and load8(text, newline - 1) == RETURN else newline
        if last > at and not is_header(text, at):
            for i in range(at, last):
                if load8(text, i) == RETURN:
                    return -1
            return n_tabs + 1 - (load8(text, last - 1) == TAB)
        at = newline + 1
    return 0


@helper
def parse_line_slow(lines, at, newline):
    """Parse the line at ``at``, whose newline is at ``newline``. It may have any form.

    As in bedtools, an empty last field does not count.

    Returns
    -------
    tuple
        DONE, NO_READ or a BAD_ status; the length of the name; start and end in bp.
    """
    text, end, nothing = lines.text, newline, np.int64(0)
    if end - at > MAX_LINE_BYTES:
        return Status.BAD_LONG, nothing, nothing, nothing
    if end > at and load8(text, end - 1) == RETURN:
        end -= 1
    if end == at or is_header(text, at):
        return Status.NO_READ, nothing, nothing, nothing
    n_fields = 1
    tab1, tab2, tab3 = end, end, end
    for i in range(at, end):
        if load8(text, i) == TAB:
            if n_fields == 1:
                tab1 = i
            elif n_fields == 2:
                tab2 = i
            elif n_fields == 3:
                tab3 = i
            n_fields += 1
    if load8(text, end - 1) == TAB:
        n_fields -= 1
    if n_fields < 3:
        return Status.BAD_FIELDS, nothing, nothing, nothing
    if n_fields != lines.columns:
        return Status.BAD_RAGGED, nothing, nothing, nothing
    if tab1 == at:
        return Status.BAD_NAME, nothing, nothing, nothing
    start = parse_number(text, tab1 + 1, tab2)
    stop = parse_number(text, tab2 + 1, tab3)
    status = Status.DONE
    if start == -1:
        status = Status.BAD_START
    elif stop == -1:
        status = Status.BAD_END
    elif start == -2 or stop == -2:
        status = Status.BAD_LARGE
    elif stop < start:
        status = Status.BAD_ORDER
    return status, np.int64(tab1 - at), start, stop


@helper
def is_header(text, at):
    """Return whether the line at ``at`` begins with ``#``, ``track`` or ``browser``; bedtools skips such lines."""
    word = load64(text, at)
    return load8(text, at) == _HASH or word & _FIVE_BYTES == _TRACK or word & _SEVEN_BYTES == _BROWSER


@helper
def end_of_line(text, at):
    """Return the position of the newline of the line at ``at``, and the number of tabs in the line."""
    n_tabs = 0
    newlines, tabs = newlines64(text, at), tabs64(text, at)
    while newlines == 0:
        n_tabs += count_bits(tabs)
        at += 64
        prefetch(text, at + 512)  # makes long lines faster, see benchmarks/NOTES.md
        newlines, tabs = newlines64(text, at), tabs64(text, at)
    before = (newlines & (~newlines + np.uint64(1))) - np.uint64(1)
    return at + lowest_bit(newlines), n_tabs + count_bits(tabs & before)


@helper
def has_columns(lines, at, newline, n_tabs):
    """Return whether a line has the right number of fields, the last one not empty, and is not too long."""
    last = load8(lines.text, newline - 1)
    is_empty = (last == TAB) | ((last == RETURN) & (load8(lines.text, newline - 2) == TAB))
    return (n_tabs + 1 == lines.columns) & (not is_empty) & (newline - at <= MAX_LINE_BYTES)


@helper
def find_strand(text, at):
    """Return the position of the strand of the line at ``at``: its sixth field.

    If that has more than one byte, it is no strand. Return the position of the tab before it, as ``bedtobam`` takes
    everything but ``-`` for plus.
    """
    # Skip five tabs, 64 bytes at a time.
    n_left, tabs = 5, tabs64(text, at)
    while count_bits(tabs) < n_left:
        n_left -= count_bits(tabs)
        at += 64
        tabs = tabs64(text, at)
    for _ in range(n_left - 1):
        tabs &= tabs - np.uint64(1)
    at += lowest_bit(tabs) + 1
    after = load8(text, at + 1)
    is_whole_field = (after == TAB) | (after == NEWLINE) | ((after == RETURN) & (load8(text, at + 2) == NEWLINE))
    return at if is_whole_field else at - 1  # guard: minus-alone


@inlined
def is_reverse(text, strand_at, mask, value):
    """Return whether a read of a batch is on the minus strand.

    Parameters
    ----------
    text
        Address of the buffer.
    strand_at
        The ``STRAND_AT`` of the read. If it is negative, the line at ``~strand_at`` has six fields or more.
    mask, value
        ``strand_mask`` and ``strand_value`` of the rule.
    """
    place = np.int64(strand_at)
    if place < 0:
        place = find_strand(text, ~place)
    return (load8(text, place) & mask) == value
