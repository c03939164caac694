"""Build the segments that the edges of regions cut, find positions in them, and turn hits into counts.

A region [a, b) overlaps a read [s, e) if s < b and e > a. Every read that ends at or before a also starts before b, so
the reads of a region are those that start before b, less those that end at or before a. Both numbers are sums over
segments, at a cost that does not depend on how regions overlap.
"""

import numpy as np

from deepchrome.engine.kernels.jit import entry_point, helper, inlined
from deepchrome.engine.kernels.layout import MAX_POSITION, TILE_BITS, TILE_FIRST, TILE_LAST


@inlined
def find_segment(tiles, steps, points, tile, position):
    """Return the segment that contains a position.

    Parameters
    ----------
    tiles, steps, points
        Fields of a :class:`~deepchrome.engine.kernels.layout.SegmentTable`.
    tile
        The tile of the position; for one beyond the last tile of the sequence, the last tile.
    position
        In bp; -1 or more.
    """
    first, after = points_of_tile(tiles, tile)
    n = after - first
    step = steps[tile]
    if step > 0:
        # Most tiles have equal bins, or only one or two points: the segment can be computed.
        ahead = position - points[first]
        return first + min(np.uint64(np.uint32(ahead + step) // np.uint32(step)), n) * np.uint64(ahead >= 0)
    # Binary search for the first point after the position, without a branch that depends on the points.
    while n > np.uint64(0):
        half = n - (n >> np.uint64(1))
        first += half * np.uint64(np.int64(points[first + half - np.uint64(1)]) <= position)
        n >>= np.uint64(1)
    return first


@inlined
def points_of_tile(tiles, tile):
    """Return the first point of a tile, and the first point after the tile."""
    first, after = np.int64(tiles[tile]), np.int64(tiles[tile + np.uint64(1)])
    return np.uint64(first ^ (first >> np.int64(63))), np.uint64(after ^ (after >> np.int64(63)))


@helper
def _find_edge(segments, extent, edge):
    """Return the number of the point at ``edge``, which must be a point."""
    tile = extent[TILE_FIRST] + min(max(edge, 0) >> TILE_BITS, extent[TILE_LAST])
    return np.int64(find_segment(segments.tiles, segments.steps, segments.points, np.uint64(tile), edge)) - 1


@inlined
def clip_edge(edge):
    """Return an edge of a region as a position that a point can have.

    No read ends before 1 or starts before -1, and none reaches beyond ``MAX_POSITION``, so clipping changes no count,
    and a region that ends at or before 0 counts no read.
    """
    return np.int64(-1) if edge <= 0 else min(edge, np.int64(MAX_POSITION))


@entry_point
def mark_segments(segments, extents, sequences, starts, ends, accepts):
    """Set ``segments.accepts`` from the regions.

    Parameters
    ----------
    segments
        A :class:`~deepchrome.engine.kernels.layout.SegmentTable` whose ``points`` and ``tiles`` are made.
    extents
        int64 (sequences, 3): TILE_FIRST, TILE_LAST and SIZE of each sequence.
    sequences
        int64 (n,): the sequence of each region, -1 for none.
    starts, ends
        int64 (n,): in bp.
    accepts
        int8 (n,): the strands that each region counts.
    """
    # For each strand, how many more regions cover a segment than the one before it.
    change = np.zeros((2, len(segments.points) + 1), np.int32)
    for i in range(len(starts)):
        if sequences[i] < 0:
            continue
        first = _find_edge(segments, extents[sequences[i]], clip_edge(starts[i]))
        last = _find_edge(segments, extents[sequences[i]], clip_edge(ends[i]))
        for strand in range(2):
            if accepts[i] >> strand & 1:
                change[strand, first + 1] += 1
                change[strand, last + 1] -= 1
    plus = minus = 0
    for k in range(len(segments.points)):
        plus += change[0, k]
        minus += change[1, k]
        segments.accepts[k] = (plus > 0) | (minus > 0) << 1


@entry_point
def fold(hits, segments, extents, sequences, starts, ends, accepts, counts):
    """Turn hits into counts, and add these to the counts of the regions.

    Parameters
    ----------
    hits
        int64 (1 or 2, points, 2), as in :class:`~deepchrome.engine.kernels.layout.Totals`. Changed: the running sums
        replace the hits.
    segments, extents, sequences, starts, ends, accepts
        As in :func:`mark_segments`, of n rows of regions.
    counts
        uint32 (n, bins), added to. Each row is cut into bins of equal width.

    Returns
    -------
    int
        The largest count. If it exceeds 32 bits, ``counts`` is wrong.
    """
    for strand in range(hits.shape[0]):
        for k in range(1, hits.shape[1]):
            hits[strand, k, 0] += hits[strand, k - 1, 0]
            hits[strand, k, 1] += hits[strand, k - 1, 1]
    largest, n_bins = np.int64(0), counts.shape[1]
    is_stranded = hits.shape[0] == 2
    for i in range(len(starts)):
        if sequences[i] < 0:
            continue
        extent, width = extents[sequences[i]], (ends[i] - starts[i]) // n_bins
        left = _find_edge(segments, extent, clip_edge(starts[i]))
        for b in range(n_bins):
            edge = clip_edge(starts[i] + (b + 1) * width) if b + 1 < n_bins else clip_edge(ends[i])
            # The next edge of a row of bins is one of the next points.
            right = left
            if n_bins > 1:
                while segments.points[right] < edge:
                    right += 1
            else:
                right = _find_edge(segments, extent, edge)
            count = np.int64(counts[i, b])
            if not is_stranded or accepts[i] & 1:
                count += hits[0, right, 0] - hits[0, left, 1]
            if is_stranded and accepts[i] & 2:
                count += hits[1, right, 0] - hits[1, left, 1]
            largest = max(largest, count)
            counts[i, b] = count
            left = right
    return largest
