"""The tables in which the kernels look up regions, compared with plain searches."""

import gc
import pickle
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import njit

from deepchrome.engine.annotation.genome import MAX_POSITION_BP, Genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.annotation.region_index import RegionIndex, build_region_index, region_index
from deepchrome.engine.kernels import FAR, MINUS, PLUS
from deepchrome.engine.kernels.layout import TILE_BITS, TILE_FIRST, TILE_LAST
from deepchrome.engine.kernels.segments import find_segment, open_segments

_find = njit(lambda table, tile, position: find_segment(open_segments(table), tile, position))
GENOME = Genome("test", {"chr1": 300_000, "chr2": 50_000, "tiny": 1, "empty": 90_000})


def layout_of(rows: list[tuple[int, int, int]], n_bins: int = 1, strand: int = 0) -> Layout:
    """Return the layout of rows of chromosome, start and end (bp), all on one strand."""
    chrom, start, end = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return Layout(GENOME, chrom, start, end, n_bins, np.full(len(rows), strand, np.int8), "regions")


def random_rows(seed: int) -> list[tuple[int, int, int]]:
    """Return rows at random places: dense, sparse, wide, of equal width, nested, and past both ends."""
    dice = np.random.default_rng(seed)
    places = zip(dice.integers(-500, 60_000, 80).tolist(), dice.integers(1, 900, 80).tolist(), strict=True)
    rows = [(0, start, start + width) for start, width in places]
    rows += [(0, 8192 * k, 8192 * (k + 1)) for k in range(20, 24)]
    rows += [(0, 200_000 + 100 * k, 200_100 + 100 * k) for k in range(300)]
    rows += [(1, int(s), int(s) + 3) for s in dice.integers(0, 50_000, 10)]
    return [*rows, (0, 0, 300_000), (1, 49_990, 60_000), (2, 0, 1), (-1, 5, 9)]


def clip(edge: int) -> int:
    """Return where the point of an edge is."""
    return min(edge, FAR - 1) if edge > 0 else -1


def segment_of(index: RegionIndex, chrom: int, position: int) -> int:
    """Return the segment that the kernels find for a position."""
    tile = index.extents[chrom, TILE_FIRST] + min(max(position, 0) >> TILE_BITS, index.extents[chrom, TILE_LAST])
    return int(_find(index.segments, np.uint64(tile), position))


@pytest.mark.parametrize("seed", range(3))
def test_every_position_is_found_in_its_segment(seed: int) -> None:
    rows = random_rows(seed)
    index = build_region_index(layout_of(rows))
    segments = index.segments
    assert (segments.inverse_steps == 0).any()
    assert (segments.inverse_steps[segments.inverse_steps > 0] != 1 << 31 - TILE_BITS).any()
    dice = np.random.default_rng(seed)
    first = 0
    for chrom in range(len(GENOME.sizes)):
        edges = sorted({clip(edge) for c, *ends in rows if c == chrom for edge in ends})
        assert segments.points[first : first + len(edges) + 1].tolist() == [*edges, FAR]
        near = {edge + shift for edge in edges[::9] for shift in (-1, 0, 1)}
        for position in {-1, 0, *dice.integers(0, 310_000, 60).tolist(), *near} - {-2}:
            expected = first + sum(edge <= position for edge in edges)
            assert segment_of(index, chrom, position) == expected, (chrom, position)
        first += len(edges) + 1


@pytest.mark.parametrize(("strand", "row", "accepted"), [
    (None, 0, PLUS | MINUS), (None, PLUS, PLUS | MINUS),
    ("same", 0, 0), ("same", PLUS, PLUS), ("same", MINUS, MINUS),
    ("opposite", 0, PLUS | MINUS), ("opposite", PLUS, MINUS), ("opposite", MINUS, PLUS),
])  # fmt: skip
def test_strands_of_segments(strand: str | None, row: int, accepted: int) -> None:
    rows = random_rows(1)
    segments = build_region_index(layout_of(rows, strand=row), strand).segments
    edges = segments.points.tolist()
    chrom, before = 0, -2
    for k, end in enumerate(edges[:-1]):
        is_covered = any(c == chrom and clip(s) <= before and end <= clip(e) for c, s, e in rows)
        assert segments.accepts[k] == (accepted if is_covered and before > -2 else 0), k
        before = end
        if end == FAR:
            chrom, before = chrom + 1, -2


@pytest.mark.parametrize("size", [10_000, MAX_POSITION_BP])
def test_last_tile_of_a_chromosome_has_no_cells(size: int) -> None:
    """It has no points. On the longest chromosome, it begins beyond all positions, so its cells could not be filled."""
    genome = Genome("test", {"one": size, "two": 500})
    ends = np.array([size, 100], np.int64)
    layout = Layout(genome, np.arange(2), np.zeros(2, np.int64), ends, 1, np.zeros(2, np.int8), "regions")
    index = build_region_index(layout)
    last = index.extents[:, TILE_FIRST] + index.extents[:, TILE_LAST]
    assert index.segments.inverse_steps[last].tolist() == [1 << 31 - TILE_BITS] * 2
    assert segment_of(index, 0, size - 1) == 1
    assert segment_of(index, 0, size) == segment_of(index, 0, min(size + 20_000, FAR - 1)) == 2
    assert segment_of(index, 1, 99) == 4


def test_index_is_built_once_and_freed_with_its_layout() -> None:
    layout = layout_of([(0, 50, 90), (0, 60, 70)])
    size = len(pickle.dumps(layout))
    index = region_index(layout)
    assert region_index(layout) is index
    assert region_index(layout, "same").accepts.tolist() != index.accepts.tolist()
    assert len(pickle.dumps(layout)) == size
    watched = weakref.ref(index)
    del layout, index
    gc.collect()
    assert watched() is None


def test_threads_build_an_index_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are counted at the same time wait for one index, which can take seconds and much memory."""
    n_built = 0

    def build(layout: Layout, strand: str | None) -> RegionIndex:
        nonlocal n_built
        n_built += 1
        time.sleep(0.2)
        return build_region_index(layout, strand)

    monkeypatch.setattr("deepchrome.engine.annotation.region_index.build_region_index", build)
    layout = layout_of([(0, 50, 90)])
    with ThreadPoolExecutor(4) as threads:
        indexes = [*threads.map(region_index, [layout] * 4)]
    assert n_built == 1
    assert all(index is indexes[0] for index in indexes)
