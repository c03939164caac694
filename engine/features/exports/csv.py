"""Write features in DeepChrome's text format: ``GeneID,BinID,<one column per mark>,label``, one file per split."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write
from deepchrome.common.names import SPLIT_NAMES
from deepchrome.common.splits import read_splits
from deepchrome.common.tables import read_table, stable_ids
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.exports.choose import check_free, choose_epigenomes, make_directory
from deepchrome.engine.features.store import Features, read_features
from deepchrome.errors import BadDataError

# The order of the mark columns in the published data sets. Other marks follow, in the order of the feature file.
PUBLISHED_MARK_ORDER: Final = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")


class Splitter(Protocol):
    """A function that assigns genes to splits."""

    def __call__(self, genes: Genes, *, flank: int) -> NDArray[np.int8]:
        """Return the index of each gene's split in :data:`SPLIT_NAMES`: int8 (genes,).

        The ids in ``genes`` have no version suffix. ``flank`` is half the width of a window, in bp.
        """


@dataclass(frozen=True)
class Labels:
    """A label table with n rows.

    Attributes
    ----------
    path
        The file that the table was read from.
    row_of
        The row of each gene, by unversioned id.
    by_epigenome
        The labels of each epigenome: uint8 (n,), 1 for on and 0 for off.
    """

    path: Path
    row_of: Mapping[str, int] = field(repr=False)
    by_epigenome: Mapping[str, NDArray[np.uint8]] = field(repr=False)


@dataclass(frozen=True)
class ExportedEpigenome:
    """The files written for one epigenome.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    directory
        The directory of its three files.
    genes
        Number of genes in train.csv, valid.csv and test.csv.
    unlabelled
        Number of genes left out because they have no label.
    marks
        The marks, in the order of the columns.
    """

    epigenome: str
    directory: Path
    genes: tuple[int, int, int]
    unlabelled: int
    marks: tuple[str, ...]


def export_csv(
    features: Path,
    out: Path,
    labels: Path,
    splitter: Splitter,
    *,
    epigenomes: Sequence[str] | None = None,
    header: bool = False,
    drop_unlabelled: bool = False,
    force: bool = False,
) -> list[ExportedEpigenome]:
    """Write train.csv, valid.csv and test.csv, one row per gene and bin. Bins are numbered from 1 in genomic order.

    Parameters
    ----------
    features
        A directory that ``dc featurize`` wrote, or one file from it.
    out
        The directory for the three files. With several epigenomes, each gets a directory of its own in ``out``.
    labels
        A label table; see :func:`read_labels`.
    splitter
        The function that assigns genes to splits, such as ``deepchrome.train.datasets.splits.split_genes`` or the
        result of :func:`read_split_table`.
    epigenomes
        The epigenomes to export. By default all in ``features``.
    header
        Write a header. The published files have none.
    drop_unlabelled
        Leave out genes without a label, instead of raising an error.
    force
        Replace existing files.

    Returns
    -------
    list of ExportedEpigenome
        One per epigenome.

    Raises
    ------
    UsageError
        A file exists and ``force`` is False.
    MissingInputError, StorageError
        A file does not exist, cannot be read or cannot be written.
    BadDataError
        ``features`` lacks an epigenome, an epigenome or a gene has no label, a gene id has a character that the
        format cannot represent, or an input is damaged. If a label or an id is at fault, nothing is written.
    """
    paths = choose_epigenomes(features, epigenomes)
    names = list(paths)
    table = read_labels(labels)
    directories = {name: out / name if len(names) > 1 else out for name in names}
    files = [directories[name] / f"{split}.csv" for name in names for split in SPLIT_NAMES]
    check_free(files, force)
    # Check the genes of all epigenomes before the first file is written.
    for name in names:
        _match_labels(read_features(paths[name], marks=()), table, drop_unlabelled)
    exported = []
    for name in names:
        stored = read_features(paths[name])
        rows, label_rows = _match_labels(stored, table, drop_unlabelled)
        exported.append(
            _write_splits(stored, rows, table.by_epigenome[name][label_rows], splitter, directories[name], header)
        )
    return exported


def read_labels(path: Path) -> Labels:
    """Read a label table: a header ``gene_id E003 E004 ...``, then 0 or 1 per gene and epigenome, tab-separated.

    Raises
    ------
    MissingInputError, StorageError
        The file does not exist or cannot be read.
    BadDataError
        There is no column of labels, a value is not 0 or 1, or a gene has two rows with different labels.
    """
    table = read_table(path)
    gene_id, values = stable_ids(table.to_series(0)), table[:, 1:]
    if not values.width:
        raise BadDataError(f"{path}:1: one column (expected gene_id and a column per epigenome, separated by tabs)")
    if (wrong := np.argwhere(~values.select(pl.all().is_in(["0", "1"])).to_numpy())).size:
        row, column = map(int, wrong[0])
        raise BadDataError(f"{path}:{row + 2}: {values.item(row, column)[:40]!r} is not a label (expected 0 or 1)")
    row_of: dict[str, int] = {}
    for row, gene in enumerate(gene_id):
        first = row_of.setdefault(gene, row)
        if first != row and values.row(first) != values.row(row):
            raise BadDataError(f"{path}:{row + 2}: the labels of {gene} differ from those on line {first + 2}")
    by_epigenome = {name: (values[name] == "1").to_numpy().astype(np.uint8) for name in values.columns}
    return Labels(path, row_of, by_epigenome)


def read_split_table(path: Path) -> Splitter:
    """Read a split table and return a splitter that looks genes up in it.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        See :func:`~deepchrome.common.splits.read_splits`. The returned splitter also raises BadDataError, for a gene
        that is not in the table.
    """
    split_of = read_splits(path)

    def split_by_table(genes: Genes, *, flank: int) -> NDArray[np.int8]:  # noqa: ARG001 - a table needs no flank
        if absent := [gene for gene in genes.gene_id if gene not in split_of]:
            raise BadDataError(f"{path}: no split for {len(absent)} genes: {', '.join(absent[:3])}")
        return np.array([split_of[gene] for gene in genes.gene_id], np.int8)

    return split_by_table


def _match_labels(
    features: Features, labels: Labels, drop_unlabelled: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row of each labelled gene in the features, and in the label table: int64 (genes,) each."""
    gene_id = features.genes.gene_id
    if features.epigenome not in labels.by_epigenome:
        raise BadDataError(
            f"{labels.path}: no labels of {features.epigenome}; it has {', '.join(labels.by_epigenome)}",
            remedy="epigenomes",
        )
    if unsafe := [gene for gene in gene_id if not gene or set(gene) & set(',"\r\n')]:
        raise BadDataError(
            f"{features.epigenome}: gene id {unsafe[0][:40]!r} is empty or has a comma, a quote or a line break, "
            "which the text format cannot hold"
        )
    label_rows = np.array([labels.row_of.get(gene, -1) for gene in stable_ids(pl.Series(gene_id))], np.int64)
    feature_rows = np.flatnonzero(label_rows >= 0)
    missing = [gene_id[row] for row in np.flatnonzero(label_rows < 0)]
    if missing and not drop_unlabelled:
        raise BadDataError(
            f"{labels.path}: no label for {len(missing)} of {len(gene_id)} genes of {features.epigenome} "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''})",
            remedy="drop_unlabelled",
        )
    return feature_rows, label_rows[feature_rows]


