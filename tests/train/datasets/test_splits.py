import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepchrome.common.names import TEST, TRAIN, VALID
from deepchrome.engine.annotation.genes import Genes
from deepchrome.errors import BadDataError, ParameterError
from deepchrome.train.datasets.splits import WindowOverlaps, count_window_overlaps, split_genes

FLANK = 50


def genes_of(rows):
    """Return the genes of rows (id, chrom, tss)."""
    ids, chroms, tss = zip(*rows, strict=True)
    return Genes(ids, ids, chroms, np.array(tss, np.int64), ("+",) * len(rows))


def naive_window_overlaps(rows, split, flank):
    """Count test genes that share an id or a window with a training gene, by comparing all pairs."""
    same, overlapping = set(), set()
    for i, (gene, chrom, tss) in enumerate(rows):
        for j, (other, other_chrom, other_tss) in enumerate(rows):
            if split[i] == TEST and split[j] == TRAIN:
                if gene == other:
                    same.add(i)
                if chrom == other_chrom and max(tss, other_tss) - flank < min(tss, other_tss) + flank:
                    overlapping.add(i)
    return WindowOverlaps(len(same), len(overlapping))


ROWS = st.lists(
    st.tuples(st.integers(0, 30).map(str), st.sampled_from(["chr1", "chr2", "chrX"]), st.integers(1, 1500)),
    min_size=1,
    max_size=40,
)
# Isolated genes, so that there are always enough groups to split.
APART = [(f"apart{i}", f"chr{i}", 10_000 * i + 1) for i in range(4, 10)]


@pytest.mark.parametrize(
    ("n", "sizes"), [(19802, (6601, 6601, 6600)), (600, (200, 200, 200)), (4, (2, 1, 1)), (3, (1, 1, 1))]
)
def test_published_split_is_three_thirds_in_the_order_of_ids(n, sizes):
    order = np.random.default_rng(0).permutation(n)
    genes = genes_of([(f"ENSG{i:011d}", "chr1", 1) for i in order])
    split = split_genes(genes, "published")
    assert split.dtype == np.int8
    assert tuple(np.bincount(split)) == sizes
    by_id = split[np.argsort(order)]
    assert (np.diff(by_id) >= 0).all()


@given(ROWS, st.integers(0, 5), st.sampled_from(["random", "chromosome"]))
def test_training_and_test_genes_never_overlap(rows, seed, method):
    rows = rows + APART
    genes = genes_of(rows)
    split = split_genes(genes, method, seed=seed, flank=FLANK)
    assert set(split) == {TRAIN, VALID, TEST}
    assert naive_window_overlaps(rows, split, FLANK) == WindowOverlaps(0, 0)
    assert (split == split_genes(genes, method, seed=seed, flank=FLANK)).all()


@given(ROWS, st.randoms(use_true_random=False))
def test_overlaps_agree_with_the_naive_count(rows, random):
    split = np.array([random.randrange(3) for _ in rows], np.int8)
    assert count_window_overlaps(genes_of(rows), split, FLANK) == naive_window_overlaps(rows, split, FLANK)


def test_windows_that_touch_do_not_overlap():
    rows = [("A", "chr1", 1000), ("B", "chr1", 1100), ("C", "chr2", 1099), ("D", "chr2", 1000)]
    split = np.array([TRAIN, TEST, TRAIN, TEST], np.int8)
    assert count_window_overlaps(genes_of(rows), split, FLANK) == WindowOverlaps(0, 1)


def test_chromosome_split_keeps_chromosomes_whole_and_near_a_third():
    sizes = dict(zip("ABCDEFGHIJ", (200, 150, 130, 110, 100, 90, 80, 60, 50, 30), strict=True))
    genes = genes_of([(f"{chrom}{i}", chrom, 1000 * i + 1) for chrom, n in sizes.items() for i in range(n)])
    splits = [split_genes(genes, "chromosome", seed=seed) for seed in range(4)]
    for split in splits:
        assert all(len(set(split[np.array(genes.chrom) == chrom])) == 1 for chrom in sizes)
        assert np.abs(np.bincount(split) - 1000 / 3).max() <= 15
    assert len({split.tobytes() for split in splits}) > 1


def test_a_gene_on_two_chromosomes_ties_them_together():
    rows = [(f"{chrom}{i}", chrom, 1000 * i + 1) for chrom in "XYABC" for i in range(10)]
    rows += [("PAR", "X", 50_001), ("PAR", "Y", 50_001)]
    for seed in range(5):
        split = split_genes(genes_of(rows), "chromosome", seed=seed)
        assert len({split[i] for i, row in enumerate(rows) if row[1] in "XY"}) == 1


@pytest.mark.parametrize("method", ["published", "random", "chromosome"])
def test_n_train_sets_the_training_genes_and_the_others_are_halved(method):
    genes = genes_of([(f"ENSG{i:011d}", f"chr{i}", 1) for i in range(101)])
    split = split_genes(genes, method, n_train=40)
    assert tuple(np.bincount(split)) == (40, 31, 30)


def test_different_seeds_give_different_splits():
    genes = genes_of([(f"ENSG{i:011d}", "chr1", 20_000 * i + 1) for i in range(60)])
    splits = {split_genes(genes, "random", seed=seed).tobytes() for seed in range(5)}
    assert len(splits) == 5


def test_genes_that_cannot_be_split_are_refused():
    neighbours = genes_of([(f"G{i}", "chr1", 10 * i + 1) for i in range(20)])
    with pytest.raises(BadDataError, match=r"random split leaves no gene for valid, test: 20 genes form only 1 groups"):
        split_genes(neighbours, "random")
    with pytest.raises(BadDataError, match="chromosome split leaves no gene"):
        split_genes(neighbours, "chromosome")
    with pytest.raises(BadDataError, match="2 genes cannot be split"):
        split_genes(neighbours.take(np.arange(2)))
    for n_train in (0, 19, 50):
        with pytest.raises(ParameterError, match=f"n_train must be 1 to 18 for 20 genes, got {n_train}"):
            split_genes(neighbours, n_train=n_train)


@pytest.mark.realdata
def test_the_published_split_of_the_real_genes(shared_data):
    with (shared_data / "roadmap" / "genes.tsv").open() as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    rows = [(row["gene_id"], row["chrom"], int(row["tss"])) for row in table]
    genes = genes_of(rows)
    # The published list is sorted by id, and cut after rows 6601 and 13202.
    published = split_genes(genes, "published")
    assert (published == np.repeat([TRAIN, VALID, TEST], [6601, 6601, 6600])).all()
    found = count_window_overlaps(genes, published)
    near = 0
    for chrom in set(genes.chrom):
        of_chrom = np.array(genes.chrom) == chrom
        train, test = genes.tss[of_chrom & (published == TRAIN)], genes.tss[of_chrom & (published == TEST)]
        near += int((np.abs(test[:, None] - train[None, :]) < 10_000).any(1).sum())
    assert found == WindowOverlaps(0, near)
    assert near > 500
    for method in ("random", "chromosome"):
        split = split_genes(genes, method)
        assert np.abs(np.bincount(split) - 19802 / 3).max() < 60
        assert count_window_overlaps(genes, split) == WindowOverlaps(0, 0)
