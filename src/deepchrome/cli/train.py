"""Commands of the trainer: labels, train, evaluate, predict."""

import typer


def register(app: typer.Typer) -> None:
    """Add the trainer's commands to ``app``."""
