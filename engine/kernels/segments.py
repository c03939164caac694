"""Build the segments that the edges of regions cut, find positions in them, and turn hits into counts.

A region [a, b) overlaps a read [s, e) if s < b and e > a. Every read that ends at or before a also starts before b, so
the reads of a region are those that start before b, less those that end at or before a. Both numbers are sums over
segments, at a cost that does not depend on how regions overlap.
"""

from typing import Any, NamedTuple

import numpy as np

from deepchrome.engine.kernels.jit import entry_point, inlined
from deepchrome.engine.kernels.layout import FAR, FIRST, MAX_POSITION, ORIGIN, TILE_BITS, TILE_FIRST, TILE_LAST
from deepchrome.engine.kernels.vectors import address_of, int32_at, uint32_at

_ONE, _TWO = np.uint64(1), np.uint64(2)
INVERSE_BITS = np.uint64(31)
TILE_BP = 1 << TILE_BITS
_ANY_STEP = 1 << 31 - TILE_BITS  # of tiles with one point or none: the inverse of their width


class Segments(NamedTuple):
    """A ``SegmentTable`` with addresses instead of arrays: passing it on costs no reference counting."""

    tiles: Any
    inverse_steps: Any
    cells_at: Any
    cell_bits: int
    cells: Any
    last_tiles: Any
    points: Any
    accepts: Any


@inlined
def open_segments(table):
    """Return the ``Segments`` of a ``SegmentTable``."""
    return Segments(
        address_of(table.tiles),
        address_of(table.inverse_steps),
        address_of(table.cells_at),
        table.cell_bits,
        address_of(table.cells),
        address_of(table.last_tiles),
        address_of(table.points),
        address_of(table.accepts),
    )


@inlined
def first_of(segments, tile):
    """Return the column FIRST of a tile."""
    return int32_at(segments.tiles, _TWO * tile)


@inlined
def origin_of(segments, tile):
    """Return the column ORIGIN of a tile."""
    return int32_at(segments.tiles, _TWO * tile + _ONE)


@inlined
def find_segment(segments, tile, position):
    """Return the segment that contains a position.

    Parameters
    ----------
    segments
        The :class:`Segments`.
    tile
        The tile of the position; for one beyond the last tile of the sequence, the last tile.
    position
        In bp; -1 or more.
    """
    first, after = number_of(first_of(segments, tile)), number_of(first_of(segments, tile + _ONE))
    inverse = uint32_at(segments.inverse_steps, tile)
    if inverse:
        return first + points_up_to(position, origin_of(segments, tile), inverse, after - first)
    cell = int32_at(segments.cells_at, tile) + ((max(position, 0) & (TILE_BP - 1)) >> segments.cell_bits)
    found = np.uint64(int32_at(segments.cells, cell))
    # Most cells have one or two points. Adding comparisons needs no branch, which the processor could not predict.
    found += np.uint64(int32_at(segments.points, found) <= position)
    found += np.uint64(int32_at(segments.points, found) <= position)
    if int32_at(segments.points, found) <= position:
        n = np.uint64(int32_at(segments.cells, cell + 1)) - found
        found = _search(segments.points, found, n, position)
    return found


@inlined
def _search(points, first, n, position):
    """Return the first of ``n`` points that is after a position, by binary search."""
    while n > np.uint64(0):
        half = n - (n >> _ONE)
        first += half * np.uint64(int32_at(points, first + half - _ONE) <= position)
        n >>= _ONE
    return first


@inlined
def number_of(first):
    """Return the number of a point that may be inverted."""
    number = np.int64(first)
    return np.uint64(number ^ (number >> np.int64(63)))


@inlined
def points_up_to(position, origin, inverse_step, n):
    """Return how many of ``n`` points are not after a position.

    The first point is at ``origin``, and the others follow at equal distances. For a position within the tile, the
    product with the inverse is the exact quotient, because the inverse is at most one step of 2^-31 too large and both
    numbers are less than 2^14. Beyond the tile it is not too small, so the result is ``n``.
    """
    ahead = np.int64(position) - np.int64(origin)
    quotient = (np.uint64(max(ahead, 0)) * np.uint64(inverse_step)) >> INVERSE_BITS
    return min(quotient + _ONE, n) * np.uint64(ahead >= 0)


