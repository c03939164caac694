"""Split genes into training, validation and test, and count genes that the parts share."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from deepchrome.common.names import SPLIT_NAMES, TEST, TRAIN
from deepchrome.engine.annotation.genes import Genes
from deepchrome.errors import BadDataError, ParameterError

SplitMethod = Literal["published", "random", "chromosome"]

# Number of random chromosome orders to try. The split whose sizes are closest to the target is taken.
_N_ORDERS: Final = 200


@dataclass(frozen=True)
class WindowOverlaps:
    """Numbers of test genes that a model has partly seen in training.

    Attributes
    ----------
    duplicate_ids
        Test genes with the id of a training gene.
    overlapping_windows
        Test genes whose window overlaps that of a training gene, duplicate ids included.
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
        ``published``: sort the genes by id and cut the list into three parts, as the DeepChrome
        paper did in 2016 (19,802 genes: 6601, 6601, 6600). ``random``: assign genes at random, but
        keep genes together if they share an id or their windows overlap, directly or through other
        genes. ``chromosome``: assign whole chromosomes; of 200 random assignments, take the one
        whose sizes are closest to the target sizes.
    seed
        Seed of the random choices. ``published`` makes no random choice.
    flank
        Half the width of a gene's window [tss - flank, tss + flank), in bp.
    n_train
        Target number of training genes. Default: a third, rounded up. Half of the other genes are
        for validation, half for test.

    Returns
    -------
    int8 (n,)
        :data:`TRAIN`, :data:`VALID` or :data:`TEST`.

    Raises
    ------
    ParameterError
        ``n_train`` leaves a part without genes.
    BadDataError
        There are too few genes, or too few independent groups of genes, to fill three parts.
    """
    target = _target_sizes(len(genes), n_train)
    if method == "published":
        split = np.empty(len(genes), np.int8)
        split[np.argsort(np.array(genes.gene_id), kind="stable")] = np.repeat(np.arange(3, dtype=np.int8), target)
        return split
    rng = np.random.default_rng(seed)
    if method == "random":
        group = _join_by_gene_id(_window_clusters(genes, flank), genes)
        part = _assign_groups(np.bincount(group), rng.permutation(group.max() + 1), target)
    else:
        group = _join_by_gene_id(np.unique(np.array(genes.chrom), return_inverse=True)[1], genes)
        sizes = np.bincount(group)
        assignments = [_assign_groups(sizes, rng.permutation(sizes.size), target) for _ in range(_N_ORDERS)]
        part = min(assignments, key=lambda part: _distance_to_target(sizes, part, target))
    split = part[group]
    if absent := [SPLIT_NAMES[i] for i in range(3) if not np.any(split == i)]:
        raise BadDataError(
            f"the {method} split leaves no gene for {', '.join(absent)}: {len(genes)} genes form only "
            f"{group.max() + 1} groups that must stay together. Use more genes, or another split."
        )
    return split


def count_window_overlaps(genes: Genes, split: NDArray[np.int8], flank: int = 5000) -> WindowOverlaps:
    """Count the test genes that share their id or part of their window with a training gene.

    Parameters
    ----------
    genes
        n genes.
    split
        int8 (n,): the part of each gene, as :func:`split_genes` returns it.
    flank
        Half the width of a gene's window in bp.
    """
    gene_id = np.array(genes.gene_id)
    train, test = split == TRAIN, split == TEST
    duplicates = np.isin(gene_id[test], gene_id[train])
    position = _concatenated_positions(genes, flank)
    train_position = np.append(np.sort(position[train]), np.iinfo(np.int64).max)
    following = np.searchsorted(train_position, position[test])
    ahead = train_position[following] - position[test] < 2 * flank
    behind = position[test] - train_position[np.maximum(following - 1, 0)] < 2 * flank
    overlaps = ahead | (behind & (following > 0))
    return WindowOverlaps(int(duplicates.sum()), int(overlaps.sum()))


def _target_sizes(n_genes: int, n_train: int | None) -> tuple[int, int, int]:
    if n_genes < 3:
        raise BadDataError(f"{n_genes} genes cannot be split into training, validation and test")
    train = -(-n_genes // 3) if n_train is None else n_train
    if not 0 < train <= n_genes - 2:
        raise ParameterError("n_train", f"must be 1 to {n_genes - 2} for {n_genes} genes, got {train}")
    valid = -(-(n_genes - train) // 2)
    return train, valid, n_genes - train - valid


def _concatenated_positions(genes: Genes, flank: int) -> NDArray[np.int64]:
    """Return TSS positions on one axis, with the chromosomes too far apart for windows to overlap: int64 (genes,)."""
    chromosome = np.unique(np.array(genes.chrom), return_inverse=True)[1].astype(np.int64)
    start = int(genes.tss.min())
    length = int(genes.tss.max()) - start + 2 * flank
    return chromosome * length + (genes.tss - start)


def _window_clusters(genes: Genes, flank: int) -> NDArray[np.int64]:
    """Return one number per cluster of genes whose windows overlap, directly or through others: int64 (genes,)."""
    position = _concatenated_positions(genes, flank)
    order = np.argsort(position, kind="stable")
    cluster = np.empty(len(genes), np.int64)
    cluster[order] = np.cumsum(np.diff(position[order], prepend=position[order[0]]) >= 2 * flank)
    return cluster


def _join_by_gene_id(group: NDArray[np.int64], genes: Genes) -> NDArray[np.int64]:
    """Join groups that contain rows of the same gene id: int64 (genes,)."""
    gene = np.unique(np.array(genes.gene_id), return_inverse=True)[1]
    n_groups = int(group.max()) + 1
    n = n_groups + int(gene.max()) + 1
    edges = coo_array((np.ones(len(genes)), (group, n_groups + gene)), shape=(n, n))
    component = connected_components(edges, directed=False)[1][:n_groups]
    return np.unique(component, return_inverse=True)[1][group]


def _assign_groups(
    sizes: NDArray[np.int64], order: NDArray[np.int64], target: tuple[int, int, int]
) -> NDArray[np.int8]:
    """Assign each group to the first part with enough room, else to the part with the most room: int8 (groups,).

    A part that is still empty at the end gets the smallest group from a part that has several.
    """
    room = list(target)
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


def _distance_to_target(sizes: NDArray[np.int64], part: NDArray[np.int8], target: tuple[int, int, int]) -> float:
    assigned = np.bincount(part, weights=sizes, minlength=3)
    return float(np.abs(assigned - np.array(target)).sum())
