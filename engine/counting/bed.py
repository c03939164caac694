"""Count the lines of BED files, such as tagAlign."""

import numpy as np

from deepchrome.engine import kernels
from deepchrome.engine.counting.formats import BadItemError, Bytes, Counter, Format, Target
from deepchrome.errors import BadDataError

_NAME_MARGIN = 16  # kernels read names eight bytes at a time


class Bed(Format):
    """BED with three columns or more, sorted or not."""

    name = "BED"

    def __init__(self, target: Target) -> None:
        self.target = target
        self.columns = 0
        """Columns of the first line that is a read; 0 before it is found."""

    def cut(self, buffer: Bytes, begin: int, end: int, is_last: bool) -> tuple[int, int]:
        """Cut after the last complete line; at the end of the file, complete the last line with a newline."""
        if is_last and end > begin and buffer[end - 1] != ord("\n"):
            buffer[end] = ord("\n")
            end += 1
        last = _after_last_newline(buffer, begin, end)
        if end - last > kernels.MAX_LINE_BYTES and last == begin:  # guard: line-length
            raise BadItemError("line", _PROBLEMS[kernels.Status.BAD_LONG])
        if not self.columns:
            self.columns = self._count_columns(buffer, begin, last)
        return begin, last

    def counter(self) -> Counter:
        """Return a new counter for one thread."""
        return _BedCounter(self)

    def _count_columns(self, buffer: Bytes, begin: int, end: int) -> int:
        columns: int = kernels.count_columns(buffer, begin, end)
        if columns < 0:
            raise BadDataError(
                "lines end in a lone carriage return, as on old Macs. Convert the file with tr '\\r' '\\n'."
            )
        if self.target.options.strand and 0 < columns < 6:
            raise BadDataError(f"no strands ({columns} columns). Strands are in column 6; count both strands instead.")
        # Kernels need at least 3. If the first line has fewer fields, they report it.
        return max(columns, 3) if columns else 0


def _after_last_newline(buffer: Bytes, begin: int, end: int) -> int:
    """Return the position after the last newline in [begin, end), or ``begin`` if there is none."""
    step = 4096
    for high in range(end, begin, -step):
        low = max(begin, high - step)
        found = buffer[low:high].tobytes().rfind(b"\n")
        if found >= 0:
            return low + found + 1
    return begin


class _BedCounter(Counter):
    def __init__(self, bed: Bed) -> None:
        super().__init__(bed.target)
        self._bed = bed
        self._names = kernels.NameTable.empty(n_slots=1 << 8, n_bytes=1 << 10)
        self._shapes = np.zeros(kernels.SHAPE_TABLE_BYTES, np.uint8)
        self._places: list[tuple[int, int]] = []  # of each name: where it begins in the text of the table, its length
        for name in self.target.sequences.names[: self.target.sequences.n_known]:
            self._add_name(name)

    def _add_name(self, name: bytes) -> None:
        sequences = self.target.sequences
        sequence = sequences.id_of(name)
        local = self.add_sequence(sequence, sequences.extent(sequence, self.target.options.unknown_chrom == "bedtools"))
        slots, text = self._names
        place = sum(self._places[-1]) if self._places else 0
        if place + len(name) + _NAME_MARGIN > len(text):
            text = np.concatenate([text, np.zeros(len(text) + len(name) + _NAME_MARGIN, np.uint8)])
        text[place : place + len(name)] = np.frombuffer(name, np.uint8)
        self._places.append((place, len(name)))
        first = local
        if 2 * len(self._places) > len(slots):  # at most half full, for fast lookups: add all names to a larger table
            slots, first = np.zeros((2 * len(slots), slots.shape[1]), np.uint64), 0
        self._names = kernels.NameTable(slots, text)
        for i in range(first, len(self._places)):
            kernels.add_name(self._names, *self._places[i], i)

    def _count(self, buffer: Bytes, begin: int, end: int) -> None:
        columns, shapes, stranded = self._bed.columns, self._shapes, self.target.options.strand is not None
        while True:
            status = kernels.count_text(
                buffer, begin, end, columns, self._names, shapes, self.extents, self.windows, stranded, self.totals
            )
            if status == kernels.Status.DONE:
                return
            begin = self.total(kernels.Tally.CURSOR)
            line = _line_at(buffer, begin, end)
            if status != kernels.Status.NEW_NAME:
                raise BadItemError("line", _describe(status, line, columns))
            self._add_name(line.split(b"\t", 1)[0])


def _line_at(buffer: Bytes, begin: int, end: int) -> bytes:
    text = buffer[begin : min(end, begin + kernels.MAX_LINE_BYTES + 1)].tobytes()
    return text.split(b"\n", 1)[0].removesuffix(b"\r")


_PROBLEMS = {
    kernels.Status.BAD_FIELDS: "fewer than three tab-separated columns (chromosome, start, end)",
    kernels.Status.BAD_RAGGED: "{found} columns where the lines before have {columns}",
    kernels.Status.BAD_START: "the start is not a whole number",
    kernels.Status.BAD_END: "the end is not a whole number",
    kernels.Status.BAD_ORDER: "the end lies before the start",
    kernels.Status.BAD_LARGE: "a position beyond 2^29 - 1 bp, or on longer chromosomes beyond 2^31 - 2 bp",
    kernels.Status.BAD_LONG: f"a line of more than {kernels.MAX_LINE_BYTES} bytes. Is this a file of reads?",
    kernels.Status.BAD_NAME: "no chromosome name",
}


def _describe(status: kernels.Status, line: bytes, columns: int) -> str:
    """Return what is wrong with a line."""
    problem = _PROBLEMS[status].format(found=line.removesuffix(b"\t").count(b"\t") + 1, columns=columns)
    if status == kernels.Status.BAD_LONG:
        return problem
    shown = line[:100].decode("utf-8", "backslashreplace")
    return f"{problem}. The line is {shown!r}{' ...' if len(line) > 100 else ''}."
