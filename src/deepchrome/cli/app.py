"""Assemble the commands into one program and run it."""

import gc
import sys
import traceback
from typing import Annotated

import typer

from deepchrome.cli.bench.app import bench
from deepchrome.cli.demo import demo
from deepchrome.cli.download import download
from deepchrome.cli.evaluate import evaluate
from deepchrome.cli.export import export
from deepchrome.cli.featurize import featurize
from deepchrome.cli.interrupts import INTERRUPTED, exit_interrupted, interrupts_after_imports
from deepchrome.cli.labels import labels
from deepchrome.cli.predict import predict
from deepchrome.cli.remedies import explain
from deepchrome.cli.simulate import simulate
from deepchrome.cli.train import train
from deepchrome.cli.verify import verify
from deepchrome.cli.visualize import visualize
from deepchrome.errors import DeepchromeError, StorageError
from deepchrome.version import VERSION

_INTERNAL_ERROR = 70  # from sysexits.h; errors.py has the other exit codes
app = typer.Typer(
    name="dc",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deepchrome {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the Python traceback of an error.")] = False,
) -> None:
    """Predict gene expression from histone marks, starting from raw reads."""


for command in (demo, download, featurize, verify, labels, train, evaluate, predict, export, visualize, simulate):
    app.command(command.__name__)(command)
app.add_typer(bench, name="bench")


def main() -> None:
    """Run the command line. Report an error as one line on standard error, and exit with its exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        with interrupts_after_imports():
            app(arguments)
    except KeyboardInterrupt:  # a second one, while the first was handled
        exit_interrupted()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            exit_interrupted()
        raise
    except Exception as error:
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        message, code = _describe(error)
        typer.echo(f"dc: {message}", err=True)
        sys.exit(code)
    finally:
        gc.freeze()  # saves time at exit: no garbage collection over the objects of numba and torch


def _describe(error: Exception) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    if isinstance(error, DeepchromeError):
        return explain(error), error.exit_code
    if isinstance(error, OSError):
        return str(StorageError(str(error))), StorageError.exit_code
    message = f"internal error ({type(error).__name__}: {error}). Use --debug to see the traceback."
    return str(DeepchromeError(message)), _INTERNAL_ERROR
