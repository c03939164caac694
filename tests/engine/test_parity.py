"""Text reads: the naive counter equals bedtools."""

import tempfile
from pathlib import Path

import bedtools
import naive
import pytest
from hypothesis import given, settings
from strategies import Case, cases


@pytest.mark.bedtools
@settings(max_examples=200)
@given(case=cases(for_bedtools=True))
def test_naive_counter_equals_live_bedtools(case: Case) -> None:
    layout = case.layout
    shape = layout.genes, layout.sizes, layout.flank, layout.bin_size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bam = bedtools.bed_to_bam(case.text, layout.sizes, folder)
        expected = bedtools.multicov(bam, *shape, folder)
    reads = naive.place(naive.text_reads(case.text), layout.sizes, "bedtools")
    assert naive.count(reads, *shape) == expected
