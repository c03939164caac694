"""The commands ``dc bench ...``: parity first, then speed."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepchrome.errors import BadDataError, UsageError

if TYPE_CHECKING:
    from deepchrome.benchmarks.common.results import Results

bench = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Measure: counts compared first, then times, beside the floors and what else one could use.",
)
_DATA = typer.Option("--data", help="Keep what is simulated here, or use what is; default: made anew, then removed.")
_SAVE = typer.Option("--save", help="Keep results, log and plot in a directory of their own in this one.")
_JSON = typer.Option("--json", help="The results as JSON on stdout, instead of tables.")
_QUICK = typer.Option("--quick", help="A small run, to see that everything works; its times mean nothing.")
RESULTS = Path("benchmarks/results")
TEXTS = [Path("README.md"), Path("docs/scale.md")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(bench, name="bench")


class _Log:
    """What is told on the way: to stderr, and kept for the log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        typer.echo(f"dc bench: {line}", err=True)


@bench.command("featurize")
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
    quick: Annotated[bool, _QUICK] = False,
    data: Annotated[Path | None, _DATA] = None,
    save: Annotated[Path | None, _SAVE] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Race the engine with the reference path (bedtools multicov), other programs, and igzip, the floor."""
    from dataclasses import replace

    from deepchrome.benchmarks.featurize import inputs
    from deepchrome.benchmarks.featurize.race import QUICK, Plan, race

    sizes = _numbers(reads)
    peers = _numbers(peers_at) or _refuse("--peers-at", peers_at) if peers_at else ()
    if sizes and not genes.isdigit():
        raise UsageError(f"--genes {genes}: reads that are simulated need a number of genes")
    if not sizes and genes.isdigit():
        raise UsageError("--reads FILE goes with --genes FILE")
    plan = Plan(
        rounds=rounds,
        budget=budget,
        some=some,
        full_reference=full_reference,
        threads=_numbers(threads) or _refuse("--threads", threads),
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
    log = _Log()
    with _folder(data) as folder:
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
    _finish(results, log, save, as_json)


@bench.command("train")
def train(
    models: Annotated[str, typer.Option(help="How many side by side; several with commas.")] = "1,8,56",
    genes: Annotated[int, typer.Option(min=16, help="Training genes a model, and as many to validate on.")] = 6601,
    epochs: Annotated[int, typer.Option(min=1, help="Of each turn, on the CPU.")] = 2,
    gpu_epochs: Annotated[int, typer.Option(min=1, help="On a GPU, if there is one.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each side.")] = 3,
    plain_models: Annotated[
        int, typer.Option(min=1, help="Models that the plain loop trains in a turn; its time is scaled to all.")
    ] = 4,
    batch_size: Annotated[int, typer.Option(min=1, help="Genes a step.")] = 64,
    precision: Annotated[
        Literal["auto", "fp32", "tf32", "bf16"], typer.Option(help="Of matrix products, in lockstep.")
    ] = "auto",
    share: Annotated[
        float, typer.Option(help="Time to a validation AUROC of 0.5 and this share of the way to the best there is.")
    ] = 0.95,
    quick: Annotated[bool, _QUICK] = False,
    save: Annotated[Path | None, _SAVE] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Race many models in lockstep with a plain PyTorch loop, beside what the processor could do."""
    from deepchrome.benchmarks.train.race import QUICK, Plan, race
    from deepchrome.train.fitting.config import FitConfig

    if not 0 < share < 1:
        raise UsageError(f"--share {share}: between 0 and 1")
    numbers = _numbers(models) or _refuse("--models", models)
    plan = Plan(numbers, genes, epochs, gpu_epochs, rounds, plain_models, share)
    words = f"dc bench train --models {models} --genes {genes} --epochs {epochs} --rounds {rounds}"
    words += f" --batch-size {batch_size} --precision {precision}"
    if quick:
        plan, words = QUICK, "dc bench train --quick"
    log = _Log()
    config = FitConfig(batch_size=batch_size, precision=precision)
    _finish(race(plan, config, words, log), log, save, as_json)


