"""Output of ``dc count``: progress on a terminal, and messages about each file of reads."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deepchrome.cli.messages import print_note
from deepchrome.cli.show_names import note_renamed, renamed_chromosomes
from deepchrome.cli.tables import print_json
from deepchrome.common.names import first_names
from deepchrome.common.urls import hide_secrets
from deepchrome.engine.annotation.aliases import chromosome_ids
from deepchrome.engine.counting.bigwig import SIGNAL_FORMAT
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.regioncounts.count import CountObserver
from deepchrome.engine.regioncounts.result import RegionCounts
from deepchrome.engine.regioncounts.write import describe_source

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

COLUMNS: Final = ("{task.description}", "bar", "bytes", "time left")

# Why reads and records do not count that a user might expect to count, by the names of ReadQuality.
_LEFT_OUT: Final = {
    "not_fragment": "records or lines that stand for no fragment",
    "shifted_off": "shifted off their chromosome",
    "blacklisted": "on the blacklist",
}


class CountProgress(CountObserver):
    """Progress of ``dc count``: a bar for each file on a terminal, and one for all; nothing elsewhere.

    Parameters
    ----------
    bars
        Progress bars with COLUMNS; None if standard error is not a terminal.
    paths
        The files to count.
    """

    def __init__(self, bars: "Progress | None", paths: Sequence[str]) -> None:
        self._bars = bars
        self._lock = threading.Lock()
        self._started = time.perf_counter()
        self._sizes = {path: Path(path).stat().st_size for path in paths if Path(path).is_file()}
        self._bytes = dict.fromkeys(paths, 0)
        self._reads = dict.fromkeys(paths, 0)
        self._file_bars: dict[str, TaskID] = {}
        total = sum(self._sizes.values()) if len(self._sizes) == len(paths) else None
        self._total_bar = bars.add_task("counting", total=total) if bars else None

    def on_progress(self, path: str, bytes_read: int, lines: int) -> None:
        """Update the bars."""
        if not self._bars or self._total_bar is None:
            return
        with self._lock:
            self._bytes[path], self._reads[path] = bytes_read, lines
            if path not in self._file_bars:
                name = Path(hide_secrets(path)).name
                self._file_bars[path] = self._bars.add_task(f"  {name}", total=self._sizes.get(path))
            speed = sum(self._reads.values()) / (time.perf_counter() - self._started) / 1e6
        self._bars.update(self._file_bars[path], completed=bytes_read)
        self._bars.update(
            self._total_bar, completed=sum(self._bytes.values()), description=f"{speed:.1f} million reads/s"
        )

    def on_finish(self, path: str, tally: ReadTally) -> None:
        """Remove the bar of a file."""
        with self._lock:
            self._reads[path] = tally.reads
            bar = self._file_bars.pop(path, None)
        if self._bars and bar is not None:
            self._bars.remove_task(bar)


def show_counts(counts: RegionCounts, out: str, as_json: bool) -> None:
    """Print one line per file on standard error, and the summaries as JSON on standard output if asked for."""
    for path, tally in zip(counts.paths, counts.tallies, strict=True):
        print_note(f"{hide_secrets(path)}: {_describe(tally)}")
    _note_names(counts)
    if len(counts.off_genome):
        ids = {counts.regions.chrom[row] for row in counts.off_genome}
        names = first_names([name for i, name in enumerate(counts.regions.chrom_names) if i in ids])
        print_note(
            f"regions on chromosomes that {counts.genome.name} lacks (their counts are 0): "
            f"{len(counts.off_genome):,} ({names})"
        )
    if as_json:
        print_json([*map(_summary, counts.names, counts.paths, counts.tallies)])
    if out != "-":
        print_note(f"{out}: {len(counts.regions.start):,} regions, {len(counts.paths)} files")


def _note_names(counts: RegionCounts) -> None:
    """Say which names of chromosomes were taken for others, in the regions and in all files of reads together."""
    names, genome = counts.regions.chrom_names, counts.genome
    ids = chromosome_ids(names, genome, counts.options.aliases)
    note_renamed("regions", renamed_chromosomes(names, [*ids.values()], genome), genome)
    note_renamed("reads", {name: own for tally in counts.tallies for name, own in tally.renamed.items()}, genome)


def _summary(name: str, path: str, tally: ReadTally) -> dict[str, Any]:
    record = describe_source(path, tally)
    record.pop("quality", None)
    record["reads_in_regions"] = record.pop("reads_in_windows")
    return {"column": name, **record, "seconds": round(tally.seconds, 3)}


def _describe(tally: ReadTally) -> str:
    """Describe the reads or the signal of a file in one line."""
    if tally.format == SIGNAL_FORMAT:
        line = f"signal averaged in {tally.seconds:.1f} s"
        return f"{line}; {len(tally.off_genome)} of its chromosomes are not in the genome" if tally.off_genome else line
    share = tally.in_windows / max(tally.reads, 1)
    line = f"{tally.reads:,} reads in {tally.seconds:.1f} s, {share:.1%} in regions"
    if off_genome := sum(tally.off_genome.values()):
        line += f", {off_genome:,} on chromosomes that the genome lacks"
    filtered = tally.quality.filtered if tally.quality else {}
    for reason, words in _LEFT_OUT.items():
        if reason in filtered:
            line += f", {filtered[reason]:,} {words}"
    if tally.past_end:
        line += f", {tally.past_end:,} past the end of their chromosome"
    return line
