"""Label genes as on or off by the numeric or the published rule, and compare the two rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write
from deepchrome.common.names import first_names
from deepchrome.errors import BadDataError, ParameterError
from deepchrome.train.datasets.expression import Expression

LabelRule = Literal["numeric", "published"]
LabelGenes = Literal["table", "features"]
"""The genes over which the median RPKM is taken: all rows of the expression table, or the genes with features."""

# The medians of the table and of the genes with features differ if one is more than so many times the other.
_MEDIANS_DIFFER: Final = 1.5


@dataclass(frozen=True)
class LabelAudit:
    """Comparison of the two label rules on one epigenome.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    genes
        Number of rows of the expression table.
    median_rpkm
        Median RPKM of all rows.
    positive_fraction
        Fraction of genes that are on under the requested rule.
    flipped_label_fraction
        Fraction of genes that the two rules label differently.
    published_auroc
        DeepChrome's test AUROC in the 2016 paper; ``None`` if the paper does not include the epigenome.
    """

    epigenome: str
    genes: int
    median_rpkm: float
    positive_fraction: float
    flipped_label_fraction: float
    published_auroc: float | None


def label_genes(
    rpkm: NDArray[np.float64], rule: LabelRule = "numeric", threshold: float | None = None
) -> NDArray[np.uint8]:
    """Label genes: 1 (on) if expression is above the median of all genes, else 0.

    Parameters
    ----------
    rpkm
        RPKM of every row of the expression table, duplicates included: float64 (genes,).
    rule
        ``numeric`` compares numbers; a gene at the median is off. ``published`` compares the
        two numbers as text, character by character, each in its shortest decimal form. This reproduces
        the labels of the data published with Singh et al. 2016 (Bioinformatics 32:i639), where "13.316" is
        below "3.33".
    threshold
        RPKM to use in place of the median; finite and not negative.

    Returns
    -------
    uint8 (genes,)
        The labels, 0 or 1.

    Raises
    ------
    BadDataError
        There are no values, or a value is NaN, infinite or negative.
    ParameterError
        ``threshold`` is NaN, infinite or negative.
    """
    check_threshold(threshold)
    if not rpkm.size or not np.all(np.isfinite(rpkm) & (rpkm >= 0)):
        raise BadDataError("labels need at least one gene, and RPKM values that are finite and not negative")
    limit = float(np.median(rpkm)) if threshold is None else float(threshold)
    if rule == "numeric":
        return (rpkm > limit).astype(np.uint8)
    values, value_of_gene = np.unique(rpkm, return_inverse=True)
    # Code points of digits, "." and "e" sort like the bytes that the original code compared.
    return (values.astype(str) > repr(limit)).astype(np.uint8)[value_of_gene]


def check_threshold(threshold: float | None) -> None:
    """Check the RPKM that takes the place of the median.

    Raises
    ------
    ParameterError
        It is NaN, infinite or negative.
    """
    if threshold is not None and not 0 <= threshold < np.inf:
        raise ParameterError("label_threshold", f"must be a finite RPKM of at least 0, got {threshold}")


def describe_thresholds(medians: Mapping[LabelGenes, Mapping[str, float]], used: LabelGenes = "table") -> list[str]:
    """Return sentences about median RPKMs that do not separate the genes as users expect.

    Parameters
    ----------
    medians
        The median of each epigenome, over all rows of the expression table and, if there are features, over the genes
        with features.
    used
        Which of the two is the threshold of the labels.
    """
    warnings = []
    if zero := [name for name, median in medians[used].items() if median == 0]:
        warnings.append(
            f"the median RPKM is 0 in {first_names(zero)}, so every gene with an RPKM above 0 is on. "
            "This threshold is too low if the table has many silent genes"
        )
    pairs = {name: (medians["table"][name], median) for name, median in medians.get("features", {}).items()}
    apart = {name: pair for name, pair in pairs.items() if max(pair) > _MEDIANS_DIFFER * min(pair)}
    if apart and used == "table":  # Users who ask for the other median know that it differs.
        texts = [f"{name}: {table:.3g}, not {features:.3g}" for name, (table, features) in apart.items()]
        warnings.append(
            "the labels use the median RPKM of the whole expression table, which is far from that of the genes with "
            f"features ({first_names(texts)})"
        )
    return warnings


def audit_labels(
    expression: Expression, rule: LabelRule = "numeric", threshold: float | None = None
) -> list[LabelAudit]:
    """Compare the two label rules on every epigenome of an expression table.

    Parameters
    ----------
    expression
        The table.
    rule
        The rule used for :attr:`LabelAudit.positive_fraction`.
    threshold
        RPKM to use in place of the median; see :func:`label_genes`.
    """
    published = published_aurocs()
    audits = []
    for epigenome in expression.epigenomes:
        rpkm = expression.column(epigenome)
        labels = {each: label_genes(rpkm, each, threshold) for each in ("numeric", "published")}
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


def write_labels(
    path: Path, expression: Expression, rule: LabelRule = "numeric", threshold: float | None = None
) -> None:
    """Write labels as a TSV table: ``gene_id``, then one column of 0 and 1 per epigenome.

    Its rows are those of the expression table, in the same order.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    labels = {name: label_genes(expression.column(name), rule, threshold) for name in expression.epigenomes}
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        table = pl.DataFrame({"gene_id": expression.gene_id, **labels})
        # Do not quote, because deepchrome's own table readers do not remove quotes.
        table.write_csv(file, separator="\t", quote_style="never")


@cache
def published_aurocs() -> Mapping[str, float]:
    """Return DeepChrome's published test AUROC by epigenome (Singh et al. 2016, Bioinformatics 32:i639)."""
    table = files("deepchrome.train.datasets").joinpath("data", "deepchrome_auc_56.tsv").read_bytes()
    rows = pl.read_csv(table, separator="\t", comment_prefix="#")
    return MappingProxyType(dict(zip(rows["epigenome"], rows["deepchrome_auroc"], strict=True)))
