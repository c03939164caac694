"""Commands of the engine: featurize, simulate, export, verify."""

import typer


def register(app: typer.Typer) -> None:
    """Add the engine's commands to ``app``."""
