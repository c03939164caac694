"""BAM and CRAM files: naive counter == multicov, engine == naive counter, engine == multicov on files of bedtobam."""

import gzip
import tempfile
from pathlib import Path
from typing import Any

import pytest
from campaign.rows import sized
from hypothesis import given
from hypothesis import strategies as st
from oracle import bedtools, naive
from support.bam import write_bam
from support.cram import VERSIONS, as_in_cram, write_cram
from support.engine import blocks_of, windows, windows_of
from support.strategies import CUTS, BamCase, Case, Record, bam_cases, cases, examples, packed

from deepchrome.engine.counting.count import count_reads
from deepchrome.errors import BadDataError

FILTERS = st.fixed_dictionaries(
    {
        "min_mapq": st.sampled_from([0, 0, 1, 30, 255]),
        "include_duplicates": st.booleans(),
        "include_qc_fail": st.booleans(),
    }
)
STRANDS = st.sampled_from([None, None, "same", "opposite"])


def multicov_options(filters: dict[str, Any]) -> list[str]:
    options = ["-q", str(filters["min_mapq"])]
    return options + ["-D"] * filters["include_duplicates"] + ["-F"] * filters["include_qc_fail"]


@pytest.mark.campaign("parity")
@pytest.mark.bedtools
@examples(100)
@given(case=bam_cases(), filters=FILTERS, strand=STRANDS)
def test_naive_counter_equals_live_multicov(case: BamCase, filters: dict[str, Any], strand: str | None) -> None:
    layout = case.layout
    arguments = layout.genes, layout.sizes, layout.flank, layout.bin_size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bam(folder / "drawn.bam", case.references, case.records)
        bam = bedtools.sorted_bam((folder / "drawn.bam").read_bytes(), folder / "sorted.bam")
        expected = bedtools.multicov(bam, *arguments, folder, strand, multicov_options(filters))
        reads = naive.on_genome(naive.bam_reads(bam, **filters), layout.sizes)
    assert naive.count(reads, *arguments, strand) == expected


@pytest.mark.campaign("parity")
@pytest.mark.bedtools
@examples(50)
@given(case=cases(for_bedtools=True), strand=STRANDS, threads=st.sampled_from([1, 2]))
def test_engine_equals_live_multicov_on_files_of_bedtobam(case: Case, strand: str | None, threads: int) -> None:
    layout = case.layout
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bam = bedtools.bed_to_bam(case.text, layout.sizes, folder)
        arguments = layout.genes, layout.sizes, layout.flank, layout.bin_size
        expected = bedtools.multicov(bam, *arguments, folder, strand)
        counts = count_reads(bam, windows_of(layout), threads, strand=strand, allow_empty=True)
    assert counts.tolist() == expected


