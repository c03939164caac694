"""Windows of bins around a TSS: positions, ends of chromosomes, invalid parameters, and the index."""

import numpy as np
import pytest

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.errors import BadDataError, ParameterError, UsageError

GENOME = Genome("test", {"chr1": 100_000, "chr2": 8000})


def genes(*places: tuple[str, int]) -> Genes:
    """Make genes from chromosomes and TSSs."""
    chroms, sites = zip(*places, strict=True) if places else ((), ())
    ids = tuple(f"g{i}" for i in range(len(places)))
    return Genes(ids, ids, chroms, np.array(sites, np.int64), ("+-."[len(places) % 3],) * len(places))


def test_published_window() -> None:
    """[tss - 5000, tss + 5000) with the 1-based TSS as position, and 100 bins of 100 bp, on both strands."""
    windows = tss_windows(genes(("chr1", 50_000), ("chr1", 20_000)), GENOME)
    assert windows.start.tolist() == [45_000, 15_000]
    assert (windows.flank, windows.bin_size, windows.n_bins) == (5000, 100, 100)
    assert windows.chrom_id.tolist() == [0, 0]
    assert windows.outside.tolist() == []
    assert windows.dropped == ()


EDGES = genes(("chr1", 50), ("chr1", 60), ("chr2", 7950), ("chr2", 7940), ("chr9", 1), ("chr1", 50_000))


def test_bins_outside_the_chromosome() -> None:
    """With bins of 10 bp in a window of 100 bp, a bin lies outside for TSS <= 50 - 10 or TSS >= length - 40."""
    places = [("chr1", tss) for tss in (1, 40, 41, 99_959, 99_960, 100_000)]
    windows = tss_windows(genes(*places), GENOME, 50, 10)
    assert windows.outside.tolist() == [0, 1, 4, 5]
    outside = windows.layout.outside_bins()
    assert outside.sum(axis=1).tolist() == [4, 1, 1, 5]
    assert outside[1].tolist() == [True] + [False] * 9
    assert outside[2].tolist() == [False] * 9 + [True]


def test_edge_drop_removes_genes() -> None:
    windows = tss_windows(EDGES, GENOME, 5000, 100, edge="drop")
    assert windows.dropped == ("g0", "g1", "g2", "g3")
    assert windows.genes.gene_id == ("g4", "g5")
    assert windows.start.tolist() == [-4999, 45_000]
    assert windows.chrom_id.tolist() == [-1, 0]
    assert windows.outside.tolist() == []
    with pytest.raises(BadDataError, match="no gene is left"):
        tss_windows(genes(("chr1", 1)), GENOME, edge="drop")


def test_edge_error_and_zero() -> None:
    wanted = r"^genes with bins wholly outside their chromosome: 4 \(first: g0 at chr1:50, chromosome length 100000 bp"
    with pytest.raises(BadDataError, match=wanted) as caught:
        tss_windows(EDGES, GENOME, edge="error")
    assert caught.value.remedy == "edge"
    assert tss_windows(genes(("chr1", 50_000)), GENOME, edge="error").outside.tolist() == []
    windows = tss_windows(EDGES, GENOME)
    assert windows.outside.tolist() == [0, 1, 2, 3]
    assert len(windows.genes) == 6


@pytest.mark.parametrize(
    ("flank", "bin_size"),
    [(5000, 0), (5000, -100), (0, 100), (-5000, 100), (5000, 300), (5000, 10_001), (2**28, 100), (10**12, 100)],
)
def test_invalid_window_sizes(flank: int, bin_size: int) -> None:
    with pytest.raises(UsageError, match="cannot be cut into bins of"):
        tss_windows(genes(("chr1", 1)), GENOME, flank, bin_size)


def test_invalid_edge_and_no_genes() -> None:
    with pytest.raises(ParameterError, match="edge must be one of zero, drop, error, got 'cut'"):
        tss_windows(genes(("chr1", 1)), GENOME, edge="cut")
    with pytest.raises(BadDataError, match="no gene is left"):
        tss_windows(genes(), GENOME)
