"""Write tables with a checksum to Parquet files, and verify the checksum on reading."""

import hashlib
import json
import os
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome.common.files import atomic_write, check_regular_file
from deepchrome.errors import BadDataError, MissingInputError

# Parquet's own checksums cover the pages, but not the footer that describes how to read the pages.
_CHECKSUM_KEY: Final = b"deepchrome_sha256"


def write_frame(path: Path, table: pl.DataFrame) -> None:
    """Write a table whose columns are strings or numbers.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file stays unchanged.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        stored = table.to_arrow()
        stored = stored.replace_schema_metadata({_CHECKSUM_KEY: _digest(stored)})
        pq.write_table(stored, file, write_page_checksum=True)


def read_frame(path: Path) -> pl.DataFrame:
    """Read a table that :func:`write_frame` wrote.

    Raises
    ------
    MissingInputError
        The file does not exist.
    BadDataError
        The file cannot be read as Parquet, or the table does not match its checksum.
    """
    check_regular_file(path)
    try:
        # As bytes, because Arrow takes texts to be UTF-8, and a path need not be.
        stored = pq.read_table(pa.OSFile(os.fsencode(path)), page_checksum_verification=True)
        found = _digest(stored)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file. Is the run complete?") from None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise BadDataError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from None
    if (stored.schema.metadata or {}).get(_CHECKSUM_KEY) != found:  # guard: run-table-checksum
        raise BadDataError(f"{path}: damaged, or not written by dc train (the table does not match its checksum)")
    # polars does not validate Arrow data, so pass it the checked columns only, without the file's metadata.
    return pl.DataFrame(pa.Table.from_arrays(stored.columns, names=stored.column_names))


def _digest(table: pa.Table) -> bytes:
    """Return the SHA-256 of all column names and values, in hexadecimal."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = column.fill_null(0).to_numpy()
            digest.update(json.dumps([name, values.dtype.str]).encode())
            digest.update(values.tobytes() + column.is_null().to_numpy().tobytes())
        else:
            digest.update(json.dumps([name, *column.to_pylist()]).encode())
    return digest.hexdigest().encode()
