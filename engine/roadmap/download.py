"""Files of a manifest to a directory: several at a time, gone on with where cut, checked before they take their names.

A file grows as ``<name>.part``; beside it ``.<name>.part.json`` remembers of what object, so that another run
goes on only with the same one.
"""

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from deepchrome.common.files import atomic_write, output_lock
from deepchrome.common.urls import hide_secrets
from deepchrome.engine.roadmap.manifest import RECORD_NAME, ManifestEntry, read_manifest, write_manifest
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.byte_streams import MeteredStream
from deepchrome.engine.streams.inputs import open_stream, translate_error
from deepchrome.engine.streams.remote import ObjectNotFoundError, RemoteStream, cancel_pending, fetch_identity
from deepchrome.engine.streams.sources import GzipSource, open_source
from deepchrome.engine.streams.transports import ObjectIdentity
from deepchrome.errors import BadDataError, DeepchromeError, StorageError

JOBS = 4  # what a public server can be asked for at a time, in good manners
FETCHED, RESUMED, WAS_THERE, NOT_PUBLISHED, FAILED = "fetched", "resumed", "was there", "not published", "failed"
Item = TypeVar("Item")
Value = TypeVar("Value")
_ROOM_BYTES = 1 << 20
_PACKED = re.compile(r"\.(?:b?gz|bam)$", re.IGNORECASE)


@dataclass(frozen=True)
class PlannedDownload:
    """A file before work begins.

    Attributes
    ----------
    entry
        What it is, with all that is known of its size and hash.
    there
        Whether there is a file of its name.
    begun
        Bytes of it that an earlier run has left.
    size
        In bytes, as the manifest or the server says; None if neither does.
    error
        Why the server could not be asked.
    """

    entry: ManifestEntry
    there: bool
    begun: int
    size: int | None
    error: DeepchromeError | None

    @property
    def status(self) -> str:
        """What is to be done."""
        if self.there:
            return "is there"
        if self.error:
            return NOT_PUBLISHED if isinstance(self.error, ObjectNotFoundError) else f"{FAILED}: {self.error}"
        return f"to fetch, {self.begun:,} bytes are there" if self.begun else "to fetch"

    @property
    def missing(self) -> int:
        """Bytes to fetch, as far as known."""
        return 0 if self.there or self.error else max((self.size or 0) - self.begun, 0)


@dataclass(frozen=True)
class DownloadResult:
    """What became of a file.

    Attributes
    ----------
    entry
        What it is; with its size and hash, if it is there.
    status
        ``fetched``, ``resumed``, ``was there``, ``not published`` or ``failed``.
    seconds
        Wall-clock time.
    error
        Why it is not there.
    """

    entry: ManifestEntry
    status: str
    seconds: float
    error: DeepchromeError | None

    def row(self) -> dict[str, str | int | float | None]:
        """Return the row of the closing table."""
        return {
            "file": self.entry.file,
            "bytes": None if self.error else self.entry.bytes,
            "seconds": round(self.seconds, 3),
            "status": f"{FAILED}: {self.error}" if self.status == FAILED else self.status,
        }


class DownloadObserver:
    """Told how the work goes; override what is of interest. Calls come from many threads."""

    def planned(self, files: Sequence[PlannedDownload]) -> None:
        """Take note of the files that work begins on."""

    def advanced(self, entry: ManifestEntry, bytes_there: int) -> None:
        """Take note of the bytes of a file that have arrived, those of earlier runs included."""

    def finished(self, fetched: DownloadResult) -> None:
        """Take note that a file is done, or has failed."""


def plan_downloads(out: str | Path, entries: Sequence[ManifestEntry], jobs: int = JOBS) -> list[PlannedDownload]:
    """Say what is there and what is to be fetched; ask the servers for sizes that are not known.

    Parameters
    ----------
    out
        The directory; it need not exist.
    entries
        From :func:`deepchrome.engine.roadmap.manifest.select_entries`.
    jobs
        Servers are asked for so many files at a time.

    Raises
    ------
    BadDataError
        ``out/manifest.tsv`` is none.
    """
    out = Path(out)
    record = _record(out)
    return _side_by_side([_recorded(entry, out, record) for entry in entries], lambda e: _plan(e, out), jobs)


