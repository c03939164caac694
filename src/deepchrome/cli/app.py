"""Assemble the commands into one program and run it."""

import gc
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from deepchrome.cli.bench.app import bench
from deepchrome.cli.count import count
from deepchrome.cli.demo import demo
from deepchrome.cli.download import download
from deepchrome.cli.evaluate import evaluate
from deepchrome.cli.export import export
from deepchrome.cli.featurize import featurize
from deepchrome.cli.interrupts import INTERRUPTED, exit_interrupted, interrupts_after_imports
from deepchrome.cli.labels import labels
from deepchrome.cli.messages import print_note
from deepchrome.cli.predict import predict
from deepchrome.cli.remedies import explain
from deepchrome.cli.simulate import simulate
from deepchrome.cli.streams import drop_closed_output
from deepchrome.cli.train import train
from deepchrome.cli.verify import verify
from deepchrome.cli.visualize import visualize
from deepchrome.errors import DeepchromeError, NotInstalledError, ReaderGoneError, StorageError
from deepchrome.version import VERSION

# Commands whose results are files. What they print is a copy or a summary, and they work with standard output closed.
_FILE_COMMANDS: Final = {
    "count",
    "demo",
    "download",
    "export",
    "featurize",
    "predict",
    "simulate",
    "train",
    "visualize",
}
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
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[  # noqa: ARG001 - see run()
        bool, typer.Option("--debug", help="Show the Python traceback of an error.")
    ] = False,
) -> None:
    """Predict gene expression from histone marks, starting from raw reads."""
    if context.invoked_subcommand in _FILE_COMMANDS:
        drop_closed_output()


for command in (
    demo,
    download,
    featurize,
    count,
    verify,
    labels,
    train,
    evaluate,
    predict,
    export,
    visualize,
    simulate,
):
    app.command(command.__name__)(command)
app.add_typer(bench, name="bench")


def run() -> None:
    """Run the command line. Report an error as one line on standard error, and exit with its exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        with interrupts_after_imports():
            _run_command(arguments)
    except KeyboardInterrupt:
        exit_interrupted()
    except ReaderGoneError as error:
        sys.exit(error.exit_code)  # without a message, as programs end that SIGPIPE ends
    except SystemExit:
        raise
    except BaseException as error:  # not only Exception: a panic of a library in Rust is none
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        message, code = _describe(error)
        print_note(f"dc: {message}")
        sys.exit(code)
    finally:
        gc.freeze()  # saves time at exit: no garbage collection over the objects of numba and torch


def _run_command(arguments: Sequence[str]) -> None:
    try:
        app(arguments)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        sys.stdout.flush()  # an error in writing the result must not go unnoticed
        raise


def _describe(error: BaseException) -> tuple[str, int]:
    """Return the message and the exit code of an error."""
    if isinstance(error, DeepchromeError):
        return explain(error), error.exit_code
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("deepchrome"):
        missing = NotInstalledError(
            f"the Python package {error.name}, which this command needs, is not installed. "
            f"Install it: pip install {(error.name or '').partition('.')[0]}"
        )
        return str(missing), missing.exit_code
    if isinstance(error, OSError):
        return str(StorageError(str(error))), StorageError.exit_code
    message = f"internal error ({type(error).__name__}: {error}). Use --debug to see the traceback."
    return str(DeepchromeError(message)), _INTERNAL_ERROR