@pytest.mark.campaign("parity")
@examples(sized(300, 600))
@given(
    case=bam_cases(),
    filters=FILTERS,
    strand=STRANDS,
    written=st.sampled_from(["htslib", "uncompressed", "bgzip", "gzip"]),
    cuts=CUTS,
    threads=st.sampled_from([1, 1, 2]),
    block_bytes=st.sampled_from([1 << 20, 64, 100, 333, 5000]),
    unknown_chrom=st.sampled_from(["error", "skip", "bedtools"]),
)
def test_engine_equals_naive_counter(
    tmp_path_factory: pytest.TempPathFactory,
    case: BamCase,
    filters: dict[str, Any],
    strand: str | None,
    written: str,
    cuts: list[int],
    threads: int,
    block_bytes: int,
    unknown_chrom: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn.bam"
    write_bam(path, case.references, case.records, "wbu" if written == "uncompressed" else "wb")
    layout = case.layout
    reads = naive.bam_reads(path, **filters)
    if written in ("bgzip", "gzip"):
        # The first block must contain the magic bytes of BAM, as real blocks do.
        path.write_bytes(packed(gzip.decompress(path.read_bytes()), written, cuts, min(block_bytes - 4, 60_000)))
    else:
        block_bytes = 1 << 20  # htslib chooses the size of its bgzip blocks

    def count() -> Any:
        options: dict[str, Any] = {**filters, "strand": strand, "unknown_chrom": unknown_chrom, "allow_empty": True}
        with blocks_of(block_bytes):
            return count_reads(path, windows_of(layout), threads, **options)

    unknown = naive.unknown_chroms(reads, layout.sizes)
    if unknown and unknown_chrom == "error":
        with pytest.raises(BadDataError) as refused:
            count()
        assert all(repr(name) in str(refused.value) for name in unknown)
        return
    # Reads of a BAM file stay on their chromosome, with unknown_chrom="bedtools" too, as in multicov.
    placed = naive.on_genome(reads, layout.sizes)
    arguments = layout.genes, layout.sizes, layout.flank, layout.bin_size
    assert count().tolist() == naive.count(placed, *arguments, strand)


@pytest.mark.campaign("parity", "cram")
@examples(sized(30, 280))
@given(
    case=bam_cases(with_unknown=False),
    filters=FILTERS,
    strand=STRANDS,
    version=st.sampled_from(VERSIONS),
    with_reference=st.booleans(),
    reads_per_slice=st.sampled_from([1, 3, 10_000]),
    threads=st.sampled_from([1, 1, 2]),
)
def test_engine_equals_naive_counter_on_cram(
    tmp_path_factory: pytest.TempPathFactory,
    case: BamCase,
    filters: dict[str, Any],
    strand: str | None,
    version: str,
    with_reference: bool,
    reads_per_slice: int,
    threads: int,
) -> None:
    folder, layout = tmp_path_factory.getbasetemp(), case.layout
    # CRAM cannot store mapped records without a CIGAR, operations of length 0, or starts before the first base.
    records = [as_in_cram(record) for record in case.records if record.cigar not in (None, "0M") and record.start >= 0]
    small = sum(case.references.values()) < 1_000_000  # the reference is written to disk
    write_cram(
        folder / "drawn.cram",
        case.references,
        records,
        version,
        with_reference=with_reference and small,
        reads_per_slice=reads_per_slice,
    )
    write_bam(folder / "drawn.bam", case.references, records)
    reads = naive.bam_reads(folder / "drawn.bam", **filters)
    options: dict[str, Any] = {**filters, "strand": strand, "allow_empty": True}
    arguments = layout.genes, layout.sizes, layout.flank, layout.bin_size
    counts = count_reads(folder / "drawn.cram", windows_of(layout), threads, **options)
    assert counts.tolist() == naive.count(reads, *arguments, strand)


def test_cigar_with_more_than_65535_operations(tmp_path: Path) -> None:
    """Such a CIGAR is stored in a tag; the record has a placeholder that spans the same positions."""
    sizes = {"chr1": 100_000}
    cigar = "1M1D" * 40_000
    write_bam(tmp_path / "long.bam", sizes, [Record("chr1", 10, 0, 60, cigar, "A" * 40_000)])
    gene_windows = windows([naive.Gene("chr1", 80_010)], sizes, flank=2, bin_size=1)
    assert count_reads(tmp_path / "long.bam", gene_windows).tolist() == [[1, 1, 0, 0]]


def test_blocks_of_more_than_65535_operations_are_refused(tmp_path: Path) -> None:
    """multicov -split counts the blocks in the tag. The engine does not read them, so it must not count 0."""
    cigar = "1M1N" * 40_000 + "1M"
    records = [Record("chr1", 5, 0, 60, "5M", "A" * 5), Record("chr1", 10, 0, 60, cigar, "A" * 40_001)]
    write_bam(tmp_path / "long.bam", {"chr1": 100_000}, records)
    gene_windows = windows([naive.Gene("chr1", 80_010)], {"chr1": 100_000}, flank=2, bin_size=1)
    with pytest.raises(BadDataError, match=r"long\.bam: record 2: more than 65,535 CIGAR operations"):
        count_reads(tmp_path / "long.bam", gene_windows, split=True)
