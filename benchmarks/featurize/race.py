"""``dc bench featurize``: parity first, then the race."""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from deepchrome.benchmarks.common.processes import Usage, in_turns, run
from deepchrome.benchmarks.common.results import Missing, Parity, Results, Row, Say
from deepchrome.benchmarks.featurize import contestants, inputs
from deepchrome.benchmarks.featurize.contestants import Contestant, Track
from deepchrome.benchmarks.featurize.engine_calls import call_of, compile_seconds, copy_seconds, kernel_ns, timed
from deepchrome.benchmarks.featurize.inputs import Counts, Inputs
from deepchrome.engine.counting.count import count_reads
from deepchrome.engine.features.store import read_features
from deepchrome.errors import BadDataError

Task = Callable[[], Usage]
SORTED = "sorted gzip"
LOADING, COMPILING = "load the kernels", "compile the kernels, the first run ever"
KERNELS = "parse_and_count_ns_per_read"
# With more, some peers take minutes and more memory than many machines have.
_MOST_READS_OF_PEERS = 10_000_000
# More than this, and it is no copy that a race should make twice.
_LARGEST_COPY = 1 << 30
_FLOORS = {
    "igzip -dc": ["igzip", "-dc"],
    "gzip -dc": ["gzip", "-dc"],
    "read the file (dd)": ["dd", "bs=1M", "status=none"],
}


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    rounds
        Turns of every task.
    budget
        Seconds after which a task sits the later rounds out.
    some, few
        Genes whose bins multicov, and deepTools, are given.
    full_reference
        Give multicov all of them.
    threads
        Of the engine, one scenario each; the peers that can get as many as the most.
    peers_at
        Numbers of reads at which the reference and the peers run too; by default the largest up to 10 million.
    startup, sweep
        Whether to measure them.
    without
        Words in the names of contestants to leave out.
    peer_python
        The Python that has the peers' packages.
    """

    rounds: int = 5
    budget: float = 10.0
    some: int = 400
    few: int = 100
    full_reference: bool = False
    threads: tuple[int, ...] = (1, 2)
    peers_at: tuple[int, ...] = ()
    startup: bool = True
    sweep: bool = True
    without: tuple[str, ...] = ()
    peer_python: str = sys.executable


QUICK = Plan(rounds=1, some=20, few=4, threads=(2,), startup=False)


def race(files: Sequence[Inputs], plan: Plan, command: str, settings: dict[str, Any], say: Say) -> Results:
    """Run everything on every file of reads; no time is taken before the counts have been compared.

    Parameters
    ----------
    files
        Inputs of different sizes.
    plan
        How much.
    command, settings
        For the record.
    say
        Told how it goes.

    Raises
    ------
    BadDataError
        A contestant that must give the same counts does not.
    StorageError
        A contestant fails.
    """
    racing, missing, packages = contestants.installed(plan.peer_python, plan.without)
    if not shutil.which("igzip"):
        missing.append(Missing("igzip -dc, the floor", "apt install isal"))
    for absent in missing:
        say(f"not here: {absent.name} ({absent.how})")
    rows: list[Row] = []
    parity: list[Parity] = []
    figures: dict[str, Any] = {}
    sizes = plan.peers_at or [max((one.reads for one in files if one.reads <= _MOST_READS_OF_PEERS), default=0)]
    for one in files:
        race_one = _Race(one, plan, racing if one.reads in sizes else [], say)
        parity += race_one.compare()
        rows += race_one.measure()
    largest = max(files, key=lambda one: one.reads)
    if plan.startup:
        rows += _startup(largest.folder, plan, say)
    if plan.sweep:
        rows += _sweep(largest, plan, say)
    say("kernels alone")
    figures[KERNELS] = kernel_ns(largest, inputs.unpacked(largest), plan.rounds)
    figures |= {f"bytes, {one.reads} reads": one.reads_file.stat().st_size for one in files}
    settings = {**settings, "rounds": plan.rounds, "bins": files[0].cells}
    return Results.here_and_now(
        "featurize", command, packages, settings=settings, rows=rows, parity=parity, missing=missing, figures=figures
    )


class _Race:
    """One file of reads: what runs on it, and what came out."""

    def __init__(self, one: Inputs, plan: Plan, racing: Sequence[Contestant], say: Say) -> None:
        self._inputs, self._plan, self._racing, self._say = one, plan, racing, say
        self._bins = inputs.write_bins(one, plan.some, plan.few)
        self._track = Track(one, self._bins, plan.peer_python, max(plan.threads), plan.full_reference)
        self._steps = list(dict.fromkeys(step for contestant in racing for step in contestant.steps))
        self._forms: dict[str, Path] = {SORTED: one.reads_file}

    def compare(self) -> list[Parity]:
        """Run everything once and compare all counts with the engine's; the reference path comes first."""
        self._say(f"{self._inputs.reads:,} reads: every contestant once, to compare counts")
        ours = count_reads(self._inputs.reads_file, self._inputs.windows, max(self._plan.threads))
        expected = ours.astype(np.int64).ravel()
        found = []
        done: set[str] = set()
        for contestant in self._racing:
            for step in contestant.steps:
                if step not in done:
                    self._say(f"  {step}")
                    self._track.run(step)
                    done.add(step)
            counts = self._track.counts(contestant)
            found.append(_compared(contestant.name, counts, expected, self._inputs.reads, contestant.reason))
        self._say("  the engine, other forms of the same reads")
        self._forms |= {"shuffled gzip": inputs.shuffled(self._inputs), "bgzip": inputs.bgzipped(self._inputs)}
        if "samtools index" in done:
            self._forms["BAM"] = inputs.as_bam(self._inputs, self._track.sorted_bam())
        saved = self._inputs.folder / "engine.npy"
        for name, task in self._engine(saved).items():
            task()
            found.append(_compared(name, np.load(saved).astype(np.int64).ravel(), expected, self._inputs.reads))
        self._featurize(max(self._plan.threads))
        (written,) = (self._inputs.folder / "features").glob("*.parquet")
        counts = read_features(written).counts[:, :, 0].astype(np.int64).ravel()
        found.append(_compared("dc featurize", counts, expected, self._inputs.reads))
        return found

    def measure(self) -> list[Row]:
        """Take the times."""
        one, plan = self._inputs, self._plan
        floors: dict[str, Task] = {
            name: partial(run, [*words, f"if={one.reads_file}" if words[0] == "dd" else str(one.reads_file)])
            for name, words in _FLOORS.items()
            if shutil.which(words[0])
        }
        groups: dict[str, dict[str, Task]] = {
            "floor": floors,
            "engine": self._engine(),
            "process": {f"dc featurize, {_threads(n)}": partial(self._featurize, n) for n in plan.threads},
            "step": {step: partial(self._track.run, step) for step in self._steps},
            "one gene": {
                step: partial(self._track.run_for_one_gene, step)
                for step in self._steps
                if self._track.scale(step) != 1
            },
        }
        self._say(f"{one.reads:,} reads: {plan.rounds} rounds of {sum(map(len, groups.values()))} tasks in turn")
        tasks = {(group, name): task for group, members in groups.items() for name, task in members.items()}
        usages = in_turns(tasks, plan.rounds, plan.budget)
        copied = min(one.text_bytes, _LARGEST_COPY)
        copy = copy_seconds(copied) * one.text_bytes / copied
        rows = [Row("floor", "copy the text in memory (numpy)", one.reads, [copy], [copy], [0.0])]
        for (group, name), runs in usages.items():
            if group == "step" and ("one gene", name) in usages:
                rows.append(_extrapolated(name, one.reads, runs, usages["one gene", name], self._track.scale(name)))
            elif group != "one gene":
                rows.append(Row.of(group, name, one.reads, runs))
        steps = {row.name: row for row in rows if row.group == "step"}
        for contestant in self._racing:
            group = "reference" if contestant is contestants.REFERENCE else "peer"
            rows.append(_sum(group, contestant.name, [steps[step] for step in contestant.steps]))
        # The only step of a contestant is the contestant.
        parts = {step for contestant in self._racing if len(contestant.steps) > 1 for step in contestant.steps}
        return [row for row in rows if row.group != "step" or row.name in parts]

    def _engine(self, counts: Path | None = None) -> dict[str, Task]:
        """Return the calls of the engine, in every form of the reads and with every number of threads."""
        tasks: dict[str, Task] = {}
        for form, path in self._forms.items():
            for n in self._plan.threads:
                tasks[f"engine, {form}, {_threads(n)}"] = partial(self._call, path, n, counts)
        return tasks

    def _call(self, path: Path, threads: int, counts: Path | None) -> Usage:
        return timed([call_of(self._inputs, path, threads)], 1, counts)[0][0]

    def _featurize(self, threads: int) -> Usage:
        one = self._inputs
        given = ["--genes", str(one.genes), "--genome", one.genome, "--out", str(one.folder / "features"), "--force"]
        command = [sys.executable, "-m", "deepchrome", "featurize", str(one.reads_file), *given]
        return run([*command, "--threads", str(threads)])


