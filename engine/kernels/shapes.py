"""Shapes of lines: each has a pattern of 64 bytes, and the positions of the numbers in lines that match it.

Many lines of a file are alike: they have the same sequence name, and separators at the same positions. A shape is
learned from one line and kept in a table. A hash of the name and the separators gives its place there.
"""

from typing import Any, NamedTuple

import numpy as np

from deepchrome.engine.kernels.digits import digit_mask, ninth_digit
from deepchrome.engine.kernels.jit import helper, inlined
from deepchrome.engine.kernels.lines import end_of_line, has_columns, is_header
from deepchrome.engine.kernels.names import HASH_FACTOR, find_id, first_bytes
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.vectors import (
    RETURN,
    load8,
    load64,
    lowest_bit,
    matches,
    newlines64,
    store64,
    tabs64,
    write_pattern,
)

# Kinds of shapes. FREE: no shape, this place in the table is free. WHOLE: the pattern covers the whole line, so all
# lines have one length. BEGINNING: it covers the first three fields, and the end of each line must be found.
FREE, WHOLE, BEGINNING = 0, 1, 2

# The table of shapes, uint8 (SHAPE_TABLE_BYTES,). Each shape has 256 bytes: the pattern, then eleven words of eight
# bytes. After all shapes comes one more word, the kind that new shapes get.
_KIND, _SEQUENCE, _SEPARATORS, _STEP, _START_AT, _END_AT, _STRAND_AT = range(128, 128 + 7 * 8, 8)
_START_MASK, _END_MASK, _START_TOP, _END_TOP = range(128 + 7 * 8, 128 + 11 * 8, 8)
_SHAPE_BYTES, _SHAPE_BITS = 256, 8
_KIND_NOW = _SHAPE_BYTES << _SHAPE_BITS
SHAPE_TABLE_BYTES = _KIND_NOW + 8


class Shape(NamedTuple):
    """A shape, read from the table. Positions are relative to the line."""

    table: Any
    """Address of the table."""
    place: int
    """Where in the table the pattern is."""
    kind: int
    """FREE, WHOLE or BEGINNING."""
    sequence: int
    """Id of the sequence."""
    separators: int
    """Mask of the tabs and the newline among the first 64 bytes."""
    step: int
    """Length of the line in bytes, with its newline."""
    start_at: int
    """Position of the last eight bytes of the start."""
    end_at: int
    """Position of the last eight bytes of the end."""
    strand_at: int
    """Position of a byte that is a minus sign on the minus strand only."""
    start_mask: int
    """Mask of the digits among the last eight bytes of the start."""
    end_mask: int
    """Mask of the digits among the last eight bytes of the end."""
    start_top: int
    """What the first of nine digits adds to the start; 0 if there are fewer than nine."""
    end_top: int
    """What the first of nine digits adds to the end; 0 if there are fewer than nine."""


@inlined
def prepare_table(table):
    """Prepare a table of zeros for use, and return it. New shapes are WHOLE at first."""
    store64(table, _KIND_NOW, WHOLE)
    return table


@inlined
def read_shape(table, place):
    """Return the shape at a place in the table."""
    return Shape(
        table,
        place,
        _integer(table, place + _KIND),
        _integer(table, place + _SEQUENCE),
        load64(table, place + _SEPARATORS),
        _integer(table, place + _STEP),
        _integer(table, place + _START_AT),
        _integer(table, place + _END_AT),
        _integer(table, place + _STRAND_AT),
        load64(table, place + _START_MASK),
        load64(table, place + _END_MASK),
        load64(table, place + _START_TOP),
        load64(table, place + _END_TOP),
    )


@inlined
def place_of_shape(text, at):
    """Return the place in the table for the shape of a line."""
    separators, tab1, tab2, _ = _separators(text, at)
    # The first of nine digits is part of the shape.
    top = np.uint64(load8(text, at + min(tab1, 62) + 1) * (tab2 - tab1 == 10))
    key = (first_bytes(text, at, max(tab1, 1)) ^ separators ^ top << np.uint64(32)) * HASH_FACTOR
    return np.int64(key >> np.uint64(64 - _SHAPE_BITS)) * _SHAPE_BYTES


@inlined
def has_shape(text, at, table, place):
    """Return whether a line matches the shape at a place in the table, and the shape is of the kind now in use."""
    return _integer(table, place + _KIND) == _integer(table, _KIND_NOW) and matches(text, at, table, place)


