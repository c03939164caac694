"""DeepChrome's text format: ``GeneID,BinID,<a column per mark>,label`` in train.csv, valid.csv and test.csv."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES, check_names
from deepchrome.common.tables import read_fields, stable_ids
from deepchrome.engine.features.export import PUBLISHED_MARK_ORDER
from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.datasets.dataset import Dataset, LoadReport
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.inputs import InputSpec, Transform
from deepchrome.train.datasets.labels import label_genes
from deepchrome.train.datasets.splits import TEST, TRAIN

# Share of labels that must fit before they are said to come from a table.
_RECOGNISED: Final = 0.95


@dataclass(frozen=True)
class _Part:
    """One file: ids of n genes, counts float32 (n, bins, marks), labels uint8 (n,)."""

    path: Path
    marks: tuple[str, ...] | None
    gene_id: tuple[str, ...]
    counts: NDArray[np.float32]
    label: NDArray[np.uint8]


def load_csv(
    directory: Path, *, transform: Transform = "counts", expression: Path | None = None
) -> tuple[list[Dataset], LoadReport]:
    """Read a data set in DeepChrome's text format.

    Parameters
    ----------
    directory
        Holds train.csv, valid.csv and test.csv, or these names with .gz; gzip is found by its magic
        bytes under either name. A gene is a block of rows, one per bin, in order; all genes have
        equally many. With a header the marks are named by it; without one, five marks are taken to
        be in the published order (:data:`~deepchrome.engine.features.export.PUBLISHED_MARK_ORDER`),
        others are called mark1, mark2, ...
    transform
        See :class:`~deepchrome.train.datasets.inputs.InputSpec`. The orientation is that of the files.
    expression
        A table to recognise the labels by; see the notes of the report.

    Returns
    -------
    datasets
        One, named after the directory.
    report
        Its notes tell of marks whose counts are all even (the published toy data have their
        H3K4me3 doubled), and whether labels are those of the string comparison.

    Raises
    ------
    MissingInputError
        One of the three files is not there.
    BadDataError
        A field is not what it must be (with file and line), or the files differ in marks or bins.
    """
    parts = [_read_part(_find(directory, name)) for name in SPLIT_NAMES]
    marks = _marks(parts)
    counts = np.concatenate([part.counts for part in parts])
    inputs = InputSpec(marks, counts.shape[1], None, None, transform=transform)
    data = Dataset(
        re.sub(r"[^A-Za-z0-9._+-]", "_", directory.resolve().name)[:64] or "csv",
        marks,
        tuple(gene for part in parts for gene in part.gene_id),
        inputs.transformed(counts.copy()),
        np.concatenate([part.label for part in parts]),
        np.repeat(np.arange(3, dtype=np.int8), [len(part.gene_id) for part in parts]),
    )
    notes = _notes(data, counts)
    if expression is not None:
        notes.append(_recognise_labels(data, expression))
    duplicate_ids = len(data.gene_id) - len(set(data.gene_id))
    return [data], LoadReport(inputs, len(data.gene_id), 0, 0, duplicate_ids, len(data.gene_id), None, tuple(notes))


def _find(directory: Path, name: str) -> Path:
    found = [path for suffix in (".csv", ".csv.gz") if (path := directory / f"{name}{suffix}").is_file()]
    if not found:
        raise MissingInputError(f"{directory}: no {name}.csv or {name}.csv.gz; all of train, valid and test are needed")
    if len(found) > 1:
        raise BadDataError(f"{directory}: both {name}.csv and {name}.csv.gz; remove one")
    return found[0]


def _read_part(path: Path) -> _Part:
    table = read_fields(path, ",")
    n_marks = table.width - 3
    if n_marks < 1:
        raise BadDataError(f"{path}:1: {table.width} columns; expected GeneID, BinID, one or more marks, label")
    # A header is a first line without a number after the id; one bad number must not pass for it.
    header = None if any(map(_is_number, table.row(0)[1:])) else table.row(0)
    first_line = 1 if header is None else 2
    rows = table[first_line - 1 :]
    if not rows.height:
        raise BadDataError(f"{path}: a header and no rows")
    if header is not None:
        check_names(list(header[2:-1]), "a mark", f"{path}:1")
    gene = rows.to_series(0)
    bins = _numbers(path, first_line, rows[:, 1:2], "BinID")[:, 0]
    n_bins = _bins_per_gene(path, first_line, gene, bins)
    counts = _numbers(path, first_line, rows[:, 2:-1], "a count").astype(np.float32)
    label = _numbers(path, first_line, rows[:, -1:], "a label")[:, 0]
    per_gene = label.reshape(-1, n_bins)
    if (wrong := np.flatnonzero((label != 0) & (label != 1))).size:
        raise BadDataError(f"{path}:{wrong[0] + first_line}: label {label[wrong[0]]:g}; expected 0 or 1")
    if (wrong := np.flatnonzero(np.ravel(per_gene != per_gene[:, :1]))).size:
        raise BadDataError(f"{path}:{wrong[0] + first_line}: a label other than that of the gene's first row")
    return _Part(
        path,
        None if header is None else tuple(header[2:-1]),
        tuple(gene.gather_every(n_bins)),
        counts.reshape(-1, n_bins, n_marks),
        per_gene[:, 0].astype(np.uint8),
    )


def _bins_per_gene(path: Path, first_line: int, gene: pl.Series, bins: NDArray[np.float64]) -> int:
    """Return the rows of a gene, having checked that all genes have the same bins in the same order."""
    again = np.flatnonzero(bins[1:] == bins[0])
    n_bins = int(again[0]) + 1 if again.size else bins.size
    expected = bins[0] + np.arange(bins.size) % n_bins
    if (wrong := np.flatnonzero(bins != expected)).size:
        row = int(wrong[0])
        raise BadDataError(
            f"{path}:{row + first_line}: BinID {bins[row]:g} where {expected[row]:g} must follow; "
            f"every gene needs the {n_bins} rows that the first one has, in order"
        )
    if bins.size % n_bins:
        raise BadDataError(
            f"{path}: ends within a gene: {bins.size % n_bins} of the {n_bins} rows of {gene[-1]}; is the file cut?"
        )
    # A gene may follow itself (7 ids of the 2016 list are there twice), but not change within its bins.
    first_of_gene = gene.gather(np.arange(bins.size) // n_bins * n_bins)
    if (changed := (gene != first_of_gene).arg_true()).len():
        row = int(changed[0])
        raise BadDataError(f"{path}:{row + first_line}: gene {gene[row]} within the rows of {first_of_gene[row]}")
    return n_bins


def _numbers(path: Path, first_line: int, columns: pl.DataFrame, what: str) -> NDArray[np.float64]:
    """Read text as finite numbers >= 0: float64 (rows, columns)."""
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


def _marks(parts: list[_Part]) -> tuple[str, ...]:
    """Name the marks, having checked that the three files agree."""
    first = parts[0]
    named = next((part for part in parts if part.marks), first)
    for part in parts[1:]:
        if part.counts.shape[1:] != first.counts.shape[1:]:
            shapes = [f"{p.counts.shape[1]} bins x {p.counts.shape[2]} marks" for p in (part, first)]
            raise BadDataError(f"{part.path}: {shapes[0]}, but {first.path} has {shapes[1]}")
        if part.marks and part.marks != named.marks:
            raise BadDataError(f"{part.path}:1: other marks than in {named.path}")
    n_marks = first.counts.shape[2]
    if named.marks:
        return named.marks
    return (
        PUBLISHED_MARK_ORDER if n_marks == len(PUBLISHED_MARK_ORDER) else tuple(f"mark{i + 1}" for i in range(n_marks))
    )


def _notes(data: Dataset, counts: NDArray[np.float32]) -> list[str]:
    notes = []
    for mark, reads in zip(data.marks, np.moveaxis(counts, -1, 0), strict=True):
        if reads.any() and not np.any(reads % 2):
            notes.append(
                f"every count of {mark} is even: it looks doubled, as H3K4me3 is in the published toy data; "
                "a model trained on it does not fit features counted from reads"
            )
    trained = {gene for gene, part in zip(data.gene_id, data.split, strict=True) if part == TRAIN}
    seen = sum(gene in trained for gene, part in zip(data.gene_id, data.split, strict=True) if part == TEST)
    if seen:
        notes.append(f"{seen} test genes are training genes too: their test score is flattered")
    if single := data.one_class_parts():
        notes.append(f"labels of one class only in {', '.join(single)}")
    return notes


def _recognise_labels(data: Dataset, expression: Path) -> str:
    """Say which epigenome and which rule of a table the labels come from."""
    table = read_expression(expression)
    row_of = dict(zip(table.gene_id, range(len(table.gene_id)), strict=True))
    # The published files keep only the digits of an Ensembl id, without leading zeros.
    ids = [f"ENSG{int(gene):011d}" if gene.isdecimal() else gene for gene in stable_ids(pl.Series(data.gene_id))]
    found = [(row_of[gene], label) for gene, label in zip(ids, data.y, strict=True) if gene in row_of]
    if not found:
        return f"no gene of these data is in {expression}: its labels cannot be checked"
    rows, labels = (np.array(column) for column in zip(*found, strict=True))
    fits = {
        (epigenome, rule): int(np.sum(label_genes(table.column(epigenome), rule)[rows] == labels))
        for epigenome in table.epigenomes
        for rule in ("numeric", "published")
    }
    epigenome, rule = max(fits, key=fits.__getitem__)
    n, best = len(found), fits[epigenome, rule]
    if best < _RECOGNISED * n:
        return (
            f"labels fit no epigenome of {expression} by either rule; the nearest is {epigenome}, {best} of {n} genes"
        )
    if rule == "published":
        return (
            f"labels look like the published string comparison: {best} of {n} genes fit it on {epigenome}, "
            f"{fits[epigenome, 'numeric']} the numeric rule; see docs/labels.md"
        )
    return (
        f"labels are numeric: {best} of {n} genes fit the rule on {epigenome}, "
        f"{fits[epigenome, 'published']} the published string comparison"
    )