@inlined
def inverse_of(step):
    """Return the inverse of a step for :func:`points_up_to`: 2^31 divided by it, rounded up."""
    return ((np.int64(1) << 31) + step - 1) // step


@inlined
def _find_edge(segments, extents, sequence, edge, guess):
    """Return the number of the point at ``edge``, which must be a point. Neither cells nor steps are needed.

    ``guess`` is a point of the sequence that may be the right one, or -1.
    """
    if guess >= 0 and int32_at(segments.points, guess) == edge:
        return guess
    place = min(max(edge, 0) >> TILE_BITS, extents[sequence, TILE_LAST])
    tile = np.uint64(extents[sequence, TILE_FIRST] + place)
    first, after = number_of(first_of(segments, tile)), number_of(first_of(segments, tile + _ONE))
    if edge < 0:  # tile 0 begins after it
        first -= _ONE
    return np.int64(_search(segments.points, first, after - first, edge)) - 1


@inlined
def clip_edge(edge):
    """Return an edge of a region as a position that a point can have.

    No read ends before 1 or starts before -1, and none reaches beyond ``MAX_POSITION``, so clipping changes no count,
    and a region that ends at or before 0 counts no read.
    """
    return np.int64(-1) if edge <= 0 else min(edge, np.int64(MAX_POSITION))


@entry_point
def cut_segments(keys, bounds, extents, segments):
    """Fill the tables of segments but for ``accepts``, and return the number of points.

    Parameters
    ----------
    keys
        int64 (edges,): the edges of all regions, sorted and clipped: the sequence in the upper bits, and the position
        plus 1 in the lower 32 bits.
    bounds
        int64 (sequences + 1,): where the edges of each sequence begin in ``keys``.
    extents
        int64 (sequences, 3): TILE_FIRST, TILE_LAST and SIZE of each sequence. Tiles reach beyond all edges.
    segments
        A :class:`~deepchrome.engine.kernels.layout.SegmentTable`. ``points`` has room for all edges and sentinels.
    """
    tiles, inverse_steps = segments.tiles, segments.inverse_steps
    last_tiles, points = segments.last_tiles, segments.points
    k = 0
    for sequence in range(len(extents)):
        first_tile = extents[sequence, TILE_FIRST]
        last_tile = first_tile + extents[sequence, TILE_LAST]
        tile, before, n_in_tile, step_in_tile = first_tile, np.int64(-2), 0, np.int64(0)
        for i in range(bounds[sequence], bounds[sequence + 1]):
            position = (keys[i] & 0xFFFFFFFF) - 1
            if position == before:
                continue
            if position >> TILE_BITS != before >> TILE_BITS:
                n_in_tile = 0
            while tile <= last_tile and (tile - first_tile) << TILE_BITS <= position:
                tiles[tile, FIRST], tiles[tile, ORIGIN] = k, position
                inverse_steps[tile] = _ANY_STEP
                tile += 1
            step = position - before
            if n_in_tile == 1:
                inverse_steps[tile - 1], step_in_tile = inverse_of(step), step
            elif n_in_tile > 1 and step != step_in_tile:
                inverse_steps[tile - 1] = 0
            n_in_tile += 1
            points[k] = before = position
            k += 1
        while tile <= last_tile:
            tiles[tile, FIRST], tiles[tile, ORIGIN], inverse_steps[tile] = k, FAR, _ANY_STEP
            tile += 1
        last_tiles[first_tile : last_tile + 1] = last_tile
        points[k] = FAR
        k += 1
    # One more tile and sentinel, for sequences without regions, and a row that closes the table.
    unknown = len(last_tiles) - 1
    tiles[unknown:, FIRST], tiles[unknown:, ORIGIN] = k, FAR
    last_tiles[unknown], inverse_steps[unknown], points[k] = unknown, _ANY_STEP, FAR
    return k + 1


