"""Find out which epigenome and mark each file of reads belongs to."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from deepchrome.common.names import check_name
from deepchrome.common.text import read_lines
from deepchrome.common.urls import hide_secrets, is_url, url_file_name, url_scheme
from deepchrome.engine.annotation.genes import GENE_COLUMNS
from deepchrome.errors import BadDataError, MissingInputError, ParameterError, UsageError

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


def find_samples(reads: Sequence[str], name: str | None = None) -> list[Sample]:
    """Find the samples in files named ``<epigenome>-<mark>.<anything>``.

    Parameters
    ----------
    reads
        Files, URLs (http, https, s3), directories, or ``-`` for standard input. A directory means all files
        of reads in it. URLs are not opened here.
    name
        The epigenome and the mark of a single file, as ``<epigenome>-<mark>``. By default its file name gives them.

    Raises
    ------
    UsageError
        A file name does not give epigenome and mark, a URL is not valid, a sample is given twice, or a mark has the
        name of another column of the output.
    ParameterError
        ``name`` is not valid, or there are several files.
    MissingInputError
        A file does not exist, or a directory contains no files of reads.
    BadDataError
        The name of an epigenome or a mark is not safe as a file name.
    """
    if name is not None:
        return [_named_sample(reads, name)]
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
    return _check_samples(samples)


def read_samples(table: str | Path) -> list[Sample]:
    """Read a table of samples: tab-separated, with a header that names at least epigenome, mark and path.

    Relative paths are relative to the directory of the table.

    Raises
    ------
    MissingInputError
        The table, or a file in it, does not exist or cannot be opened.
    BadDataError
        A column is missing, a row has too few or too many columns, or a name is not safe as a file name.
    UsageError
        A URL has an unknown scheme, a sample is given twice, or a mark has the name of another column of the output.
    """
    table = Path(table)
    samples = []
    for where, row in read_tsv_rows(table, "a table of samples", ("epigenome", "mark", "path")):
        path = row["path"]
        if path != "-" and not url_scheme(path):
            path = str(table.parent / path)
        if path != "-" and not _may_exist(path):
            raise MissingInputError(f"{where}: {path}: no such file")
        epigenome = check_name(row["epigenome"], "an epigenome", where)
        samples.append(Sample(epigenome, check_name(row["mark"], "a mark", where), path))
    if not samples:
        raise BadDataError(f"{table}: no samples in this table")
    return _check_samples(samples)


def read_tsv_rows(table: Path | Traversable, what: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a tab-separated table with a header, and skip empty lines and comments.

    Parameters
    ----------
    table
        The file, plain or compressed; ``-`` is standard input.
    what
        What the file should be (``a table of samples``), for the error message.
    columns
        Columns that the header must have.

    Yields
    ------
    where : str
        File and line of the row, as ``samples.tsv:3``.
    row : dict of str to str
        The fields of the row by column name.

    Raises
    ------
    MissingInputError
        The table does not exist or cannot be opened.
    StorageError
        Reading failed.
    BadDataError
        The table is truncated, damaged or not text, a column is missing, or a row is shorter or longer than the header.
    """
    lines = read_lines(table, what)
    header = lines[0].split("\t")
    if missing := [column for column in columns if column not in header]:
        raise BadDataError(
            f"{table}:1: no column {', '.join(missing)} (expected {', '.join(columns)}, separated by tabs)"
        )
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise BadDataError(f"{table}:{number}: {len(fields)} columns where the header has {len(header)}")
        yield f"{table}:{number}", dict(zip(header, fields, strict=True))


def _named_sample(reads: Sequence[str], name: str) -> Sample:
    """Return the sample in a single file; ``name`` gives its epigenome and mark."""
    if len(reads) != 1:
        raise ParameterError("name", f"applies to a single file of reads, got {len(reads)} files")
    if reads[0] != "-" and not _may_exist(reads[0]):
        raise MissingInputError(f"{reads[0]}: no such file")
    match = _FILE_NAME.fullmatch(f"{name}.reads")
    if not match:
        raise ParameterError("name", f"must have the form <epigenome>-<mark>, got {name[:80]!r}")
    (sample,) = _check_samples([_make_sample(match, reads[0], "name")])
    return sample


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


def _check_samples(samples: list[Sample]) -> list[Sample]:
    """Return the samples if their counts can be written to one directory.

    Raises
    ------
    UsageError
        Two samples have the same epigenome and mark, a mark has the name of another column of the output, or
        several samples come from standard input.
    """
    paths: dict[tuple[str, str], str] = {}
    for sample in samples:
        key = (sample.epigenome, sample.mark)
        if key in paths:
            raise UsageError(f"{sample.shown_path}: {' '.join(key)} is given twice (also by {paths[key]})")
        if sample.mark in GENE_COLUMNS:
            raise UsageError(
                f"{sample.shown_path}: {sample.mark!r} is not a valid name for a mark. "
                "The output has another column of that name"
            )
        paths[key] = sample.shown_path
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