@helper
def learn_shape(lines, at, names, before, table, place):
    """Enter the shape of a line in the table.

    Parameters
    ----------
    lines, at
        The text, and the position of the line in it.
    names
        The :class:`~deepchrome.engine.kernels.names.Names` known so far.
    before
        Separators of the line before.
    table, place
        The table, and the place in it for the shape.

    Returns
    -------
    Status
        DONE, NEW_NAME, or NO_PATTERN if no pattern can describe the line.
    """
    text = lines.text
    newline, n_tabs = end_of_line(text, at)
    separators, tab1, tab2, tab3 = _separators(text, at)
    n_start, n_end = tab2 - tab1 - 1, tab3 - tab2 - 1
    # A pattern must cover the first three fields.
    if (
        is_header(text, at)
        | (not has_columns(lines, at, newline, n_tabs))
        | (tab3 >= 64)
        | (tab1 == 0)
        | (not 0 < n_start <= 9)
        | (not 0 < n_end <= 9)
    ):
        return Status.NO_PATTERN
    start_top, end_top = ninth_digit(text, at + tab1 + 1, n_start), ninth_digit(text, at + tab2 + 1, n_end)
    if start_top < 0 or end_top < 0:
        return Status.NO_PATTERN
    sequence = find_id(text, at, tab1, names)
    if sequence < 0:
        return Status.NEW_NAME
    # If lines are long, or begin alike and end differently, patterns of whole lines do not pay off.
    kind = _integer(table, _KIND_NOW)
    begins_alike = (separators ^ before) & _lowest_bits(tab3 + 1) == 0
    if newline - at >= 64 or (lines.columns > 3 and begins_alike and separators != before):
        kind = np.int64(BEGINNING)
        store64(table, _KIND_NOW, kind)
    last = newline - at if kind == WHOLE else tab3
    digits = _lowest_bits(tab2) & ~_lowest_bits(max(tab1 + 1, tab2 - 8))
    digits |= _lowest_bits(tab3) & ~_lowest_bits(max(tab2 + 1, tab3 - 8))
    # A carriage return before the newline is not part of the last field. All lines of this shape must have it.
    is_crlf = kind == WHOLE and load8(text, newline - 1) == RETURN
    fields = _lowest_bits(last - 1 if is_crlf else last) & ~_lowest_bits(tab3) & ~separators
    write_pattern(table, place, text, at, _lowest_bits(last + 1) & ~digits & ~fields, digits, fields)
    store64(table, place + _KIND, kind)
    store64(table, place + _SEQUENCE, sequence)
    store64(table, place + _SEPARATORS, np.int64(separators))
    store64(table, place + _STEP, newline + 1 - at)
    store64(table, place + _START_AT, tab2 - 8)
    store64(table, place + _END_AT, tab3 - 8)
    store64(table, place + _STRAND_AT, _strand_at(separators, tab3, newline - at, is_crlf))
    store64(table, place + _START_MASK, np.int64(digit_mask(n_start)))
    store64(table, place + _END_MASK, np.int64(digit_mask(n_end)))
    store64(table, place + _START_TOP, start_top)
    store64(table, place + _END_TOP, end_top)
    return Status.DONE


@inlined
def _separators(text, at):
    """Return the mask of the tabs and the newline of a line, within 64 bytes, and the positions of the first three."""
    ends = newlines64(text, at)
    separators = (tabs64(text, at) | ends) & (ends ^ (ends - np.uint64(1)))
    second = separators & (separators - np.uint64(1))
    third = second & (second - np.uint64(1))
    return separators, lowest_bit(separators), lowest_bit(second), lowest_bit(third)


@inlined
def _strand_at(separators, tab3, newline, is_crlf):
    """Return the position of the sixth field if it has one byte, otherwise of the tab before it, which is not ``-``."""
    after_fourth = separators & ~_lowest_bits(tab3 + 1)
    after_fourth &= after_fourth - np.uint64(1)
    tab5, end_of_sixth = lowest_bit(after_fourth), lowest_bit(after_fourth & (after_fourth - np.uint64(1)))
    if is_crlf and end_of_sixth == newline:
        end_of_sixth -= 1
    return tab5 + 1 if end_of_sixth == tab5 + 2 else tab5


@inlined
def _lowest_bits(k):
    """Return the mask of the lowest ``k`` bits of 64."""
    return np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - k) if k > 0 else np.uint64(0)


@inlined
def _integer(table, i):
    """Return a word of the table as a signed number."""
    return np.int64(load64(table, i))
