"""Read the rows of tables of samples and of other tables with a header."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from deepchrome.common.text import read_lines
from deepchrome.errors import BadDataError

_DELIMITERS: Final = ("\t", ",", ";")


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes
    ----------
    where
        File and line, as ``samples.tsv:3``.
    fields
        The fields by column name.
    """

    where: str
    fields: dict[str, str]


@dataclass(frozen=True)
class SampleRow:
    """A file of reads in a table of samples.

    Attributes
    ----------
    where
        File and line, as ``samples.tsv:3``.
    epigenome, mark
        Names, not yet checked.
    path
        A URL, ``-``, or a path that is relative to the directory of the table.
    """

    where: str
    epigenome: str
    mark: str
    path: str


def read_tsv_rows(table: Path | Traversable, what: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a tab-separated table with a header, and skip empty lines and comments.

    Parameters
    ----------
    table
        The file, plain or compressed; ``-`` is standard input.
    what
        What the file should be (``a table of samples``), for the error message.
    columns
        Columns that the header must have.

    Yields
    ------
    where : str
        File and line of the row, as ``samples.tsv:3``.
    row : dict of str to str
        The fields of the row by column name.

    Raises
    ------
    MissingInputError
        The table does not exist or cannot be opened.
    StorageError
        Reading failed.
    BadDataError
        The table is truncated, damaged or not text, a column is missing, or a row is shorter or longer than the header.
    """
    lines = read_lines(table, what)
    header = lines[0].split("\t")
    if missing := [column for column in columns if column not in header]:
        raise BadDataError(
            f"{table}:1: no column {', '.join(missing)} (expected {', '.join(columns)}, separated by tabs)"
        )
    numbered = ((number, line.split("\t")) for number, line in enumerate(lines[1:], 2))
    yield from ((row.where, row.fields) for row in _named_rows(table, header, numbered))


def count_of(n: int, what: str) -> str:
    """Return a number and a noun, such as ``1 row`` or ``2 rows``."""
    return f"{n} {what}{'s' * (n != 1)}"


def read_table(table: Path) -> tuple[list[str], list[TableRow]]:
    """Read a table of samples, separated by tabs, commas or semicolons; its header shows by which.

    Returns
    -------
    columns : list of str
        The header.
    rows : list of TableRow
        The rows, without empty lines and comments.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        See :func:`read_tsv_rows`.
    """
    lines = read_lines(table, "a table of samples")
    delimiter = next((character for character in _DELIMITERS if character in lines[0]), "\t")
    if delimiter == "\t":
        numbered: Iterator[tuple[int, list[str]]] = enumerate((line.split("\t") for line in lines), 1)
    else:
        # In quotes, a field may have delimiters and line breaks.
        reader = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=delimiter, strict=True)
        numbered = ((reader.line_num, fields) for fields in reader)
    try:
        columns = [name.strip() for name in next(numbered, (1, [""]))[1]]
        if repeated := sorted({name for name in columns if columns.count(name) > 1 and name}):
            raise BadDataError(f"{table}:1: two columns have the name {repeated[0]}")
        return columns, list(_named_rows(table, columns, numbered))
    except csv.Error as error:
        raise BadDataError(f"{table}:{reader.line_num}: not a valid CSV table ({error})") from None


def _named_rows(
    table: Path | Traversable, columns: Sequence[str], numbered: Iterator[tuple[int, list[str]]]
) -> Iterator[TableRow]:
    """Yield the rows, without empty lines and comments. Each must have as many fields as the header."""
    for number, fields in numbered:
        if not any(field.strip() for field in fields) or fields[0].startswith("#"):
            continue
        if len(fields) != len(columns):
            raise BadDataError(f"{table}:{number}: {len(fields)} columns where the header has {len(columns)}")
        yield TableRow(f"{table}:{number}", dict(zip(columns, fields, strict=True)))
