"""Count the lines of BED files, such as tagAlign."""

import re
from collections.abc import Collection

import numpy as np

from deepchrome.engine import kernels
from deepchrome.engine.counting.formats import BadItemError, Bytes, Counter, Format, Target
from deepchrome.errors import BadDataError

_NAME_MARGIN = 16  # kernels read names eight bytes at a time
_MAX_AHEAD = 1 << 16  # bytes
_NAME = re.compile(rb"^(?!#|track|browser)[^\t\n]+(?=\t)", re.MULTILINE)


class Bed(Format):
    """BED with three columns or more, sorted or not."""

    name = "BED"
    has_strands = True

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

    def describe(self, status: kernels.Status, line: bytes) -> str:
        """Return what is wrong with a line."""
        problem = _PROBLEMS[status].format(found=line.removesuffix(b"\t").count(b"\t") + 1, columns=self.columns)
        if status == kernels.Status.BAD_LONG:
            return problem
        shown = line[:100].decode("utf-8", "backslashreplace")
        return f"{problem}. The line is {shown!r}{' ...' if len(line) > 100 else ''}."

    def _count_columns(self, buffer: Bytes, begin: int, end: int) -> int:
        columns: int = kernels.count_columns(buffer, begin, end)
        if columns < 0:
            raise BadDataError(
                "lines end in a lone carriage return, as on old Macs. Convert the file with tr '\\r' '\\n'."
            )
        options = self.target.options
        if 0 < columns < 6 and (options.strand or options.shift or options.extend or options.point == "five-prime"):
            raise BadDataError(f"no strands ({columns} columns). Strands are in column 6; count without them instead.")
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
    moves_unknown = True

    def __init__(self, bed: Bed) -> None:
        self.has_strands = bed.columns >= 6 and bed.has_strands
        # A line with fewer columns has no strand, so no byte may look like one.
        super().__init__(bed.target, *((255, ord("-")) if self.has_strands else (0, 1)))
        self._bed = bed
        self._names = kernels.NameTable.empty(n_slots=1, n_bytes=0)
        self._known: dict[bytes, None] = {}  # the names in the table, by local id
        self._known_bytes = 0  # the bytes of the table's text that these names take
        self._shapes = np.zeros(kernels.SHAPE_TABLE_BYTES, np.uint8)
        self._add_names(self.target.sequences.names[: self.target.sequences.n_known])

    def _add_names(self, new: Collection[bytes]) -> None:
        """Give each new name the next local id, and add it to the table."""
        sequences = self.target.sequences
        first, place = len(self._known), self._known_bytes
        for name in new:
            sequence = sequences.id_of(name)
            self.add_sequence(sequence)
            self._known[sequences.names[sequence]] = None  # the same object in all threads, to save memory
        text = b"".join(new)
        slots_used, room = 2 * len(self._known), len(self._names.text) - _NAME_MARGIN
        # At most half full, for fast lookups. A larger table has twice the room, so that growing takes linear time.
        if slots_used > len(self._names.slots) or place + len(text) > room:
            new, text, first, place = self._known, b"".join(self._known), 0, 0
            self._names = kernels.NameTable.empty(1 << slots_used.bit_length(), 2 * len(text) + _NAME_MARGIN)
        self._known_bytes = place + len(text)
        self._names.text[place : self._known_bytes] = np.frombuffer(text, np.uint8)
        kernels.add_names(self._names, place, np.array([*map(len, new)], np.int64), first)

    def _call(self, buffer: Bytes, begin: int, end: int) -> kernels.Status:
        """Call the kernel. The tables are passed anew each time, because new names make them longer."""
        segments, tables = self.target.index.segments, (self.spans, self.rule, self.totals)
        arguments = (self._bed.columns, self._names, self._shapes, self.extents, segments, *tables)
        return kernels.Status(kernels.count_text(buffer, begin, end, *arguments))

    def _count(self, buffer: Bytes, begin: int, end: int) -> None:
        ahead = 0
        while True:
            status = self._call(buffer, begin, end)
            if status == kernels.Status.DONE:
                return
            before, begin = begin, self.total(kernels.Tally.CURSOR)
            line = _line_at(buffer, begin, end)
            if status != kernels.Status.NEW_NAME:
                raise BadItemError("line", self._bed.describe(status, line))
            # Where new names are frequent, look for them in the next lines, too: each call of the kernel takes time.
            ahead = min(2 * ahead + 1024, _MAX_AHEAD) if begin - before <= ahead + 1024 else 0
            text = buffer[begin : min(begin + ahead, end)].tobytes()
            names = dict.fromkeys([line.split(b"\t", 1)[0], *_NAME.findall(text)])
            self._add_names([name for name in names if name not in self._known])


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


class Bedpe(Bed):
    """BEDPE: two intervals a line. The fragment reaches from the first base of both to the last."""

    name = "BEDPE"
    has_strands = False

    def counter(self) -> Counter:
        """Return a new counter for one thread."""
        return _BedpeCounter(self)


class _BedpeCounter(_BedCounter):
    def _call(self, buffer: Bytes, begin: int, end: int) -> kernels.Status:
        tables = (self._names, self.extents, self.target.index.segments, self.spans, self.rule, self.totals)
        return kernels.Status(kernels.count_pairs(buffer, begin, end, self._bed.columns, *tables))
