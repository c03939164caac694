"""Change reads before they count: shift, extend, or reduce them to one position, and leave out blacklisted ones."""

import numpy as np

from deepchrome.engine.kernels.jit import helper, inlined
from deepchrome.engine.kernels.layout import (
    BLOCKS,
    CENTER,
    END,
    FIVE_PRIME,
    MASK_FIRST,
    MASK_LAST,
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
from deepchrome.engine.kernels.lines import is_reverse

_ONE = np.uint64(1)


@helper
def change_reads(batch, n, text, rule, tally):
    """Change the reads of a batch by the rule, drop those that do not count, and look up the tiles of the others.

    The order of the steps is: shift; then five-prime or center, or extend; then blacklist. docs/definitions.md defines
    each of them.

    Parameters
    ----------
    batch, n
        int32 (BATCH_ROWS, columns) and the number of its reads. TILE is the local id of the sequence, and becomes the
        tile of the start.
    text
        Address of the buffer that the reads come from.
    rule, tally
        See ``layout``.

    Returns
    -------
    int
        The number of columns left; they come first.
    """
    kept, k = np.uint64(0), np.uint64(0)
    while k < np.uint64(n):
        first, last = k, k + np.uint64(batch[BLOCKS, k])
        k = last + _ONE
        start, end = np.int64(batch[START, first]), np.int64(batch[END, last])
        target = rule.targets[np.uint64(batch[TILE, first])]
        if first == last:  # the blocks of a spliced read stay as they are
            reverse = is_reverse(text, batch[STRAND_AT, first], rule.strand_mask, rule.strand_value)
            if rule.shift:
                moved = -rule.shift if reverse else rule.shift
                start, end = start + moved, end + moved
                if end <= 0 or start >= target[SIZE]:  # guard: shifted-off
                    tally[Tally.OFF_END] += 1
                    continue
            start, end = _resize(start, end, reverse, target[SIZE], rule)
            if end <= 0:  # the point of a read that is partly before its sequence
                continue
            batch[START, first], batch[END, first] = start, min(end, MAX_POSITION)
        if _is_blacklisted(rule.blacklist, target[MASK_FIRST], target[MASK_LAST], start, end):
            tally[Tally.BLACKLISTED] += 1
            continue
        for block in range(first, last + _ONE):
            place = max(np.int64(batch[START, block]), 0) >> TILE_BITS
            for row in range(START, BLOCKS + 1):
                batch[row, kept] = batch[row, block]
            batch[TILE, kept] = target[TILE_FIRST] + min(place, target[TILE_LAST])
            kept += _ONE
    return np.int64(kept)


@inlined
def _resize(start, end, reverse, size, rule):
    """Return the start and the end of a read after point or extension. It may lie outside its sequence."""
    if rule.point == FIVE_PRIME:
        start = end - 1 if reverse else start
        end = start + 1
    elif rule.point == CENTER:
        start = (start + end - 1) >> 1
        end = start + 1
    elif end - start < rule.extend:
        if reverse:
            start = min(start, max(end - rule.extend, 0))
        else:
            end = max(end, min(start + rule.extend, size))
    return start, end


@inlined
def _is_blacklisted(blacklist, first, last, start, end):
    """Return whether [start, end) overlaps one of the sorted, disjoint intervals in rows [first, last)."""
    after = last
    while first < last:  # the first interval that ends after the start
        middle = (first + last) >> 1
        if blacklist[middle, 1] <= start:
            first = middle + 1
        else:
            last = middle
    return first < after and blacklist[first, 0] < end
