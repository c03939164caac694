"""The command line. Each command parses, calls one library function and prints.

Importing this package must stay cheap: numba, torch, polars and pyarrow are imported inside commands.
"""

import sys

import typer

from deepchrome.cli.demo import register as register_demo
from deepchrome.cli.engine import register as register_engine
from deepchrome.cli.train import register as register_train
from deepchrome.errors import DeepchromeError

app = typer.Typer(
    name="dc",
    help="Predict gene expression from histone marks, from the raw reads up.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
register_demo(app)
register_engine(app)
register_train(app)


def main() -> None:
    """Run the command line; errors meant for the user become one line and an exit code."""
    try:
        app()
    except DeepchromeError as error:
        typer.echo(f"dc: {error}", err=True)
        sys.exit(error.exit_code)
