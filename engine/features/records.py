"""The record of a file of reads: what a feature file stores about it under ``sources`` (see docs/format.md)."""

from collections.abc import Mapping
from typing import Any

from deepchrome.engine.counting.quality import ReadQuality
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.errors import BadDataError


def read_record(tally: ReadTally, file_name: str) -> dict[str, Any]:
    """Return the record of a file of reads, as values that JSON can hold.

    Parameters
    ----------
    tally
        The result of counting the file.
    file_name
        Its name, without its directory.
    """
    record: dict[str, Any] = {
        "name": file_name,
        "format": tally.format,
        "bytes": tally.bytes_read,
        "sha256": tally.sha256,
        "reads": tally.reads,
        "reads_in_windows": tally.in_windows,
        "reads_off_genome": dict(tally.off_genome),
        "reads_past_end": tally.past_end,
        "reads_filtered": tally.filtered,
        "read_length_bp": {"min": tally.min_length, "mean": tally.mean_length, "max": tally.max_length},
    }
    if tally.quality:
        record["quality"] = tally.quality.record()
    if tally.etag:
        record["etag"] = tally.etag
    return record


def read_quality(record: Mapping[str, Any]) -> ReadQuality | None:
    """Return the quality in the record of a file of reads.

    None if it has none: an earlier version counted the file, the file has no reads but a signal, or another program
    wrote something else under this name.
    """
    if not isinstance(record.get("quality"), dict):
        return None
    try:
        return ReadQuality.from_record(record["quality"])
    except BadDataError:
        return None
