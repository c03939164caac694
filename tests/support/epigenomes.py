"""Small random epigenomes for tests of the trainer, in which genes that are on have more H3K4me3."""

from pathlib import Path

import numpy as np

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.store import write_features
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.depth import CountScale
from deepchrome.train.datasets.inputs import InputSpec

MARKS = ("H3K27me3", "H3K4me3", "H3K9me3")
BINS = 24
INPUTS = InputSpec(MARKS, BINS, 100, 1200, "genomic", "log1p")


def random_counts(genes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return counts uint32 (genes, bins, marks), and labels uint8 (genes,)."""
    rng = np.random.default_rng(seed)
    on = rng.integers(0, 2, genes).astype(np.uint8)
    counts = rng.poisson(2.0, (genes, BINS, len(MARKS))).astype(np.uint32)
    counts[:, 8:16, 1] += rng.poisson(1.5 * on[:, None], (genes, 8)).astype(np.uint32)
    return counts, on


def random_dataset(
    name: str = "E001",
    genes: int = 90,
    seed: int = 0,
    sizes: tuple[int, int] | None = None,
    *,
    missing: tuple[str, ...] = (),
    by_ranks: bool = False,
) -> Dataset:
    """Return a data set whose first genes are for training, the next for validation, the others for test.

    Genes that are on have an RPKM of 1 to 2, the others of 0 to 1. Marks can be missing. Inputs are ln(1 + count), or
    corrected by ranks.
    """
    counts, on = random_counts(genes, seed)
    train, valid = sizes or (genes // 3, genes // 3)
    split = np.repeat(np.arange(3, dtype=np.int8), [train, valid, genes - train - valid])
    gene_id = tuple(f"ENSG{i:011d}" for i in range(genes))
    rpkm = on + np.random.default_rng(seed).random(genes)
    scales = tuple(
        CountScale.by_ranks("log1p", counts[:, :, i]) if by_ranks else CountScale("log1p") for i in range(len(MARKS))
    )
    x = np.stack([scale.apply(counts[:, :, i]) for i, scale in enumerate(scales)], 2)
    x[:, :, [MARKS.index(mark) for mark in missing]] = np.nan
    return Dataset(name, MARKS, gene_id, x, on, split, rpkm=rpkm, scales=scales)


def write_random_features(
    folder: Path, names: tuple[str, ...] = ("E001", "E002"), genes: int = 90, *, bin_size: int = 100
) -> tuple[Path, Path]:
    """Write features, and an expression table whose labels the counts can predict; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    gene_id = tuple(f"ENSG{i:011d}" for i in range(genes))
    tss = np.arange(genes, dtype=np.int64) * 100_000 + 50_000
    table = Genes(gene_id, gene_id, ("chr1",) * genes, tss, tuple("+-"[i % 2] for i in range(genes)))
    rpkm = {}
    for seed, name in enumerate(names):
        counts, on = random_counts(genes, seed)
        by_mark = {mark: np.ascontiguousarray(counts[:, :, i]) for i, mark in enumerate(MARKS)}
        sources = {mark: {"reads": 1000} for mark in MARKS}
        metadata = {"bin_size": bin_size, "flank": BINS * bin_size // 2, "n_bins": BINS, "sources": sources}
        write_features(folder / f"{name}.parquet", table, by_mark, metadata)
        # Genes that are on have an RPKM of 1 to 2, the others of 0 to 1.
        rpkm[name] = on + np.random.default_rng(seed).random(genes)
    expression = folder.parent / "expression.tsv"
    rows = ["\t".join(("gene_id", *names))]
    rows += ["\t".join((gene, *(f"{rpkm[name][i]:.6f}" for name in names))) for i, gene in enumerate(gene_id)]
    expression.write_text("\n".join(rows) + "\n")
    return folder, expression
