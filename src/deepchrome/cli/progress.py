"""Progress bars on standard error, shown only on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress_bars(*columns: str) -> Iterator["Progress | None"]:
    """Show progress bars until the context ends; yield None if standard error is not a terminal.

    Parameters
    ----------
    columns
        What each bar shows, from left to right: ``bar``, ``bytes``, ``count``, ``speed``, ``time left``, or a text
        that rich formats, such as ``{task.description}``.
    """
    if not sys.stderr.isatty():  # return before the import of rich, which is slow
        yield None
        return
    from rich import progress
    from rich.console import Console

    named = {
        "bar": progress.BarColumn,
        "bytes": progress.DownloadColumn,
        "count": progress.MofNCompleteColumn,
        "speed": progress.TransferSpeedColumn,
        "time left": progress.TimeRemainingColumn,
    }
    shown = [named[text]() if text in named else progress.TextColumn(text, markup=False) for text in columns]
    with progress.Progress(*shown, console=Console(stderr=True), transient=True) as bars:
        yield bars
