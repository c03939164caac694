"""Features in DeepChrome's text format: ``GeneID,BinID,<a column per mark>,label``, a file per split."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write
from deepchrome.common.names import SPLIT_NAMES, check_names
from deepchrome.common.tables import read_table, stable_ids
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.store import Features, feature_files, read_features
from deepchrome.errors import BadDataError, StorageError, UsageError

# The columns of the published data sets; further marks follow in the order of the features.
PUBLISHED_MARK_ORDER: Final = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")


class Splitter(Protocol):
    """Assigns genes, given with unversioned ids, to splits."""

    def __call__(self, genes: Genes, *, flank: int) -> NDArray[np.int8]:
        """Return the place in :data:`SPLIT_NAMES` of each gene, int8 (genes,); ``flank`` is half a window in bp."""


@dataclass(frozen=True)
class Labels:
    """A label table: ``on[epigenome]`` is uint8 (genes,), 0 or 1, for the genes of ``row_of``."""

    path: Path
    row_of: Mapping[str, int] = field(repr=False)
    on: Mapping[str, NDArray[np.uint8]] = field(repr=False)


@dataclass(frozen=True)
class Exported:
    """What was written for one epigenome: genes per split, those left out, the marks in their order."""

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
) -> list[Exported]:
    """Write train.csv, valid.csv and test.csv, a row per gene and bin, bins in genomic order from 1.

    Parameters
    ----------
    features
        A directory that ``dc featurize`` wrote, or one file of it.
    out
        Takes the three files of one epigenome, or a directory with three files for each of several.
    labels
        A label table, see :func:`read_labels`.
    splitter
        Assigns genes to splits, e.g. ``deepchrome.train.datasets.splits.split_genes`` or :func:`read_split_table`.
    epigenomes
        By default all of ``features``.
    header
        Write a header; the published files have none.
    drop_unlabelled
        Leave out genes without a label, instead of refusing.
    force
        Replace files that exist.

    Returns
    -------
    One entry per epigenome.

    Raises
    ------
    UsageError
        A file exists and ``force`` is not set.
    MissingInputError, StorageError
        A file is not there, cannot be read or cannot be written.
    BadDataError
        An epigenome or a gene has no label; a gene id cannot stand in a CSV file; or the features
        or the label table are damaged. Nothing has been written then.
    """
    paths = {path.stem: path for path in feature_files(features)}
    names = list(dict.fromkeys(epigenomes)) if epigenomes is not None else list(paths)
    if absent := [name for name in names if name not in paths]:
        raise BadDataError(f"{features}: no epigenome {', '.join(absent)}; it has {', '.join(paths)}")
    check_names(names, "an epigenome", str(features))
    table = read_labels(labels)
    directories = {name: out / name if len(names) > 1 else out for name in names}
    existing = [path for name in names for part in SPLIT_NAMES if (path := directories[name] / f"{part}.csv").exists()]
    if existing and not force:
        raise UsageError(f"{existing[0]} exists; --force replaces it")
    # All gene tables are checked before the first file is written.
    for name in names:
        _labelled(read_features(paths[name], marks=()), table, drop_unlabelled)
    exported = []
    for name in names:
        read = read_features(paths[name])
        kept, rows = _labelled(read, table, drop_unlabelled)
        exported.append(
            _write(read, kept, table.on[name][rows], splitter, directories[name], header, len(read.genes) - kept.size)
        )
    return exported


def read_labels(path: Path) -> Labels:
    """Read a label table: a header ``gene_id E003 E004 ...``, then 0 or 1 per gene and epigenome, tab separated.

    Raises
    ------
    MissingInputError, StorageError
        No such file, or it cannot be read.
    BadDataError
        A value other than 0 and 1, or two rows of one gene that differ.
    """
    table = read_table(path)
    gene_id, values = stable_ids(table.to_series(0)), table[:, 1:]
    if not values.width:
        raise BadDataError(f"{path}:1: one column; expected gene_id and a column per epigenome, separated by tabs")
    if (wrong := np.argwhere(~values.select(pl.all().is_in(["0", "1"])).to_numpy())).size:
        row, column = map(int, wrong[0])
        raise BadDataError(f"{path}:{row + 2}: {values.item(row, column)[:40]!r} is no label; expected 0 or 1")
    row_of: dict[str, int] = {}
    for row, gene in enumerate(gene_id):
        first = row_of.setdefault(gene, row)
        if first != row and values.row(first) != values.row(row):
            raise BadDataError(f"{path}:{row + 2}: other labels for {gene} than on line {first + 2}")
    on = {name: (values[name] == "1").to_numpy().astype(np.uint8) for name in values.columns}
    return Labels(path, row_of, on)


def read_split_table(path: Path) -> Splitter:
    """Read a split table, ``gene_id`` and ``split`` (train, valid or test), tab separated, as a splitter.

    Raises
    ------
    MissingInputError, StorageError
        No such file, or it cannot be read.
    BadDataError
        No such columns, another word than the three, or a gene in two splits. The splitter raises
        it for a gene that the table lacks.
    """
    table = read_table(path)
    if not {"gene_id", "split"} <= set(table.columns):
        raise BadDataError(f"{path}:1: columns {', '.join(table.columns)}; expected gene_id and split")
    part_of: dict[str, int] = {}
    for line, (gene, part) in enumerate(zip(stable_ids(table["gene_id"]), table["split"], strict=True), 2):
        if part not in SPLIT_NAMES:
            raise BadDataError(f"{path}:{line}: split {part[:40]!r}; expected train, valid or test")
        if part_of.setdefault(gene, SPLIT_NAMES.index(part)) != SPLIT_NAMES.index(part):
            raise BadDataError(f"{path}:{line}: {gene} is in {SPLIT_NAMES[part_of[gene]]} already")

    def splitter(genes: Genes, *, flank: int) -> NDArray[np.int8]:  # noqa: ARG001 - a table needs no flank
        if absent := [gene for gene in genes.gene_id if gene not in part_of]:
            raise BadDataError(f"{path}: no split for {len(absent)} genes: {', '.join(absent[:3])}")
        return np.array([part_of[gene] for gene in genes.gene_id], np.int8)

    return splitter


def _labelled(features: Features, labels: Labels, drop: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the genes that have a label, in the features and in the label table: int64 (genes,) each."""
    if features.epigenome not in labels.on:
        raise BadDataError(
            f"{labels.path}: no labels of {features.epigenome}; it has {', '.join(labels.on)}; choose by --epigenomes"
        )
    if awkward := [gene for gene in features.genes.gene_id if not gene or set(gene) & set(',"\r\n')]:
        raise BadDataError(f"{features.epigenome}: gene id {awkward[0][:40]!r} cannot stand in a CSV file")
    rows = np.array([labels.row_of.get(gene, -1) for gene in stable_ids(pl.Series(features.genes.gene_id))], np.int64)
    kept = np.flatnonzero(rows >= 0)
    without = features.genes.take(np.flatnonzero(rows < 0)).gene_id
    if without and not drop:
        raise BadDataError(
            f"{labels.path}: no label for {len(without)} of {len(features.genes)} genes of {features.epigenome} "
            f"({', '.join(without[:3])}{', ...' if len(without) > 3 else ''}); --drop-unlabelled leaves them out"
        )
    return kept, rows[kept]


