"""Measure ``dc featurize`` on many files, on one core and on several, and project the time for all of Roadmap."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from deepchrome.benchmarks.common.processes import Usage, run, run_interleaved
from deepchrome.benchmarks.common.results import Parity, Results, Row
from deepchrome.common.progress import OnMessage
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.features.store import read_features
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.errors import BadDataError, UsageError

# Roadmap's consolidated reads of the five core marks in 127 epigenomes: 635 files, 25.8 million reads in a file on
# average. Source: the summary table of Roadmap's Consolidated_EpigenomeIDs, which lists the reads of each file.
REMC_FILES: Final = 635
REMC_READS: Final = 16_388_942_777
REMC_BYTES: Final = 150_000_000_000
PROJECTED_CORES: Final = (2, 16, 64)
# The goals: all of Roadmap on two cores in this time, and this many times the rate of one core.
GOAL_MINUTES: Final = 4.0
GOAL_SPEEDUP: Final = 1.9
_BINS_PER_GENE: Final = 100
_FEATURIZE: Final = (sys.executable, "-m", "deepchrome", "featurize")


@dataclass(frozen=True)
class Settings:
    """Size of the benchmark.

    Attributes
    ----------
    epigenomes
        The number of epigenomes. Each has five files of reads, one per mark.
    reads
        The number of reads per file.
    genes
        The number of genes to count reads for.
    rounds
        The number of runs of each task.
    """

    epigenomes: int = 2
    reads: int = 30_000_000
    genes: int = 19_802
    rounds: int = 3


QUICK = Settings(epigenomes=2, reads=5000, genes=200, rounds=1)


def measure(folder: Path, settings: Settings, cores: list[int], command: str, on_message: OnMessage) -> Results:
    """Count all files on one core, then on several cores; compare the counts with those of each file counted alone.

    Parameters
    ----------
    folder
        The directory for all files. Simulated reads from an earlier call are reused.
    settings
        Size of the benchmark.
    cores
        Ids of the cores to use, as the operating system numbers them. The run on one core uses the first.
    command
        The command line that repeats the run.
    on_message
        Receives progress messages.

    Raises
    ------
    UsageError
        Fewer than two cores are given.
    BadDataError
        Some counts differ from those of the same file counted alone.
    """
    if len(cores) < 2:
        raise UsageError(f"the benchmark needs at least 2 cores, got {len(cores)}")
    epigenomes, reads, genes = settings.epigenomes, settings.reads, settings.genes
    data = folder / f"{epigenomes}-epigenomes-{reads}-reads-{genes}-genes"
    if not data.exists():
        on_message(f"simulating {epigenomes} x 5 files of {reads:,} reads")
        simulate(data, epigenomes=epigenomes, genes=genes, reads=reads)
    small = folder / "one-file"
    if not small.exists():
        simulate(small, epigenomes=1, genes=genes, reads=1000, marks=["H3K4me3"])
    files = sorted(data.glob("*.tagAlign.gz"))

    def featurize(source: Path, out: str, use_cores: list[int]) -> Usage:
        n = str(len(use_cores))
        options = ["--genes", str(data / "genes.tsv"), "--genome", "hg19", "--out", str(folder / out), "--force"]
        return run([*_FEATURIZE, str(source), *options, "-j", n, "-t", n], cores=use_cores)

    tasks = {
        "one core": partial(featurize, data, "one", cores[:1]),
        f"{len(cores)} cores": partial(featurize, data, "all", cores),
        "start-up, one core": partial(featurize, small, "start", cores[:1]),
        f"start-up, {len(cores)} cores": partial(featurize, small, "start", cores),
    }
    on_message("running each task once, to compare counts")
    for task in tasks.values():
        task()
    parity = [
        compare_with_single_files(files, data / "genes.tsv", folder / out, f"{len(files)} files, {name}")
        for out, name in (("one", "one core"), ("all", "all cores"))
    ]
    on_message(f"{settings.rounds} rounds of {len(tasks)} tasks")
    usages = run_interleaved(tasks, settings.rounds)
    total = len(files) * reads
    rows = [
        Row.from_usages("many", name, 0 if name.startswith("start-up") else total, runs)
        for name, runs in usages.items()
    ]
    one, several, start_one, start_several = (row.seconds for row in rows)
    figures = compute_rates(one, several, start_one, start_several, len(cores), total)
    figures |= project_remc(several, start_several, len(cores), total, len(files))
    recorded = {
        "epigenomes": epigenomes,
        "files": len(files),
        "reads": reads,
        "genes": genes,
        "bins": genes * _BINS_PER_GENE,
        "cores": len(cores),
        "rounds": settings.rounds,
    }
    return Results.create("many", command, {}, settings=recorded, rows=rows, parity=parity, figures=figures)


def compare_with_single_files(files: list[Path], genes: Path, features: Path, name: str) -> Parity:
    """Count each file alone, in one thread, and compare the counts with the stored features.

    Parameters
    ----------
    files
        The files of reads.
    genes
        The gene table.
    features
        The directory that ``dc featurize`` wrote.
    name
        The name of this comparison.

    Raises
    ------
    BadDataError
        Some counts differ.
    """
    windows = tss_windows(read_genes(genes), read_genome("hg19"))
    cells = different = reads = 0
    for file in files:
        epigenome, mark = file.name.removesuffix(".tagAlign.gz").split("-")
        stored = read_features(features / f"{epigenome}.parquet", [mark]).counts[:, :, 0]
        tally = tally_reads(file, windows)
        reads += tally.reads
        cells += tally.counts.size
        different += int(np.count_nonzero(stored != tally.counts))
    if different:
        raise BadDataError(f"{features}: {different:,} of {cells:,} counts differ from those of single files")
    return Parity(name, cells, different, reads)


def compute_rates(
    one: float, several: float, start_one: float, start_several: float, cores: int, reads: int
) -> dict[str, float]:
    """Compute rates with and without start-up, and how well they scale.

    Speedup is the rate on several cores divided by that on one core, and efficiency is speedup divided by the number
    of cores. Both include start-up and the time for writing features, unless their name says otherwise.

    Parameters
    ----------
    one, several
        Seconds for all reads on one core, and on ``cores`` cores.
    start_one, start_several
        Seconds for one small file, which are almost all start-up.
    cores, reads
        The number of cores, and of reads.

    Returns
    -------
    dict
        Figures by name. Without start-up they are missing if start-up takes more than half of the time.
    """
    figures = {
        "reads_per_second_one_core": reads / one,
        f"reads_per_second_{cores}_cores": reads / several,
        "speedup": one / several,
        "efficiency": one / several / cores,
    }
    if one < 2 * start_one or several < 2 * start_several:
        return figures
    net_one, net_several = reads / (one - start_one), reads / (several - start_several)
    return figures | {
        "reads_per_second_one_core_without_start": net_one,
        f"reads_per_second_{cores}_cores_without_start": net_several,
        "efficiency_without_start": net_several / net_one / cores,
    }


def project_remc(seconds: float, start: float, cores: int, reads: int, files: int) -> dict[str, Any]:
    """Project the time for all of Roadmap from the measured rate. Start-up is counted once.

    The projection to other numbers of cores assumes the measured rate per core.

    Parameters
    ----------
    seconds
        The measured seconds for all reads.
    start
        Seconds for one small file, which are almost all start-up.
    cores, reads, files
        The number of cores, of reads, and of files.

    Returns
    -------
    dict
        Figures by name. There is no projection from files that are smaller than Roadmap's, because a file has a fixed
        cost.
    """
    if reads / files < REMC_READS / REMC_FILES:
        return {"remc": f"no projection: Roadmap's files have {REMC_READS / REMC_FILES / 1e6:.1f} million reads each"}
    figures: dict[str, Any] = {"remc": "start-up once, and the rate per core without start-up x cores"}
    for n in PROJECTED_CORES:
        projected = start + REMC_READS * (seconds - start) / reads * cores / n
        figures[f"remc_minutes_{n}_cores"] = projected / 60
        figures[f"remc_mb_per_second_{n}_cores"] = REMC_BYTES / projected / 1e6
    return figures
