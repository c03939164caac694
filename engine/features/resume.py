"""Decide which existing feature files can be reused.

A feature file records the hashes of its reads, the checksums of its genes and genome, and the options. It is reused
if a new run would make the same file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepchrome.common.urls import is_url
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.hash_cache import HashCache, file_stamp
from deepchrome.engine.features.pooling import records_of
from deepchrome.engine.features.provenance import compare_counting, counting_options
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.strangers import is_own_damaged_file
from deepchrome.errors import BadDataError, DeepchromeError

Action = Literal["make", "keep", "redo", "refuse"]


@dataclass(frozen=True)
class ReuseDecision:
    """What to do about the feature file of one epigenome.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    action
        ``make``: there is no file yet. ``keep``: the file is up to date. ``redo``: the file is damaged, or its
        reads have changed. ``refuse``: the file was made from other genes or with other options, or by another
        program, or it cannot be compared because its reads come from standard input. Only ``force`` replaces it.
    why
        The reason, for the user.
    records
        For ``keep``: what the feature file records about each file of reads (see docs/format.md). Otherwise empty.
    """

    epigenome: str
    action: Action
    why: str
    records: Mapping[Sample, Mapping[str, Any]] = field(default_factory=dict, repr=False)


def decide_reuse(
    out: Path,
    epigenome: str,
    samples: Sequence[Sample],
    marks: Sequence[str],
    windows: Windows,
    options: ReadOptions,
    hashes: HashCache,
) -> ReuseDecision:
    """Compare the feature file of an epigenome with the file that this run would make, and decide what to do about it.

    Parameters
    ----------
    out
        The directory of feature files.
    epigenome
        Name of the epigenome.
    samples
        Its files of reads. Several files of one mark are pooled.
    marks
        Its marks, in the order of the output columns.
    windows
        The windows to count in.
    options
        The options that select the reads to count.
    hashes
        The hashes of its files of reads.

    Raises
    ------
    MissingInputError
        The feature file disappears while it is being read.
    """
    from deepchrome.engine.features.store import ForeignFileError, gene_checksums, read_features

    path = out / f"{epigenome}.parquet"
    if not path.exists():
        return ReuseDecision(epigenome, "make", "not made yet")
    if any(sample.path == "-" for sample in samples):
        return ReuseDecision(epigenome, "refuse", "standard input cannot be compared with the reads of this file")
    try:
        stored = read_features(path).metadata
    except ForeignFileError as error:
        return ReuseDecision(epigenome, "refuse", str(error).removeprefix(f"{path}: "))
    except BadDataError as error:
        action: Action = "redo" if is_own_damaged_file(path) else "refuse"  # guard: foreign-features
        return ReuseDecision(epigenome, action, str(error).removeprefix(f"{path}: "))
    requested = counting_options(windows, options)
    different = _differences(stored, requested)  # guard: counting-options-differ
    checksums = gene_checksums(windows.genes)
    if any(stored["crc32"].get(name) != checksum for name, checksum in checksums.items()):
        different.append("the genes differ")
    if extra := [mark for mark in stored["marks"] if mark not in marks]:
        different.append(f"it also has {', '.join(extra)}, for which no reads are given")
    elif [mark for mark in marks if mark in stored["marks"]] != stored["marks"]:
        different.append(f"its marks are in another order: {', '.join(stored['marks'])}")
    if different:
        return ReuseDecision(epigenome, "refuse", "; ".join(different))
    if stored.get("count_rule") != requested["count_rule"]:
        return ReuseDecision(epigenome, "redo", "it was made by a version with another counting rule")
    sources = stored.get("sources", {})
    changed: list[str] = []
    records: dict[Sample, Mapping[str, Any]] = {}
    for mark in dict.fromkeys(sample.mark for sample in samples):
        files = [sample for sample in samples if sample.mark == mark]
        stored_records = records_of(sources[mark]) if mark in sources else []
        change = _describe_number(len(files), len(stored_records)) or _match(files, stored_records, hashes, records)
        changed += [f"{mark}: {change}"] * bool(change)
    if changed:
        return ReuseDecision(epigenome, "redo", "; ".join(changed))
    return ReuseDecision(epigenome, "keep", "up to date", records)


def _differences(stored: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Describe each difference between two sets of counting options."""
    return [
        "the genome differs" if name == "genome_sha256" else f"{name} was {before}, is now {after}"
        for name, (before, after) in compare_counting(stored, current).items()
    ]


def _describe_number(n_files: int, n_records: int) -> str:
    """Return why a mark must be counted again because of the number of its files; empty if that is the same."""
    if not n_records:
        return "not counted yet"
    if n_files != n_records:  # guard: pooled-number
        return f"counted from {n_records} file{'s' * (n_records > 1)} of reads, now {n_files}"
    return ""


def _match(
    files: Sequence[Sample],
    stored: Sequence[Mapping[str, Any]],
    hashes: HashCache,
    records: dict[Sample, Mapping[str, Any]],
) -> str:
    """Find the stored record of each file of a mark, whatever the order, and put it into ``records``.

    Returns
    -------
    str
        Why the first file without a record must be counted again; empty if each file has its own record.
    """
    left = list(stored)
    for sample in files:
        changes = [_describe_change(sample, record, hashes) for record in left]
        if "" not in changes:
            by_name = [record["name"] == sample.file_name for record in left if "name" in record]
            change = changes[by_name.index(True)] if True in by_name else changes[0]
            return f"{sample.file_name}: {change}" if len(files) > 1 else change
        records[sample] = left.pop(changes.index(""))
    return ""


def _describe_change(sample: Sample, source: Mapping[str, Any], hashes: HashCache) -> str:
    """Return why a file of reads must be counted again; empty if it is the file of a stored record."""
    if not {"name", "bytes", "sha256"} <= source.keys():
        return "the record of its reads is incomplete"
    if is_url(sample.path):
        return _describe_remote_change(sample, source)
    stamp = file_stamp(sample.path)
    if stamp is None:
        return "its reads cannot be found"
    if stamp[0] != source["bytes"]:
        return f"its reads have changed (from {source['bytes']:,} bytes to {stamp[0]:,})"
    try:
        same = hashes.sha256(sample.path) == source["sha256"]  # guard: reads-hash
    except DeepchromeError:
        return "its reads cannot be read"
    return "" if same else "its reads have changed (different SHA-256)"


def _describe_remote_change(sample: Sample, source: Mapping[str, Any]) -> str:
    """Return why the reads at a URL must be counted again; empty if the server reports the same size and ETag."""
    from deepchrome.engine.streams.remote import fetch_identity

    try:
        current = fetch_identity(sample.path)
    except DeepchromeError as error:
        return f"its reads cannot be checked for changes ({error})"
    if current.etag is None or current.size is None or "etag" not in source:
        return "its reads cannot be checked for changes (the server sends no size or no ETag)"
    same = (sample.file_name, current.size, current.etag) == (source["name"], source["bytes"], source["etag"])
    return "" if same else "its reads have changed (different ETag, size or name)"
