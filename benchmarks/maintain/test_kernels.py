"""The kernels alone, one core, on every case of tests/cases.py: ``python -m pytest benchmarks/micro``.

Text and records lie in memory, cut into blocks as the engine cuts them; what is timed is parsing and counting.
The same cases are checked against the naive counter by tests/engine/test_cases.py.
"""

from pathlib import Path

import numpy as np
import pytest
from cases import CASES, Case, layout
from ours import windows_of
from pytest_benchmark.fixture import BenchmarkFixture

from deepchrome.engine import kernels
from deepchrome.engine.annotation.windows import build_window_index
from deepchrome.engine.counting.formats import Counter, Format, Sequences, Target, detect
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.inputs import open_stream
from deepchrome.engine.streams.sources import open_source

READS, GENES, CHROM_BP = 100_000, 2000, 200_000_000
Piece = tuple[np.ndarray, int, int]


def cut(path: Path, case: Case) -> tuple[Format, list[Piece]]:
    """Read a file block by block, and keep what the kernels are given of each."""
    windows = windows_of(layout(GENES, CHROM_BP))
    index = build_window_index(windows, case.options.strand)
    target = Target(Sequences([*windows.genome.sizes], index), index, windows.n_bins, windows.bin_size, case.options)
    stream = open_stream(str(path))
    source = open_source(stream, allow_no_eof=False)
    form: Format | None = None
    pieces: list[Piece] = []
    carry, block = b"", Block()
    while not block.is_last:
        block = Block()
        source.finish(source.take(block), block)
        begin = block.put_before(carry)
        form = form or detect(block.buffer[begin : begin + 8].tobytes(), target)
        first, last = form.cut(block.buffer, begin, block.end, block.is_last)
        carry = block.buffer[last : block.end].tobytes()
        pieces.append((block.buffer, first, last))
    stream.close()
    assert form
    return form, pieces


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernels(tmp_path: Path, benchmark: BenchmarkFixture, case: Case) -> None:
    form, pieces = cut(case.make(tmp_path / "reads", layout(GENES, CHROM_BP), READS), case)

    def count() -> Counter:
        counter = form.counter()
        for buffer, first, last in pieces:
            counter.count(buffer, first, last)
        return counter

    counter = benchmark.pedantic(count, rounds=10, warmup_rounds=2)
    assert counter.tally[kernels.LINES] == READS
    benchmark.extra_info["ns_per_read"] = round(1e9 * benchmark.stats.stats.min / READS, 1)
