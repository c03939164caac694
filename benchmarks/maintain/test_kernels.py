"""Time the kernels alone, on one core, for every kind of file in tests/support/cases.py: ``make bench-kernels``.

Text and records are in memory, cut into blocks as in the engine, so that only parsing and counting are timed.
tests/engine/counting/test_cases.py checks the counts of the same cases.
"""

from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from support.cases import CASES, FileCase, random_layout
from support.engine import windows_of

from deepchrome.engine.annotation.region_index import build_region_index
from deepchrome.engine.counting.formats import Counter, Format, Sequences, Target
from deepchrome.engine.counting.pipeline import detect_format
from deepchrome.engine.counting.sniff import HEAD_BYTES
from deepchrome.engine.kernels import Tally
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.inputs import open_stream
from deepchrome.engine.streams.sources import open_source

READS, GENES, CHROM_BP = 100_000, 2000, 200_000_000
Piece = tuple[np.ndarray, int, int]


def cut(path: Path, case: FileCase) -> tuple[Format, list[Piece]]:
    """Read a file block by block; return its format and, for each block, the buffer and the range of bytes to count."""
    index = build_region_index(windows_of(random_layout(GENES, CHROM_BP)).layout, case.options.strand)
    target = Target(Sequences(index), index, case.options)
    stream = open_stream(str(path))
    source = open_source(stream, allow_no_eof=False)
    file_format: Format | None = None
    pieces: list[Piece] = []
    carry, block = b"", Block()
    while not block.is_last:
        block = Block()
        source.finish(source.take(block), block)
        begin = block.prepend(carry)
        file_format = file_format or detect_format(
            block.buffer[begin : min(begin + HEAD_BYTES, block.end)].tobytes(), target
        )
        first, last = file_format.cut(block.buffer, begin, block.end, block.is_last)
        carry = block.buffer[last : block.end].tobytes()
        pieces.append((block.buffer, first, last))
    stream.close()
    assert file_format
    return file_format, pieces


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernels(tmp_path: Path, benchmark: BenchmarkFixture, case: FileCase) -> None:
    file_format, pieces = cut(case.make(tmp_path / "reads", random_layout(GENES, CHROM_BP), READS), case)

    def count() -> Counter:
        counter = file_format.counter()
        for buffer, first, last in pieces:
            counter.count(buffer, first, last)
        return counter

    counter = benchmark.pedantic(count, rounds=10, warmup_rounds=2)
    assert counter.total(Tally.LINES) == READS
    benchmark.extra_info["ns_per_read"] = round(1e9 * benchmark.stats.stats.min / READS, 1)
