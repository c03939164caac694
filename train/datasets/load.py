"""Join features and expression into data sets."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES, TEST, check_names, first_names
from deepchrome.common.splits import read_splits
from deepchrome.common.tables import comparable_ids, stable_ids
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.provenance import (
    compare_counting,
    counting_record,
    describe_settings,
    merge_counting,
)
from deepchrome.engine.features.store import Features, feature_files, read_features, read_header
from deepchrome.errors import BadDataError, ParameterError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.expression import Expression, read_expression
from deepchrome.train.datasets.inputs import InputOptions, InputSpec
from deepchrome.train.datasets.labels import LabelGenes, LabelRule, describe_thresholds, label_genes
from deepchrome.train.datasets.profile import compare_profiles, profile_features
from deepchrome.train.datasets.splits import SplitMethod, WindowOverlaps, count_window_overlaps, split_genes

# Fewer genes do not tell the depth of a sample.
_MIN_DEPTH_GENES: Final = 200
_FAIR_SPLITS: Final = "The random and chromosome splits avoid this"


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
    split_warnings
        Sentences about a split that makes test scores too high.
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
    split_warnings: tuple[str, ...] = field(default=(), repr=False)


def load_datasets(
    features: Path,
    expression: Path,
    *,
    epigenomes: Sequence[str] | None = None,
    label_rule: LabelRule = "numeric",
    label_threshold: float | None = None,
    label_genes: LabelGenes = "table",
    split: SplitMethod = "chromosome",
    seed: int = 1,
    n_train: int | None = None,
    split_file: Path | None = None,
    inputs: InputOptions | None = None,
    shard: tuple[int, int] | None = None,
    known_genes: Collection[str] | None = None,
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
    split_file
        A table that assigns genes to the parts of the split, in place of ``split``; see
        :func:`~deepchrome.common.splits.read_splits`. Genes that it lacks are left out.
    inputs
        How counts become model inputs. If marks may be missing, epigenomes may differ in their marks.
    shard
        (i, n): load only the i-th of every n epigenomes, from 1 to n.
    known_genes
        Ids of the genes that a model was trained on. The correction for depth uses them alone, if there are
        enough of them. Default: all genes of the data sets.

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
        expression, or none is in a part of ``split_file``; or the genes cannot be labelled or split.
    UsageError
        ``epigenomes`` is empty, or ``n_train`` leaves a part of the split without genes.
    """
    paths = {path.stem: path for path in feature_files(features)}
    table = read_expression(expression)
    names, left_out = _choose_epigenomes(epigenomes, tuple(paths), table, features, expression)
    check_names(names, "an epigenome", str(features))
    if shard is not None:
        names = _select_shard(names, *shard)

    options = inputs or InputOptions()
    if options.missing_marks and options.marks is None:
        options = replace(options, marks=_all_marks([read_header(paths[name]).marks for name in names]))
    marks = None if options.missing_marks else options.marks
    first = read_features(paths[names[0]], marks)
    spec = InputSpec.from_features(first, options)
    is_signal = {mark for name in names for mark in read_header(paths[name]).signal}
    spec = replace(spec, signal=tuple(mark for mark in spec.marks if mark in is_signal))
    stable_id = stable_ids(pl.Series(first.genes.gene_id))
    row = _expression_rows(stable_id, table, f"{features} and {expression}")
    has_expression = row >= 0
    assigned = None if split_file is None else _assigned_parts(stable_id, has_expression, split_file)
    is_kept = has_expression if assigned is None else has_expression & (assigned >= 0)
    kept = np.flatnonzero(is_kept)
    genes = first.genes.take(kept)
    flank = first.metadata["flank"]
    # Two versions of one id are the same gene, and must land in the same part of the split.
    unversioned = replace(genes, gene_id=tuple(stable_id.gather(kept)))
    if assigned is None:
        parts = split_genes(unversioned, split, seed=seed, flank=flank, n_train=n_train)
    else:
        parts = assigned[kept]

    datasets: list[Dataset] = []
    empty_marks: list[str] = []
    settings = _Settings()
    of_depth = is_kept
    if known_genes is not None and (common := find_depth_genes(stable_id, known_genes)) is not None:
        of_depth = is_kept & common
    labels = _Labels(table, row[kept], label_rule, label_threshold, label_genes)
    for name in names:
        counted = first if name == names[0] else _read_matching_features(first, paths[name], marks, spec.missing_marks)
        measured = spec.leave_out_empty_marks(counted)
        if empty := [mark for mark in counted.marks if mark not in measured.marks]:
            empty_marks.append(f"{name}: no reads of {', '.join(empty)}, which counts as not measured")
        counted = measured
        spec.check(counted)
        scales = spec.scales(counted, of_depth)
        datasets.append(
            Dataset(
                name,
                spec.marks,
                genes.gene_id,
                spec.apply(counted, scales)[kept],
                labels.of(name),
                parts,
                profile_features(counted),
                settings.add(paths[name], counted.metadata),
                table.column(name)[row[kept]],
                scales,
            )
        )

    without_expression = first.genes.take(np.flatnonzero(~has_expression)).gene_id
    without_part = first.genes.take(np.flatnonzero(has_expression & ~is_kept)).gene_id
    overlaps = count_window_overlaps(unversioned, parts, flank)
    how = f"split of {split_file}" if split_file is not None else f"{split} split"
    report = LoadReport(
        spec,
        genes=len(genes),
        not_in_expression=len(without_expression),
        not_in_features=len(set(table.gene_id).difference(stable_id)),
        duplicate_ids=len(genes) - len(set(unversioned.gene_id)),
        unknown_strand=genes.strand.count("."),
        window_overlaps=overlaps,
        notes=(*table.notes, *left_out, *empty_marks, *_describe_signal(spec)),
        warnings=tuple(_describe_unlike_epigenomes(datasets)),
        label_warnings=tuple(labels.warnings(names)),
        split_warnings=() if split != "published" or assigned is not None else (_describe_published(overlaps, parts),),
    )
    notes = _describe_genes(report, without_expression, without_part, split_file)
    if overlaps.overlapping_windows and not report.split_warnings:
        notes.append(
            f"{how}: the windows of {overlaps.overlapping_windows} test genes overlap the window of a training gene "
            f"({overlaps.duplicate_ids} share its id), which inflates test scores. {_FAIR_SPLITS}"
        )
    one_class = {data.epigenome: ", ".join(data.one_class_parts()) for data in datasets}
    notes += [f"{name}: only one class of labels in {parts}" for name, parts in one_class.items() if parts]
    return datasets, replace(report, notes=(*report.notes, *notes))


