"""Reads that are counted eight at a time: many at each position, on both sides of all edges of bins."""

import random

import pytest
from fuzz.targets import check, tally
from oracle import naive

# The windows of these targets reach from 250 to 650 on chromosome c, alone, and from 300 to 820 on chr1, overlapping.
ALIKE = [("c", start, length) for start in range(200, 700) for length in (1, 36, 60) for _ in range(8)]
OTHERS = [("chr1", start, 36) for start in range(200, 900) for _ in range(4)]


@pytest.mark.parametrize(
    "reads",
    [
        pytest.param(ALIKE, id="sorted"),
        pytest.param(random.Random(1).sample(ALIKE, len(ALIKE)), id="shuffled"),
        pytest.param(random.Random(2).sample(ALIKE + OTHERS, len(ALIKE + OTHERS)), id="two chromosomes"),
    ],
)
def test_many_reads_at_each_position(reads: list[tuple[str, int, int]]) -> None:
    lines = [f"{chrom}\t{start}\t{start + length}\tr\t0\t{'+-'[start % 2]}\n" for chrom, start, length in reads]
    text = "".join(lines).encode()
    counted = tally(text, 1 << 20)
    assert not isinstance(counted, Exception), counted
    check(counted, naive.text_reads(text))
