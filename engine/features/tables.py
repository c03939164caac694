"""Tables with a row per file of reads, into which all runs that work in a directory write their rows."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deepchrome.common.files import atomic_write, special_kind
from deepchrome.common.locks import output_lock
from deepchrome.errors import StorageError

# Writing takes milliseconds. A run that holds the lock for longer than this is stuck.
LOCK_WAIT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes
    ----------
    values
        The value of every column, in their order; None for an empty cell.
    kept
        Whether an earlier run counted the file. The times of the earlier row are then kept.
    """

    values: Mapping[str, Any]
    kept: bool = False

    def line(self) -> str:
        """Return the row as a line of text. White space in a value becomes a single space."""
        cells = ("" if value is None else str(value) for value in self.values.values())
        text = "\t".join(" ".join(cell.split()) for cell in cells)
        # A file name may have bytes that are not UTF-8.
        return text.encode("utf-8", "backslashreplace").decode()


def table_is_foreign(path: Path, columns: Sequence[str]) -> bool:
    """Return whether a file exists that :func:`merge_rows` did not write with these columns.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    if not os.path.lexists(path):
        return False
    if special_kind(path) or not path.exists():
        return True
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return True
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None
    return bool(lines) and lines[0] != "\t".join(columns)  # an empty file has nothing to lose


def merge_rows(
    path: Path, columns: Sequence[str], rows: Sequence[TableRow], n_keys: int, times: Collection[str]
) -> None:
    """Replace the rows of some epigenomes in a table, and leave the rows of other epigenomes unchanged.

    Parameters
    ----------
    path
        The table. A file of another program is replaced; see :func:`table_is_foreign`.
    columns
        Names of the columns. The first is the epigenome.
    rows
        All rows of these epigenomes.
    n_keys
        The number of first columns that identify a row. The table is sorted by them.
    times
        The columns with times. Feature files do not record them, so the row of a kept file takes them from the earlier
        table, if all its other cells are equal.

    Raises
    ------
    StorageError
        The table cannot be written, or another run holds its lock for more than a minute.
    """
    skipped = {columns.index(name) for name in times}

    def key_of(line: str) -> tuple[str, ...]:
        return tuple(line.split("\t", n_keys)[:n_keys])

    def without_times(line: str) -> list[str]:
        return [cell for i, cell in enumerate(line.split("\t")) if i not in skipped]

    with output_lock(path.parent, [path.name], LOCK_WAIT_SECONDS):
        foreign = table_is_foreign(path, columns) or not path.exists()
        lines = [] if foreign else path.read_text(encoding="utf-8").splitlines()
        earlier = {key_of(line): line for line in lines[1:]}
        written = {str(row.values[columns[0]]) for row in rows}
        merged = {key: line for key, line in earlier.items() if key[0] not in written}
        for row in rows:
            line = row.line()
            key = key_of(line)
            if row.kept and key in earlier and without_times(earlier[key]) == without_times(line):
                line = earlier[key]
            merged[key] = line
        text = "\n".join(["\t".join(columns), *(merged[key] for key in sorted(merged))])
        with atomic_write(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
