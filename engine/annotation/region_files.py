"""Read BED, GTF and GFF3 files of regions, block by block, and name the first line that is not valid."""

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader, BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, cast

import numpy as np
import numpy.typing as npt

from deepchrome.common.text import open_text
from deepchrome.engine.annotation.bed_columns import bed_column_names
from deepchrome.engine.annotation.genome import MAX_POSITION_BP
from deepchrome.engine.annotation.gff import GFF_COLUMNS, GFF_STRANDS, check_fasta, find_fasta
from deepchrome.engine.kernels import MINUS, PLUS
from deepchrome.errors import BadDataError, ParameterError

if TYPE_CHECKING:
    import polars as pl

Integers = npt.NDArray[np.int64]

_BLOCK_BYTES: Final = 1 << 24
_MAX_LINE_BYTES: Final = 1 << 20
_SKIPPED: Final = (b"#", b"track", b"browser")
_WHOLE_NUMBER: Final = re.compile(b"[0-9]+")
_SHOWN_TYPES: Final = 8
_TENS: Final = 10 ** np.arange(1, 19)


class RegionTable(NamedTuple):
    """The rows of a file of regions; see :class:`~deepchrome.engine.annotation.regions.Regions`."""

    format: str
    chrom_names: tuple[str, ...]
    chrom: npt.NDArray[np.int32]
    start: Integers
    end: Integers
    strand: npt.NDArray[np.int8]
    columns: Mapping[str, Sequence[str]]


class _Format(NamedTuple):
    """What the columns of a file mean. Places count from 0."""

    name: str
    width: int
    start: int
    end: int
    strand: int
    first_position: int  # the number of the first base of a chromosome: 0 or 1
    strands: tuple[bytes, ...] | None  # the strands allowed, None for any


class _Rows(NamedTuple):
    """The rows of one block.

    Attributes
    ----------
    others
        The columns as text, without those of the other attributes.
    chrom
        Indices of the chromosome names.
    start, end
        Positions as in the file.
    strand
        PLUS, MINUS, or 0 for none.
    """

    others: "pl.DataFrame"
    chrom: npt.NDArray[np.int32]
    start: Integers
    end: Integers
    strand: npt.NDArray[np.int8]


class TextColumns(Mapping[str, Sequence[str]]):
    """The columns of a file of regions as text, by name, in the order of the file.

    The texts of chromosomes and positions are made when they are asked for, which saves most of the memory that a
    file of three columns would need. Positions have no leading zeros, as in the output of bedtools.

    Parameters
    ----------
    names
        Names of all columns.
    computed
        For some names, whole numbers, and the texts that they index (None for the numbers themselves).
    others
        The other columns, in order.
    """

    def __init__(
        self,
        names: Sequence[str],
        computed: Mapping[str, tuple[npt.NDArray[np.integer[Any]], tuple[str, ...] | None]],
        others: "pl.DataFrame",
    ) -> None:
        self._names = tuple(names)
        self._computed = computed
        other_names = [name for name in names if name not in computed]
        self._others = others.rename(dict(zip(others.columns, other_names, strict=True)))

    def __getitem__(self, name: str) -> Sequence[str]:
        """Return a column as a polars Series."""
        import polars as pl

        if name not in self._names:
            raise KeyError(name)
        if name not in self._computed:
            return cast("Sequence[str]", self._others[name])
        numbers, texts = self._computed[name]
        column = pl.Series(name, numbers)
        return cast("Sequence[str]", column.cast(pl.String) if texts is None else pl.Series(name, texts).gather(column))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _InvalidBlockError(Exception):
    """Some line of a block is not valid."""


def read_region_file(path: Path, feature: str | None) -> RegionTable:
    """Read a file of regions; see :func:`~deepchrome.engine.annotation.regions.read_regions`."""
    reader = _Reader(path, feature)
    with open_text(path) as file:
        for first_line, block in _read_blocks(file):
            fasta = reader.add(first_line, block)
            if fasta is not None:
                line = first_line + block.count(b"\n", 0, fasta)
                lines = chain(BytesIO(block[fasta:]), iter(lambda: file.readline(_MAX_LINE_BYTES), b""))
                next(lines)
                check_fasta(path, line, lines)
                break
    return reader.table()


