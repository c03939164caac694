"""What the ``dc bench`` commands share: options, the log, and saving results."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from deepchrome.benchmarks.common.results import Results


DATA = typer.Option("--data", help="Keep what is simulated here, or use what is; default: made anew, then removed.")


SAVE = typer.Option("--save", help="Keep results, log and plot in a directory of their own in this one.")


JSON = typer.Option("--json", help="The results as JSON on stdout, instead of tables.")


QUICK_RUN = typer.Option("--quick", help="A small run, to see that everything works; its times mean nothing.")


class Log:
    """What is told on the way: to stderr, and kept for the log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Print a line on stderr and keep it for the log."""
        self.lines.append(line)
        typer.echo(f"dc bench: {line}", err=True)


def parse_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers in ``1,2,3``; none if it is something else."""
    parts = text.split(",")
    return tuple(int(part) for part in parts) if all(part.isdigit() and int(part) > 0 for part in parts) else ()


def refuse_numbers(option: str, text: str) -> tuple[int, ...]:
    """Refuse the value of an option that takes numbers."""
    raise UsageError(f"{option} {text}: not whole numbers above 0, separated by commas")


@contextmanager
def data_folder(given: Path | None) -> Iterator[Path]:
    """Give the directory for simulated data; a temporary one where none was given."""
    import tempfile

    if given:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="dc-bench-") as made:
        yield Path(made)


def finish(results: "Results", log: Log, save: Path | None, as_json: bool) -> None:
    """Print, and keep what is to be kept."""
    import io
    import json

    from deepchrome.benchmarks.common.show import plot, tables

    if results.changed:
        log(f"the code has changed since commit {results.commit}")
    if as_json:
        typer.echo(json.dumps(results.document(), indent=1))
    else:
        print_renderables(tables(results))
    if save:
        from rich.console import Console

        place = results.save(save)
        text = Console(file=io.StringIO(), width=160)
        for table in tables(results):
            text.print(table)
        lines = [f"{results.command}\n{results.when}", *log.lines, text.file.getvalue()]  # type: ignore[attr-defined]
        (place / f"{results.kind}.log").write_text("\n".join(lines), encoding="utf-8")
        if results.kind == "featurize":
            try:
                plot(results, place)
            except UsageError as error:
                log(f"no plot: {error}")
        typer.echo(f"dc bench: {place}", err=True)


def print_renderables(shown: Iterable[object]) -> None:
    """Print tables of rich; 160 characters wide where stdout is no terminal."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160)
    for table in shown:
        console.print(table)
