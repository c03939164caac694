"""Time library calls that count reads in regions, in a separate process."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from deepchrome.benchmarks.common.processes import Usage, run
from deepchrome.benchmarks.featurize.inputs import Counts
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.annotation.region_index import build_region_index
from deepchrome.engine.annotation.regions import read_regions
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.count import tally_reads

_SCRIPT = "import sys; from deepchrome.benchmarks.count.calls import print_times; print_times(*sys.argv[1:])"


@dataclass(frozen=True)
class Call:
    """One call of :func:`~deepchrome.engine.counting.count.tally_reads`.

    Attributes
    ----------
    reads_file
        The file of reads.
    regions
        BED file of the regions, or the gene table whose default TSS windows are counted in.
    is_gene_table
        Which of them ``regions`` is.
    genome
        The genome.
    threads
        The number of threads.
    """

    reads_file: str
    regions: str
    is_gene_table: bool
    genome: str
    threads: int


def print_times(calls_json: str, rounds: str, folder: str) -> None:
    """Run the calls of :func:`time_calls` in this process, and print a JSON object with two keys.

    ``calls``: [wall, cpu] per call and round. ``index``: wall-clock seconds for indexing each file of regions, by path.
    ``folder`` gets the counts of each call, ``0.npy`` for the first.
    """
    calls = [Call(**call) for call in json.loads(calls_json)]
    layouts: dict[str, Layout] = {}
    for call in calls:
        if call.regions not in layouts:
            layouts[call.regions] = _read_layout(call)
    taken: list[list[tuple[float, float]]] = [[] for _ in calls]
    for turn in range(int(rounds) + 1):  # turn 0 warms up and is not recorded
        for i, call in enumerate(calls):
            began, cpu = time.perf_counter(), time.process_time()
            tally = tally_reads(call.reads_file, layouts[call.regions], call.threads)
            if turn:
                taken[i].append((time.perf_counter() - began, time.process_time() - cpu))
            else:
                np.save(Path(folder, f"{i}.npy"), tally.counts.ravel())
    sys.stdout.write(json.dumps({"calls": taken, "index": {path: _index_seconds(layouts[path]) for path in layouts}}))


def _index_seconds(layout: Layout) -> float:
    began = time.perf_counter()
    build_region_index(layout)
    return time.perf_counter() - began


def _read_layout(call: Call) -> Layout:
    genome = read_genome(call.genome)
    if call.is_gene_table:
        return tss_windows(read_genes(call.regions), genome).layout
    return read_regions(call.regions).layout(genome)


@dataclass(frozen=True)
class TimedCalls:
    """The results of :func:`time_calls`.

    Attributes
    ----------
    usages
        By name of the call: the time of each run. The peak memory is left out (0), because the calls share a process.
    counts
        By name of the call: int64, in the order of the regions.
    index_seconds
        Seconds for indexing each file of regions, by path.
    """

    usages: Mapping[str, list[Usage]]
    counts: Mapping[str, Counts]
    index_seconds: Mapping[str, float]


def time_calls(calls: Mapping[str, Call], rounds: int) -> TimedCalls:
    """Time calls of the engine in a separate process, in rounds that run every call once.

    Reading and indexing the regions, which a run does once for all files of reads, are not part of the time of a call.
    An untimed first round loads the kernels, and brings the files into the page cache.

    Parameters
    ----------
    calls
        The calls, by name.
    rounds
        Number of timed rounds.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "times.json")
        calls_json = json.dumps([asdict(call) for call in calls.values()])
        run([sys.executable, "-c", _SCRIPT, calls_json, str(rounds), folder], stdout=output)
        document = json.loads(output.read_text(encoding="utf-8"))
        usages = {
            name: [Usage(wall, cpu, 0.0) for wall, cpu in times]
            for name, times in zip(calls, document["calls"], strict=True)
        }
        counts = {name: np.load(Path(folder, f"{i}.npy")).astype(np.int64) for i, name in enumerate(calls)}
        return TimedCalls(usages, counts, document["index"])