def _read_blocks(file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, each with the number of its first line. A block may end in a very long line."""
    line = 1
    while block := file.read(_BLOCK_BYTES):
        rest = file.readline(_MAX_LINE_BYTES)
        block += rest
        if line == 1:
            block = block.removeprefix(BOM_UTF8)
        if len(rest) < _MAX_LINE_BYTES and not block.endswith(b"\n"):
            block += b"\n"  # the end of the file
        yield line, block
        line += int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))  # ten times as fast as bytes.count


class _Reader:
    """The rows read so far.

    A block is checked as a whole. If a check fails, its lines are examined one by one, to name the first that is not
    valid.
    """

    def __init__(self, path: Path, feature: str | None) -> None:
        self._path = path
        self._feature = feature
        self._format: _Format | None = None
        self._types: Counter[str] = Counter()
        self._chrom_ids: dict[str, int] = {}
        self._blocks: list[_Rows] = []

    def add(self, first_line: int, block: bytes) -> int | None:
        """Add the rows of a block. Return the offset of the sequences that end a GFF3 file, if they begin here."""
        fasta = None
        rows = block
        if self._format is None:
            self._format = self._detect_format(first_line, block)
        if self._format is not None and self._format.name == "gff":
            fasta = find_fasta(block)
            rows = block[:fasta]
        if rows and not rows.endswith(b"\n"):
            number = first_line + rows.count(b"\n")
            raise BadDataError(
                f"{self._path}:{number}: a line of more than {_MAX_LINE_BYTES >> 20} MiB, so this is not a table of "
                "regions"
            )
        if b"\r" in rows:
            rows = rows.replace(b"\r\n", b"\n")
        if self._format is not None and (kept := _drop_skipped_lines(rows)):
            try:
                self._append(self._format, kept)
            except _InvalidBlockError:
                self._refuse(self._format, first_line, rows)
        return fasta

    def table(self) -> RegionTable:
        """Return all rows. Raise BadDataError if there is none, or if the choice of types is open."""
        import polars as pl

        if self._format is None:
            raise BadDataError(f"{self._path}: no region in this file")
        if not self._blocks:
            self._refuse_types()
        form = self._format
        chrom = np.concatenate([block.chrom for block in self._blocks])
        start = np.concatenate([block.start for block in self._blocks])
        end = np.concatenate([block.end for block in self._blocks])
        strand = np.concatenate([block.strand for block in self._blocks])
        others = pl.concat([block.others for block in self._blocks])
        self._blocks.clear()
        chrom_names = tuple(self._chrom_ids)
        names = bed_column_names(start, end, others) if form.name == "bed" else GFF_COLUMNS
        computed = {names[0]: (chrom, chrom_names), names[form.start]: (start, None), names[form.end]: (end, None)}
        columns = TextColumns(names, computed, others)
        return RegionTable(form.name, chrom_names, chrom, start - form.first_position, end, strand, columns)

    def _detect_format(self, first_line: int, block: bytes) -> _Format | None:
        """Return the format of a file by the first row in this block, or None if the block has no row."""
        for number, line in enumerate(BytesIO(block), first_line):
            fields = _split(line.rstrip(b"\r\n"))
            if line.startswith(_SKIPPED) or not line.rstrip(b"\r\n"):
                continue
            is_gff = len(fields) == len(GFF_COLUMNS) and fields[6].decode("latin-1") in GFF_STRANDS
            if is_gff and all(map(_WHOLE_NUMBER.fullmatch, fields[3:5])):
                strands = tuple(strand.encode() for strand in GFF_STRANDS)
                return _Format("gff", len(GFF_COLUMNS), 3, 4, 6, 1, strands)
            if len(fields) < 3:
                raise BadDataError(
                    f"{self._path}:{number}: not a table of regions: expected BED (chromosome, start, end), GTF or "
                    f"GFF3, tab-separated. The line is {_shown(line)}."
                )
            if self._feature is not None:
                raise ParameterError("feature", f"is for GTF and GFF3, but {self._path} is BED")
            return _Format("bed", len(fields), 1, 2, 5, 0, None)
        return None

    def _append(self, form: _Format, text: bytes) -> None:
        """Add the rows of a text without other lines. Raise _InvalidBlockError if one is not valid."""
        frame, start, end = _parse(text, form)
        in_limits = form.first_position <= start.min() and end.max() <= MAX_POSITION_BP
        if not in_limits or (end < start).any():  # guard: region-order
            raise _InvalidBlockError
        chroms = frame.to_series(0)
        if (chroms == "").any():
            raise _InvalidBlockError
        strand = np.zeros(frame.height, np.int8)
        if form.strand < form.width:
            strands = frame.to_series(form.strand)
            if form.strands and not strands.is_in([text.decode() for text in form.strands]).all():
                raise _InvalidBlockError
            strand[(strands == "+").to_numpy()] = PLUS
            strand[(strands == "-").to_numpy()] = MINUS
        if form.name == "gff":
            types = frame.to_series(2)
            self._types.update(dict(types.value_counts().iter_rows()))
            if self._feature is None and len(self._types) > 1:  # guard: region-types
                self._blocks.clear()  # table() will refuse the file
                return
            if self._feature is not None:
                is_wanted = types == self._feature
                frame, keep = frame.filter(is_wanted), is_wanted.to_numpy()
                start, end, strand = start[keep], end[keep], strand[keep]
        if frame.height:
            ids = self._ids(frame.to_series(0))
            others = frame.select(name for i, name in enumerate(frame.columns) if i not in (0, form.start, form.end))
            self._blocks.append(_Rows(others, ids, start, end, strand))

    def _ids(self, chroms: "pl.Series") -> npt.NDArray[np.int32]:
        """Return the indices of chromosome names, and number the names that are new."""
        import polars as pl

        names = chroms.unique(maintain_order=True)
        ids = np.array([self._chrom_ids.setdefault(name, len(self._chrom_ids)) for name in names], np.int32)
        places: Integers = chroms.cast(pl.Enum(names)).to_physical().to_numpy()
        return ids[places]

    def _refuse(self, form: _Format, first_line: int, rows: bytes) -> NoReturn:
        """Raise the error for the first line of a block that is not valid."""
        for number, line in enumerate(rows.split(b"\n"), first_line):
            if line and not line.startswith(_SKIPPED) and (problem := _problem(line, form)):
                raise BadDataError(f"{self._path}:{number}: {problem}. The line is {_shown(line)}.")
        raise AssertionError(f"{self._path}: a block is not valid, but all its lines are")

    def _refuse_types(self) -> NoReturn:
        """Raise the error for GTF or GFF3 of which no rows, or rows of several types, are left."""
        by_number = sorted(self._types.items(), key=lambda item: (-item[1], item[0]))
        found = ", ".join(f"{name} ({n:,})" for name, n in by_number[:_SHOWN_TYPES])
        more = ", ..." if len(self._types) > _SHOWN_TYPES else ""
        if self._feature is None:
            problem = "lines of several types. Choose one"
        else:
            problem = f"no line of type {self._feature!r}. Choose a type that it has"
        raise BadDataError(f"{self._path}: {problem}: {found}{more}", remedy="feature")


def _drop_skipped_lines(rows: bytes) -> bytes:
    """Return the rows without comments, empty lines, and the track and browser lines of genome browsers."""
    characters = np.frombuffer(rows, np.uint8)
    ends = np.flatnonzero(characters == ord("\n")) + 1
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    may_begin = np.zeros(256, np.bool_)
    may_begin[[ord("\n"), *(text[0] for text in _SKIPPED)]] = True
    candidates = np.flatnonzero(may_begin[characters[starts]])
    skipped = [i for i in candidates.tolist() if rows.startswith((b"\n", *_SKIPPED), starts[i])]
    if not skipped:
        return rows
    kept = zip([0, *ends[skipped].tolist()], [*starts[skipped].tolist(), len(rows)], strict=True)
    return b"".join(rows[start:end] for start, end in kept)


def _parse(text: bytes, form: _Format) -> "tuple[pl.DataFrame, Integers, Integers]":
    """Return the fields of the lines, of which those of positions are numbers, and start and end again as arrays.

    A tab at the end of a line is not a field. Raise _InvalidBlockError if a line has another number of fields, a
    position is not a whole number, or the text is not UTF-8.
    """
    import polars as pl

    ends = _find(text, b"\n")
    if (np.frombuffer(text, np.uint8)[ends - 1] == ord("\t")).any():
        text = text.replace(b"\t\n", b"\n")
        ends = _find(text, b"\n")
    tabs = _find(text, b"\t")
    if not _are_regular(tabs, ends, form.width - 1):  # guard: region-fields
        raise _InvalidBlockError
    tabs = tabs.reshape(len(ends), form.width - 1)
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            raise _InvalidBlockError from None
    positions, is_last = (form.start, form.end), form.end == form.width - 1
    types = [pl.Int64 if place in positions else pl.String for place in range(form.width)]
    try:
        frame = _read_fields(text, schema={f"column_{place + 1}": kind for place, kind in enumerate(types)})
    except pl.exceptions.ComputeError:
        raise _InvalidBlockError from None
    assert frame.shape == (len(ends), form.width)
    start, end = (
        _positions(text, place, frame.to_series(place), after - tabs[:, place - 1] - 1)
        for place, after in ((form.start, tabs[:, form.start]), (form.end, ends if is_last else tabs[:, form.end]))
    )
    return frame, start, end


def _are_regular(tabs: Integers, ends: Integers, n: int) -> bool:
    """Return whether every line has ``n`` tabs, from the places of all tabs and line ends."""
    if len(tabs) != n * len(ends):
        return False
    return bool((tabs[n - 1 :: n] < ends).all() and (tabs[n::n] > ends[:-1]).all())


def _find(text: bytes, character: bytes) -> Integers:
    """Return the places of a character in a text."""
    return np.flatnonzero(np.frombuffer(text, np.uint8) == ord(character))


def _read_fields(text: bytes, **options: Any) -> "pl.DataFrame":
    """Return the fields of lines as a table, with options of :func:`polars.read_csv`."""
    import polars as pl

    frame = pl.read_csv(BytesIO(text), separator="\t", has_header=False, quote_char=None, **options)
    return frame.with_columns(pl.col(pl.String).fill_null(""))


def _positions(text: bytes, place: int, numbers: "pl.Series", n_characters: Integers) -> Integers:
    """Return the positions in a column, whose fields have some numbers of characters.

    Raise _InvalidBlockError if a field has anything but digits, or too many of them.
    """
    if numbers.null_count():
        raise _InvalidBlockError
    positions: Integers = numbers.to_numpy().copy()
    # As many characters as the number has digits: nothing but digits. Otherwise, there may be zeros in front.
    if (np.searchsorted(_TENS, positions, "right") + 1 != n_characters).any():
        fields = _read_fields(text, columns=[place], infer_schema=False).to_series()
        if not fields.str.contains("^[0-9]+$").all():  # guard: region-positions
            raise _InvalidBlockError
    return positions


def _problem(line: bytes, form: _Format) -> str | None:
    """Return what is not valid in a line, or None if it is valid."""
    fields = _split(line)
    if len(fields) != form.width:
        hint = ". Put tabs between the fields" if b"\t" not in line else ""
        return f"{len(fields)} fields where the first line has {form.width}{hint}"
    if not fields[0]:
        return "empty chromosome name"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not UTF-8 text"
    for name, place in (("start", form.start), ("end", form.end)):
        text = fields[place]
        if not _WHOLE_NUMBER.fullmatch(text) or not form.first_position <= int(text[:20]) <= MAX_POSITION_BP:
            hint = ". Begin a header with '#'" if text.lower() in (b"start", b"chromstart", b"end", b"chromend") else ""
            limits = f"{form.first_position} to {MAX_POSITION_BP}"
            return f"{name} {_shown(text)} is not a whole number from {limits}{hint}"
    start, end = int(fields[form.start]), int(fields[form.end])
    if end < start:
        return f"the region ends at {end}, before its start {start}"
    if form.strands and fields[form.strand] not in form.strands:
        return f"strand {_shown(fields[form.strand])} is not +, -, . or ?"
    return None


def _split(line: bytes) -> list[bytes]:
    """Return the fields of a line. A tab at its end is not a field."""
    return line.removesuffix(b"\t").split(b"\t")


def _shown(text: bytes) -> str:
    return repr(text.rstrip(b"\r\n").decode("utf-8", "backslashreplace")[:80])
