"""Labels: which genes are on. The numeric rule, the published one, and an audit of the difference."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.expression import Expression

LabelRule = Literal["numeric", "published"]


@dataclass(frozen=True)
class LabelAudit:
    """What the rules make of one epigenome.

    Attributes
    ----------
    epigenome
        Its name.
    genes
        Rows of the expression table.
    median_rpkm
        Over all rows.
    positive_fraction
        Genes that are on by the rule asked for.
    flipped_label_fraction
        Genes on which the numeric and the published rule disagree.
    published_auroc
        DeepChrome's test AUROC in the 2016 paper, ``None`` where it has none.
    """

    epigenome: str
    genes: int
    median_rpkm: float
    positive_fraction: float
    flipped_label_fraction: float
    published_auroc: float | None


def label_genes(rpkm: NDArray[np.float64], rule: LabelRule = "numeric") -> NDArray[np.uint8]:
    """Label genes: 1 (on) above the median of all of them, else 0.

    Parameters
    ----------
    rpkm
        RPKM of every gene of the table, duplicates included: float64 (genes,).
    rule
        ``numeric`` compares numbers; a gene at the median is off. ``published`` compares the
        shortest decimal texts of the two numbers, character by character, and so reproduces the
        labels of the data published with Singh et al. 2016 (Bioinformatics 32:i639), where
        "13.316" is below "3.33".

    Returns
    -------
    uint8 (genes,)

    Raises
    ------
    BadDataError
        A value is NaN, infinite or negative, or there is none.
    """
    if not rpkm.size or not np.all(np.isfinite(rpkm) & (rpkm >= 0)):
        raise BadDataError("labels need an RPKM that is finite and not negative for every gene, and at least one gene")
    median = float(np.median(rpkm))
    if rule == "numeric":
        return (rpkm > median).astype(np.uint8)
    values, of_gene = np.unique(rpkm, return_inverse=True)
    # Code points of digits, "." and "e" sort like the bytes of the text, as in the original comparison.
    return (values.astype(str) > repr(median)).astype(np.uint8)[of_gene]


def audit_labels(expression: Expression, rule: LabelRule = "numeric") -> list[LabelAudit]:
    """Audit the labels of every epigenome of a table; see :class:`LabelAudit`."""
    published = published_aurocs()
    audits = []
    for epigenome in expression.epigenomes:
        rpkm = expression.column(epigenome)
        labels = {rule: label_genes(rpkm, rule) for rule in ("numeric", "published")}
        audits.append(
            LabelAudit(
                epigenome,
                rpkm.size,
                float(np.median(rpkm)),
                float(labels[rule].mean()),
                float((labels["numeric"] != labels["published"]).mean()),
                published.get(epigenome),
            )
        )
    return audits


def write_labels(path: Path, expression: Expression, rule: LabelRule = "numeric") -> None:
    """Write labels as a TSV: ``gene_id``, then a column of 0 and 1 per epigenome, a row per gene of the table.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    labels = {name: label_genes(expression.column(name), rule) for name in expression.epigenomes}
    with atomic_write(path) as temporary:
        table = pl.DataFrame({"gene_id": expression.gene_id, **labels})
        table.write_csv(temporary, separator="\t", quote_style="never")  # as all tables here are read


@cache
def published_aurocs() -> Mapping[str, float]:
    """Return DeepChrome's published test AUROC by epigenome (Singh et al. 2016, Bioinformatics 32:i639)."""
    table = files("deepchrome.train.datasets").joinpath("data", "deepchrome_auc_56.tsv").read_bytes()
    rows = pl.read_csv(table, separator="\t", comment_prefix="#")
    return MappingProxyType(dict(zip(rows["epigenome"], rows["deepchrome_auroc"], strict=True)))
