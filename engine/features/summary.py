"""summary.tsv: the outcome of every epigenome and mark, over all runs that wrote into a directory."""

from collections.abc import Iterable, Mapping, Sequence
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
        """Return the row of this file alone, by column of summary.tsv; see :func:`summary_rows`."""
        return _sample_row([self])

    def source(self) -> Mapping[str, Any] | None:
        """Return the record of this file in the feature file (see docs/format.md); None if it failed."""
        if self.tally is None:
            return self.kept
        return read_record(self.tally, self.sample.file_name)


def summary_rows(outcomes: Iterable[FileOutcome]) -> list[dict[str, Any]]:
    """Return one row per epigenome and mark, by column, in the order in which they first occur.

    Numbers of pooled files are added up. If one of the files has failed, all numbers are None, and the status has its
    error. The times are None for files that were kept.
    """
    files: dict[tuple[str, str], list[FileOutcome]] = {}
    for outcome in outcomes:
        files.setdefault((outcome.sample.epigenome, outcome.sample.mark), []).append(outcome)
    return [_sample_row(found) for found in files.values()]


def _sample_row(outcomes: Sequence[FileOutcome]) -> dict[str, Any]:
    """Return the row of the files of one epigenome and mark."""
    sample = outcomes[0].sample
    row: dict[str, Any] = dict.fromkeys(SUMMARY_COLUMNS) | {"epigenome": sample.epigenome, "mark": sample.mark}
    if errors := [outcome.error for outcome in outcomes if outcome.error]:
        more = f"; so have {len(errors) - 1} other files" if len(errors) > 1 else ""
        # The error names the file, and a file name may have bytes that are not UTF-8.
        return row | {"status": f"failed: {errors[0]}{more}".encode("utf-8", "backslashreplace").decode()}
    sources = [source for outcome in outcomes if (source := outcome.source())]
    reads, in_windows = (sum(source[name] for source in sources) for name in ("reads", "reads_in_windows"))
    row |= {
        "reads": reads,
        "reads_in_windows": in_windows,
        "fraction_in_windows": round(in_windows / max(reads, 1), 6),
        "reads_off_genome": sum(sum(source["reads_off_genome"].values()) for source in sources),
        "reads_past_end": sum(source["reads_past_end"] for source in sources),
        "status": "kept" if outcomes[0].kept else "done",
    }
    tallies = [outcome.tally for outcome in outcomes if outcome.tally]
    if len(tallies) == len(outcomes):
        seconds = sum(tally.seconds for tally in tallies)
        row |= {"seconds": round(seconds, 3), "reads_per_second": round(reads / seconds)}
    return row


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
    kept = {(outcome.sample.epigenome, outcome.sample.mark) for outcome in outcomes if outcome.kept}
    rows = []
    for row in summary_rows(outcomes):
        is_kept = (row["epigenome"], row["mark"]) in kept
        # An earlier run has done it.
        rows.append(TableRow({**row, "status": "done"} if is_kept else row, kept=is_kept))
    merge_rows(summary_path(out), SUMMARY_COLUMNS, rows, 2, _TIMES)
