"""A whole real epigenome, E012 (hESC-derived CD56+ ectoderm): the accuracy that the README states.

The matrices hold, per gene, bin and mark, the bases of the bin that reads cover, summed over reads;
reads are 36 bp long. ``convert`` turns them into a features file, ``run`` trains on it.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.engine.genes import read_genes, unique
from deepchrome.engine.store import write_features
from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.expression import read_expression

EPIGENOME: Final = "E012"
READ_BP: Final = 36
BIN_BP: Final = 100
FLANK_BP: Final = 5000


def genomic_counts(covered: NDArray[np.uint16], strand: NDArray[np.str_]) -> NDArray[np.uint32]:
    """Estimate reads per bin, in genomic order, from covered bases in 5'→3' order.

    A read of 36 bp covers at most 36 bases of a bin, and counts in every bin that it touches: the
    quotient, rounded up, is the least number of reads that can cover so many bases.

    Parameters
    ----------
    covered
        uint16 (genes, bins, marks), bins 5'→3'.
    strand
        (genes,): ``+`` or ``-``.

    Returns
    -------
    uint32 (genes, bins, marks), bins in genomic order.

    Raises
    ------
    BadDataError
        A strand is unknown: then the genomic order is unknown too.
    """
    if unknown := int(np.sum((strand != "+") & (strand != "-"))):
        raise BadDataError(f"{unknown} genes of unknown strand: their 5'→3' bins cannot be put in genomic order")
    counts = (covered.astype(np.uint32) + READ_BP - 1) // READ_BP
    minus = strand == "-"
    counts[minus] = counts[minus, ::-1]
    return counts


def convert(npz: Path, genes: Path, expression: Path, out: Path) -> Path:
    """Write OUT/E012.parquet from the matrices; genes in the order of the gene table.

    Raises
    ------
    MissingInputError
        A file is not there.
    BadDataError
        A gene is not in the gene table, or its expression is not that of the expression table.
    """
    try:
        with np.load(npz, allow_pickle=False) as arrays:
            covered, gene_id, rpkm, marks = (arrays[name] for name in ("X", "gene", "rpkm", "marks"))
    except FileNotFoundError:
        raise MissingInputError(f"{npz}: no such file") from None
    table = read_expression(expression, [EPIGENOME])
    expressed = dict(zip(table.gene_id, table.column(EPIGENOME), strict=True))
    if differing := [gene for gene, value in zip(gene_id, rpkm, strict=True) if expressed.get(gene) != value]:
        raise BadDataError(f"{npz}: other expression than in {expression} for {len(differing)} genes: {differing[0]}")
    listed = unique(read_genes(genes))
    row_of = {str(gene): row for row, gene in enumerate(gene_id)}
    ours = listed.take(np.array([row for row, gene in enumerate(listed.gene_id) if gene in row_of], np.int64))
    if absent := set(row_of).difference(ours.gene_id):
        raise BadDataError(f"{genes}: {len(absent)} genes of {npz} are not in it: {min(absent)}")
    counts = genomic_counts(covered[[row_of[gene] for gene in ours.gene_id]], np.array(ours.strand))
    path = out / f"{EPIGENOME}.parquet"
    out.mkdir(parents=True, exist_ok=True)
    write_features(
        path,
        ours,
        {str(mark): counts[:, :, column] for column, mark in enumerate(marks)},
        {
            "genome": "hg19",
            "n_bins": counts.shape[1],
            "bin_size": BIN_BP,
            "flank": FLANK_BP,
            "made_from": f"{npz.name}: covered bases / {READ_BP}, rounded up",
        },
    )
    return path
