"""Expression tables: RPKM per gene and epigenome, as Roadmap publishes them."""

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

# Roadmap's column for the universal human reference RNA, which is no epigenome.
REFERENCE: Final = "E000"
_MISSING: Final = ("", "NA", "N/A", "na", "n/a", "null", "None", ".", "-")


@dataclass(frozen=True)
class Expression:
    """How strongly genes are expressed.

    Attributes
    ----------
    gene_id
        Ensembl ids without version, in the order of the table; an id may occur on several rows,
        which then have equal values.
    epigenomes
        Names of the columns.
    rpkm
        Reads per kilobase and million mapped reads: float64 (genes, epigenomes), finite, >= 0.
    notes
        What was left out of the file, a sentence each.
    """

    gene_id: tuple[str, ...] = field(repr=False)
    epigenomes: tuple[str, ...]
    rpkm: NDArray[np.float64] = field(repr=False)
    notes: tuple[str, ...] = ()

    def column(self, epigenome: str) -> NDArray[np.float64]:
        """Return the RPKM of one epigenome: float64 (genes,)."""
        return self.rpkm[:, self.epigenomes.index(epigenome)]


def read_expression(path: str | Path, epigenomes: Sequence[str] | None = None) -> Expression:
    """Read an expression table: a header ``gene_id E003 E004 ...``, then a row per gene, tab separated.

    Roadmap's ``57epigenomes.RPKM.pc.gz`` is read as it is: blanks at the end of rows are dropped,
    E000 is left out (it is a reference RNA, not an epigenome), versions of ids are cut off.

    Parameters
    ----------
    path
        The table, gzip or not; ``-`` is standard input.
    epigenomes
        The columns wanted, in this order; by default all, in the table's order.

    Raises
    ------
    MissingInputError
        No such file.
    BadDataError
        No header, an epigenome is not in it, a value is missing, not a number, NaN, infinite or
        negative (each named with its count and first place), or rows of one gene contradict each other.
    """
    path = Path(path)
    table = read_table(path)
    names = table.columns[1:]
    if not names:
        raise BadDataError(f"{path}:1: one column; expected gene_id and a column per epigenome, separated by tabs")
    if pl.Series(table.columns).cast(pl.Float64, strict=False).is_not_null().any():
        raise BadDataError(f"{path}:1: a number in the first line; expected the header gene_id, E003, E004, ...")
    check_names(names, "an epigenome", f"{path}:1")
    notes = (f"{REFERENCE} left out: it is the universal human reference, not an epigenome",) * (REFERENCE in names)
    names = [name for name in names if name != REFERENCE]
    if epigenomes is not None:
        if absent := [name for name in epigenomes if name not in names]:
            raise BadDataError(
                f"{path}: no column {', '.join(absent)} in this expression table; it has {', '.join(names)}"
            )
        names = list(epigenomes)
    if not names:
        raise BadDataError(f"{path}:1: no epigenome but {REFERENCE}, the universal human reference")
    gene_id = stable_ids(table.to_series(0))
    if (nameless := (gene_id == "").arg_true()).len():
        raise BadDataError(f"{path}:{nameless[0] + 2}: a row without a gene id")
    text = table.select(names)
    rpkm = text.select(pl.all().cast(pl.Float64, strict=False)).to_numpy()
    _refuse_bad_values(path, gene_id, text, rpkm)
    _refuse_contradictions(path, gene_id, rpkm)
    return Expression(tuple(gene_id), tuple(names), rpkm + 0.0, notes)


def _refuse_bad_values(path: Path, gene_id: pl.Series, text: pl.DataFrame, rpkm: NDArray[np.float64]) -> None:
    """Name every kind of value that is no RPKM, with its count and the first place where it stands."""
    if bool(np.all(np.isfinite(rpkm) & (rpkm >= 0))):
        return
    missing = text.select(pl.all().is_in(_MISSING)).to_numpy()
    unread = text.select(pl.all().cast(pl.Float64, strict=False).is_null()).to_numpy()
    faults = {
        "missing": missing,
        "not a number": unread & ~missing,
        "NaN": np.isnan(rpkm) & ~unread,
        "infinite": np.isinf(rpkm),
        "negative": rpkm < 0,
    }
    found = []
    for fault, where in faults.items():
        if count := int(where.sum()):
            row, column = np.argwhere(where)[0]
            found.append(
                f"{count} {fault} (first: line {row + 2}, {gene_id[int(row)]}, {text.columns[column]}, "
                f"{text[int(row), int(column)][:40]!r})"
            )
    raise BadDataError(
        f"{path}: values that are no RPKM: {'; '.join(found)}; correct them, or take these genes out of the table"
    )


def _refuse_contradictions(path: Path, gene_id: pl.Series, rpkm: NDArray[np.float64]) -> None:
    """Allow a gene on several rows only if they say the same (7 genes of the 2016 table do)."""
    repeated = pl.DataFrame({"gene_id": gene_id}).with_row_index("row").filter(pl.col("gene_id").is_duplicated())
    first = repeated.select(pl.col("row").first().over("gene_id")).to_series().to_numpy()
    differs = np.any(rpkm[repeated["row"].to_numpy()] != rpkm[first], axis=1)
    if differs.any():
        genes = repeated.filter(pl.Series(differs))["gene_id"].unique(maintain_order=True)
        row = repeated["row"].to_numpy()[differs][0]
        raise BadDataError(
            f"{path}:{row + 2}: rows of one gene with different RPKM, for {genes.len()} genes: "
            f"{', '.join(genes.head(5))}{', ...' if genes.len() > 5 else ''}; keep one row of each"
        )
