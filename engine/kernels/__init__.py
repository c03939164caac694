"""The inner loops: bytes of reads in, marks on a difference array out. Numba only, nothing per read in Python.

What makes them fast, and what they assume
------------------------------------------
*Text.* Lines are alike: the same chromosome, the separators in the same places. The first of them is learned as a
pattern, which says of each of 64 bytes what it may be: this name, a digit, this separator, anything but a separator.
One subtraction and one compare, of 64 bytes each, check a line whole; where it fits, each field is where it was, and
no position depends on the bytes of the line before it. So eight lines are checked, and their numbers read, at once.
Bit masks of the tabs and the newlines give the pattern of another line, and a table keeps it, for reads in no order;
what has none, ``_careful_line`` decides.

*Counting.* Windows are sorted by chromosome and start; a table of tiles says for a position which
window can be the first to hold it. A read adds 1 at its first bin and takes 1 away after its last one, so
its cost depends neither on its length nor on the bin size; the running sum along a window gives the counts.
Eight reads that all lie in the gap between the same two windows are left out together.

Assumptions, kept by ``count.py``: a buffer may be read 64 bytes before ``begin`` and 64 bytes past
``end``; text in [begin, end) ends with a newline, records in [begin, end) are whole.

All kernels and their helpers live in this one file: numba's cache does not notice a change elsewhere.
"""

import operator
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import lower_builtin, models, overload, register_model


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

_TAB, _NEWLINE, _RETURN, _HASH, _MINUS_SIGN, _ZERO = 9, 10, 13, 35, 45, 48
_ONE = np.uint64(1)
_SIXTY_FOUR = np.uint64(64)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZEROS = np.uint64(0x3030303030303030)
_PAIRS, _PAIR_WEIGHTS = np.uint64(0x00FF00FF00FF00FF), np.uint64(2561)
_QUADS, _QUAD_WEIGHTS = np.uint64(0x0000FFFF0000FFFF), np.uint64(6553601)
_OCTET_WEIGHTS = np.uint64(42949672960001)
_EIGHT, _SIXTEEN, _THIRTY_TWO = np.uint64(8), np.uint64(16), np.uint64(32)
_BYTE = np.uint64(255)
_MIX = np.uint64(0x9E3779B97F4A7C15)


# --- what a processor can do that Python has no word for: one or a few instructions each when compiled ---
#
# Each is written twice: as plain Python, which says what it means, and as what builds its instructions.
#
# Compiled code sees a buffer as its address: passing arrays from function to function would cost two atomic
# operations on a reference count each time. As plain Python (NUMBA_DISABLE_JIT=1) the same code sees the array,
# and every look-up checks the bounds.
#
# Eight numbers at once are, compiled, one vector, in as many registers as the processor needs for it; as plain
# Python, an array. What is written with operators is the same code for one number and for eight.


class _EightType(types.Type):
    """Eight uint64."""

    def __init__(self) -> None:
        super().__init__("eight uint64")


_INT64, _INT32, _INT8 = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_NUMBERS, _BYTES, _FLAGS = ir.VectorType(_INT64, 8), ir.VectorType(_INT8, 64), ir.VectorType(ir.IntType(1), 64)
_eight = _EightType()


@register_model(_EightType)
class _EightModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _NUMBERS)


def _compiled(function: Any, build: Callable[..., Any], result: types.Type, *signatures: Any) -> None:
    """Have compiled code use the instructions that ``build`` makes, of a builder and the arguments, for a function."""
    cases = [signature(result, *kinds) for kinds in signatures]
    infer_global(function)(type("Template", (ConcreteTemplate,), {"cases": cases}))
    for kinds in signatures:
        lower_builtin(function, *kinds)(lambda context, builder, signature, args: build(builder, *args))


def _bytes_of(buffer: Any) -> Any:
    return buffer


overload(_bytes_of)(lambda buffer: lambda buffer: buffer.ctypes.data)


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


def _load_eight(text: Any, i: int, step: int) -> Any:
    """Load eight words, ``step`` bytes from one to the next."""
    return np.array([_load64(text, i + k * step) for k in range(8)], np.uint64)


