"""Counts in regions: engine == live multicov, byte for byte, and engine == naive counter, on random files."""

import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from campaign.rows import sized
from hypothesis import given
from hypothesis import strategies as st
from oracle import bedtools, regions
from support.bam import write_bam
from support.cram import VERSIONS, as_in_cram, write_cram
from support.engine import blocks_of
from support.region_cases import (
    COUNTING,
    FILTERING,
    RegionCase,
    indexed_bams,
    multicov_options,
    pair_cases,
    region_cases,
)
from support.regions import count_bed, engine_options
from support.strategies import CUTS, KINDS, Record, examples, packed

from deepchrome.engine.regioncounts.write import send_counts

pytestmark = pytest.mark.campaign("parity")
THREADS = st.sampled_from([1, 1, 2, 3])
BLOCK_BYTES = st.sampled_from([1 << 20, 64, 100, 333, 5000])
STEPS = st.fixed_dictionaries(
    {
        "shift": st.sampled_from([0, 0, 1, 4, -5, 75, -75, 4000, -4000]),
        "point": st.sampled_from([None, None, "five-prime", "center"]),
        "extend": st.sampled_from([0, 0, 1, 50, 147, 5000]),
        "blacklist": st.sampled_from([None, "drawn"]),
    }
)


@pytest.mark.bedtools
@examples(sized(60, 600))
@given(case=region_cases(), filters=FILTERING, counting=COUNTING, threads=THREADS)
def test_bytes_equal_live_multicov(
    case: RegionCase, filters: dict[str, Any], counting: dict[str, Any], threads: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        bams = indexed_bams(case, Path(name))
        written = io.BytesIO()
        counts = count_bed(bams, case.bed, case.sizes, threads, **filters, **engine_options(counting))
        send_counts(written, counts, "multicov")
        options = multicov_options(filters, counting)
        expected = bedtools.run("bedtools", "multicov", *options, "-bams", *bams, "-bed", Path(name) / "regions.bed")
    assert written.getvalue() == expected


def columns_of(counts: Any) -> list[list[int]]:
    return [column.tolist() for column in counts.columns]


@examples(sized(150, 1500))
@given(
    case=region_cases(),
    filters=FILTERING,
    counting=COUNTING,
    threads=THREADS,
    block_bytes=BLOCK_BYTES,
    order=st.randoms(use_true_random=False),
)
def test_bam_equals_naive_counter(
    tmp_path_factory: pytest.TempPathFactory,
    case: RegionCase,
    filters: dict[str, Any],
    counting: dict[str, Any],
    threads: int,
    block_bytes: int,
    order: Any,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    table = regions.bed_regions(case.bed.encode())
    paths, expected = [], []
    for i, records in enumerate(case.files):
        paths.append(folder / f"{i}.bam")
        order.shuffle(records)
        write_bam(paths[i], case.sizes, records, "wb")
        expected.append(regions.count(regions.bam_alignments(paths[i], **filters), table, **counting))
    with blocks_of(block_bytes if block_bytes > 1000 else 1 << 20):
        counts = count_bed(paths, case.bed, case.sizes, threads, **filters, **engine_options(counting))
    assert columns_of(counts) == expected


@examples(sized(30, 300))
@given(case=region_cases(max_files=1), filters=FILTERING, counting=COUNTING, version=st.sampled_from(VERSIONS))
def test_cram_equals_naive_counter(
    tmp_path_factory: pytest.TempPathFactory,
    case: RegionCase,
    filters: dict[str, Any],
    counting: dict[str, Any],
    version: str,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    unusual = (None, "0M", "5M0N5M", "4N", "10D", "5H", "3M2N", "2000N1M", "5N5M")
    records = [as_in_cram(r) for r in case.files[0] if r.start >= 0 and r.cigar not in unusual]
    write_cram(folder / "drawn.cram", case.sizes, records, version)
    write_bam(folder / "drawn.bam", case.sizes, records)
    reads = regions.bam_alignments(folder / "drawn.bam", **filters)
    expected = regions.count(reads, regions.bed_regions(case.bed.encode()), **counting)
    counts = count_bed([folder / "drawn.cram"], case.bed, case.sizes, **filters, **engine_options(counting))
    assert columns_of(counts) == [expected]


def bed_text(records: list[Record], columns: int) -> bytes:
    """Return the records as BED lines: with the length of their CIGAR, if it has one operation."""
    lines = []
    for i, record in enumerate(records):
        if record.chrom is not None and record.start >= 0:
            cigar = record.cigar or ""
            length = int(cigar[:-1]) if cigar[:-1].isdigit() else i % 3
            fields = [record.chrom, record.start, record.start + length, f"r{i}", record.mapq, "+-."[record.flag % 3]]
            lines.append("\t".join(map(str, fields[:columns])) + "\n")
    return "".join(lines).encode()


@examples(sized(150, 1000))
@given(
    case=region_cases(max_files=1),
    counting=COUNTING,
    steps=STEPS,
    columns=st.sampled_from([6, 6, 6, 3]),
    threads=THREADS,
    block_bytes=BLOCK_BYTES,
    kind=st.sampled_from(KINDS),
    cuts=CUTS,
)
def test_text_and_steps_equal_naive_counter(
    tmp_path_factory: pytest.TempPathFactory,
    case: RegionCase,
    counting: dict[str, Any],
    steps: dict[str, Any],
    columns: int,
    threads: int,
    block_bytes: int,
    kind: str,
    cuts: list[int],
) -> None:
    folder = tmp_path_factory.getbasetemp()
    if columns < 6:
        counting = {**counting, "strand": None}
        steps = {**steps, "shift": 0, "extend": 0, "point": "center" if steps["point"] else None}
    text = bed_text(case.files[0], columns)
    (folder / "drawn.tagAlign").write_bytes(packed(text, kind, cuts))
    options, reads = with_steps(folder, case, steps, regions.text_alignments(text))
    if is_refused(counting, options):
        return
    expected = regions.count(reads, regions.bed_regions(case.bed.encode()), **counting)
    with blocks_of(block_bytes):
        counts = count_bed(
            [folder / "drawn.tagAlign"], case.bed, case.sizes, threads, **engine_options(counting), **options
        )
    assert columns_of(counts) == [expected]
