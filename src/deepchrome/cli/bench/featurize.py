"""The command ``dc bench featurize``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    parse_numbers,
    require_numbers,
)
from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from deepchrome.benchmarks.featurize.inputs import Inputs

_QUICK_READS, _QUICK_GENES = 20_000, 200


def featurize(
    reads: Annotated[
        str, typer.Option(help="Numbers of reads to simulate, separated by commas; or a tagAlign.gz or BED.gz file.")
    ] = "1000000,10000000",
    genes: Annotated[
        str, typer.Option(help="Number of genes to simulate; or a gene table, if --reads is a file.")
    ] = "19802",
    genome: Annotated[str, typer.Option(help="Genome, if --reads is a file: a name, or a chrom.sizes file.")] = "hg19",
    rounds: RoundsOption = 5,
    budget: Annotated[float, typer.Option(help="Stop repeating a task after this many seconds.")] = 10.0,
    multicov_genes: Annotated[
        int, typer.Option(min=1, help="Number of genes that bedtools multicov counts. Its time is scaled to all genes.")
    ] = 400,
    full_reference: Annotated[
        bool,
        typer.Option("--full-reference", help="Let multicov count all genes. Takes minutes with 10 million reads."),
    ] = False,
    threads: Annotated[
        str, typer.Option("--threads", "-t", help="Numbers of threads for the engine, separated by commas.")
    ] = "1,2",
    peers_at: Annotated[
        str | None,
        typer.Option(
            help="Numbers of reads at which to run the other programs, separated by commas.",
            show_default="the largest up to 10000000",
        ),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out programs with this word in their name; repeatable.")
    ] = None,
    peer_python: Annotated[
        str,
        typer.Option(
            envvar="DEEPCHROME_PEER_PYTHON",
            help="Python interpreter that has deeptools, polars-bio and pyranges1.",
            show_default="this one",
        ),
    ] = sys.executable,
    quick: QuickOption = False,
    data: DataOption = None,
    save: SaveOption = None,
    as_json: BenchJsonOption = False,
) -> None:
    """Time the engine, bedtools and other programs on the same reads.

    The counts of all programs are compared first. igzip, which only decompresses the file, shows the lower bound.
    """
    from deepchrome.benchmarks.featurize.measure import Settings, measure, quick_settings

    sizes = parse_numbers(reads)
    if sizes and not genes.isdecimal():
        raise UsageError(f"--genes must be a number if reads are simulated, got {genes}")
    if not sizes and genes.isdecimal():
        raise UsageError("--reads FILE needs --genes FILE")
    settings = Settings(
        rounds=rounds,
        budget=budget,
        multicov_genes=multicov_genes,
        full_reference=full_reference,
        threads=require_numbers("--threads", threads),
        peers_at=require_numbers("--peers-at", peers_at) if peers_at else (),
        without=tuple(without or ()),
        peer_python=peer_python,
    )
    # The results record this command.
    command = ["dc bench featurize", "--quick" if quick else f"--rounds {rounds}"]
    if not sizes:
        command.append(f"--reads {Path(reads).name} --genes {Path(genes).name} --genome {Path(genome).name}")
    elif not quick:
        command.append(f"--reads {reads} --genes {genes}")
    command += [f"--peers-at {peers_at}"] if peers_at else []
    command += ["--full-reference"] if full_reference else []
    if quick:
        settings = quick_settings(settings)
        if sizes:
            sizes, genes = (_QUICK_READS,), str(_QUICK_GENES)
    log = Log()
    with data_folder(data) as folder:
        files = _prepare_inputs(folder, sizes, reads, genes, genome, log)
        results = measure(files, settings, " ".join(command), log)
    output_results(results, log, save, as_json)


def _prepare_inputs(
    folder: Path, sizes: tuple[int, ...], reads: str, genes: str, genome: str, log: Log
) -> "list[Inputs]":
    """Simulate one file per number of reads in ``sizes``, or use the file ``reads`` if there are no sizes."""
    from deepchrome.benchmarks.featurize.inputs import link_inputs, simulate_inputs

    if not sizes:
        return [link_inputs(folder, Path(reads), Path(genes), genome)]
    files = []
    for size in sizes:
        log(f"simulating {size:,} reads")
        files.append(simulate_inputs(folder, size, int(genes)))
    return files
