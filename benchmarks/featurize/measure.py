"""Measure the engine, bedtools and other programs on the same reads: compare the counts first, then measure times."""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepchrome.benchmarks.common.processes import Usage, extrapolate, run, run_interleaved
from deepchrome.benchmarks.common.results import Missing, Parity, Results, Row
from deepchrome.benchmarks.common.tables import FLOOR, format_threads
from deepchrome.benchmarks.common.tools import find_tools
from deepchrome.benchmarks.featurize import inputs
from deepchrome.benchmarks.featurize.engine_calls import (
    copy_seconds,
    kernel_ns_per_read,
    make_call,
    time_calls,
    time_compilation,
)
from deepchrome.benchmarks.featurize.inputs import Counts, Inputs
from deepchrome.benchmarks.featurize.programs import PEERS, REFERENCE, Program
from deepchrome.benchmarks.featurize.runner import ProgramRunner
from deepchrome.common.progress import OnMessage
from deepchrome.engine.counting.count import count_reads
from deepchrome.engine.features.store import read_features
from deepchrome.errors import BadDataError

Task = Callable[[], Usage]
SORTED_GZIP = "sorted gzip"
LOADING, COMPILING = "load the kernels", "compile the kernels, the first run ever"
KERNELS = "parse_and_count_ns_per_read"
# With more reads, some programs take minutes and need more memory than many machines have.
_MAX_READS_OF_PEERS = 10_000_000
# The copy in memory is measured with at most this many bytes. The time for a larger text is extrapolated.
_MAX_COPY_BYTES = 1 << 30
_FLOORS = {
    FLOOR: ["igzip", "-dc"],
    "gzip -dc": ["gzip", "-dc"],
    "read the file (dd)": ["dd", "bs=1M", "status=none"],
}


@dataclass(frozen=True)
class Settings:
    """Settings of the benchmark.

    Attributes
    ----------
    rounds
        The number of runs of each task.
    budget
        Stop repeating a task after this many seconds.
    multicov_genes, deeptools_genes
        The numbers of genes for which multicov and deepTools count reads.
    full_reference
        Whether multicov counts reads for all genes.
    threads
        Numbers of threads for the engine. The other programs get the largest of them.
    peers_at
        Numbers of reads at which to run the other programs too. By default, the largest number up to 10 million.
    startup, sweep
        Whether to measure the start-up time, and the time with other numbers of windows and other bin sizes.
    without
        Words. Programs whose name contains one of them are left out.
    peer_python
        The Python interpreter that has the Python packages to compare with.
    """

    rounds: int = 5
    budget: float = 10.0
    multicov_genes: int = 400
    deeptools_genes: int = 100
    full_reference: bool = False
    threads: tuple[int, ...] = (1, 2)
    peers_at: tuple[int, ...] = ()
    startup: bool = True
    sweep: bool = True
    without: tuple[str, ...] = ()
    peer_python: str = sys.executable


def quick_settings(settings: Settings) -> Settings:
    """Return settings for a small run that only checks that everything works."""
    return replace(settings, rounds=1, multicov_genes=20, deeptools_genes=4, threads=(2,), startup=False)


def measure(files: Sequence[Inputs], settings: Settings, command: str, on_message: OnMessage) -> Results:
    """Run the engine on every file of reads, and the installed programs on the files chosen by ``peers_at``.

    Parameters
    ----------
    files
        Inputs with different numbers of reads.
    settings
        Settings of the benchmark.
    command
        The command line that repeats the run.
    on_message
        Receives progress messages.

    Raises
    ------
    BadDataError
        A program's counts differ from the engine's although they must be equal. No times are measured.
    StorageError
        A program fails.
    """
    programs, missing, versions = find_tools((REFERENCE, *PEERS), settings.peer_python, settings.without)
    if not shutil.which("igzip"):
        missing.append(Missing(FLOOR, "apt install isal"))
    for absent in missing:
        on_message(f"not installed: {absent.name} ({absent.how})")
    largest = max(files, key=lambda one: one.reads)
    default_size = max((one.reads for one in files if one.reads <= _MAX_READS_OF_PEERS), default=0)
    peers_at = settings.peers_at or (default_size,)
    rows: list[Row] = []
    parity: list[Parity] = []
    for one in files:
        benchmark = _FileBenchmark(one, settings, programs if one.reads in peers_at else [], on_message)
        parity += benchmark.compare_counts()
        rows += benchmark.measure_times()
    if settings.startup:
        on_message("start-up")
        rows += _time_startup(largest.folder, settings)
    if settings.sweep:
        on_message("engine with other numbers of windows and bin sizes")
        rows += _time_sweep(largest, settings)
    on_message("kernels alone")
    figures: dict[str, Any] = {KERNELS: kernel_ns_per_read(largest, inputs.write_plain(largest), settings.rounds)}
    figures |= {f"bytes, {one.reads} reads": one.reads_file.stat().st_size for one in files}
    recorded = {
        "reads": [one.reads for one in files],
        "genes": len(files[0].windows.genes),
        "rounds": settings.rounds,
        "bins": files[0].total_bins,
    }
    return Results.create(
        "featurize", command, versions, settings=recorded, rows=rows, parity=parity, missing=missing, figures=figures
    )


