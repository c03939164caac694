"""Read split tables, which assign genes to training, validation and test."""

from pathlib import Path

from deepchrome.common.names import SPLIT_NAMES
from deepchrome.common.tables import read_table, stable_ids
from deepchrome.errors import BadDataError


def read_splits(path: Path) -> dict[str, int]:
    """Read a split table: tab-separated, with a header that names at least ``gene_id`` and ``split``.

    Parameters
    ----------
    path
        The table, plain or gzipped. Its splits are train, valid and test. Gene ids may have a version.

    Returns
    -------
    dict
        The index of each gene's split in :data:`~deepchrome.common.names.SPLIT_NAMES`, by id without version.

    Raises
    ------
    MissingInputError, StorageError
        The file does not exist or cannot be read.
    BadDataError
        A column is missing, a gene has no id, a split has another name, or a gene is listed twice. Two versions of one
        id are one gene.
    """
    table = read_table(path)
    if not {"gene_id", "split"} <= set(table.columns):
        raise BadDataError(
            f"{path}:1: columns {', '.join(table.columns)} (expected gene_id and split, separated by tabs)"
        )
    split_of: dict[str, int] = {}
    line_of: dict[str, int] = {}
    for line, (gene, name) in enumerate(zip(stable_ids(table["gene_id"]), table["split"], strict=True), 2):
        if not gene:
            raise BadDataError(f"{path}:{line}: row without a gene id")
        if name not in SPLIT_NAMES:
            raise BadDataError(f"{path}:{line}: unknown split {name[:40]!r} (expected train, valid or test)")
        if gene in split_of:  # guard: gene-in-two-splits
            earlier = f"{SPLIT_NAMES[split_of[gene]]} on line {line_of[gene]}"
            raise BadDataError(f"{path}:{line}: {gene[:40]} is already in {earlier}. Keep one row per gene")
        split_of[gene], line_of[gene] = SPLIT_NAMES.index(name), line
    return split_of
