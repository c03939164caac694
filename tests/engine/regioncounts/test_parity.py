"""Counts in regions: engine == live multicov, byte for byte, and engine == naive counter, on random files."""

import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
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
    region_line,
)
from support.regions import count_bed, engine_options
from support.strategies import CUTS, KINDS, Choices, Record, examples, packed

import deepchrome
from deepchrome.engine.annotation.aliases import auto_aliases
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.counting.blacklist import read_blacklist
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.regioncounts.write import send_counts
from deepchrome.errors import BadDataError

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


def with_steps(
    folder: Path, case: RegionCase, steps: dict[str, Any], reads: list[regions.Alignment]
) -> tuple[dict[str, Any], list[regions.Alignment]]:
    """Return the options of the engine, and the reads as they are after these steps. A point cannot be extended."""
    options, blacklist = dict(steps), []
    if options["point"]:
        options["extend"] = 0
    if options["blacklist"]:
        listed = "".join(line for i, line in enumerate(case.bed.splitlines(keepends=True)) if i % 3 == 0)
        (folder / "blacklist.bed").write_text(listed)
        blacklist = regions.bed_regions(listed.encode())
        options["blacklist"] = read_blacklist(folder / "blacklist.bed", Genome("drawn", case.sizes))
    reads = regions.prepare(
        reads,
        case.sizes,
        shift_bp=options["shift"],
        point=options["point"],
        extend_bp=options["extend"],
        blacklist=blacklist,
    )
    return options, reads


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
    (folder / "drawn.tagAlign").write_bytes(packed(text, kind, cuts, min(block_bytes, 60_000)))
    options, reads = with_steps(folder, case, steps, regions.text_alignments(text))
    if options["shift"] or options["extend"] or options["point"]:
        counting = {**counting, "split": False}  # the blocks of a read cannot be moved
    expected = regions.count(reads, regions.bed_regions(case.bed.encode()), **counting)
    with blocks_of(block_bytes):
        counts = count_bed(
            [folder / "drawn.tagAlign"], case.bed, case.sizes, threads, **engine_options(counting), **options
        )
    assert columns_of(counts) == [expected]