class _FileBenchmark:
    """The benchmark on one file of reads."""

    def __init__(self, one: Inputs, settings: Settings, programs: Sequence[Program], on_message: OnMessage) -> None:
        self._inputs, self._settings, self._programs, self._on_message = one, settings, programs, on_message
        bins = inputs.write_bins(one, settings.multicov_genes, settings.deeptools_genes)
        self._runner = ProgramRunner(one, bins, settings.peer_python, max(settings.threads), settings.full_reference)
        self._steps = list(dict.fromkeys(step for program in programs for step in program.steps))
        self._formats: dict[str, Path] = {SORTED_GZIP: one.reads_file}

    def compare_counts(self) -> list[Parity]:
        """Run every program and engine task once, and compare their counts with those of one library call."""
        one, threads = self._inputs, max(self._settings.threads)
        self._on_message(f"{one.reads:,} reads: run every program once and compare the counts")
        expected = count_reads(one.reads_file, one.windows, threads).astype(np.int64).ravel()
        compared = []
        done: set[str] = set()
        for program in self._programs:
            for step in program.steps:
                if step not in done:
                    self._on_message(f"  {step}")
                    self._runner.run_step(step)
                    done.add(step)
            counts = self._runner.read_counts(program)
            compared.append(_compare(program.name, counts, expected, one.reads, program.reason))
        self._on_message("  engine, other formats of the same reads")
        self._formats |= {"shuffled gzip": inputs.write_shuffled(one), "bgzip": inputs.write_bgzip(one)}
        if "samtools index" in done:
            self._formats["BAM"] = inputs.copy_bam(one, self._runner.sorted_bam)
        saved = one.folder / "engine.npy"
        for name, task in self._engine_tasks(saved).items():
            task()
            compared.append(_compare(name, np.load(saved).astype(np.int64).ravel(), expected, one.reads))
        self._run_featurize(threads)
        (written,) = (one.folder / "features").glob("*.parquet")
        counts = read_features(written).counts[:, :, 0].astype(np.int64).ravel()
        compared.append(_compare("dc featurize", counts, expected, one.reads))
        return compared

    def measure_times(self) -> list[Row]:
        """Measure the time of every task. Each round runs all tasks, so a slow phase of the machine affects all."""
        one, settings, runner = self._inputs, self._settings, self._runner
        floors: dict[str, Task] = {
            name: partial(run, [*words, f"if={one.reads_file}" if words[0] == "dd" else str(one.reads_file)])
            for name, words in _FLOORS.items()
            if shutil.which(words[0])
        }
        scaled = [step for step in self._steps if runner.scale_of(step) != 1]
        groups: dict[str, dict[str, Task]] = {
            "floor": floors,
            "engine": self._engine_tasks(),
            "process": {
                f"dc featurize, {format_threads(n)}": partial(self._run_featurize, n) for n in settings.threads
            },
            "step": {step: partial(runner.run_step, step) for step in self._steps},
            "one gene": {step: partial(runner.run_step_for_one_gene, step) for step in scaled},
        }
        tasks = {(group, name): task for group, members in groups.items() for name, task in members.items()}
        self._on_message(f"{one.reads:,} reads: {settings.rounds} rounds of {len(tasks)} tasks")
        usages = run_interleaved(tasks, settings.rounds, settings.budget)
        rows = [self._copy_row()]
        for (group, name), runs in usages.items():
            if group == "step" and name in scaled:
                scale = runner.scale_of(name)
                runs = extrapolate(runs, usages["one gene", name], scale)
                rows.append(Row.from_usages("step", name, one.reads, runs, scale))
            elif group != "one gene":
                rows.append(Row.from_usages(group, name, one.reads, runs))
        return self._add_programs(rows)

    def _add_programs(self, rows: list[Row]) -> list[Row]:
        """Add one row per program with the sum of its steps; drop the rows of steps that are a whole program."""
        steps = {row.name: row for row in rows if row.group == "step"}
        for program in self._programs:
            group = "reference" if program is REFERENCE else "peer"
            rows.append(_sum_steps(group, program.name, [steps[step] for step in program.steps]))
        shown = {step for program in self._programs if len(program.steps) > 1 for step in program.steps}
        return [row for row in rows if row.group != "step" or row.name in shown]

    def _copy_row(self) -> Row:
        text_bytes = self._inputs.text_bytes
        copied = min(text_bytes, _MAX_COPY_BYTES)
        seconds = copy_seconds(copied) * text_bytes / copied
        return Row("floor", "copy the text in memory (numpy)", self._inputs.reads, [seconds], [seconds], [0.0])

    def _engine_tasks(self, counts: Path | None = None) -> dict[str, Task]:
        """Return library calls for every format and number of threads. Each saves its counts to ``counts``, if set."""
        return {
            f"engine, {name}, {format_threads(n)}": partial(self._call_engine, path, n, counts)
            for name, path in self._formats.items()
            for n in self._settings.threads
        }

    def _call_engine(self, path: Path, threads: int, counts: Path | None) -> Usage:
        return time_calls([make_call(self._inputs, path, threads)], 1, counts)[0][0]

    def _run_featurize(self, threads: int) -> Usage:
        one = self._inputs
        options = ["--genes", str(one.genes), "--genome", one.genome, "--out", str(one.folder / "features"), "--force"]
        command = [sys.executable, "-m", "deepchrome", "featurize", str(one.reads_file), *options]
        return run([*command, "--threads", str(threads)])


