"""The failures that the campaign tests, and what deepchrome promises for each.

A test names its rows: ``@pytest.mark.campaign("truncation")``. In the normal suite these tests try few cases; with
DEEPCHROME_CAMPAIGN=full (``make campaign``) they try many. docs/reliability.md has the table.
"""

import os
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("DEEPCHROME_CAMPAIGN") == "full"


def sized(small: T, full: T) -> T:
    """Return the cases to try, or their number: ``small`` in the normal suite, ``full`` in the full campaign."""
    return full if FULL else small


@dataclass(frozen=True)
class Row:
    """A failure and the promise for it."""

    failure: str
    promise: str


ROWS = {
    "truncation": Row(
        "reads cut short at any byte or at the end of a line: gzip, bgzip, BAM, CRAM",
        "exit 65; no output; existing files unchanged",
    ),
    "flips": Row("a flipped bit in gzip, bgzip, BAM or CRAM", "exit 65, or the same counts"),
    "no-eof": Row("bgzip or BAM without its end-of-file block", "exit 65, unless `--allow-no-eof`"),
    "members": Row("gzip of many members, some of them empty", "the counts of the plain file"),
    "lines": Row(
        "a malformed line: missing fields, not a number, negative, end before start, too large a position, NUL",
        "exit 65; a message with file, line number and line; no output",
    ),
    "memory": Row(
        "a line that never ends; a few MB that decompress to gigabytes",
        "lines above 64 KiB refused; peak memory below 400 MB",
    ),
    "naming": Row(
        "reads of another genome: 1 for chr1, or almost no reads near genes",
        "exit 65 and a message with the names, unless an option accepts it",
    ),
    "empty": Row("a file without reads", "exit 65, unless `--allow-empty`"),
    "parity": Row("a wrong count", "the counts of bedtools in every bin, on random files of every format"),
    "cases": Row(
        "lines and bins that programs count differently",
        "the counts of bedtools, or the documented exception, for every case in docs/definitions.md",
    ),
    "bounds": Row(
        "kernels that read outside their buffer",
        "never: tested with numba's bounds checks, and as plain Python with every access checked",
    ),
    "fuzz": Row("random and guided malformed input", "the result of the naive counter; no crash"),
    "overflow": Row("a bin with more than 2^32 - 1 reads", "exact counts up to the limit; exit 65 above"),
    "disk": Row(
        "disk full, file too large, no permission, read-only file system",
        "exit 74 (66 for input); existing files unchanged; no partial files",
    ),
    "install": Row("no directory for compiled kernels", "the kernels are compiled in every run; the same counts"),
    "kills": Row("killed at any moment", "every file is the old one or the complete new one; a new run finishes"),
    "races": Row("two runs with the same output", "the second exits with 74 and names the first"),
    "clock": Row(
        "wrong clocks; output and temporary files on different file systems", "the output is the same in every byte"
    ),
    "interrupt": Row("Ctrl-C", "exit 130; existing files unchanged"),
    "features": Row(
        "a changed byte in a feature file; a file of another program or version",
        "exit 65, or the values that were written",
    ),
    "runs": Row(
        "a changed byte in the tables, config or models of a run; arrays of other shapes",
        "exit 65, or the values that were written",
    ),
    "pickles": Row("a pickle with code in place of a model", "refused before it is read"),
    "names": Row(
        "names with markup, control characters, path separators, 10,000 characters, any script",
        "refused as file names; shown unchanged and without effect in terminal and report",
    ),
    "numbers": Row(
        "RPKM missing, NaN, infinite, negative or all equal; labels of one class; no gene, one gene, one bin, 30 marks",
        "refused with names and numbers, or a result that reports what is missing; no label from NaN",
    ),
    "resume": Row(
        "interrupted and run again, with or without changes of reads, output or options",
        "valid output kept; missing or outdated output counted again; other files refused; all reported",
    ),
    "network": Row(
        "connections cut, stalled or refused; wrong sizes; files that change during transfer; wrong hashes",
        "resumed, or exit 74 or 66; complete or an error; no unchecked file under its final name",
    ),
    "cluster": Row(
        "a lost worker, a file that kills its workers, another version, no scheduler",
        "the same bytes as on one machine; lost tasks repeated, or reported in the summary",
    ),
    "one-bad": Row("one bad file among many", "the others are counted; exit 65; the summary names the bad file"),
    "supply": Row("a new version of a dependency", "all versions are pinned in the lock that tests and demo use"),
    "kernel-cache": Row(
        "cached kernels that are empty, cut, zeroed, unreadable or of another version; a full cache disk",
        "the kernels are compiled anew; the same counts; the run succeeds",
    ),
    "cram": Row(
        "CRAM of every version, cut at any container, larger than any buffer",
        "the counts of bedtools, or exit 65; no run that never ends",
    ),
    "tables": Row(
        "tables cut between bgzip blocks: genes, genome, samples, expression, labels, splits", "exit 65; no output"
    ),
    "provenance": Row(
        "feature files, checkpoints and models that were renamed, swapped or mixed between runs",
        "refused; the message names the file and what differs",
    ),
    "unlike": Row(
        "features unlike those of the training: swapped marks, another build, one chromosome, a tenth of the reads",
        "refused, or a warning that names the mark and the numbers",
    ),
    "save-load": Row(
        "a model whose saved weights are not the trained ones", "refused; scores after loading equal those before"
    ),
    "strangers": Row(
        "files of other programs under the names that a command writes or clears",
        "refused without `--force`; unchanged",
    ),
    "edges": Row(
        "signals from the first millisecond to the exit; closed standard streams; readers that go away; directories "
        "that are not UTF-8; FIFOs; symlinks",
        "an exit code of the table above; no traceback; nothing lost",
    ),
    "limits": Row(
        "small files that ask for gigabytes; thousands of threads, epigenomes or chromosome names",
        "bounded memory and time",
    ),
    "odd-files": Row(
        "real and odd files from other programs' tests; annotations with odd lines; very long chromosomes",
        "the counts of bedtools; odd lines skipped and counted, or refused with the way out",
    ),
    "messages": Row("any of these on the command line", "one line with the problem and its place; no traceback"),
}
