"""Count batches of reads in the regions that they overlap."""

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
    START,
    STRAND_AT,
    TILE,
    TILE_BITS,
    Tally,
)
from deepchrome.engine.kernels.lines import is_reverse
from deepchrome.engine.kernels.segments import find_segment

_ONE = np.uint64(1)
# Factors that mix the bits of a key: odd numbers, from the golden ratio and from MurmurHash3.
_MIX_PLACE, _MIX_END, _MIX = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xC2B2AE3D27D4EB4F),
    np.uint64(0xFF51AFD7ED558CCD),
)


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
        n = change_reads(batch, n, text, rule, totals.tally)
    if rule.by_span:
        _count_in_spans(batch, n, text, segments, spans, rule, totals)
    else:
        _count_in_segments(batch, n, text, segments, rule, totals)


@helper
def _count_in_segments(batch, n, text, segments, rule, totals):
    """Add 1 to the segment of each read's start, and 1 to the segment of its last base."""
    tiles, steps, last_tiles, points, accepts = segments
    hits, sample, tally = totals.hits, totals.sample, totals.tally
    limit, n_sampled, max_sampled = totals.limit[0], np.uint64(tally[Tally.SAMPLED]), np.uint64(len(sample))
    stranded, mask, value = rule.stranded, rule.strand_mask, rule.strand_value
    n_in_regions = n_reverse = np.int64(0)
    # All indices are unsigned: for a signed one, numba would test whether it is negative, to count from the end.
    near = np.empty(BATCH_COLUMNS, np.uint32)
    for begin in range(0, n, BATCH_COLUMNS):
        # First select the reads that can overlap a region, without a branch. The processor could not predict a branch
        # for reads in random order; without one, it looks up many reads at the same time.
        n_near = np.uint64(0)
        for k in range(np.uint64(begin), np.uint64(min(begin + BATCH_COLUMNS, n))):
            first = np.int64(tiles[np.uint32(batch[TILE, k])])
            is_far = (first < 0) & (points[np.uint64(first ^ (first >> np.int64(63)))] >= batch[END, k])
            near[n_near] = k
            n_near += np.uint64(not is_far)
        for i in range(n_near):
            k = np.uint64(near[i])
            start, end, tile = np.int64(batch[START, k]), np.int64(batch[END, k]), np.uint64(np.uint32(batch[TILE, k]))
            left = find_segment(tiles, steps, points, tile, max(start, -1))
            right = left
            # Most reads end in the same segment or one of the next ones.
            crosses = points[right] < end
            right += np.uint64(crosses)
            crosses &= points[right] < end
            right += np.uint64(crosses)
            crosses &= points[right] < end
            right += np.uint64(crosses)
            if crosses and points[right] < end:
                further = np.uint64(((end - 1) >> TILE_BITS) - (max(start, 0) >> TILE_BITS))
                end_tile = min(tile + further, np.uint64(np.uint32(last_tiles[tile])))
                right = find_segment(tiles, steps, points, end_tile, end - 1)
            reverse = is_reverse(text, batch[STRAND_AT, k], mask, value)
            if stranded:
                strand, is_in_region = MINUS if reverse else PLUS, False
                for segment in range(left, right + _ONE):
                    is_in_region |= (accepts[segment] & strand) != 0
            else:
                # There is a region on at least one side of every point.
                is_in_region = (left != right) | (accepts[left] != 0)
            if is_in_region:
                layer = np.uint64(stranded & reverse)
                hits[layer, left, 0] += 1
                hits[layer, right, 1] += 1
                n_in_regions += 1
                n_reverse += reverse
                key = _position_key(tile, start, end, reverse)
                if key <= limit and n_sampled < max_sampled:
                    sample[n_sampled] = key
                    n_sampled += _ONE
    tally[Tally.IN_REGIONS] += n_in_regions
    tally[Tally.REVERSE] += n_reverse
    tally[Tally.SAMPLED] = n_sampled


@inlined
def _position_key(tile, start, end, reverse):
    """Return a number that depends on the position and the strand of a read, and looks random."""
    key = (np.uint64(tile) << np.uint64(32) ^ np.uint64(start)) * _MIX_PLACE
    key ^= (np.uint64(end) << _ONE | np.uint64(reverse)) * _MIX_END
    key = (key ^ key >> np.uint64(32)) * _MIX
    return key ^ key >> np.uint64(33)


@helper
def _count_in_spans(batch, n, text, segments, spans, rule, totals):
    """Compare each read with each region that it may overlap, as the rules of multicov for -f, -r and -split require.

    multicov computes fractions in single precision. Without ``split``, they are of the region, and a read may cover
    exactly the fraction. With ``split``, they are of the read, and it must cover more.
    """
    tiles, starts, ends, accepts, counts = spans
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
            overlap = np.int64(0)
            for block in range(first, last + _ONE):
                left, right = max(starts[span], batch[START, block]), min(ends[span], batch[END, block])
                overlap += max(np.int64(right) - np.int64(left), 0)
            if overlap > 0 and accepts[span] & strand:
                of_region = np.float32(overlap) / np.float32(ends[span] - starts[span])
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
            key = _position_key(np.uint64(np.uint32(batch[TILE, k])), start, end, reverse)
            if key <= limit and tally[Tally.SAMPLED] < len(sample):
                sample[tally[Tally.SAMPLED]] = key
                tally[Tally.SAMPLED] += 1
        k += n_blocks


@inlined
def add_lengths(lengths, tally, length, n):
    """Add ``n`` reads of one length (bp) to the histogram of lengths."""
    lengths[np.uint64(min(length, MAX_LENGTH))] += n
    if length >= MAX_LENGTH and n:
        tally[Tally.LONG_SUM] += n * length
        tally[Tally.LONG_MAX] = max(tally[Tally.LONG_MAX], length)
        tally[Tally.LONG_MIN] = min(tally[Tally.LONG_MIN], length)


@inlined
def add_past_end(reads_on, start, end, size):
    """Add a read that ends beyond the end of its sequence to one row of ``Totals.reads_on``."""
    reads_on[1] += 1
    reads_on[2] += start > size
    reads_on[3] = max(reads_on[3], end)
