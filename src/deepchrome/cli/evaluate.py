"""The command ``dc evaluate``."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import (
    AllowOtherGenomeOption,
    AllowUnlikeOption,
    DeviceOption,
    ExpressionOption,
    ForceOption,
    JsonOption,
    LabelThresholdOption,
    ModelOfOption,
    RunArgument,
    check_outputs,
    parse_contrast,
    show_report,
    warn,
)
from deepchrome.cli.tables import print_json, print_rows, print_table
from deepchrome.common.paths import data_files
from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from polars import DataFrame

    from deepchrome.train.scoring.contrast import Contrast

# Those that fit on 80 characters.
_TERMINAL_COLUMNS: Final = (
    "epigenome",
    "n_test",
    "auroc",
    "gene_mean_auroc",
    "variable_auroc",
    "fused_auroc",
    "ece",
    "pearson",
)


def evaluate(
    run: RunArgument,
    features: Annotated[
        Path | None,
        typer.Argument(
            metavar="FEATURES",
            help="Other features to test on: a directory written by dc featurize, or one Parquet file from it.",
            show_default="the run's test genes",
        ),
    ] = None,
    expression: ExpressionOption = None,
    label_rule: Annotated[
        Literal["numeric", "published"] | None,
        typer.Option(help="How to label the genes of FEATURES.", show_default="the rule of the run"),
    ] = None,
    label_threshold: LabelThresholdOption = None,
    label_genes: Annotated[
        Literal["table", "features"] | None,
        typer.Option(
            help="Take the median RPKM over the expression table or over the genes of FEATURES.",
            show_default="as in the run",
        ),
    ] = None,
    model_of: ModelOfOption = None,
    allow_other_genome: AllowOtherGenomeOption = False,
    allow_unlike: AllowUnlikeOption = False,
    cross: Annotated[
        bool, typer.Option("--cross", help="Test every model on every epigenome, and print a matrix of AUROC.")
    ] = False,
    contrast: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Compare predicted and observed log2 fold change between two epigenomes, A minus B."
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Number of bootstrap samples for the 95 % intervals; 0 for no intervals.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 1,
    roc: Annotated[Path | None, typer.Option(help="Write the ROC curves (.parquet, .tsv or .csv).")] = None,
    device: DeviceOption = "auto",
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Test the models of a run on their test genes or on other data.

    On other data, the training and validation genes of the run are left out. Models are compared with the mean
    expression of each gene in the other epigenomes of the expression table.
    """
    if features is not None and expression is None:
        raise UsageError("FEATURES and --expression must be given together")
    if cross and (roc or contrast or model_of):
        raise UsageError("--cross prints a matrix and cannot be combined with --roc, --contrast or --model-of")
    if contrast and roc:
        raise UsageError("--contrast compares two epigenomes and cannot be combined with --roc")
    if cross and expression is not None and features is None:
        raise UsageError("--cross with --expression needs FEATURES too")
    relabelled = label_rule is not None or label_threshold is not None or label_genes is not None
    if features is None and (model_of or relabelled) and not cross:
        raise UsageError("--model-of and options for labels need FEATURES")
    pair = parse_contrast(contrast)
    from deepchrome.train.run.layout import places

    check_outputs(roc, inputs=[*places(run), *data_files(features, expression)], force=force)
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.run.directory import load_run
    from deepchrome.train.scoring.checks import FeatureChecks
    from deepchrome.train.scoring.contrast import contrast_genes
    from deepchrome.train.scoring.evaluate import compare_with_gene_mean, cross_evaluate, roc_points
    from deepchrome.train.scoring.evaluate import evaluate as evaluate_genes
    from deepchrome.train.scoring.reference import find_reference, read_reference
    from deepchrome.train.scoring.scored import score_datasets, score_test_genes
    from deepchrome.train.scoring.tables import check_table_path, write_table
    from deepchrome.train.scoring.unseen import choose_source, load_unseen_genes

    if roc is not None:
        check_table_path(roc)
    opened = load_run(run)
    if features is None and opened.config.source is not None:
        check_outputs(roc, inputs=data_files(*opened.config.source.paths()), force=force)
    torch_device = Placement(device).resolve()
    if features is None and not cross:
        scored = score_test_genes(opened)
        reference, notes = find_reference(opened, expression)
        for note in notes:
            print_note(f"dc evaluate: {note}. Give the table of the training with --expression.")
    else:
        checks = FeatureChecks(allow_other_genome, allow_unlike, partial(warn, "evaluate"))
        source = choose_source(opened, features, expression, label_rule, label_threshold, label_genes)
        datasets, report = load_unseen_genes(
            opened,
            features,
            expression,
            label_rule=label_rule,
            label_threshold=label_threshold,
            label_genes=label_genes,
        )
        show_report("evaluate", report)
        if cross:
            _print_cross(cross_evaluate(opened, datasets, device=torch_device, checks=checks), as_json=as_json)
            return
        scored = score_datasets(opened, datasets, model_of=model_of, device=torch_device, checks=checks)
        reference, notes = read_reference(opened, source)
        for note in notes:
            print_note(f"dc evaluate: {note}")
    if pair is not None:
        observed = scored if reference is None else [reference.observe(genes) for genes in scored]
        _print_contrast(contrast_genes(observed, *pair), as_json=as_json)
        return
    rows = evaluate_genes(scored, reference, resamples=bootstrap, seed=seed)
    if roc is not None:
        write_table(roc, roc_points(scored))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_rows(rows, _TERMINAL_COLUMNS)
    for row in rows:
        if row.auroc is None:
            print_note(f"dc evaluate: {row.epigenome}: no AUROC ({row.n_on} of {row.n_test} genes are on)")
    if sentence := compare_with_gene_mean(rows):
        print_note(f"dc evaluate: {sentence}")


def _print_cross(matrix: "DataFrame", *, as_json: bool) -> None:
    """Print a matrix of AUROC, one row per model."""
    if as_json:
        print_json(matrix.to_dicts())
    else:
        print_table(matrix.columns, matrix.rows())


def _print_contrast(contrast: "Contrast", *, as_json: bool) -> None:
    """Print how well a contrast is predicted, as one row."""
    row = {name: getattr(contrast, name) for name in ("a", "b", "genes", "pearson", "changed", "direction")}
    if as_json:
        print_json([row])
    else:
        print_table(list(row), [list(row.values())])
