"""The command ``dc bench featurize``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    pass
from deepchrome.cli.bench.common import (
    DATA,
    JSON,
    QUICK_RUN,
    SAVE,
    Log,
    data_folder,
    finish,
    parse_numbers,
    refuse_numbers,
)


def featurize(
    reads: Annotated[
        str, typer.Option(help="How many to simulate, one number or several with commas; or a tagAlign.gz or BED.gz.")
    ] = "1000000,10000000",
    genes: Annotated[str, typer.Option(help="How many to simulate; or a gene table, for reads from a file.")] = "19802",
    genome: Annotated[str, typer.Option(help="hg19, hg38, or a chrom.sizes file; for reads from a file.")] = "hg19",
    rounds: Annotated[int, typer.Option(min=1, help="Turns that every task gets.")] = 5,
    budget: Annotated[float, typer.Option(help="Seconds after which a task sits later turns out.")] = 10.0,
    some: Annotated[int, typer.Option(min=1, help="Genes whose bins multicov is given; its time is scaled.")] = 400,
    full_reference: Annotated[
        bool, typer.Option("--full-reference", help="Give multicov all bins: minutes, at 10 million reads.")
    ] = False,
    threads: Annotated[str, typer.Option("--threads", "-t", help="Of the engine; several with commas.")] = "1,2",
    peers_at: Annotated[
        str | None,
        typer.Option(
            help="Numbers of reads, with commas, at which the reference path and the other programs run too.",
            show_default="the largest up to 10000000",
        ),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out whoever has this word in its name; repeatable.")
    ] = None,
    peer_python: Annotated[
        str,
        typer.Option(
            envvar="DEEPCHROME_PEER_PYTHON",
            help="The Python that has deeptools, polars-bio, pyranges1.",
            show_default="this one",
        ),
    ] = sys.executable,
    quick: Annotated[bool, QUICK_RUN] = False,
    data: Annotated[Path | None, DATA] = None,
    save: Annotated[Path | None, SAVE] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Race the engine with the reference path (bedtools multicov), other programs, and igzip, the floor."""
    from dataclasses import replace

    from deepchrome.benchmarks.featurize import inputs
    from deepchrome.benchmarks.featurize.race import QUICK, Plan, race

    sizes = parse_numbers(reads)
    peers = parse_numbers(peers_at) or refuse_numbers("--peers-at", peers_at) if peers_at else ()
    if sizes and not genes.isdigit():
        raise UsageError(f"--genes {genes}: reads that are simulated need a number of genes")
    if not sizes and genes.isdigit():
        raise UsageError("--reads FILE goes with --genes FILE")
    plan = Plan(
        rounds=rounds,
        budget=budget,
        some=some,
        full_reference=full_reference,
        threads=parse_numbers(threads) or refuse_numbers("--threads", threads),
        peers_at=peers,
        without=tuple(without or ()),
        peer_python=peer_python,
    )
    if quick:
        few = {name: getattr(QUICK, name) for name in ("rounds", "some", "few", "threads", "startup")}
        plan = replace(plan, **few)
        sizes, genes = ((20_000,), "200") if sizes else ((), genes)
    words = ["dc bench featurize", "--quick"] if quick else ["dc bench featurize", f"--rounds {rounds}"]
    if not sizes:
        words.append(f"--reads {Path(reads).name} --genes {Path(genes).name} --genome {Path(genome).name}")
    elif not quick:
        words.append(f"--reads {reads} --genes {genes}")
    words += [f"--peers-at {peers_at}"] if peers_at else []
    words += ["--full-reference"] if full_reference else []
    log = Log()
    with data_folder(data) as folder:
        if sizes:
            files = []
            for size in sizes:
                log(f"simulating {size:,} reads")
                files.append(inputs.simulated(folder, size, int(genes)))
        else:
            files = [inputs.given(folder, Path(reads), Path(genes), genome)]
            plan = replace(plan, peers_at=(files[0].reads,))
        settings = {"reads": [one.reads for one in files], "genes": len(files[0].windows.genes)}
        results = race(files, plan, " ".join(words), settings, log)
    finish(results, log, save, as_json)