@bench.command("many")
def many(
    epigenomes: Annotated[int, typer.Option(min=1, help="Of five marks each.")] = 8,
    reads: Annotated[int, typer.Option(min=1000, help="In each file.")] = 1_000_000,
    genes: Annotated[int, typer.Option(min=1, help="Windows to count in.")] = 19_802,
    cores: Annotated[int | None, typer.Option(min=2, help="To use at most.", show_default="all usable")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 3,
    quick: Annotated[bool, _QUICK] = False,
    data: Annotated[Path | None, _DATA] = None,
    save: Annotated[Path | None, _SAVE] = None,
    as_json: Annotated[bool, _JSON] = False,
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
    log = _Log()
    with _folder(data) as folder:
        results = run(folder, epigenomes, reads, genes, usable, rounds, words, log)
    _finish(results, log, save, as_json)


@bench.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(help="Results: a JSON file, or the directory that --save made.")],
    second: Annotated[Path, typer.Argument(help="Results to hold against them.")],
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 65 if a row fell behind.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Compare two results row by row; a row is slower if each median lies outside the other's range."""
    import json
    from dataclasses import asdict

    from deepchrome.benchmarks.common.results import compare as run
    from deepchrome.benchmarks.common.results import read_results
    from deepchrome.benchmarks.common.show import comparison

    one, other = read_results(first), read_results(second)
    rows = run(one, other)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        _print([comparison(rows)])
    if one.machine != other.machine:
        typer.echo("dc bench: not measured on the same machine: the ratios say little", err=True)
    slower = [row.name for row in rows if row.verdict == "slower"]
    if slower and fail:
        raise BadDataError(f"{second}: {len(slower)} of {len(rows)} rows fell behind: {', '.join(slower[:5])}")


@bench.command("readme")
def readme(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 65 if it is out of date.")] = False,
    results: Annotated[Path, typer.Option(help="Where --save put them.")] = RESULTS,
    files: Annotated[
        list[Path] | None,
        typer.Option("--readme", help="A text with markers.", show_default="README.md and docs/scale.md"),
    ] = None,
) -> None:
    """Write the newest saved results between the markers in README.md and docs/scale.md."""
    from deepchrome.benchmarks.maintain.readme import update

    for file in files or TEXTS:
        changed = update(file, results, write=not check)
        if changed and check:
            raise BadDataError(
                f"{file}: {', '.join(changed)} not as the newest results in {results} say; run dc bench readme"
            )
        for part in changed:
            typer.echo(f"dc bench: {file}: {part} written anew", err=True)


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers in ``1,2,3``; none if it is something else."""
    parts = text.split(",")
    return tuple(int(part) for part in parts) if all(part.isdigit() and int(part) > 0 for part in parts) else ()


def _refuse(option: str, text: str) -> tuple[int, ...]:
    raise UsageError(f"{option} {text}: not whole numbers above 0, separated by commas")


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    import tempfile

    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as made:
        yield Path(made)


def _finish(results: "Results", log: _Log, save: Path | None, as_json: bool) -> None:
    """Print, and keep what is to be kept."""
    import io
    import json

    from deepchrome.benchmarks.common.show import plot, tables

    if results.changed:
        log(f"the code has changed since commit {results.commit}")
    if as_json:
        typer.echo(json.dumps(results.document(), indent=1))
    else:
        _print(tables(results))
    if save:
        from rich.console import Console

        place = results.save(save)
        text = Console(file=io.StringIO(), width=160)
        for table in tables(results):
            text.print(table)
        lines = [f"{results.command}\n{results.when}", *log.lines, text.file.getvalue()]  # type: ignore[attr-defined]
        (place / f"{results.kind}.log").write_text("\n".join(lines), encoding="utf-8")
        if results.kind == "featurize":
            try:
                plot(results, place)
            except UsageError as error:
                log(f"no plot: {error}")
        typer.echo(f"dc bench: {place}", err=True)


def _print(shown: Iterable[object]) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160)
    for table in shown:
        console.print(table)