def _write(
    features: Features,
    kept: NDArray[np.int64],
    on: NDArray[np.uint8],
    splitter: Splitter,
    directory: Path,
    header: bool,
    unlabelled: int,
) -> Exported:
    genes = features.genes.take(kept)
    unversioned = replace(genes, gene_id=tuple(stable_ids(pl.Series(genes.gene_id))))
    split = splitter(unversioned, flank=features.metadata["flank"])
    marks = sorted(
        features.marks,
        key=lambda m: PUBLISHED_MARK_ORDER.index(m) if m in PUBLISHED_MARK_ORDER else len(PUBLISHED_MARK_ORDER),
    )
    n_bins = features.counts.shape[1]
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{directory}: cannot be made ({error.strerror or error})") from None
    sizes = []
    # The three files take their names only when all three are complete.
    with ExitStack() as stack:
        temporaries = [stack.enter_context(atomic_write(directory / f"{part}.csv")) for part in SPLIT_NAMES]
        for part, temporary in enumerate(temporaries):
            of_part = np.flatnonzero(split == part)
            rows = kept[of_part]
            columns = {
                "GeneID": pl.Series(genes.take(of_part).gene_id, dtype=pl.String).gather(
                    np.repeat(np.arange(rows.size), n_bins)
                ),
                "BinID": np.tile(np.arange(1, n_bins + 1), rows.size),
                **{mark: features.counts[rows, :, features.marks.index(mark)].ravel() for mark in marks},
                "label": np.repeat(on[of_part], n_bins),
            }
            # Programs that read this format cut lines at commas, and know nothing of quotes.
            pl.DataFrame(columns).write_csv(temporary, include_header=header, quote_style="never")
            sizes.append(rows.size)
    return Exported(features.epigenome, directory, (sizes[0], sizes[1], sizes[2]), unlabelled, tuple(marks))
