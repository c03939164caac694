"""What the bytes of reads mean: lines of BED (tagAlign), or records of BAM.

A format cuts a block after its last whole line or record, in the order of the file, and makes the counters,
one per thread, that count such a piece through the kernels.
"""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepchrome.common.signatures import BAM_MAGIC
from deepchrome.engine import kernels
from deepchrome.engine.annotation.windows import WindowIndex
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.errors import BadDataError

# A bin gets at most one mark a read: folded this often, 32 bits cannot overflow.
READS_PER_FOLD = 1 << 30
# More names than any assembly has, and few enough that a file that is not BED cannot eat the memory.
MAX_NAMES = 1 << 20
MAX_NAMES_BYTES = 1 << 25
# More than any read needs, and few enough to hold in memory.
MAX_RECORD_BYTES = 1 << 25
_DUPLICATE, _QC_FAIL = 0x400, 0x200

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]


class BadPieceError(Exception):
    """A line or record is wrong; how many lines or records of its piece come before it."""

    def __init__(self, before: int, unit: str, message: str) -> None:
        super().__init__(message)
        self.before = before
        self.unit = unit


class Sequences:
    """Names of sequences by id: those of the genome, then the others as they turn up, in any thread."""

    def __init__(self, genome_names: list[str], index: WindowIndex) -> None:
        self.names = [name.encode() for name in genome_names]
        self.n_known = len(self.names)
        self._index = index
        self._ids = {name: i for i, name in enumerate(self.names)}
        self._n_bytes = 0
        self._lock = threading.Lock()

    def identity(self, name: bytes) -> int:
        """Return the id of a name; a new one if it has none yet."""
        with self._lock:
            if name not in self._ids:
                self._n_bytes += len(name)
                if len(self.names) >= MAX_NAMES or self._n_bytes > MAX_NAMES_BYTES:
                    raise BadDataError(
                        f"more than {len(self.names):,} different chromosome names: is this a file of reads?"
                    )
                self._ids[name] = len(self.names)
                self.names.append(name)
            return self._ids[name]

    def site(self, identity: int, unknown_on_first: bool) -> Integers:
        """Return where a sequence's windows are, as a row of the kernels' ``sites``."""
        if identity < self.n_known:
            row: Integers = self._index.sites[identity]
            return row
        if unknown_on_first:
            return np.array([*self._index.sites[0, :2], kernels.FAR], np.int64)
        return self._index.nowhere


class Counter(ABC):
    """What one thread adds up.

    Attributes
    ----------
    difference
        int32 (windows, bins + 1): what has been counted since it was last folded.
    tally
        int64 (N_TALLY).
    sites
        int64 (local ids, 3).
    reads_on
        int64 (local ids).
    identities
        The sequence each local id stands for.
    """

    def __init__(self, index: WindowIndex, n_bins: int, bin_size: int) -> None:
        self.index = index
        self.bin_size = bin_size
        self.difference = np.zeros((len(index.starts), n_bins + 1), np.int32)
        self._folded: Counts | None = None
        self._reads_since_fold = 0
        self.tally = np.zeros(len(kernels.Tally), np.int64)
        self.tally[kernels.Tally.MIN_LENGTH] = kernels.FAR
        self.sites = np.empty((0, 3), np.int64)
        self.reads_on = np.zeros(0, np.int64)
        self.identities: list[int] = []

    def add_site(self, identity: int, site: Integers) -> int:
        """Give a sequence the next local id."""
        if len(self.identities) == len(self.sites):
            more = max(64, len(self.sites))
            self.sites = np.concatenate([self.sites, np.zeros((more, 3), np.int64)])
            self.reads_on = np.concatenate([self.reads_on, np.zeros(more, np.int64)])
        self.sites[len(self.identities)] = site
        self.identities.append(identity)
        return len(self.identities) - 1

    def count(self, buffer: Bytes, begin: int, end: int) -> int:
        """Count whole lines or records; return how many there were."""
        before = int(self.tally[kernels.Tally.LINES])
        try:
            self._count(buffer, begin, end)
        except BadPieceError as error:
            error.before = int(self.tally[kernels.Tally.LINES]) - before
            raise
        done = int(self.tally[kernels.Tally.LINES]) - before
        self._reads_since_fold += done
        if self._reads_since_fold > READS_PER_FOLD:
            if self._folded is None:
                n_genes = int(self.index.order.max()) + 1
                self._folded = np.zeros((n_genes, self.difference.shape[1] - 1), np.uint32)
            _check_largest(kernels.fold(self.difference, self.index.order, self._folded))
            self.difference[:] = 0
            self._reads_since_fold = 0
        return done

    def add_to(self, counts: Counts) -> None:
        """Add what has been counted to ``counts``, uint32 (genes, bins)."""
        if self._folded is not None:
            sums = counts[: len(self._folded)] + self._folded.astype(np.int64)
            _check_largest(int(sums.max(initial=0)))
            counts[: len(self._folded)] = sums
        _check_largest(kernels.fold(self.difference, self.index.order, counts))

    @abstractmethod
    def _count(self, buffer: Bytes, begin: int, end: int) -> None:
        """Count, or raise BadPieceError with the kernel's LINES standing before the culprit."""