def _store64(buffer: Any, i: int, value: int) -> None:
    buffer[i : i + 8] = np.frombuffer(np.int64(value).tobytes(), np.uint8)


def _put_eight(batch: Any, row: int, i: int, values: Any) -> None:
    """Store eight numbers in a row of a batch."""
    batch[row, i : i + 8] = values


def _tabs64(text: Any, i: int) -> np.uint64:
    return _mask64(text, i, _TAB)


def _newlines64(text: Any, i: int) -> np.uint64:
    return _mask64(text, i, _NEWLINE)


def _fits(text: Any, i: int, pattern: Any, at: int) -> bool:
    """Tell whether 64 bytes fit a pattern: the least that each may be, then how much more at most."""
    return bool(np.all(_piece(text, i, 64) - _piece(pattern, at, 64) <= _piece(pattern, at + 64, 64)))


def _fit_eight(text: Any, i: int, step: int, pattern: Any, at: int) -> bool:
    return all(_fits(text, i + k * step, pattern, at) for k in range(8))


def _write_pattern(pattern: Any, at: int, text: Any, i: int, same: Any, digits: Any, free: Any) -> None:
    """Make a pattern: which bytes must be as here, which digits, which no separators; the others may be anything."""
    for k in range(64):
        is_same, is_digit, is_free = (int(mask) >> k & 1 for mask in (same, digits, free))
        least_most = (text[i + k], 0) if is_same else (_ZERO, 9) if is_digit else _NO_SEPARATOR if is_free else (0, 255)
        pattern[at + k], pattern[at + 64 + k] = least_most


# All but 9 to 13, with tab, newline and carriage return among them: from 14 on, past 255, up to 8.
_NO_SEPARATOR = _RETURN + 1, 250


def _lowest(mask: np.uint64) -> int:
    value = int(mask)
    return (value & -value).bit_length() - 1 if value else 64


def _ones(mask: np.uint64) -> int:
    return int(mask).bit_count()


def _eight_of(value: Any) -> Any:
    return np.full(8, value, np.uint64)


def _lesser(a: Any, b: Any) -> Any:
    return np.minimum(a, b)


def _greater(a: Any, b: Any) -> Any:
    return np.maximum(a, b)


def _all_below(a: Any, b: Any) -> bool:
    """Tell whether each of eight numbers is less than the other, or than each of eight others."""
    return bool(np.all(a < b))


def _least(eight: Any) -> np.int64:
    return np.int64(eight.min())


def _most(eight: Any) -> np.int64:
    return np.int64(eight.max())


def _sum(eight: Any) -> np.int64:
    return np.int64(eight.sum())


def _at(builder: Any, buffer: Any, i: Any, kind: ir.Type) -> Any:
    return builder.inttoptr(builder.add(buffer, i), kind.as_pointer())


def _loaded(builder: Any, text: Any, i: Any, kind: ir.Type) -> Any:
    return builder.load(_at(builder, text, i, kind), align=1)


def _constant(kind: ir.Type, value: int) -> Any:
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def _places(builder: Any, text: Any, i: Any, byte: int) -> Any:
    equal = builder.icmp_unsigned("==", _loaded(builder, text, i, _BYTES), _constant(_BYTES, byte))
    return builder.bitcast(equal, _INT64)


def _strided(builder: Any, text: Any, i: Any, step: Any) -> Any:
    values = ir.Constant(_NUMBERS, ir.Undefined)
    for k in range(8):
        values = builder.insert_element(values, _loaded(builder, text, i, _INT64), _constant(_INT32, k))
        i = builder.add(i, step)
    return values


def _word_stored(builder: Any, buffer: Any, i: Any, value: Any) -> None:
    builder.store(value, _at(builder, buffer, i, _INT64), align=1)


def _stored(builder: Any, batch: Any, row: Any, i: Any, values: Any) -> None:
    narrow = ir.VectorType(_INT32, 8)
    place = builder.add(builder.mul(row, _constant(_INT64, BATCH_READS)), i)
    pointer = _at(builder, batch, builder.mul(place, _constant(_INT64, 4)), narrow)
    builder.store(builder.trunc(values, narrow), pointer, align=1)


