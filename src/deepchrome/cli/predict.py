"""The command ``dc predict``."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import (
    AllowOtherGenomeOption,
    AllowUnlikeOption,
    DeviceOption,
    FeaturesArgument,
    ForceOption,
    ModelOfOption,
    RunArgument,
    check_outputs,
    note,
    parse_contrast,
    warn,
)
from deepchrome.common.paths import data_files
from deepchrome.errors import UsageError


def predict(
    run: RunArgument,
    features: FeaturesArgument,
    out: Annotated[Path, typer.Option(help="Table to write (.parquet, .tsv or .csv): one row per gene.")],
    contrast: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Write the predicted log2 fold change of A against B instead of scores."),
    ] = None,
    model_of: ModelOfOption = None,
    attention: Annotated[
        Path | None, typer.Option(help="Also write the attention weights of an attentivechrome run (.parquet).")
    ] = None,
    allow_other_genome: AllowOtherGenomeOption = False,
    allow_unlike: AllowUnlikeOption = False,
    device: DeviceOption = "auto",
    force: ForceOption = False,
) -> None:
    """Score every gene of new features with the models of a run.

    The features must have the bins, windows, genome and read options of the training, and its marks; a pooled model
    accepts missing marks. A line about every sample tells how far it lies from the training.
    """
    from deepchrome.train.run.layout import places
    from deepchrome.train.scoring import tables

    tables.check_table_path(out)
    outputs = (out, tables.side_file(out), attention)
    check_outputs(*outputs, inputs=[*places(run), *data_files(features)], force=force)
    if attention is not None and attention.suffix != ".parquet":
        raise UsageError(f"{attention}: attention weights can only be written to a .parquet file")
    pair = parse_contrast(contrast)
    if pair and attention is not None:
        raise UsageError("--contrast and --attention cannot be combined")
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.run.directory import load_run
    from deepchrome.train.scoring import predict as prediction
    from deepchrome.train.scoring.checks import FeatureChecks

    opened = load_run(run)
    torch_device = Placement(device).resolve()
    checks = FeatureChecks(allow_other_genome, allow_unlike, partial(warn, "predict"), partial(note, "predict"))
    models = [*prediction.choose_models(opened, features, model_of=model_of, epigenomes=pair).values()]
    command = shlex.join(["dc", *sys.argv[1:]])
    document = tables.describe_scores(opened, models, command=command, contrast=pair)
    if pair:
        scores = prediction.predict_contrast(
            opened, features, pair, model_of=model_of, device=torch_device, checks=checks
        )
    elif attention is None:
        scores = prediction.predict(opened, features, model_of=model_of, device=torch_device, checks=checks)
    else:
        scores, weights = prediction.predict_with_attention(
            opened, features, model_of=model_of, device=torch_device, checks=checks
        )
        tables.write_table(attention, weights, document)
    tables.write_table(out, scores, document)
    print_note(f"dc predict: {scores.height} {'differences' if pair else 'scores'} in {out}")