def _compare(name: str, counts: Counts, expected: Counts, reads: int, reason: str = "") -> Parity:
    given = counts >= 0  # -1: the program did not count in this bin
    different = np.flatnonzero(given & (counts != expected))
    if len(different) and not reason:
        first = int(different[0])
        raise BadDataError(
            f"{name}: {len(different):,} of {int(given.sum()):,} counts differ from the engine's "
            f"(first in bin {first}: {counts[first]}, engine {expected[first]}). No times were measured."
        )
    return Parity(name, int(given.sum()), len(different), reads, reason)


def _sum_steps(group: str, name: str, steps: Sequence[Row]) -> Row:
    """Return a row whose i-th run is the sum of the i-th runs of the steps. Surplus runs are ignored."""
    runs = range(min(len(step.wall) for step in steps))
    return Row(
        group,
        name,
        steps[0].work,
        [sum(step.wall[i] for step in steps) for i in runs],
        [sum(step.cpu[i] for step in steps) for i in runs],
        [max(step.rss_mib[i] for step in steps) for i in runs],
        max(step.scale for step in steps),
    )


def _time_startup(folder: Path, settings: Settings) -> list[Row]:
    """Time ``dc --help``, loading the kernels from the cache, and compiling them with an empty cache."""
    # Loads the kernels as every counting command does, in a separate process: this package must not import the CLI.
    load_kernels = [sys.executable, "-c", "from deepchrome.cli.startup import load_kernels; load_kernels()"]
    tasks: dict[str, Task] = {
        "dc --help": partial(run, [sys.executable, "-m", "deepchrome", "--help"]),
        LOADING: partial(run, load_kernels),
        COMPILING: partial(time_compilation, folder),
    }
    for name in ("dc --help", LOADING):
        tasks[name]()
    usages = run_interleaved(tasks, settings.rounds, settings.budget)
    return [Row.from_usages("start-up", name, 0, runs) for name, runs in usages.items()]


def _time_sweep(one: Inputs, settings: Settings) -> list[Row]:
    """Time the engine with fewer windows and with other bin sizes, interleaved in one process."""
    base = make_call(one, one.reads_file, max(settings.threads))
    genes = len(one.windows.genes)
    calls = {f"{n:,} windows": replace(base, genes=n) for n in (max(genes // 100, 1), max(genes // 10, 1), genes)}
    calls |= {f"bins of {bp} bp": replace(base, bin_size=bp) for bp in (10, 25, 50, 200, 1000)}
    # The peak memory is that of the whole process, so it is left out.
    usages = [
        [replace(usage, rss_mib=0.0) for usage in runs] for runs in time_calls(list(calls.values()), settings.rounds)
    ]
    return [Row.from_usages("sweep", name, one.reads, runs) for name, runs in zip(calls, usages, strict=True)]
