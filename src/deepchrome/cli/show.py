"""What the engine's commands show: progress on a terminal, tables at the end."""

import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from deepchrome.cli.tables import print_table
from deepchrome.engine.featurize import SUMMARY_COLUMNS, Observer, Outcome
from deepchrome.engine.samples import Sample
from deepchrome.engine.windows import Windows

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class FeaturizeProgress(Observer):
    """One bar over the bytes of all files, with reads a second; on a terminal only."""

    def __init__(self) -> None:
        self.windows: Windows | None = None
        self._bars: Progress | None = None
        self._task: TaskID | None = None
        self._lock = threading.Lock()
        self._began = time.perf_counter()
        self._bytes: dict[Sample, int] = {}
        self._lines: dict[Sample, int] = {}

    def __enter__(self) -> "FeaturizeProgress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            text = TextColumn("{task.description}")
            columns = (text, BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bars:
            self._bars.stop()

    def planned(self, samples: Sequence[Sample], windows: Windows) -> None:
        """Set the bar to the bytes of all files; without a total if one of them is a stream."""
        self.windows = windows
        paths = [Path(sample.path) for sample in samples]
        total = sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else None
        if self._bars:
            self._task = self._bars.add_task("counting", total=total)

    def advanced(self, sample: Sample, bytes_read: int, lines: int) -> None:
        """Move the bar."""
        if not self._bars or self._task is None:
            return
        with self._lock:
            self._bytes[sample], self._lines[sample] = bytes_read, lines
            rate = sum(self._lines.values()) / (time.perf_counter() - self._began) / 1e6
            done = sum(self._bytes.values())
        self._bars.update(self._task, completed=done, description=f"{rate:.1f} million reads a second")

    def finished(self, outcome: Outcome) -> None:
        """Say at once which file is bad."""
        if outcome.error:
            typer.echo(f"dc: {outcome.error}", err=True)


def show_outcomes(outcomes: Sequence[Outcome], windows: Windows | None, out: Path, as_json: bool) -> None:
    """Print the closing table, and say what is special about the genes."""
    rows = [outcome.row() for outcome in outcomes]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        print_table(SUMMARY_COLUMNS, [tuple(row.values()) for row in rows])
    if windows:
        _tell_of_genes(windows)
        _tell_of_place(outcomes, windows)
    written = {o.sample.epigenome for o in outcomes} - {o.sample.epigenome for o in outcomes if o.error}
    total = len({o.sample.epigenome for o in outcomes})
    typer.echo(f"{out}: {len(written)} of {total} epigenomes written, and summary.tsv", err=True)


# Real files have a few such reads in millions; the wrong build has hundreds of times as many.
_SUSPICIOUS_PAST_END = 1e-4


def _tell_of_place(outcomes: Sequence[Outcome], windows: Windows) -> None:
    """Say it where reads lie as if they were of another genome build."""
    for outcome in outcomes:
        if outcome.tally and outcome.tally.past_end > 10 + _SUSPICIOUS_PAST_END * outcome.tally.reads:
            typer.echo(
                f"{outcome.sample.path}: {outcome.tally.past_end:,} of {outcome.tally.reads:,} reads end beyond their "
                f"chromosome: is {windows.genome.name} the genome they were aligned to?",
                err=True,
            )


def _tell_of_genes(windows: Windows) -> None:
    """Say on standard error what is special about the genes: none of it is silent."""
    genes = windows.genes
    lost = [i for i, chrom in enumerate(windows.chrom_id) if chrom < 0]
    notes = {
        f"lie on chromosomes that {windows.genome.name} lacks; all their bins are 0": [genes.gene_id[i] for i in lost],
        "reach beyond their chromosome; the bins outside are 0": [genes.gene_id[i] for i in windows.outside],
        "reach beyond their chromosome and were dropped": list(windows.dropped),
    }
    for note, ids in notes.items():
        if ids:
            typer.echo(f"{len(ids)} genes {note}: {', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''}", err=True)
    if duplicates := len(genes) - len(set(genes.gene_id)):
        typer.echo(f"{duplicates} rows repeat a gene id; --unique-genes keeps the first of each", err=True)
