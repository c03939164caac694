"""The command ``dc bench count``."""

import sys
from typing import TYPE_CHECKING, Annotated, Final, cast

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
    require_numbers,
)
from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from deepchrome.benchmarks.count.inputs import SetName

_SETS: Final = ("windows", "tss-bins", "peaks", "bins")
_QUICK_READS, _QUICK_GENES = 20_000, 200


def count(
    reads: Annotated[int, typer.Option(min=1000, help="Number of reads to simulate.")] = 10_000_000,
    genes: Annotated[int, typer.Option(min=1, help="Number of genes to simulate.")] = 19_802,
    sets: Annotated[
        str,
        typer.Option(
            help="Regions, separated by commas: windows of genes, tss-bins (the bins of these windows), peaks, and "
            "bins of the genome."
        ),
    ] = ",".join(_SETS),
    peaks: Annotated[int, typer.Option(min=1, help="Number of peaks.")] = 200_000,
    bin_bp: Annotated[int, typer.Option("--bin-size", min=100, help="Width of bins of the genome (bp).")] = 1000,
    rounds: RoundsOption = 5,
    budget: Annotated[float, typer.Option(help="Stop repeating a task after this many seconds.")] = 10.0,
    sample: Annotated[
        int,
        typer.Option(
            min=3, help="Number of regions that bedtools multicov and samtools bedcov get. Their time is scaled to all."
        ),
    ] = 20_000,
    full_reference: Annotated[
        bool, typer.Option("--full-reference", help="Give multicov and bedcov all regions. Takes many minutes.")
    ] = False,
    threads: Annotated[
        str, typer.Option("--threads", "-t", help="Numbers of threads for dc count, separated by commas.")
    ] = "1,2",
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out programs with this word in their name; repeatable.")
    ] = None,
    peer_python: Annotated[
        str,
        typer.Option(
            envvar="DEEPCHROME_PEER_PYTHON",
            help="Python interpreter that has deeptools and polars-bio.",
            show_default="this one",
        ),
    ] = sys.executable,
    quick: QuickOption = False,
    data: DataOption = None,
    save: SaveOption = None,
    as_json: BenchJsonOption = False,
) -> None:
    """Time dc count, bedtools and other programs in the same regions.

    The counts of bedtools must be equal. The other programs may count otherwise; the
    table shows in how many regions they do. Every program starts from the same BAM
    file or the same tagAlign file.
    """
    from deepchrome.benchmarks.count.measure import Settings, measure, quick_settings
    from deepchrome.benchmarks.featurize.inputs import simulate_inputs

    chosen = tuple(dict.fromkeys(sets.split(",")))
    if unknown := [name for name in chosen if name not in _SETS]:
        raise UsageError(f"--sets must be some of {', '.join(_SETS)}, got {unknown[0]!r}")
    settings = Settings(
        sets=cast("tuple[SetName, ...]", chosen),
        peaks=peaks,
        bin_bp=bin_bp,
        rounds=rounds,
        budget=budget,
        sample=sample,
        full_reference=full_reference,
        threads=require_numbers("--threads", threads),
        without=tuple(without or ()),
        peer_python=peer_python,
    )
    # The results record this command.
    command = ["dc bench count", "--quick" if quick else f"--reads {reads} --genes {genes} --rounds {rounds}"]
    command += [] if chosen == _SETS else [f"--sets {sets}"]
    command += ["--full-reference"] if full_reference else []
    if quick:
        settings, reads, genes = quick_settings(settings), _QUICK_READS, _QUICK_GENES
    log = Log()
    with data_folder(data) as folder:
        log(f"simulating {reads:,} reads")
        results = measure(simulate_inputs(folder, reads, genes), settings, " ".join(command), log)
    output_results(results, log, save, as_json)
