"""Commands of the engine: featurize, simulate, export, verify."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the engine's commands to ``app``."""
    app.command("export")(export)
    app.command("simulate")(simulate)


def export(
    features: Annotated[Path, typer.Argument(help="What dc featurize wrote: a directory, or one file of it.")],
    out: Annotated[
        Path, typer.Option(help="Directory for train.csv, valid.csv, test.csv; one each for several epigenomes.")
    ],
    labels: Annotated[Path | None, typer.Option(help="Label table, as dc labels --out writes it.")] = None,
    epigenomes: Annotated[str, typer.Option(help="Names, separated by commas, or all.")] = "all",
    split: Annotated[
        Literal["published", "random", "chromosome"],
        typer.Option(help="published: thirds in the order of gene ids. random, chromosome: by --seed."),
    ] = "published",
    split_file: Annotated[
        Path | None, typer.Option(help="TSV with gene_id and split (train, valid, test), instead of --split.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random choices in --split.")] = 1,
    header: Annotated[bool, typer.Option("--header", help="Write a header; the published files have none.")] = False,
    drop_unlabelled: Annotated[
        bool, typer.Option("--drop-unlabelled", help="Leave out genes without a label.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    form: Annotated[Literal["csv"], typer.Option("--format", help="DeepChrome's text format.")] = "csv",  # noqa: ARG001 - one so far
) -> None:
    """Write features in DeepChrome's text format: GeneID, BinID, a column per mark, label."""
    if labels is None:
        raise UsageError(
            "the format holds labels: give --labels FILE; dc labels --expression TABLE --out FILE makes one"
        )
    from deepchrome.engine.export import export_csv, split_from
    from deepchrome.train.splits import split_genes

    chosen = None if epigenomes == "all" else epigenomes.split(",")
    splitter = split_from(split_file) if split_file else partial(split_genes, method=split, seed=seed)
    for done in export_csv(
        features, out, labels, splitter, epigenomes=chosen, header=header, drop_unlabelled=drop_unlabelled, force=force
    ):
        train, valid, test = done.genes
        left_out = f"; {done.unlabelled} without a label left out" if done.unlabelled else ""
        typer.echo(f"{done.epigenome}: {train} train, {valid} valid, {test} test genes{left_out}", err=True)
        typer.echo(f"{done.epigenome}: columns GeneID, BinID, {', '.join(done.marks)}, label", err=True)


def simulate(
    out: Annotated[Path, typer.Option(help="Directory for the reads, genes.tsv, expression.tsv and truth/.")],
    epigenomes: Annotated[int, typer.Option(help="How many, named E001, E002, ...")] = 2,
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

    from deepchrome.engine.simulate import simulate as write_simulation

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
