"""Small text tables, read whole: gzip by its magic bytes, ragged rows refused by their line number."""

import gzip
import io
import re
import sys
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from deepchrome.common.signatures import GZIP_MAGIC
from deepchrome.errors import BadDataError, MissingInputError, StorageError

# The largest tables read this way, 19,802 genes x 100 bins of text, take some 30 MB.
MAX_BYTES: Final = 1 << 30
# Looking back keeps this linear: a run of blanks is tried once, from its beginning.
_TRAILING_BLANKS: Final = re.compile(rb"(?<![ \t\r])[ \t\r]++(?=\n|\Z)")
_VERSIONED_ID: Final = r"^(ENS[A-Z]*\d+)\.\d+"


def read_bytes(path: Path) -> bytes:
    """Read a file, unpacked if it is gzip, with plain newlines and no blanks at the end of a line.

    Parameters
    ----------
    path
        The file; ``-`` is standard input.

    Raises
    ------
    MissingInputError
        No such file.
    BadDataError
        Damaged or cut gzip data, nothing in the file, or more than :data:`MAX_BYTES` of it.
    StorageError
        The file cannot be read.
    """
    try:
        # One byte more than allowed tells a file that is too large from one that just fits.
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if str(path) == "-" else _head(path)
        if raw.startswith(GZIP_MAGIC):
            with gzip.open(io.BytesIO(raw), "rb") as unpacked:
                data = unpacked.read(MAX_BYTES + 1)
        else:
            data = raw
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadDataError(f"{path}: damaged or cut gzip data ({error}); fetch or make the file again") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(data) > MAX_BYTES:
        raise BadDataError(f"{path}: more than {MAX_BYTES >> 30} GiB of text; is this the right file?")
    if not data.strip():
        raise BadDataError(f"{path}: empty")
    return _TRAILING_BLANKS.sub(b"", data)


def read_fields(path: Path, separator: str) -> pl.DataFrame:
    """Read a table as text: one string column per field, one row per line, the first line included.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        As :func:`read_bytes`; also not UTF-8, or a line with more or fewer fields than the first.
    """
    data = read_bytes(path).rstrip(b"\n") + b"\n"
    characters = np.frombuffer(data, np.uint8)
    line_ends = np.flatnonzero(characters == ord("\n"))
    separators = np.searchsorted(np.flatnonzero(characters == ord(separator)), line_ends)
    fields = np.diff(separators, prepend=0) + 1
    if (ragged := np.flatnonzero(fields != fields[0])).size:
        line = int(ragged[0])
        text = data[line_ends[line - 1] + 1 : line_ends[line]][:80].decode(errors="replace")
        raise BadDataError(
            f"{path}:{line + 1}: {fields[line]} fields where line 1 has {fields[0]} ({ragged.size} lines so): {text!r}"
        )
    try:
        table = pl.read_csv(
            io.BytesIO(data), separator=separator, has_header=False, infer_schema=False, quote_char=None
        )
    except pl.exceptions.PolarsError as error:
        raise BadDataError(f"{path}: not a text table ({str(error).splitlines()[0]})") from None
    return table.fill_null("")


def read_table(path: Path, separator: str = "\t") -> pl.DataFrame:
    """Read a table with a header as text; row i of the result is line i + 2 of the file.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        As :func:`read_fields`; also a column name given twice, or no line after the header.
    """
    fields = read_fields(path, separator)
    header = fields.row(0)
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise BadDataError(f"{path}:1: column {', '.join(map(repr, twice))} is given twice")
    if fields.height == 1:
        raise BadDataError(f"{path}: a header and no rows")
    return fields[1:].rename(dict(zip(fields.columns, header, strict=True)))


def stable_ids(gene_id: pl.Series) -> pl.Series:
    """Return Ensembl ids without their version: ``ENSG00000000003.10`` becomes ``ENSG00000000003``."""
    return gene_id.str.replace(_VERSIONED_ID, "${1}")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
