"""Download one file of a manifest, and check it before it gets its final name.

A download is written to ``<name>.part``. Beside it, the sidecar ``.<name>.part.json`` records the URL, size and ETag of
the object (the file on the server), so that a later run resumes the download only if the object is still the same.
"""

import json
import os
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deepchrome.common.files import atomic_write, special_kind
from deepchrome.common.urls import hide_secrets
from deepchrome.engine.roadmap.manifest import ManifestEntry
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.byte_streams import MeteredStream
from deepchrome.engine.streams.cram_blocks import check_cram_blocks, check_cram_end
from deepchrome.engine.streams.inputs import is_cram, open_stream, translate_error
from deepchrome.engine.streams.remote import RemoteStream, fetch_identity
from deepchrome.engine.streams.sources import GzipSource, open_source
from deepchrome.engine.streams.transports import ObjectIdentity
from deepchrome.errors import BadDataError, StorageError

_BUFFER_BYTES = 1 << 20
_COMPRESSED_NAME = re.compile(r"\.(?:b?gz|bam)$", re.IGNORECASE)


@dataclass(frozen=True)
class PartialFile:
    """The part of a file that has been downloaded so far, and its sidecar.

    Attributes
    ----------
    path
        The file that holds the downloaded bytes.
    sidecar
        The JSON file that records the URL, size and ETag of the object.
    """

    path: Path
    sidecar: Path

    @classmethod
    def for_entry(cls, out: Path, entry: ManifestEntry) -> "PartialFile":
        """Return the partial file of a manifest entry in the directory ``out``."""
        return cls(out / f"{entry.file}.part", out / f".{entry.file}.part.json")

    def inspect(self, url: str) -> tuple[int, ObjectIdentity | None]:
        """Return the number of bytes that an earlier run downloaded from this URL, and the identity of the object.

        Without such a run, or if the sidecar is damaged, return 0 and None.
        """
        try:
            recorded = json.loads(self.sidecar.read_text(encoding="utf-8"))
            if recorded.pop("url") == hide_secrets(url):
                return self.path.stat().st_size, ObjectIdentity(**recorded)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # no sidecar, or a damaged one
        return 0, None

    def check_own(self) -> None:
        """Check that the file and its sidecar are absent or were written by a download.

        Raises
        ------
        StorageError
            They belong to another program.
        """
        for path in (self.path, self.sidecar):
            if os.path.lexists(path) and not self._has_sidecar():  # guard: foreign-download
                raise StorageError(f"{path}: not from a download of this program. Move it to another place.")

    def _has_sidecar(self) -> bool:
        try:
            return not special_kind(self.path) and "url" in json.loads(self.sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            return False

    def begin(self, url: str, identity: ObjectIdentity) -> None:
        """Remove bytes of an earlier download, and write the sidecar of a new one."""
        self.path.unlink(missing_ok=True)  # first, so that the sidecar never describes the bytes of another object
        with atomic_write(self.sidecar) as temporary:
            temporary.write_text(json.dumps({"url": hide_secrets(url), **asdict(identity)}), encoding="utf-8")

    def remove(self) -> None:
        """Remove the file and its sidecar."""
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)


def fetch_file(
    entry: ManifestEntry, out: Path, allow_no_eof: bool, on_bytes: Callable[[int], None]
) -> tuple[bool, ManifestEntry]:
    """Download a file and check it; continue an earlier download of the same object.

    Parameters
    ----------
    entry
        The file.
    out
        The directory for the file.
    allow_no_eof
        Accept bgzip, BAM and CRAM without their end-of-file block.
    on_bytes
        Called with the number of bytes downloaded so far, including those of earlier runs.

    Returns
    -------
    resumed : bool
        Whether an earlier download was continued.
    entry : ManifestEntry
        The entry, with the size and the SHA-256 of the file.

    Raises
    ------
    BadDataError
        The file fails a check. Its bytes are removed.
    MissingInputError
        The object does not exist, or access is refused.
    StorageError
        The download failed, or the file cannot be written. The partial file is kept for a later run.
    """
    part = PartialFile.for_entry(out, entry)
    part.check_own()
    try:
        resumed = _receive(entry, part, on_bytes)
        entry = check_file(entry, part.path, True, allow_no_eof)
        os.replace(part.path, out / entry.file)
        part.sidecar.unlink(missing_ok=True)
    except Exception as error:
        translated = translate_error(error, entry.url)
        if isinstance(translated, BadDataError):  # a later run must not continue with wrong bytes
            part.remove()
        raise translated from error
    return resumed, entry


def check_file(entry: ManifestEntry, path: Path, decompress: bool, allow_no_eof: bool) -> ManifestEntry:
    """Check the size and the SHA-256 of a file.

    Parameters
    ----------
    entry
        The file, with its expected size and hash if they are known.
    path
        Path of the file on disk, which may still end in ``.part``.
    decompress
        Also check the compressed data, if the file has the name of a compressed file (.gz, .bgz or .bam) or is CRAM.
    allow_no_eof
        Accept bgzip, BAM and CRAM without their end-of-file block.

    Returns
    -------
    ManifestEntry
        The entry, with the size and the SHA-256 of the file.

    Raises
    ------
    BadDataError
        A check fails.
    EOFError, gzip.BadGzipFile, isal.igzip_lib.IsalError, zlib.error
        The compressed data are truncated or damaged. :func:`translate_error` turns these into errors for the user.
    """
    size = path.stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        raise BadDataError(f"wrong size ({size:,} bytes; the manifest has {entry.bytes:,})")
    with closing(open_stream(str(path))) as stream, closing(MeteredStream(stream, hashed=True)) as meter:
        if decompress and _COMPRESSED_NAME.search(entry.file):
            _decompress(meter, allow_no_eof)
        else:
            meter.drain()
        sha256 = meter.sha256()
    if decompress and is_cram(str(path)):
        with path.open("rb") as cram:
            if not allow_no_eof:
                check_cram_end(cram)
            check_cram_blocks(cram)
    if entry.sha256 and sha256 != entry.sha256:
        raise BadDataError(f"wrong SHA-256 ({sha256}; the manifest has {entry.sha256})")
    return replace(entry, bytes=size, sha256=sha256)


def _receive(entry: ManifestEntry, part: PartialFile, on_bytes: Callable[[int], None]) -> bool:
    """Download the missing bytes of a partial file; return whether bytes of an earlier run were kept."""
    n_bytes, identity = part.inspect(entry.url)
    if identity and n_bytes == identity.size and identity.is_same(fetch_identity(entry.url)):
        return True
    with closing(RemoteStream(entry.url, n_bytes, identity)) as stream:
        size = stream.identity.size
        if entry.bytes is not None and size is not None and size != entry.bytes:
            raise BadDataError(f"wrong size (the server has {size:,} bytes; the manifest has {entry.bytes:,})")
        if not stream.start:
            part.begin(entry.url, stream.identity)
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        try:
            with open(part.path, "ab") as file:
                while n := stream.readinto(buffer):
                    file.write(buffer[:n])
                    on_bytes(file.tell())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"{part.path} cannot be written ({error.strerror or error})") from error
    return stream.start > 0


def _decompress(meter: MeteredStream, allow_no_eof: bool) -> None:
    """Decompress a file to its end, which checks the checksums of its gzip members."""
    source = open_source(meter, allow_no_eof)
    if not isinstance(source, GzipSource):
        raise BadDataError("not gzip data, although the file name is that of a gzip file. It may be an error page")
    block = Block()
    while not block.is_last:
        source.finish(source.take(block), block)
