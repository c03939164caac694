"""Remember the SHA-256 of files of reads, so that a later run does not hash them again."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepchrome.common.locks import replace_text, state_directory
from deepchrome.engine.streams.inputs import translate_error


class HashCache:
    """The SHA-256 of the files of reads of one epigenome, stored beside the output.

    A stored hash is valid while the file has the same :func:`file_stamp` as before it was hashed.
    File times are compared with each other, never with the clock.

    Parameters
    ----------
    out
        The directory of feature files. The hashes are stored in its hidden state directory.
    epigenome
        Name of the epigenome.
    """

    def __init__(self, out: Path, epigenome: str) -> None:
        self._path = state_directory(out) / f"{epigenome}.inputs.json"
        try:
            stored = json.loads(self._path.read_bytes())
        except (OSError, ValueError):  # no usable cache, so files are hashed again
            stored = {}
        # For each absolute path, the stamp of the file, followed by its hash.
        self._entries: dict[str, Any] = stored if isinstance(stored, dict) else {}

    def sha256(self, path: str) -> str:
        """Return the SHA-256 of a file in hexadecimal; hash the file only if no valid hash is stored.

        Raises
        ------
        MissingInputError, StorageError
            The file cannot be read.
        """
        stamp = file_stamp(path)
        entry = self._entries.get(_absolute(path))
        if stamp and isinstance(entry, list) and entry[:-1] == stamp:
            return str(entry[-1])
        try:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise translate_error(error, path) from error
        self.remember(path, stamp, digest)
        return digest

    def remember(self, path: str, stamp: list[int] | None, sha256: str | None) -> None:
        """Store a hash, unless the file has changed while it was read.

        Parameters
        ----------
        path
            The file.
        stamp
            Its :func:`file_stamp` before it was read.
        sha256
            Its hash, in hexadecimal digits.
        """
        if stamp and sha256 and file_stamp(path) == stamp:
            self._entries[_absolute(path)] = [*stamp, sha256]

    def save(self) -> None:
        """Write the hashes to disk. Errors are ignored, because a later run can hash the files again."""
        with suppress(OSError):
            replace_text(self._path, json.dumps(self._entries))


def file_stamp(path: str) -> list[int] | None:
    """Return a file's size (bytes), modification and change times (ns) and inode; None if there is no such file."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _absolute(path: str) -> str:
    return str(Path(path).absolute())
