"""Count batches of reads in the regions that they overlap."""

from typing import Any, NamedTuple

import numpy as np

from deepchrome.engine.kernels.changes import change_reads
from deepchrome.engine.kernels.jit import helper, inlined
from deepchrome.engine.kernels.layout import (
    BATCH_COLUMNS,
    BLOCKS,
    END,
    MAX_LENGTH,
    MINUS,
    PLUS,
    SPAN_GROUP,
    START,
    STRAND_AT,
    TILE,
    TILE_BITS,
    Tally,
)
from deepchrome.engine.kernels.lines import is_reverse
from deepchrome.engine.kernels.segments import (
    INVERSE_BITS,
    TILE_BP,
    find_segment,
    first_of,
    number_of,
    open_segments,
    origin_of,
    points_up_to,
)
from deepchrome.engine.kernels.vectors import (
    address_of,
    all_less,
    eight_of,
    element_of,
    increment,
    int32_at,
    int64_at,
    set_int64,
    uint32_at,
)

_ONE, _TWO, _EIGHT, _GROUP = np.uint64(1), np.uint64(2), np.uint64(8), np.uint64(SPAN_GROUP)
# Factors that mix the bits of a key: odd numbers, from the golden ratio and from xxHash.
_MIX_START, _MIX_END = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_UPPER_HALF = np.uint64(0xFFFFFFFF00000000)


@helper
def count_batch(batch, n, text, segments, spans, rule, totals):
    """Count the first ``n`` columns of a batch in all regions that its reads overlap.

    Parameters
    ----------
    batch, n
        int32 (BATCH_ROWS, columns), rows as in ``layout``. Overwritten if the rule changes reads.
    text
        Address of the buffer that the reads come from.
    segments, spans, rule, totals
        See ``layout``. ``spans`` is used only if ``rule.by_span``.
    """
    if rule.changes:
        n = np.uint64(change_reads(batch, n, text, rule, totals.tally))
    if rule.by_span:
        _count_in_spans(batch, n, text, segments, spans, rule, totals)
    else:
        _count_in_segments(batch, n, text, segments, rule, totals)


