"""The engine beside its floor: ``python -m deepchrome.benchmarks.engine``.

The floor of a gzip file is ``igzip -dc``, the fastest decoder of one gzip stream (Debian package isal). All
figures of one run are taken in turns on the same file, so that only their ratios need a quiet machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from deepchrome.benchmarks.processes import Usage, interleaved, middle, run
from deepchrome.engine import kernels
from deepchrome.engine.count import tally_reads
from deepchrome.engine.formats import ReadOptions, Sequences, Target, Text
from deepchrome.engine.genes import read_genes
from deepchrome.engine.genome import read_genome
from deepchrome.engine.reads import Block, SerialSource, open_stream
from deepchrome.engine.simulate import simulate
from deepchrome.engine.windows import Windows, index_windows, tss_windows

MARK = "H3K4me3"
_COUNT = "import sys; from deepchrome.benchmarks.engine import count_and_tell; count_and_tell(*sys.argv[1:])"


def count_and_tell(path: str, genes: str, threads: str) -> None:
    """Count a file twice in a process of its own; print the second run's wall and CPU seconds, and the counts' sum."""
    windows = tss_windows(read_genes(genes), read_genome("hg19"))
    tally_reads(path, windows, int(threads))
    cpu = time.process_time()
    tally = tally_reads(path, windows, int(threads))
    sys.stdout.write(json.dumps([tally.seconds, time.process_time() - cpu, int(tally.counts.sum())]))


def counting(path: Path, genes: Path, threads: int) -> Usage:
    """Return what one warm call of the engine takes: the JIT loaded, the file in the page cache."""
    command = [sys.executable, "-c", _COUNT, str(path), str(genes), str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    wall, cpu, _ = json.loads(done.stdout)
    return Usage(wall, cpu, 0.0)


def kernel_ns(path: Path, windows: Windows, rounds: int) -> float:
    """Return the nanoseconds a read takes to parse and count on one core, least of some rounds.

    The text is brought block by block into one reused buffer, as the engine does; only the kernels are timed.
    """
    index = index_windows(windows)
    target = Target(Sequences([*windows.genome.sizes], index), index, windows.n_bins, windows.bin_size, ReadOptions())
    best = np.inf
    for _ in range(rounds):
        text, block = Text(target), Block()
        counter = text.counter()
        stream = open_stream(str(path))
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


def measure(folder: Path, n_reads: int, n_genes: int, runs: int) -> dict[str, Any]:
    """Simulate, measure, and return all figures."""
    options: dict[str, Any] = {"epigenomes": 1, "genes": n_genes, "marks": [MARK]}
    files = {
        "sorted": simulate_one(folder / "sorted", n_reads, **options),
        "shuffled": simulate_one(folder / "shuffled", n_reads, shuffle=True, **options),
        "bgzip": simulate_one(folder / "bgzip", n_reads, container="bgzip", **options),
        "plain": simulate_one(folder / "plain", n_reads, container="plain", **options),
        "tenth": simulate_one(folder / "tenth", n_reads // 10, **options),
    }
    genes = folder / "sorted" / "genes.tsv"
    out = str(folder / "features")
    dc = [sys.executable, "-m", "deepchrome", "featurize", "--genes", str(genes), "--genome", "hg19", "--out", out]

    def featurize(name: str) -> Usage:
        return run([*dc, "--force", str(files[name])])

    usages = interleaved(
        {
            "igzip -dc": lambda: run(["igzip", "-dc", str(files["sorted"])]),
            "engine, 2 threads": lambda: counting(files["sorted"], genes, 2),
            "engine, 1 thread": lambda: counting(files["sorted"], genes, 1),
            "engine, 2 threads, shuffled": lambda: counting(files["shuffled"], genes, 2),
            "engine, 1 thread, shuffled": lambda: counting(files["shuffled"], genes, 1),
            "engine, 2 threads, bgzip": lambda: counting(files["bgzip"], genes, 2),
            "engine, 1 thread, bgzip": lambda: counting(files["bgzip"], genes, 1),
            "dc featurize": lambda: featurize("sorted"),
            "dc featurize, a tenth of the reads": lambda: featurize("tenth"),
        },
        runs,
    )
    windows = tss_windows(read_genes(genes), read_genome("hg19"))
    floor = middle(usages["igzip -dc"])
    medians = {name: middle(values) for name, values in usages.items()}
    return {
        "schema": 1,
        "machine": {"cores": os.cpu_count(), "processor": _processor(), "python": platform.python_version()},
        "reads": n_reads,
        "genes": n_genes,
        "bytes": {name: path.stat().st_size for name, path in files.items()},
        "runs": runs,
        "medians": {name: vars(usage) for name, usage in medians.items()},
        "all": {name: [vars(usage) for usage in values] for name, values in usages.items()},
        "parse_and_count_ns_per_read": kernel_ns(files["plain"], windows, runs),
        "ratios": {
            "engine wall / igzip wall": medians["engine, 2 threads"].wall / floor.wall,
            "engine CPU / igzip CPU": medians["engine, 1 thread"].cpu / floor.cpu,
            "shuffled / sorted wall": medians["engine, 2 threads, shuffled"].wall / medians["engine, 2 threads"].wall,
            "bgzip 1 thread / 2 threads wall": medians["engine, 1 thread, bgzip"].wall
            / medians["engine, 2 threads, bgzip"].wall,
        },
        "dc featurize wall - igzip wall, seconds": medians["dc featurize"].wall - floor.wall,
    }


def simulate_one(out: Path, n_reads: int, **options: Any) -> Path:
    """Simulate one file of reads and return its path; what is there already is taken as it is."""
    if not out.exists():
        simulate(out, reads=n_reads, **options)
    return next(path for path in sorted(out.iterdir()) if ".tagAlign" in path.name)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def table(figures: dict[str, Any]) -> Table:
    """Lay the medians and the ratios out as a table."""
    shown = Table(title=f"{figures['reads']:,} reads, {figures['genes']:,} genes, medians of {figures['runs']} runs")
    for column in ("what", "wall s", "CPU s", "peak MiB", "wall / floor"):
        shown.add_column(column, justify="left" if column == "what" else "right")
    floor = figures["medians"]["igzip -dc"]["wall"]
    for name, usage in figures["medians"].items():
        memory = f"{usage['rss_mib']:.0f}" if usage["rss_mib"] else ""
        shown.add_row(name, f"{usage['wall']:.3f}", f"{usage['cpu']:.3f}", memory, f"{usage['wall'] / floor:.2f}")
    shown.add_section()
    shown.add_row("parse + count, one core", f"{figures['parse_and_count_ns_per_read']:.1f} ns a read")
    for name, ratio in figures["ratios"].items():
        shown.add_row(name, f"{ratio:.2f}")
    shown.add_row("dc featurize - igzip", f"{figures['dc featurize wall - igzip wall, seconds']:.2f} s")
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write the JSON."""
    parser = argparse.ArgumentParser(prog="deepchrome.benchmarks.engine", description=__doc__)
    parser.add_argument("--reads", type=int, default=10_000_000)
    parser.add_argument("--genes", type=int, default=19_802)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--data", type=Path, help="keep the simulated files here, or use those that are")
    parser.add_argument("--json", type=Path, help="write all figures here")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(given.data or Path(scratch), given.reads, given.genes, given.runs)
    Console().print(table(figures))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
