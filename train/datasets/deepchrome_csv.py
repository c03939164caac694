"""Read DeepChrome's text format: ``GeneID,BinID,<one column per mark>,label`` in train.csv, valid.csv and test.csv."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES, TEST, TRAIN, check_names
from deepchrome.common.tables import read_fields, stable_ids
from deepchrome.engine.features.exports.csv import PUBLISHED_MARK_ORDER
from deepchrome.errors import BadDataError, MissingInputError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.depth import CountScale
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.inputs import InputOptions, InputSpec
from deepchrome.train.datasets.labels import label_genes
from deepchrome.train.datasets.load import LoadReport
from deepchrome.train.datasets.profile import profile_counts

# Labels are attributed to an epigenome and a rule if at least this share of them agrees.
_RECOGNIZED_SHARE: Final = 0.95


@dataclass(frozen=True)
class _SplitFile:
    """One of the three files: n gene ids, counts float32 (n, bins, marks), labels uint8 (n,).

    ``marks`` is ``None`` if the file has no header.
    """

    path: Path
    marks: tuple[str, ...] | None
    gene_id: tuple[str, ...]
    counts: NDArray[np.float32]
    label: NDArray[np.uint8]


def load_csv(
    directory: Path, inputs: InputOptions | None = None, *, expression: Path | None = None
) -> tuple[list[Dataset], LoadReport]:
    """Read a data set in DeepChrome's text format.

    Parameters
    ----------
    directory
        A directory with train.csv, valid.csv and test.csv, each plain or gzipped, with or without ``.gz``
        in its name. A gene is a block of rows, one per bin, in order. All genes have the same number of
        bins. A header names the marks. Without a header, five marks are assumed to be in the published
        order (:data:`~deepchrome.engine.features.exports.csv.PUBLISHED_MARK_ORDER`), and any other number
        of marks is named mark1, mark2, ...
    inputs
        How counts become model inputs: ``transform`` and ``depth``. Marks and bins keep the order of the files.
    expression
        An expression table. If given, a note in the report names the epigenome and the label rule that the
        labels agree with best.

    Returns
    -------
    datasets
        One data set, named after the directory. The name does not influence training.
    report
        Its notes warn about marks whose counts are all even (in the published toy data, those of H3K4me3 are
        doubled), test genes that are also training genes, and parts with labels of one class only.

    Raises
    ------
    MissingInputError
        One of the three files does not exist.
    BadDataError
        A field is not valid (the message gives file and line), or the files differ in marks or bins.
    UsageError
        The depth correction needs numbers of reads, which the format does not have.
    """
    inputs = inputs or InputOptions()
    if inputs.depth == "library-size":
        raise UsageError(f"{directory}: DeepChrome's text format has no numbers of reads to scale by")
    parts = [_read_split_file(_find_split_file(directory, name)) for name in SPLIT_NAMES]
    marks = _common_marks(parts)
    counts = np.concatenate([part.counts for part in parts])
    spec = InputSpec(marks, counts.shape[1], None, None, transform=inputs.transform, depth=inputs.depth)
    are_whole = not np.any(counts % 1)
    if inputs.depth == "ranks" and not are_whole:
        raise BadDataError(
            f"{directory}: values that are no whole numbers cannot be corrected for depth by ranks", remedy="raw_depth"
        )
    by_mark = np.moveaxis(counts, 2, 0)
    ranked = inputs.depth == "ranks"
    scales = tuple(
        CountScale.by_ranks(inputs.transform, each) if ranked else CountScale(inputs.transform) for each in by_mark
    )
    data = Dataset(
        re.sub(r"[^A-Za-z0-9._+-]", "_", directory.resolve().name)[:64] or "csv",
        marks,
        tuple(gene for part in parts for gene in part.gene_id),
        np.stack([scale.apply(each) for scale, each in zip(scales, by_mark, strict=True)], 2),
        np.concatenate([part.label for part in parts]),
        np.repeat(np.arange(3, dtype=np.int8), [len(part.gene_id) for part in parts]),
        profile=profile_counts(marks, counts),
        scales=scales if are_whole else None,
        has_name=False,
    )
    notes = _describe_problems(data, counts)
    if expression is not None:
        notes.append(_recognize_labels(data, expression))
    genes = len(data.gene_id)
    report = LoadReport(
        spec,
        genes=genes,
        not_in_expression=0,
        not_in_features=0,
        duplicate_ids=genes - len(set(data.gene_id)),
        unknown_strand=genes,
        window_overlaps=None,
        notes=tuple(notes),
    )
    return [data], report


def _find_split_file(directory: Path, name: str) -> Path:
    found = [path for suffix in (".csv", ".csv.gz") if (path := directory / f"{name}{suffix}").is_file()]
    if not found:
        raise MissingInputError(
            f"{directory}: no {name}.csv or {name}.csv.gz. All of train, valid and test are needed."
        )
    if len(found) > 1:
        raise BadDataError(f"{directory}: both {name}.csv and {name}.csv.gz exist. Remove one of them.")
    return found[0]


def _read_split_file(path: Path) -> _SplitFile:
    table = read_fields(path, ",")
    n_marks = table.width - 3
    if n_marks < 1:
        raise BadDataError(f"{path}:1: {table.width} columns, expected GeneID, BinID, one or more marks, label")
    # A header has no number after the first field. Thus a data row with one bad number is not taken for a header.
    header = None if any(map(_is_number, table.row(0)[1:])) else table.row(0)
    first_line = 1 if header is None else 2
    rows = table[first_line - 1 :]
    if not rows.height:
        raise BadDataError(f"{path}: a header and no rows")
    if header is not None:
        check_names(list(header[2:-1]), "a mark", f"{path}:1")
    gene = rows.to_series(0)
    bins = _parse_numbers(path, first_line, rows[:, 1:2], "BinID")[:, 0]
    n_bins = _bins_per_gene(path, first_line, gene, bins)
    counts = _parse_numbers(path, first_line, rows[:, 2:-1], "a count").astype(np.float32)
    label = _parse_numbers(path, first_line, rows[:, -1:], "a label")[:, 0]
    per_gene = label.reshape(-1, n_bins)
    if (wrong := np.flatnonzero((label != 0) & (label != 1))).size:
        raise BadDataError(f"{path}:{wrong[0] + first_line}: label {label[wrong[0]]:g}, expected 0 or 1")
    if (wrong := np.flatnonzero(np.ravel(per_gene != per_gene[:, :1]))).size:
        raise BadDataError(f"{path}:{wrong[0] + first_line}: label differs from that of the gene's first row")
    return _SplitFile(
        path,
        None if header is None else tuple(header[2:-1]),
        tuple(gene.gather_every(n_bins)),
        counts.reshape(-1, n_bins, n_marks),
        per_gene[:, 0].astype(np.uint8),
    )


def _bins_per_gene(path: Path, first_line: int, gene: pl.Series, bins: NDArray[np.float64]) -> int:
    """Return the number of rows per gene, after checking that all genes have the same bins in the same order."""
    again = np.flatnonzero(bins[1:] == bins[0])
    n_bins = int(again[0]) + 1 if again.size else bins.size
    expected = bins[0] + np.arange(bins.size) % n_bins
    if (wrong := np.flatnonzero(bins != expected)).size:
        row = int(wrong[0])
        raise BadDataError(
            f"{path}:{row + first_line}: BinID {bins[row]:g}, expected {expected[row]:g}. "
            f"Every gene needs the same {n_bins} rows as the first gene, in order."
        )
    if bins.size % n_bins:
        raise BadDataError(
            f"{path}: ends within a gene ({bins.size % n_bins} of the {n_bins} rows of {gene[-1]}). "
            "Is the file truncated?"
        )
    # Neighbouring genes may have the same id (7 ids of the 2016 list occur twice), but a gene must have only one id.
    first_of_gene = gene.gather(np.arange(bins.size) // n_bins * n_bins)
    if (changed := (gene != first_of_gene).arg_true()).len():
        row = int(changed[0])
        raise BadDataError(f"{path}:{row + first_line}: gene {gene[row]} inside the rows of gene {first_of_gene[row]}")
    return n_bins


def _parse_numbers(path: Path, first_line: int, columns: pl.DataFrame, what: str) -> NDArray[np.float64]:
    """Parse text as finite numbers >= 0: float64 (rows, columns)."""
    values = columns.select(pl.all().cast(pl.Float64, strict=False)).to_numpy().astype(np.float64)
    if not np.all(np.isfinite(values) & (values >= 0)):
        row, column = np.argwhere(~(np.isfinite(values) & (values >= 0)))[0]
        text = columns.item(int(row), int(column))
        raise BadDataError(f"{path}:{row + first_line}: {text[:40]!r} is not {what} (a number >= 0)")
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _common_marks(parts: list[_SplitFile]) -> tuple[str, ...]:
    """Return the names of the marks, after checking that the three files agree."""
    first = parts[0]
    with_header = next((part for part in parts if part.marks), first)
    for part in parts[1:]:
        if part.counts.shape[1:] != first.counts.shape[1:]:
            shapes = [f"{p.counts.shape[1]} bins x {p.counts.shape[2]} marks" for p in (part, first)]
            raise BadDataError(f"{part.path}: {shapes[0]}, but {first.path} has {shapes[1]}")
        if part.marks and part.marks != with_header.marks:
            raise BadDataError(f"{part.path}:1: marks differ from those in {with_header.path}")
    if with_header.marks:
        return with_header.marks
    n_marks = first.counts.shape[2]
    if n_marks == len(PUBLISHED_MARK_ORDER):
        return PUBLISHED_MARK_ORDER
    return tuple(f"mark{i + 1}" for i in range(n_marks))


def _describe_problems(data: Dataset, counts: NDArray[np.float32]) -> list[str]:
    """Return a sentence for each problem of the data that makes scores misleading or impossible."""
    notes = []
    for mark, mark_counts in zip(data.marks, np.moveaxis(counts, -1, 0), strict=True):
        if mark_counts.any() and not np.any(mark_counts % 2):
            notes.append(
                f"every count of {mark} is even: the counts seem to be doubled, like those of H3K4me3 in the "
                "published toy data. Do not use a model trained on them with features counted from reads"
            )
    trained = {gene for gene, part in zip(data.gene_id, data.split, strict=True) if part == TRAIN}
    seen = sum(gene in trained for gene, part in zip(data.gene_id, data.split, strict=True) if part == TEST)
    if seen:
        notes.append(f"{seen} test genes are training genes too, which inflates test scores")
    if one_class := data.one_class_parts():
        notes.append(f"only one class of labels in {', '.join(one_class)}")
    return notes


def _recognize_labels(data: Dataset, expression: Path) -> str:
    """Find the epigenome and the rule that the labels agree with best; describe them in a sentence."""
    table = read_expression(expression)
    row_of = dict(zip(table.gene_id, range(len(table.gene_id)), strict=True))
    # The published files shorten Ensembl ids to their digits, without leading zeros.
    ids = [f"ENSG{int(gene):011d}" if gene.isdecimal() else gene for gene in stable_ids(pl.Series(data.gene_id))]
    found = [(row_of[gene], label) for gene, label in zip(ids, data.y, strict=True) if gene in row_of]
    if not found:
        return f"labels cannot be checked: no gene of these data is in {expression}"
    rows, labels = (np.array(column) for column in zip(*found, strict=True))
    agreeing = {
        (epigenome, rule): int(np.sum(label_genes(table.column(epigenome), rule)[rows] == labels))
        for epigenome in table.epigenomes
        for rule in ("numeric", "published")
    }
    epigenome, rule = max(agreeing, key=agreeing.__getitem__)
    n, best = len(found), agreeing[epigenome, rule]
    if best < _RECOGNIZED_SHARE * n:
        return (
            f"labels fit no epigenome of {expression} by either rule. "
            f"The closest is {epigenome}, with {best} of {n} genes"
        )
    if rule == "published":
        return (
            f"labels come from the published string comparison: {best} of {n} genes fit it on {epigenome}, "
            f"{agreeing[epigenome, 'numeric']} fit the numeric rule; see docs/labels.md"
        )
    return (
        f"labels are numeric: {best} of {n} genes fit the rule on {epigenome}, "
        f"{agreeing[epigenome, 'published']} fit the published string comparison"
    )
