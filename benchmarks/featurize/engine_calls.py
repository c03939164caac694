"""The engine, timed from within: library calls in a process of their own, and the kernels alone."""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from deepchrome.benchmarks.common.processes import Usage, run
from deepchrome.benchmarks.featurize.inputs import Inputs
from deepchrome.engine import kernels
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import build_window_index, tss_windows
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.formats import Sequences, Target, Text
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.inputs import open_stream
from deepchrome.engine.streams.sources import SerialSource

_CALL = "import sys; from deepchrome.benchmarks.featurize.engine_calls import time_calls; time_calls(*sys.argv[1:])"


@dataclass(frozen=True)
class Call:
    """One call of the engine: a file of reads, and the windows; ``genes`` is how many of the table's, the first."""

    reads_file: str
    gene_table: str
    genome: str
    threads: int
    genes: int | None = None
    flank: int = 5000
    bin_size: int = 100


def call_of(inputs: Inputs, reads_file: Path, threads: int) -> Call:
    """Return the call that counts one form of the reads in the windows of the race."""
    return Call(str(reads_file), str(inputs.genes), inputs.genome, threads)


def time_calls(given: str, rounds: str, counts: str = "") -> None:
    """Do what :func:`timed` says; runs in its process, and prints wall and CPU seconds by call and round."""
    calls = [Call(**call) for call in json.loads(given)]
    windows = []
    for call in calls:
        table = read_genes(call.gene_table)
        genes = table.take(np.arange(min(call.genes or len(table), len(table))))
        windows.append(tss_windows(genes, read_genome(call.genome), call.flank, call.bin_size))
    taken: list[list[tuple[float, float]]] = [[] for _ in calls]
    for turn in range(int(rounds) + 1):  # the first to warm up
        for call, where, times in zip(calls, windows, taken, strict=True):
            began, cpu = time.perf_counter(), time.process_time()
            tally = tally_reads(call.reads_file, where, call.threads)
            if turn:
                times.append((time.perf_counter() - began, time.process_time() - cpu))
            if counts:
                np.save(counts, tally.counts)
    sys.stdout.write(json.dumps(taken))


def timed(calls: Sequence[Call], rounds: int, counts: Path | None = None) -> list[list[Usage]]:
    """Call the engine in a process of its own: all calls once to warm up, then all in turn, ``rounds`` times.

    Parameters
    ----------
    calls
        What to time: the JIT is loaded, the file is in the page cache.
    rounds
        How often.
    counts
        Where to leave the counts of the last call, as ``.npy``.

    Returns
    -------
    list of list of Usage
        By call and round. Memory is the peak of the whole process.
    """
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as told:
        given = json.dumps([asdict(call) for call in calls])
        command = [sys.executable, "-c", _CALL, given, str(rounds), *([str(counts)] if counts else [])]
        whole = run(command, stdout=Path(told.name))
        taken = json.load(told)
    return [[Usage(wall, cpu, whole.rss_mib) for wall, cpu in times] for times in taken]


def kernel_ns(inputs: Inputs, plain: Path, rounds: int) -> float:
    """Return the nanoseconds a read takes to parse and count on one core, least of some rounds.

    The text is brought block by block into one reused buffer, as the engine does; only the kernels are timed.
    """
    windows = inputs.windows
    index = build_window_index(windows)
    target = Target(Sequences([*windows.genome.sizes], index), index, windows.n_bins, windows.bin_size, ReadOptions())
    best = np.inf
    for _ in range(rounds):
        text, block = Text(target), Block()
        counter = text.counter()
        stream = open_stream(str(plain))
        source, carry, spent = SerialSource(stream), b"", 0.0
        while not block.is_last:
            source.take(block)
            begin = block.put_before(carry)
            first, last = text.cut(block.buffer, begin, block.end, block.is_last)
            began = time.perf_counter()
            counter.count(block.buffer, first, last)
            spent += time.perf_counter() - began
            carry = block.buffer[last : block.end].tobytes()
        stream.close()
        best = min(best, 1e9 * spent / int(counter.tally[kernels.LINES]))
    return float(best)


def copy_seconds(n_bytes: int) -> float:
    """Return how long numpy takes to copy so many bytes from one place in memory to another, least of three."""
    source = np.ones(n_bytes, np.uint8)
    target = np.zeros_like(source)
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - began)
    return float(best)


def compile_seconds(folder: Path) -> Usage:
    """Return what the first run ever takes to compile the kernels: a process whose cache is empty."""
    script = "from deepchrome.cli.startup import load_kernels; load_kernels()"
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        return run([sys.executable, "-c", script], variables={"NUMBA_CACHE_DIR": cache})
