"""The command ``dc simulate``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import ForceOption, JsonOption, SeedOption
from deepchrome.cli.progress import progress_bars
from deepchrome.cli.tables import print_json


def simulate(
    out: Annotated[Path, typer.Option(help="Directory for reads, genes.tsv, expression.tsv and truth/.")],
    epigenomes: Annotated[int, typer.Option(help="Number of epigenomes, named E001, E002, E130 and so on.")] = 2,
    genes: Annotated[int, typer.Option(help="Number of genes, on hg19.")] = 600,
    reads: Annotated[int, typer.Option(help="Number of reads in each file.")] = 200_000,
    seed: SeedOption = 1,
    marks: Annotated[
        str, typer.Option(help="Marks to simulate, separated by commas: any of the five core marks.")
    ] = "H3K27me3,H3K36me3,H3K4me1,H3K4me3,H3K9me3",
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Write the reads in random order instead of genome order.")
    ] = False,
    container: Annotated[
        Literal["gzip", "bgzip", "plain"], typer.Option("--format", help="Compression of the files of reads.")
    ] = "gzip",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Simulate reads, genes and expression with known truth.

    The same seed gives the same files. The model is described in docs/simulation.md.
    """
    from dataclasses import asdict

    from deepchrome.engine.simulation.simulate import simulate as run

    names = marks.split(",")
    n_files = epigenomes * len(names)
    with progress_bars("{task.description}", "bar", "count", "time left") as bars:
        task = bars.add_task("Simulating", total=n_files) if bars else None

        def advance(name: str) -> None:
            if bars and task is not None:
                bars.update(task, advance=1, description=name)

        simulated = run(
            out,
            epigenomes=epigenomes,
            genes=genes,
            reads=reads,
            seed=seed,
            marks=names,
            shuffle=shuffle,
            container=container,
            force=force,
            on_file=advance,
        )
    if as_json:
        print_json([asdict(epigenome) for epigenome in simulated])
    else:
        typer.echo((out / "truth" / "summary.tsv").read_text(encoding="utf-8"), nl=False)
    print_note(f"{out}: {n_files} files of {reads} reads, genes.tsv, expression.tsv, truth/")
