"""BAM: the naive counter equals bedtools."""

import tempfile
from pathlib import Path

import bedtools
import naive
import pytest
from bam import write_bam
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BamCase, bam_cases

FILTERS = st.fixed_dictionaries(
    {
        "min_mapq": st.sampled_from([0, 0, 1, 30, 255]),
        "include_duplicates": st.booleans(),
        "include_qc_fail": st.booleans(),
    }
)
STRANDS = st.sampled_from([None, None, "same", "opposite"])


def letters(filters: dict[str, int]) -> list[str]:
    options = ["-q", str(filters["min_mapq"])]
    return options + ["-D"] * filters["include_duplicates"] + ["-F"] * filters["include_qc_fail"]


@pytest.mark.bedtools
@settings(max_examples=100)
@given(case=bam_cases(), filters=FILTERS, strand=STRANDS)
def test_naive_counter_equals_live_multicov(case: BamCase, filters: dict[str, int], strand: str | None) -> None:
    layout = case.layout
    shape = layout.genes, layout.sizes, layout.flank, layout.bin_size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bam(folder / "drawn.bam", case.references, case.records)
        bam = bedtools.sorted_bam((folder / "drawn.bam").read_bytes(), folder / "sorted.bam")
        expected = bedtools.multicov(bam, *shape, folder, strand, letters(filters))
        reads = naive.place(naive.bam_reads(bam, **filters), layout.sizes, "skip")
    assert naive.count(reads, *shape, strand) == expected
