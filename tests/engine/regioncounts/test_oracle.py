"""The naive counter of reads in regions agrees with live bedtools: multicov, slop, shift, intersect and bamtobed."""

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from campaign.rows import sized
from hypothesis import given
from hypothesis import strategies as st
from oracle import bedtools, regions
from support.bam import write_bam
from support.region_cases import (
    COUNTING,
    FILTERING,
    RegionCase,
    indexed_bams,
    multicov_options,
    pair_cases,
    region_cases,
)
from support.strategies import Record, examples

pytestmark = [pytest.mark.bedtools, pytest.mark.campaign("parity")]
STRANDS = ("+", "-", ".")


@examples(sized(100, 3000))
@given(case=region_cases(), filters=FILTERING, counting=COUNTING)
def test_counts_equal_live_multicov(case: RegionCase, filters: dict[str, Any], counting: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bams = indexed_bams(case, folder)
        (folder / "regions.bed").write_text(case.bed)
        options = multicov_options(filters, counting)
        output = bedtools.run("bedtools", "multicov", *options, "-bams", *bams, "-bed", folder / "regions.bed")
        columns = [
            regions.count(regions.bam_alignments(bam, **filters), regions.bed_regions(case.bed.encode()), **counting)
            for bam in bams
        ]
    expected = [
        f"{line}\t" + "\t".join(map(str, row))
        for line, row in zip(case.bed.splitlines(), zip(*columns, strict=True), strict=True)
    ]
    assert output.decode().splitlines() == expected


def bed_of(reads: list[regions.Alignment]) -> bytes:
    return "".join(f"{r.chrom}\t{r.start}\t{r.end}\t{i}\t0\t{r.strand}\n" for i, r in enumerate(reads)).encode()


def spans_in(bed: bytes) -> list[tuple[str, int, int]]:
    return [(c, int(s), int(e)) for c, s, e, *_ in (line.split("\t") for line in bed.decode().splitlines())]


def spans_of(reads: list[regions.Alignment]) -> list[tuple[str, int, int]]:
    return [(read.chrom, read.start, read.end) for read in reads]


@st.composite
def inner_reads(draw: st.DrawFn) -> list[regions.Alignment]:
    """Draw reads within a chromosome of 1,000 bp."""
    spans = draw(st.lists(st.tuples(st.integers(0, 999), st.integers(1, 300), st.sampled_from(STRANDS)), min_size=1))
    return [regions.Alignment("chr1", start, min(start + length, 1000), strand, ()) for start, length, strand in spans]


def run_on_reads(reads: list[regions.Alignment], *command: str, extra: bytes = b"") -> bytes:
    """Run ``bedtools`` with the reads as ``reads.bed``, chr1 of 1,000 bp as ``genome``, and ``extra.bed``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "reads.bed").write_bytes(bed_of(reads))
        (folder / "extra.bed").write_bytes(extra)
        bedtools.write_genome(folder / "genome", {"chr1": 1000})
        done = subprocess.run(["bedtools", *command], cwd=folder, capture_output=True, check=True)
    return done.stdout


@examples(sized(15, 200))
@given(reads=inner_reads(), bp=st.integers(1, 400))
def test_extended_reads_equal_slop(reads: list[regions.Alignment], bp: int) -> None:
    expected = []
    for read in reads:  # slop adds the same number of bases to all reads of a call
        missing = max(bp - (read.end - read.start), 0)
        command = ["slop", "-s", "-l", "0", "-r", str(missing), "-i", "reads.bed", "-g", "genome"]
        expected += spans_in(run_on_reads([read], *command))
    assert spans_of([regions.extend(read, bp, 1000) for read in reads]) == expected


@examples(sized(30, 300))
@given(reads=inner_reads(), bp=st.integers(-400, 400))
def test_shifted_reads_equal_shift(reads: list[regions.Alignment], bp: int) -> None:
    """bedtools cuts shifted reads at the ends of the chromosome; reads that would be outside are moved to its ends."""
    command = ["shift", "-p", str(bp), "-m", str(-bp), "-i", "reads.bed", "-g", "genome"]
    for read, moved in zip(reads, spans_in(run_on_reads(reads, *command)), strict=True):
        ours = regions.shift(read, bp)
        if ours.end > 0 and ours.start < 1000:
            assert ("chr1", max(ours.start, 0), min(ours.end, 1000)) == moved
        else:
            assert moved[1:] in {(0, 1), (999, 1000)}


@examples(sized(30, 300))
@given(reads=inner_reads(), listed=st.lists(st.tuples(st.integers(1, 999), st.integers(0, 200)), max_size=4))
def test_reads_off_the_blacklist_equal_intersect(reads: list[regions.Alignment], listed: list[tuple[int, int]]) -> None:
    text = "".join(f"chr1\t{start}\t{start + length}\n" for start, length in listed).encode()
    expected = spans_in(run_on_reads(reads, "intersect", "-v", "-a", "reads.bed", "-b", "extra.bed", extra=text))
    kept = regions.prepare(reads, {"chr1": 1000}, blacklist=regions.bed_regions(text))
    assert spans_of(kept) == expected


@examples(sized(40, 400))
@given(case=pair_cases(), min_mapq=st.sampled_from([0, 30]), duplicates=st.booleans(), qc_fail=st.booleans())
def test_fragments_equal_bamtobed(case: RegionCase, min_mapq: int, duplicates: bool, qc_fail: bool) -> None:
    """The pairs that samtools selects and bamtobed joins, counted with intersect."""
    excluded = 256 | 2048 | (0 if duplicates else 1024) | (0 if qc_fail else 512)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bam(folder / "drawn.bam", case.sizes, case.files[0])
        chosen = bedtools.run(
            "samtools", "view", "-b", "-f", "2", "-F", str(excluded), "-q", str(min_mapq), folder / "drawn.bam"
        )
        by_name = bedtools.run("samtools", "sort", "-n", "-", stdin=chosen)
        (folder / "named.bam").write_bytes(by_name)
        pairs = bedtools.run("bedtools", "bamtobed", "-bedpe", "-i", folder / "named.bam")
        spans = [line.split("\t")[:6] for line in pairs.decode().splitlines()]
        fragments = [(c1, min(int(s1), int(s2)), max(int(e1), int(e2))) for c1, s1, e1, _, s2, e2 in spans]
        (folder / "fragments.bed").write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in fragments))
        (folder / "regions.bed").write_text(case.bed)
        counted = bedtools.run(
            "bedtools", "intersect", "-c", "-a", folder / "regions.bed", "-b", folder / "fragments.bed"
        )
        filters = {"min_mapq": min_mapq, "include_duplicates": duplicates, "include_qc_fail": qc_fail}
        ours = regions.bam_fragments(folder / "drawn.bam", **filters)
        bedpe = regions.bedpe_fragments(pairs)
    assert sorted(spans_of(ours)) == sorted(fragments)
    assert sorted(spans_of(bedpe)) == sorted(fragments)
    table = regions.bed_regions(case.bed.encode())
    assert regions.count(ours, table) == [int(line.rsplit("\t", 1)[1]) for line in counted.decode().splitlines()]


def test_spliced_read_counts_in_its_gap_unless_split(tmp_path: Path) -> None:
    write_bam(tmp_path / "one.bam", {"chr1": 100}, [Record("chr1", 10, 0, 60, "10M5N10M", "")])
    reads = regions.bam_alignments(tmp_path / "one.bam")
    gap = regions.bed_regions(b"chr1\t20\t25\n")
    assert regions.count(reads, gap) == [1]
    assert regions.count(reads, gap, split=True) == [0]
