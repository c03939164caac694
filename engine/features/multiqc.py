"""Sections on files of reads for reports of MultiQC."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from deepchrome.common.locks import output_lock
from deepchrome.common.multiqc import Section, plain_text, section_is_foreign, without_none, write_sections
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.pooling import records_of
from deepchrome.engine.features.qc import (
    QC_NAME,
    FileQuality,
    outcome_quality,
    qc_is_foreign,
    qc_rows,
    tell_apart,
    write_qc,
)
from deepchrome.engine.features.summary import FileOutcome
from deepchrome.engine.features.tables import LOCK_WAIT_SECONDS
from deepchrome.errors import BadDataError, UsageError

TABLE_NAME: Final = "deepchrome_mqc.json"
GENERAL_NAME: Final = "deepchrome_general_mqc.json"
LENGTHS_NAME: Final = "deepchrome_lengths_mqc.json"
CHROMOSOMES_NAME: Final = "deepchrome_chromosomes_mqc.json"
REPORT_NAMES: Final = (TABLE_NAME, GENERAL_NAME, LENGTHS_NAME, CHROMOSOMES_NAME)
# What a record must have to be shown. Other programs may leave out any part of it.
_RECORD_KEYS: Final = frozenset(
    ("name", "format", "reads", "reads_in_windows", "reads_off_genome", "reads_past_end", "reads_filtered")
)
# Enough for 1 to 22, X, Y and M. A genome may also have hundreds of scaffolds, with few reads.
_MAX_CHROMOSOMES: Final = 25

_PARENT: Final = (
    "deepchrome_reads",
    "deepchrome: reads",
    "Quality of the files of reads that deepchrome counted. Regions are the windows around the TSSs, or the regions of "
    "dc count.",
)
_COUNT: Final[Mapping[str, Any]] = {"format": "{:,d}", "min": 0, "scale": "Blues"}
_PERCENT: Final[Mapping[str, Any]] = {"format": "{:,.2f}", "min": 0, "max": 100, "suffix": "%"}
_RATIO: Final[Mapping[str, Any]] = {"format": "{:.3f}", "min": 0, "max": 1}
_LENGTH: Final[Mapping[str, Any]] = {"format": "{:,.1f}", "min": 0, "suffix": " bp", "scale": False, "hidden": True}
_SAMPLED: Final = "An exact count over a random share of the positions of reads in regions, not over the whole library."
_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "reads": {
        **_COUNT,
        "title": "Reads",
        "description": "Reads that were counted: lines of text, or records that pass the filters, also those outside "
        "the regions.",
    },
    "in_regions": {
        **_PERCENT,
        "title": "In regions",
        "description": "Reads that overlap a region by 1 bp or more, in % of the reads.",
        "scale": "Greens",
    },
    "duplicates": {
        **_PERCENT,
        "title": "Dups",
        "description": "Records with the duplicate flag, counted or left out, in % of all records of the file.",
        "scale": "OrRd",
    },
    "filtered": {
        **_COUNT,
        "title": "Left out",
        "description": "Records that were left out: not placed, duplicates, QC failures, low mapping quality, and "
        "others (see qc.tsv).",
        "scale": "OrRd",
    },
    "forward": {
        **_PERCENT,
        "title": "Forward",
        "description": "Reads on the forward strand, in % of the reads in regions whose strand is known.",
        "scale": "PiYG",
    },
    "length_min": {**_LENGTH, "title": "Shortest", "description": "Shortest read, along the reference."},
    "length_median": {
        **_LENGTH,
        "title": "Median length",
        "description": "Median length of the reads, along the reference.",
        "hidden": False,
    },
    "length_mean": {**_LENGTH, "title": "Mean length", "description": "Mean length of the reads, along the reference."},
    "length_max": {**_LENGTH, "title": "Longest", "description": "Longest read, along the reference."},
    "nrf": {
        **_RATIO,
        "title": "NRF",
        "description": "Non-redundant fraction (ENCODE): distinct positions / reads. A position is a chromosome, a "
        f"start, an end and a strand. {_SAMPLED}",
        "scale": "RdYlGn",
    },
    "pbc1": {
        **_RATIO,
        "title": "PBC1",
        "description": "PCR bottlenecking coefficient 1 (ENCODE): positions with exactly one read / distinct "
        f"positions. {_SAMPLED}",
        "scale": "RdYlGn",
    },
    "pbc2": {
        "title": "PBC2",
        "description": "PCR bottlenecking coefficient 2 (ENCODE): positions with exactly one read / with exactly "
        f"two. {_SAMPLED}",
        "format": "{:,.2f}",
        "min": 0,
        "scale": "RdYlGn",
    },
    "positions": {
        **_COUNT,
        "title": "Positions",
        "description": "Number of distinct positions from which NRF, PBC1 and PBC2 are computed.",
        "hidden": True,
    },
    "off_genome": {
        **_COUNT,
        "title": "Off genome",
        "description": "Reads on chromosomes that the genome does not have.",
        "scale": "OrRd",
    },
    "past_end": {
        **_COUNT,
        "title": "Past end",
        "description": "Reads that end past the end of their chromosome.",
        "scale": "OrRd",
    },
    "chr_m": {
        **_PERCENT,
        "title": "chrM",
        "description": "Reads on the mitochondrial chromosome, in % of the reads.",
        "scale": "OrRd",
    },
}
_GENERAL: Final = ("reads", "in_regions", "duplicates", "nrf")
# The columns that are in qc.tsv under another name; those in % are fractions there.
_NUMBERS: Final = {
    "reads": "reads",
    "filtered": "records_filtered",
    "length_min": "read_length_min",
    "length_median": "read_length_median",
    "length_mean": "read_length_mean",
    "length_max": "read_length_max",
    "nrf": "nrf",
    "pbc1": "pbc1",
    "pbc2": "pbc2",
    "positions": "positions_sampled",
    "off_genome": "reads_off_genome",
    "past_end": "reads_past_end",
}
_FRACTIONS: Final = {
    "in_regions": "fraction_in_regions",
    "duplicates": "fraction_duplicates",
    "forward": "forward_fraction",
    "chr_m": "fraction_chrM",
}


def report_sections(files: Sequence[FileQuality]) -> list[Section]:
    """Return the sections of a report on some files of reads. Files that could not be counted are left out."""
    files = [file for file in files if file.record is not None]
    rows = {file.sample: _table_cells(file) for file in files}
    general: dict[str, dict[str, Any]] = {
        sample: {name: cells[name] for name in _GENERAL if name in cells} for sample, cells in rows.items()
    }
    return [
        Section(
            TABLE_NAME,
            "deepchrome_reads_table",
            "Files of reads",
            "One row per file of reads. qc.tsv beside this file has more columns.",
            "table",
            rows,
            headers=_HEADERS,
            options={"namespace": "deepchrome", "no_violin": True},
            parent=_PARENT,
        ),
        Section(
            GENERAL_NAME,
            "deepchrome",
            "deepchrome",
            "Files of reads that deepchrome counted.",
            "generalstats",
            general,
            headers={name: _HEADERS[name] for name in _GENERAL},
        ),
        Section(
            LENGTHS_NAME,
            "deepchrome_reads_lengths",
            "Read lengths",
            f"Length of the reads along the reference, in % of the reads.{_describe_longest(files)}",
            "linegraph",
            {file.sample: line for file in files if (line := _length_line(file))},
            options={"xlab": "Length (bp)", "ylab": "% of reads", "ymin": 0},
            parent=_PARENT,
        ),
        Section(
            CHROMOSOMES_NAME,
            "deepchrome_reads_chromosomes",
            "Reads per chromosome",
            f"All reads, in regions or not. The {_MAX_CHROMOSOMES} chromosomes with the most reads are shown, and the "
            "sum of the others; reads on chromosomes that the genome does not have are a group of their own.",
            "bargraph",
            _chromosome_bars(files),
            options={"ylab": "Reads", "cpswitch_counts_label": "Reads"},
            parent=_PARENT,
        ),
    ]


def write_multiqc(out: Path, outcomes: Sequence[FileOutcome]) -> None:
    """Write the report on all epigenomes of a directory of feature files.

    Parameters
    ----------
    out
        The directory.
    outcomes
        The outcomes of this run. What the directory has of other epigenomes is read from their feature files.

    Raises
    ------
    StorageError
        A file cannot be written, or another run holds the lock for more than a minute.
    """
    # Read the other files under the lock, so that the last of several runs sees the files of all others.
    with output_lock(out, REPORT_NAMES, LOCK_WAIT_SECONDS):
        files = [outcome_quality(outcome) for outcome in outcomes]
        files += _stored_files(out, {file.epigenome for file in files})
        write_sections(out, report_sections(tell_apart(files)))


def write_qc_report(
    directory: Path, names: Sequence[str], tallies: Sequence[ReadTally], *, force: bool = False
) -> None:
    """Write qc.tsv and the report on some files of reads into a directory, which is created if necessary.

    Parameters
    ----------
    directory
        The directory.
    names
        A different name for each file.
    tallies
        The results of counting them, in the same order.
    force
        Replace files of other programs.

    Raises
    ------
    UsageError
        A file of another program has the name of an output.
    StorageError
        A file cannot be written, or another run writes into the directory.
    """
    if not force:
        check_report(directory)
    files = qc_rows(names, tallies)
    with output_lock(directory, [QC_NAME, *REPORT_NAMES], LOCK_WAIT_SECONDS):
        write_qc(directory / QC_NAME, files)
        write_sections(directory, report_sections(files))


def check_report(directory: Path) -> None:
    """Check that qc.tsv and the report in a directory are absent or were written by deepchrome.

    Raises
    ------
    UsageError
        Another program wrote one of them.
    """
    if qc_is_foreign(directory):  # guard: foreign-qc
        raise UsageError(f"{directory / QC_NAME}: not a table of deepchrome", remedy="force")
    for name in REPORT_NAMES:
        if section_is_foreign(directory / name):  # guard: foreign-multiqc
            raise UsageError(f"{directory / name}: not written by deepchrome", remedy="force")


def _stored_files(out: Path, known: set[str]) -> list[FileQuality]:
    """Return what the feature files of a directory say about their reads, except for epigenomes that are known."""
    paths = [path for path in sorted(out.glob("*.parquet")) if path.stem not in known]
    if not paths:
        return []
    from deepchrome.engine.features.store import read_metadata

    files = []
    for path in paths:
        try:
            sources = read_metadata(path).get("sources", {})
        except BadDataError:  # a file of another program, or a damaged one: the next run of this epigenome says so
            continue
        records = [(mark, record) for mark, source in sources.items() for record in records_of(source)]
        complete = [(mark, record) for mark, record in records if record.keys() >= _RECORD_KEYS]
        files += [FileQuality(path.stem, mark, str(record["name"]), record) for mark, record in complete]
    return files


def _table_cells(file: FileQuality) -> dict[str, Any]:
    row = file.row()
    numbers = {name: row[column] for name, column in _NUMBERS.items()}
    percents = {
        name: None if row[column] is None else round(100 * row[column], 4) for name, column in _FRACTIONS.items()
    }
    known = without_none(numbers | percents)
    return {name: known[name] for name in _HEADERS if name in known}


def _describe_longest(files: Sequence[FileQuality]) -> str:
    bounds = {len(quality.lengths) - 1 for file in files if (quality := file.quality()) and quality.lengths[-1]}
    return "".join(f" Reads of {bound:,} bp or more are shown at {bound:,} bp." for bound in sorted(bounds))


def _length_line(file: FileQuality) -> dict[str, float]:
    """Return the share of reads (%) by length (bp). Zeros beside a length show that its neighbours have no reads."""
    quality = file.quality()
    if quality is None or not quality.lengths.sum():
        return {}
    lengths = np.pad(quality.lengths, (0, 1))
    shares = 100 * lengths / lengths.sum()
    found = np.flatnonzero(lengths)
    shown = np.unique(np.concatenate([found - 1, found, found + 1]))
    return {str(length): round(float(shares[length]), 4) for length in shown if 0 <= length < len(shares)}


def _chromosome_bars(files: Sequence[FileQuality]) -> dict[str, dict[str, int]]:
    """Return the reads of each file by chromosome, for the chromosomes with the most reads of all files."""
    qualities = {file.sample: (quality, file.record) for file in files if (quality := file.quality()) and file.record}
    totals: Counter[str] = Counter()
    for quality, _ in qualities.values():
        totals.update(quality.reads_on)
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    shown = sorted(ranked[:_MAX_CHROMOSOMES], key=_natural_order)
    bars = {}
    for sample, (quality, record) in qualities.items():
        bar = {plain_text(name): quality.reads_on.get(name, 0) for name in shown}
        if len(ranked) > len(shown):
            bar["other chromosomes"] = sum(quality.reads_on.get(name, 0) for name in ranked[len(shown) :])
        bar["not in the genome"] = sum(record["reads_off_genome"].values())
        bars[sample] = bar
    return bars


def _natural_order(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts chr2 before chr10, and chr22 before chrX."""
    parts = re.findall(r"([0-9]+)|([^0-9]+)", name)
    return [(not digits, len(digits.lstrip("0")), digits or text) for digits, text in parts]
