"""The command ``dc bench many``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    pass
from deepchrome.cli.bench.common import DATA, JSON, QUICK_RUN, SAVE, Log, data_folder, finish


def many(
    epigenomes: Annotated[int, typer.Option(min=1, help="Of five marks each.")] = 8,
    reads: Annotated[int, typer.Option(min=1000, help="In each file.")] = 1_000_000,
    genes: Annotated[int, typer.Option(min=1, help="Windows to count in.")] = 19_802,
    cores: Annotated[int | None, typer.Option(min=2, help="To use at most.", show_default="all usable")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 3,
    quick: Annotated[bool, QUICK_RUN] = False,
    data: Annotated[Path | None, DATA] = None,
    save: Annotated[Path | None, SAVE] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Count many files on one core and on several: reads a second, efficiency, and all of Roadmap from that."""
    import os

    from deepchrome.benchmarks.many.race import many as run

    if not hasattr(os, "sched_getaffinity"):
        raise UsageError("only Linux can pin a process to one core")
    words = f"dc bench many --epigenomes {epigenomes} --reads {reads} --genes {genes} --rounds {rounds}"
    if quick:
        epigenomes, reads, genes, rounds, words = 2, 5000, 200, 1, "dc bench many --quick"
    usable = sorted(os.sched_getaffinity(0))[:cores]
    log = Log()
    with data_folder(data) as folder:
        results = run(folder, epigenomes, reads, genes, usable, rounds, words, log)
    finish(results, log, save, as_json)
