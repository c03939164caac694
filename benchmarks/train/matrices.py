"""Make feature files of whole real epigenomes from matrices of covered bases, and thin the reads of feature files.

The matrices contain, per gene, bin and mark, the number of bases of the bin that a read covers, summed over all reads.
The reads are 36 bp long.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.engine.annotation.genes import drop_repeated_genes, read_genes
from deepchrome.engine.features.store import read_features, write_features
from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.datasets.expression import read_expression

READ_BP: Final = 36
BIN_BP: Final = 100
FLANK_BP: Final = 5000


def convert(npz: Path, genes: Path, expression: Path, out: Path) -> Path:
    """Write a feature file from matrices, with genes in the order of the gene table.

    Parameters
    ----------
    npz
        ``EPIGENOME.*.npz``: ``X`` uint16 (genes, bins, marks), with bins in 5'→3' order; ``gene``, the ids of the
        genes; and ``marks``. It may also hold ``rpkm`` of the genes; and ``have``, the names of the marks that were
        measured. The others are left out.
    genes, expression
        The gene table and the expression table.
    out
        The directory for ``EPIGENOME.parquet``.

    Returns
    -------
    Path
        The feature file.

    Raises
    ------
    MissingInputError
        A file does not exist.
    BadDataError
        A gene is not in the gene table or has no known strand, or its expression differs from the expression table.
    """
    epigenome = npz.name.split(".")[0]
    try:
        with np.load(npz, allow_pickle=False) as arrays:
            covered, gene_id, marks = (arrays[name] for name in ("X", "gene", "marks"))
            rpkm, measured = arrays.get("rpkm"), set(map(str, arrays.get("have", marks)))
    except FileNotFoundError:
        raise MissingInputError(f"{npz}: no such file") from None
    if rpkm is not None:
        table = read_expression(expression, [epigenome])
        expressed = dict(zip(table.gene_id, table.column(epigenome), strict=True))
        if differing := [gene for gene, value in zip(gene_id, rpkm, strict=True) if expressed.get(gene) != value]:
            raise BadDataError(
                f"{npz}: expression of {len(differing)} genes differs from {expression} (first: {differing[0]})"
            )
    listed = drop_repeated_genes(read_genes(genes))
    row_of = {str(gene): row for row, gene in enumerate(gene_id)}
    ours = listed.take(np.array([row for row, gene in enumerate(listed.gene_id) if gene in row_of], np.int64))
    if absent := set(row_of).difference(ours.gene_id):
        raise BadDataError(f"{genes}: {len(absent)} genes of {npz} are missing (first: {min(absent)})")
    counts = genomic_counts(covered[[row_of[gene] for gene in ours.gene_id]], np.array(ours.strand))
    path = out / f"{epigenome}.parquet"
    out.mkdir(parents=True, exist_ok=True)
    write_features(
        path,
        ours,
        {str(mark): counts[:, :, column] for column, mark in enumerate(marks) if str(mark) in measured},
        {
            "genome": "hg19",
            "n_bins": counts.shape[1],
            "bin_size": BIN_BP,
            "flank": FLANK_BP,
            "made_from": f"{npz.name}: covered bases / {READ_BP}, rounded up",
        },
    )
    return path


def genomic_counts(covered: NDArray[np.uint16], strand: NDArray[np.str_]) -> NDArray[np.uint32]:
    """Estimate reads per bin, in genomic order, from covered bases in 5'→3' order.

    A read of 36 bp covers at most 36 bases of a bin. The estimate is the smallest number of reads that can cover
    the given number of bases: the bases divided by 36, rounded up.

    Parameters
    ----------
    covered
        uint16 (genes, bins, marks), bins in 5'→3' order.
    strand
        (genes,): ``+`` or ``-``.

    Returns
    -------
    uint32 (genes, bins, marks)
        Bins in genomic order.

    Raises
    ------
    BadDataError
        The strand of a gene is unknown, so its bins cannot be put in genomic order.
    """
    if unknown := int(np.sum((strand != "+") & (strand != "-"))):
        raise BadDataError(f"{unknown} genes have no known strand, so their bins cannot be put in genomic order")
    counts = (covered.astype(np.uint32) + READ_BP - 1) // READ_BP
    minus = strand == "-"
    counts[minus] = counts[minus, ::-1]
    return counts


def thin_features(path: Path, rate: float, out: Path, seed: int = 1) -> Path:
    """Write the features that a sample would have with fewer reads: every count is thinned binomially.

    Parameters
    ----------
    path
        A feature file.
    rate
        Probability of keeping a read.
    out
        The directory for the new file, which has the same name.
    seed
        Seed of the thinning.

    Returns
    -------
    Path
        The new feature file.
    """
    features = read_features(path)
    counts = np.random.default_rng(seed).binomial(features.read_counts(), rate).astype(np.uint32)
    out.mkdir(parents=True, exist_ok=True)
    # How the reads were counted stays true; their numbers do not.
    kept = ("genome", "n_bins", "bin_size", "flank")
    metadata = {name: features.metadata[name] for name in kept if name in features.metadata}
    thinned = {mark: counts[:, :, i] for i, mark in enumerate(features.marks)}
    write_features(out / path.name, features.genes, thinned, {**metadata, "made_from": f"{rate:.0%} of the reads"})
    return out / path.name
