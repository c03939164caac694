"""The command ``dc evaluate``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepchrome.cli.tables import print_table
from deepchrome.errors import UsageError

if TYPE_CHECKING:
    pass
from deepchrome.cli.options import Device, check_output_free
from deepchrome.cli.tables import print_rows


def evaluate(
    run: Annotated[Path, typer.Argument(help="What dc train wrote.")],
    features: Annotated[
        Path | None, typer.Argument(help="Other data to test on; by default the run's own test genes.")
    ] = None,
    expression: Annotated[Path | None, typer.Option(help="RPKM per gene and epigenome, for FEATURES.")] = None,
    label_rule: Annotated[
        Literal["numeric", "published"] | None, typer.Option(help="For FEATURES.", show_default="the run's")
    ] = None,
    model_of: Annotated[
        str | None, typer.Option(help="Test this epigenome's model on all FEATURES.", show_default="each its own")
    ] = None,
    cross: Annotated[
        bool, typer.Option("--cross", help="Test every model on every epigenome: a matrix of AUROC.")
    ] = False,
    bootstrap: Annotated[int, typer.Option(help="Resamples for the 95 % intervals; 0: none.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 1,
    roc: Annotated[Path | None, typer.Option(help="Write the ROC curves (.tsv or .parquet).")] = None,
    device: Annotated[Device, typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --roc.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Test a run's models: on their own test genes, on other data, on each other's epigenomes."""
    if (features is None) != (expression is None):
        raise UsageError("FEATURES and --expression go together")
    if bootstrap < 0:
        raise UsageError(f"--bootstrap {bootstrap} makes no sense")
    if cross and (roc or model_of):
        raise UsageError("--cross prints a matrix; it goes with neither --roc nor --model-of")
    if features is None and (model_of or label_rule) and not cross:
        raise UsageError("--model-of and --label-rule are for FEATURES")
    check_output_free(roc, force)
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.run.directory import Run
    from deepchrome.train.scoring import evaluate as evaluation
    from deepchrome.train.scoring.predict import check_table_path, write_table

    if roc is not None:
        check_table_path(roc)
    opened = Run(run)
    where = Placement(device).resolve()
    if cross and features is None:
        features, expression = evaluation.recorded_source(opened)
    if features is not None and expression is not None:
        datasets, notes = evaluation.load_other_data(opened, features, expression, label_rule=label_rule)
        for note in notes:
            typer.echo(f"dc evaluate: {note}", err=True)
    if cross:
        matrix = evaluation.cross_evaluate(opened, datasets, device=where)
        if as_json:
            typer.echo(json.dumps(matrix.to_dicts(), indent=1))
        else:
            print_table(matrix.columns, matrix.rows())
        return
    if features is None:
        scored = evaluation.score_test_genes(opened)
    else:
        scored = evaluation.score_datasets(opened, datasets, model_of=model_of, device=where)
    rows = evaluation.evaluate(scored, resamples=bootstrap, seed=seed)
    if roc is not None:
        write_table(roc, evaluation.roc_points(scored))
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print_rows(rows, ("epigenome", "model", "genes", "auroc", "auroc_low", "auroc_high", "auprc"))
    for row in rows:
        if row.auroc is None:
            typer.echo(f"dc evaluate: {row.epigenome}: {row.on} of {row.genes} genes are on: no AUROC", err=True)
