"""Measure ``dc count`` and other programs on the same reads and regions: compare the counts first, then take times."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from deepchrome.benchmarks.common.processes import Usage, extrapolate, run, run_interleaved, run_shell
from deepchrome.benchmarks.common.results import Parity, Results, Row
from deepchrome.benchmarks.common.tools import find_tools
from deepchrome.benchmarks.count.calls import Call, time_calls
from deepchrome.benchmarks.count.figures import (
    ENGINE,
    TSS_WINDOWS,
    acceptance_figures,
    engine_row_name,
    index_figure,
    parity_name,
    process_row_name,
)
from deepchrome.benchmarks.count.inputs import (
    SETS,
    Reads,
    RegionSet,
    SetName,
    write_reads,
    write_regions,
)
from deepchrome.benchmarks.count.programs import PROGRAMS, Program
from deepchrome.benchmarks.featurize.inputs import BinFile, Counts, Inputs
from deepchrome.benchmarks.featurize.runner import read_counts
from deepchrome.common.progress import OnMessage
from deepchrome.errors import BadDataError

_GENOME: Final = "hg19"
_COUNT: Final = (sys.executable, "-m", "deepchrome", "count")
Task = Callable[[], Usage]


@dataclass(frozen=True)
class Settings:
    """Settings of the benchmark.

    Attributes
    ----------
    sets
        The sets of regions.
    peaks, bin_bp
        The number of peaks, and the width of bins of the genome (bp).
    rounds
        The number of runs of each task.
    budget
        Stop repeating a task after this many seconds.
    sample, small_sample
        The numbers of regions that programs get that take hours with all.
    full_reference
        Whether programs that get a sample get all regions, except deepTools.
    threads
        Numbers of threads for ``dc count``. The other programs get the largest of them.
    without
        Words. Programs whose name contains one of them are left out.
    peer_python
        The Python interpreter that has the Python packages to compare with.
    """

    sets: tuple[SetName, ...] = SETS
    peaks: int = 200_000
    bin_bp: int = 1000
    rounds: int = 5
    budget: float = 10.0
    sample: int = 20_000
    small_sample: int = 500
    full_reference: bool = False
    threads: tuple[int, ...] = (1, 2)
    without: tuple[str, ...] = ()
    peer_python: str = sys.executable


def quick_settings(settings: Settings) -> Settings:
    """Return settings for a small run that only checks that everything works."""
    small = replace(settings, peaks=500, bin_bp=100_000, sample=100, small_sample=20)
    return replace(small, rounds=1, threads=(max(settings.threads),))


def measure(inputs: Inputs, settings: Settings, command: str, on_message: OnMessage) -> Results:
    """Count the same reads in every set of regions, with ``dc count`` and the other programs.

    Parameters
    ----------
    inputs
        The reads and the genes, on hg19.
    settings
        Settings of the benchmark.
    command
        The command line that repeats the run.
    on_message
        Receives progress messages.

    Raises
    ------
    BadDataError
        The counts of ``dc count`` or of the engine differ from those of bedtools.
    MissingInputError, StorageError
        bedtools or samtools is not installed, or a program fails.
    """
    programs, missing, versions = find_tools(PROGRAMS, settings.peer_python, settings.without)
    for absent in missing:
        on_message(f"not installed: {absent.name} ({absent.how})")
    on_message("writing the reads as BAM")
    reads = write_reads(inputs, max(settings.threads))
    # Compile the kernels now, if they are not in the cache.
    run([sys.executable, "-c", "from deepchrome.cli.startup import load_kernels; load_kernels()"])
    rows: list[Row] = []
    parity: list[Parity] = []
    expected: dict[str, Counts] = {}
    sets = [
        write_regions(
            inputs,
            name,
            peaks=settings.peaks,
            bin_bp=settings.bin_bp,
            sample=settings.sample,
            small_sample=settings.small_sample,
        )
        for name in settings.sets
    ]
    for regions in sets:
        benchmark = _SetBenchmark(inputs, reads, regions, settings, programs, on_message)
        compared, timed = benchmark.run()
        expected[regions.name] = benchmark.expected
        parity += compared
        rows += timed
    compared, timed, index_seconds = _run_engine(inputs, reads, sets, expected, settings, on_message)
    parity += compared
    rows += timed
    recorded: dict[str, Any] = {
        "reads": inputs.reads,
        "genes": len(inputs.windows.genes),
        "rounds": settings.rounds,
        "bin_bp": settings.bin_bp,
        "threads": max(settings.threads),
        **{f"regions, {regions.name}": regions.all.n for regions in sets},
    }
    figures = acceptance_figures(rows, parity, settings.sets, settings.threads)
    figures |= {index_figure(name): seconds for name, seconds in index_seconds.items()}
    return Results.create(
        "count", command, versions, settings=recorded, rows=rows, parity=parity, missing=missing, figures=figures
    )


class _SetBenchmark:
    """The benchmark on one set of regions."""

    def __init__(
        self,
        inputs: Inputs,
        reads: Reads,
        regions: RegionSet,
        settings: Settings,
        programs: Sequence[Program],
        on_message: OnMessage,
    ) -> None:
        self._inputs, self._reads, self._regions, self._settings = inputs, reads, regions, settings
        # dc bench featurize runs the other programs on the bins of gene windows. Here their counts are compared with
        # those of the engine in TSS windows.
        self._programs = [] if regions.name == "tss-bins" else programs
        self._on_message = on_message
        self._work = inputs.folder / "work"
        self._work.mkdir(exist_ok=True)
        self._total = int(regions.index.max()) + 1
        self.expected: Counts = np.full(self._total, -1, np.int64)

    def run(self) -> tuple[list[Parity], list[Row]]:
        """Run each task once and compare its counts; then run the fast tasks again, in rounds."""
        settings, name = self._settings, self._regions.name
        first: dict[str, Usage] = {}
        parity: list[Parity] = []
        tasks: dict[str, Task] = {}
        scales: dict[str, tuple[float, Program]] = {}
        for reads, n in self._own_runs():
            row = process_row_name(reads, n)
            tasks[row] = partial(self._run_count, reads, n)
            first[row], counts = tasks[row](), self._read_own()
            if self.expected.max() < 0:
                self.expected = counts
            parity.append(self._compare(row, counts, must_equal=True))
        for program in self._programs:
            self._on_message(f"{name}: {program.name}")
            tasks[program.name] = partial(self._run_program, program, self._regions_for(program))
            first[program.name] = tasks[program.name]()
            parity.append(self._compare_program(program))
            if self._regions_for(program).n != self._regions.all.n:
                scales[program.name] = self._scale_of(program), program
        self._on_message(f"{name}: {settings.rounds} rounds")
        again = {row: task for row, task in tasks.items() if first[row].wall < settings.budget}
        usages = run_interleaved(again, settings.rounds - 1, settings.budget)
        rows = []
        for row in tasks:
            runs, scale = [first[row], *usages.get(row, [])], 1.0
            if row in scales:
                scale, program = scales[row]
                runs = extrapolate(runs, [self._run_program(program, self._regions.two)], scale)
            rows.append(Row.from_usages(name, row, self._inputs.reads, runs, scale))
        return parity, rows

    def _own_runs(self) -> list[tuple[str, int]]:
        return [(reads, n) for reads in self._reads.files for n in self._settings.threads]

    def _run_count(self, reads: str, threads: int) -> Usage:
        options = ["--regions", str(self._regions.all.path), "--genome", _GENOME, "--out", str(self._own_output)]
        return run([*_COUNT, str(self._reads.files[reads]), *options, "--force", "--threads", str(threads)])

    @property
    def _own_output(self) -> Path:
        return self._work / f"{self._regions.name}.dc.tsv"

    def _read_own(self) -> Counts:
        parse = partial(pl.read_csv, self._own_output, separator="\t", columns=[3, 4])
        return read_counts("dc count", parse, self._regions.all.n, self._total)

    def _run_program(self, program: Program, regions: BinFile) -> Usage:
        variables = {
            "READS": str(self._reads.files[program.reads]),
            "INSIDE_BAM": str(self._reads.inside_bam),
            "REGIONS": str(regions.path),
            "SAF": str(self._regions.saf),
            "SIZES": str(self._inputs.folder / "chrom.sizes"),
            "WORK": str(self._work),
            "OUT": str(self._output_of(regions)),
            "THREADS": str(max(self._settings.threads)),
            "PEER_PYTHON": self._settings.peer_python,
        }
        return run_shell(program.script, variables, name=program.name)

    def _output_of(self, regions: BinFile) -> Path:
        # The output for two regions, which measures start-up, must not replace the counts that are compared.
        return self._work / f"{self._regions.name}.{regions.path.stem}.counts"

    def _regions_for(self, program: Program) -> BinFile:
        if program.regions == "small sample":
            chosen = self._regions.small_sample
        elif program.regions == "sample" and not self._settings.full_reference:
            chosen = self._regions.sample
        else:
            return self._regions.all
        return chosen if chosen.n < self._regions.all.n else self._regions.all

    def _scale_of(self, program: Program) -> float:
        n_two = self._regions.two.n
        return (self._regions.all.n - n_two) / max(self._regions_for(program).n - n_two, 1)

    def _compare_program(self, program: Program) -> Parity:
        if program.quantity:
            return Parity(parity_name(self._regions.name, program.name), 0, 0, self._inputs.reads, program.quantity)
        given = self._regions_for(program)
        parse = partial(program.parse, self._output_of(given), given.path)
        counts = read_counts(program.name, parse, given.n, self._total)
        return self._compare(program.name, counts, must_equal=program.is_reference)

    def _compare(self, row: str, counts: Counts, *, must_equal: bool) -> Parity:
        name = parity_name(self._regions.name, row)
        return compare(name, counts, self.expected, self._inputs.reads, must_equal=must_equal)


def compare(name: str, counts: Counts, expected: Counts, reads: int, *, must_equal: bool) -> Parity:
    """Compare counts with those of ``dc count``.

    Parameters
    ----------
    name
        The name of the comparison.
    counts, expected
        int64 (regions,): the counts of a program and of ``dc count``; -1 for regions that were not given.
    reads
        The number of reads.
    must_equal
        Whether the program is bedtools or a part of this one.

    Raises
    ------
    BadDataError
        Counts differ that must be equal.
    """
    given = counts >= 0
    different = np.flatnonzero(given & (counts != expected))
    if len(different) and must_equal:
        first = int(different[0])
        raise BadDataError(
            f"{name}: {len(different):,} of {int(given.sum()):,} counts differ from those of dc count "
            f"(first in region {first}: {counts[first]}, dc count {expected[first]})"
        )
    return Parity(name, int(given.sum()), len(different), reads)


def _run_engine(
    inputs: Inputs,
    reads: Reads,
    sets: Sequence[RegionSet],
    expected: Mapping[str, Counts],
    settings: Settings,
    on_message: OnMessage,
) -> tuple[list[Parity], list[Row], dict[str, float]]:
    """Time library calls on every set and on TSS windows, and compare their counts.

    Returns
    -------
    parity, rows
        The comparisons and the times.
    index_seconds
        By name of the set: seconds for indexing the regions.
    """
    on_message(f"engine: {settings.rounds} rounds")
    calls: dict[tuple[str, str, int], Call] = {}
    for kind, path in reads.files.items():
        for n in settings.threads:
            calls[TSS_WINDOWS, kind, n] = Call(str(path), str(inputs.genes), True, _GENOME, n)
            for regions in sets:
                calls[regions.name, kind, n] = Call(str(path), str(regions.all.path), False, _GENOME, n)
    timed = time_calls({engine_row_name(*key): call for key, call in calls.items()}, settings.rounds)
    index_of: dict[str, Counts] = {regions.name: regions.index for regions in sets}
    parity, rows = [], []
    for key in calls:
        name, row = key[0], engine_row_name(*key)
        rows.append(Row.from_usages(ENGINE, row, inputs.reads, timed.usages[row]))
        found, whole = timed.counts[row], "tss-bins" if name == TSS_WINDOWS else name
        if whole not in expected:
            continue
        counts = np.full(len(expected[whole]), -1, np.int64)
        # TSS windows have all bins in the order of the genes; a file of regions has its own order.
        counts[index_of[whole]] = found[index_of[whole]] if name == TSS_WINDOWS else found
        parity.append(compare(parity_name(ENGINE, row), counts, expected[whole], inputs.reads, must_equal=True))
    index_seconds: dict[str, float] = {regions.name: timed.index_seconds[str(regions.all.path)] for regions in sets}
    return parity, rows, index_seconds
