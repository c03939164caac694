"""The engine and the naive counter agree on each kind of file that the micro-benchmarks time."""

from pathlib import Path

import pytest
from oracle import naive
from support.cases import CASES, FileCase, random_layout
from support.engine import blocks_of, windows_of

from deepchrome.engine.counting.count import tally_reads

READS = 600


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_equals_naive_counter(tmp_path: Path, case: FileCase) -> None:
    layout = random_layout(10, 120_000)
    path = case.make(tmp_path / "reads", layout, READS)
    if case.is_bam:
        reads = naive.bam_reads(path, case.options.min_mapq)
    else:
        reads = naive.on_genome(naive.text_reads(path.read_bytes()), layout.sizes)
    expected = naive.count(reads, layout.genes, layout.sizes, layout.flank, layout.bin_size, case.options.strand)
    assert sum(map(sum, expected)) > READS / 10
    for threads, block_bytes in ((1, 1 << 20), (2, 70_000)):
        with blocks_of(block_bytes):
            assert tally_reads(path, windows_of(layout), threads, case.options).counts.tolist() == expected
