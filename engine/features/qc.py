"""qc.tsv: the quality of every file of reads. See docs/howto/qc.md for the meaning of each column."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from deepchrome.common.files import atomic_write
from deepchrome.engine.counting.quality import ReadQuality
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.records import read_quality, read_record
from deepchrome.engine.features.summary import FileOutcome
from deepchrome.engine.features.tables import TableRow, merge_rows, table_is_foreign

QC_NAME: Final = "qc.tsv"
# Reasons to leave out a record or a read that have a column of their own.
_OF_RECORDS: Final = ("unplaced", "improper_pair", "duplicate", "qc_fail", "low_mapq", "not_fragment")
_OF_READS: Final = ("shifted_off", "blacklisted")  # these stay among the reads of the file, but in no region
_REASONS: Final = (*_OF_RECORDS, *_OF_READS)
QC_COLUMNS: Final = (
    "epigenome",
    "mark",
    "file",
    "format",
    "reads",
    "records_filtered",
    *(f"filtered_{reason}" for reason in _REASONS),
    "filtered_other",
    "duplicates",
    "fraction_duplicates",
    "reads_in_regions",
    "fraction_in_regions",
    "forward_fraction",
    "read_length_min",
    "read_length_median",
    "read_length_mean",
    "read_length_max",
    "nrf",
    "pbc1",
    "pbc2",
    "positions_sampled",
    "reads_sampled",
    "fraction_sampled",
    "reads_off_genome",
    "reads_past_end",
    "fraction_chrM",
    "seconds",
)
_TIMES: Final = ("seconds",)
# Names of the mitochondrial chromosome in UCSC, Ensembl and RefSeq, and in the genomes of worm, yeast and fly.
_MITOCHONDRIA: Final = frozenset(
    ("chrM", "chrMT", "M", "MT", "NC_012920.1", "NC_005089.1", "MtDNA", "Mito", "chrMito", "mitochondrion_genome")
)


@dataclass(frozen=True)
class FileQuality:
    """One file of reads, for quality control.

    Attributes
    ----------
    epigenome, mark
        Its sample; empty for ``count_files``.
    file
        Its name.
    record
        What a feature file stores about it (see docs/format.md); None if it could not be counted.
    seconds
        Time for counting it; None if it is not known.
    kept
        Whether an earlier run counted it.
    pooled
        Whether its sample has other files.
    """

    epigenome: str
    mark: str
    file: str
    record: Mapping[str, Any] | None
    seconds: float | None = None
    kept: bool = False
    pooled: bool = False

    @property
    def sample(self) -> str:
        """The name in reports: ``<epigenome>-<mark>``, with the name of the file if it is pooled; or only that."""
        if not self.epigenome:
            return self.file
        name = f"{self.epigenome}-{self.mark}"
        return f"{name} {self.file}" if self.pooled else name

    def quality(self) -> ReadQuality | None:
        """Return the quality of its reads; None if it was not measured."""
        return read_quality(self.record) if self.record is not None else None

    def row(self) -> dict[str, Any]:
        """Return the values of its row in qc.tsv, by column. A number that is not known is None."""
        row: dict[str, Any] = dict.fromkeys(QC_COLUMNS)
        row |= {"epigenome": self.epigenome, "mark": self.mark, "file": self.file}
        record = self.record
        if record is None:
            return row
        reads, quality = record["reads"], self.quality()
        lengths = record.get("read_length_bp", {}) if reads else {}
        row |= {
            "format": record["format"],
            "reads": reads,
            "records_filtered": record["reads_filtered"],
            "reads_in_regions": record["reads_in_windows"],
            "fraction_in_regions": _share(record["reads_in_windows"], reads),
            "reads_off_genome": sum(record["reads_off_genome"].values()),
            "reads_past_end": record["reads_past_end"],
            "read_length_min": lengths.get("min"),
            "read_length_mean": _rounded(lengths.get("mean")),
            "read_length_max": lengths.get("max"),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
        }
        return row | (_quality_cells(quality, record) if quality else {})


def outcome_quality(outcome: FileOutcome) -> FileQuality:
    """Return the quality of a file of reads that ``featurize`` counted, kept or could not count."""
    sample, record = outcome.sample, None if outcome.error else outcome.source()
    name = str(record["name"]) if record else sample.file_name
    seconds = outcome.tally.seconds if outcome.tally else None
    return FileQuality(sample.epigenome, sample.mark, name, record, seconds, kept=outcome.kept is not None)


def tell_apart(files: Iterable[FileQuality]) -> list[FileQuality]:
    """Sort files by sample and name; mark those that are pooled, and number those of one sample with equal names."""
    ordered = sorted(files, key=lambda file: (file.epigenome, file.mark, file.file, _sha256(file)))
    n_files = Counter((file.epigenome, file.mark) for file in ordered)
    seen: Counter[tuple[str, str, str]] = Counter()
    told = []
    for file in ordered:
        seen[key := (file.epigenome, file.mark, file.file)] += 1
        name = f"{file.file} ({seen[key]})" if seen[key] > 1 else file.file
        told.append(replace(file, file=name, pooled=n_files[key[:2]] > 1))
    return told


def _sha256(file: FileQuality) -> str:
    return str((file.record or {}).get("sha256"))


def qc_rows(names: Sequence[str], tallies: Sequence[ReadTally]) -> list[FileQuality]:
    """Return the quality of files that were counted in regions.

    Parameters
    ----------
    names
        A different name for each file.
    tallies
        The results of counting them, in the same order.
    """
    return [
        FileQuality("", "", name, read_record(tally, name), tally.seconds)
        for name, tally in zip(names, tallies, strict=True)
    ]


def write_qc(path: Path, rows: Iterable[FileQuality]) -> None:
    """Write the quality of some files into a new table, in this order. It replaces an existing file.

    Raises
    ------
    StorageError
        The table cannot be written.
    """
    lines = ["\t".join(QC_COLUMNS), *(TableRow(row.row()).line() for row in rows)]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def qc_is_foreign(out: Path) -> bool:
    """Return whether a directory has a qc.tsv of another program.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    return table_is_foreign(out / QC_NAME, QC_COLUMNS)