def _check_largest(count: int) -> None:
    if count > np.iinfo(np.uint32).max:
        raise BadDataError(f"a bin with {count:,} reads or more: a count can hold 4,294,967,295")


class Format(ABC):
    """What the bytes mean."""

    name: str

    @abstractmethod
    def cut(self, buffer: Bytes, begin: int, end: int, is_last: bool) -> tuple[int, int]:
        """Return what of [begin, end) can be counted now; called in the order of the file."""

    @abstractmethod
    def counter(self) -> Counter:
        """Make the counter of one thread."""


@dataclass(frozen=True)
class Target:
    """Where reads are counted, and which: what every format needs to make its counters."""

    sequences: Sequences
    index: WindowIndex
    n_bins: int
    bin_size: int
    options: ReadOptions


class Text(Format):
    """BED of three columns or more: tagAlign."""

    name = "BED"

    def __init__(self, target: Target) -> None:
        self.target = target
        self.columns = 0

    def cut(self, buffer: Bytes, begin: int, end: int, is_last: bool) -> tuple[int, int]:  # noqa: D102 - inherited
        if is_last and end > begin and buffer[end - 1] != ord("\n"):
            buffer[end] = ord("\n")
            end += 1
        last = kernels.last_newline(buffer, begin, end) + 1
        if end - last > kernels.MAX_LINE_BYTES and last == begin:
            raise BadPieceError(0, "line", _WRONG[kernels.Status.BAD_LONG])
        if not self.columns:
            columns = kernels.count_columns(buffer, begin, last)
            if columns < 0:
                raise BadDataError("lines end in a lone carriage return, as on old Macs; convert them: tr '\\r' '\\n'")
            if self.target.options.strand and 0 < columns < 6:
                raise BadDataError(f"no strand in {columns} columns; -s and -S need six")
            # Kernels look for three fields at least; where the first line has fewer, they refuse it.
            self.columns = max(columns, 3) if columns else 0
        return begin, last

    def counter(self) -> Counter:  # noqa: D102 - inherited
        return _TextCounter(self)


class _TextCounter(Counter):
    def __init__(self, text: Text) -> None:
        target = text.target
        super().__init__(target.index, target.n_bins, target.bin_size)
        self._text = text
        self._blob = np.zeros(1 << 10, np.uint8)
        self._blob_end = 0
        self._names = np.zeros((1 << 8, 5), np.uint64)
        self._spans: list[tuple[int, int]] = []
        for name in target.sequences.names[: target.sequences.n_known]:
            self._enter(name)

    def _enter(self, name: bytes) -> None:
        sequences = self._text.target.sequences
        identity = sequences.identity(name)
        on_first = self._text.target.options.unknown_chrom == "bedtools"
        local = self.add_site(identity, sequences.site(identity, on_first))
        place, room = self._blob_end, 16  # names are looked at eight bytes at a time
        if place + len(name) + room > len(self._blob):
            self._blob = np.concatenate([self._blob, np.zeros(len(self._blob) + len(name) + room, np.uint8)])
        self._blob[place : place + len(name)] = np.frombuffer(name, np.uint8)
        self._blob_end += len(name)
        self._spans.append((place, len(name)))
        if 2 * len(self._spans) > len(self._names):
            self._names = np.zeros((2 * len(self._names), 5), np.uint64)
            for i, (at, length) in enumerate(self._spans):
                kernels.add_name(kernels.NameTable(self._names, self._blob), at, length, i)
        else:
            kernels.add_name(kernels.NameTable(self._names, self._blob), place, len(name), local)

    def _count(self, buffer: Bytes, begin: int, end: int) -> None:
        while True:
            status = kernels.count_text(
                buffer,
                begin,
                end,
                self._text.columns,
                kernels.NameTable(self._names, self._blob),
                self.sites,
                kernels.WindowTable(self.index.tiles, self.index.starts, self.index.accepts, self.bin_size),
                self._text.target.options.strand is not None,
                kernels.Totals(self.difference,self.reads_on,self.tally),
            )
            if status == kernels.Status.DONE:
                return
            begin = int(self.tally[kernels.Tally.CURSOR])
            line = _line_at(buffer, begin, end)
            if status != kernels.Status.NEW_NAME:
                raise BadPieceError(0, "line", _describe(status, line, self._text.columns))
            self._enter(line.split(b"\t", 1)[0])


