"""Features and labels as arrays, ready to train on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES, check_names
from deepchrome.common.tables import stable_ids
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.store import Features, feature_files, read_features
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.expression import Expression, read_expression
from deepchrome.train.datasets.inputs import InputSpec, Orient, Transform
from deepchrome.train.datasets.labels import LabelRule, label_genes
from deepchrome.train.datasets.splits import SplitMethod, WindowOverlaps, find_window_overlaps, split_genes


@dataclass(frozen=True)
class Dataset:
    """One epigenome, ready to train on.

    Attributes
    ----------
    epigenome
        Its name.
    marks
        Names of the marks, in the order of the last axis of ``x``.
    gene_id
        n ids, as the features have them.
    x
        float32 (n, bins, marks), after orientation and transform.
    y
        uint8 (n,), 1 where the gene is on.
    split
        int8 (n,): ``TRAIN``, ``VALID`` or ``TEST`` of :mod:`deepchrome.train.datasets.splits`.
    """

    epigenome: str
    marks: tuple[str, ...]
    gene_id: tuple[str, ...] = field(repr=False)
    x: NDArray[np.float32] = field(repr=False)
    y: NDArray[np.uint8] = field(repr=False)
    split: NDArray[np.int8] = field(repr=False)

    def one_class_parts(self) -> tuple[str, ...]:
        """Name the parts (train, valid, test) whose labels are all the same, or that are empty."""
        return tuple(
            f"{name} ({np.sum(self.split == part)} genes)"
            for part, name in enumerate(SPLIT_NAMES)
            if np.unique(self.y[self.split == part]).size < 2
        )


@dataclass(frozen=True)
class LoadReport:
    """What happened on the way from files to data sets.

    Attributes
    ----------
    inputs
        How counts became ``x``: what a run stores, so that new features can be treated alike.
    genes
        Rows in every data set.
    not_in_expression, not_in_features
        Ids that fell out: rows of the features without expression, and ids of the table without features.
    duplicate_ids
        Rows whose id stands on an earlier row too.
    unknown_strand
        Genes whose strand is unknown.
    window_overlaps
        Test genes that a training gene shares its id or its window with; ``None`` where positions
        are not known (DeepChrome's text format).
    notes
        Everything worth telling the user, a sentence each; the counts above are among them where not 0.
    """

    inputs: InputSpec
    genes: int
    not_in_expression: int
    not_in_features: int
    duplicate_ids: int
    unknown_strand: int
    window_overlaps: WindowOverlaps | None
    notes: tuple[str, ...] = field(repr=False)


def load_datasets(
    features: Path,
    expression: Path,
    *,
    epigenomes: Sequence[str] | None = None,
    label_rule: LabelRule = "numeric",
    split: SplitMethod = "published",
    seed: int = 1,
    n_train: int | None = None,
    orient: Orient = "genomic",
    transform: Transform = "counts",
    library_size: bool = False,
    marks: Sequence[str] | None = None,
) -> tuple[list[Dataset], LoadReport]:
    """Read features and expression, and join them by gene id.

    All epigenomes share one gene table and one split, so that models can be tested on each
    other's epigenomes. A gene's label depends on the whole expression table, not on which genes
    have features.

    Parameters
    ----------
    features
        A directory that ``dc featurize`` wrote, or one file of it.
    expression
        A table for :func:`deepchrome.train.datasets.expression.read_expression`.
    epigenomes
        By default all that have both features and expression.
    label_rule, split, seed, n_train
        See :func:`~deepchrome.train.datasets.labels.label_genes` and
        :func:`~deepchrome.train.datasets.splits.split_genes`.
    orient, transform, library_size
        See :class:`~deepchrome.train.datasets.inputs.InputSpec`.
    marks
        By default all, in the order of the files.

    Returns
    -------
    datasets
        One per epigenome, by name, or in the order asked for.
    report

    Raises
    ------
    MissingInputError, StorageError
        A file is not there or cannot be read.
    BadDataError
        A file is damaged; an epigenome asked for lacks features or expression; epigenomes differ in
        genes, marks or bins; no gene has expression; or as the functions named above.
    """
    paths = {path.stem: path for path in feature_files(features)}
    table = read_expression(expression)
    names, left_out = _chosen(epigenomes, tuple(paths), table, features, expression)
    check_names(names, "an epigenome", str(features))

    first = read_features(paths[names[0]], marks)
    inputs = InputSpec.of(first, orient, transform, library_size)
    features_id = stable_ids(pl.Series(first.genes.gene_id))
    row = _rows_of(features_id, table, f"{features} and {expression}")
    kept = np.flatnonzero(row >= 0)
    genes = first.genes.take(kept)
    flank = first.metadata["flank"]
    # Versions play no part in which rows are the same gene.
    unversioned = replace(genes, gene_id=tuple(features_id.gather(kept)))
    parts = split_genes(unversioned, split, seed=seed, flank=flank, n_train=n_train)

    datasets = []
    for name in names:
        read = first if name == names[0] else _read_alike(first, paths[name], marks)
        y = label_genes(table.column(name), label_rule)[row[kept]]
        datasets.append(Dataset(name, inputs.marks, genes.gene_id, inputs.apply(read)[kept], y, parts))

    fell_out = first.genes.take(np.flatnonzero(row < 0)).gene_id
    report = LoadReport(
        inputs,
        genes=len(genes),
        not_in_expression=len(fell_out),
        not_in_features=len(set(table.gene_id).difference(features_id)),
        duplicate_ids=len(genes) - len(set(unversioned.gene_id)),
        unknown_strand=genes.strand.count("."),
        window_overlaps=find_window_overlaps(unversioned, parts, flank),
        notes=(*table.notes, *left_out),
    )
    return datasets, replace(report, notes=(*report.notes, *_notes(report, split, fell_out, datasets)))


def _notes(report: LoadReport, split: SplitMethod, fell_out: Sequence[str], datasets: Sequence[Dataset]) -> list[str]:
    """Put the counts of a report, where they are not 0, into sentences."""
    notes = []
    if fell_out:
        notes.append(f"{len(fell_out)} genes left out: features, but no expression ({_some(fell_out)})")
    if report.not_in_features:
        notes.append(f"{report.not_in_features} genes of the expression table have no features")
    if report.duplicate_ids:
        notes.append(f"{report.duplicate_ids} rows repeat the gene id of an earlier row")
    if report.unknown_strand and report.inputs.orient == "strand":
        notes.append(f"{report.unknown_strand} genes of unknown strand keep the genomic order")
    if report.window_overlaps and report.window_overlaps.overlapping_windows:
        notes.append(
            f"{split} split: the windows of {report.window_overlaps.overlapping_windows} test genes overlap a training "
            f"gene's ({report.window_overlaps.duplicate_ids} have the same id): their test score is flattered; "
            "--split random or chromosome keeps such genes together"
        )
    single = {data.epigenome: ", ".join(data.one_class_parts()) for data in datasets}
    return notes + [f"{name}: labels of one class only in {parts}" for name, parts in single.items() if parts]


def _chosen(
    wanted: Sequence[str] | None, featured: Sequence[str], table: Expression, features: Path, expression: Path
) -> tuple[list[str], list[str]]:
    """Choose the epigenomes to load, and say which were left out."""
    if wanted is None:
        names = [name for name in featured if name in table.epigenomes]
        without = [name for name in featured if name not in table.epigenomes]
        if not names:
            raise BadDataError(
                f"{features} and {expression} have no epigenome in common: features of {_some(featured)}; "
                f"expression of {_some(table.epigenomes)}"
            )
        return names, [f"{', '.join(without)} left out: features, but no column in {expression}"] * bool(without)
    for where, known in ((features, featured), (expression, table.epigenomes)):
        if absent := [name for name in wanted if name not in known]:
            raise BadDataError(f"{where}: no epigenome {', '.join(absent)}; it has {', '.join(known)}")
    if not wanted:
        raise UsageError("no epigenome asked for")
    return list(dict.fromkeys(wanted)), []


def _rows_of(features_id: pl.Series, table: Expression, where: str) -> NDArray[np.int64]:
    """Row of the expression table for every gene of the features, -1 where it has none: int64 (genes,)."""
    row_of = dict(zip(table.gene_id, range(len(table.gene_id)), strict=True))
    row = np.array([row_of.get(gene, -1) for gene in features_id], np.int64)
    if not np.any(row >= 0):
        raise BadDataError(
            f"{where} have no gene in common: ids like {_some(tuple(features_id))} and like {_some(table.gene_id)}"
        )
    return row


def _read_alike(first: Features, path: Path, marks: Sequence[str] | None) -> Features:
    """Read another epigenome, which must have the genes, marks and bins of the first."""
    read = read_features(path, marks)
    if not _same_genes(first.genes, read.genes):
        raise BadDataError(
            f"{path}: its genes are not those of {first.epigenome}; featurize all epigenomes with one gene table"
        )
    if read.marks != first.marks:
        raise BadDataError(
            f"{path}: marks {', '.join(read.marks)}, but {', '.join(first.marks)} in {first.epigenome}; "
            "choose marks that all have, or train them apart"
        )
    return read


def _same_genes(one: Genes, other: Genes) -> bool:
    return (
        one.gene_id == other.gene_id
        and one.chrom == other.chrom
        and one.strand == other.strand
        and np.array_equal(one.tss, other.tss)
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
