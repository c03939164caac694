"""The command ``dc simulate``."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def simulate(
    out: Annotated[Path, typer.Option(help="Directory for the reads, genes.tsv, expression.tsv and truth/.")],
    epigenomes: Annotated[int, typer.Option(help="How many, named E001, E002, E130, ...")] = 2,
    genes: Annotated[int, typer.Option(help="How many, on hg19.")] = 600,
    reads: Annotated[int, typer.Option(help="Reads in each file, exactly.")] = 200_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    marks: Annotated[
        str, typer.Option(help="Some of the five, separated by commas.")
    ] = "H3K27me3,H3K36me3,H3K4me1,H3K4me3,H3K9me3",
    shuffle: Annotated[bool, typer.Option("--shuffle", help="The same reads in random order.")] = False,
    container: Annotated[Literal["gzip", "bgzip", "plain"], typer.Option("--format", help="Of the reads.")] = "gzip",
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier simulation in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON.")] = False,
) -> None:
    """Simulate reads, genes and expression, with the truth beside them (docs/simulation.md)."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    from deepchrome.engine.simulation.simulate import simulate as write_simulation

    names = marks.split(",")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Simulating", total=epigenomes * len(names))
        done = write_simulation(
            out,
            epigenomes=epigenomes,
            genes=genes,
            reads=reads,
            seed=seed,
            marks=names,
            shuffle=shuffle,
            container=container,
            force=force,
            on_file=lambda name: progress.update(task, advance=1, description=name),
        )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in done], indent=1))
    else:
        typer.echo((out / "truth" / "summary.tsv").read_text(encoding="utf-8"), nl=False)
    typer.echo(f"{out}: {epigenomes * len(names)} files of {reads} reads, genes.tsv, expression.tsv, truth/", err=True)
