"""Options that several ``dc bench`` commands share, their log, and the output of their results."""

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepchrome.cli.messages import print_note
from deepchrome.cli.tables import print_json
from deepchrome.errors import NotInstalledError, UsageError

if TYPE_CHECKING:
    from deepchrome.benchmarks.common.results import Results

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Keep simulated data in this directory, and reuse it.", show_default="a temporary directory"
    ),
]
SaveOption = Annotated[
    Path | None, typer.Option("--save", help="Save results, log and plot in a subdirectory of this directory.")
]
BenchJsonOption = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Make a small run to check that everything works. Its times mean nothing.")
]
RoundsOption = Annotated[int, typer.Option(min=1, help="Number of runs of each task.")]

# Width of tables in a log or a pipe, in characters.
_WIDTH = 160


class Log:
    """The log of a benchmark: prints messages on standard error, and keeps them to be saved."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, message: str) -> None:
        """Print and keep a message."""
        self.lines.append(message)
        print_note(f"dc bench: {message}")


def parse_numbers(text: str) -> tuple[int, ...]:
    """Return the positive whole numbers in a text such as ``1,2,3``; an empty tuple for any other text."""
    parts = text.split(",")
    return tuple(int(part) for part in parts) if all(part.isdecimal() and int(part) > 0 for part in parts) else ()


def require_numbers(option: str, text: str) -> tuple[int, ...]:
    """Return the numbers in the value of an option.

    Raises
    ------
    UsageError
        The value is not a comma-separated list of positive whole numbers.
    """
    numbers = parse_numbers(text)
    if not numbers:
        raise UsageError(f"{option} must be positive whole numbers separated by commas, got {text}")
    return numbers


@contextmanager
def data_folder(given: Path | None) -> Iterator[Path]:
    """Yield the directory for simulated data, or a temporary one if none is given."""
    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="dc-bench-") as temporary:
        yield Path(temporary)


def output_results(results: "Results", log: Log, save: Path | None, as_json: bool) -> None:
    """Print results as tables or JSON, and save them if a folder is given."""
    from deepchrome.benchmarks.common.tables import result_tables

    if results.changed:
        log(f"the code has uncommitted changes since commit {results.commit}")
    if as_json:
        print_json(results.to_document())
    else:
        print_tables(result_tables(results))
    if save:
        print_note(f"dc bench: results saved in {_save(results, log, save)}")


def _save(results: "Results", log: Log, folder: Path) -> Path:
    from rich.console import Console

    from deepchrome.benchmarks.common.tables import result_tables
    from deepchrome.benchmarks.count.plot import plot as plot_count
    from deepchrome.benchmarks.featurize.plot import plot as plot_featurize

    directory = results.save(folder)
    text = io.StringIO()
    console = Console(file=text, width=_WIDTH)
    for table in result_tables(results):
        console.print(table)
    lines = [results.command, results.when, *log.lines, text.getvalue()]
    (directory / f"{results.kind}.log").write_text("\n".join(lines), encoding="utf-8")
    plots = {"featurize": plot_featurize, "count": plot_count}
    if results.kind in plots:
        try:
            plots[results.kind](results, directory)
        except NotInstalledError as error:
            log(f"no plot: {error}")
    return directory


def print_tables(tables: Iterable[object]) -> None:
    """Print rich tables, 160 characters wide if standard output is not a terminal."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    for table in tables:
        console.print(table)
