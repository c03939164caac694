"""summary.tsv: the outcome of every file of reads, over all runs that wrote into a directory."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepchrome.common.files import atomic_write, special_kind
from deepchrome.common.locks import output_lock
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.samples import Sample
from deepchrome.errors import DeepchromeError, StorageError

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
SUMMARY_NAME = "summary.tsv"
_HEADER = "\t".join(SUMMARY_COLUMNS)
# Writing takes milliseconds. A run that holds the lock for longer than this is stuck.
_LOCK_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class FileOutcome:
    """The outcome of one file of reads.

    Attributes
    ----------
    sample
        The file, with its epigenome and mark.
    tally
        The result of counting the file; None if it failed or was kept.
    error
        Why the file failed; None if it did not.
    kept
        The record of the file in the feature file (see docs/format.md) if an earlier run counted it; otherwise None.
    """

    sample: Sample
    tally: ReadTally | None
    error: DeepchromeError | None
    kept: Mapping[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """Return the values of the file's row in summary.tsv, by column.

        All numbers are None for a file that failed. The times are None for a file that was kept.
        """
        row: dict[str, Any] = dict.fromkeys(SUMMARY_COLUMNS)
        row |= {"epigenome": self.sample.epigenome, "mark": self.sample.mark}
        if self.error:
            # The error names the file, and a file name may have bytes that are not UTF-8.
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
        """Return the record of this file in the feature file (see docs/format.md); None if it failed."""
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


def summary_path(out: Path) -> Path:
    """Return the path of the summary in a directory of feature files."""
    return out / SUMMARY_NAME


def summary_is_foreign(out: Path) -> bool:
    """Return whether the directory has a summary.tsv that :func:`write_summary` did not write.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    path = summary_path(out)
    if not os.path.lexists(path):
        return False
    if special_kind(path) or not path.exists():
        return True
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return True
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None
    return bool(lines) and lines[0] != _HEADER  # an empty file has nothing to lose


def write_summary(out: Path, outcomes: Sequence[FileOutcome]) -> None:
    """Write the rows of some epigenomes into summary.tsv, and leave the rows of other epigenomes unchanged.

    The row of a kept file stays as the run that counted it wrote it.

    Parameters
    ----------
    out
        The directory of feature files.
    outcomes
        The outcomes of all files of these epigenomes.

    Raises
    ------
    StorageError
        The file cannot be written, or another run holds its lock for more than a minute.
    """
    path = summary_path(out)
    with output_lock(out, [SUMMARY_NAME], _LOCK_WAIT_SECONDS):
        lines = [] if summary_is_foreign(out) or not path.exists() else path.read_text(encoding="utf-8").splitlines()
        earlier = {_row_key(line): line for line in lines[1:]}
        epigenomes = {outcome.sample.epigenome for outcome in outcomes}
        rows = {key: line for key, line in earlier.items() if key[0] not in epigenomes}
        for outcome in outcomes:
            line = _format_row(outcome)
            key = _row_key(line)
            # The feature file does not record the times, so take them from the earlier row.
            if outcome.kept and _without_times(earlier.get(key, "")) == _without_times(line):
                line = earlier[key]
            rows[key] = line
        with atomic_write(path) as temporary:
            temporary.write_text("\n".join([_HEADER, *(rows[key] for key in sorted(rows))]) + "\n", encoding="utf-8")


def _format_row(outcome: FileOutcome) -> str:
    row = outcome.row()
    if outcome.kept:
        row["status"] = "done"  # by an earlier run
    cells = ("" if value is None else str(value) for value in row.values())
    return "\t".join(" ".join(cell.split()) for cell in cells)


def _row_key(line: str) -> tuple[str, ...]:
    """Return the epigenome and the mark of a row."""
    return tuple(line.split("\t", 2)[:2])


def _without_times(line: str) -> list[str]:
    """Return the cells of a row, except its times."""
    times = {SUMMARY_COLUMNS.index(name) for name in ("seconds", "reads_per_second")}
    return [cell for i, cell in enumerate(line.split("\t")) if i not in times]
