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
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.features.featurize import FeaturizeObserver
from deepchrome.engine.features.resume import ReuseDecision
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.summary import SUMMARY_COLUMNS, FileOutcome

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class FeaturizeProgress(FeaturizeObserver):
    """How far the work is: on a terminal a bar over all files and one for each that is being counted, else lines."""

    def __init__(self) -> None:
        self.windows: Windows | None = None
        self._bars: Progress | None = None
        self._all: TaskID | None = None
        self._each: dict[Sample, TaskID] = {}
        self._lock = threading.Lock()
        self._began = time.perf_counter()
        self._sizes: dict[Sample, int] = {}
        self._bytes: dict[Sample, int] = {}
        self._lines: dict[Sample, int] = {}
        self._n_done = 0

    def __enter__(self) -> "FeaturizeProgress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            text = TextColumn("{task.description}", markup=False)
            columns = (text, BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bars:
            self._bars.stop()

    def judged(self, verdict: ReuseDecision) -> None:
        """Say what is kept, what is made anew, and why."""
        if verdict.action == "keep":
            self._say(f"{verdict.epigenome}: {verdict.why}, kept")
        elif verdict.action == "redo":
            self._say(f"{verdict.epigenome}: counted again: {verdict.why}")

    def told(self, line: str) -> None:
        """Say it."""
        typer.echo(line, err=True)

    def planned(self, samples: Sequence[Sample], windows: Windows) -> None:
        """Set the bar to the bytes of all files; without a total if one of them is a stream."""
        self.windows = windows
        self._began = time.perf_counter()
        self._sizes = {sample: path.stat().st_size for sample in samples if (path := Path(sample.path)).is_file()}
        self._lines = dict.fromkeys(samples, 0)
        total = sum(self._sizes.values()) if len(self._sizes) == len(samples) else None
        if self._bars and samples:
            self._all = self._bars.add_task("counting", total=total)

    def advanced(self, sample: Sample, bytes_read: int, lines: int) -> None:
        """Move the bars."""
        if not self._bars or self._all is None:
            return
        with self._lock:
            self._bytes[sample], self._lines[sample] = bytes_read, lines
            done = sum(self._bytes.values())
            if sample not in self._each:
                name = f"  {sample.epigenome} {sample.mark}"
                self._each[sample] = self._bars.add_task(name, total=self._sizes.get(sample))
        self._bars.update(self._each[sample], completed=bytes_read)
        self._bars.update(self._all, completed=done, description=f"{self._rate():.1f} million reads a second")

    def finished(self, outcome: FileOutcome) -> None:
        """Say at once which file is bad; how far the work is where no bar shows it."""
        sample = outcome.sample
        with self._lock:
            self._n_done += 1
            self._bytes[sample] = self._sizes.get(sample, 0)
            if outcome.tally:
                self._lines[sample] = outcome.tally.reads
            if self._bars and sample in self._each:
                self._bars.remove_task(self._each.pop(sample))
        if self._bars and self._all is not None:
            self._bars.update(self._all, completed=sum(self._bytes.values()))
        if outcome.error:
            typer.echo(f"dc: {outcome.error}", err=True)
        elif outcome.tally and len(self._lines) > 1:
            self._say(
                f"{sample.epigenome} {sample.mark}: {outcome.tally.reads:,} reads in {outcome.tally.seconds:.1f} s; "
                f"{self._n_done} of {len(self._lines)} files, {self._rate():.1f} million reads a second{self._left()}"
            )

    def _rate(self) -> float:
        return sum(self._lines.values()) / (time.perf_counter() - self._began) / 1e6

    def _left(self) -> str:
        """Estimate from the bytes done what is left, as a clause; nothing where there is nothing to go by."""
        done, total = sum(self._bytes.values()), sum(self._sizes.values())
        if self._n_done == len(self._lines) or not done or len(self._sizes) < len(self._lines):
            return ""
        seconds = (time.perf_counter() - self._began) * (total - done) / done
        return f", {seconds / 60:.0f} minutes left" if seconds > 90 else f", {seconds:.0f} seconds left"

    def _say(self, line: str) -> None:
        if not self._bars:
            typer.echo(line, err=True)


def show_outcomes(outcomes: Sequence[FileOutcome], windows: Windows | None, out: Path, as_json: bool) -> None:
    """Print the closing table, and say what is special about the genes."""
    rows = [outcome.row() for outcome in outcomes]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        print_table(SUMMARY_COLUMNS, [tuple(row.values()) for row in rows])
    if windows:
        _tell_of_genes(windows)
        _tell_of_place(outcomes, windows)
    failed = {outcome.sample.epigenome for outcome in outcomes if outcome.error}
    kept = {outcome.sample.epigenome for outcome in outcomes if outcome.kept}
    everything = {outcome.sample.epigenome for outcome in outcomes}
    if not everything:
        typer.echo(f"{out}: no epigenome is in this part; nothing to do", err=True)
        return
    had = f", {len(kept)} kept as they were" if kept else ""
    had += (
        f", {len(failed)} failed ({', '.join(sorted(failed)[:3])}{', ...' if len(failed) > 3 else ''})"
        if failed
        else ""
    )
    written = len(everything - failed - kept)
    typer.echo(f"{out}: {written} of {len(everything)} epigenomes written{had}, and summary.tsv", err=True)


# Real files have a few such reads in millions; the wrong build has hundreds of times as many.
_SUSPICIOUS_PAST_END = 1e-4


def _tell_of_place(outcomes: Sequence[FileOutcome], windows: Windows) -> None:
    """Say it where reads lie as if they were of another genome build."""
    for outcome in outcomes:
        if outcome.tally and outcome.tally.past_end > 10 + _SUSPICIOUS_PAST_END * outcome.tally.reads:
            typer.echo(
                f"{outcome.sample.shown_path}: {outcome.tally.past_end:,} of {outcome.tally.reads:,} reads end beyond "
                f"their chromosome: is {windows.genome.name} the genome they were aligned to?",
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
