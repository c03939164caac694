"""The command ``dc predict``."""

from pathlib import Path
from typing import Annotated

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.options import (
    DeviceOption,
    FeaturesArgument,
    ForceOption,
    ModelOfOption,
    RunArgument,
    check_output_free,
)
from deepchrome.errors import UsageError


def predict(
    run: RunArgument,
    features: FeaturesArgument,
    out: Annotated[Path, typer.Option(help="Table to write (.tsv or .parquet): one row per gene, with its score.")],
    model_of: ModelOfOption = None,
    attention: Annotated[
        Path | None, typer.Option(help="Also write the attention weights of an attentivechrome run (.parquet).")
    ] = None,
    device: DeviceOption = "auto",
    force: ForceOption = False,
) -> None:
    """Score every gene of new features with the models of a run.

    The features must have the marks, bins and windows that the models were trained on.
    """
    check_output_free(out, force)
    check_output_free(attention, force)
    if attention is not None and attention.suffix != ".parquet":
        raise UsageError(f"{attention}: attention weights can only be written to a .parquet file")
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.run.directory import load_run
    from deepchrome.train.scoring import predict as prediction

    prediction.check_table_path(out)
    opened = load_run(run)
    scores = prediction.predict(opened, features, model_of=model_of, device=Placement(device).resolve())
    weights = None if attention is None else prediction.predict_attention(opened, features, model_of=model_of)
    prediction.write_table(out, scores)
    if attention is not None and weights is not None:
        prediction.write_table(attention, weights)
    print_note(f"dc predict: {scores.height} scores in {out}")