@helper
def _count_in_segments(batch, n, text, segments, rule, totals):
    """Add 1 to the segment of each read's start, and 1 to the segment of its last base.

    Each of the four loops has few branches, so the processor works on many reads at the same time. Eight reads at a
    time that are alike take the shortest way.
    """
    opened, accepts = open_segments(segments), segments.accepts
    hits, sample, tally = address_of(totals.hits), totals.sample, totals.tally
    minus_layer = np.uint64(rule.stranded) * np.uint64(2 * len(accepts))  # where hits on the minus strand begin
    limit, n_sampled, max_sampled = totals.limit[0], np.uint64(tally[Tally.SAMPLED]), np.uint64(len(sample))
    stranded, mask, value = rule.stranded, rule.strand_mask, rule.strand_value
    n_in_regions = n_reverse = np.int64(0)
    # All indices are unsigned: for a signed one, numba would test whether it is negative, to count from the end.
    near, odd = np.empty(BATCH_COLUMNS, np.uint32), np.empty(BATCH_COLUMNS, np.uint32)
    lefts, rights = np.empty(BATCH_COLUMNS, np.int32), np.empty(BATCH_COLUMNS, np.int32)
    insides = np.empty(BATCH_COLUMNS, np.bool_)
    # Count eight reads at a time if they are alike, and select the others that can overlap a region.
    n_near = k = np.uint64(0)
    n, rows = np.uint64(n), address_of(batch)
    while k < n:
        after = min(k + _EIGHT, n)
        if not stranded and after - k == _EIGHT and _may_be_alike(opened, batch, k):
            left_hits, right_hits, keys, are_alike = _find_eight(opened, rows, k)
            if are_alike:
                for j in range(8):
                    increment(hits, np.uint64(element_of(left_hits, j)))
                    increment(hits, np.uint64(element_of(right_hits, j)))
                n_in_regions += 8
                has_samples = not all_less(limit, keys)
                for j in range(k, after):
                    reverse = is_reverse(text, batch[STRAND_AT, j], mask, value)
                    n_reverse += reverse
                    if has_samples:
                        key = np.uint64(element_of(keys, j - k))
                        if key <= limit and n_sampled < max_sampled:
                            sample[n_sampled] = _position_key(key, batch[END, j], reverse)
                            n_sampled += _ONE
                k = after
                continue
        while k < after:
            tile = np.uint64(np.uint32(batch[TILE, k]))
            is_far = (first_of(opened, tile) < 0) & (origin_of(opened, tile) >= batch[END, k])
            near[n_near] = k
            n_near += np.uint64(not is_far)
            k += _ONE
    # In most tiles, the points are at equal distances, or there are only one or two: compute the segments.
    n_odd = np.uint64(0)
    for i in range(n_near):
        k = np.uint64(near[i])
        start, end, tile = np.int64(batch[START, k]), np.int64(batch[END, k]), np.uint64(np.uint32(batch[TILE, k]))
        first, after = first_of(opened, tile), first_of(opened, tile + _ONE)
        left_end, n_points = number_of(first), number_of(after) - number_of(first)
        inverse, origin = uint32_at(opened.inverse_steps, tile), origin_of(opened, tile)
        left = points_up_to(start, origin, inverse, n_points)
        right = points_up_to(end - 1, origin, inverse, n_points)
        lefts[i], rights[i] = left_end + left, left_end + right
        insides[i] = ((left != np.uint64(0)) | (first >= 0)) & ((left != n_points) | (after >= 0))
        odd[n_odd] = i
        n_odd += np.uint64((inverse == 0) | ((right == n_points) & (origin_of(opened, tile + _ONE) < end)))
    # Search the others.
    for j in range(n_odd):
        i = np.uint64(odd[j])
        k = np.uint64(near[i])
        start, end, tile = np.int64(batch[START, k]), np.int64(batch[END, k]), np.uint64(np.uint32(batch[TILE, k]))
        left = right = find_segment(opened, tile, max(start, -1))
        if int32_at(opened.points, left) < end:
            further = np.uint64(((end - 1) >> TILE_BITS) - (max(start, 0) >> TILE_BITS))
            last_tile = np.uint64(int32_at(opened.last_tiles, tile))
            right = find_segment(opened, min(tile + further, last_tile), end - 1)
        lefts[i], rights[i] = left, right
        insides[i] = accepts[left] != 0
    # A read that overlaps no region starts and ends in the same segment, which no region covers, so it adds nothing.
    for i in range(n_near):
        k, left, right = np.uint64(near[i]), np.uint64(np.uint32(lefts[i])), np.uint64(np.uint32(rights[i]))
        reverse = is_reverse(text, batch[STRAND_AT, k], mask, value)
        layer = minus_layer * np.uint64(reverse)
        increment(hits, layer + _TWO * left)
        increment(hits, layer + _TWO * right + _ONE)
        # There is a region on at least one side of every point.
        is_in_region = (left != right) | insides[i]
        if stranded:
            strand, is_in_region = MINUS if reverse else PLUS, False
            for segment in range(left, right + _ONE):
                is_in_region = (accepts[segment] & strand) != 0
                if is_in_region:
                    break
        n_in_regions += is_in_region
        n_reverse += is_in_region & reverse
        key = _start_key(np.uint64(np.uint32(batch[TILE, k])), np.uint64(batch[START, k]))
        if is_in_region and key <= limit and n_sampled < max_sampled:
            sample[n_sampled] = _position_key(key, batch[END, k], reverse)
            n_sampled += _ONE
    tally[Tally.IN_REGIONS] += n_in_regions
    tally[Tally.REVERSE] += n_reverse
    tally[Tally.SAMPLED] = n_sampled


