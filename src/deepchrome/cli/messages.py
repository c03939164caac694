"""Messages on standard error."""

import typer

from deepchrome.errors import DeepchromeError


def print_note(message: str) -> None:
    """Print a message as one line on standard error, with control characters escaped, as in errors."""
    typer.echo(str(DeepchromeError(message)), err=True)
