"""The inner loops: bytes of reads in, marks on a difference array out. Numba only, nothing per read in Python.

What makes them fast, and what they assume
------------------------------------------
*Text.* One compare per separator over the next 64 bytes gives bit masks of the tabs and of the newlines: the
shape of a line. While lines keep the shape and the chromosome of the one before, each field is where it was,
no position depends on the bytes of the line before it, and numbers are read eight digits at a time; every byte
that matters is still checked. Another shape is learned from the masks; what has none, ``_careful_line`` decides.

*Counting.* Windows are sorted by chromosome and start; a table of tiles says for a position which
window can be the first to hold it. A read adds 1 at its first bin and takes 1 away after its last one, so
its cost depends neither on its length nor on the bin size; the running sum along a window gives the counts.

Assumptions, kept by ``count.py``: a buffer may be read 64 bytes before ``begin`` and 64 bytes past
``end``; text in [begin, end) ends with a newline, records in [begin, end) are whole.

All kernels and their helpers live in this one file: numba's cache does not notice a change elsewhere.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload


def _kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile to code that lets other threads run, and keep the machine code on disk where there is a place for it."""
    try:
        return cast(Callable[..., Any], njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba's word for "no directory to cache in"
        return cast(Callable[..., Any], njit(nogil=True)(function))


# Outcomes of a kernel call. Below BAD_* the call can go on after the caller has acted.
DONE, NEW_NAME = 0, 1
BAD_FIELDS, BAD_RAGGED, BAD_START, BAD_END, BAD_ORDER, BAD_LARGE, BAD_LONG, BAD_NAME, BAD_RECORD = range(2, 11)

# Slots of the running tally, int64.
LINES, READS, IN_WINDOWS, PAST_END, MIN_LENGTH, MAX_LENGTH, SUM_LENGTH, FILTERED, CURSOR = range(9)
N_TALLY = 9

# Strands, as bits of what a window accepts.
PLUS, MINUS = 1, 2

# Columns of the table of sequences, int64: where its tiles begin, the last of them, its length in bp.
TILE_FIRST, TILE_LAST, SIZE = range(3)
TILE_BITS = 13

MAX_LINE_BYTES = 1 << 16
# The start of a sentinel: beyond any read.
FAR = (1 << 31) - 1
_MAX_POSITION = (1 << 29) - 1
_TOO_FAR = 1 << 40

_TAB, _NEWLINE, _RETURN, _HASH, _MINUS_SIGN, _ZERO = 9, 10, 13, 35, 45, 48
_ONE = np.uint64(1)
_SIXTY_FOUR = np.uint64(64)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_LOW_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_PAIRS, _PAIR_WEIGHTS = np.uint64(0x00FF00FF00FF00FF), np.uint64(2561)
_QUADS, _QUAD_WEIGHTS = np.uint64(0x0000FFFF0000FFFF), np.uint64(6553601)
_OCTET_WEIGHTS = np.uint64(42949672960001)
_EIGHT, _SIXTEEN, _THIRTY_TWO = np.uint64(8), np.uint64(16), np.uint64(32)
_MIX = np.uint64(0x9E3779B97F4A7C15)


# --- unaligned loads and bit counts: one or two instructions when compiled ---
#
# Compiled code sees a buffer as its address: passing arrays from function to function would cost two atomic
# operations on a reference count each time. As plain Python (NUMBA_DISABLE_JIT=1) the same code sees the array,
# and every look-up checks the bounds.


def _bytes_of(buffer: Any) -> Any:
    return buffer


def _piece(text: Any, i: int, n: int) -> Any:
    """Return ``n`` bytes; a slice alone would come out shorter, or from the other end."""
    if not 0 <= i <= len(text) - n:
        raise IndexError(f"{n} bytes at {i} of {len(text)}")
    return text[i : i + n]


def _load8(text: Any, i: int) -> int:
    return int(_piece(text, i, 1)[0])


def _load32(text: Any, i: int) -> int:
    return int.from_bytes(_piece(text, i, 4).tobytes(), "little", signed=True)


def _load64(text: Any, i: int) -> np.uint64:
    return np.uint64(int.from_bytes(_piece(text, i, 8).tobytes(), "little"))


def _mask64(text: Any, i: int, byte: int) -> np.uint64:
    return np.uint64(int.from_bytes(np.packbits(_piece(text, i, 64) == byte, bitorder="little").tobytes(), "little"))


def _tabs64(text: Any, i: int) -> np.uint64:
    return _mask64(text, i, _TAB)


def _newlines64(text: Any, i: int) -> np.uint64:
    return _mask64(text, i, _NEWLINE)


def _lowest(mask: np.uint64) -> int:
    value = int(mask)
    return (value & -value).bit_length() - 1 if value else 64


def _ones(mask: np.uint64) -> int:
    return int(mask).bit_count()


def _at_address(builder: Any, args: Any, kind: ir.Type) -> Any:
    address = builder.add(args[0], args[1])
    return builder.load(builder.inttoptr(address, kind.as_pointer()), align=1)


def _load_instruction(bits: int, result: types.Type) -> Any:
    @intrinsic
    def load(typingctx: Any, text: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _at_address(builder, args, ir.IntType(bits))

        return result(types.intp, types.intp), codegen

    return load


def _mask_instruction(byte: int) -> Any:
    @intrinsic
    def mask(typingctx: Any, text: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            lanes = ir.VectorType(ir.IntType(8), 64)
            equal = builder.icmp_unsigned("==", _at_address(builder, args, lanes), ir.Constant(lanes, [byte] * 64))
            return builder.bitcast(equal, ir.IntType(64))

        return types.uint64(types.intp, types.intp), codegen

    return mask


@intrinsic
def _cttz(typingctx: Any, mask: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.intp(types.uint64), codegen


@intrinsic
def _ctpop(typingctx: Any, mask: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.intp(types.uint64), codegen


_load8_instruction = _load_instruction(8, types.uint8)
_load32_instruction = _load_instruction(32, types.int32)
_load64_instruction = _load_instruction(64, types.uint64)
_tabs64_instruction = _mask_instruction(_TAB)
_newlines64_instruction = _mask_instruction(_NEWLINE)

overload(_bytes_of)(lambda buffer: lambda buffer: buffer.ctypes.data)
overload(_load8)(lambda text, i: lambda text, i: np.int64(_load8_instruction(text, i)))
overload(_load32)(lambda text, i: lambda text, i: np.int64(_load32_instruction(text, i)))
overload(_load64)(lambda text, i: lambda text, i: _load64_instruction(text, i))
overload(_tabs64)(lambda text, i: lambda text, i: _tabs64_instruction(text, i))
overload(_newlines64)(lambda text, i: lambda text, i: _newlines64_instruction(text, i))
overload(_lowest)(lambda mask: lambda mask: _cttz(mask))  # type: ignore[call-arg]
overload(_ones)(lambda mask: lambda mask: _ctpop(mask))  # type: ignore[call-arg]


# --- names of sequences: an open-addressed table, one per worker ---

# Columns of the table, uint64: first and last bytes of the name, its length, where it stands in the blob, id + 1.
_HEAD, _TAIL, _LENGTH, _PLACE, _ID = range(5)
N_NAME_COLUMNS = 5


@_kernel
def _first_bytes(text, at, length):
    """Return the first eight bytes of a name, fewer if it is shorter."""
    mask = _ALL >> np.uint64(8 * (8 - min(length, 8)))
    return _load64(text, at) & mask


@_kernel
def _last_bytes(text, at, length):
    """Return the last eight bytes of a name longer than eight, else 0."""
    return _load64(text, at + length - 8) if length > 8 else np.uint64(0)


@_kernel
def _find_name(text, at, length, names, blob):
    """Return the slot of a name in the table, or the free slot where it would go."""
    head, tail = _first_bytes(text, at, length), _last_bytes(text, at, length)
    last = len(names) - 1
    slot = np.int64(((head ^ (tail << _ONE) ^ np.uint64(length)) * _MIX) >> _THIRTY_TWO) & last
    while names[slot, _ID]:
        if names[slot, _HEAD] == head and names[slot, _TAIL] == tail and np.int64(names[slot, _LENGTH]) == length:
            place, k = np.int64(names[slot, _PLACE]), np.int64(8)
            while k < length - 8 and _load8(text, at + k) == _load8(blob, place + k):
                k += 1
            if k >= length - 8:
                break
        slot = (slot + 1) & last
    return slot


@_kernel
def add_name(names, blob, place, length, identity):
    """Enter a name in the table, which must have a free slot.

    Parameters
    ----------
    names
        uint64 (slots, N_NAME_COLUMNS), zero where free; the number of slots is a power of two.
    blob
        uint8: the names one after another, with eight bytes of room at the end.
    place, length
        Where in the blob this name stands.
    identity
        What the name stands for, 0 or more.
    """
    text = _bytes_of(blob)
    slot = _find_name(text, place, length, names, text)
    names[slot, _HEAD] = _first_bytes(text, place, length)
    names[slot, _TAIL] = _last_bytes(text, place, length)
    names[slot, _LENGTH], names[slot, _PLACE], names[slot, _ID] = length, place, identity + 1


# --- counting ---


# Rows of a batch of reads, int32: the tile of the start, [start, end) in bp, PLUS or MINUS (0: any).
_TILE, _START, _END, _STRAND = range(4)
BATCH_READS = 512


@_kernel
def _add_reads(batch, n, tiles, starts, accepts, bin_size, difference):
    """Add the first ``n`` reads of a batch to every window they overlap; return how many overlap one."""
    # Unsigned indices throughout: numba would test signed ones for counting from the end.
    width = np.int64((difference.shape[1] - 1) * bin_size)
    near = np.empty(BATCH_READS, np.uint32)
    first_window = np.empty(BATCH_READS, np.uint32)
    # First find the reads that can touch a window at all, without a branch: where reads come in no order
    # nobody could predict it, and the look-ups of many reads run at the same time.
    n_near = np.uint64(0)
    for k in range(np.uint64(n)):
        window = np.uint32(tiles[np.uint32(batch[_TILE, k])])
        near[n_near] = k
        first_window[n_near] = window
        n_near += np.uint64(starts[window] < batch[_END, k])
    in_windows = np.int64(0)
    for i in range(n_near):
        k, window = np.uint64(near[i]), np.uint64(first_window[i])
        start, end = np.int64(batch[_START, k]), np.int64(batch[_END, k])
        strand = batch[_STRAND, k]
        hit = False
        while starts[window] < end:
            first = start - starts[window]
            if first < width and (strand == 0 or strand & accepts[window]):
                last = min(end - starts[window], width) - 1
                difference[window, np.uint64(np.uint32(max(first, 0)) // np.uint32(bin_size))] += 1
                difference[window, np.uint64(np.uint32(last) // np.uint32(bin_size)) + _ONE] -= 1
                hit = True
            window += _ONE
        in_windows += hit
    return in_windows


@_kernel
def fold(difference, counts):
    """Turn differences (windows, bins + 1) into counts (windows, bins), added to ``counts``."""
    for window in range(difference.shape[0]):
        running = np.int64(0)
        for b in range(counts.shape[1]):
            running += difference[window, b]
            counts[window, b] += running


# --- text ---


@_kernel
def _digit_mask(n):
    """Return the mask of the last ``n`` of eight bytes; all of them from eight on."""
    return _ALL << (_SIXTY_FOUR - np.uint64(8 * min(n, 8)))


@_kernel
def _digits(text, last, mask):
    """Read the up to eight digits that end before ``last``; return their value, and nonzero if one is no digit."""
    x = (_load64(text, last - 8) ^ _ZEROS) & mask
    wrong = ((x + _ABOVE_NINE) | x) & _HIGH_BITS
    x = ((x & _LOW_NIBBLES) * _PAIR_WEIGHTS) >> _EIGHT
    x = ((x & _PAIRS) * _QUAD_WEIGHTS) >> _SIXTEEN
    return np.int64(((x & _QUADS) * _OCTET_WEIGHTS) >> _THIRTY_TWO), wrong


@_kernel
def _long_number(text, first, last):
    """Read a number with any number of leading zeros; -1 if it is none, -2 if it is too large."""
    if first >= last:
        return np.int64(-1)
    value = np.int64(0)
    for i in range(first, last):
        digit = _load8(text, i) - _ZERO
        if digit < 0 or digit > 9:
            return np.int64(-1)
        value = min(value * 10 + digit, np.int64(1) << 40)
    return value if value <= _MAX_POSITION else np.int64(-2)


@_kernel
def _text_strand(text, at):
    """Return the strand in the sixth field of the line at ``at``: MINUS for ``-``, else PLUS, as bedtobam does."""
    for _ in range(5):
        while _load8(text, at) != _TAB:
            at += 1
        at += 1
    return MINUS if _load8(text, at) == _MINUS_SIGN else PLUS


_FIVE_BYTES, _TRACK = np.uint64((1 << 40) - 1), np.uint64(int.from_bytes(b"track", "little"))
_SEVEN_BYTES, _BROWSER = np.uint64((1 << 56) - 1), np.uint64(int.from_bytes(b"browser", "little"))
_SKIP = -1


@_kernel
def _is_header(text, at):
    """Tell whether the line at ``at`` begins with ``#``, ``track`` or ``browser``: all that bedtools asks."""
    word = _load64(text, at)
    return _load8(text, at) == _HASH or word & _FIVE_BYTES == _TRACK or word & _SEVEN_BYTES == _BROWSER


@_kernel
def _careful_line(text, at, end, columns):
    """Decide a line the fast path did not take; ``end`` is its newline.

    An empty last field is no field, as for bedtools.

    Returns
    -------
    tuple of int
        A BAD_ code, _SKIP or DONE; then the length of the name, the start and the end in bp.
    """
    if end - at > MAX_LINE_BYTES:
        return BAD_LONG, 0, np.int64(0), np.int64(0)
    if end > at and _load8(text, end - 1) == _RETURN:
        end -= 1
    if end == at or _is_header(text, at):
        return _SKIP, 0, np.int64(0), np.int64(0)
    fields = 1
    tab1, tab2, tab3 = end, end, end
    for i in range(at, end):
        if _load8(text, i) == _TAB:
            if fields == 1:
                tab1 = i
            elif fields == 2:
                tab2 = i
            elif fields == 3:
                tab3 = i
            fields += 1
    if _load8(text, end - 1) == _TAB:
        fields -= 1
    if fields < 3:
        return BAD_FIELDS, 0, np.int64(0), np.int64(0)
    if fields != columns:
        return BAD_RAGGED, 0, np.int64(0), np.int64(0)
    if tab1 == at:
        return BAD_NAME, 0, np.int64(0), np.int64(0)
    start = _long_number(text, tab1 + 1, tab2)
    stop = _long_number(text, tab2 + 1, tab3)
    code = DONE
    if start == -1:
        code = BAD_START
    elif stop == -1:
        code = BAD_END
    elif start == -2 or stop == -2:
        code = BAD_LARGE
    elif stop < start:
        code = BAD_ORDER
    return code, tab1 - at, start, stop


@_kernel
def _end_of_line(text, at):
    """Return where the line at ``at`` has its newline, and the number of tabs before that."""
    n_tabs = 0
    newlines, tabs = _newlines64(text, at), _tabs64(text, at)
    while newlines == 0:
        n_tabs += _ones(tabs)
        at += 64
        newlines, tabs = _newlines64(text, at), _tabs64(text, at)
    before = (newlines & (~newlines + _ONE)) - _ONE
    return at + _lowest(newlines), n_tabs + _ones(tabs & before)


@_kernel
def count_columns(buffer, begin, end):
    """Return the number of fields of the first line in [begin, end) that is a read.

    0 if there is none; -1 if that line has a carriage return inside: many lines, ended as on old Macs.
    """
    text = _bytes_of(buffer)
    at = begin
    while at < end:
        newline, n_tabs = _end_of_line(text, at)
        last = newline - 1 if newline > at and _load8(text, newline - 1) == _RETURN else newline
        if last > at and not _is_header(text, at):
            for i in range(at, last):
                if _load8(text, i) == _RETURN:
                    return -1
            return n_tabs + 1 - (_load8(text, last - 1) == _TAB)
        at = newline + 1
    return 0


@_kernel
def last_newline(buffer, begin, end):
    """Return the position of the last newline in [begin, end), or begin - 1."""
    text = _bytes_of(buffer)
    i = end - 1
    while i >= begin and _load8(text, i) != _NEWLINE:
        i -= 1
    return i


@_kernel
def _has_columns(text, at, newline, n_tabs, columns):
    """Tell whether a line has as many fields as there must be, the last not empty, and is not too long."""
    last = _load8(text, newline - 1)
    is_empty = (last == _TAB) | ((last == _RETURN) & (_load8(text, newline - 2) == _TAB))
    return (n_tabs + 1 == columns) & (not is_empty) & (newline - at <= MAX_LINE_BYTES)


@_kernel
def _same_beyond_eight(text, a, b, length):
    """Compare two names of more than eight bytes, whose first eight are known to be equal."""
    if _load64(text, a + length - 8) != _load64(text, b + length - 8):
        return False
    for k in range(8, length - 8):  # noqa: SIM110 - numba has no generators
        if _load8(text, a + k) != _load8(text, b + k):
            return False
    return True


@_kernel
def _parse_lines(text, at, end, columns, names, blob, sites, stranded, batch, reads_on, tally):
    """Parse whole lines from ``at`` on, at most a batch of reads.

    The tally is kept but for IN_WINDOWS; CURSOR is where parsing stopped.

    Returns
    -------
    tuple
        What :func:`count_text` returns, and the number of reads in the batch.
    """
    status, n = DONE, np.uint64(0)
    lines, odd, past_end, run = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    shortest, longest, total = tally[MIN_LENGTH], tally[MAX_LENGTH], tally[SUM_LENGTH]
    # The sequence of the line before: its id, its name, its place in the table of sequences.
    identity, length, name_at = np.int64(-1), np.int64(0), np.int64(0)
    head, head_mask = np.uint64(0), np.uint64(0)
    tile_first, tile_last, size = np.int64(0), np.int64(0), np.int64(0)
    # The shape of the line before: where its separators are, and what follows from that. Most lines have it.
    within, shape_tabs, shape_newline = np.uint64(0), np.uint64(0), _ONE
    tab1, tab2, tab3, step, exact = np.int64(0), np.int64(0), np.int64(0), np.int64(0), True
    # Where the last field has one byte, a line of this shape can have a carriage return there, and so one field less.
    not_last = np.int64(-1)
    start_mask, end_mask, nine_start, nine_end = np.uint64(0), np.uint64(0), False, False
    tried = np.int64(-1)
    while True:
        # Lines of one shape, on one sequence, one after the other. Anything else ends the loop.
        while at < end and n < BATCH_READS:
            if (_tabs64(text, at) & within != shape_tabs) | (_newlines64(text, at) & within != shape_newline):
                break
            if _load64(text, at) & head_mask != head:
                break
            if length > 8 and not _same_beyond_eight(text, at, name_at, length):
                break
            if not exact:
                newline, n_tabs = _end_of_line(text, at)
                step = newline + 1 - at
                if not _has_columns(text, at, newline, n_tabs, columns):
                    break
            start, wrong_start = _digits(text, at + tab2, start_mask)
            stop, wrong_stop = _digits(text, at + tab3, end_mask)
            if nine_start:
                top = _load8(text, at + tab1 + 1) - _ZERO
                start += top * 100_000_000 if 0 <= top <= 9 else _TOO_FAR
            if nine_end:
                top = _load8(text, at + tab2 + 1) - _ZERO
                stop += top * 100_000_000 if 0 <= top <= 9 else _TOO_FAR
            lost = _load8(text, at + step - 2) == not_last
            if (wrong_start | wrong_stop != 0) | (stop <= start) | (stop > _MAX_POSITION) | lost:
                break
            span = stop - start
            shortest, longest, total = min(shortest, span), max(longest, span), total + span
            past_end += stop > size
            batch[_TILE, n] = tile_first + min(start >> TILE_BITS, tile_last)
            batch[_START, n] = start
            batch[_END, n] = stop
            if stranded:
                batch[_STRAND, n] = _text_strand(text, at)
            n += _ONE
            run += 1
            at += step
        if at >= end or n == BATCH_READS:
            break
        newline, n_tabs = _end_of_line(text, at)
        if at != tried and not _is_header(text, at):
            # Another shape or another sequence: learn both from this line, and try again.
            newlines, tabs = _newlines64(text, at), _tabs64(text, at)
            separators = tabs | newlines
            first = _lowest(separators)
            separators &= separators - _ONE
            second = _lowest(separators)
            separators &= separators - _ONE
            third = _lowest(separators)
            start_digits, end_digits = second - first - 1, third - second - 1
            # The first three fields must lie within the 64 bytes that are looked at.
            if (
                _has_columns(text, at, newline, n_tabs, columns)
                & (third < 64)
                & (first > 0)
                & (0 < start_digits <= 9)
                & (0 < end_digits <= 9)
            ):
                found = np.int64(names[_find_name(text, at, first, names, blob), _ID]) - 1
                if found < 0:
                    status = NEW_NAME
                    break
                if identity >= 0:
                    reads_on[identity] += run
                identity, run, length, name_at = found, np.int64(0), first, at
                head, head_mask = _first_bytes(text, at, first), _ALL >> np.uint64(8 * (8 - min(first, 8)))
                tile_first, tile_last, size = sites[found, TILE_FIRST], sites[found, TILE_LAST], sites[found, SIZE]
                # Where lines are long, or begin alike and end differently, each one's end is looked for.
                alike = (first == tab1) & (second == tab2) & (third == tab3)
                differs = (tabs & within != shape_tabs) | (newlines & within != shape_newline)
                if newline - at >= 64 or (columns > 3 and alike and differs):
                    exact = False
                tab1, tab2, tab3, step = first, second, third, newline + 1 - at
                not_last = _RETURN if exact and _load8(text, newline - 2) == _TAB else -1
                start_mask, end_mask = _digit_mask(start_digits), _digit_mask(end_digits)
                nine_start, nine_end = start_digits == 9, end_digits == 9
                last = newline - at if exact else third
                within = _ALL >> np.uint64(63 - last)
                shape_tabs, shape_newline = tabs & within, newlines & within
                tried = at
                continue
        # Headers, blanks, reads of no length, odd numbers, and everything that is wrong.
        code, name_length, start, stop = _careful_line(text, at, newline, columns)
        if code == DONE:
            found = np.int64(names[_find_name(text, at, name_length, names, blob), _ID]) - 1
            if found < 0:
                status = NEW_NAME
                break
            reads_on[found] += 1
            span = stop - start
            shortest, longest, total = min(shortest, span), max(longest, span), total + span
            past_end += stop > sites[found, SIZE]
            if span == 0:  # bedtools' rule for reads of no length
                start, stop = start - 1, stop + 1
            tile = min(max(start, 0) >> TILE_BITS, sites[found, TILE_LAST])
            batch[_TILE, n] = sites[found, TILE_FIRST] + tile
            batch[_START, n] = start
            batch[_END, n] = stop
            if stranded:
                batch[_STRAND, n] = _text_strand(text, at)
            n += _ONE
            odd += 1
        elif code != _SKIP:
            status = code
            break
        lines += 1
        at = newline + 1
    if identity >= 0:
        reads_on[identity] += run
    tally[LINES] += lines + np.int64(n) - odd
    tally[PAST_END] += past_end
    tally[MIN_LENGTH], tally[MAX_LENGTH], tally[SUM_LENGTH] = shortest, longest, total
    tally[CURSOR] = at
    return status, n


@_kernel
def count_text(
    buffer,
    begin,
    end,
    columns,
    names,
    blob,
    sites,
    tiles,
    starts,
    accepts,
    stranded,
    bin_size,
    difference,
    reads_on,
    tally,
):
    """Count the reads of whole BED lines.

    Parameters
    ----------
    buffer, begin, end
        uint8 bytes; the lines stand in [begin, end).
    columns
        The number of fields every line must have, 3 or more.
    names, blob
        The table of names, see :func:`add_name`.
    sites
        int64 (ids, 3): TILE_FIRST, TILE_LAST, SIZE of each sequence by id.
    tiles
        int32: for each tile of 2**TILE_BITS bp the first window that can reach into it.
    starts
        int32 (windows): starts in bp, sorted within a sequence, each sequence closed by a sentinel.
    accepts
        int8 (windows): bits PLUS and MINUS, the strands of the reads meant for this window.
    stranded
        Whether strands matter; then a line has six fields at least.
    bin_size
        In bp.
    difference
        int32 (windows, bins + 1), added to.
    reads_on
        int64 (ids): reads per sequence, added to.
    tally
        int64 (N_TALLY), added to; CURSOR is where the call stopped.

    Returns
    -------
    int
        DONE; NEW_NAME if the name at CURSOR is not in the table; BAD_ what is wrong with the line there.
        LINES counts the lines before CURSOR.
    """
    text, name_bytes = _bytes_of(buffer), _bytes_of(blob)
    batch = np.zeros((4, BATCH_READS), np.int32)
    tally[CURSOR] = begin
    status = DONE
    while status == DONE and tally[CURSOR] < end:
        status, n = _parse_lines(
            text, tally[CURSOR], end, columns, names, name_bytes, sites, stranded, batch, reads_on, tally
        )
        tally[IN_WINDOWS] += _add_reads(batch, n, tiles, starts, accepts, bin_size, difference)
    return status


# --- BAM ---

_UNMAPPED, _REVERSE = 4, 16
# Operations that span the reference: M, D, N, = and X (SAM specification, section 1.4.6).
_SPANS_REFERENCE = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], np.int64)
_FIXED_BYTES = 36  # a record up to its name, the leading size included


@_kernel
def whole_records(buffer, begin, end):
    """Return where the last whole BAM record of [begin, end) ends, or -1 - the place of a damaged one."""
    text = _bytes_of(buffer)
    at = begin
    while at + 4 <= end:
        size = _load32(text, at)
        if size < _FIXED_BYTES - 4:
            return -1 - at
        if at + 4 + size > end:
            break
        at += 4 + size
    return at


@_kernel
def _parse_records(text, at, end, sites, stranded, excluded_flags, min_mapq, batch, reads_on, tally):
    """Parse whole records from ``at`` on, at most a batch of reads, as :func:`_parse_lines` does lines."""
    n = np.uint64(0)
    status = DONE
    while at < end and n < BATCH_READS:
        record_size = _load32(text, at) + 4
        reference, start = _load32(text, at + 4), _load32(text, at + 8)
        name_length, mapq = _load8(text, at + 12), _load8(text, at + 13)
        operations = _load8(text, at + 16) | _load8(text, at + 17) << 8
        flags = _load8(text, at + 18) | _load8(text, at + 19) << 8
        cigar = at + _FIXED_BYTES + name_length
        if reference < -1 or reference >= len(sites) or start < -1 or cigar + 4 * operations > at + record_size:
            status = BAD_RECORD
            break
        tally[LINES] += 1
        at += record_size
        if reference < 0 or flags & excluded_flags or mapq < min_mapq:
            tally[FILTERED] += 1
            continue
        span = np.int64(0)
        if flags & _UNMAPPED or operations == 0:
            span = np.int64(1)  # placed but not aligned: one position, as for multicov
        else:
            for k in range(operations):
                operation = _load32(text, cigar + 4 * k) & 0xFFFFFFFF
                span += (operation >> 4) * _SPANS_REFERENCE[operation & 15]
        stop = start + span
        reads_on[reference] += 1
        tally[MIN_LENGTH] = min(tally[MIN_LENGTH], span)
        tally[MAX_LENGTH] = max(tally[MAX_LENGTH], span)
        tally[SUM_LENGTH] += span
        tally[PAST_END] += stop > sites[reference, SIZE]
        if span > 0 and stop > 0:
            tile = min(max(start, 0) >> TILE_BITS, sites[reference, TILE_LAST])
            batch[_TILE, n] = sites[reference, TILE_FIRST] + tile
            batch[_START, n] = start
            batch[_END, n] = min(stop, FAR - 1)
            batch[_STRAND, n] = (MINUS if flags & _REVERSE else PLUS) if stranded else 0
            n += _ONE
    tally[CURSOR] = at
    return status, n


@_kernel
def count_bam(
    buffer,
    begin,
    end,
    sites,
    tiles,
    starts,
    accepts,
    stranded,
    excluded_flags,
    min_mapq,
    bin_size,
    difference,
    reads_on,
    tally,
):
    """Count the reads of whole BAM records.

    Parameters
    ----------
    buffer, begin, end, tiles, starts, accepts, stranded, bin_size, difference, tally
        As for :func:`count_text`.
    sites, reads_on
        By reference id of the BAM header.
    excluded_flags
        Records with any of these flags are left out.
    min_mapq
        Records of a lower mapping quality are left out.

    Returns
    -------
    int
        DONE, or BAD_RECORD for the record at CURSOR. LINES counts the records before it.
    """
    text = _bytes_of(buffer)
    batch = np.empty((4, BATCH_READS), np.int32)
    tally[CURSOR] = begin
    status = DONE
    while status == DONE and tally[CURSOR] < end:
        status, n = _parse_records(
            text, tally[CURSOR], end, sites, stranded, excluded_flags, min_mapq, batch, reads_on, tally
        )
        tally[IN_WINDOWS] += _add_reads(batch, n, tiles, starts, accepts, bin_size, difference)
    return status


def warm_up() -> None:
    """Compile every kernel, or load it from numba's cache, before threads need it."""
    text = np.zeros(192, np.uint8)
    line = np.frombuffer(b"c\t1\t2\n", np.uint8)
    text[64 : 64 + len(line)] = line
    names = np.zeros((2, N_NAME_COLUMNS), np.uint64)
    blob = np.zeros(17, np.uint8)
    blob[0] = text[64]
    add_name(names, blob, 0, 1, 0)
    sites, reads_on = np.zeros((1, 3), np.int64), np.zeros(1, np.int64)
    windows = np.zeros(1, np.int32), np.array([FAR], np.int32), np.zeros(1, np.int8)
    difference, tally = np.zeros((1, 2), np.int32), np.zeros(N_TALLY, np.int64)
    end = last_newline(text, 64, 64 + len(line)) + 1
    columns = count_columns(text, 64, end)
    count_text(text, 64, end, columns, names, blob, sites, *windows, False, 1, difference, reads_on, tally)
    whole_records(text, 64, 64)
    count_bam(text, 64, 64, sites, *windows, False, 0, 0, 1, difference, reads_on, tally)
    fold(difference, np.zeros((1, 1), np.int64))