@examples(sized(60, 400))
@given(
    case=pair_cases(),
    min_mapq=st.sampled_from([0, 30]),
    include_duplicates=st.booleans(),
    include_qc_fail=st.booleans(),
    point=st.sampled_from([None, "center"]),
    blacklist=st.sampled_from([None, "drawn"]),
    threads=THREADS,
)
def test_fragments_equal_naive_counter(
    tmp_path_factory: pytest.TempPathFactory,
    case: RegionCase,
    min_mapq: int,
    include_duplicates: bool,
    include_qc_fail: bool,
    point: str | None,
    blacklist: str | None,
    threads: int,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_bam(folder / "drawn.bam", case.sizes, case.files[0])
    filters = {
        "min_mapq": min_mapq,
        "include_duplicates": include_duplicates,
        "include_qc_fail": include_qc_fail,
    }
    steps = {"shift": 0, "extend": 0, "point": point, "blacklist": blacklist}
    fragments = regions.bam_fragments(folder / "drawn.bam", **filters)
    options, prepared = with_steps(folder, case, steps, fragments)
    table = regions.bed_regions(case.bed.encode())
    counts = count_bed([folder / "drawn.bam"], case.bed, case.sizes, threads, fragments=True, **filters, **options)
    assert columns_of(counts) == [regions.count(prepared, table)]
    assert counts.tallies[0].reads == len(fragments)
    assert counts.tallies[0].quality.strand_balance is None  # a fragment has no strand


def bedpe_of(records: list[Record], extra: bool) -> bytes:
    """Return pairs as BEDPE: the mates one after the other in ``records``."""
    lines = []
    for one, two in zip(records[::2], records[1::2], strict=True):
        ends = [record.start + int((record.cigar or "")[:-1]) for record in (one, two)]
        fields = [one.chrom, one.start, ends[0], two.chrom, two.start, ends[1], one.name, one.mapq, "+", "-"]
        lines.append("\t".join(map(str, fields + ["x"] * extra)) + "\n")
    return "".join(lines).encode()


@examples(sized(60, 400))
@given(
    case=pair_cases(),
    swapped=st.booleans(),
    extra=st.booleans(),
    point=st.sampled_from([None, "center"]),
    threads=THREADS,
    block_bytes=BLOCK_BYTES,
    kind=st.sampled_from(KINDS),
    cuts=CUTS,
)
def test_bedpe_and_10x_equal_naive_counter(
    tmp_path_factory: pytest.TempPathFactory,
    case: RegionCase,
    swapped: bool,
    extra: bool,
    point: str | None,
    threads: int,
    block_bytes: int,
    kind: str,
    cuts: list[int],
) -> None:
    folder = tmp_path_factory.getbasetemp()
    records = [record for record in case.files[0] if record.chrom]
    records = records[::-1] if swapped else records
    # A file whose pairs all join different chromosomes may be taken for BED, and refused.
    first = [Record(chrom, 0, 0, 60, "1M", "", "first") for chrom in case.sizes for _ in range(2)]
    bedpe = bedpe_of(first + records, extra)
    fragments = regions.bedpe_fragments(bedpe)
    tenx = "# primary_contig=chr1\n" + "".join(
        f"{one.chrom}\t{one.start}\t{one.end}\tACGTACGTACGTACGT-1\t{i % 5 + 1}\n" for i, one in enumerate(fragments)
    )
    steps = {"shift": 0, "extend": 0, "point": point, "blacklist": None}
    options, prepared = with_steps(folder, case, steps, fragments)
    expected = regions.count(prepared, regions.bed_regions(case.bed.encode()))
    for name, text in (("drawn.bedpe", bedpe), ("fragments.tsv", tenx.encode())):
        (folder / name).write_bytes(packed(text, kind, cuts, min(block_bytes, 60_000)))
        with blocks_of(block_bytes):
            counts = count_bed([folder / name], case.bed, case.sizes, threads, fragments=True, **options)
        assert columns_of(counts) == [expected]


@pytest.mark.parametrize(
    "blocks", ["0\t1\t0", "2\t1\t0,8", "1\t1,1\t0", "x\t1\t0", "1\t1,\tx", "1\t-1\t0", "2\t1,\t0,8"]
)
def test_blocks_that_are_not_valid_are_refused(tmp_path: Path, blocks: str) -> None:
    write_bam(tmp_path / "x.bam", {"chr1": 100}, [])
    bed = f"chr1\t0\t9\tn\t0\t+\t0\t9\t0\t1\t9\t0\nchr1\t0\t9\tn\t0\t+\t0\t9\t0\t{blocks}\n"
    assert count_bed([tmp_path / "x.bam"], bed, {"chr1": 100}).columns[0].tolist() == [0, 0]
    with pytest.raises(BadDataError, match=r"regions.bed: region 2: the blocks in columns 10 to 12 are not valid"):
        count_bed([tmp_path / "x.bam"], bed, {"chr1": 100}, split=True)


@examples(sized(20, 200))
@given(case=region_cases(max_files=1))
def test_aliases_equal_renamed_reads(tmp_path_factory: pytest.TempPathFactory, case: RegionCase) -> None:
    folder = tmp_path_factory.getbasetemp()
    text = bed_text(case.files[0], 6)
    (folder / "drawn.bed").write_bytes(text)
    (folder / "renamed.bed").write_bytes(text.replace(b"chr", b""))
    sizes = {name: size for name, size in case.sizes.items() if name.startswith("chr")}
    bed = case.bed + region_line("chr1", 0, 1, case.bed.split("\n", 1)[0].count("\t") + 1, Choices(b""))
    plain = count_bed([folder / "drawn.bed"], bed, sizes, unknown_chrom="skip")
    aliases = auto_aliases(Genome("drawn", sizes))
    renamed = count_bed([folder / "renamed.bed"], bed, sizes, unknown_chrom="skip", aliases=aliases)
    assert columns_of(renamed) == columns_of(plain)


def test_public_function_equals_the_naive_counter(tmp_path: Path) -> None:
    sizes, records = {"chr1": 1000}, [Record("chr1", 7 * i, 16 * (i % 2), 60, "36M", "") for i in range(50)]
    write_bam(tmp_path / "x.bam", sizes, records)
    (tmp_path / "x.bed").write_text("chr1\t0\t50\tn\t0\t+\nchr1\t100\t101\tn\t0\t-\n")
    (tmp_path / "x.sizes").write_text("chr1\t1000\n")
    reads, table = regions.bam_alignments(tmp_path / "x.bam"), regions.bed_regions((tmp_path / "x.bed").read_bytes())
    for paths in (tmp_path / "x.bam", [str(tmp_path / "x.bam")]):
        counts = deepchrome.count_regions(paths, tmp_path / "x.bed", tmp_path / "x.sizes", strand="same")
        assert counts.dtype == np.uint32
        assert counts.tolist() == [[n] for n in regions.count(reads, table, "same")]


@pytest.mark.parametrize("split", [False, True])
def test_fractions_of_many_regions_and_a_wide_one(tmp_path: Path, split: bool) -> None:
    """Groups of regions that end before a read are passed over, on each of two chromosomes."""
    dice, sizes = np.random.default_rng(3), {"chr1": 40_000, "chr2": 30_000}
    spans = [(chrom, int(start), int(start) + 30) for chrom in sizes for start in dice.integers(0, 29_000, 300)]
    spans += [("chr1", 0, 40_000), ("chr2", 100, 29_000)]
    bed = "".join("\t".join(map(str, span)) + "\n" for span in spans)
    reads = [(chrom, int(start)) for chrom in sizes for start in dice.integers(0, 29_500, 300)]
    text = "".join(f"{chrom}\t{start}\t{start + 40}\n" for chrom, start in reads)
    (tmp_path / "x.bed").write_text(text)
    counts = count_bed([tmp_path / "x.bed"], bed, sizes, overlap_fraction=0.5, split=split)
    table = regions.bed_regions(bed.encode())
    expected = regions.count(regions.text_alignments(text.encode()), table, fraction=0.5, split=split)
    assert columns_of(counts) == [expected]
    assert sum(expected) > 100


def test_fractions_do_not_take_longer_with_a_wide_region(tmp_path: Path) -> None:
    """Without groups, each read would be compared with all regions before it: 10^9 pairs, which take 5 s."""
    n, size = 100_000, 100_000_000
    starts, ends = np.arange(n) * 1000, np.arange(n) * 1000 + 500
    starts[0], ends[0] = 0, size
    genome, zeros = Genome("test", {"chr1": size}), np.zeros(n, np.int64)
    layout = Layout(genome, zeros, starts, ends, 1, zeros.astype(np.int8), "regions")
    (tmp_path / "x.bed").write_text("".join(f"chr1\t{start}\t{start + 400}\n" for start in range(0, size, 5000)))
    options = ReadOptions(overlap_fraction=0.5)
    tally_reads(tmp_path / "x.bed", layout, 1, options)  # compiles the kernels
    began = time.process_time()
    tally = tally_reads(tmp_path / "x.bed", layout, 1, options)
    assert time.process_time() - began < 1
    assert tally.counts.sum() == 20_000 - 1  # the wide region is half covered by no read
