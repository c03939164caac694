"""Which file of reads is which epigenome and mark."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from deepchrome.common.names import check_name
from deepchrome.common.urls import hide_secrets, is_url, url_file_name, url_scheme
from deepchrome.engine.annotation.genes import GENE_COLUMNS
from deepchrome.errors import BadDataError, MissingInputError, UsageError

# Histone variants are the marks whose own name has a dot.
_FILE_NAME = re.compile(r"(?P<epigenome>.+)-(?P<mark>H2A\.Z|H3\.3|[^.-]+)\..+")
_SUFFIXES = (".tagalign", ".bed", ".bam", ".cram")
# What lies beside reads under their name: indexes, check sums, and downloads that have not ended.
_COMPANIONS = (".bai", ".csi", ".crai", ".tbi", ".gzi", ".md5", ".sha256", ".part", ".tmp", "~")


@dataclass(frozen=True)
class Sample:
    """The reads of one mark in one epigenome; ``path`` is a file, a URL, or ``-``."""

    epigenome: str
    mark: str
    path: str

    @property
    def shown_path(self) -> str:
        """The path as it may be shown: a URL may hold a password or a signature."""
        return hide_secrets(self.path)

    @property
    def file_name(self) -> str:
        """The name of the file, without the way to it."""
        return url_file_name(self.path) if is_url(self.path) else Path(self.path).name


def find_samples(reads: Sequence[str], name: str | None = None) -> list[Sample]:
    """Find out what files named ``<epigenome>-<mark>.<anything>`` hold.

    Parameters
    ----------
    reads
        Files, URLs (http, https, s3), directories (all files of reads in them), or ``-``. Whether
        there is something at a URL shows only when it is read.
    name
        ``<epigenome>-<mark>`` for a single file whose own name does not say it.

    Raises
    ------
    UsageError
        A file whose name does not say what it is, or a URL that cannot be read from.
    MissingInputError
        No such file, or a directory without reads.
    """
    if name is not None:
        if len(reads) != 1:
            raise UsageError(f"--name goes with one file of reads, not {len(reads)}")
        if reads[0] != "-" and not _may_exist(reads[0]):
            raise MissingInputError(f"{reads[0]}: no such file")
        return _checked([_named(f"{name}.reads", reads[0], "--name")])
    samples = []
    for item in reads:
        path = Path(item)
        if item == "-":
            raise UsageError("standard input has no name: say --name <epigenome>-<mark>")
        if is_url(item):
            if not url_file_name(item):
                raise UsageError(f"{hide_secrets(item)}: a URL must name a file of reads, not a directory")
            samples.append(_named(url_file_name(item), item, hide_secrets(item)))
        elif path.is_dir():
            within = [p for p in sorted(path.iterdir()) if p.is_file() and _holds_reads(p.name)]
            if not within:
                raise MissingInputError(f"{item}: no file named <epigenome>-<mark>.tagAlign.gz, .bed, .bam or the like")
            samples += [_named(p.name, str(p), str(p)) for p in within]
        elif not _may_exist(item):
            raise MissingInputError(f"{item}: no such file or directory")
        else:
            samples.append(_named(path.name, item, item))
    return _checked(samples)


def read_samples(table: str | Path) -> list[Sample]:
    """Read a table of samples: tab-separated, with a header naming epigenome, mark and path.

    Relative paths are taken from the directory of the table; URLs stand as they are.

    Raises
    ------
    MissingInputError
        The table, or a file it names, does not exist or cannot be opened.
    BadDataError
        A column is missing, a row is short, a name cannot be one.
    UsageError
        A URL that cannot be read from.
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
        raise BadDataError(f"{table}: no sample in this table")
    return _checked(samples)


def read_tsv_rows(table: Path | Traversable, what: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield where each row of a tab-separated table is (file and line), and its fields by the header's names.

    Empty lines and lines that begin with ``#`` are passed over.

    Raises
    ------
    MissingInputError
        The table does not exist or cannot be opened.
    BadDataError
        It is not text, one of ``columns`` is missing, or a row is shorter or longer than the header.
    """
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()  # spreadsheets put a mark in front
    except OSError as error:
        raise MissingInputError(f"{table}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise BadDataError(f"{table}: not {what} (it is not text)") from None
    header = lines[0].split("\t") if lines else []
    if missing := [column for column in columns if column not in header]:
        raise BadDataError(f"{table}:1: no column {', '.join(missing)}; expected {', '.join(columns)} (tab-separated)")
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise BadDataError(f"{table}:{number}: {len(fields)} columns where the header has {len(header)}")
        yield f"{table}:{number}", dict(zip(header, fields, strict=True))


def _may_exist(path: str) -> bool:
    """Tell whether a file exists; of a URL, that will show when it is read."""
    if is_url(path):
        return True
    if url_scheme(path) and not Path(path).exists():
        raise UsageError(f"{url_scheme(path)} cannot be read from; http://, https:// and s3:// can")
    return Path(path).exists()


def _holds_reads(name: str) -> bool:
    low = name.lower()
    hidden = low.startswith(".") or low.endswith(_COMPANIONS)
    return not hidden and _FILE_NAME.fullmatch(name) is not None and any(suffix in low for suffix in _SUFFIXES)


def _named(name: str, path: str, where: str) -> Sample:
    match = _FILE_NAME.fullmatch(name)
    if not match:
        raise UsageError(
            f"{where}: a name like E003-H3K4me3.tagAlign.gz would say which epigenome and mark this is; "
            "rename it, or list it in a --samples table"
        )
    return Sample(
        check_name(match["epigenome"], "an epigenome", where), check_name(match["mark"], "a mark", where), path
    )


def _checked(samples: list[Sample]) -> list[Sample]:
    seen: dict[tuple[str, str], str] = {}
    for sample in samples:
        key = (sample.epigenome, sample.mark)
        if key in seen:
            raise UsageError(f"{sample.epigenome} {sample.mark} is given twice: {seen[key]} and {sample.shown_path}")
        if sample.mark in GENE_COLUMNS:
            raise UsageError(f"{sample.shown_path}: a mark cannot be called {sample.mark}: a column of the output is")
        seen[key] = sample.shown_path
    if sum(sample.path == "-" for sample in samples) > 1:
        raise UsageError("standard input can hold the reads of one sample only")
    return samples
