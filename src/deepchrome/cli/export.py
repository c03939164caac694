"""The command ``dc export``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.errors import UsageError


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
    from deepchrome.engine.features.export import export_csv, read_split_table
    from deepchrome.train.datasets.splits import split_genes

    chosen = None if epigenomes == "all" else epigenomes.split(",")
    splitter = read_split_table(split_file) if split_file else partial(split_genes, method=split, seed=seed)
    for done in export_csv(
        features, out, labels, splitter, epigenomes=chosen, header=header, drop_unlabelled=drop_unlabelled, force=force
    ):
        train, valid, test = done.genes
        left_out = f"; {done.unlabelled} without a label left out" if done.unlabelled else ""
        typer.echo(f"{done.epigenome}: {train} train, {valid} valid, {test} test genes{left_out}", err=True)
        typer.echo(f"{done.epigenome}: columns GeneID, BinID, {', '.join(done.marks)}, label", err=True)
