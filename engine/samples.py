"""Which file of reads is which epigenome and mark."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepchrome.engine.genes import COLUMNS
from deepchrome.errors import BadDataError, MissingInputError, UsageError

NAME = re.compile(r"[A-Za-z0-9._+-]{1,64}")
# Histone variants are the marks whose own name has a dot.
_FILE_NAME = re.compile(r"(?P<epigenome>.+)-(?P<mark>H2A\.Z|H3\.3|[^.-]+)\..+")
_SUFFIXES = (".tagalign", ".bed", ".bam", ".cram")
# What lies beside reads under their name: indexes, check sums, and downloads that have not ended.
_COMPANIONS = (".bai", ".csi", ".crai", ".tbi", ".gzi", ".md5", ".sha256", ".part", ".tmp", "~")


@dataclass(frozen=True)
class Sample:
    """The reads of one mark in one epigenome."""

    epigenome: str
    mark: str
    path: str


def check_name(name: str, what: str, where: str) -> str:
    """Return ``name`` if it can safely be the name of a file and a column.

    Raises
    ------
    BadDataError
        It does not match ``[A-Za-z0-9._+-]{1,64}``, or is ``.`` or ``..``.
    """
    if not NAME.fullmatch(name) or name in (".", ".."):
        raise BadDataError(
            f"{where}: {name[:80]!r} cannot be the name of {what}; use 1 to 64 letters, digits, '.', '_', '+' and '-'"
        )
    return name


def find_samples(reads: Sequence[str], name: str | None = None) -> list[Sample]:
    """Find out what files named ``<epigenome>-<mark>.<anything>`` hold.

    Parameters
    ----------
    reads
        Files, directories (all files of reads in them), or ``-``.
    name
        ``<epigenome>-<mark>`` for a single file whose own name does not say it.

    Raises
    ------
    UsageError
        A file whose name does not say what it is.
    MissingInputError
        No such file, or a directory without reads.
    """
    if name is not None:
        if len(reads) != 1:
            raise UsageError(f"--name goes with one file of reads, not {len(reads)}")
        if reads[0] != "-" and not Path(reads[0]).exists():
            raise MissingInputError(f"{reads[0]}: no such file")
        return _checked([_named(f"{name}.reads", reads[0], "--name")])
    samples = []
    for item in reads:
        path = Path(item)
        if item == "-":
            raise UsageError("standard input has no name: say --name <epigenome>-<mark>")
        if path.is_dir():
            within = [p for p in sorted(path.iterdir()) if p.is_file() and _holds_reads(p.name)]
            if not within:
                raise MissingInputError(f"{item}: no file named <epigenome>-<mark>.tagAlign.gz, .bed, .bam or the like")
            samples += [_named(p.name, str(p), str(p)) for p in within]
        elif not path.exists():
            raise MissingInputError(f"{item}: no such file or directory")
        else:
            samples.append(_named(path.name, item, item))
    return _checked(samples)


def read_samples(table: str | Path) -> list[Sample]:
    """Read a table of samples: tab-separated, with a header naming epigenome, mark and path.

    Relative paths are taken from the directory of the table.

    Raises
    ------
    MissingInputError
        The table, or a file it names, does not exist or cannot be opened.
    BadDataError
        A column is missing, a row is short, a name cannot be one.
    """
    table = Path(table)
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()  # spreadsheets put a mark in front
    except OSError as error:
        raise MissingInputError(f"{table}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise BadDataError(f"{table}: not a table of samples (it is not text)") from None
    header = lines[0].split("\t") if lines else []
    if missing := [column for column in ("epigenome", "mark", "path") if column not in header]:
        raise BadDataError(f"{table}:1: no column {', '.join(missing)}; expected epigenome, mark, path (tab-separated)")
    samples = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != len(header):
            raise BadDataError(f"{table}:{number}: {len(fields)} columns where the header has {len(header)}")
        row = dict(zip(header, fields, strict=True))
        where = f"{table}:{number}"
        path = row["path"] if row["path"] == "-" else str(table.parent / row["path"])
        if path != "-" and not Path(path).exists():
            raise MissingInputError(f"{where}: {path}: no such file")
        epigenome = check_name(row["epigenome"], "an epigenome", where)
        samples.append(Sample(epigenome, check_name(row["mark"], "a mark", where), path))
    if not samples:
        raise BadDataError(f"{table}: no sample in this table")
    return _checked(samples)


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
            raise UsageError(f"{sample.epigenome} {sample.mark} is given twice: {seen[key]} and {sample.path}")
        if sample.mark in COLUMNS:
            raise UsageError(f"{sample.path}: a mark cannot be called {sample.mark}: a column of the output is")
        seen[key] = sample.path
    if sum(sample.path == "-" for sample in samples) > 1:
        raise UsageError("standard input can hold the reads of one sample only")
    return samples
