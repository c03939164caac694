"""Find the samples in a sample sheet of nf-core, such as that of nf-core/chipseq."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deepchrome.engine.features.sample_tables import SampleRow, TableRow, count_of
from deepchrome.errors import BadDataError

# Columns of a sample sheet that can name the file of aligned reads. nf-core itself has none of them.
_FILE_COLUMNS: Final = ("bam", "bam_file", "path", "file")
# nf-core/chipseq 2 and nf-core/cutandrun; nf-core/chipseq 1 called the samples groups, too.
_NAME_COLUMNS: Final = ("sample", "group")
_NF_CORE_BAM: Final = (
    "nf-core/chipseq names them <aligner>/merged_library/<sample>_REP<replicate>.mLb.clN.sorted.bam, nf-core/cutandrun "
    "02_alignment/bowtie2/target/markdup/<group>_R<replicate>.target.markdup.sorted.bam"
)


def is_sample_sheet(columns: Sequence[str]) -> bool:
    """Return whether a table with these columns is a sample sheet of nf-core."""
    return _first(_NAME_COLUMNS, columns) is not None and _first(("fastq_1", "antibody"), columns) is not None


def read_sheet_rows(table: Path, columns: Sequence[str], rows: Sequence[TableRow], notes: list[str]) -> list[SampleRow]:
    """Return the files of aligned reads that a sample sheet lists, in a column that was added to it.

    Parameters
    ----------
    table, columns, rows
        The table, its columns and its rows.
    notes
        Lines for the user about rows that are left out are appended to this list.

    Returns
    -------
    list of SampleRow
        The epigenome is the sample, and the mark is the antibody. Rows without an antibody, and those that other rows
        name as their control, are left out.

    Raises
    ------
    BadDataError
        There is no column of aligned reads or of antibodies, or a sample has no file.
    """
    name = _first(_NAME_COLUMNS, columns) or ""
    file = _first(_FILE_COLUMNS, columns)
    if file is None:
        raise BadDataError(
            f"{table}:1: a sample sheet of nf-core with FASTQ files, whose reads are not aligned. Give the BAM files "
            "that the pipeline wrote: add a column bam, or make a table with the columns epigenome, mark and path "
            f"({_NF_CORE_BAM})"
        )
    if "antibody" not in columns:
        raise BadDataError(
            f"{table}:1: a sample sheet of nf-core without a column antibody, so that the marks are not known. Make a "
            "table with the columns epigenome, mark and path"
        )
    controls = {row.fields["control"].strip() for row in rows if "control" in columns} - {""}
    found: dict[tuple[str, str, str], SampleRow] = {}
    n_controls = n_lanes = 0
    for row in rows:
        sample, mark, path = (row.fields[column].strip() for column in (name, "antibody", file))
        if not mark or sample in controls:
            n_controls += 1
            continue
        if not path:
            raise BadDataError(f"{row.where}: {sample} has no {file}. Give the BAM file of every sample")
        # The sheet has a row per FASTQ file; the lanes of one library end up in one BAM file.
        n_lanes += (sample, mark, path) in found
        found.setdefault((sample, mark, path), SampleRow(row.where, sample, mark, path))
    notes.append(
        f"{table}: a sample sheet of nf-core; epigenomes are from {name}, marks from antibody, files from {file}"
    )
    if n_controls:
        notes.append(f"{table}: {count_of(n_controls, 'row')} of controls or without an antibody left out")
    if n_lanes:
        notes.append(f"{table}: {count_of(n_lanes, 'row')} with the same sample and file as an earlier one left out")
    return [*found.values()]


def _first(names: Sequence[str], columns: Sequence[str]) -> str | None:
    return next((name for name in names if name in columns), None)
