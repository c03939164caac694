"""Real data: counts of Roadmap's E003 equal stored counts of bedtools, and those of ENCODE's K562 live bedtools."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle import bedtools
from oracle.naive import Gene

import deepchrome

pytestmark = pytest.mark.realdata
MARKS = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")


def test_e003_counts_equal_stored_bedtools_counts(shared_data: Path, tmp_path: Path) -> None:
    """Compare 109 genes x 5 marks x 100 bins. For 4 of the genes, DeepDiff's authors published the same counts."""
    folder = shared_data / "e003"
    command = [sys.executable, "-m", "deepchrome", "featurize", folder, "--genes", folder / "genes.tsv"]
    subprocess.run([*command, "--genome", "hg19", "--out", tmp_path / "features"], check=True, capture_output=True)
    features = deepchrome.read_features(tmp_path / "features" / "E003.parquet")
    assert features.marks == MARKS
    row_of = {gene: i for i, gene in enumerate(features.genes.gene_id)}
    expected = np.full((109, 100, len(MARKS)), -1)
    with open(folder / "expected_counts.csv", newline="") as file:
        for row in csv.DictReader(file):
            expected[row_of[row["GeneID"]], int(row["BinID"]) - 1] = [int(row[mark]) for mark in MARKS]
    assert expected.min() == 0
    assert features.counts.tolist() == expected.tolist()


@pytest.mark.bedtools
def test_k562_counts_equal_live_bedtools(shared_data: Path, tmp_path: Path) -> None:
    """All reads are on chr22: compare every bin of its genes; genes elsewhere have no reads."""
    reads = shared_data / "k562_h1" / "K562-H3K4me3.chr22.tagAlign.gz"
    deepchrome.featurize([reads], genes=shared_data / "roadmap" / "genes.tsv", genome="hg19", out=tmp_path)
    features = deepchrome.read_features(tmp_path / "K562.parquet")
    genes, counts = features.genes, features.counts[:, :, 0]
    on_chr22 = np.array([chrom == "chr22" for chrom in genes.chrom])
    genes_on_chr22 = [
        Gene(chrom, int(tss), strand)
        for chrom, tss, strand in zip(genes.chrom, genes.tss, genes.strand, strict=True)
        if chrom == "chr22"
    ]
    sizes = deepchrome.read_genome("hg19").sizes
    bam = bedtools.bed_to_bam(reads.read_bytes(), sizes, tmp_path)
    expected = bedtools.multicov(bam, genes_on_chr22, sizes, 5000, 100, tmp_path)
    assert counts.shape == (19_802, 100)
    assert counts[on_chr22].tolist() == expected
    assert counts[on_chr22].sum() > 100_000
    assert not counts[~on_chr22].any()
