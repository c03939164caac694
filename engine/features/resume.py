"""What an earlier run has left that still holds: feature files are known by what they were made from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepchrome.common.files import state_directory
from deepchrome.common.urls import is_url
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.streams.inputs import translate_error
from deepchrome.errors import BadDataError, DeepchromeError

# Raised when the same reads may give other counts than before: what was counted by an older rule is counted again.
COUNT_RULE = 1
# What only lets more files pass changes no count of one that has passed.
_LENIENT = ("allow_empty", "allow_no_eof")


@dataclass(frozen=True)
class ReuseDecision:
    """What is to be done about the feature file of one epigenome.

    Attributes
    ----------
    epigenome
        Its name.
    action
        ``make``: there is none yet; ``keep``: what is there still holds; ``redo``: it was made from other reads,
        or is damaged; ``refuse``: it is another's, or was counted otherwise, and only --force may replace it.
    why
        The reason, for the user.
    sources
        By mark, what a file that is kept says of its reads.
    """

    epigenome: str
    action: Literal["make", "keep", "redo", "refuse"]
    why: str
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)


class HashCache:
    """SHA-256 of the files of reads of one epigenome, remembered from run to run beside the output.

    A file need not be hashed again while its size, inode, and times of change are those it had before it was
    last read to the end, and had still when that was done. No time is compared with a clock.
    """

    def __init__(self, out: Path, epigenome: str) -> None:
        self._path = state_directory(out) / f"{epigenome}.inputs.json"
        try:
            known = json.loads(self._path.read_bytes())
        except (OSError, ValueError):  # nothing remembered is nothing lost
            known = {}
        self._known: dict[str, Any] = known if isinstance(known, dict) else {}

    def of(self, path: str) -> str:
        """Return the hash of a file.

        Raises
        ------
        MissingInputError, StorageError
            It cannot be read.
        """
        mark = file_stamp(path)
        known = self._known.get(_place(path))
        if mark and isinstance(known, list) and known[:-1] == mark:
            return str(known[-1])
        try:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise translate_error(error, path) from error
        self.remember(path, mark, found)
        return found

    def remember(self, path: str, before: list[int] | None, sha256: str | None) -> None:
        """Take note of a hash, if the file is as it was before it was read: its :func:`file_stamp`."""
        if before and sha256 and file_stamp(path) == before:
            self._known[_place(path)] = [*before, sha256]

    def save(self) -> None:
        """Write down what is known; where that cannot be done, or is cut off, files are hashed again."""
        with suppress(OSError):
            self._path.write_text(json.dumps(self._known), encoding="utf-8")


def file_stamp(path: str) -> list[int] | None:
    """Return what the file system says of a file that changes when its content does; None if it is no file."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def decide_reuse(
    out: Path,
    epigenome: str,
    samples: Sequence[Sample],
    marks: Sequence[str],
    windows: Windows,
    options: ReadOptions,
    hashes: HashCache,
) -> ReuseDecision:
    """Compare the feature file of an epigenome with what would be made now.

    Parameters
    ----------
    out
        The directory of feature files.
    epigenome
        Whose file.
    samples
        Its files of reads, one per mark.
    marks
        In the order of the columns.
    windows, options
        What is counted.
    hashes
        Of its files of reads.
    """
    from deepchrome.engine.features.store import ForeignFileError, gene_checksums, read_features

    path = out / f"{epigenome}.parquet"
    if not path.exists():
        return ReuseDecision(epigenome, "make", "not there yet")
    if any(sample.path == "-" for sample in samples):
        return ReuseDecision(epigenome, "refuse", "what comes on standard input cannot be compared with it")
    try:
        stored = read_features(path).metadata
    except ForeignFileError as error:
        return ReuseDecision(epigenome, "refuse", str(error).removeprefix(f"{path}: "))
    except BadDataError as error:
        return ReuseDecision(epigenome, "redo", str(error).removeprefix(f"{path}: "))
    different = _differences(stored, counting_options(windows, options))
    genes = gene_checksums(windows.genes)
    if any(stored["crc32"].get(name) != checksum for name, checksum in genes.items()):
        different.append("the genes are others")
    lost = [mark for mark in stored["marks"] if mark not in marks]
    if lost:
        different.append(f"it has {', '.join(lost)} too, of which no reads are given")
    elif [mark for mark in marks if mark in stored["marks"]] != stored["marks"]:
        different.append(f"its marks stand in another order, {', '.join(stored['marks'])}")
    if different:
        return ReuseDecision(epigenome, "refuse", "; ".join(different))
    if stored.get("count_rule") != COUNT_RULE:
        return ReuseDecision(epigenome, "redo", "it was counted by another version's rule")
    sources = stored.get("sources", {})
    changed = [
        f"{sample.mark}: {why}" for sample in samples if (why := _how_changed(sample, sources.get(sample.mark), hashes))
    ]
    if changed:
        return ReuseDecision(epigenome, "redo", "; ".join(changed))
    return ReuseDecision(epigenome, "keep", "up to date", sources)


def counting_options(windows: Windows, options: ReadOptions) -> dict[str, Any]:
    """Return all but reads and genes that decides the counts, as a feature file states it."""
    sizes = "".join(f"{name}\t{size}\n" for name, size in windows.genome.sizes.items())
    return {
        "count_rule": COUNT_RULE,
        "genome_sha256": hashlib.sha256(sizes.encode()).hexdigest(),
        "flank": windows.flank,
        "bin_size": windows.bin_size,
        "options": vars(options),
    }


def _differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what was asked for otherwise."""
    found = [] if there.get("genome_sha256") == now["genome_sha256"] else ["the genome is another"]
    before, after = {**there.get("options", {}), **there}, {**now["options"], **now}
    # A file that passed where reads off the genome were refused has none.
    same = {*_LENIENT, *(["unknown_chrom"] if before.get("unknown_chrom") == "error" else [])}
    names = [name for name in ("flank", "bin_size", *now["options"]) if name not in same]
    return found + [
        f"{name} was {before.get(name)}, is {after[name]}" for name in names if before.get(name) != after[name]
    ]


def _how_changed(sample: Sample, source: Mapping[str, Any] | None, hashes: HashCache) -> str:
    """Say why the counts of a file of reads cannot be taken over; nothing if they can."""
    if source is None:
        return "not counted yet"
    if is_url(sample.path):
        return _how_changed_there(sample, source)
    now = file_stamp(sample.path)
    if now is None:
        return "cannot be compared with the reads there are now"
    if now[0] != source["bytes"]:
        return f"its reads have changed (from {source['bytes']:,} bytes to {now[0]:,})"
    try:
        same = hashes.of(sample.path) == source["sha256"]
    except DeepchromeError:
        return "its reads cannot be read"
    return "" if same else "its reads have changed (another SHA-256)"


def _how_changed_there(sample: Sample, source: Mapping[str, Any]) -> str:
    """Compare the object at a URL, of which only its server knows whether it has changed."""
    from deepchrome.engine.streams.remote import fetch_identity

    try:
        now = fetch_identity(sample.path)
    except DeepchromeError as error:
        return f"its reads cannot be compared ({error})"
    if now.etag is None or now.size is None or "etag" not in source:
        return "its server does not say whether its reads have changed"
    same = (sample.file_name, now.size, now.etag) == (source["name"], source["bytes"], source["etag"])
    return "" if same else "its reads have changed (another ETag, size or name)"


def _place(path: str) -> str:
    return str(Path(path).absolute())