@entry_point
def mark_segments(segments, extents, sequences, starts, ends, accepts):
    """Set ``segments.accepts`` from the regions, and complete ``tiles`` and ``inverse_steps``.

    Parameters
    ----------
    segments, extents
        As :func:`cut_segments` left them.
    sequences
        int64 (n,): the sequence of each region, -1 for none.
    starts, ends
        int64 (n,): in bp.
    accepts
        int8 (n,): the strands that each region counts.
    """
    tiles, n_points = segments.tiles, len(segments.points)
    opened = open_segments(segments)
    # For each strand, how many more regions cover a segment than the one before it.
    change = np.zeros((n_points + 1, 2), np.int32)
    sequence, last = np.int64(-1), np.int64(-1)
    for i in range(len(starts)):
        if sequences[i] < 0:
            continue
        if sequences[i] != sequence:
            sequence, last = sequences[i], np.int64(-1)
        # Often the next region begins where the last one ended, and ends at the next point.
        first = _find_edge(opened, extents, sequence, clip_edge(starts[i]), last)
        last = _find_edge(opened, extents, sequence, clip_edge(ends[i]), first + 1)
        for strand in range(2):
            if accepts[i] >> strand & 1:
                change[first + 1, strand] += 1
                change[last + 1, strand] -= 1
    plus = minus = 0
    for k in range(n_points):
        plus += change[k, 0]
        minus += change[k, 1]
        segments.accepts[k] = (plus > 0) | (minus > 0) << 1
    for tile in range(len(segments.inverse_steps)):
        if tile == segments.last_tiles[tile]:  # it has no points: the next ones are of another sequence
            continue
        for k in range(tiles[tile, FIRST] + 1, tiles[tile + 1, FIRST]):
            if segments.accepts[k] == 0:
                segments.inverse_steps[tile] = 0
    for tile in range(len(tiles)):
        if segments.accepts[tiles[tile, FIRST]] == 0:
            tiles[tile, FIRST] = ~tiles[tile, FIRST]


@entry_point
def fill_cells(segments, extents):
    """Fill ``segments.cells`` of all tiles that have cells. After the last cell of a tile stands the end of that cell.

    Parameters
    ----------
    segments, extents
        As :func:`mark_segments` left them, with ``cells_at`` and room for ``cells``.
    """
    per_tile, size = 1 << TILE_BITS - segments.cell_bits, 1 << segments.cell_bits
    tiles, points, cells = segments.tiles, segments.points, segments.cells
    for sequence in range(len(extents)):
        first_tile = extents[sequence, TILE_FIRST]
        for tile in range(first_tile, first_tile + extents[sequence, TILE_LAST] + 1):
            if segments.inverse_steps[tile] != 0:
                continue
            k, start = np.int64(number_of(tiles[tile, FIRST])), (tile - first_tile) << TILE_BITS
            for cell in range(per_tile):
                while points[k] < start + cell * size:
                    k += 1
                cells[segments.cells_at[tile] + cell] = k
            cells[segments.cells_at[tile] + per_tile] = np.int64(number_of(tiles[tile + 1, FIRST]))


@entry_point
def fold(hits, segments, extents, sequences, starts, ends, accepts, counts):
    """Turn hits into counts, and add these to the counts of the regions.

    Parameters
    ----------
    hits
        int32 or int64 (1 or 2, points, 2), as in :class:`~deepchrome.engine.kernels.layout.Totals`. Changed: the
        running sums replace the hits.
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
        started = ended = np.int64(0)
        for k in range(hits.shape[1]):
            started += hits[strand, k, 0]
            ended += hits[strand, k, 1]
            hits[strand, k, 0], hits[strand, k, 1] = started, ended
    largest, n_bins = np.int64(0), counts.shape[1]
    opened, points = open_segments(segments), segments.points
    is_stranded = hits.shape[0] == 2
    sequence, right = np.int64(-1), np.int64(-1)
    for i in range(len(starts)):
        if sequences[i] < 0:
            continue
        if sequences[i] != sequence:
            sequence, right = sequences[i], np.int64(-1)
        width = (ends[i] - starts[i]) // n_bins
        left = _find_edge(opened, extents, sequence, clip_edge(starts[i]), right)
        for b in range(n_bins):
            edge = clip_edge(starts[i] + (b + 1) * width) if b + 1 < n_bins else clip_edge(ends[i])
            # The next edge of a row of bins is one of the next points.
            right = left
            if n_bins > 1:
                while points[right] < edge:
                    right += 1
            else:
                right = _find_edge(opened, extents, sequence, edge, left + 1)
            count = np.int64(counts[i, b])
            if not is_stranded or accepts[i] & 1:
                count += np.int64(hits[0, right, 0]) - hits[0, left, 1]
            if is_stranded and accepts[i] & 2:
                count += np.int64(hits[1, right, 0]) - hits[1, left, 1]
            largest = max(largest, count)
            counts[i, b] = count
            left = right
    return largest
