"""What dc download shows: progress, a line per file, tables at the end."""

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from deepchrome.cli.tables import Cell, print_table
from deepchrome.engine.roadmap.download import DownloadObserver, DownloadResult, PlannedDownload
from deepchrome.engine.roadmap.manifest import ManifestEntry

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class DownloadProgress(DownloadObserver):
    """A line per file that is done; on a terminal, one bar over the bytes of all."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        self._lock = threading.Lock()
        self._bytes: dict[str, int] = {}
        self._left: set[str] = set()

    def __enter__(self) -> "DownloadProgress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
            from rich.progress import TransferSpeedColumn as SpeedColumn

            text = TextColumn("{task.description}")
            columns = (text, BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bars:
            self._bars.stop()

    def planned(self, files: Sequence[PlannedDownload]) -> None:
        """Say how much there is to do; the bar is for bytes that are not there."""
        wanted = [file for file in files if not file.there and not file.error]
        self._left = {file.entry.file for file in wanted}
        self._bytes = {file.entry.file: file.begun for file in wanted}
        self._say(_what_is_missing(files))
        if self._bars:
            known = all(file.size is not None for file in wanted)
            self._task = self._bars.add_task("", total=sum(file.size or 0 for file in wanted) if known else None)
            self._show()

    def advanced(self, entry: ManifestEntry, bytes_there: int) -> None:
        """Move the bar."""
        with self._lock:
            self._bytes[entry.file] = bytes_there
            self._show()

    def finished(self, fetched: DownloadResult) -> None:
        """Say what became of a file."""
        row = fetched.row()
        size = f", {row['bytes']:,} bytes" if row["bytes"] is not None else ""
        self._say(f"{row['file']}: {row['status']}{size}")
        with self._lock:
            self._left.discard(fetched.entry.file)
            self._show()

    def _show(self) -> None:
        if self._bars and self._task is not None:
            left = f"{len(self._left)} files to go"
            self._bars.update(self._task, completed=sum(self._bytes.values()), description=left)

    def _say(self, line: str) -> None:
        if self._bars:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(line, err=True)


def show_plan(files: Sequence[PlannedDownload], as_json: bool) -> None:
    """Print what would be fetched."""
    _print([{"file": file.entry.file, "bytes": file.size, "status": file.status} for file in files], as_json)
    typer.echo(_what_is_missing(files), err=True)


def show_fetched(done: Sequence[DownloadResult], out: Path, as_json: bool) -> None:
    """Print the closing table, and how many files came to what."""
    _print([fetched.row() for fetched in done], as_json)
    statuses = [fetched.status for fetched in done]
    counts = (f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    typer.echo(f"{out}: {', '.join(counts)}", err=True)


def _what_is_missing(files: Sequence[PlannedDownload]) -> str:
    wanted = [file for file in files if not file.there and not file.error]
    unknown = sum(file.size is None for file in wanted)
    size = f"{sum(file.missing for file in wanted):,} bytes"
    absent = sum(file.error is not None for file in files)
    return (
        f"{len(wanted)} of {len(files)} files to fetch, {size}"
        + (f" and what is in {unknown} of unknown size" if unknown else "")
        + (f"; {absent} cannot be had" if absent else "")
    )


def _print(rows: Sequence[Mapping[str, Cell]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        print_table(list(rows[0]), [tuple(row.values()) for row in rows])
