"""The command ``dc export``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import EpigenomesOption, FeaturesArgument, ForceOption, SeedOption, parse_names
from deepchrome.common.names import SPLIT_NAMES
from deepchrome.common.paths import check_distinct, data_files
from deepchrome.errors import UsageError


def export(
    features: FeaturesArgument,
    out: Annotated[
        Path,
        typer.Option(
            help="Directory for train.csv, valid.csv and test.csv. Several epigenomes get a subdirectory each."
        ),
    ],
    labels: Annotated[Path | None, typer.Option(help="Label table written by dc labels --out. Required.")] = None,
    epigenomes: EpigenomesOption = "all",
    split: Annotated[
        Literal["published", "random", "chromosome"],
        typer.Option(
            help="How to split the genes: thirds in the order of gene IDs (published), at random, or by chromosome."
        ),
    ] = "published",
    split_file: Annotated[
        Path | None,
        typer.Option(help="TSV with columns gene_id and split (train, valid or test). Replaces --split."),
    ] = None,
    seed: SeedOption = 1,
    header: Annotated[
        bool, typer.Option("--header", help="Write a header line. The published files have none.")
    ] = False,
    drop_unlabelled: Annotated[
        bool, typer.Option("--drop-unlabelled", help="Leave out genes that have no label.")
    ] = False,
    force: ForceOption = False,
    file_format: Annotated[  # noqa: ARG001 - there is only one format so far
        Literal["csv"], typer.Option("--format", help="File format. csv is DeepChrome's text format.")
    ] = "csv",
) -> None:
    """Write features and labels in DeepChrome's text format.

    The columns are GeneID, BinID, one per mark, and label.
    """
    if labels is None:
        raise UsageError("--labels is missing. Create a label table with dc labels --expression TABLE --out FILE.")
    check_distinct([out / f"{name}.csv" for name in SPLIT_NAMES], data_files(features, labels, split_file))
    from deepchrome.engine.features.export import export_csv, read_split_table
    from deepchrome.train.datasets.splits import split_genes

    splitter = read_split_table(split_file) if split_file else partial(split_genes, method=split, seed=seed)
    for exported in export_csv(
        features,
        out,
        labels,
        splitter,
        epigenomes=parse_names(epigenomes),
        header=header,
        drop_unlabelled=drop_unlabelled,
        force=force,
    ):
        name, (train, valid, test) = exported.epigenome, exported.genes
        dropped = f"; left out {exported.unlabelled} genes without a label" if exported.unlabelled else ""
        print_note(f"{name}: {train} train, {valid} valid, {test} test genes{dropped}")
        print_note(f"{name}: columns GeneID, BinID, {', '.join(exported.marks)}, label")
