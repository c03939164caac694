"""The command ``dc predict``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    pass
from deepchrome.cli.options import Device, check_output_free


def predict(
    run: Annotated[Path, typer.Argument(help="What dc train wrote.")],
    features: Annotated[Path, typer.Argument(help="What dc featurize wrote: a directory, or one file of it.")],
    out: Annotated[Path, typer.Option(help="gene_id, epigenome, score: .tsv or .parquet.")],
    model_of: Annotated[
        str | None, typer.Option(help="Use this epigenome's model for all FEATURES.", show_default="each its own")
    ] = None,
    attention: Annotated[
        Path | None, typer.Option(help="Also write where an attentivechrome model looks (.parquet).")
    ] = None,
    device: Annotated[Device, typer.Option(help="auto takes a GPU if there is one.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Score every gene of FEATURES; features unlike those the models were trained on are refused."""
    check_output_free(out, force)
    check_output_free(attention, force)
    if attention is not None and attention.suffix != ".parquet":
        raise UsageError(f"{attention}: lists per gene need a .parquet file")
    from deepchrome.train.fitting.config import Placement
    from deepchrome.train.run.directory import Run
    from deepchrome.train.scoring import predict as prediction

    prediction.check_table_path(out)
    opened = Run(run)
    table = prediction.predict(opened, features, model_of=model_of, device=Placement(device).resolve())
    looked = None if attention is None else prediction.predict_attention(opened, features, model_of=model_of)
    prediction.write_table(out, table)
    if attention is not None and looked is not None:
        prediction.write_table(attention, looked)
    typer.echo(f"dc predict: {table.height} scores in {out}", err=True)
