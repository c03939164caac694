"""The command ``dc predict``."""

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
    make_importable,
    warn,
)
from deepchrome.common.paths import data_files
from deepchrome.errors import UsageError


def predict(
    run: RunArgument,
    features: FeaturesArgument,
    out: Annotated[Path, typer.Option(help="Table to write (.tsv or .parquet): one row per gene, with its score.")],
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

    The features must have the marks, bins, windows, genome and read options that the models were trained on.
    A warning names what else differs, such as the number of reads.
    """
    from deepchrome.train.run.layout import places

    check_outputs(out, attention, inputs=[*places(run), *data_files(features)], force=force)
    if attention is not None and attention.suffix != ".parquet":
        raise UsageError(f"{attention}: attention weights can only be written to a .parquet file")
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.run.directory import load_run
    from deepchrome.train.scoring import predict as prediction
    from deepchrome.train.scoring.checks import FeatureChecks

    prediction.check_table_path(out)
    opened = load_run(run)
    make_importable(opened.config.fit.model)
    torch_device = Placement(device).resolve()
    checks = FeatureChecks(allow_other_genome, allow_unlike, partial(warn, "predict"))
    if attention is None:
        scores = prediction.predict(opened, features, model_of=model_of, device=torch_device, checks=checks)
    else:
        scores, weights = prediction.predict_with_attention(
            opened, features, model_of=model_of, device=torch_device, checks=checks
        )
    prediction.write_table(out, scores)
    if attention is not None:
        prediction.write_table(attention, weights)
    print_note(f"dc predict: {scores.height} scores in {out}")
