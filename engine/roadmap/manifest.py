"""Lists of files to download: what each is, its URL, its size and its hash; Roadmap's is bundled."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from deepchrome.common.files import atomic_write
from deepchrome.common.names import check_name
from deepchrome.common.urls import hide_secrets, is_url, url_file_name
from deepchrome.engine.features.samples import read_tsv_rows
from deepchrome.errors import BadDataError, UsageError

COLUMNS = ("kind", "epigenome", "mark", "url", "bytes", "sha256")
CORE_MARKS = ("H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3")
READS = "reads"
KINDS = (READS, "expression", "genes", "epigenomes")
# Where Roadmap publishes the consolidated reads of any mark, the five core ones and those the bundled list lacks.
READS_URL = "https://egg2.wustl.edu/roadmap/data/byFileType/alignments/consolidated/{epigenome}-{mark}.tagAlign.gz"
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
        Of reads; empty for the others.
    url
        http, https or s3.
    bytes, sha256
        None where unknown.
    file
        The name it gets: made from epigenome and mark, or checked; never a path.
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
        The file; by default the bundled one, of Roadmap's core marks and tables.

    Raises
    ------
    MissingInputError
        No such file.
    BadDataError
        A column is missing; a row has a name that cannot be a file's, a URL that is none, a size or a hash that
        is none, or the name of a file that another row has.
    """
    bundled = files("deepchrome.engine.roadmap").joinpath("data", "remc_manifest.tsv")
    table: Path | Traversable = bundled if path is None else Path(path)
    entries: list[ManifestEntry] = []
    names: dict[str, str] = {}
    for where, row in read_tsv_rows(table, "a manifest", COLUMNS[:4]):
        entry = _entry(row, where)
        if earlier := names.get(entry.file.lower()):  # some file systems do not tell A from a
            raise BadDataError(f"{where}: {entry.file} is also what {earlier} would be called")
        names[entry.file.lower()] = where
        entries.append(entry)
    if not entries:
        raise BadDataError(f"{table}: no file in this manifest")
    return entries


def _entry(row: dict[str, str], where: str) -> ManifestEntry:
    kind, url = row["kind"], row["url"]
    if kind not in KINDS:
        raise BadDataError(f"{where}: the kind {kind[:80]!r} is none of {', '.join(KINDS)}")
    if not is_url(url):
        raise BadDataError(f"{where}: {hide_secrets(url)[:200]!r} is not a URL; http://, https:// and s3:// are")
    size, sha256 = row.get("bytes", ""), row.get("sha256", "").lower()
    if size and not (size.isascii() and size.isdigit()):
        raise BadDataError(f"{where}: {size[:80]!r} is not a number of bytes")
    if sha256 and not _SHA256.fullmatch(sha256):
        raise BadDataError(f"{where}: {sha256[:80]!r} is not a SHA-256: 64 hexadecimal digits")
    epigenome, mark = row["epigenome"], row["mark"]
    name = url_file_name(url)
    if kind == READS:
        suffix = _READS_SUFFIX.search(name)
        if not suffix:
            raise BadDataError(f"{where}: a URL of reads ends in .tagAlign.gz, .bed.gz, .bam or the like, not {name!r}")
        name = f"{check_name(epigenome, 'an epigenome', where)}-{check_name(mark, 'a mark', where)}{suffix[0]}"
    elif epigenome or mark:
        raise BadDataError(f"{where}: only reads have an epigenome and a mark")
    elif check_name(name, "a file", where).startswith(".") or name.lower().endswith((RECORD_NAME, ".part")):
        raise BadDataError(f"{where}: {name!r} cannot be the name of a file here")
    return ManifestEntry(kind, epigenome, mark, url, int(size) if size else None, sha256 or None, name)


def select_entries(
    entries: Sequence[ManifestEntry],
    epigenomes: Sequence[str] | None,
    marks: Sequence[str] | None,
    *,
    tables: bool,
    by_rule: bool,
) -> list[ManifestEntry]:
    """Choose files of a manifest.

    Parameters
    ----------
    entries
        The manifest.
    epigenomes, marks
        Of the reads; None for all that the manifest has.
    tables
        Whether to have the files that are no reads.
    by_rule
        Whether reads of marks that the manifest lacks are to be looked for where Roadmap would publish them.

    Raises
    ------
    UsageError
        An epigenome or a mark that is not in the manifest, or nothing is left.
    """
    reads = [entry for entry in entries if entry.kind == READS]
    known = dict.fromkeys(entry.epigenome for entry in reads)
    if absent := [name for name in epigenomes or () if name not in known]:
        raise UsageError(f"{', '.join(absent)}: not in the manifest; it has {_few(list(known))}")
    listed = dict.fromkeys(entry.mark for entry in reads)
    unlisted = [mark for mark in dict.fromkeys(marks or ()) if mark not in listed]
    if unlisted and not by_rule:
        raise UsageError(f"{', '.join(unlisted)}: not in the manifest; it has {_few(list(listed))}")
    wanted = epigenomes or list(known)
    chosen = [entry for entry in reads if entry.epigenome in wanted and (marks is None or entry.mark in marks)]
    for mark in unlisted:
        check_name(mark, "a mark", "--marks")
        for name in dict.fromkeys(wanted):
            url = READS_URL.format(epigenome=name, mark=mark)
            chosen.append(ManifestEntry(READS, name, mark, url, None, None, f"{name}-{mark}.tagAlign.gz"))
    chosen += [entry for entry in entries if entry.kind != READS and tables]
    if not chosen:
        raise UsageError("nothing in the manifest is asked for: no reads of these epigenomes have these marks")
    return chosen


def _few(names: list[str]) -> str:
    return ", ".join(names if len(names) < 9 else [*names[:4], "...", names[-1]])


def check_manifest_path(out: Path, manifest: Path | None, entries: Sequence[ManifestEntry]) -> None:
    """Refuse a manifest that stands where the record of ``out`` will be written, without the queries of its URLs.

    Raises
    ------
    UsageError
        It does.
    """
    same = manifest is not None and manifest.resolve() == (out / RECORD_NAME).resolve()
    if same and any(entry.url != hide_secrets(entry.url) for entry in entries):
        raise UsageError(
            f"{manifest} would be written anew without the passwords and queries in its URLs; give it another name"
        )


def write_manifest(path: Path, entries: Sequence[ManifestEntry]) -> None:
    """Write a manifest, by kind and file; URLs without what may be a secret.

    Raises
    ------
    StorageError
        It cannot be written.
    """
    lines = ["\t".join(COLUMNS)]
    for entry in sorted(entries, key=lambda e: (KINDS.index(e.kind), e.file)):
        row = replace(entry, url=hide_secrets(entry.url))
        cells = (row.kind, row.epigenome, row.mark, row.url, row.bytes, row.sha256)
        lines.append("\t".join("" if cell is None else str(cell) for cell in cells))
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
