"""Real reads of K562 and E003 in tiles and in overlapping regions: the bytes of bedtools multicov."""

import io
import random
from pathlib import Path

import pytest
from oracle import bedtools

import deepchrome
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.regioncounts.write import send_counts

pytestmark = [pytest.mark.realdata, pytest.mark.bedtools]
CHR22_BP = 51_304_566  # hg19


def overlapping_regions(chroms: dict[str, tuple[int, int]], n: int) -> str:
    """Return regions of 1 bp to 100 kb at random positions in random order, some of no width, some twice."""
    dice, lines = random.Random(1), []
    for i in range(n):
        chrom = dice.choice(list(chroms))
        start = dice.randrange(*chroms[chrom])
        lines.append(
            f"{chrom}\t{start}\t{start + dice.choice([0, 1, 50, 300, 2000, 100_000])}\tr{i}\t0\t{'+-.'[i % 3]}\n"
        )
    return "".join(lines + lines[:50])


def assert_equal(reads: list[Path], bed: Path, folder: Path, letters: list[str], **options: object) -> None:
    """Compare files of reads, and the BAM files that bedtobam makes of them, with multicov."""
    genome = deepchrome.read_genome("hg19")
    bams = []
    for i, path in enumerate(reads):
        (folder / str(i)).mkdir(exist_ok=True)
        bams.append(bedtools.bed_to_bam(path.read_bytes(), genome.sizes, folder / str(i)))
    expected = bedtools.run("bedtools", "multicov", *letters, "-bams", *bams, "-bed", bed)
    regions = deepchrome.read_regions(bed)
    for files in (reads, bams):
        counts = deepchrome.count_files(files, regions, genome, ReadOptions(**options), threads=2)
        written = io.BytesIO()
        send_counts(written, counts, "multicov")
        assert written.getvalue() == expected
        assert counts.counts.sum() > 500


def test_k562_in_tiles(shared_data: Path, tmp_path: Path) -> None:
    bed = tmp_path / "tiles.bed"
    bed.write_text("".join(f"chr22\t{i}\t{min(i + 5000, CHR22_BP)}\n" for i in range(0, CHR22_BP, 5000)))
    assert_equal([shared_data / "k562_h1/K562-H3K4me3.chr22.tagAlign.gz"], bed, tmp_path, [])


@pytest.mark.parametrize(
    ("letters", "options"),
    [
        ([], {}),
        (["-s", "-f", "0.3"], {"strand": "same", "overlap_fraction": 0.3}),
        (["-S", "-f", "0.1", "-r"], {"strand": "opposite", "overlap_fraction": 0.1, "reciprocal": True}),
        (["-split", "-f", "0.5"], {"split": True, "overlap_fraction": 0.5}),
    ],
)
def test_k562_and_e003_in_overlapping_regions(
    shared_data: Path, tmp_path: Path, letters: list[str], options: dict[str, object]
) -> None:
    covered = {"chr22": (16_000_000, CHR22_BP)}
    for line in (shared_data / "e003/covered_regions.bed").read_text().splitlines():
        chrom, start, end = line.split("\t")[:3]
        covered.setdefault(chrom, (int(start), int(end)))
    bed = tmp_path / "regions.bed"
    bed.write_text(overlapping_regions(covered, 3000))
    reads = [
        shared_data / "k562_h1/K562-H3K4me3.chr22.tagAlign.gz",
        *sorted((shared_data / "e003").glob("*.tagAlign.gz"))[:2],
    ]
    assert_equal(reads, bed, tmp_path, letters, **options)
