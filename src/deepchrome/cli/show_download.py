"""Print the output of ``dc download``: progress, one line per finished file, and the final table."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deepchrome.cli.messages import print_note
from deepchrome.cli.remedies import explain
from deepchrome.cli.tables import Cell, print_json, print_table
from deepchrome.engine.roadmap.download import FAILED, DownloadObserver, DownloadResult, PlannedDownload
from deepchrome.engine.roadmap.manifest import ManifestEntry

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

COLUMNS: Final = ("{task.description}", "bar", "bytes", "speed", "time left")


class DownloadProgress(DownloadObserver):
    """Print a line per finished file, and show one progress bar for the bytes of all files.

    Parameters
    ----------
    bars
        Progress bars with the columns COLUMNS; None if standard error is not a terminal.
    """

    def __init__(self, bars: "Progress | None") -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._lock = threading.Lock()
        self._bytes: dict[str, int] = {}
        self._unfinished: set[str] = set()

    def on_plan(self, files: Sequence[PlannedDownload]) -> None:
        """Print a summary of the plan and show the bar. The total is unknown if the size of any file is unknown."""
        wanted = _files_to_fetch(files)
        self._unfinished = {file.entry.file for file in wanted}
        self._bytes = {file.entry.file: file.bytes_there for file in wanted}
        self._print(_summarize_plan(files))
        if self._bars:
            known = all(file.size is not None for file in wanted)
            self._task = self._bars.add_task("", total=sum(file.size or 0 for file in wanted) if known else None)
            self._update_bar()

    def on_progress(self, entry: ManifestEntry, bytes_there: int) -> None:
        """Move the bar."""
        with self._lock:
            self._bytes[entry.file] = bytes_there
            self._update_bar()

    def on_finish(self, result: DownloadResult) -> None:
        """Print the status of a finished file."""
        name, line = result.entry.file, f"{result.entry.file}: {result.status}"
        if result.error and result.status == FAILED:
            line += f": {explain(result.error)}"
        elif not result.error and result.entry.bytes is not None:
            line += f", {result.entry.bytes:,} bytes"
        self._print(line)
        with self._lock:
            self._unfinished.discard(name)
            self._update_bar()

    def _update_bar(self) -> None:
        if self._bars and self._task is not None:
            description = f"{len(self._unfinished)} files to go"
            self._bars.update(self._task, completed=sum(self._bytes.values()), description=description)

    def _print(self, line: str) -> None:
        if self._bars:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print_note(line)


def show_plan(files: Sequence[PlannedDownload], as_json: bool) -> None:
    """Print a table with the planned action for each file, and a summary of the plan."""
    _print_files([{"file": file.entry.file, "bytes": file.size, "status": file.status} for file in files], as_json)
    print_note(_summarize_plan(files))


def show_results(results: Sequence[DownloadResult], out: Path, as_json: bool) -> None:
    """Print the table of files and the number of files with each status."""
    _print_files([result.row() for result in results], as_json)
    statuses = [result.status for result in results]
    counts = (f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    print_note(f"{out}: {', '.join(counts)}")


def _files_to_fetch(files: Sequence[PlannedDownload]) -> list[PlannedDownload]:
    return [file for file in files if not file.there and not file.error]


def _summarize_plan(files: Sequence[PlannedDownload]) -> str:
    wanted = _files_to_fetch(files)
    line = f"{len(wanted)} of {len(files)} files to fetch, {sum(file.missing for file in wanted):,} bytes"
    if unknown := sum(file.size is None for file in wanted):
        line += f"; unknown size: {unknown}"
    if unavailable := sum(file.error is not None for file in files):
        line += f"; not available: {unavailable}"
    return line


def _print_files(rows: Sequence[Mapping[str, Cell]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table(list(rows[0]), [tuple(row.values()) for row in rows])