def find_depth_genes(gene_id: Iterable[str], known: Collection[str]) -> NDArray[np.bool_] | None:
    """Find the genes whose counts tell the depth of a sample in the same way as those of the training.

    Parameters
    ----------
    gene_id
        Ids of the genes of the sample.
    known
        Ids of the genes that the model was trained on.

    Returns
    -------
    bool (genes,)
        The genes that the model knows; ``None`` if they are too few.
    """
    ids = comparable_ids(pl.Series(list(gene_id), dtype=pl.String))
    known_ids = comparable_ids(pl.Series(list(known), dtype=pl.String))
    common = ids.is_in(known_ids.implode()).to_numpy()
    return common if common.sum() >= min(_MIN_DEPTH_GENES, len(known) / 2) else None


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


def _describe_signal(spec: InputSpec) -> list[str]:
    """Return a note about the marks that are signal, if there are any."""
    if not spec.signal:
        return []
    return [f"{', '.join(spec.signal)}: signal of bigWig files. It has no reads, so training cannot vary its depth"]


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


def _assigned_parts(stable_id: pl.Series, has_expression: NDArray[np.bool_], split_file: Path) -> NDArray[np.int8]:
    """Return the part of the split that a table assigns to each gene, or -1: int8 (genes,)."""
    split_of = read_splits(split_file)
    part = np.array([split_of.get(gene, -1) for gene in stable_id], np.int8)
    if absent := [name for i, name in enumerate(SPLIT_NAMES) if not np.any(has_expression & (part == i))]:
        known = [gene for gene, kept in zip(stable_id, has_expression, strict=True) if kept]
        raise BadDataError(
            f"{split_file}: no gene for {', '.join(absent)} among the {len(known)} genes with features and expression "
            f"(ids like {first_names(tuple(split_of))} and {first_names(known)})"
        )
    return part


def _select_shard(names: Sequence[str], number: int, shards: int) -> list[str]:
    """Return every ``shards``-th name, from the name of this number (from 1)."""
    if not 1 <= number <= shards:
        raise ParameterError("shard", f"must be between 1 and {shards}, got {number}")
    if not (chosen := list(names[number - 1 :: shards])):
        raise ParameterError("shard", f"{number} of {shards} has no epigenome: there are {len(names)}")
    return chosen


def _all_marks(marks: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the marks of all epigenomes, in the order of the epigenome with the most marks."""
    return tuple(dict.fromkeys(itertools.chain(*sorted(marks, key=len, reverse=True))))


def _read_matching_features(first: Features, path: Path, marks: Sequence[str] | None, missing_marks: bool) -> Features:
    """Read the features of another epigenome. It must have the genes of the first, and its marks if none may lack."""
    other = read_features(path, marks)
    if not same_genes(first.genes, other.genes):
        raise BadDataError(
            f"{path}: genes differ from those of {first.epigenome}. Featurize all epigenomes with one gene table"
        )
    if other.marks != first.marks and not missing_marks:
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


def same_genes(one: Genes, other: Genes) -> bool:
    """Return whether two gene tables have the same ids, TSSs and strands in the same order."""
    return (
        one.gene_id == other.gene_id
        and one.chrom == other.chrom
        and one.strand == other.strand
        and np.array_equal(one.tss, other.tss)
    )


def _describe_published(overlaps: WindowOverlaps, parts: NDArray[np.int8]) -> str:
    """Return a sentence about the scores of the published split. docs/labels.md has the numbers of the 2016 list."""
    return (
        f"the published split flatters test scores: the windows of {overlaps.overlapping_windows} of "
        f"{np.sum(parts == TEST)} test genes overlap the window of a training gene (607 of 6,600 in the list of 2016), "
        f"and the order of gene ids is not random. {_FAIR_SPLITS}"
    )


def _describe_genes(
    report: LoadReport, without_expression: Sequence[str], without_part: Sequence[str], split_file: Path | None
) -> list[str]:
    """Return sentences about genes that were left out, that are listed twice, or whose strand is unknown."""
    notes = []
    if without_expression:
        examples = first_names(without_expression)
        notes.append(f"{len(without_expression)} genes left out because they have no expression ({examples})")
    if without_part:
        notes.append(
            f"{len(without_part)} genes left out because {split_file} lacks them ({first_names(without_part)})"
        )
    if report.not_in_features:
        notes.append(f"{report.not_in_features} genes of the expression table have no features")
    if report.duplicate_ids:
        notes.append(f"{report.duplicate_ids} rows repeat the gene id of an earlier row")
    if note := report.inputs.describe_unknown_strands(report.unknown_strand):
        notes.append(note)
    return notes
