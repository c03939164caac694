"""The command ``dc evaluate``."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

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
    make_importable,
    show_report,
    warn,
)
from deepchrome.cli.tables import print_json, print_rows, print_table
from deepchrome.common.paths import data_files
from deepchrome.errors import UsageError


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

    On other data, the training and validation genes of the run are left out.
    """
    if (features is None) != (expression is None):
        raise UsageError("FEATURES and --expression must be given together")
    if cross and (roc or model_of):
        raise UsageError("--cross prints a matrix and cannot be combined with --roc or --model-of")
    relabelled = label_rule is not None or label_threshold is not None or label_genes is not None
    if features is None and (model_of or relabelled) and not cross:
        raise UsageError("--model-of and options for labels need FEATURES")
    from deepchrome.train.run.layout import places

    check_outputs(roc, inputs=[*places(run), *data_files(features, expression)], force=force)
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.run.directory import load_run
    from deepchrome.train.scoring import evaluate as evaluation
    from deepchrome.train.scoring.checks import FeatureChecks
    from deepchrome.train.scoring.tables import check_table_path, write_table

    if roc is not None:
        check_table_path(roc)
    opened = load_run(run)
    make_importable(opened.config.fit.model)
    torch_device = Placement(device).resolve()
    if features is None and not cross:
        scored = evaluation.score_test_genes(opened)
    else:
        checks = FeatureChecks(allow_other_genome, allow_unlike, partial(warn, "evaluate"))
        datasets, report = evaluation.load_unseen_genes(
            opened,
            features,
            expression,
            label_rule=label_rule,
            label_threshold=label_threshold,
            label_genes=label_genes,
        )
        show_report("evaluate", report)
        if cross:
            matrix = evaluation.cross_evaluate(opened, datasets, device=torch_device, checks=checks)
            if as_json:
                print_json(matrix.to_dicts())
            else:
                print_table(matrix.columns, matrix.rows())
            return
        scored = evaluation.score_datasets(opened, datasets, model_of=model_of, device=torch_device, checks=checks)
    rows = evaluation.evaluate(scored, resamples=bootstrap, seed=seed)
    if roc is not None:
        write_table(roc, evaluation.roc_points(scored))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_rows(rows, ("epigenome", "model", "genes", "auroc", "auroc_low", "auroc_high", "auprc"))
    for row in rows:
        if row.auroc is None:
            print_note(f"dc evaluate: {row.epigenome}: no AUROC ({row.on} of {row.genes} genes are on)")
