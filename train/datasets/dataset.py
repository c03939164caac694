"""Join features and expression into arrays to train on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES, check_names, first_names
from deepchrome.common.tables import stable_ids
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.provenance import (
    compare_counting,
    counting_record,
    describe_settings,
    merge_counting,
)
from deepchrome.engine.features.store import Features, feature_files, read_features
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.expression import Expression, read_expression
from deepchrome.train.datasets.inputs import InputSpec, Orient, Transform
from deepchrome.train.datasets.labels import LabelGenes, LabelRule, describe_thresholds, label_genes
from deepchrome.train.datasets.profile import Profile, compare_profiles, profile_features
from deepchrome.train.datasets.splits import SplitMethod, WindowOverlaps, count_window_overlaps, split_genes


@dataclass(frozen=True)
class Dataset:
    """Inputs, labels and split of the n genes of one epigenome.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    marks
        Names of the marks, in the order of the last axis of ``x``.
    gene_id
        n gene ids, spelled as in the features.
    x
        float32 (n, bins, marks): model inputs, after orientation and transform.
    y
        uint8 (n,): 1 if the gene is on, else 0.
    split
        int8 (n,): ``TRAIN``, ``VALID`` or ``TEST`` of :mod:`deepchrome.train.datasets.splits`.
    profile
        The profile of the features, over all their genes; ``None`` if unknown.
    counting
        How the reads were counted; empty if unknown. See
        :func:`~deepchrome.engine.features.provenance.counting_record`.
    has_name
        Whether ``epigenome`` is part of the data. ``False`` for DeepChrome's text format: its data set is named after
        its directory, and must give the same model in every directory.
    """

    epigenome: str
    marks: tuple[str, ...]
    gene_id: tuple[str, ...] = field(repr=False)
    x: NDArray[np.float32] = field(repr=False)
    y: NDArray[np.uint8] = field(repr=False)
    split: NDArray[np.int8] = field(repr=False)
    profile: Profile | None = field(default=None, repr=False)
    counting: Mapping[str, Any] = field(default_factory=dict, repr=False)
    has_name: bool = True

    @property
    def seed_name(self) -> str:
        """The name that random choices depend on, together with the seed."""
        return self.epigenome if self.has_name else "csv"

    def one_class_parts(self) -> tuple[str, ...]:
        """Describe the parts of the split (train, valid, test) that have no genes, or genes of one class only."""
        return tuple(
            f"{name} ({np.sum(self.split == part)} genes)"
            for part, name in enumerate(SPLIT_NAMES)
            if np.unique(self.y[self.split == part]).size < 2
        )

    def check_classes(self) -> None:
        """Check that training and validation genes include both classes, which every model needs.

        Raises
        ------
        BadDataError
            They do not.
        """
        if one_class := [part for part in self.one_class_parts() if not part.startswith("test")]:
            raise BadDataError(
                f"{self.epigenome}: the labels do not include both classes in {', '.join(one_class)}. "
                "A classifier needs both."
            )


@dataclass(frozen=True)
class LoadReport:
    """Facts about the loaded data that users should know.

    Attributes
    ----------
    inputs
        How counts become model inputs. A run stores it, to prepare new features in the same way.
    genes
        Number of genes in every data set.
    not_in_expression
        Number of genes that were left out because they have no expression.
    not_in_features
        Number of gene ids in the expression table that have no features.
    duplicate_ids
        Number of rows that repeat the gene id of an earlier row.
    unknown_strand
        Number of genes of unknown strand.
    window_overlaps
        Numbers of test genes that share an id or part of their window with a training gene. ``None`` if gene
        positions are unknown (DeepChrome's text format).
    notes
        Sentences for the user about these numbers and about left-out epigenomes.
    warnings
        Sentences about data that are probably wrong.
    label_warnings
        Sentences about a median RPKM that is probably the wrong threshold.
    """

    inputs: InputSpec
    genes: int
    not_in_expression: int
    not_in_features: int
    duplicate_ids: int
    unknown_strand: int
    window_overlaps: WindowOverlaps | None
    notes: tuple[str, ...] = field(repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)
    label_warnings: tuple[str, ...] = field(default=(), repr=False)


def load_datasets(
    features: Path,
    expression: Path,
    *,
    epigenomes: Sequence[str] | None = None,
    label_rule: LabelRule = "numeric",
    label_threshold: float | None = None,
    label_genes: LabelGenes = "table",
    split: SplitMethod = "published",
    seed: int = 1,
    n_train: int | None = None,
    orient: Orient = "genomic",
    transform: Transform = "counts",
    library_size: bool = False,
    marks: Sequence[str] | None = None,
) -> tuple[list[Dataset], LoadReport]:
    """Read features and expression, and join them by gene id.

    All epigenomes share one gene table and one split, so that each model can be tested on every
    epigenome. By default, labels compare a gene with the median of the whole expression table, which
    includes genes without features.

    Parameters
    ----------
    features
        A directory written by :func:`~deepchrome.engine.features.featurize.featurize`, or one Parquet file from it.
    expression
        A table in the format of :func:`~deepchrome.train.datasets.expression.read_expression`.
    epigenomes
        Names of the epigenomes to load. Default: all that have both features and expression.
    label_rule, label_threshold
        See :func:`~deepchrome.train.datasets.labels.label_genes`.
    label_genes
        Take the median over all rows of the expression ``table``, or over the genes with ``features``.
    split, seed, n_train
        See :func:`~deepchrome.train.datasets.splits.split_genes`.
    orient, transform, library_size, marks
        See :class:`~deepchrome.train.datasets.inputs.InputOptions`.

    Returns
    -------
    datasets
        One data set per epigenome, in the order of ``epigenomes``, or sorted by name.
    report
        Facts for the user, and how counts become model inputs.

    Raises
    ------
    MissingInputError, StorageError
        A file does not exist or cannot be read.
    BadDataError
        A file is damaged or has the name of another epigenome; a requested epigenome has no features or no
        expression; epigenomes differ in genes, marks or bins, or were counted with other settings; no gene has
        expression; or the genes cannot be labelled or split.
    UsageError
        ``epigenomes`` is empty, or ``n_train`` leaves a part of the split without genes.
    """
    paths = {path.stem: path for path in feature_files(features)}
    table = read_expression(expression)
    names, left_out = _choose_epigenomes(epigenomes, tuple(paths), table, features, expression)
    check_names(names, "an epigenome", str(features))

    first = read_features(paths[names[0]], marks)
    inputs = InputSpec.from_features(first, orient, transform, library_size)
    stable_id = stable_ids(pl.Series(first.genes.gene_id))
    row = _expression_rows(stable_id, table, f"{features} and {expression}")
    kept = np.flatnonzero(row >= 0)
    genes = first.genes.take(kept)
    flank = first.metadata["flank"]
    # Two versions of one id are the same gene, and must land in the same part of the split.
    unversioned = replace(genes, gene_id=tuple(stable_id.gather(kept)))
    parts = split_genes(unversioned, split, seed=seed, flank=flank, n_train=n_train)

    datasets: list[Dataset] = []
    settings = _Settings()
    labels = _Labels(table, row[kept], label_rule, label_threshold, label_genes)
    for name in names:
        counted = first if name == names[0] else _read_matching_features(first, paths[name], marks)
        x = inputs.apply(counted)[kept]
        counting = settings.add(paths[name], counted.metadata)
        profile = profile_features(counted)
        datasets.append(Dataset(name, inputs.marks, genes.gene_id, x, labels.of(name), parts, profile, counting))

    without_expression = first.genes.take(np.flatnonzero(row < 0)).gene_id
    report = LoadReport(
        inputs,
        genes=len(genes),
        not_in_expression=len(without_expression),
        not_in_features=len(set(table.gene_id).difference(stable_id)),
        duplicate_ids=len(genes) - len(set(unversioned.gene_id)),
        unknown_strand=genes.strand.count("."),
        window_overlaps=count_window_overlaps(unversioned, parts, flank),
        notes=(*table.notes, *left_out),
        warnings=tuple(_describe_unlike_epigenomes(datasets)),
        label_warnings=tuple(labels.warnings(names)),
    )
    notes = _describe_report(report, split, without_expression, datasets)
    return datasets, replace(report, notes=(*report.notes, *notes))


@dataclass(frozen=True)
class _Labels:
    """The labels of the genes with features, whose ``rows`` in the expression table are int64 (genes,)."""

    table: Expression
    rows: NDArray[np.int64]
    rule: LabelRule
    threshold: float | None
    genes: LabelGenes

    def of(self, epigenome: str) -> NDArray[np.uint8]:
        """Return the labels in one epigenome: uint8 (genes,)."""
        rpkm = self.table.column(epigenome)
        over_features = self.threshold is None and self.genes == "features"
        threshold = float(np.median(rpkm[self.rows])) if over_features else self.threshold
        return label_genes(rpkm, self.rule, threshold)[self.rows]

    def warnings(self, epigenomes: Sequence[str]) -> list[str]:
        """Return sentences about the medians that the labels are made with."""
        if self.threshold is not None:
            return []
        columns = {name: self.table.column(name) for name in epigenomes}
        over_table = {name: float(np.median(rpkm)) for name, rpkm in columns.items()}
        over_features = {name: float(np.median(rpkm[self.rows])) for name, rpkm in columns.items()}
        return describe_thresholds({"table": over_table, "features": over_features}, self.genes)


def _choose_epigenomes(
    wanted: Sequence[str] | None, with_features: Sequence[str], table: Expression, features: Path, expression: Path
) -> tuple[list[str], list[str]]:
    """Return the epigenomes to load, and a note about epigenomes that are left out."""
    if wanted is None:
        names = [name for name in with_features if name in table.epigenomes]
        without_expression = [name for name in with_features if name not in table.epigenomes]
        if not names:
            raise BadDataError(
                f"{features} and {expression}: no epigenome in common "
                f"(features of {first_names(with_features)}; expression of {first_names(table.epigenomes)})"
            )
        note = f"{', '.join(without_expression)} left out: no column in {expression}"
        return names, [note] if without_expression else []
    for where, known in ((features, with_features), (expression, table.epigenomes)):
        if absent := [name for name in wanted if name not in known]:
            raise BadDataError(f"{where}: no epigenome {', '.join(absent)} (it has {', '.join(known)})")
    if not wanted:
        raise UsageError("no epigenome was requested")
    return list(dict.fromkeys(wanted)), []


def _expression_rows(stable_id: pl.Series, table: Expression, where: str) -> NDArray[np.int64]:
    """Return the row of the expression table for each gene, or -1 if it has none: int64 (genes,)."""
    row_of = dict(zip(table.gene_id, range(len(table.gene_id)), strict=True))
    row = np.array([row_of.get(gene, -1) for gene in stable_id], np.int64)
    if not np.any(row >= 0):
        raise BadDataError(
            f"{where}: no gene in common (ids like {first_names(tuple(stable_id))} and {first_names(table.gene_id)})"
        )
    return row


def _read_matching_features(first: Features, path: Path, marks: Sequence[str] | None) -> Features:
    """Read the features of another epigenome, which must have the genes and marks of the first."""
    other = read_features(path, marks)
    if not _same_genes(first.genes, other.genes):
        raise BadDataError(
            f"{path}: genes differ from those of {first.epigenome}. Featurize all epigenomes with one gene table"
        )
    if other.marks != first.marks:
        raise BadDataError(
            f"{path}: marks {', '.join(other.marks)} differ from {', '.join(first.marks)} in {first.epigenome}. "
            "Choose marks that all epigenomes have, or train separately"
        )
    return other


class _Settings:
    """How the feature files of some epigenomes were counted: the same, as far as recorded."""

    def __init__(self) -> None:
        self._of_file: dict[Path, Mapping[str, Any]] = {}
        self._known: Mapping[str, Any] = {}

    def add(self, path: Path, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return how one more file was counted; raise BadDataError if it differs from an earlier file."""
        counting = counting_record(metadata)
        if compare_counting(self._known, counting, known_only=True):  # guard: same-counting
            raise self._error(path, counting)
        self._of_file[path] = counting
        self._known = merge_counting(self._known, counting)
        return counting

    def _error(self, path: Path, counting: Mapping[str, Any]) -> BadDataError:
        """Describe the differences from the first file that differs."""
        compared = {other: compare_counting(known, counting, known_only=True) for other, known in self._of_file.items()}
        other, differences = next(each for each in compared.items() if each[1])
        return BadDataError(
            f"{path}: counted with other settings than {other} "
            f"({describe_settings(counting, self._of_file[other], differences)}). "
            "Featurize all epigenomes with the same genome and options"
        )


def _describe_unlike_epigenomes(datasets: Sequence[Dataset]) -> list[str]:
    """Return sentences about epigenomes whose features would be refused by models of the others."""
    warnings = []
    for data in datasets:
        others = [other.profile for other in datasets if other is not data and other.profile is not None]
        if data.profile is None or not others:
            continue
        findings = compare_profiles(data.profile, others, "other epigenomes")
        if texts := [finding.text for finding in findings if finding.refuse]:
            warnings.append(f"{data.epigenome}: unlike the other epigenomes: {'; '.join(texts)}")
    return warnings


def _same_genes(one: Genes, other: Genes) -> bool:
    return (
        one.gene_id == other.gene_id
        and one.chrom == other.chrom
        and one.strand == other.strand
        and np.array_equal(one.tss, other.tss)
    )


def _describe_report(
    report: LoadReport, split: SplitMethod, without_expression: Sequence[str], datasets: Sequence[Dataset]
) -> list[str]:
    """Return sentences for the user about a report, and about data sets with labels of one class."""
    notes = []
    if without_expression:
        examples = first_names(without_expression)
        notes.append(f"{len(without_expression)} genes left out because they have no expression ({examples})")
    if report.not_in_features:
        notes.append(f"{report.not_in_features} genes of the expression table have no features")
    if report.duplicate_ids:
        notes.append(f"{report.duplicate_ids} rows repeat the gene id of an earlier row")
    if note := report.inputs.describe_unknown_strands(report.unknown_strand):
        notes.append(note)
    if report.window_overlaps and report.window_overlaps.overlapping_windows:
        notes.append(
            f"{split} split: the windows of {report.window_overlaps.overlapping_windows} test genes overlap the window "
            f"of a training gene ({report.window_overlaps.duplicate_ids} share its id), which inflates test scores. "
            "The random and chromosome splits avoid this"
        )
    one_class = {data.epigenome: ", ".join(data.one_class_parts()) for data in datasets}
    return notes + [f"{name}: only one class of labels in {parts}" for name, parts in one_class.items() if parts]
