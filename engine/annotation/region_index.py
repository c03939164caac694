"""Tables that the kernels use to find the regions at a position."""

import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genome import MAX_POSITION_BP
from deepchrome.engine.annotation.layout import Integers, Layout
from deepchrome.engine.kernels import (
    FAR,
    MINUS,
    PLUS,
    SPAN_GROUP,
    TILE_BITS,
    SegmentTable,
    SpanTable,
    cut_segments,
    fill_cells,
    mark_segments,
)

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

    @cached_property
    def _spans(self) -> tuple[SpanTable, Integers]:
        return build_spans(self)

    def new_spans(self) -> tuple[SpanTable, Integers]:
        """Return the result of :func:`build_spans`, whose counts nobody else has. Thread-safe."""
        with _building:
            spans, order = self._spans
        return spans._replace(counts=np.zeros_like(spans.counts)), order


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
    keys = _sorted_edges(layout)
    bounds = np.searchsorted(keys, np.arange(n_chroms + 1) << 32)
    # The last tile of each chromosome starts after all edges.
    has_edges = bounds[1:] > bounds[:-1]
    furthest = np.where(has_edges, (np.append(keys, 0)[bounds[1:] - 1] & 0xFFFFFFFF) - 1, -1)
    n_tiles = np.where(has_edges, (np.maximum(furthest, 0) >> TILE_BITS) + 2, 1)
    first_tile = np.append(0, np.cumsum(n_tiles))
    sizes = np.array([*layout.genome.sizes.values()], np.int64)
    extents = np.stack([first_tile[:-1], n_tiles - 1, sizes], axis=1)
    total = int(first_tile[-1]) + 1
    segments = SegmentTable(
        np.empty((total + 1, 2), np.int32),
        np.empty(total, np.uint32),
        np.zeros(total, np.int32),
        0,
        np.zeros(0, np.int32),
        np.empty(total, np.int32),
        np.empty(len(keys) + n_chroms + 1, np.int32),
        np.empty(0, np.int8),
    )
    n_points = cut_segments(keys, bounds, extents, segments)
    segments = segments._replace(points=segments.points[:n_points].copy(), accepts=np.empty(n_points, np.int8))
    accepts = _ACCEPTED_STRANDS[strand][layout.strand]
    mark_segments(segments, extents, layout.chrom_id, layout.start, layout.end, accepts)
    return RegionIndex(layout, _with_cells(segments, extents), extents, accepts)


def _with_cells(segments: SegmentTable, extents: Integers) -> SegmentTable:
    """Divide the tiles with points at different distances into cells: about as many as these tiles have points."""
    has_cells = segments.inverse_steps == 0
    first = np.where(segments.tiles[:, 0] < 0, ~segments.tiles[:, 0], segments.tiles[:, 0])
    n_tiles, n_points = int(has_cells.sum()), int(np.diff(first)[has_cells].sum())
    cell_bits = max(0, TILE_BITS - (n_points // max(n_tiles, 1)).bit_length())
    per_tile = 1 << TILE_BITS - cell_bits
    # One more element after the cells of each tile, for the end of its last cell.
    cells_at = ((np.cumsum(has_cells) - has_cells) * (per_tile + 1)).astype(np.int32)
    cells = np.zeros(n_tiles * (per_tile + 1), np.int32)
    complete = segments._replace(cells_at=cells_at, cell_bits=cell_bits, cells=cells)
    fill_cells(complete, extents)
    return complete


def _sorted_edges(layout: Layout) -> Integers:
    """Return the edges of all bins, sorted: int64, the chromosome in the upper bits and the position + 1 in the lower.

    Positions are clipped as the kernels clip them, so they are -1 or more.
    """
    known = layout.chrom_id >= 0
    start, end, chrom_id = layout.start, layout.end, layout.chrom_id
    if not known.all():
        start, end, chrom_id = start[known], end[known], chrom_id[known]
    edges = np.empty((len(start), layout.n_bins + 1), np.int64)
    width = (end - start) // layout.n_bins
    for i in range(layout.n_bins):
        np.multiply(width, i, out=edges[:, i])
        edges[:, i] += start
    edges[:, -1] = end
    np.minimum(edges, FAR - 1, out=edges)
    edges[edges <= 0] = -1
    edges += ((chrom_id << 32) + 1)[:, None]
    keys = edges.reshape(-1)
    keys.sort()
    return keys


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
    ends = np.where(is_bin, np.minimum(end[places], FAR - 1), FAR).astype(np.int32)  # no group skips a sentinel
    spans = SpanTable(
        np.concatenate(tiles).astype(np.int32),
        np.where(is_bin, np.minimum(start[places], FAR), FAR).astype(np.int32),
        ends,
        np.maximum.reduceat(ends, np.arange(0, len(ends), SPAN_GROUP)),
        np.where(is_bin, index.accepts[places // n_bins], 0).astype(np.int8),
        np.zeros(len(places), np.int32),
        *_blocks_of(layout, places),
    )
    return spans, places


def _blocks_of(layout: Layout, places: Integers) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return ``first_blocks`` and ``blocks`` of a SpanTable whose spans are these rows of a layout; -1 for none."""
    if layout.blocks is None:
        return np.zeros(len(places) + 1, np.int32), np.zeros((0, 2), np.int32)
    first, edges = layout.blocks
    n_blocks = np.where(places >= 0, np.diff(first)[places], 0)
    first_blocks = np.append(0, np.cumsum(n_blocks))
    rows = np.arange(first_blocks[-1]) + np.repeat(first[places] - first_blocks[:-1], n_blocks)
    return first_blocks.astype(np.int32), np.clip(edges[rows], -1, FAR - 1).astype(np.int32)


_NOTHING = np.zeros(0, np.int32)
_NO_BLOCKS = np.zeros((0, 2), np.int32)
NO_SPANS = SpanTable(_NOTHING, _NOTHING, _NOTHING, _NOTHING, np.zeros(0, np.int8), _NOTHING, _NOTHING, _NO_BLOCKS)

_building = threading.Lock()


def region_index(layout: Layout, strand: str | None = None) -> RegionIndex:
    """Return the result of :func:`build_region_index`. Thread-safe.

    The layout keeps it, because many files are counted in the same regions, and both are freed together.
    """
    with _building:  # the first files begin at the same time, and each would build its own
        index: RegionIndex | None = layout.indexes.get(strand)
        if index is None:
            index = layout.indexes[strand] = build_region_index(layout, strand)
    return index
