"""Count the records of BAM files (SAM specification, section 4.2)."""

from array import array

from deepchrome.engine import kernels
from deepchrome.engine.counting.build_check import check_header
from deepchrome.engine.counting.formats import (
    MAX_NAMES,
    MAX_NAMES_BYTES,
    BadItemError,
    Bytes,
    Counter,
    Format,
    Target,
)
from deepchrome.errors import BadDataError

# More than any read needs, but few enough to hold in memory.
MAX_RECORD_BYTES = 1 << 25
_REVERSE = 0x10  # flag
_DAMAGED = "The file is damaged; get it again."
_PROBLEMS = {
    kernels.Status.BAD_RECORD: "the size of this record, or its name, references, position, CIGAR or number of bases, "
    f"is not valid. {_DAMAGED}",
    kernels.Status.BAD_CIGAR: "more than 65,535 CIGAR operations, so the blocks of this read are not known. Count "
    "whole reads, or leave such reads out.",
}


class Bam(Format):
    """BAM: a header, which names the reference sequences, and records."""

    name = "BAM"

    def __init__(self, target: Target) -> None:
        self.target = target
        self.references: list[int] = []
        """Sequence id of each reference read so far, in the order of the header."""
        self.lengths = array("i")  # a list of a million numbers would take 36 MB
        """Their lengths (bp)."""
        self._text_left: int | None = None  # unread bytes of the header's text; None until its length is known
        self._n_references: int | None = None

    def cut(self, buffer: Bytes, begin: int, end: int, is_last: bool) -> tuple[int, int]:
        """Read the header, unless an earlier block contained it, and cut after the last complete record."""
        first = begin if self._has_header() else self._read_header(buffer, begin, end)
        last = kernels.whole_records(buffer, first, end) if self._has_header() else first
        if is_last and (last < end or not self._has_header()):  # guard: bam-end
            raise EOFError
        if end - last > MAX_RECORD_BYTES:
            raise BadDataError(f"a record of more than {MAX_RECORD_BYTES} bytes. {_DAMAGED}")
        return first, last

    def counter(self) -> Counter:
        """Return a new counter for one thread."""
        return _BamCounter(self)

    def _has_header(self) -> bool:
        return len(self.references) == self._n_references

    def _read_header(self, buffer: Bytes, begin: int, end: int) -> int:
        """Continue reading the header, and return the position of the first unread byte. Keep only the names."""
        at = begin
        if self._text_left is None:
            if end - at < 8:
                return at
            self._text_left = _size(buffer, at + 4)
            at += 8
        skipped = min(self._text_left, end - at)
        self._text_left -= skipped
        at += skipped
        if self._n_references is None:
            if self._text_left or end - at < 4:
                return at
            self._n_references = _size(buffer, at, MAX_NAMES)
            at += 4
        while not self._has_header() and end - at >= 4:
            length = _size(buffer, at, MAX_NAMES_BYTES)
            if end - at < 8 + length:
                break
            name = buffer[at + 4 : at + 4 + length].tobytes().rstrip(b"\0")
            self.lengths.append(_size(buffer, at + 4 + length))
            self.references.append(self.target.sequences.id_of(name))
            at += 8 + length
        if self._has_header() and self.target.options.build_check:
            check_header(self.target, self.references, self.lengths)
        return at


def _size(buffer: Bytes, at: int, largest: int = (1 << 31) - 1) -> int:
    """Read an int32 size from the header; raise a BadDataError if it is negative or above ``largest``."""
    value = int.from_bytes(buffer[at : at + 4].tobytes(), "little")
    if value > largest:  # guard: bam-header-size
        raise BadDataError(f"the BAM header is not valid. {_DAMAGED}")
    return value


class _BamCounter(Counter):
    def __init__(self, bam: Bam) -> None:
        super().__init__(bam.target, _REVERSE, _REVERSE)
        options = self.target.options
        self.has_strands = not options.fragments
        self._records = kernels.Records(
            excluded_flags=(0 if options.include_duplicates else kernels.DUPLICATE_FLAG)
            | (0 if options.include_qc_fail else kernels.QC_FAIL_FLAG),
            min_mapq=options.min_mapq,
            proper_only=options.proper_pairs,
            fragments=options.fragments,
        )
        for sequence in bam.references:
            self.add_sequence(sequence)
        # The kernel refuses references that the header does not have, so there must be no spare rows.
        self._extents = self._extents[: len(self.sequences)].copy()

    def _count(self, buffer: Bytes, begin: int, end: int) -> None:
        tables = (self.extents, self._records, self.target.index.segments, self.spans, self.rule, self.totals)
        status = kernels.count_bam(buffer, begin, end, *tables)
        if status != kernels.Status.DONE:
            raise BadItemError("record", _PROBLEMS[status])
