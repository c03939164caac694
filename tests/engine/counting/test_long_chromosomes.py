"""Chromosomes too long for a BAI index, as those of wheat and barley: the counts of multicov with a CSI index."""

import random
from pathlib import Path

import pytest
from campaign.rows import sized
from oracle import bedtools
from oracle.naive import Gene
from support.bam import write_bam
from support.engine import blocks_of, windows
from support.strategies import Record

from deepchrome.engine.counting.count import count_reads, tally_reads
from deepchrome.errors import BadDataError

SIZES = {"chr3B": 830_829_764, "chr1": 250_000_000, "longest": 2**31 - 5000}  # multicov takes no bins beyond 2^31
FLANK, BIN = 500, 100


def draw_genes(dice: random.Random) -> list[Gene]:
    """Return genes on both sides of 2^29 and near the ends of the chromosomes."""
    places = [(name, size - dice.randrange(2000)) for name, size in SIZES.items()]
    places += [(name, 2**29 + dice.randrange(-1000, 1000)) for name in ("chr3B", "longest")]
    places += [(name, dice.randrange(1, size)) for name, size in SIZES.items()]
    return [Gene(chrom, tss, dice.choice("+-.")) for chrom, tss in places]


def draw_spans(genes: list[Gene], dice: random.Random, n: int) -> list[tuple[str, int, int]]:
    """Return reads near the genes, half of them 36 bp long; they may end beyond their chromosome."""
    spans = []
    for _ in range(n):
        gene = dice.choice(genes)
        start = min(max(gene.tss + dice.randrange(-FLANK - 50, FLANK + 50), 0), SIZES[gene.chrom] - 1)
        spans.append((gene.chrom, start, min(start + dice.choice([36, 36, 1, dice.randrange(1, 3000)]), 2**31 - 2)))
    return spans


@pytest.mark.campaign("parity", "odd-files")
@pytest.mark.bedtools
@pytest.mark.parametrize("seed", range(sized(6, 100)))
@pytest.mark.parametrize("strand", [None, "same"])
def test_counts_are_those_of_multicov(seed: int, strand: str | None, tmp_path: Path) -> None:
    dice = random.Random(seed)
    genes = draw_genes(dice)
    spans = draw_spans(genes, dice, 300)
    if seed % 2:  # many lines alike in a row, as the fast paths need them
        spans.sort()
    lines = [f"{chrom}\t{start}\t{end}\tN\t0\t{'+-'[i % 2]}\n" for i, (chrom, start, end) in enumerate(spans)]
    bed = tmp_path / "reads.bed"
    bed.write_text("".join(lines))
    bedtools.write_genome(tmp_path / "long.sizes", SIZES)
    bam = tmp_path / "sorted.bam"
    unsorted = bedtools.run("bedtools", "bedtobam", "-i", bed, "-g", tmp_path / "long.sizes")
    bedtools.run("samtools", "sort", "-o", bam, "-", stdin=unsorted)
    bedtools.run("samtools", "index", "-c", bam)
    expected = bedtools.multicov(bam, genes, SIZES, FLANK, BIN, tmp_path, strand)
    assert sum(map(sum, expected)) > 30
    gene_windows = windows(genes, SIZES, FLANK, BIN)
    for path, block_bytes in ((bed, dice.choice([1 << 20, 1000])), (bam, 1 << 20)):
        with blocks_of(block_bytes):
            assert count_reads(path, gene_windows, 1 + seed % 2, strand=strand).tolist() == expected, path


@pytest.mark.campaign("odd-files")
def test_header_with_a_long_chromosome_and_no_read_on_it(tmp_path: Path) -> None:
    write_bam(tmp_path / "a.bam", SIZES, [Record("chr1", 1000, 0, 60, "36M", "A" * 36)])
    gene_windows = windows([Gene("chr1", 1000), Gene("longest", 2**31 - 5000)], SIZES, FLANK, BIN)
    assert count_reads(tmp_path / "a.bam", gene_windows).sum() == 1


@pytest.mark.campaign("odd-files")
def test_reads_on_long_chromosomes_that_the_genome_lacks(tmp_path: Path) -> None:
    """They are reported by name, left out, or counted on the first chromosome, as bedtools does."""
    (tmp_path / "reads.bed").write_text("chr3A\t600000000\t600000036\nchr3B\t600000000\t600000036\n")
    gene_windows = windows([Gene("chr3B", 600_000_000)], {"chr3B": SIZES["chr3B"]}, FLANK, BIN)
    with pytest.raises(BadDataError, match=r"1 of 2 reads lie on chromosomes.*'chr3A'"):
        count_reads(tmp_path / "reads.bed", gene_windows)
    for unknown_chrom, reads in (("skip", 1), ("bedtools", 2)):
        assert count_reads(tmp_path / "reads.bed", gene_windows, unknown_chrom=unknown_chrom).sum() == reads


@pytest.mark.parametrize(
    ("chrom", "end", "is_refused"),
    [
        ("chr1", 2**29 - 1, False),
        ("chr1", 2**29, True),
        ("chr1", 2**31 - 2, True),
        ("chr3B", 2**29, False),
        ("chr3B", 2**31 - 2, False),
        ("chr3B", 2**31 - 1, True),
        ("longest", 2**31 - 2, False),
        ("longest", 2**31 - 1, True),
        ("longest", 2**32 + 5, True),
    ],
)
@pytest.mark.parametrize("before", [0, 20])
def test_largest_position_depends_on_the_chromosome(
    chrom: str, end: int, is_refused: bool, before: int, tmp_path: Path
) -> None:
    """A position beyond 2^29 - 1 on a chromosome of ordinary length is a damaged number, as it was before."""
    lines = [f"{chrom}\t{100_000_000 + i}\t{100_000_036 + i}\n" for i in range(before)]
    (tmp_path / "reads.bed").write_text("".join([*lines, f"{chrom}\t{end - 36}\t{end}\n"]))
    gene_windows = windows([Gene("chr1", 1000)], SIZES, FLANK, BIN)
    if is_refused:
        with pytest.raises(BadDataError, match=rf"reads\.bed:{before + 1}: a position beyond 2\^29 - 1 bp"):
            tally_reads(tmp_path / "reads.bed", gene_windows)
    else:
        assert tally_reads(tmp_path / "reads.bed", gene_windows).max_length == 36