def _compared(name: str, counts: Counts, expected: Counts, reads: int, reason: str = "") -> Parity:
    asked = counts >= 0
    different = np.flatnonzero(asked & (counts != expected))
    if len(different) and not reason:
        cell = int(different[0])
        raise BadDataError(
            f"{name}: {len(different):,} of {int(asked.sum()):,} counts differ from the engine's, first in cell {cell} "
            f"({counts[cell]}, not {expected[cell]}); no time is worth telling before that is settled"
        )
    return Parity(name, int(asked.sum()), len(different), reads, reason)


def _extrapolated(step: str, reads: int, runs: list[Usage], one_gene: list[Usage], scale: float) -> Row:
    """Draw a line through what a part of the bins takes and what those of one gene take, to all bins.

    What the program takes for itself, whatever the bins, is so not multiplied.
    """
    own_wall, own_cpu = median(usage.wall for usage in one_gene), median(usage.cpu for usage in one_gene)
    wall = [own_wall + max(usage.wall - own_wall, 0) * scale for usage in runs]
    cpu = [own_cpu + max(usage.cpu - own_cpu, 0) * scale for usage in runs]
    return Row("step", step, reads, wall, cpu, [usage.rss_mib for usage in runs], scale)


def _sum(group: str, name: str, steps: Sequence[Row]) -> Row:
    """Add up steps, the i-th run of each, as far as all have been run."""
    runs = min(len(step.wall) for step in steps)
    return Row(
        group,
        name,
        steps[0].work,
        [sum(step.wall[i] for step in steps) for i in range(runs)],
        [sum(step.cpu[i] for step in steps) for i in range(runs)],
        [max(step.rss_mib[i] for step in steps) for i in range(runs)],
        max(step.scale for step in steps),
    )