def merge_qc(out: Path, outcomes: Sequence[FileOutcome]) -> None:
    """Write the rows of some epigenomes into qc.tsv, and leave the rows of other epigenomes unchanged.

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
    files = tell_apart(map(outcome_quality, outcomes))
    merge_rows(out / QC_NAME, QC_COLUMNS, [TableRow(file.row(), file.kept) for file in files], 3, _TIMES)


def shows_complexity(quality: ReadQuality) -> bool:
    """Return whether the sampled positions show the complexity of the library.

    They do not if reads flagged as duplicates were left out: the others are nearly all at different positions, whatever
    the library.
    """
    return quality.positions is not None and not quality.filtered.get("duplicate")  # guard: complexity-of-duplicates


def mitochondrial_fraction(quality: ReadQuality, off_genome: Mapping[str, int], reads: int) -> float | None:
    """Return the share of reads on the mitochondrial chromosome, in the genome or not.

    Parameters
    ----------
    quality
        The quality of the file.
    off_genome
        Reads by chromosome that the genome does not have; the key ``""`` has those on chromosomes without a name.
    reads
        All reads of the file.

    Returns
    -------
    float or None
        None without reads, or if no read is on a chromosome of such a name but some chromosomes are not named.
    """
    found = sum(n for counts in (quality.reads_on, off_genome) for name, n in counts.items() if name in _MITOCHONDRIA)
    return None if not found and off_genome.get("") else _share(found, reads)


def _quality_cells(quality: ReadQuality, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells that need the quality of the reads."""
    # Text has no records with flags, so that most reasons do not exist for it.
    has_flags = quality.duplicates is not None
    cells: dict[str, Any] = {
        f"filtered_{reason}": quality.filtered.get(reason, 0 if has_flags or reason in _OF_READS else None)
        for reason in _REASONS
    }
    others = sum(count for reason, count in quality.filtered.items() if reason not in _REASONS)
    cells |= {
        "filtered_other": others if has_flags or others else None,
        "duplicates": quality.duplicates,
        "forward_fraction": _rounded(quality.strand_balance),
        "read_length_median": _number(quality.median_length),
        "fraction_chrM": _rounded(mitochondrial_fraction(quality, record["reads_off_genome"], record["reads"])),
    }
    if quality.duplicates is not None:
        cells["fraction_duplicates"] = _share(quality.duplicates, record["reads"] + record["reads_filtered"])
    if (sampled := quality.positions) and shows_complexity(quality):
        cells |= {
            "nrf": _rounded(sampled.nrf),
            "pbc1": _rounded(sampled.pbc1),
            "pbc2": _rounded(sampled.pbc2),
            "positions_sampled": sampled.distinct,
            "reads_sampled": sampled.reads,
            "fraction_sampled": _rounded(sampled.fraction),
        }
    return cells


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _number(value: float | None) -> float | None:
    """Return a whole number without a decimal point."""
    return int(value) if value is not None and value == int(value) else value
