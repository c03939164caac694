"""Small feature files with counts and signal, to export. Their windows overlap, repeat, and leave their chromosomes."""

from pathlib import Path

import numpy as np

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.store import Features, read_features, write_features

SIZES = {"chr1": 3000, "chr10": 900, "chr2": 2000, "chrX": None}
FLANK, BIN = 200, 50


def make_genes(seed: int = 1) -> Genes:
    """Return genes anywhere: in clusters, at equal TSSs, with and without strand, beyond ends, and off the genome."""
    rng = np.random.default_rng(seed)
    chrom, tss = ["chr2", "chr2", "chr1", "chrX"], [500, 501, 3100, 7]
    for _ in range(16):
        name = str(rng.choice(["chr1", "chr2", "chr10"]))
        chrom.append(name)
        tss.append(int(rng.integers(1, (SIZES[name] or 0) + 1)))
    chrom += chrom[4:6]
    tss += tss[4:6]
    n = len(chrom)
    ids = tuple(f"ENSG{i % (n - 1):02d}.1" for i in range(n))  # the last repeats the id of the first
    symbols = ("", "<b>é</b>", "a,b\t", *(f"S{i}" for i in range(3, n)))
    return Genes(ids, symbols, tuple(chrom), np.array(tss, np.int64), tuple("+-."[i % 3] for i in range(n)))


def write_mixed(path: Path, seed: int = 1, signal: bool = True) -> Features:
    """Write a feature file with the marks A.1 (counts), B (signal, if any) and C (counts), and read it."""
    genes, rng = make_genes(seed), np.random.default_rng(seed)
    shape = (len(genes), 2 * FLANK // BIN)
    counts = {mark: rng.integers(0, 2**24, shape, dtype=np.uint32) for mark in ("A.1", "B", "C")}
    counts["C"][rng.random(shape) < 0.5] = 0
    if signal:
        counts["B"] = rng.normal(0, 10, shape).astype(np.float32)
    metadata = {"n_bins": shape[1], "flank": FLANK, "bin_size": BIN, "gene_chromosomes": SIZES, "epigenome": path.stem}
    write_features(path, genes, counts, metadata)
    return read_features(path)
