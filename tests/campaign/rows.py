"""What can go wrong, what we promise then, and how much of it a run tries.

Tests say which rows they prove: ``@pytest.mark.campaign("truncation")``. In small they are part of the suite; with
DEEPCHROME_CAMPAIGN=full (``make campaign``) the same tests try as much as the table of docs/reliability.md says.
"""

import os
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("DEEPCHROME_CAMPAIGN") == "full"


def sized(small: T, full: T) -> T:
    """Return how much to try: little beside the suite, much in the full campaign."""
    return full if FULL else small


@dataclass(frozen=True)
class Row:
    failure: str
    promise: str


ROWS = {
    "truncation": Row(
        "reads cut short: gzip, bgzip, BAM, at any byte and right behind a line",
        "exit 65, no output, what stood there untouched",
    ),
    "flips": Row("a bit flipped in gzip, bgzip or BAM", "exit 65, or the very same counts; never others"),
    "no-eof": Row("bgzip or BAM without its end-of-file block", "exit 65 unless `--allow-no-eof`"),
    "members": Row("gzip of many members, empty ones among them", "the counts of the plain file"),
    "lines": Row(
        "a line that is no read: ragged, not a number, negative, end before start, beyond 2^29 - 1, NUL",
        "exit 65; file, number of the line and the line; no output",
    ),
    "memory": Row(
        "a line without end; a few MB that unpack to gigabytes",
        "lines above 64 KiB refused; peak memory stays below 400 MB",
    ),
    "naming": Row(
        "another genome: 1 for chr1, hardly a read near the genes", "exit 65 and the names, unless asked otherwise"
    ),
    "empty": Row("no read at all", "exit 65 unless `--allow-empty`"),
    "parity": Row("a miscount", "bedtools' counts, bin by bin, on random files of every kind"),
    "cases": Row(
        "a kind of line or bin that programs differ on",
        "bedtools' answer or our own, on purpose, as docs/definitions.md lists them one by one",
    ),
    "bounds": Row(
        "the kernels look beyond their buffer",
        "never: run once with numba's bounds checks, once as plain Python with every look-up checked",
    ),
    "fuzz": Row("input that nobody thought of", "the naive reader's counts or its refusal; no crash"),
    "overflow": Row("a bin with more than 2^32 - 1 reads", "exact up to there, refused beyond; never wrapped"),
    "disk": Row(
        "disk full, file too large, no permission, read-only file system",
        "exit 74 (66 for input); what stood there untouched; nothing half-written left",
    ),
    "install": Row("no place to keep compiled kernels", "they are compiled anew, and the counts are right"),
    "kills": Row("killed at any moment", "every file is the old one or the complete new one; a rerun finishes"),
    "races": Row("two runs on one output", "the second exits 74 and names the first"),
    "clock": Row(
        "clocks that are wrong; output on another file system than temporary files", "not a byte of the output differs"
    ),
    "interrupt": Row("Ctrl-C", "exit 130; what stood there untouched"),
    "features": Row(
        "a byte changed in a feature file, or a file of another program or version",
        "exit 65, or what is read is what was written",
    ),
    "runs": Row(
        "a byte changed in a run's tables, config or models; arrays of other shapes",
        "exit 65, or what is read is what was written",
    ),
    "pickles": Row("a pickle that runs code, under the name of a model", "refused unread"),
    "names": Row(
        "names with markup, control characters, path separators, 10,000 characters, any script",
        "refused where they become files, harmless and unchanged elsewhere; no element in the report",
    ),
    "numbers": Row(
        "RPKM missing, NaN, infinite, negative, all equal; labels of one class; no gene, one gene, one bin, 30 marks",
        "refused by name and count, or a result that says what it lacks; no NaN becomes a label",
    ),
    "resume": Row(
        "cut off and run again; reads, output or what is asked for changed in between",
        "what holds is kept, what is missing or changed is counted, what is another's is refused; all told",
    ),
    "network": Row(
        "connections cut, stalled, refused; servers that lie about sizes or change what they send; wrong hashes",
        "resumed, or exit 74 or 66; every byte or an error; nothing unchecked under its final name",
    ),
    "cluster": Row(
        "a worker lost in the middle, a file that kills its workers, another version, no scheduler",
        "the bytes of one machine; what is lost is done elsewhere, or named in the summary",
    ),
    "one-bad": Row("one bad file among many", "the others are done; it is named in the summary; exit 65"),
    "supply": Row("a dependency that changes under us", "all are pinned in the one lock that tests and demo use"),
    "messages": Row("any of these, met on the command line", "one line that says what and where; no traceback"),
}