def _fitting(builder: Any, text: Any, i: Any, step: Any, pattern: Any, at: Any, lines: int) -> Any:
    least = _loaded(builder, pattern, at, _BYTES)
    most = _loaded(builder, pattern, builder.add(at, _constant(_INT64, 64)), _BYTES)
    fitting = _constant(_FLAGS, 1)
    for _ in range(lines):
        above = builder.sub(_loaded(builder, text, i, _BYTES), least)
        fitting = builder.and_(fitting, builder.icmp_unsigned("<=", above, most))
        i = builder.add(i, step)
    return builder.icmp_unsigned("==", builder.bitcast(fitting, _INT64), _constant(_INT64, -1))


def _pattern(builder: Any, pattern: Any, at: Any, text: Any, i: Any, *masks: Any) -> None:
    same, digits, free = (builder.bitcast(mask, _FLAGS) for mask in masks)
    here = _loaded(builder, text, i, _BYTES)
    for half, if_same in enumerate((here, _constant(_BYTES, 0))):
        of_digit, of_free, of_other = (_constant(_BYTES, pair[half]) for pair in ((_ZERO, 9), _NO_SEPARATOR, (0, 255)))
        value = builder.select(digits, of_digit, builder.select(free, of_free, of_other))
        pointer = _at(builder, pattern, builder.add(at, _constant(_INT64, 64 * half)), _BYTES)
        builder.store(builder.select(same, if_same, value), pointer, align=1)


def _eight_alike(builder: Any, value: Any) -> Any:
    if value.type == _NUMBERS:
        return value
    first = builder.insert_element(ir.Constant(_NUMBERS, ir.Undefined), value, _constant(_INT32, 0))
    return builder.shuffle_vector(first, first, _constant(ir.VectorType(_INT32, 8), 0))


def _less(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_unsigned("<", a, b), a, b)


def _more(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_unsigned(">", a, b), a, b)


def _each_less(builder: Any, a: Any, b: Any) -> Any:
    return builder.icmp_unsigned("==", builder.bitcast(builder.icmp_unsigned("<", a, b), _INT8), _constant(_INT8, -1))


def _between_lanes(combine: Callable[..., Any]) -> Callable[..., Any]:
    def build(builder: Any, eight: Any) -> Any:
        values = [builder.extract_element(eight, _constant(_INT32, k)) for k in range(8)]
        while len(values) > 1:
            values = [combine(builder, a, b) for a, b in zip(values[::2], values[1::2], strict=True)]
        return values[0]

    return build


def _lane_by_lane(combine: Callable[..., Any]) -> Callable[..., Any]:
    return lambda builder, *args: combine(builder, *(_eight_alike(builder, value) for value in args))


