"""Download the files of a manifest into a directory, several at a time."""

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deepchrome.common.files import check_regular_file
from deepchrome.common.locks import output_lock
from deepchrome.common.progress import Observer
from deepchrome.common.threads import map_in_threads
from deepchrome.common.urls import hide_secrets
from deepchrome.engine.roadmap.manifest import RECORD_NAME, ManifestEntry, read_manifest, write_manifest
from deepchrome.engine.roadmap.transfer import PartialFile, check_file, fetch_file
from deepchrome.engine.streams.inputs import translate_error
from deepchrome.engine.streams.remote import ObjectNotFoundError, cancel_pending, fetch_identity
from deepchrome.errors import BadDataError, DeepchromeError, StorageError

JOBS = 4  # more requests at a time would burden a public server
FETCHED, RESUMED, WAS_THERE, NOT_PUBLISHED, FAILED = "fetched", "resumed", "was there", "not published", "failed"


@dataclass(frozen=True)
class PlannedDownload:
    """A file of the manifest before the download begins.

    Attributes
    ----------
    entry
        The file, with its size and hash if they are known.
    there
        Whether the directory has a file of this name.
    bytes_there
        Number of bytes that an earlier, interrupted run has downloaded.
    size
        Size in bytes, from the manifest or the server; None if unknown.
    error
        The error of the request for the size; None if it succeeded or was not necessary.
    """

    entry: ManifestEntry
    there: bool
    bytes_there: int
    size: int | None
    error: DeepchromeError | None

    @property
    def status(self) -> str:
        """Status to show to the user: whether the file exists, can be downloaded, or cannot."""
        if self.there:
            return "is there"
        if self.error:
            return NOT_PUBLISHED if isinstance(self.error, ObjectNotFoundError) else f"{FAILED}: {self.error}"
        return f"to fetch, {self.bytes_there:,} bytes are there" if self.bytes_there else "to fetch"

    @property
    def missing(self) -> int:
        """Bytes to download; 0 if the size is unknown."""
        return 0 if self.there or self.error else max((self.size or 0) - self.bytes_there, 0)


@dataclass(frozen=True)
class DownloadResult:
    """The outcome of one file.

    Attributes
    ----------
    entry
        The file, with its size and hash unless it failed.
    status
        ``fetched``, ``resumed``, ``was there``, ``not published`` or ``failed``.
    seconds
        Wall-clock time.
    error
        The error if the status is ``not published`` or ``failed``, else None.
    """

    entry: ManifestEntry
    status: str
    seconds: float
    error: DeepchromeError | None

    def row(self) -> dict[str, str | int | float | None]:
        """Return the row of the final table, by column."""
        return {
            "file": self.entry.file,
            "bytes": None if self.error else self.entry.bytes,
            "seconds": round(self.seconds, 3),
            "status": f"{FAILED}: {self.error}" if self.status == FAILED else self.status,
        }


class DownloadObserver(Observer):
    """Receive the reports of :func:`download`. Override the methods you need; calls come from many threads."""

    def on_plan(self, files: Sequence[PlannedDownload]) -> None:
        """Receive the files to download, before the first is downloaded."""

    def on_progress(self, entry: ManifestEntry, bytes_there: int) -> None:
        """Receive the number of bytes downloaded of a file so far, including those of earlier runs."""

    def on_finish(self, result: DownloadResult) -> None:
        """Receive the outcome of one file."""


def plan_downloads(out: str | Path, entries: Sequence[ManifestEntry], jobs: int = JOBS) -> list[PlannedDownload]:
    """Find out which files must be downloaded, and ask the servers for unknown sizes.

    Parameters
    ----------
    out
        The directory for the files. It need not exist.
    entries
        The files, from :func:`deepchrome.engine.roadmap.manifest.select_entries`.
    jobs
        Number of requests at a time.

    Raises
    ------
    BadDataError
        ``out/manifest.tsv`` is not a manifest.
    """
    out = Path(out)
    record = _read_record(out)
    known = [_complete_entry(entry, out, record) for entry in entries]
    return map_in_threads(lambda entry: _plan_file(entry, out), known, jobs, cancel=cancel_pending)


