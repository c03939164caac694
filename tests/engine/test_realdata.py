"""Real reads: Roadmap's E003 against its known counts, ENCODE's K562 against live bedtools."""

import csv
from pathlib import Path

import bedtools
import numpy as np
import pytest
from naive import Gene

from deepchrome.engine.count import count_reads
from deepchrome.engine.genes import read_genes
from deepchrome.engine.genome import read_genome
from deepchrome.engine.windows import tss_windows

pytestmark = pytest.mark.realdata
MARKS = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")


def test_e003_counts_are_the_published_ones(shared_data: Path) -> None:
    """109 genes, five marks, 100 bins: as bedtools has them, and for 4 genes as the authors published them."""
    folder = shared_data / "e003"
    genes = read_genes(folder / "genes.tsv")
    place = {gene: i for i, gene in enumerate(genes.gene_id)}
    expected = np.full((len(genes), 100, len(MARKS)), -1)
    with open(folder / "expected_counts.csv", newline="") as file:
        for row in csv.DictReader(file):
            expected[place[row["GeneID"]], int(row["BinID"]) - 1] = [int(row[mark]) for mark in MARKS]
    windows = tss_windows(genes, read_genome("hg19"))
    counts = [count_reads(folder / f"E003-{mark}.tagAlign.gz", windows) for mark in MARKS]
    assert expected.shape == (109, 100, 5)
    assert expected.min() == 0
    assert np.stack(counts, axis=-1).tolist() == expected.tolist()


@pytest.mark.bedtools
def test_k562_counts_are_those_of_live_bedtools(shared_data: Path, tmp_path: Path) -> None:
    """Its reads lie on chr22: those genes are compared bin by bin, all others have none."""
    reads = shared_data / "k562_h1" / "K562-H3K4me3.chr22.tagAlign.gz"
    genes = read_genes(shared_data / "roadmap" / "genes.tsv")
    genome = read_genome("hg19")
    counts = count_reads(reads, tss_windows(genes, genome), 2)
    there = np.array([chrom == "chr22" for chrom in genes.chrom])
    on_chr22 = [
        Gene(chrom, int(tss), strand)
        for chrom, tss, strand in zip(genes.chrom, genes.tss, genes.strand, strict=True)
        if chrom == "chr22"
    ]
    bam = bedtools.bed_to_bam(reads.read_bytes(), genome.sizes, tmp_path)
    expected = bedtools.multicov(bam, on_chr22, genome.sizes, 5000, 100, tmp_path)
    assert counts.shape == (19_802, 100)
    assert counts[there].tolist() == expected
    assert counts[there].sum() > 100_000
    assert not counts[~there].any()
