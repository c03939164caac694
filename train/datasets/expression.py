"""Read expression tables: RPKM per gene and epigenome, as published by Roadmap."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.names import check_names
from deepchrome.common.tables import read_table, stable_ids
from deepchrome.errors import BadDataError

# Roadmap's column for the universal human reference RNA, which is not an epigenome.
REFERENCE: Final = "E000"
_MISSING: Final = ("", "NA", "N/A", "na", "n/a", "null", "None", ".", "-")


@dataclass(frozen=True)
class Expression:
    """Expression of genes in epigenomes.

    Attributes
    ----------
    gene_id
        Ensembl ids without version, in the order of the table. An id may occur on several rows,
        which then have equal values.
    epigenomes
        Names of the columns.
    rpkm
        Reads per kilobase per million mapped reads: float64 (genes, epigenomes), finite, >= 0.
    notes
        Sentences about columns of the file that were left out.
    """

    gene_id: tuple[str, ...] = field(repr=False)
    epigenomes: tuple[str, ...]
    rpkm: NDArray[np.float64] = field(repr=False)
    notes: tuple[str, ...] = ()

    def column(self, epigenome: str) -> NDArray[np.float64]:
        """Return the RPKM of one epigenome: float64 (genes,)."""
        return self.rpkm[:, self.epigenomes.index(epigenome)]


def read_expression(path: str | Path, epigenomes: Sequence[str] | None = None) -> Expression:
    """Read an expression table: a header ``gene_id E003 E004 ...``, then one row per gene, separated by tabs.

    Roadmap's ``57epigenomes.RPKM.pc.gz`` can be read as it is: blanks at the end of rows are dropped,
    E000 is left out (a reference RNA, not an epigenome), and versions are removed from gene ids.

    Parameters
    ----------
    path
        The table, plain or gzipped; ``-`` is standard input.
    epigenomes
        The columns to read, in this order. Default: all, in the order of the table.

    Raises
    ------
    MissingInputError, StorageError
        The file does not exist or cannot be read.
    BadDataError
        The table has no header or lacks an epigenome; rows of one gene contradict each other; or a
        value is missing, not a number, NaN, infinite or negative (the message gives the number of
        such values and the place of the first).
    """
    path = Path(path)
    table = read_table(path)
    names = table.columns[1:]
    if not names:
        raise BadDataError(
            f"{path}:1: only one column, expected gene_id and one column per epigenome, separated by tabs"
        )
    if pl.Series(table.columns).cast(pl.Float64, strict=False).is_not_null().any():
        raise BadDataError(f"{path}:1: a number in the first line, expected the header gene_id, E003, E004, ...")
    check_names(names, "an epigenome", f"{path}:1")
    notes = (f"{REFERENCE} left out: it is the universal human reference, not an epigenome",) * (REFERENCE in names)
    names = [name for name in names if name != REFERENCE]
    if epigenomes is not None:
        if absent := [name for name in epigenomes if name not in names]:
            raise BadDataError(f"{path}: no column {', '.join(absent)} (found {', '.join(names)})")
        names = list(epigenomes)
    if not names:
        raise BadDataError(f"{path}:1: no epigenome except {REFERENCE}, the universal human reference")
    gene_id = stable_ids(table.to_series(0))
    if (nameless := (gene_id == "").arg_true()).len():
        raise BadDataError(f"{path}:{nameless[0] + 2}: row without a gene id")
    text = table.select(names)
    rpkm = text.select(pl.all().cast(pl.Float64, strict=False)).to_numpy()
    _refuse_bad_values(path, gene_id, text, rpkm)
    _refuse_contradictions(path, gene_id, rpkm)
    return Expression(tuple(gene_id), tuple(names), rpkm + 0.0, notes)  # + 0.0 turns -0.0 into 0.0


def _refuse_bad_values(path: Path, gene_id: pl.Series, text: pl.DataFrame, rpkm: NDArray[np.float64]) -> None:
    """Raise BadDataError if a value is not a valid RPKM, with the number and the first place of each problem."""
    if np.all(np.isfinite(rpkm) & (rpkm >= 0)):  # guard: valid-rpkm
        return
    missing = text.select(pl.all().is_in(_MISSING)).to_numpy()
    unparsed = text.select(pl.all().cast(pl.Float64, strict=False).is_null()).to_numpy()
    problems = {
        "missing": missing,
        "not a number": unparsed & ~missing,
        "NaN": np.isnan(rpkm) & ~unparsed,
        "infinite": np.isinf(rpkm),
        "negative": rpkm < 0,
    }
    found = []
    for problem, where in problems.items():
        if count := int(where.sum()):
            row, column = np.argwhere(where)[0]
            found.append(
                f"{count} {problem} (first: line {row + 2}, {gene_id[int(row)]}, {text.columns[column]}, "
                f"{text[int(row), int(column)][:40]!r})"
            )
    raise BadDataError(f"{path}: invalid RPKM: {'; '.join(found)}. Correct these values, or remove these genes")


def _refuse_contradictions(path: Path, gene_id: pl.Series, rpkm: NDArray[np.float64]) -> None:
    """Raise BadDataError if rows of one gene differ. Equal rows are allowed: 7 genes have two in the 2016 table."""
    repeated = pl.DataFrame({"gene_id": gene_id}).with_row_index("row").filter(pl.col("gene_id").is_duplicated())
    first = repeated.select(pl.col("row").first().over("gene_id")).to_series().to_numpy()
    differs = np.any(rpkm[repeated["row"].to_numpy()] != rpkm[first], axis=1)
    if differs.any():
        genes = repeated.filter(pl.Series(differs))["gene_id"].unique(maintain_order=True)
        row = repeated["row"].to_numpy()[differs][0]
        raise BadDataError(
            f"{path}:{row + 2}: rows of the same gene have different RPKM ({genes.len()} genes: "
            f"{', '.join(genes.head(5))}{', ...' if genes.len() > 5 else ''}). Keep one row per gene"
        )