def _line_at(buffer: Bytes, begin: int, end: int) -> bytes:
    piece = buffer[begin : min(end, begin + kernels.MAX_LINE_BYTES + 1)].tobytes()
    return piece.split(b"\n", 1)[0].removesuffix(b"\r")


_WRONG = {
    kernels.Status.BAD_FIELDS: "fewer than three tab-separated columns (chromosome, start, end)",
    kernels.Status.BAD_RAGGED: "{found} columns where the lines before have {columns}",
    kernels.Status.BAD_START: "the start is not a whole number",
    kernels.Status.BAD_END: "the end is not a whole number",
    kernels.Status.BAD_ORDER: "the end lies before the start",
    kernels.Status.BAD_LARGE: "a position beyond 2^29 - 1 bp",
    kernels.Status.BAD_LONG: f"a line of more than {kernels.MAX_LINE_BYTES} bytes: is this a file of reads?",
    kernels.Status.BAD_NAME: "no chromosome name",
}


def _describe(status: int, line: bytes, columns: int) -> str:
    message = _WRONG[status].format(found=line.removesuffix(b"\t").count(b"\t") + 1, columns=columns)
    if status == kernels.Status.BAD_LONG:
        return message
    shown = line[:100].decode("utf-8", "backslashreplace")
    return f"{message}: {shown!r}" + (" ..." if len(line) > 100 else "")


class Bam(Format):
    """BAM: a header, then records (SAM specification, section 4.2)."""

    name = "BAM"

    def __init__(self, target: Target) -> None:
        self.target = target
        self.identities: list[int] = []  # of the references, in their order
        self._text_left: int | None = None
        self._n_references: int | None = None

    def cut(self, buffer: Bytes, begin: int, end: int, is_last: bool) -> tuple[int, int]:  # noqa: D102 - inherited
        first = begin if self._is_known() else self._read_header(buffer, begin, end)
        last = kernels.whole_records(buffer, first, end) if self._is_known() else first
        if last < 0:
            raise BadPieceError(0, "record", "a record's size makes no sense: the file is damaged")
        if is_last and (last < end or not self._is_known()):
            raise EOFError
        if end - last > MAX_RECORD_BYTES:
            raise BadDataError(f"a record of more than {MAX_RECORD_BYTES} bytes: no read, or the file is damaged")
        return first, last

    def counter(self) -> Counter:  # noqa: D102 - inherited
        return _BamCounter(self)

    def _is_known(self) -> bool:
        return len(self.identities) == self._n_references

    def _read_header(self, buffer: Bytes, begin: int, end: int) -> int:
        """Read on in the header, nothing of which is kept but its names; return what is left for the next block."""
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
        while not self._is_known() and end - at >= 4:
            length = _size(buffer, at, MAX_NAMES_BYTES)
            if end - at < 8 + length:
                break
            name = buffer[at + 4 : at + 4 + length].tobytes().rstrip(b"\0")
            _size(buffer, at + 4 + length)
            self.identities.append(self.target.sequences.identity(name))
            at += 8 + length
        return at


def _size(buffer: Bytes, at: int, largest: int = (1 << 31) - 1) -> int:
    value = int.from_bytes(buffer[at : at + 4].tobytes(), "little")
    if value > largest:
        raise BadDataError("the BAM header makes no sense: the file is damaged")
    return value


class _BamCounter(Counter):
    def __init__(self, bam: Bam) -> None:
        target = bam.target
        super().__init__(target.index, target.n_bins, target.bin_size)
        self._options = target.options
        for identity in bam.identities:
            self.add_site(identity, target.sequences.site(identity, unknown_on_first=False))
        # The kernel refuses references beyond the header's: exactly as many rows as there are.
        self.sites = self.sites[: len(self.identities)].copy()

    def _count(self, buffer: Bytes, begin: int, end: int) -> None:
        excluded = (0 if self._options.include_duplicates else _DUPLICATE) | (
            0 if self._options.include_qc_fail else _QC_FAIL
        )
        status = kernels.count_bam(
            buffer,
            begin,
            end,
            self.sites,
                kernels.WindowTable(self.index.tiles, self.index.starts, self.index.accepts, self.bin_size),
            self._options.strand is not None,
            excluded,
            self._options.min_mapq,
                kernels.Totals(self.difference,self.reads_on,self.tally),
        )
        if status != kernels.Status.DONE:
            raise BadPieceError(0, "record", "its reference, position or CIGAR makes no sense: the file is damaged")


def detect(head: bytes, target: Target) -> Format:
    """Tell BAM from text by the first bytes."""
    return Bam(target) if head.startswith(BAM_MAGIC) else Text(target)
