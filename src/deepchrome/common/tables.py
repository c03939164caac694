"""Read text tables whole, with the line number in every error message."""

import io
import re
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from deepchrome.common.text import read_bytes
from deepchrome.errors import BadDataError

# The lookbehind keeps the search linear: each run of white space is tried once, from its start.
_TRAILING_SPACE: Final = re.compile(rb"(?<![ \t\r])[ \t\r]++(?=\n|\Z)")
# The first conversion to numpy prepares polars for it, in Rust code that panics if Ctrl-C interrupts it. Convert here,
# because the command line delays interrupts until imports have ended.
pl.DataFrame({"x": [0.0]}).to_numpy()
_VERSIONED_ID: Final = r"^(ENS[A-Z]*\d+)\.\d+"


def read_fields(path: Path, separator: str) -> pl.DataFrame:
    """Read a table without a header: one row per line, one string column per field.

    White space at the ends of lines is dropped.

    Parameters
    ----------
    path
        The table, plain or compressed; ``-`` is standard input.
    separator
        The character between fields.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        See :func:`~deepchrome.common.text.read_bytes`. BadDataError is also raised if the text is empty or not UTF-8,
        or if a line and the first line have different numbers of fields.
    """
    data = _TRAILING_SPACE.sub(b"", read_bytes(path)).rstrip(b"\n") + b"\n"
    if not data.strip():
        raise BadDataError(f"{path}: empty")
    characters = np.frombuffer(data, np.uint8)
    line_ends = np.flatnonzero(characters == ord("\n"))
    separators_before = np.searchsorted(np.flatnonzero(characters == ord(separator)), line_ends)
    fields = np.diff(separators_before, prepend=0) + 1
    if (ragged := np.flatnonzero(fields != fields[0])).size:
        line = int(ragged[0])
        text = data[line_ends[line - 1] + 1 : line_ends[line]][:80].decode(errors="replace")
        more = f"; {ragged.size:,} such lines" if ragged.size > 1 else ""
        raise BadDataError(f"{path}:{line + 1}: {fields[line]} fields where line 1 has {fields[0]} ({text!r}{more})")
    try:
        table = pl.read_csv(
            io.BytesIO(data), separator=separator, has_header=False, infer_schema=False, quote_char=None
        )
    except pl.exceptions.PolarsError as error:
        raise BadDataError(f"{path}: not a text table ({str(error).splitlines()[0]})") from None
    return table.fill_null("")


def read_table(path: Path, separator: str = "\t") -> pl.DataFrame:
    """Read a table with a header into string columns; row i of the result is line i + 2 of the file.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        See :func:`read_fields`. BadDataError is also raised if a column name is repeated, or if no line
        follows the header.
    """
    fields = read_fields(path, separator)
    header = fields.row(0)
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise BadDataError(f"{path}:1: repeated column name {', '.join(map(repr, repeated))}")
    if fields.height == 1:
        raise BadDataError(f"{path}: a header and no rows")
    return fields[1:].rename(dict(zip(fields.columns, header, strict=True)))


def stable_ids(gene_id: pl.Series) -> pl.Series:
    """Return Ensembl ids without their version: ``ENSG00000000003.10`` becomes ``ENSG00000000003``."""
    return gene_id.str.replace(_VERSIONED_ID, "${1}")


def comparable_ids(gene_id: pl.Series) -> pl.Series:
    """Remove versions from gene ids, and turn the bare numbers of DeepChrome's text format into Ensembl ids."""
    is_number = gene_id.str.contains(r"^\d+$")
    ensembl = "ENSG" + gene_id.str.zfill(11)
    return stable_ids(ensembl.zip_with(is_number, gene_id))