def _write_splits(
    features: Features,
    rows: NDArray[np.int64],
    labels: NDArray[np.uint8],
    splitter: Splitter,
    directory: Path,
    header: bool,
) -> ExportedEpigenome:
    """Write the three files of one epigenome: ``rows`` of the features, and a label per row, uint8 (rows,)."""
    genes = features.genes.take(rows)
    unversioned = replace(genes, gene_id=tuple(stable_ids(pl.Series(genes.gene_id))))
    split = splitter(unversioned, flank=features.metadata["flank"])
    marks = sorted(
        features.marks,
        key=lambda m: PUBLISHED_MARK_ORDER.index(m) if m in PUBLISHED_MARK_ORDER else len(PUBLISHED_MARK_ORDER),
    )
    n_bins = features.counts.shape[1]
    make_directory(directory)
    sizes = []
    # No file gets its final name before all three are complete.
    with ExitStack() as stack:
        temporaries = [stack.enter_context(atomic_write(directory / f"{name}.csv")) for name in SPLIT_NAMES]
        for i, temporary in enumerate(temporaries):
            in_split = np.flatnonzero(split == i)
            split_rows = rows[in_split]
            columns = {
                "GeneID": pl.Series(genes.take(in_split).gene_id, dtype=pl.String).gather(
                    np.repeat(np.arange(in_split.size), n_bins)
                ),
                "BinID": np.tile(np.arange(1, n_bins + 1), in_split.size),
                **{mark: _column(features, mark, split_rows) for mark in marks},
                "label": np.repeat(labels[in_split], n_bins),
            }
            # Programs that read this format split lines at commas and do not handle quotes.
            with temporary.open("wb") as file:
                pl.DataFrame(columns).write_csv(file, include_header=header, quote_style="never")
            sizes.append(in_split.size)
    n_train, n_valid, n_test = sizes
    return ExportedEpigenome(
        features.epigenome, directory, (n_train, n_valid, n_test), len(features.genes) - rows.size, tuple(marks)
    )


def _column(features: Features, mark: str, rows: NDArray[np.int64]) -> NDArray[np.generic]:
    """Return the values of a mark in some genes, gene by gene: uint32 counts, or float32 signal."""
    values = features.counts[rows, :, features.marks.index(mark)].ravel()
    return values if mark in features.signal else values.astype(np.uint32, copy=False)
