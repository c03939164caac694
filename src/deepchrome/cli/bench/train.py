"""The command ``dc bench train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    pass
from deepchrome.cli.bench.common import JSON, QUICK_RUN, SAVE, Log, finish, parse_numbers, refuse_numbers


def train(
    models: Annotated[str, typer.Option(help="How many side by side; several with commas.")] = "1,8,56",
    genes: Annotated[int, typer.Option(min=16, help="Training genes a model, and as many to validate on.")] = 6601,
    epochs: Annotated[int, typer.Option(min=1, help="Of each turn, on the CPU.")] = 2,
    gpu_epochs: Annotated[int, typer.Option(min=1, help="On a GPU, if there is one.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each side.")] = 3,
    plain_models: Annotated[
        int, typer.Option(min=1, help="Models that the plain loop trains in a turn; its time is scaled to all.")
    ] = 4,
    batch_size: Annotated[int, typer.Option(min=1, help="Genes a step.")] = 64,
    precision: Annotated[
        Literal["auto", "fp32", "tf32", "bf16"], typer.Option(help="Of matrix products, in lockstep.")
    ] = "auto",
    share: Annotated[
        float, typer.Option(help="Time to a validation AUROC of 0.5 and this share of the way to the best there is.")
    ] = 0.95,
    quick: Annotated[bool, QUICK_RUN] = False,
    save: Annotated[Path | None, SAVE] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Race many models in lockstep with a plain PyTorch loop, beside what the processor could do."""
    from deepchrome.benchmarks.train.race import QUICK, Plan, race
    from deepchrome.train.fitting.config import FitConfig

    if not 0 < share < 1:
        raise UsageError(f"--share {share}: between 0 and 1")
    numbers = parse_numbers(models) or refuse_numbers("--models", models)
    plan = Plan(numbers, genes, epochs, gpu_epochs, rounds, plain_models, share)
    words = f"dc bench train --models {models} --genes {genes} --epochs {epochs} --rounds {rounds}"
    words += f" --batch-size {batch_size} --precision {precision}"
    if quick:
        plan, words = QUICK, "dc bench train --quick"
    log = Log()
    config = FitConfig(batch_size=batch_size, precision=precision)
    finish(race(plan, config, words, log), log, save, as_json)
