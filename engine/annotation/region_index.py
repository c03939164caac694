"""Tables that the kernels use to find the regions at a position."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genome import MAX_POSITION_BP
from deepchrome.engine.annotation.layout import Integers, Layout
from deepchrome.engine.kernels import FAR, MINUS, PLUS, TILE_BITS, SegmentTable, SpanTable, mark_segments

_BOTH = PLUS | MINUS
# The strands of the reads that a row counts, by the strand of the row: none, plus or minus. In multicov, -S means "not
# the same strand", so a row without strand then counts all reads.
_ACCEPTED_STRANDS = {
    None: np.array([_BOTH, _BOTH, _BOTH], np.int8),
    "same": np.array([0, PLUS, MINUS], np.int8),
    "opposite": np.array([_BOTH, MINUS, PLUS], np.int8),
}


@dataclass(frozen=True, eq=False)
class RegionIndex:
    """The edges of the bins of a layout, as segments of the chromosomes.

    Attributes
    ----------
    layout
        The layout.
    segments
        The segments between the edges of all bins; see :class:`~deepchrome.engine.kernels.layout.SegmentTable`.
    extents
        int64 (chromosomes, 3): index of the first tile, number of tiles after it, and length of the chromosome (bp).
    accepts
        int8 (rows,): the strands of the reads that each row counts, as bits PLUS and MINUS.
    """

    layout: Layout
    segments: SegmentTable
    extents: Integers
    accepts: npt.NDArray[np.int8]

    @property
    def unknown_extent(self) -> Integers:
        """Row of ``extents`` for chromosomes that the genome does not have; no region lies on them."""
        return np.array([len(self.segments.last_tiles) - 1, 0, MAX_POSITION_BP], np.int64)


def build_region_index(layout: Layout, strand: str | None = None) -> RegionIndex:
    """Cut the chromosomes at all edges of bins, and build the tables of the index.

    Parameters
    ----------
    layout
        The rows to index.
    strand
        ``same`` or ``opposite`` to count only reads on that strand relative to the row; None to count all.
    """
    n_chroms = len(layout.genome.sizes)
    rows = np.flatnonzero(layout.chrom_id >= 0)
    edges = _edges(layout, rows)
    # One sorted array of all edges. The upper 32 bits are the chromosome; a position is -1 or more.
    keys = (layout.chrom_id[rows, None] << 32 | edges + 1).reshape(-1)
    keys.sort()
    keys = keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys
    chrom_of_key, position = keys >> 32, (keys & 0xFFFFFFFF) - 1
    n_points = np.bincount(chrom_of_key, minlength=n_chroms)
    first_point = np.append(0, np.cumsum(n_points))
    # The sentinel of each chromosome, and one more for chromosomes that the genome does not have.
    points = np.insert(position, np.append(first_point[1:], len(position)), FAR).astype(np.int32)
    # The last tile of each chromosome starts after all points.
    tile_of_point = np.maximum(position, 0) >> TILE_BITS
    n_tiles = np.ones(n_chroms, np.int64)
    np.maximum.at(n_tiles, chrom_of_key, tile_of_point + 2)
    first_tile = np.append(0, np.cumsum(n_tiles))
    sizes = np.array([*layout.genome.sizes.values()], np.int64)
    extents = np.stack([first_tile[:-1], n_tiles - 1, sizes], axis=1)
    chrom_of_tile = np.repeat(np.arange(n_chroms + 1), np.append(n_tiles, 1))
    place = first_tile[chrom_of_key] + tile_of_point
    n_in_tile = np.bincount(place, minlength=first_tile[-1] + 1)
    # A sentinel stands after the points of each chromosome before.
    tiles = np.append(np.cumsum(n_in_tile) - n_in_tile + chrom_of_tile, len(points) - 1).astype(np.int32)
    last_tiles = np.append(np.repeat(first_tile[1:] - 1, n_tiles), first_tile[-1]).astype(np.int32)
    steps = _steps(position, place, n_in_tile)
    segments = SegmentTable(tiles, steps, last_tiles, points, np.zeros(len(points), np.int8))
    accepts = _ACCEPTED_STRANDS[strand][layout.strand]
    mark_segments(segments, extents, layout.chrom_id, layout.start, layout.end, accepts)
    is_bare = segments.accepts[tiles] == 0
    tiles[is_bare] = ~tiles[is_bare]
    return RegionIndex(layout, segments, extents, accepts)


def _steps(position: Integers, tile: Integers, n_in_tile: Integers) -> npt.NDArray[np.int32]:
    """Return the distance between the points of each tile; 0 for tiles with points at different distances.

    A tile with fewer than two points has any distance.
    """
    gap, is_inner = np.diff(position), tile[1:] == tile[:-1]
    inner = np.flatnonzero(is_inner)
    smallest, largest = np.full(len(n_in_tile), FAR), np.zeros(len(n_in_tile), np.int64)
    np.minimum.at(smallest, tile[inner], gap[inner])
    np.maximum.at(largest, tile[inner], gap[inner])
    steps = np.where(n_in_tile < 2, 1 << TILE_BITS, np.where(smallest == largest, largest, 0))
    return steps.astype(np.int32)


def _edges(layout: Layout, rows: Integers) -> Integers:
    """Return the edges of the bins of some rows: int64 (rows, bins + 1), clipped as the kernels clip them."""
    start, end = layout.start[rows], layout.end[rows]
    width = (end - start) // layout.n_bins
    edges = start[:, None] + width[:, None] * np.arange(layout.n_bins + 1)
    edges[:, -1] = end
    return np.where(edges <= 0, -1, np.minimum(edges, FAR - 1))


def build_spans(index: RegionIndex) -> tuple[SpanTable, Integers]:
    """List all bins one by one, for rules that compare each read with each region.

    Returns
    -------
    spans : SpanTable
        The bins, with counts of 0.
    order : int64 array (spans,)
        The bin in each place, counted through all rows; -1 for a sentinel.
    """
    layout, n_bins = index.layout, index.layout.n_bins
    width = np.repeat((layout.end - layout.start) // n_bins, n_bins)
    start = np.repeat(layout.start, n_bins) + width * np.tile(np.arange(n_bins), len(layout))
    end, chrom_id = start + width, np.repeat(layout.chrom_id, n_bins)
    by_chrom = np.lexsort((start, chrom_id))
    bounds = np.searchsorted(chrom_id[by_chrom], np.arange(len(layout.genome.sizes) + 1))
    order: list[Integers] = []
    tiles: list[Integers] = []
    n_spans = 0
    for chrom in range(len(layout.genome.sizes)):
        bins, n_tiles = by_chrom[bounds[chrom] : bounds[chrom + 1]], int(index.extents[chrom, 1]) + 1
        # A tile skips the bins at the front that end at or before its start.
        reach = np.maximum.accumulate(end[bins])
        tiles.append(n_spans + np.searchsorted(reach, np.arange(n_tiles) << TILE_BITS, "right"))
        order += [bins, np.array([-1])]
        n_spans += len(bins) + 1
    tiles.append(np.array([n_spans]))
    places = np.concatenate([*order, np.array([-1])])
    is_bin = places >= 0
    spans = SpanTable(
        np.concatenate(tiles).astype(np.int32),
        np.where(is_bin, np.minimum(start[places], FAR), FAR).astype(np.int32),
        np.where(is_bin, np.minimum(end[places], FAR - 1), FAR).astype(np.int32),
        np.where(is_bin, index.accepts[places // n_bins], 0).astype(np.int8),
        np.zeros(len(places), np.int32),
    )
    return spans, places


_NOTHING = np.zeros(0, np.int32)
NO_SPANS = SpanTable(_NOTHING, _NOTHING, _NOTHING, np.zeros(0, np.int8), _NOTHING)


def region_index(layout: Layout, strand: str | None = None) -> RegionIndex:
    """Return the result of :func:`build_region_index`. Thread-safe.

    The layout keeps it, because many files are counted in the same regions, and both are freed together.
    """
    index: RegionIndex | None = layout.indexes.get(strand)
    if index is None:
        index = layout.indexes[strand] = build_region_index(layout, strand)
    return index