def download(
    out: str | Path,
    entries: Sequence[ManifestEntry],
    *,
    jobs: int = JOBS,
    allow_no_eof: bool = False,
    observer: DownloadObserver | None = None,
) -> list[DownloadResult]:
    """Download the files that are missing, check all files, and record their sizes and hashes in ``out/manifest.tsv``.

    Parameters
    ----------
    out
        The directory for the files.
    entries
        The files, from :func:`deepchrome.engine.roadmap.manifest.select_entries`.
    jobs
        Number of files to download at a time.
    allow_no_eof
        Accept bgzip, BAM and CRAM files without an end-of-file block.
    observer
        Receives the plan, the progress and the results.

    Returns
    -------
    list of DownloadResult
        One per entry, in the same order. A file that fails does not stop the others.

    Raises
    ------
    StorageError
        ``out`` cannot be written or has too little space, or another run is writing there.
    BadDataError
        ``out/manifest.tsv`` is not a manifest.
    """
    out, observer = Path(out), observer or DownloadObserver()
    stop = threading.Event()
    done: list[DownloadResult] = []

    def process(planned: PlannedDownload) -> DownloadResult:
        def report_bytes(bytes_there: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            observer.on_progress(planned.entry, bytes_there)

        result = _fetch_or_check(planned, out, allow_no_eof, report_bytes)
        if stop.is_set() and result.error:
            raise KeyboardInterrupt
        done.append(result)
        observer.on_finish(result)
        return result

    def end_downloads() -> None:
        stop.set()
        cancel_pending()

    with output_lock(out):
        files = plan_downloads(out, entries, jobs)
        _check_space(out, files)
        observer.on_plan(files)
        record = _read_record(out)
        try:
            return map_in_threads(process, files, jobs, cancel=end_downloads)
        finally:
            record |= {result.entry.file: result.entry for result in done if not result.error}
            if record:
                write_manifest(out / RECORD_NAME, list(record.values()))


def _read_record(out: Path) -> dict[str, ManifestEntry]:
    """Return the entries of ``out/manifest.tsv``, which earlier runs have written, by file name."""
    path = out / RECORD_NAME
    check_regular_file(path)
    return {entry.file: entry for entry in read_manifest(path)} if path.exists() else {}


def _complete_entry(entry: ManifestEntry, out: Path, record: dict[str, ManifestEntry]) -> ManifestEntry:
    """Add the recorded size and hash to an entry whose file still exists."""
    earlier = record.get(entry.file)
    if not earlier or earlier.url != hide_secrets(entry.url) or not (out / entry.file).exists():
        return entry
    size = earlier.bytes if entry.bytes is None else entry.bytes
    return replace(entry, bytes=size, sha256=entry.sha256 or earlier.sha256)


def _plan_file(entry: ManifestEntry, out: Path) -> PlannedDownload:
    is_there = (out / entry.file).exists()
    bytes_there, _ = PartialFile.for_entry(out, entry).inspect(entry.url)
    size, error = entry.bytes, None
    if size is None:
        try:
            size = fetch_identity(entry.url).size
        except DeepchromeError as failure:
            error = translate_error(failure, entry.url)
    return PlannedDownload(entry, is_there, bytes_there, size, error)


def _check_space(out: Path, files: Sequence[PlannedDownload]) -> None:
    missing, free = sum(planned.missing for planned in files), shutil.disk_usage(out).free
    if missing > free:
        raise StorageError(f"{out}: not enough space ({missing:,} bytes to download, {free:,} free)", remedy="out")


def _fetch_or_check(
    planned: PlannedDownload, out: Path, allow_no_eof: bool, on_bytes: Callable[[int], None]
) -> DownloadResult:
    """Download a file, or check it if it exists."""
    start = time.perf_counter()
    entry = planned.entry
    error: DeepchromeError | None = None
    try:
        if planned.there:
            status = WAS_THERE
            entry = _check_existing(planned, out / entry.file, allow_no_eof)
        elif planned.error:
            raise planned.error
        else:
            resumed, entry = fetch_file(entry, out, allow_no_eof, on_bytes)
            status = RESUMED if resumed else FETCHED
    except DeepchromeError as failure:
        status, error = NOT_PUBLISHED if isinstance(failure, ObjectNotFoundError) else FAILED, failure
    return DownloadResult(entry, status, time.perf_counter() - start, error)


def _check_existing(planned: PlannedDownload, path: Path, allow_no_eof: bool) -> ManifestEntry:
    """Check a file of an earlier run; return its entry with size and hash."""
    check_regular_file(path)
    try:
        size = path.stat().st_size
        if planned.size is not None and size != planned.size:
            source = "server" if planned.entry.bytes is None else "manifest"
            raise BadDataError(f"wrong size ({size:,} bytes; the {source} has {planned.size:,})")
        # A matching hash proves that the file is intact. Without a known hash, check its compressed data.
        return check_file(planned.entry, path, planned.entry.sha256 is None, allow_no_eof)
    except Exception as error:
        translated = translate_error(error, str(path))
        raise type(translated)(
            f"{translated}. Delete the file to download it again", remedy=translated.remedy
        ) from error
