"""Read decimal numbers from text."""

import numpy as np

from deepchrome.engine.kernels.jit import helper, inlined
from deepchrome.engine.kernels.layout import MAX_POSITION
from deepchrome.engine.kernels.vectors import ZERO, load8

_ZEROS = np.uint64(0x3030303030303030)
_PAIRS, _PAIR_WEIGHTS = np.uint64(0x00FF00FF00FF00FF), np.uint64(2561)  # 10 * 2^8 + 1
_QUADS, _QUAD_WEIGHTS = np.uint64(0x0000FFFF0000FFFF), np.uint64(6553601)  # 100 * 2^16 + 1
_OCTET_WEIGHTS = np.uint64(42949672960001)  # 10,000 * 2^32 + 1


@inlined
def digit_mask(n):
    """Return a mask that keeps the last ``n`` of eight bytes; it keeps all of them if n > 8."""
    return np.uint64(0xFFFFFFFFFFFFFFFF) << (np.uint64(64) - np.uint64(8 * min(n, 8)))


@inlined
def parse_eight_digits(word, mask):
    """Return the number whose ASCII digits a word contains; for a vector of eight words, eight numbers.

    ``mask`` selects the bytes that are digits. Three multiplications join digits into numbers of two, four and
    eight digits. See Daniel Lemire, "Quickly parsing eight digits", 2018.
    """
    x = (word ^ _ZEROS) & mask
    x = (x * _PAIR_WEIGHTS) >> np.uint64(8)
    x = ((x & _PAIRS) * _QUAD_WEIGHTS) >> np.uint64(16)
    return ((x & _QUADS) * _OCTET_WEIGHTS) >> np.uint64(32)


@helper
def ninth_digit(text, first, n):
    """Return the value of the ninth digit from the right: the digit times 10^8.

    Return 0 if the number has fewer than nine digits, and -1 if the byte is not a digit. ``first`` is the position of
    the number, ``n`` the number of its digits.
    """
    digit = load8(text, first) - ZERO if n == 9 else np.int64(0)
    return digit * 100_000_000 if 0 <= digit <= 9 else np.int64(-1)


@helper
def parse_number(text, first, last):
    """Return the number in [first, last); leading zeros are allowed.

    Return -1 if there is a byte that is not a digit, or no byte at all; -2 if the number exceeds ``MAX_POSITION``.
    """
    if first >= last:
        return np.int64(-1)
    value = np.int64(0)
    for i in range(first, last):
        digit = load8(text, i) - ZERO
        if digit < 0 or digit > 9:
            return np.int64(-1)
        value = min(value * 10 + digit, np.int64(1) << 40)
    return value if value <= MAX_POSITION else np.int64(-2)
