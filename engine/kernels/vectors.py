"""SIMD primitives, each in two forms: plain Python, which defines it, and LLVM instructions, which compiled code runs.

Compiled code takes the address of a buffer, because passing an array to a function costs two atomic operations on its
reference count. Plain Python (``NUMBA_DISABLE_JIT=1``) takes the array itself and checks the bounds of every access.
Compiled primitives do not check bounds.

Eight numbers are one vector in compiled code and an array of uint64 in plain Python. Code that uses only operators
works for one number and for eight.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import overload

from deepchrome.engine.kernels.layout import BATCH_COLUMNS, N_NAME_COLUMNS
from deepchrome.engine.kernels.llvm import (
    BIT,
    BITS,
    BYTES,
    EIGHT_INT32,
    EIGHT_INT64,
    INT8,
    INT32,
    INT64,
    EightType,
    broadcast,
    constant,
    elementwise,
    load,
    lowers,
    pointer,
    store,
)

# ASCII codes.
TAB, NEWLINE, RETURN, ZERO = 9, 10, 13, 48

# numba types of arguments and results. An ADDRESS is that of a buffer. A MASK is any uint64: a mask, an element of a
# vector, or a column of a batch.
ADDRESS = INDEX = types.intp
NUMBER, MASK, BOOL, NONE, EIGHT = types.int64, types.uint64, types.boolean, types.void, EightType()


def address_of(buffer: Any) -> Any:
    """Return an array in the form that the primitives take: in compiled code, its address."""
    return buffer


overload(address_of)(lambda buffer: lambda buffer: buffer.ctypes.data)


# --- load and store ---


def _slice(buffer: Any, i: int, n: int) -> Any:
    """Return ``n`` bytes from ``i``; unlike a slice of numpy, raise an IndexError if they are out of bounds."""
    if not 0 <= i <= len(buffer) - n:
        raise IndexError(f"{n} bytes at {i} of {len(buffer)}")
    return buffer[i : i + n]


def load8(buffer: Any, i: int) -> int:
    """Return byte ``i``."""
    return int(_slice(buffer, i, 1)[0])


@lowers(load8, NUMBER(ADDRESS, INDEX))
def _(builder: Any, buffer: Any, i: Any) -> Any:
    return builder.zext(load(builder, buffer, i, INT8), INT64)


def load32(buffer: Any, i: int) -> int:
    """Return the little-endian int32 at byte ``i``."""
    return int.from_bytes(_slice(buffer, i, 4).tobytes(), "little", signed=True)


@lowers(load32, NUMBER(ADDRESS, INDEX))
def _(builder: Any, buffer: Any, i: Any) -> Any:
    return builder.sext(load(builder, buffer, i, INT32), INT64)


def load64(buffer: Any, i: int) -> np.uint64:
    """Return the little-endian uint64 at byte ``i``."""
    return np.uint64(int.from_bytes(_slice(buffer, i, 8).tobytes(), "little"))


@lowers(load64, MASK(ADDRESS, INDEX))
def _(builder: Any, buffer: Any, i: Any) -> Any:
    return load(builder, buffer, i, INT64)


def prefetch(buffer: Any, i: int) -> None:
    """Start to load the cache line of byte ``i``, which need not exist."""


@lowers(prefetch, NONE(ADDRESS, INDEX))
def _(builder: Any, buffer: Any, i: Any) -> None:
    byte = pointer(builder, buffer, i, INT8)
    kind = ir.FunctionType(ir.VoidType(), [byte.type, INT32, INT32, INT32])
    intrinsic = builder.module.declare_intrinsic("llvm.prefetch", [byte.type], kind)
    for_reading, in_all_caches, data = constant(INT32, 0), constant(INT32, 3), constant(INT32, 1)
    builder.call(intrinsic, [byte, for_reading, in_all_caches, data])


def load_eight(buffer: Any, i: int, step: int) -> Any:
    """Return eight uint64; the first is at byte ``i``, each of the others ``step`` bytes after the one before."""
    return np.array([load64(buffer, i + k * step) for k in range(8)], np.uint64)


@lowers(load_eight, EIGHT(ADDRESS, INDEX, INDEX))
def _(builder: Any, buffer: Any, i: Any, step: Any) -> Any:
    values = ir.Constant(EIGHT_INT64, ir.Undefined)
    for k in range(8):
        values = builder.insert_element(values, load(builder, buffer, i, INT64), constant(INT32, k))
        i = builder.add(i, step)
    return values


def store64(buffer: Any, i: int, value: int) -> None:
    """Store an int64 at byte ``i``."""
    buffer[i : i + 8] = np.frombuffer(np.int64(value).tobytes(), np.uint8)


@lowers(store64, NONE(ADDRESS, INDEX, NUMBER))
def _(builder: Any, buffer: Any, i: Any, value: Any) -> None:
    store(builder, buffer, i, value)


def int32_at(numbers: Any, i: int) -> int:
    """Return element ``i`` of an array of int32, counted through all its rows."""
    return int(numbers.reshape(-1)[_in_bounds(numbers, i)])


@lowers(int32_at, NUMBER(ADDRESS, INDEX), NUMBER(ADDRESS, MASK))
def _(builder: Any, numbers: Any, i: Any) -> Any:
    return builder.sext(load(builder, numbers, builder.mul(i, constant(INT64, 4)), INT32), INT64)


def uint32_at(numbers: Any, i: int) -> int:
    """Return element ``i`` of an array of uint32, counted through all its rows."""
    return int(numbers.reshape(-1)[_in_bounds(numbers, i)])


@lowers(uint32_at, NUMBER(ADDRESS, INDEX), NUMBER(ADDRESS, MASK))
def _(builder: Any, numbers: Any, i: Any) -> Any:
    return builder.zext(load(builder, numbers, builder.mul(i, constant(INT64, 4)), INT32), INT64)


def int64_at(numbers: Any, i: int) -> int:
    """Return element ``i`` of an array of int64, counted through all its rows."""
    return int(numbers.reshape(-1)[_in_bounds(numbers, i)])


@lowers(int64_at, NUMBER(ADDRESS, INDEX), NUMBER(ADDRESS, MASK))
def _(builder: Any, numbers: Any, i: Any) -> Any:
    return load(builder, numbers, builder.mul(i, constant(INT64, 8)), INT64)


def set_int64(numbers: Any, i: int, value: int) -> None:
    """Set element ``i`` of an array of int64, counted through all its rows."""
    numbers.reshape(-1)[_in_bounds(numbers, i)] = value


@lowers(set_int64, NONE(ADDRESS, INDEX, NUMBER), NONE(ADDRESS, MASK, NUMBER))
def _(builder: Any, numbers: Any, i: Any, value: Any) -> None:
    store(builder, numbers, builder.mul(i, constant(INT64, 8)), value)


def increment(numbers: Any, i: int) -> None:
    """Add 1 to element ``i`` of an array of int32, counted through all its rows."""
    numbers.reshape(-1)[_in_bounds(numbers, i)] += 1


@lowers(increment, NONE(ADDRESS, MASK))
def _(builder: Any, numbers: Any, i: Any) -> None:
    at = builder.mul(i, constant(INT64, 4))
    store(builder, numbers, at, builder.add(load(builder, numbers, at, INT32), constant(INT32, 1)))


def _in_bounds(numbers: Any, i: int) -> int:
    """Return ``i``; unlike numpy, raise an IndexError if it is negative."""
    if not 0 <= i < numbers.size:
        raise IndexError(f"element {i} of {numbers.size}")
    return int(i)


def name_column(slots: Any, slot: int, column: int) -> np.uint64:
    """Return one number of one slot of a table of names. ``slots`` is uint64 (slots, N_NAME_COLUMNS)."""
    return np.uint64(slots[slot, column])


@lowers(name_column, MASK(ADDRESS, INDEX, INDEX))
def _(builder: Any, slots: Any, slot: Any, column: Any) -> Any:
    return load(builder, slots, _byte_offset(builder, slot, column, N_NAME_COLUMNS, 8), INT64)


def put(batch: Any, row: int, k: int, value: int) -> None:
    """Store a number in a batch of reads, int32 (4, BATCH_COLUMNS)."""
    batch[row, k] = value


@lowers(put, NONE(ADDRESS, INDEX, MASK, NUMBER))
def _(builder: Any, batch: Any, row: Any, k: Any, value: Any) -> None:
    store(builder, batch, _byte_offset(builder, row, k, BATCH_COLUMNS, 4), builder.trunc(value, INT32))


def put_eight(batch: Any, row: int, k: int, values: Any) -> None:
    """Store eight numbers in a row of a batch, from column ``k``."""
    batch[row, k : k + np.uint64(8)] = values


@lowers(put_eight, NONE(ADDRESS, INDEX, MASK, EIGHT))
def _(builder: Any, batch: Any, row: Any, k: Any, values: Any) -> None:
    store(builder, batch, _byte_offset(builder, row, k, BATCH_COLUMNS, 4), builder.trunc(values, EIGHT_INT32))


def eight_of(batch: Any, row: int, k: int) -> Any:
    """Return eight numbers of a row of a batch, from column ``k``; a negative one as uint64 modulo 2^64."""
    return batch[row, k : k + np.uint64(8)].astype(np.int64).view(np.uint64)


@lowers(eight_of, EIGHT(ADDRESS, INDEX, MASK))
def _(builder: Any, batch: Any, row: Any, k: Any) -> Any:
    numbers = load(builder, batch, _byte_offset(builder, row, k, BATCH_COLUMNS, 4), EIGHT_INT32)
    return builder.sext(numbers, EIGHT_INT64)


def _byte_offset(builder: Any, row: Any, column: Any, n_columns: int, item_bytes: int) -> Any:
    item = builder.add(builder.mul(row, constant(INT64, n_columns)), column)
    return builder.mul(item, constant(INT64, item_bytes))


# --- 64 bytes at once ---


def tabs64(text: Any, i: int) -> np.uint64:
    """Return which of 64 bytes are tabs: bit ``k`` for byte ``i + k``."""
    return _mask_of(text, i, TAB)


@lowers(tabs64, MASK(ADDRESS, INDEX))
def _(builder: Any, text: Any, i: Any) -> Any:
    return _bits_equal(builder, text, i, TAB)


def newlines64(text: Any, i: int) -> np.uint64:
    """Return which of 64 bytes are newlines: bit ``k`` for byte ``i + k``."""
    return _mask_of(text, i, NEWLINE)


@lowers(newlines64, MASK(ADDRESS, INDEX))
def _(builder: Any, text: Any, i: Any) -> Any:
    return _bits_equal(builder, text, i, NEWLINE)


def _mask_of(text: Any, i: int, byte: int) -> np.uint64:
    bits = np.packbits(_slice(text, i, 64) == byte, bitorder="little")
    return np.uint64(int.from_bytes(bits.tobytes(), "little"))


def _bits_equal(builder: Any, text: Any, i: Any, byte: int) -> Any:
    return builder.bitcast(builder.icmp_unsigned("==", load(builder, text, i, BYTES), constant(BYTES, byte)), INT64)


def matches(text: Any, i: int, patterns: Any, at: int) -> bool:
    """Return whether 64 bytes match a pattern.

    A pattern is 128 bytes: the least value of each of the 64 bytes, then how much larger (modulo 256) each may be.
    """
    return bool(np.all(_slice(text, i, 64) - _slice(patterns, at, 64) <= _slice(patterns, at + 64, 64)))


@lowers(matches, BOOL(ADDRESS, INDEX, ADDRESS, INDEX))
def _(builder: Any, text: Any, i: Any, patterns: Any, at: Any) -> Any:
    return _match_lines(builder, text, i, i, patterns, at, 1)  # one line, so the step does not matter


def matches_eight(text: Any, i: int, step: int, patterns: Any, at: int) -> bool:
    """Return whether eight lines of ``step`` bytes, the first at ``i``, all match a pattern."""
    return all(matches(text, i + k * step, patterns, at) for k in range(8))


@lowers(matches_eight, BOOL(ADDRESS, INDEX, INDEX, ADDRESS, INDEX))
def _(builder: Any, text: Any, i: Any, step: Any, patterns: Any, at: Any) -> Any:
    return _match_lines(builder, text, i, step, patterns, at, 8)


def _match_lines(builder: Any, text: Any, i: Any, step: Any, patterns: Any, at: Any, n_lines: int) -> Any:
    least = load(builder, patterns, at, BYTES)
    spread = load(builder, patterns, builder.add(at, constant(INT64, 64)), BYTES)
    matching = constant(BITS, 1)
    for _ in range(n_lines):
        above = builder.sub(load(builder, text, i, BYTES), least)
        matching = builder.and_(matching, builder.icmp_unsigned("<=", above, spread))
        i = builder.add(i, step)
    return builder.icmp_unsigned("==", builder.bitcast(matching, INT64), constant(INT64, -1))


# Allowed values of a byte, as least value and spread. A field may contain any byte but 9 to 13, which include tab,
# newline and carriage return: from 14 up to 255 and, modulo 256, on to 8.
_DIGIT = (ZERO, 9)  # guard: digits
_IN_FIELD = (RETURN + 1, 250)  # guard: carriage-return-in-field
_ANYTHING = (0, 255)


def write_pattern(patterns: Any, at: int, text: Any, i: int, fixed: Any, digits: Any, fields: Any) -> None:
    """Make a pattern from 64 bytes of text.

    Each mask has one bit for each byte. A matching text must have the same bytes where ``fixed`` is set, digits where
    ``digits`` is set, no separators where ``fields`` is set, and any bytes elsewhere.
    """
    for k in range(64):
        is_fixed, is_digit, is_field = (int(mask) >> k & 1 for mask in (fixed, digits, fields))
        pattern = (text[i + k], 0) if is_fixed else _DIGIT if is_digit else _IN_FIELD if is_field else _ANYTHING
        patterns[at + k], patterns[at + 64 + k] = pattern


@lowers(write_pattern, NONE(ADDRESS, INDEX, ADDRESS, INDEX, MASK, MASK, MASK))
def _(builder: Any, patterns: Any, at: Any, text: Any, i: Any, *masks: Any) -> None:
    fixed, digits, fields = (builder.bitcast(mask, BITS) for mask in masks)
    here = load(builder, text, i, BYTES)
    for half, if_fixed in enumerate((here, constant(BYTES, 0))):
        digit, in_field, anything = (constant(BYTES, pattern[half]) for pattern in (_DIGIT, _IN_FIELD, _ANYTHING))
        value = builder.select(digits, digit, builder.select(fields, in_field, anything))
        place = builder.add(at, constant(INT64, 64 * half))
        store(builder, patterns, place, builder.select(fixed, if_fixed, value))


# --- bits ---


def lowest_bit(mask: np.uint64) -> int:
    """Return the number of the lowest bit that is set, 64 if none is."""
    value = int(mask)
    return (value & -value).bit_length() - 1 if value else 64


@lowers(lowest_bit, INDEX(MASK))
def _(builder: Any, mask: Any) -> Any:
    return builder.cttz(mask, constant(BIT, 0))


def count_bits(mask: np.uint64) -> int:
    """Return the number of bits that are set."""
    return int(mask).bit_count()


@lowers(count_bits, INDEX(MASK))
def _(builder: Any, mask: Any) -> Any:
    return builder.ctpop(mask)


# --- eight numbers at once ---

# The operands of an operation: two vectors, or a vector and a number.
_TWO = ((EIGHT, EIGHT), (EIGHT, MASK))

for _operator, _instruction in (
    (operator.add, ir.IRBuilder.add),
    (operator.sub, ir.IRBuilder.sub),
    (operator.mul, ir.IRBuilder.mul),
    (operator.and_, ir.IRBuilder.and_),
    (operator.xor, ir.IRBuilder.xor),
    (operator.rshift, ir.IRBuilder.lshr),
):
    lowers(_operator, *(EIGHT(*operands) for operands in _TWO))(elementwise(_instruction))


def smaller(a: Any, b: Any) -> Any:
    """Return the smaller number of each pair of elements."""
    return np.minimum(a, b)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.icmp_unsigned("<", a, b), a, b)


lowers(smaller, *(EIGHT(*operands) for operands in _TWO))(elementwise(_smaller))


def all_less(a: Any, b: Any) -> bool:
    """Return whether ``a < b`` for all eight elements; either may be a single number."""
    return bool(np.all(a < b))


@lowers(all_less, *(BOOL(*operands) for operands in (*_TWO, (MASK, EIGHT))))
@elementwise
def _(builder: Any, a: Any, b: Any) -> Any:
    less = builder.bitcast(builder.icmp_unsigned("<", a, b), INT8)
    return builder.icmp_unsigned("==", less, constant(INT8, -1))


def element_of(eight: Any, k: int) -> np.int64:
    """Return element ``k`` of eight numbers."""
    return np.int64(eight[k])


@lowers(element_of, NUMBER(EIGHT, INDEX))
def _(builder: Any, eight: Any, k: Any) -> Any:
    return builder.extract_element(eight, k)


def counting_up(first: int, step: int) -> Any:
    """Return a vector of ``first``, ``first + step`` and so on."""
    return np.uint64(first) + np.uint64(step) * np.arange(8, dtype=np.uint64)


@lowers(counting_up, EIGHT(INDEX, INDEX))
def _(builder: Any, first: Any, step: Any) -> Any:
    numbers = ir.Constant(EIGHT_INT64, list(range(8)))
    return builder.add(builder.mul(broadcast(builder, step), numbers), broadcast(builder, first))
