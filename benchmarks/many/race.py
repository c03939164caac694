"""``dc bench many``: many files at a time, on one core and on several, and what all of Roadmap would take."""

import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from deepchrome.benchmarks.common.processes import Usage, in_turns, run
from deepchrome.benchmarks.common.results import Parity, Results, Row, Say
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.features.store import read_features
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.errors import BadDataError, UsageError

# Roadmap's consolidated reads of the five core marks in 127 epigenomes.
REMC_FILES: Final = 635
REMC_READS: Final = 19_000_000_000
REMC_BYTES: Final = 150_000_000_000
PROJECTED_CORES: Final = (2, 16, 64)


def many(
    folder: Path, epigenomes: int, reads: int, genes: int, cores: list[int], rounds: int, command: str, say: Say
) -> Results:
    """Count epigenomes x 5 files on one core, then on all of ``cores``, and compare the counts.

    Parameters
    ----------
    folder
        For all files; what an earlier call simulated there is taken as it is.
    epigenomes, reads, genes
        Reads are of each of the five files of an epigenome.
    cores
        Numbers of the cores to use, as the system counts them; the first is the one core.
    rounds
        Turns of each.
    command
        For the record.
    say
        Told how it goes.

    Raises
    ------
    UsageError
        Fewer than two cores.
    BadDataError
        Some counts are not those of a file counted alone.
    """
    if len(cores) < 2:
        raise UsageError("one core only: many files at a time need two")
    data = folder / f"{epigenomes}-epigenomes-{reads}-reads-{genes}-genes"
    if not data.exists():
        say(f"simulating {epigenomes} x 5 files of {reads:,} reads")
        simulate(data, epigenomes=epigenomes, genes=genes, reads=reads)
    files = sorted(data.glob("*.tagAlign.gz"))
    smallest = folder / "one-file"
    if not smallest.exists():
        simulate(smallest, epigenomes=1, genes=genes, reads=1000, marks=["H3K4me3"])

    def featurize(source: Path, out: str, on: list[int]) -> Usage:
        n = str(len(on))
        given = ["--genes", str(data / "genes.tsv"), "--genome", "hg19", "--out", str(folder / out), "--force"]
        call = [sys.executable, "-m", "deepchrome", "featurize", str(source), *given, "-j", n, "-t", n]
        return run(call, cores=on)

    tasks = {
        "one core": partial(featurize, data, "one", cores[:1]),
        f"{len(cores)} cores": partial(featurize, data, "all", cores),
        "start-up, one core": partial(featurize, smallest, "start", cores[:1]),
        f"start-up, {len(cores)} cores": partial(featurize, smallest, "start", cores),
    }
    say("each once, to compare counts")
    for task in tasks.values():
        task()
    parity = [alone(files, data, folder / out, out) for out in ("one", "all")]
    say(f"{rounds} rounds in turn")
    usages = in_turns(tasks, rounds)
    total = len(files) * reads
    rows = [Row.of("many", name, 0 if name.startswith("start-up") else total, runs) for name, runs in usages.items()]
    one, several, start_one, start_several = (row.seconds for row in rows)
    figures = figures_of(one, several, start_one, start_several, len(cores), total)
    settings = {
        "epigenomes": epigenomes,
        "files": len(files),
        "reads": reads,
        "genes": genes,
        "bins": genes * 100,
        "cores": len(cores),
        "rounds": rounds,
    }
    return Results.here_and_now("many", command, {}, settings=settings, rows=rows, parity=parity, figures=figures)


def alone(files: list[Path], data: Path, features: Path, name: str) -> Parity:
    """Compare the features with what each file gives when it is counted by itself, in one thread."""
    windows = tss_windows(read_genes(data / "genes.tsv"), read_genome("hg19"))
    cells = different = reads = 0
    for file in files:
        epigenome, mark = file.name.removesuffix(".tagAlign.gz").split("-")
        stored = read_features(features / f"{epigenome}.parquet", [mark]).counts[:, :, 0]
        tally = tally_reads(file, windows)
        by_itself = tally.counts
        reads += tally.reads
        cells += by_itself.size
        different += int(np.count_nonzero(stored != by_itself))
    if different:
        raise BadDataError(f"{features}: {different:,} of {cells:,} counts are not those of a file counted by itself")
    return Parity(f"{len(files)} files, {'one core' if name == 'one' else 'all cores'}", cells, different, reads)


def figures_of(
    one: float, several: float, start_one: float, start_several: float, cores: int, total: int
) -> dict[str, Any]:
    """Return rates, with and without the start of the process, and what they come to on Roadmap's files.

    Parameters
    ----------
    one, several
        Seconds that ``total`` reads take on one core, and on ``cores``.
    start_one, start_several
        Seconds of these that starting takes.
    cores, total
        Cores; reads.
    """
    figures: dict[str, Any] = {
        "reads_per_second_one_core": total / one,
        f"reads_per_second_{cores}_cores": total / several,
        "efficiency": one / several / cores,
    }
    if one < 2 * start_one or several < 2 * start_several:
        return figures | {"remc": "no projection: starting took most of the time, give more reads"}
    net_one, net_several = total / (one - start_one), total / (several - start_several)
    efficiency = net_several / net_one / cores
    figures |= {
        "reads_per_second_one_core_without_start": net_one,
        f"reads_per_second_{cores}_cores_without_start": net_several,
        "efficiency_without_start": efficiency,
        "remc": "one core's rate x cores x efficiency, both without start",
    }
    for n in PROJECTED_CORES:
        taken = REMC_READS / (net_one * n * min(efficiency, 1.0))
        figures[f"remc_minutes_{n}_cores"] = taken / 60
        figures[f"remc_mb_per_second_{n}_cores"] = REMC_BYTES / taken / 1e6
    return figures