def _threads(n: int) -> str:
    return "1 thread" if n == 1 else f"{n} threads"


def _startup(folder: Path, plan: Plan, say: Say) -> list[Row]:
    """Time what no read is counted in: dc --help, the kernels from the cache, the first run ever."""
    say("start-up")
    kernels = [sys.executable, "-c", "from deepchrome.cli.startup import load_kernels; load_kernels()"]
    tasks: dict[str, Task] = {
        "dc --help": partial(run, [sys.executable, "-m", "deepchrome", "--help"]),
        LOADING: partial(run, kernels),
        COMPILING: partial(compile_seconds, folder),
    }
    for name in ("dc --help", LOADING):
        tasks[name]()
    return [Row.of("start-up", name, 0, runs) for name, runs in in_turns(tasks, plan.rounds, plan.budget).items()]


def _sweep(one: Inputs, plan: Plan, say: Say) -> list[Row]:
    """Time the engine as one of reads, windows and bin size changes; all calls in one process, in turn."""
    say("cost against reads, windows and bin size")
    base = call_of(one, one.reads_file, max(plan.threads))
    genes = len(one.windows.genes)
    calls = {
        f"{part:,} windows": replace(base, genes=part) for part in (max(genes // 100, 1), max(genes // 10, 1), genes)
    }
    calls |= {f"bins of {bp} bp": replace(base, bin_size=bp) for bp in (10, 25, 50, 200, 1000)}
    # One process has one peak of memory, which says nothing of one call.
    usages = [[replace(usage, rss_mib=0.0) for usage in runs] for runs in timed(list(calls.values()), plan.rounds)]
    return [Row.of("sweep", name, one.reads, runs) for name, runs in zip(calls, usages, strict=True)]
