"""The command ``dc bench train``."""

from typing import Annotated, Literal

import typer

from deepchrome.cli.bench.common import (
    BenchJsonOption,
    Log,
    QuickOption,
    RoundsOption,
    SaveOption,
    output_results,
    require_numbers,
)


def train(
    models: Annotated[
        str, typer.Option(help="Numbers of models to train at the same time, separated by commas.")
    ] = "1,8,56",
    genes: Annotated[int, typer.Option(min=16, help="Number of training genes, and as many validation genes.")] = 6601,
    epochs: Annotated[int, typer.Option(min=1, help="Number of epochs per run on the CPU.")] = 2,
    gpu_epochs: Annotated[int, typer.Option(min=1, help="Number of epochs on the GPU, if there is one.")] = 100,
    rounds: RoundsOption = 3,
    plain_models: Annotated[
        int,
        typer.Option(min=1, help="Number of models that the plain loop trains. Its time is scaled to all models."),
    ] = 4,
    batch_size: Annotated[int, typer.Option(min=1, help="Number of genes per step.")] = 64,
    precision: Annotated[
        Literal["auto", "fp32", "tf32", "bf16"], typer.Option(help="Precision of matrix products in lockstep training.")
    ] = "auto",
    long_epochs: Annotated[
        int, typer.Option(min=1, help="Number of epochs of the long training, whose accuracy is the target.")
    ] = 100,
    quick: QuickOption = False,
    save: SaveOption = None,
    as_json: BenchJsonOption = False,
) -> None:
    """Time the training of many models against a plain PyTorch loop.

    Also time the default schedule, and how long it takes until models are as accurate as after a long training.
    """
    from deepchrome.benchmarks.train.measure import QUICK, Settings, measure
    from deepchrome.train.fitting.config import FitConfig

    settings = Settings(
        models=require_numbers("--models", models),
        genes=genes,
        epochs=epochs,
        gpu_epochs=gpu_epochs,
        rounds=rounds,
        plain_models=plain_models,
        long_epochs=long_epochs,
    )
    command = f"dc bench train --models {models} --genes {genes} --epochs {epochs} --rounds {rounds}"
    command += f" --batch-size {batch_size} --precision {precision} --long-epochs {long_epochs}"
    if quick:
        settings, command = QUICK, "dc bench train --quick"
    log = Log()
    results = measure(settings, FitConfig(batch_size=batch_size, precision=precision), command, log)
    output_results(results, log, save, as_json)
