"""The command ``dc export``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import EpigenomesOption, FeaturesArgument, ForceOption, SeedOption, parse_names
from deepchrome.common.names import SPLIT_NAMES
from deepchrome.common.paths import check_distinct, data_files
from deepchrome.errors import ParameterError, UsageError

# The options that only the text format has.
_CSV_OPTIONS = ("labels", "split", "split_file", "seed", "header", "drop_unlabelled")


def export(
    context: typer.Context,
    features: FeaturesArgument,
    out: Annotated[
        Path,
        typer.Option(
            help="Directory to write into. csv: train.csv, valid.csv and test.csv; several epigenomes get a "
            "subdirectory each. bigwig and bedgraph: a file per epigenome and mark. Others: one per epigenome. "
            "A single output can also be named, such as E003.h5ad."
        ),
    ],
    file_format: Annotated[
        Literal["csv", "h5ad", "zarr", "npz", "bigwig", "bedgraph"],
        typer.Option("--format", help="File format. csv is DeepChrome's text format; h5ad and zarr are AnnData's."),
    ] = "csv",
    epigenomes: EpigenomesOption = "all",
    labels: Annotated[
        Path | None, typer.Option(help="csv: label table written by dc labels --out. Required for csv.")
    ] = None,
    split: Annotated[
        Literal["published", "random", "chromosome"],
        typer.Option(
            help="csv: how to split the genes: thirds in the order of gene IDs (published), at random, "
            "or by chromosome."
        ),
    ] = "published",
    split_file: Annotated[
        Path | None,
        typer.Option(help="csv: TSV with columns gene_id and split (train, valid or test). Replaces --split."),
    ] = None,
    seed: SeedOption = 1,
    header: Annotated[
        bool, typer.Option("--header", help="csv: write a header line. The published files have none.")
    ] = False,
    drop_unlabelled: Annotated[
        bool, typer.Option("--drop-unlabelled", help="csv: leave out genes that have no label.")
    ] = False,
    compress: Annotated[bool, typer.Option("--gzip", help="bedgraph: compress the files.")] = False,
    force: ForceOption = False,
) -> None:
    """Write features in the formats of other programs.

    csv is DeepChrome's text format, with labels. Its columns are GeneID, BinID, one per mark, and label.
    """
    if file_format != "csv":
        given = [name for name in _CSV_OPTIONS if _is_given(context, name)]
        if given:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise UsageError(f"{options}: only with --format csv")
        _export_others(features, out, file_format, epigenomes, compress, force)
        return
    if compress:
        raise ParameterError("compress", "applies to bedgraph only")
    if labels is None:
        raise UsageError("--labels is missing. Create a label table with dc labels --expression TABLE --out FILE.")
    check_distinct([out / f"{name}.csv" for name in SPLIT_NAMES], data_files(features, labels, split_file))
    from deepchrome.engine.features.exports.csv import export_csv, read_split_table
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


def _is_given(context: typer.Context, name: str) -> bool:
    """Return whether an option is on the command line, and not its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _export_others(features: Path, out: Path, file_format: str, epigenomes: str, compress: bool, force: bool) -> None:
    from deepchrome.engine.features.exports.formats import export_features

    export_features(
        features,
        out,
        file_format,
        epigenomes=parse_names(epigenomes),
        compress=compress,
        force=force,
        on_write=lambda path: print_note(str(path)),
    )
