"""The command ``dc bench many``."""

import os
from typing import Annotated

import typer

from deepchrome.cli.bench.common import (
    BenchJsonOption,
    DataOption,
    Log,
    QuickOption,
    RoundsOption,
    SaveOption,
    data_folder,
    output_results,
)
from deepchrome.errors import UsageError


def many(
    epigenomes: Annotated[int, typer.Option(min=1, help="Number of epigenomes, with five marks each.")] = 2,
    reads: Annotated[
        int, typer.Option(min=1000, help="Number of reads per file. The default is the size of Roadmap's files.")
    ] = 30_000_000,
    genes: Annotated[int, typer.Option(min=1, help="Number of genes.")] = 19_802,
    cores: Annotated[
        int | None, typer.Option(min=2, help="Number of cores to use.", show_default="all usable cores")
    ] = None,
    rounds: RoundsOption = 3,
    quick: QuickOption = False,
    data: DataOption = None,
    save: SaveOption = None,
    as_json: BenchJsonOption = False,
) -> None:
    """Time dc featurize on many files, on one core and on several.

    The result includes an estimate of the time for all of Roadmap. The default
    needs 2 GB for simulated data; --data keeps them for the next run.
    """
    from deepchrome.benchmarks.many.measure import QUICK, Settings, measure

    if not hasattr(os, "sched_getaffinity"):
        raise UsageError("dc bench many needs Linux, which can bind a process to one core")
    settings = Settings(epigenomes, reads, genes, rounds)
    command = f"dc bench many --epigenomes {epigenomes} --reads {reads} --genes {genes} --rounds {rounds}"
    if quick:
        settings, command = QUICK, "dc bench many --quick"
    usable = sorted(os.sched_getaffinity(0))[:cores]
    log = Log()
    with data_folder(data) as folder:
        results = measure(folder, settings, usable, command, log)
    output_results(results, log, save, as_json)
