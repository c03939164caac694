"""Manifests: tables of files to download, with URL, size and hash. A manifest of Roadmap's files is bundled."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from deepchrome.common.files import atomic_write
from deepchrome.common.names import check_name, check_names
from deepchrome.common.urls import hide_secrets, is_url, url_file_name
from deepchrome.engine.features.sample_tables import read_tsv_rows
from deepchrome.errors import BadDataError, UsageError

COLUMNS = ("kind", "epigenome", "mark", "url", "bytes", "sha256")
CORE_MARKS = ("H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3")
READS = "reads"
KINDS = (READS, "expression", "genes", "epigenomes")
# Roadmap publishes the consolidated reads of all marks here; the bundled manifest lists the five core marks only.
READS_URL = "https://egg2.wustl.edu/roadmap/data/byFileType/alignments/consolidated/{epigenome}-{mark}.tagAlign.gz"
# The download directory has a manifest of its downloaded files under this name.
RECORD_NAME = "manifest.tsv"
_READS_SUFFIX = re.compile(r"\.(?:tagAlign|bed|bam|cram)(?:\.b?gz)?$", re.IGNORECASE)
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class ManifestEntry:
    """A file to download.

    Attributes
    ----------
    kind
        One of :data:`KINDS`.
    epigenome, mark
        Epigenome and mark of the reads; empty for other kinds.
    url
        An http, https or s3 URL.
    bytes, sha256
        Size in bytes and SHA-256 in hexadecimal; None if unknown.
    file
        Name under which the file is saved. It is safe as a file name.
    """

    kind: str
    epigenome: str
    mark: str
    url: str
    bytes: int | None
    sha256: str | None
    file: str


def read_manifest(path: str | Path | None = None) -> list[ManifestEntry]:
    """Read a manifest: tab-separated, with a header that names at least kind, epigenome, mark and url.

    Parameters
    ----------
    path
        The file. By default the bundled manifest of Roadmap's core marks and tables.

    Raises
    ------
    MissingInputError
        There is no such file.
    BadDataError
        A column is missing, a value is not valid, or two rows give the same file name.
    """
    bundled = files("deepchrome.engine.roadmap").joinpath("data", "remc_manifest.tsv")
    table: Path | Traversable = bundled if path is None else Path(path)
    entries: list[ManifestEntry] = []
    row_of: dict[str, str] = {}
    for where, row in read_tsv_rows(table, "a manifest", COLUMNS[:4]):
        entry = _parse_row(row, where)
        name = entry.file.lower()  # some file systems do not distinguish upper and lower case
        if name in row_of:
            raise BadDataError(f"{where}: the file name {entry.file} is already used by {row_of[name]}")
        row_of[name] = where
        entries.append(entry)
    if not entries:
        raise BadDataError(f"{table}: the manifest lists no files")
    return entries


def _parse_row(row: dict[str, str], where: str) -> ManifestEntry:
    """Convert a row of a manifest to an entry.

    Raises
    ------
    BadDataError
        A value is not valid.
    """
    kind, url = row["kind"], row["url"]
    if kind not in KINDS:
        raise BadDataError(f"{where}: unknown kind {kind[:80]!r} (expected {', '.join(KINDS)})")
    if not is_url(url):
        raise BadDataError(f"{where}: {hide_secrets(url)[:200]!r} is not a URL. Use http://, https:// or s3://")
    size, sha256 = row.get("bytes", ""), row.get("sha256", "").lower()
    if size and not (size.isascii() and size.isdigit()):
        raise BadDataError(f"{where}: {size[:80]!r} is not a number of bytes")
    if sha256 and not _SHA256.fullmatch(sha256):
        raise BadDataError(f"{where}: {sha256[:80]!r} is not a SHA-256 (expected 64 hexadecimal digits)")
    epigenome, mark = row["epigenome"], row["mark"]
    name = url_file_name(url)
    if kind == READS:
        suffix = _READS_SUFFIX.search(name)
        if not suffix:
            raise BadDataError(
                f"{where}: the URL of reads must end in .tagAlign, .bed, .bam or .cram, "
                f"optionally followed by .gz or .bgz, got {name!r}"
            )
        name = f"{check_name(epigenome, 'an epigenome', where)}-{check_name(mark, 'a mark', where)}{suffix[0]}"
    elif epigenome or mark:
        raise BadDataError(f"{where}: only reads have an epigenome and a mark")
    elif check_name(name, "a file", where).startswith(".") or name.lower().endswith((RECORD_NAME, ".part")):
        raise BadDataError(f"{where}: the URL ends in {name!r}, a name reserved for files of the download itself")
    return ManifestEntry(kind, epigenome, mark, url, int(size) if size else None, sha256 or None, name)


def select_entries(
    entries: Sequence[ManifestEntry],
    epigenomes: Sequence[str] | None,
    marks: Sequence[str] | None,
    *,
    tables: bool,
    by_rule: bool,
) -> list[ManifestEntry]:
    """Select the files to download.

    Parameters
    ----------
    entries
        The manifest.
    epigenomes, marks
        The epigenomes and marks whose reads to select; None for all in the manifest.
    tables
        Whether to add all files that are not reads: expression, genes and names of epigenomes.
    by_rule
        Whether to accept marks that are not in the manifest, and to make their URLs from :data:`READS_URL`.

    Raises
    ------
    UsageError
        An epigenome or a mark is not in the manifest, or no file matches.
    BadDataError
        A mark that is not in the manifest is not safe as a file name.
    """
    reads = [entry for entry in entries if entry.kind == READS]
    known_epigenomes = dict.fromkeys(entry.epigenome for entry in reads)
    if absent := [name for name in epigenomes or () if name not in known_epigenomes]:
        raise UsageError(f"{', '.join(absent)}: not in the manifest; it has {_abbreviate(list(known_epigenomes))}")
    known_marks = dict.fromkeys(entry.mark for entry in reads)
    unlisted = [mark for mark in dict.fromkeys(marks or ()) if mark not in known_marks]
    if unlisted and not by_rule:
        raise UsageError(f"{', '.join(unlisted)}: not in the manifest; it has {_abbreviate(list(known_marks))}")
    check_names(unlisted, "a mark", "marks")
    wanted = epigenomes or list(known_epigenomes)
    selected = [entry for entry in reads if entry.epigenome in wanted and (marks is None or entry.mark in marks)]
    for mark in unlisted:
        for epigenome in dict.fromkeys(wanted):
            url = READS_URL.format(epigenome=epigenome, mark=mark)
            selected.append(ManifestEntry(READS, epigenome, mark, url, None, None, f"{epigenome}-{mark}.tagAlign.gz"))
    selected += [entry for entry in entries if entry.kind != READS and tables]
    if not selected:
        raise UsageError("no file in the manifest matches: these epigenomes have no reads of these marks")
    return selected


def _abbreviate(names: list[str]) -> str:
    return ", ".join(names if len(names) < 9 else [*names[:4], "...", names[-1]])


def check_manifest_path(out: Path, manifest: Path | None, entries: Sequence[ManifestEntry]) -> None:
    """Check that the download will not overwrite a manifest whose URLs contain secrets.

    The download writes its own manifest to ``out/manifest.tsv``, without the passwords and queries of URLs.

    Raises
    ------
    UsageError
        ``manifest`` is that file, and one of its URLs contains a password or a query.
    """
    is_record = manifest is not None and manifest.resolve() == (out / RECORD_NAME).resolve()
    if is_record and any(entry.url != hide_secrets(entry.url) for entry in entries):
        raise UsageError(
            f"{manifest}: the download would overwrite this manifest and remove the passwords and queries "
            "from its URLs. Give the manifest another name"
        )


def write_manifest(path: Path, entries: Sequence[ManifestEntry]) -> None:
    """Write a manifest, sorted by kind and file name. URLs are written without passwords and queries.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    lines = ["\t".join(COLUMNS)]
    for entry in sorted(entries, key=lambda e: (KINDS.index(e.kind), e.file)):
        row = replace(entry, url=hide_secrets(entry.url))
        cells = (row.kind, row.epigenome, row.mark, row.url, row.bytes, row.sha256)
        lines.append("\t".join("" if cell is None else str(cell) for cell in cells))
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
