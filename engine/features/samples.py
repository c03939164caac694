"""Find out which epigenome and mark each file of reads belongs to."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepchrome.common.names import check_name
from deepchrome.common.urls import hide_secrets, is_url, url_file_name, url_scheme
from deepchrome.engine.annotation.genes import GENE_COLUMNS
from deepchrome.engine.features.encode_metadata import is_metadata, read_metadata_rows
from deepchrome.engine.features.nf_core import is_sample_sheet, read_sheet_rows
from deepchrome.engine.features.sample_tables import SampleRow, read_table
from deepchrome.errors import BadDataError, MissingInputError, ParameterError, UsageError

_COLUMNS = ("epigenome", "mark", "path")
# The name of a mark contains a dot only if it is a histone variant.
_FILE_NAME = re.compile(r"(?P<epigenome>.+)-(?P<mark>H2A\.Z|H3\.3|[^.-]+)\..+")
_SUFFIXES = (".tagalign", ".bed", ".bam", ".cram")
_SIGNAL_SUFFIXES = (".bw", ".bigwig")  # never compressed
# Indexes, checksums and unfinished downloads are named after a file of reads, with one of these suffixes added.
_COMPANION_SUFFIXES = (".bai", ".csi", ".crai", ".tbi", ".gzi", ".md5", ".sha256", ".part", ".tmp", "~")


@dataclass(frozen=True)
class Sample:
    """The reads of one mark in one epigenome.

    Attributes
    ----------
    epigenome, mark
        Names that are safe as file names.
    path
        A file, a URL, or ``-`` for standard input.
    """

    epigenome: str
    mark: str
    path: str

    @property
    def shown_path(self) -> str:
        """The path for messages: a URL without its password and query."""
        return hide_secrets(self.path)

    @property
    def file_name(self) -> str:
        """The name of the file, without its directory."""
        return url_file_name(self.path) if is_url(self.path) else Path(self.path).name


def find_samples(reads: Sequence[str], name: str | None = None, *, pool: bool = False) -> list[Sample]:
    """Find the samples in files named ``<epigenome>-<mark>.<anything>``.

    Parameters
    ----------
    reads
        Files, URLs (http, https, s3), directories, or ``-`` for standard input. A directory means all files
        of reads in it. URLs are not opened here.
    name
        The epigenome and the mark of a single file, as ``<epigenome>-<mark>``. By default its file name gives them.
        With ``pool``, those of all files.
    pool
        Whether several files may have the same epigenome and mark.

    Raises
    ------
    UsageError
        A file name does not give epigenome and mark, a URL is not valid, a file or a sample is given twice, or a mark
        has the name of another column of the output.
    ParameterError
        ``name`` is not valid, or there are several files.
    MissingInputError
        A file does not exist, or a directory contains no files of reads.
    BadDataError
        The name of an epigenome or a mark is not safe as a file name.
    """
    if name is not None:
        return _check_samples(_named_samples(reads, name, pool), pool)
    samples = []
    for item in reads:
        path = Path(item)
        if item == "-":
            raise UsageError("-: standard input has no file name that gives its epigenome and mark", remedy="name")
        if is_url(item):
            if not url_file_name(item):
                raise UsageError(f"{hide_secrets(item)}: this URL names a directory. Give the URL of a file")
            samples.append(_parse_file_name(url_file_name(item), item, hide_secrets(item)))
        elif path.is_dir():
            files = [p for p in sorted(path.iterdir()) if p.is_file() and _is_reads_name(p.name)]
            if not files:
                raise MissingInputError(
                    f"{item}: no files of reads in this directory. Their names have the form "
                    "<epigenome>-<mark>.tagAlign.gz, .bed, .bam or .cram"
                )
            samples += [_parse_file_name(p.name, str(p), str(p)) for p in files]
        elif not _may_exist(item):
            raise MissingInputError(f"{item}: no such file or directory")
        else:
            samples.append(_parse_file_name(path.name, item, item))
    return _check_samples(samples, pool)


def read_samples(table: str | Path, *, pool: bool = False, notes: list[str] | None = None) -> list[Sample]:
    """Read a table of samples, separated by tabs or commas.

    Relative paths are relative to the directory of the table.

    Parameters
    ----------
    table
        A table with a header that names at least epigenome, mark and path; a sample sheet of nf-core to which a column
        ``bam`` was added; or the ``metadata.tsv`` of ENCODE.
    pool
        Whether several files may have the same epigenome and mark.
    notes
        Lines for the user, such as the number of rows that are left out, are appended to this list.

    Raises
    ------
    MissingInputError
        The table, or a file in it, does not exist or cannot be opened.
    BadDataError
        A column is missing, a row has too few or too many columns, the table does not name files of aligned reads, or
        a name is not safe as a file name.
    UsageError
        A URL has an unknown scheme, a file or a sample is given twice, or a mark has the name of another column of the
        output.
    """
    table = Path(table)
    samples = []
    for row in _read_rows(table, [] if notes is None else notes):
        path = row.path
        if path != "-" and not url_scheme(path):
            path = str(table.parent / path)
        if path != "-" and not _may_exist(path):
            raise MissingInputError(f"{row.where}: {path}: no such file")
        epigenome = check_name(row.epigenome, "an epigenome", row.where)
        samples.append(Sample(epigenome, check_name(row.mark, "a mark", row.where), path))
    return _check_samples(samples, pool)


def _read_rows(table: Path, notes: list[str]) -> list[SampleRow]:
    """Read a table of samples in any of its forms. Add a line to ``notes`` for each kind of row that is left out."""
    columns, rows = read_table(table)
    missing = [column for column in _COLUMNS if column not in columns]
    if not missing:
        found = [SampleRow(row.where, *(row.fields[name] for name in _COLUMNS)) for row in rows]
    elif is_metadata(columns):
        found = read_metadata_rows(table, columns, rows, notes)
    elif is_sample_sheet(columns):
        found = read_sheet_rows(table, columns, rows, notes)
    else:
        raise BadDataError(
            f"{table}:1: no column {', '.join(missing)} (expected {', '.join(_COLUMNS)}, separated by tabs or "
            "commas; or a sample sheet of nf-core, or the metadata.tsv of ENCODE)"
        )
    if not found:
        raise BadDataError(f"{table}: no samples in this table")
    return found


def _named_samples(reads: Sequence[str], name: str, pool: bool) -> list[Sample]:
    """Return the sample in a single file, or in several that are pooled; ``name`` gives its epigenome and mark."""
    if len(reads) != 1 and not (pool and reads):
        raise ParameterError("name", f"applies to a single file of reads, got {len(reads)} files")
    for path in reads:
        if path != "-" and not _may_exist(path):
            raise MissingInputError(f"{path}: no such file")
    match = _FILE_NAME.fullmatch(f"{name}.reads")
    if not match:
        raise ParameterError("name", f"must have the form <epigenome>-<mark>, got {name[:80]!r}")
    return [_make_sample(match, path, "name") for path in reads]


def _parse_file_name(name: str, path: str, where: str) -> Sample:
    """Return the sample in a file; error messages call the file ``where``."""
    match = _FILE_NAME.fullmatch(name)
    if not match:
        raise UsageError(
            f"{where}: the file name does not give epigenome and mark. Rename the file, for example to "
            "E003-H3K4me3.tagAlign.gz",
            remedy="samples",
        )
    return _make_sample(match, path, where)


def _make_sample(match: re.Match[str], path: str, where: str) -> Sample:
    epigenome = check_name(match["epigenome"], "an epigenome", where)
    return Sample(epigenome, check_name(match["mark"], "a mark", where), path)


def _check_samples(samples: list[Sample], pool: bool) -> list[Sample]:
    """Return the samples if their counts can be written to one directory.

    Raises
    ------
    UsageError
        Two samples have the same epigenome and mark and are not pooled, or are the same file; a mark has the name of
        another column of the output; or several samples come from standard input.
    """
    paths: dict[tuple[str, str], dict[str, str]] = {}
    for sample in samples:
        here = paths.setdefault((sample.epigenome, sample.mark), {})
        where = sample.path if sample.path == "-" or is_url(sample.path) else os.path.realpath(sample.path)
        if here and not pool:
            raise UsageError(
                f"{sample.shown_path}: {sample.epigenome} {sample.mark} is given twice "
                f"(also by {next(iter(here.values()))})",
                remedy="pool",
            )
        if where in here:  # guard: pooled-path
            raise UsageError(
                f"{sample.shown_path}: this file is given twice for {sample.epigenome} {sample.mark}, and would count "
                "twice. Give every file of reads once"
            )
        here[where] = sample.shown_path
        if sample.mark in GENE_COLUMNS:
            raise UsageError(
                f"{sample.shown_path}: {sample.mark!r} is not a valid name for a mark. "
                "The output has another column of that name"
            )
    if sum(sample.path == "-" for sample in samples) > 1:
        raise UsageError("-: standard input is given for more than one sample")
    return samples


def _may_exist(path: str) -> bool:
    """Return whether a file exists; True for a URL, because URLs are not opened here.

    Raises
    ------
    UsageError
        A URL has an unknown scheme.
    """
    if is_url(path):
        return True
    exists = Path(path).exists()
    if url_scheme(path) and not exists:
        raise UsageError(f"{hide_secrets(path)}: unknown kind of URL. Use http://, https:// or s3://")
    return exists


def _is_reads_name(name: str) -> bool:
    """Return whether a file name is that of a file of reads."""
    lower = name.lower()
    if lower.startswith(".") or lower.endswith(_COMPANION_SUFFIXES):
        return False
    is_read = any(suffix in lower for suffix in _SUFFIXES) or lower.endswith(_SIGNAL_SUFFIXES)
    return _FILE_NAME.fullmatch(name) is not None and is_read
