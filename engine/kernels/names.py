"""A hash table from sequence names to ids. Each counting thread has its own, so no lock is needed."""

from typing import Any, NamedTuple

import numpy as np

from deepchrome.engine.kernels.jit import entry_point, helper, inlined
from deepchrome.engine.kernels.layout import HEAD, ID, LENGTH, PLACE, TAIL
from deepchrome.engine.kernels.vectors import address_of, load8, load64, name_column

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, as in Fibonacci hashing


class Names(NamedTuple):
    """A ``NameTable`` with addresses instead of arrays: passing it on costs no reference counting."""

    slots: Any
    last: int
    """The number of slots minus 1: a mask, as the number of slots is a power of two."""
    text: Any


@entry_point
def add_names(names, place, lengths, identity):
    """Add names to a table, which must have free slots for them.

    Parameters
    ----------
    names
        A ``NameTable``.
    place
        Where in ``names.text`` the new names begin. They lie one after another.
    lengths
        int64 (n,): the length of each, in bytes.
    identity
        The id of the first one, 0 or more; the others follow.
    """
    slots, text = names.slots, address_of(names.text)
    for length in lengths:
        slot = find_slot(text, place, length, open_names(names))
        slots[slot, HEAD] = first_bytes(text, place, length)
        slots[slot, TAIL] = _last_bytes(text, place, length)
        slots[slot, LENGTH], slots[slot, PLACE], slots[slot, ID] = length, place, identity + 1
        place += length
        identity += 1


@inlined
def open_names(names):
    """Return the ``Names`` of a ``NameTable``."""
    return Names(address_of(names.slots), np.int64(len(names.slots) - 1), address_of(names.text))


@helper
def find_id(text, at, length, names):
    """Return the id of a name, or -1 if it is not in the table."""
    return np.int64(name_column(names.slots, find_slot(text, at, length, names), ID)) - 1


@helper
def find_slot(text, at, length, names):
    """Return the slot of a name, or the free slot where it belongs."""
    slots = names.slots
    head, tail = first_bytes(text, at, length), _last_bytes(text, at, length)
    digest, k = head ^ (tail << np.uint64(1)) ^ np.uint64(length), np.int64(8)
    while k < length - 8:  # the contigs of an assembly may differ only here
        digest, k = digest * HASH_FACTOR ^ load64(text, at + k), k + 8
    slot = np.int64((digest * HASH_FACTOR) >> np.uint64(32)) & names.last
    while name_column(slots, slot, ID):
        if (
            name_column(slots, slot, HEAD) == head
            and name_column(slots, slot, TAIL) == tail
            and np.int64(name_column(slots, slot, LENGTH)) == length
        ):
            # The first and last eight bytes are equal; compare those between.
            place, k = np.int64(name_column(slots, slot, PLACE)), np.int64(8)
            while k < length - 8 and load8(text, at + k) == load8(names.text, place + k):
                k += 1
            if k >= length - 8:
                break
        slot = (slot + 1) & names.last
    return slot


@helper
def first_bytes(text, at, length):
    """Return the first eight bytes of a name as a number; all bytes if it has fewer."""
    mask = _ALL >> np.uint64(8 * (8 - min(length, 8)))
    return load64(text, at) & mask


@helper
def _last_bytes(text, at, length):
    """Return the last eight bytes of a name as a number; 0 if it has only eight or fewer."""
    return load64(text, at + length - 8) if length > 8 else np.uint64(0)