_place, _one, _pair = (types.intp, types.intp), (types.uint64,), ((_eight, _eight), (_eight, types.uint64))
_compiled(_load8, lambda b, text, i: b.zext(_loaded(b, text, i, _INT8), _INT64), types.int64, _place)
_compiled(_load32, lambda b, text, i: b.sext(_loaded(b, text, i, _INT32), _INT64), types.int64, _place)
_compiled(_load64, lambda b, text, i: _loaded(b, text, i, _INT64), types.uint64, _place)
_compiled(_load_eight, _strided, _eight, (*_place, types.intp))
_compiled(_put_eight, _stored, types.void, (types.intp, types.intp, types.uint64, _eight))
_compiled(_tabs64, lambda b, text, i: _places(b, text, i, _TAB), types.uint64, _place)
_compiled(_newlines64, lambda b, text, i: _places(b, text, i, _NEWLINE), types.uint64, _place)
_compiled(_fits, lambda b, text, i, p, at: _fitting(b, text, i, i, p, at, 1), types.boolean, _place * 2)
_compiled(
    _fit_eight,
    lambda b, text, i, step, p, at: _fitting(b, text, i, step, p, at, 8),
    types.boolean,
    (*_place, types.intp, *_place),
)
_compiled(_write_pattern, _pattern, types.void, (*_place, *_place, *_one * 3))
_compiled(_store64, _word_stored, types.void, (*_place, types.int64))
_compiled(_lowest, lambda b, mask: b.cttz(mask, _constant(ir.IntType(1), 0)), types.intp, _one)
_compiled(_ones, lambda b, mask: b.ctpop(mask), types.intp, _one)
_compiled(_eight_of, _eight_alike, _eight, _one)
_compiled(operator.add, _lane_by_lane(ir.IRBuilder.add), _eight, *_pair)
_compiled(operator.sub, _lane_by_lane(ir.IRBuilder.sub), _eight, *_pair)
_compiled(operator.mul, _lane_by_lane(ir.IRBuilder.mul), _eight, *_pair)
_compiled(operator.and_, _lane_by_lane(ir.IRBuilder.and_), _eight, *_pair)
_compiled(operator.xor, _lane_by_lane(ir.IRBuilder.xor), _eight, *_pair)
_compiled(operator.rshift, _lane_by_lane(ir.IRBuilder.lshr), _eight, *_pair)
_compiled(_lesser, _lane_by_lane(_less), _eight, *_pair)
_compiled(_greater, _lane_by_lane(_more), _eight, *_pair)
_compiled(_all_below, _lane_by_lane(_each_less), types.boolean, *_pair, (types.uint64, _eight))
_compiled(_least, _between_lanes(_less), types.int64, (_eight,))
_compiled(_most, _between_lanes(_more), types.int64, (_eight,))
_compiled(_sum, _between_lanes(ir.IRBuilder.add), types.int64, (_eight,))


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
BATCH_READS = 1024


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
def fold(difference, order, counts):
    """Turn differences into counts and add them to those of the genes.

    Parameters
    ----------
    difference
        int32 (windows, bins + 1).
    order
        int64 (windows): the gene of each window, -1 for none.
    counts
        uint32 (genes, bins), added to.

    Returns
    -------
    int
        The largest count; beyond 32 bits ``counts`` cannot be trusted.
    """
    largest = np.int64(0)
    for window in range(len(order)):
        if order[window] < 0:
            continue
        gene, running = np.uint64(order[window]), np.int64(0)
        for b in range(counts.shape[1]):
            running += difference[window, b]
            count = counts[gene, b] + running
            largest = max(largest, count)
            counts[gene, b] = count
    return largest


# --- text ---

# A table of the shapes of lines. A shape is a pattern and, in words behind it, what follows from that.
_SEQUENCE, _SEPARATORS, _STEP, _START_AT, _END_AT, _STRAND_AT = range(128, 128 + 6 * 8, 8)
_START_MASK, _END_MASK, _START_TOP, _END_TOP, _KIND = range(128 + 6 * 8, 128 + 11 * 8, 8)
_SHAPE_BYTES, _SHAPE_BITS = 256, 8
# What a shape covers: nothing, for it is a free place; a line whole; or what comes before its fourth field.
_FREE, _WHOLE, _BEGINNING = 0, 1, 2


@_kernel
def _digit_mask(n):
    """Return the mask of the last ``n`` of eight bytes; all of them from eight on."""
    return _ALL << (_SIXTY_FOUR - np.uint64(8 * min(n, 8)))


@_kernel
def _below(k):
    """Return the mask of the lowest ``k`` bits of 64."""
    return _ALL >> np.uint64(64 - k) if k > 0 else np.uint64(0)


@_kernel
def _number(word, mask):
    """Return the number that the digits under the mask of a word, or of each of eight words, say."""
    x = (word ^ _ZEROS) & mask
    x = (x * _PAIR_WEIGHTS) >> _EIGHT
    x = ((x & _PAIRS) * _QUAD_WEIGHTS) >> _SIXTEEN
    return ((x & _QUADS) * _OCTET_WEIGHTS) >> _THIRTY_TWO


@_kernel
def _ninth_digit(text, first, n):
    """Return what the first of ``n`` digits at ``first`` adds if there are nine, -1 if it is none; else 0."""
    digit = _load8(text, first) - _ZERO if n == 9 else np.int64(0)
    return digit * 100_000_000 if 0 <= digit <= 9 else np.int64(-1)