def download(
    out: str | Path,
    entries: Sequence[ManifestEntry],
    *,
    jobs: int = JOBS,
    allow_no_eof: bool = False,
    observer: DownloadObserver | None = None,
) -> list[DownloadResult]:
    """Fetch the files that are not there, check all, and write ``out/manifest.tsv`` with their sizes and hashes.

    Parameters
    ----------
    out
        The directory.
    entries
        From :func:`deepchrome.engine.roadmap.manifest.select_entries`.
    jobs
        Files at a time.
    allow_no_eof
        Accept bgzip and BAM without the block that marks their end.
    observer
        Told how it goes.

    Returns
    -------
    list of Fetched
        One per entry, in their order. A file that fails does not stop the others.

    Raises
    ------
    StorageError
        ``out`` cannot be written, has too little room, or another run is writing there.
    BadDataError
        ``out/manifest.tsv`` is none.
    """
    out, observer = Path(out), observer or DownloadObserver()
    stop = threading.Event()
    done: list[DownloadResult] = []

    def fetch(planned: PlannedDownload) -> DownloadResult:
        def advanced(bytes_there: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            observer.advanced(planned.entry, bytes_there)

        fetched = _fetch(planned, out, allow_no_eof, advanced)
        if stop.is_set() and fetched.error:
            raise KeyboardInterrupt
        done.append(fetched)
        observer.finished(fetched)
        return fetched

    with output_lock(out):
        files = plan_downloads(out, entries, jobs)
        _check_room(out, files)
        observer.planned(files)
        record = _record(out)
        try:
            return _side_by_side(files, fetch, jobs, stop)
        finally:
            record |= {fetched.entry.file: fetched.entry for fetched in done if not fetched.error}
            if record:
                write_manifest(out / RECORD_NAME, list(record.values()))


def _side_by_side(
    items: Sequence[Item], work: Callable[[Item], Value], jobs: int, stop: threading.Event | None = None
) -> list[Value]:
    """Do the work for each item, ``jobs`` at a time; an interrupt ends what has not been done."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            futures = [pool.submit(work, item) for item in items]
            waiting = set(futures)
            while waiting:
                # Not for longer: an interrupt that reaches another thread does not wake this one.
                ready, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in ready:
                    future.result()
        except BaseException:
            if stop:
                stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            cancel_pending()
            raise
    return [future.result() for future in futures]


def _record(out: Path) -> dict[str, ManifestEntry]:
    """Return what earlier runs have written down, by file."""
    path = out / RECORD_NAME
    return {entry.file: entry for entry in read_manifest(path)} if path.exists() else {}


def _recorded(entry: ManifestEntry, out: Path, record: dict[str, ManifestEntry]) -> ManifestEntry:
    """Add to an entry what an earlier run found out about a file that is still there."""
    earlier = record.get(entry.file)
    if not earlier or earlier.url != hide_secrets(entry.url) or not (out / entry.file).exists():
        return entry
    size = earlier.bytes if entry.bytes is None else entry.bytes
    return replace(entry, bytes=size, sha256=entry.sha256 or earlier.sha256)


def _part(out: Path, entry: ManifestEntry) -> tuple[Path, Path]:
    return out / f"{entry.file}.part", out / f".{entry.file}.part.json"


def _left_over(part: Path, note: Path, url: str) -> tuple[int, ObjectIdentity | None]:
    """Return how much an earlier run has left, and of what object; nothing if it was another URL's."""
    try:
        left = json.loads(note.read_text(encoding="utf-8"))
        if left.pop("url") == hide_secrets(url):
            return part.stat().st_size, ObjectIdentity(**left)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # no such note, or none of ours
    return 0, None


def _plan(entry: ManifestEntry, out: Path) -> PlannedDownload:
    path = out / entry.file
    begun, _ = _left_over(*_part(out, entry), entry.url)
    size, error = entry.bytes, None
    if size is None:
        try:
            size = fetch_identity(entry.url).size
        except DeepchromeError as refused:
            error = translate_error(refused, entry.url)
    return PlannedDownload(entry, path.exists(), begun, size, error)


def _check_room(out: Path, files: Sequence[PlannedDownload]) -> None:
    missing, free = sum(planned.missing for planned in files), shutil.disk_usage(out).free
    if missing > free:
        raise StorageError(
            f"{out}: {missing:,} bytes are to be fetched, and only {free:,} are free there; "
            "choose another --out, or fewer --epigenomes or --marks"
        )


def _fetch(planned: PlannedDownload, out: Path, allow_no_eof: bool, advanced: Callable[[int], None]) -> DownloadResult:
    """Fetch one file, or check the one that is there."""
    began = time.perf_counter()
    entry, path = planned.entry, out / planned.entry.file
    error: DeepchromeError | None = None
    try:
        if planned.there:
            status = WAS_THERE
            entry = _check_old(planned, path, allow_no_eof)
        elif planned.error:
            raise planned.error
        else:
            resumed, entry = _receive_and_check(entry, out, allow_no_eof, advanced)
            status = RESUMED if resumed else FETCHED
    except DeepchromeError as failure:
        status, error = NOT_PUBLISHED if isinstance(failure, ObjectNotFoundError) else FAILED, failure
    return DownloadResult(entry, status, time.perf_counter() - began, error)


def _check_old(planned: PlannedDownload, path: Path, allow_no_eof: bool) -> ManifestEntry:
    try:
        size = path.stat().st_size
        if planned.size is not None and size != planned.size:
            whose = "the server has" if planned.entry.bytes is None else "the manifest says"
            raise BadDataError(f"{size:,} bytes where {whose} {planned.size:,}")
        return _checked(planned.entry, path, planned.entry.sha256 is None, allow_no_eof)
    except Exception as error:
        explained = translate_error(error, str(path))
        raise type(explained)(f"{explained}; delete it to have it fetched") from error


def _receive_and_check(
    entry: ManifestEntry, out: Path, allow_no_eof: bool, advanced: Callable[[int], None]
) -> tuple[bool, ManifestEntry]:
    part, note = _part(out, entry)
    try:
        resumed = _receive(entry, part, note, advanced)
        entry = _checked(entry, part, True, allow_no_eof)
        os.replace(part, out / entry.file)
        note.unlink(missing_ok=True)
    except Exception as error:
        explained = translate_error(error, entry.url)
        if isinstance(explained, BadDataError):  # what is wrong is of no use to another run
            part.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
        raise explained from error
    return resumed, entry


def _receive(entry: ManifestEntry, part: Path, note: Path, advanced: Callable[[int], None]) -> bool:
    """Fetch what is not there of a file; return whether something was."""
    begun, known = _left_over(part, note, entry.url)
    if known and begun == known.size and known.is_same(fetch_identity(entry.url)):
        return True
    with closing(RemoteStream(entry.url, begun, known)) as stream:
        size = stream.identity.size
        if entry.bytes is not None and size is not None and size != entry.bytes:
            raise BadDataError(f"the server has {size:,} bytes where the manifest says {entry.bytes:,}")
        if not stream.start:
            part.unlink(missing_ok=True)  # before the note says whose bytes these are
            with atomic_write(note) as temporary:
                temporary.write_text(
                    json.dumps({"url": hide_secrets(entry.url), **asdict(stream.identity)}), encoding="utf-8"
                )
        room = memoryview(bytearray(_ROOM_BYTES))
        try:
            with open(part, "ab") as file:
                while n := stream.readinto(room):
                    file.write(room[:n])
                    advanced(file.tell())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"{part} cannot be written ({error.strerror or error})") from error
    return stream.start > 0


def _checked(entry: ManifestEntry, path: Path, unpacked: bool, allow_no_eof: bool) -> ManifestEntry:
    """Check a file's size, hash and, if it is to be unpacked, its gzip members; return the entry with the first two.

    Raises
    ------
    BadDataError
        Something about it is not right.
    """
    size = path.stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        raise BadDataError(f"{size:,} bytes where the manifest says {entry.bytes:,}")
    with closing(open_stream(str(path))) as stream, closing(MeteredStream(stream, hashed=True)) as meter:
        if unpacked and _PACKED.search(entry.file):
            _unpack(meter, allow_no_eof)
        else:
            meter.drain()
        sha256 = meter.sha256()
    if entry.sha256 and sha256 != entry.sha256:
        raise BadDataError(f"its SHA-256 is {sha256} where the manifest says {entry.sha256}")
    return replace(entry, bytes=size, sha256=sha256)


def _unpack(meter: MeteredStream, allow_no_eof: bool) -> None:
    source = open_source(meter, allow_no_eof)
    if not isinstance(source, GzipSource):
        raise BadDataError("not gzip, as its name says it is; perhaps a page that the server sent instead")
    block = Block()
    while not block.is_last:
        source.finish(source.take(block), block)
