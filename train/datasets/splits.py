"""Splits of genes into training, validation and test; duplicates and overlapping windows across them."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from deepchrome.common.names import SPLIT_NAMES
from deepchrome.engine.annotation.genes import Genes
from deepchrome.errors import BadDataError, UsageError

SplitMethod = Literal["published", "random", "chromosome"]

TRAIN: Final = 0
VALID: Final = 1
TEST: Final = 2
# Orders of the chromosomes tried to find one that fills the three parts evenly.
_ORDERS: Final = 200


@dataclass(frozen=True)
class WindowOverlaps:
    """Test genes that are not new to a model: counts of rows.

    Attributes
    ----------
    duplicate_ids
        Test genes whose id is in the training set too.
    overlapping_windows
        Test genes whose window overlaps that of a training gene (duplicate ids among them).
    """

    duplicate_ids: int
    overlapping_windows: int


def split_genes(
    genes: Genes, method: SplitMethod = "published", *, seed: int = 1, flank: int = 5000, n_train: int | None = None
) -> NDArray[np.int8]:
    """Assign every gene to training, validation or test.

    Parameters
    ----------
    genes
        n genes.
    method
        ``published``: the order of gene ids, cut in three, as in 2016 (19,802 genes: 6601, 6601, 6600).
        ``random``: at random, but genes with the same id or with overlapping windows, and those they
        overlap in turn, stay together. ``chromosome``: whole chromosomes, chosen such that the sizes
        come as near to the wanted ones as the best of 200 random orders of chromosomes gives.
    seed
        Of the random choices; ``published`` makes none.
    flank
        Half the length of a window in bp: it is [tss - flank, tss + flank).
    n_train
        Wanted number of training genes, by default a third (rounded up). Half of the rest is for
        validation, half for test.

    Returns
    -------
    int8 (n,)
        :data:`TRAIN`, :data:`VALID` or :data:`TEST`.

    Raises
    ------
    UsageError
        ``n_train`` leaves a part without a gene.
    BadDataError
        Too few genes, or too few independent groups of them, to fill three parts.
    """
    wanted = _sizes(len(genes), n_train)
    if method == "published":
        split = np.empty(len(genes), np.int8)
        split[np.argsort(np.array(genes.gene_id), kind="stable")] = np.repeat(np.arange(3, dtype=np.int8), wanted)
        return split
    rng = np.random.default_rng(seed)
    if method == "random":
        group = _joined(_window_clusters(genes, flank), genes)
        part = _fill(np.bincount(group), rng.permutation(group.max() + 1), wanted)
    else:
        group = _joined(np.unique(np.array(genes.chrom), return_inverse=True)[1], genes)
        sizes = np.bincount(group)
        fillings = [_fill(sizes, rng.permutation(sizes.size), wanted) for _ in range(_ORDERS)]
        part = min(fillings, key=lambda filling: _distance(sizes, filling, wanted))
    split = part[group]
    if absent := [SPLIT_NAMES[i] for i in range(3) if not np.any(split == i)]:
        raise BadDataError(
            f"the {method} split leaves no gene for {', '.join(absent)}: {len(genes)} genes fall into only "
            f"{group.max() + 1} groups that must stay together; use more genes, or another split"
        )
    return split


def find_window_overlaps(genes: Genes, split: NDArray[np.int8], flank: int = 5000) -> WindowOverlaps:
    """Count the test genes that share their id or part of their window with a training gene.

    Parameters
    ----------
    genes, split
        n genes and the part of each, int8 (n,).
    flank
        Half the length of a window in bp.
    """
    gene_id = np.array(genes.gene_id)
    train, test = split == TRAIN, split == TEST
    duplicates = np.isin(gene_id[test], gene_id[train])
    position = _on_one_axis(genes, flank)
    of_train = np.append(np.sort(position[train]), np.iinfo(np.int64).max)
    following = np.searchsorted(of_train, position[test])
    ahead = of_train[following] - position[test] < 2 * flank
    behind = position[test] - of_train[np.maximum(following - 1, 0)] < 2 * flank
    overlaps = ahead | (behind & (following > 0))
    return WindowOverlaps(int(duplicates.sum()), int(overlaps.sum()))


def _sizes(n_genes: int, n_train: int | None) -> tuple[int, int, int]:
    if n_genes < 3:
        raise BadDataError(f"{n_genes} genes cannot be split into training, validation and test")
    train = -(-n_genes // 3) if n_train is None else n_train
    if not 0 < train <= n_genes - 2:
        raise UsageError(
            f"{train} of {n_genes} genes for training; 1 to {n_genes - 2} leave some for validation and test"
        )
    valid = -(-(n_genes - train) // 2)
    return train, valid, n_genes - train - valid


def _on_one_axis(genes: Genes, flank: int) -> NDArray[np.int64]:
    """Lay the chromosomes end to end, too far apart for windows to overlap: TSS positions, int64 (genes,)."""
    chromosome = np.unique(np.array(genes.chrom), return_inverse=True)[1].astype(np.int64)
    start = int(genes.tss.min())
    length = int(genes.tss.max()) - start + 2 * flank
    return chromosome * length + (genes.tss - start)


def _window_clusters(genes: Genes, flank: int) -> NDArray[np.int64]:
    """Give one number to genes whose windows overlap, directly or through others: int64 (genes,)."""
    position = _on_one_axis(genes, flank)
    order = np.argsort(position, kind="stable")
    cluster = np.empty(len(genes), np.int64)
    cluster[order] = np.cumsum(np.diff(position[order], prepend=position[order[0]]) >= 2 * flank)
    return cluster


def _joined(group: NDArray[np.int64], genes: Genes) -> NDArray[np.int64]:
    """Join groups that hold rows of one gene id."""
    gene = np.unique(np.array(genes.gene_id), return_inverse=True)[1]
    n_groups = int(group.max()) + 1
    n = n_groups + int(gene.max()) + 1
    edges = coo_array((np.ones(len(genes)), (group, n_groups + gene)), shape=(n, n))
    component = connected_components(edges, directed=False)[1][:n_groups]
    return np.unique(component, return_inverse=True)[1][group]


def _fill(sizes: NDArray[np.int64], order: NDArray[np.int64], wanted: tuple[int, int, int]) -> NDArray[np.int8]:
    """Put each group into the first part that has room for it, or the one with most room: int8 (groups,).

    A part left empty, since one group took the genes meant for it, gets the smallest group another can spare.
    """
    room = list(wanted)
    part = np.empty(sizes.size, np.int8)
    for group in order:
        size = int(sizes[group])
        chosen = next((i for i in range(3) if room[i] >= size), max(range(3), key=room.__getitem__))
        part[group] = chosen
        room[chosen] -= size
    for empty in np.flatnonzero(np.bincount(part, minlength=3) == 0):
        spare = np.flatnonzero(np.bincount(part, minlength=3)[part] > 1)
        if spare.size:
            part[spare[np.argmin(sizes[spare])]] = empty
    return part


def _distance(sizes: NDArray[np.int64], part: NDArray[np.int8], wanted: tuple[int, int, int]) -> float:
    filled = np.bincount(part, weights=sizes, minlength=3)
    return float(np.abs(filled - np.array(wanted)).sum())