@_kernel
def _gap(start, window, starts, width):
    """Return the end of the gap between windows that ``start`` lies in, 0 or more; ``start`` or less if in none.

    ``window`` is the first that can be there. From ``start`` to the end of the gap there is no window.
    """
    while np.int64(starts[window]) + width <= start:
        window += _ONE
    return max(np.int64(starts[window]), 0)


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
    """Return the strand of the line at ``at``: MINUS if its sixth field is ``-``, else PLUS, as bedtobam does."""
    for _ in range(5):
        while _load8(text, at) != _TAB:
            at += 1
        at += 1
    after = _load8(text, at + 1)
    ends = (after == _TAB) | (after == _NEWLINE) | ((after == _RETURN) & (_load8(text, at + 2) == _NEWLINE))
    return MINUS if (_load8(text, at) == _MINUS_SIGN) & ends else PLUS


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
def _separators(text, at):
    """Return the mask of the tabs and the newline of the line at ``at``, as far as 64 bytes go, and the first three."""
    ends = _newlines64(text, at)
    separators = (_tabs64(text, at) | ends) & (ends ^ (ends - _ONE))
    second = separators & (separators - _ONE)
    third = second & (second - _ONE)
    return separators, _lowest(separators), _lowest(second), _lowest(third)


@_kernel
def _place_of_shape(text, at):
    """Return where in the table of shapes that of the line at ``at`` is, or would be."""
    separators, tab1, tab2, _ = _separators(text, at)
    top = np.uint64(_load8(text, at + min(tab1, 62) + 1) * (tab2 - tab1 == 10))
    key = (_first_bytes(text, at, max(tab1, 1)) ^ separators ^ top << _THIRTY_TWO) * _MIX
    return np.int64(key >> np.uint64(64 - _SHAPE_BITS)) * _SHAPE_BYTES


@_kernel
def _fact(shapes, i):
    """Return a word of the table of shapes as a number."""
    return np.int64(_load64(shapes, i))


@_kernel
def _learn_shape(text, at, columns, names, blob, kind, before, shapes, shape):
    """Enter the shape of a line in the table.

    ``kind`` is that of the shapes so far, ``before`` the separators of the line before.

    Returns
    -------
    tuple of int
        DONE, NEW_NAME, or _SKIP if there is no pattern for this line; and the kind of shapes from now on.
    """
    newline, n_tabs = _end_of_line(text, at)
    separators, tab1, tab2, tab3 = _separators(text, at)
    n_start, n_end = tab2 - tab1 - 1, tab3 - tab2 - 1
    # The first three fields must lie within the 64 bytes that are looked at.
    if (
        _is_header(text, at)
        | (not _has_columns(text, at, newline, n_tabs, columns))
        | (tab3 >= 64)
        | (tab1 == 0)
        | (not 0 < n_start <= 9)
        | (not 0 < n_end <= 9)
    ):
        return _SKIP, kind
    start_top, end_top = _ninth_digit(text, at + tab1 + 1, n_start), _ninth_digit(text, at + tab2 + 1, n_end)
    if start_top < 0 or end_top < 0:
        return _SKIP, kind
    sequence = np.int64(names[_find_name(text, at, tab1, names, blob), _ID]) - 1
    if sequence < 0:
        return NEW_NAME, kind
    # Where lines are long, or begin alike and end differently, each one's end is looked for.
    begins_alike = (separators ^ before) & _below(tab3 + 1) == 0
    if newline - at >= 64 or (columns > 3 and begins_alike and separators != before):
        kind = _BEGINNING
    last = newline - at if kind == _WHOLE else tab3
    digits = _below(tab2) & ~_below(max(tab1 + 1, tab2 - 8))
    digits |= _below(tab3) & ~_below(max(tab2 + 1, tab3 - 8))
    # A carriage return before the newline is no part of the last field: all lines of the shape have it, or none.
    is_crlf = kind == _WHOLE and _load8(text, newline - 1) == _RETURN
    free = _below(last - 1 if is_crlf else last) & ~_below(tab3) & ~separators
    _write_pattern(shapes, shape, text, at, _below(last + 1) & ~digits & ~free, digits, free)
    after_fourth = separators & ~_below(tab3 + 1)
    after_fourth &= after_fourth - _ONE
    tab5, end_of_sixth = _lowest(after_fourth), _lowest(after_fourth & (after_fourth - _ONE))
    if is_crlf and end_of_sixth == newline - at:
        end_of_sixth -= 1
    # A sixth field of more than one byte is no minus: the tab before it stands for a plus.
    strand_at = tab5 + 1 if end_of_sixth == tab5 + 2 else tab5
    _store64(shapes, shape + _SEQUENCE, sequence)
    _store64(shapes, shape + _SEPARATORS, np.int64(separators))
    _store64(shapes, shape + _STEP, newline + 1 - at)
    _store64(shapes, shape + _START_AT, tab2 - 8)
    _store64(shapes, shape + _END_AT, tab3 - 8)
    _store64(shapes, shape + _STRAND_AT, strand_at)
    _store64(shapes, shape + _START_MASK, np.int64(_digit_mask(n_start)))
    _store64(shapes, shape + _END_MASK, np.int64(_digit_mask(n_end)))
    _store64(shapes, shape + _START_TOP, start_top)
    _store64(shapes, shape + _END_TOP, end_top)
    _store64(shapes, shape + _KIND, kind)
    return DONE, kind