@inlined
def _may_be_alike(segments, batch, k):
    """Return whether the eight reads from column ``k`` of a batch may be alike, from the first and the last of them."""
    tile = batch[TILE, k]
    is_one_tile = tile == batch[TILE, k + _EIGHT - _ONE]
    return is_one_tile and origin_of(segments, np.uint64(np.uint32(tile))) <= batch[START, k]


@inlined
def _find_eight(segments, rows, k):
    """Find the segments of the eight reads from column ``k`` of a batch, if the reads are alike.

    They are alike if they start in one tile, all points of this tile are equally far apart, and no read reaches before
    the first point or beyond the last one. Regions then cover all of their segments.

    Returns
    -------
    tuple
        For each read, as eight numbers: where the hits of the segment of its start are, where those of the segment of
        its last base are, and the key of its start. Then whether the reads are alike.
    """
    tiles, starts, ends = eight_of(rows, TILE, k), eight_of(rows, START, k), eight_of(rows, END, k)
    tile = np.uint64(element_of(tiles, 0))
    first = number_of(first_of(segments, tile))
    n_points = number_of(first_of(segments, tile + _ONE)) - first
    origin, inverse = np.uint64(origin_of(segments, tile)), np.uint64(uint32_at(segments.inverse_steps, tile))
    # Numbers are modulo 2^64, so a read that starts before the first point seems to be far ahead of it.
    ahead = starts - origin
    left, right = (ahead * inverse) >> INVERSE_BITS, ((ends - (origin + _ONE)) * inverse) >> INVERSE_BITS
    are_alike = (
        (inverse != np.uint64(0))
        & (n_points > _ONE)
        & all_less(tiles ^ tile, _ONE)
        & all_less(ahead, np.uint64(TILE_BP))
        & all_less(right, n_points - _ONE)
    )
    at = _TWO * (first + _ONE)
    return left + left + at, right + right + (at + _ONE), _start_key(tile, starts), are_alike


@inlined
def _start_key(tile, start):
    """Return a number that depends on the start of a read and looks random in its upper bits.

    Without the constant, the key of the first position of all would be 0, and every sample would have its reads.
    """
    return (start ^ (tile << np.uint64(32) ^ _MIX_END)) * _MIX_START


@inlined
def _position_key(key, end, reverse):
    """Return the key of a start with its lower half replaced: by bits that also depend on the end and the strand."""
    more = (key ^ (np.uint64(end) << _ONE | np.uint64(reverse))) * _MIX_END
    return key & _UPPER_HALF | more >> np.uint64(32)


