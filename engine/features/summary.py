"""summary.tsv: what became of every file of reads, over all runs that wrote into a directory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepchrome.common.files import atomic_write, output_lock
from deepchrome.engine.counting.count import ReadTally
from deepchrome.engine.features.samples import Sample
from deepchrome.errors import DeepchromeError

SUMMARY_COLUMNS = (
    "epigenome",
    "mark",
    "reads",
    "reads_in_windows",
    "fraction_in_windows",
    "reads_off_genome",
    "reads_past_end",
    "seconds",
    "reads_per_second",
    "status",
)
_FILE = "summary.tsv"
# A summary is written in milliseconds: who holds it longer hangs.
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file of reads.

    Attributes
    ----------
    sample
        The file, and what it is.
    tally
        What it came to, without its counts; None where it failed or was not counted now.
    error
        What ended it.
    kept
        Where an earlier run's counts of it still hold: what the feature file says of this source.
    """

    sample: Sample
    tally: ReadTally | None
    error: DeepchromeError | None
    kept: Mapping[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """Return the row of summary.tsv; numbers are None where the file failed, times where it was kept."""
        row: dict[str, Any] = dict.fromkeys(SUMMARY_COLUMNS)
        row |= {"epigenome": self.sample.epigenome, "mark": self.sample.mark}
        if self.error:
            # The name of a file need not be text.
            row["status"] = f"failed: {self.error}".encode("utf-8", "backslashreplace").decode()
        elif source := self.source():
            row |= {
                "reads": source["reads"],
                "reads_in_windows": source["reads_in_windows"],
                "fraction_in_windows": round(source["reads_in_windows"] / max(source["reads"], 1), 6),
                "reads_off_genome": sum(source["reads_off_genome"].values()),
                "reads_past_end": source["reads_past_end"],
                "status": "kept" if self.kept else "done",
            }
        if self.tally:
            row |= {
                "seconds": round(self.tally.seconds, 3),
                "reads_per_second": round(self.tally.reads / self.tally.seconds),
            }
        return row

    def source(self) -> Mapping[str, Any] | None:
        """Return what a feature file says of this file of reads; None where it failed. See docs/format.md."""
        if self.tally is None:
            return self.kept
        tally = self.tally
        return {
            "name": self.sample.file_name,
            "format": tally.format,
            "bytes": tally.bytes_read,
            "sha256": tally.sha256,
            "reads": tally.reads,
            "reads_in_windows": tally.in_windows,
            "reads_off_genome": dict(tally.off_genome),
            "reads_past_end": tally.past_end,
            "reads_filtered": tally.filtered,
            "read_length_bp": {"min": tally.min_length, "mean": tally.mean_length, "max": tally.max_length},
        } | ({"etag": tally.etag} if tally.etag else {})


def write_summary(out: Path, outcomes: Sequence[FileOutcome]) -> None:
    """Put the rows of some epigenomes into summary.tsv; those of other epigenomes stay.

    A file that was kept keeps the row of the run that counted it.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    header = "\t".join(SUMMARY_COLUMNS)
    path = out / _FILE
    with output_lock(out, [_FILE], _PATIENCE_SECONDS):
        earlier = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        rows = {_key(line): line for line in earlier[1:]} if earlier[:1] == [header] else {}
        before = dict(rows)
        ours = {outcome.sample.epigenome for outcome in outcomes}
        rows = {key: line for key, line in rows.items() if key[0] not in ours}
        for outcome in outcomes:
            line = _line(outcome)
            counted = before.get(_key(line), "")
            # All but its times stands in the feature file: the row is the same but for them.
            if outcome.kept and _without_times(counted) == _without_times(line):
                line = counted
            rows[_key(line)] = line
        with atomic_write(path) as temporary:
            temporary.write_text("\n".join([header, *(rows[key] for key in sorted(rows))]) + "\n", encoding="utf-8")


def _line(outcome: FileOutcome) -> str:
    row = outcome.row()
    if outcome.kept:
        row["status"] = "done"  # by an earlier run
    cells = ("" if value is None else str(value) for value in row.values())
    return "\t".join(" ".join(cell.split()) for cell in cells)


def _key(line: str) -> tuple[str, ...]:
    return tuple(line.split("\t", 2)[:2])


def _without_times(line: str) -> list[str]:
    times = {SUMMARY_COLUMNS.index(name) for name in ("seconds", "reads_per_second")}
    return [cell for i, cell in enumerate(line.split("\t")) if i not in times]