@_kernel
def _parse_lines(
    text, at, end, columns, names, blob, sites, tiles, starts, width, stranded, kind, shapes, batch, reads_on, tally
):
    """Parse whole lines from ``at`` on, until a batch is full of reads that may lie in a window.

    The tally is kept but for IN_WINDOWS; CURSOR is where parsing stopped.

    Returns
    -------
    tuple
        What :func:`count_text` returns, the number of reads in the batch, and the kind of shapes from now on.
    """
    status, n, rows = DONE, np.uint64(0), _bytes_of(batch)
    lines, past_end, run = np.int64(0), np.int64(0), np.int64(0)
    shortest, longest, total = tally[MIN_LENGTH], tally[MAX_LENGTH], tally[SUM_LENGTH]
    shortest_of, longest_of, total_of = _eight_of(FAR), _eight_of(0), _eight_of(0)
    # The sequence of the line before: its id and its place in the table of sequences; -1 before the first.
    identity, tile_first, tile_last, size = np.int64(-1), np.int64(0), np.int64(0), np.int64(0)
    # The shape of the line before. Most lines have it.
    shape, step, start_at, end_at, strand_at = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    start_mask, end_mask, start_top, end_top = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    separators, alike, tried = np.uint64(0), 0, np.int64(-1)
    # The gap of the last read: no window overlaps [gap_begin, gap_end).
    gap_begin, gap_end = np.uint64(FAR), np.uint64(0)
    while True:
        # After eight lines of one shape on one sequence, eight at once as long as they have it too.
        while alike == 8 and kind == _WHOLE and at + 8 * step <= end and n + _EIGHT <= BATCH_READS:
            if not _fit_eight(text, at, step, shapes, shape):
                break
            begins = _number(_load_eight(text, at + start_at, step), start_mask) + start_top
            ends = _number(_load_eight(text, at + end_at, step), end_mask) + end_top
            if not (_all_below(begins, ends) and _all_below(ends, np.uint64(min(size, _MAX_POSITION) + 1))):
                break
            spans = ends - begins
            shortest_of, longest_of = _lesser(shortest_of, spans), _greater(longest_of, spans)
            total_of = total_of + spans
            if not (_all_below(gap_begin, begins + _ONE) and _all_below(ends, gap_end + _ONE)):
                tile = _lesser(begins >> np.uint64(TILE_BITS), np.uint64(tile_last)) + np.uint64(tile_first)
                _put_eight(rows, _TILE, n, tile)
                _put_eight(rows, _START, n, begins)
                _put_eight(rows, _END, n, ends)
                if stranded:
                    signs = _load_eight(text, at + strand_at, step) & _BYTE
                    is_plus = _lesser(signs ^ np.uint64(_MINUS_SIGN), _ONE)
                    _put_eight(rows, _STRAND, n, _eight_of(MINUS) - is_plus)
                n += _EIGHT
                start = np.int64(batch[_START, n - _ONE])
                gap_begin = np.uint64(start)
                gap_end = np.uint64(_gap(start, np.uint64(tiles[np.uint64(batch[_TILE, n - _ONE])]), starts, width))
            lines, run, at = lines + 8, run + 8, at + 8 * step
        alike = 0
        # Lines of one shape on one sequence, one after the other. Anything else ends the loop.
        while identity >= 0 and alike < 8 and at < end and n < BATCH_READS:
            if not _fits(text, at, shapes, shape):
                break
            if kind == _BEGINNING:
                newline, n_tabs = _end_of_line(text, at)
                step = newline + 1 - at
                if not _has_columns(text, at, newline, n_tabs, columns):
                    break
            start = np.int64(_number(_load64(text, at + start_at), start_mask) + start_top)
            stop = np.int64(_number(_load64(text, at + end_at), end_mask) + end_top)
            if (stop <= start) | (stop > _MAX_POSITION):
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
            lines, run, alike, at = lines + 1, run + 1, alike + 1, at + step
        if at >= end or n == BATCH_READS:
            break
        if alike == 8:
            continue
        if at != tried:
            # Another shape or another sequence: one of those in the table, or it is learned from this line.
            tried = at
            place, code = _place_of_shape(text, at), DONE
            if _fact(shapes, place + _KIND) != kind or not _fits(text, at, shapes, place):
                code, kind = _learn_shape(text, at, columns, names, blob, kind, separators, shapes, place)
                if code == NEW_NAME:
                    status = NEW_NAME
                    break
            if code == DONE:
                shape, found = place, _fact(shapes, place + _SEQUENCE)
                if found != identity:
                    if identity >= 0:
                        reads_on[identity] += run
                    identity, run = found, np.int64(0)
                    tile_first, tile_last, size = sites[found, TILE_FIRST], sites[found, TILE_LAST], sites[found, SIZE]
                    gap_begin, gap_end = np.uint64(FAR), np.uint64(0)
                separators, step = _load64(shapes, shape + _SEPARATORS), _fact(shapes, shape + _STEP)
                start_at, end_at = _fact(shapes, shape + _START_AT), _fact(shapes, shape + _END_AT)
                strand_at = _fact(shapes, shape + _STRAND_AT)
                start_mask, end_mask = _load64(shapes, shape + _START_MASK), _load64(shapes, shape + _END_MASK)
                start_top, end_top = _load64(shapes, shape + _START_TOP), _load64(shapes, shape + _END_TOP)
                continue
        newline, _ = _end_of_line(text, at)
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
        elif code != _SKIP:
            status = code
            break
        lines += 1
        at = newline + 1
    if identity >= 0:
        reads_on[identity] += run
    tally[LINES] += lines
    tally[PAST_END] += past_end
    tally[MIN_LENGTH] = min(shortest, _least(shortest_of))
    tally[MAX_LENGTH] = max(longest, _most(longest_of))
    tally[SUM_LENGTH] = total + _sum(total_of)
    tally[CURSOR] = at
    return status, n, kind


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
    batch, shapes, kind = np.zeros((4, BATCH_READS), np.int32), np.zeros(_SHAPE_BYTES << _SHAPE_BITS, np.uint8), _WHOLE
    width = np.int64((difference.shape[1] - 1) * bin_size)
    tally[CURSOR] = begin
    status = DONE
    while status == DONE and tally[CURSOR] < end:
        status, n, kind = _parse_lines(
            text,
            tally[CURSOR],
            end,
            columns,
            names,
            name_bytes,
            sites,
            tiles,
            starts,
            width,
            stranded,
            kind,
            _bytes_of(shapes),
            batch,
            reads_on,
            tally,
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
    fold(difference, np.full(1, -1), np.zeros((1, 1), np.uint32))
