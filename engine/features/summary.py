"""summary.tsv: the outcome of every file of reads, over all runs that wrote into a directory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.records import read_record
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.tables import TableRow, merge_rows, table_is_foreign
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
SUMMARY_NAME = "summary.tsv"
_TIMES = ("seconds", "reads_per_second")


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
        return read_record(self.tally, self.sample.file_name)


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
    return table_is_foreign(summary_path(out), SUMMARY_COLUMNS)


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
    merge_rows(summary_path(out), SUMMARY_COLUMNS, [_table_row(outcome) for outcome in outcomes], 2, _TIMES)


def _table_row(outcome: FileOutcome) -> TableRow:
    row = outcome.row()
    if outcome.kept:
        row["status"] = "done"  # by an earlier run
    return TableRow(row, kept=outcome.kept is not None)