@helper
def _count_in_spans(batch, n, text, segments, spans, rule, totals):
    """Compare each read with each region that it may overlap, as the rules of multicov for -f, -r and -split require.

    multicov computes fractions in single precision. Without ``split``, they are of the region, and a read may cover
    exactly the fraction. With ``split``, they are of the read, and it must cover more.
    """
    tiles, starts, ends, reaches, accepts, counts, first_blocks, blocks = spans
    sample, tally = totals.sample, totals.tally
    limit, fraction = totals.limit[0], np.float32(rule.fraction)
    k = np.uint64(0)
    while k < np.uint64(n):
        n_blocks = np.uint64(1) + np.uint64(batch[BLOCKS, k])
        first, last = k, k + n_blocks - _ONE
        start, end = np.int64(batch[START, first]), np.int64(batch[END, last])
        # multicov looks for the blocks of an unmapped read only where the read itself is, at its first base.
        reach = start + 1 if batch[END, first] == start else end
        length = np.int64(0)
        for block in range(first, last + _ONE):
            length += batch[END, block] - batch[START, block]
        reverse = is_reverse(text, batch[STRAND_AT, k], rule.strand_mask, rule.strand_value)
        strand = (MINUS if reverse else PLUS) if rule.stranded else PLUS | MINUS
        span, is_in_region = np.uint64(np.uint32(tiles[np.uint32(batch[TILE, k])])), False
        while starts[span] < reach:
            # One wide region would otherwise make every read pass over all regions before it.
            if span % _GROUP == 0 and reaches[span // _GROUP] <= start:
                span += _GROUP
                continue
            overlap, region_length = np.int64(0), np.int64(ends[span]) - starts[span]
            if len(blocks) == 0:
                overlap = _overlap_with(batch, first, last, starts[span], ends[span])
            elif ends[span] > max(start, 0):  # multicov looks for reads in the whole region, then at its blocks
                region_length = np.int64(0)
                for row in range(first_blocks[span], first_blocks[span + _ONE]):
                    overlap += _overlap_with(batch, first, last, blocks[row, 0], blocks[row, 1])
                    region_length += np.int64(blocks[row, 1]) - blocks[row, 0]
            if overlap > 0 and accepts[span] & strand:
                of_region = np.float32(overlap) / np.float32(region_length)
                of_read = np.float32(overlap) / np.float32(length)
                if rule.split:
                    is_enough = of_read > fraction and (not rule.reciprocal or of_region > fraction)
                else:
                    is_enough = of_region >= fraction and (not rule.reciprocal or of_read >= fraction)
                if is_enough:
                    counts[span] += 1
                    is_in_region = True
            span += _ONE
        if is_in_region:
            tally[Tally.IN_REGIONS] += 1
            tally[Tally.REVERSE] += reverse
            key = _start_key(np.uint64(np.uint32(batch[TILE, k])), np.uint64(start))
            if key <= limit and tally[Tally.SAMPLED] < len(sample):
                sample[tally[Tally.SAMPLED]] = _position_key(key, end, reverse)
                tally[Tally.SAMPLED] += 1
        k += n_blocks


@inlined
def _overlap_with(batch, first, last, start, end):
    """Return how many bp of [start, end) the blocks of a read cover, in columns ``first`` to ``last`` of a batch."""
    overlap = np.int64(0)
    for block in range(first, last + _ONE):
        left, right = max(start, batch[START, block]), min(end, batch[END, block])
        overlap += max(np.int64(right) - np.int64(left), 0)
    return overlap


class Ledger(NamedTuple):
    """Some arrays of ``Totals`` as addresses: passing them on costs no reference counting."""

    reads_on: Any
    past_end: Any
    n_past_end: int
    """Number of rows of ``past_end``."""
    lengths: Any
    tally: Any


@inlined
def open_ledger(totals):
    """Return the ``Ledger`` of ``Totals``."""
    reads_on, past_end = address_of(totals.reads_on), address_of(totals.past_end)
    return Ledger(reads_on, past_end, len(totals.past_end), address_of(totals.lengths), address_of(totals.tally))


@inlined
def add_lengths(ledger, length, n):
    """Add ``n`` reads of one length (bp) to the histogram of lengths."""
    _add(ledger.lengths, min(length, MAX_LENGTH), n)
    if length >= MAX_LENGTH and n:
        tally = ledger.tally
        _add(tally, Tally.LONG_SUM, n * length)
        set_int64(tally, Tally.LONG_MAX, max(int64_at(tally, Tally.LONG_MAX), length))
        set_int64(tally, Tally.LONG_MIN, min(int64_at(tally, Tally.LONG_MIN), length))


@inlined
def add_reads(ledger, sequence, n):
    """Add ``n`` reads to those of a sequence."""
    _add(ledger.reads_on, sequence, n)


@inlined
def add_past_end(ledger, sequence, start, end, size):
    """Add a read that ends beyond the end of its sequence."""
    if sequence < ledger.n_past_end:
        row = 3 * sequence
        _add(ledger.past_end, row, 1)
        _add(ledger.past_end, row + 1, np.int64(start > size))
        set_int64(ledger.past_end, row + 2, max(int64_at(ledger.past_end, row + 2), end))


@inlined
def _add(numbers, i, n):
    set_int64(numbers, np.int64(i), int64_at(numbers, np.int64(i)) + n)
