"""Output of ``dc featurize``: progress on a terminal, messages, and the table at the end."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deepchrome.cli.messages import print_note
from deepchrome.cli.remedies import explain
from deepchrome.cli.show_names import note_renamed, renamed_chromosomes
from deepchrome.cli.tables import print_json, print_table
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.features.observer import FeaturizeObserver
from deepchrome.engine.features.resume import ReuseDecision
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.summary import SUMMARY_COLUMNS, FileOutcome, summary_rows

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

COLUMNS: Final = ("{task.description}", "bar", "bytes", "time left")
# In valid files, a few reads per million end past the end of their chromosome. With the wrong genome build, hundreds
# of times as many do.
_SUSPICIOUS_READS: Final = 10
_SUSPICIOUS_FRACTION: Final = 1e-4
_SHOWN_TYPES: Final = 6  # of the lines of an annotation


class FeaturizeProgress(FeaturizeObserver):
    """Progress output of ``featurize``: bars on a terminal, otherwise one line per file.

    The first bar covers the bytes of all files; below it, each file being counted has its own bar.

    Parameters
    ----------
    bars
        Progress bars with COLUMNS; None if standard error is not a terminal.

    Attributes
    ----------
    windows
        The windows to count in; None until counting starts.
    """

    def __init__(self, bars: "Progress | None") -> None:
        self.windows: Windows | None = None
        self._bars = bars
        self._total_bar: TaskID | None = None
        self._file_bars: dict[Sample, TaskID] = {}
        self._lock = threading.Lock()
        self._started = time.perf_counter()
        self._sizes: dict[Sample, int] = {}
        self._bytes: dict[Sample, int] = {}
        self._reads: dict[Sample, int] = {}
        self._n_finished = 0

    def on_decision(self, decision: ReuseDecision) -> None:
        """Print whether an epigenome is kept or counted again, and why."""
        if decision.action == "keep":
            self._print(f"{decision.epigenome}: {decision.why}, kept")
        elif decision.action == "redo":
            self._print(f"{decision.epigenome}: counted again: {decision.why}")

    def on_message(self, line: str) -> None:
        """Print a message."""
        print_note(line)

    def on_plan(self, samples: Sequence[Sample], windows: Windows) -> None:
        """Show the bar for all files together. Its total is unknown if one of them is not a local file."""
        self.windows = windows
        self._started = time.perf_counter()
        self._sizes = {sample: path.stat().st_size for sample in samples if (path := Path(sample.path)).is_file()}
        self._reads = dict.fromkeys(samples, 0)
        total = sum(self._sizes.values()) if len(self._sizes) == len(samples) else None
        if self._bars and samples:
            self._total_bar = self._bars.add_task("counting", total=total)

    def on_progress(self, sample: Sample, bytes_read: int, lines: int) -> None:
        """Update the bars."""
        if not self._bars or self._total_bar is None:
            return
        with self._lock:
            self._bytes[sample], self._reads[sample] = bytes_read, lines
            total_bytes = sum(self._bytes.values())
            if sample not in self._file_bars:
                name = f"  {sample.epigenome} {sample.mark}"
                self._file_bars[sample] = self._bars.add_task(name, total=self._sizes.get(sample))
        self._bars.update(self._file_bars[sample], completed=bytes_read)
        self._bars.update(self._total_bar, completed=total_bytes, description=f"{self._speed():.1f} million reads/s")

    def on_finish(self, outcome: FileOutcome) -> None:
        """Print the error of a file, or the overall progress if there are no bars."""
        sample = outcome.sample
        with self._lock:
            self._n_finished += 1
            self._bytes[sample] = self._sizes.get(sample, 0)
            if outcome.tally:
                self._reads[sample] = outcome.tally.reads
            if self._bars and sample in self._file_bars:
                self._bars.remove_task(self._file_bars.pop(sample))
        if self._bars and self._total_bar is not None:
            self._bars.update(self._total_bar, completed=sum(self._bytes.values()))
        if outcome.error:
            print_note(f"dc: {explain(outcome.error)}")
        elif outcome.tally and len(self._reads) > 1:
            self._print(
                f"{sample.epigenome} {sample.mark}: {outcome.tally.reads:,} reads in {outcome.tally.seconds:.1f} s; "
                f"{self._n_finished} of {len(self._reads)} files, {self._speed():.1f} million reads/s"
                f"{self._time_left()}"
            )

    def _speed(self) -> float:
        """Return the speed so far, in millions of reads per second."""
        return sum(self._reads.values()) / (time.perf_counter() - self._started) / 1e6

    def _time_left(self) -> str:
        """Estimate the remaining time from the bytes counted; return an empty text if it is unknown."""
        done, total = sum(self._bytes.values()), sum(self._sizes.values())
        if self._n_finished == len(self._reads) or not done or len(self._sizes) < len(self._reads):
            return ""
        seconds = (time.perf_counter() - self._started) * (total - done) / done
        return f", {seconds / 60:.0f} minutes left" if seconds > 90 else f", {seconds:.0f} seconds left"

    def _print(self, line: str) -> None:
        if not self._bars:
            print_note(line)


def show_outcomes(outcomes: Sequence[FileOutcome], windows: Windows | None, out: Path, as_json: bool) -> None:
    """Print the table of files, then warnings and the number of epigenomes written."""
    rows = summary_rows(outcomes)
    if as_json:
        print_json(rows)
    else:
        print_table(SUMMARY_COLUMNS, [tuple(row.values()) for row in rows])
    if windows:
        _note_names(outcomes, windows)
        _warn_about_genes(windows)
        _warn_about_genome(outcomes, windows)
    epigenomes = {outcome.sample.epigenome for outcome in outcomes}
    if not epigenomes:
        print_note(f"{out}: this shard contains no epigenomes; nothing to do")
        return
    failed = {outcome.sample.epigenome for outcome in outcomes if outcome.error}
    kept = {outcome.sample.epigenome for outcome in outcomes if outcome.kept}
    line = f"{out}: {len(epigenomes - failed - kept)} of {len(epigenomes)} epigenomes written"
    if kept:
        line += f", {len(kept)} kept"
    if failed:
        line += f", {len(failed)} failed ({_first_three(sorted(failed))})"
    print_note(f"{line}. See summary.tsv.")


def _note_names(outcomes: Sequence[FileOutcome], windows: Windows) -> None:
    """Say which names of chromosomes were taken for others, in the genes and in all files of reads together."""
    renamed = renamed_chromosomes(windows.genes.chrom, windows.chrom_id.tolist(), windows.genome)
    note_renamed("genes", renamed, windows.genome)
    of_files = [outcome.tally.renamed for outcome in outcomes if outcome.tally]
    note_renamed("reads", {name: target for found in of_files for name, target in found.items()}, windows.genome)


def _warn_about_genome(outcomes: Sequence[FileOutcome], windows: Windows) -> None:
    """Warn if so many reads end past their chromosome that they seem to be from another genome build."""
    for outcome in outcomes:
        tally = outcome.tally
        if tally and tally.past_end > _SUSPICIOUS_READS + _SUSPICIOUS_FRACTION * tally.reads:
            print_note(
                f"{outcome.sample.shown_path}: {tally.past_end:,} of {tally.reads:,} reads end past the end of their "
                f"chromosome. Is {windows.genome.name} the genome they were aligned to?"
            )


def _warn_about_genes(windows: Windows) -> None:
    """Report genes without a strand, on unknown chromosomes or near a chromosome end, and repeated gene IDs."""
    genes = windows.genes
    unplaced = [gene for gene, chrom in zip(genes.gene_id, windows.chrom_id, strict=True) if chrom < 0]
    if genes.lines_used:
        line = f"genes: {len(genes) + len(windows.dropped)}, from lines of type {_lines_by_type(genes.lines_used)}"
        unused = _lines_by_type(genes.lines_unused)
        print_note(f"{line}; not used: {unused}" if unused else line)
    notes = {
        "genes left out because their table gives no strand, so that their TSS is unknown": list(genes.strandless),
        "genes whose transcripts lie on several chromosomes or strands, counted in one of these places": list(
            genes.scattered
        ),
        f"genes on chromosomes that {windows.genome.name} lacks (all bins are 0)": unplaced,
        "genes with bins outside their chromosome (these bins are 0)": [genes.gene_id[i] for i in windows.outside],
        "genes dropped because they have bins outside their chromosome": list(windows.dropped),
    }
    for note, ids in notes.items():
        if ids:
            print_note(f"{note}: {len(ids)} ({_first_three(ids)})")
    if duplicates := len(genes) - len(set(genes.gene_id)):
        print_note(f"rows that repeat a gene ID: {duplicates}. Use --unique-genes to keep only the first row of each.")


def _lines_by_type(lines: Mapping[str, int]) -> str:
    """Return the numbers of lines by type as text; the types after the sixth are summed up."""
    items = [*lines.items()]
    shown = [f"{name} {n:,}" for name, n in items[:_SHOWN_TYPES]]
    if rest := items[_SHOWN_TYPES:]:
        shown.append(f"{len(rest)} other types {sum(n for _, n in rest):,}")
    return ", ".join(shown)


def _first_three(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
