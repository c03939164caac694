"""Time the engine: library calls in a separate process, the kernels alone, and their compilation."""

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
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.region_index import build_region_index
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.bed import Bed
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.formats import Sequences, Target
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.kernels import Tally
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.inputs import open_stream
from deepchrome.engine.streams.sources import SerialSource

_SCRIPT = "import sys; from deepchrome.benchmarks.featurize.engine_calls import print_times; print_times(*sys.argv[1:])"


@dataclass(frozen=True)
class Call:
    """One call of the engine.

    Attributes
    ----------
    reads_file
        The file of reads.
    gene_table, genome, flank, bin_size
        Arguments for the windows; ``flank`` and ``bin_size`` are in bp.
    threads
        Number of threads.
    genes
        Number of genes to use, from the start of the table; None for all.
    """

    reads_file: str
    gene_table: str
    genome: str
    threads: int
    genes: int | None = None
    flank: int = 5000
    bin_size: int = 100


def make_call(inputs: Inputs, reads_file: Path, threads: int) -> Call:
    """Return the call that counts the reads in a file in the default windows of the benchmark."""
    return Call(str(reads_file), str(inputs.genes), inputs.genome, threads)


def print_times(calls_json: str, rounds: str, counts: str = "") -> None:
    """Run the calls of :func:`time_calls` in this process; print their wall-clock and CPU seconds as JSON.

    The output is a list of [wall, cpu] pairs per call, one pair per round.
    """
    calls = [Call(**call) for call in json.loads(calls_json)]
    windows = []
    for call in calls:
        table = read_genes(call.gene_table)
        genes = table.take(np.arange(min(call.genes or len(table), len(table))))
        windows.append(tss_windows(genes, read_genome(call.genome), call.flank, call.bin_size))
    taken: list[list[tuple[float, float]]] = [[] for _ in calls]
    for turn in range(int(rounds) + 1):  # turn 0 warms up and is not recorded
        for call, where, times in zip(calls, windows, taken, strict=True):
            began, cpu = time.perf_counter(), time.process_time()
            tally = tally_reads(call.reads_file, where, call.threads)
            if turn:
                times.append((time.perf_counter() - began, time.process_time() - cpu))
            if counts:
                np.save(counts, tally.counts)
    sys.stdout.write(json.dumps(taken))


def time_calls(calls: Sequence[Call], rounds: int, counts: Path | None = None) -> list[list[Usage]]:
    """Time calls of the engine in a separate process, in rounds that run every call once.

    An untimed first round loads the kernels, and brings the files into the page cache.

    Parameters
    ----------
    calls
        The calls to time.
    rounds
        Number of timed rounds.
    counts
        The ``.npy`` file to write the counts of the last call to. Without it, counts are not saved.

    Returns
    -------
    list of list of Usage
        One list per call, with one item per round. The memory is the peak of the whole process.
    """
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
        calls_json = json.dumps([asdict(call) for call in calls])
        command = [sys.executable, "-c", _SCRIPT, calls_json, str(rounds), *([str(counts)] if counts else [])]
        whole = run(command, stdout=Path(output.name))
        taken = json.load(output)
    return [[Usage(wall, cpu, whole.rss_mib) for wall, cpu in times] for times in taken]


def kernel_ns_per_read(inputs: Inputs, plain: Path, rounds: int) -> float:
    """Return the nanoseconds per read for parsing and counting on one core: the fastest of ``rounds`` rounds.

    ``plain`` is a decompressed file of reads. It is loaded block by block into one reused buffer, as in the engine.
    Only the kernels are timed.
    """
    windows = inputs.windows
    index = build_region_index(windows.layout)
    target = Target(Sequences(index), index, ReadOptions())
    best = np.inf
    for _ in range(rounds):
        bed, block = Bed(target), Block()
        counter = bed.counter()
        stream = open_stream(str(plain))
        source, carry, spent = SerialSource(stream), b"", 0.0
        while not block.is_last:
            source.take(block)
            begin = block.prepend(carry)
            first, last = bed.cut(block.buffer, begin, block.end, block.is_last)
            began = time.perf_counter()
            counter.count(block.buffer, first, last)
            spent += time.perf_counter() - began
            carry = block.buffer[last : block.end].tobytes()
        stream.close()
        best = min(best, 1e9 * spent / counter.total(Tally.LINES))
    return float(best)


def copy_seconds(n_bytes: int) -> float:
    """Return the seconds that numpy takes to copy ``n_bytes`` in memory: the fastest of three runs."""
    source = np.ones(n_bytes, np.uint8)
    target = np.zeros_like(source)
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - began)
    return float(best)


def time_compilation(folder: Path) -> Usage:
    """Time a first run, which compiles the kernels. Its empty cache is a temporary directory in ``folder``."""
    script = "from deepchrome.cli.startup import load_kernels; load_kernels()"
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        return run([sys.executable, "-c", script], variables={"NUMBA_CACHE_DIR": cache})
