"""Write tables to Parquet files with a checksum, and check it when they are read."""

import hashlib
import json
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome.common.files import atomic_write
from deepchrome.errors import BadDataError, MissingInputError

# Parquet's own checksums cover pages, not the footer, which describes how to read them.
_KEY: Final = b"deepchrome_sha256"


def write_frame(path: Path, table: pl.DataFrame) -> None:
    """Write a table of texts and numbers.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    with atomic_write(path) as temporary:
        stored = table.to_arrow()
        stored = stored.replace_schema_metadata({_KEY: _digest(stored)})
        pq.write_table(stored, temporary, write_page_checksum=True)


def read_frame(path: Path) -> pl.DataFrame:
    """Read a table that :func:`write_frame` wrote.

    Raises
    ------
    MissingInputError
        The file does not exist.
    BadDataError
        The file is not Parquet, or its table does not fit its checksum.
    """
    try:
        stored = pq.read_table(path, page_checksum_verification=True)
        found = _digest(stored)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file. Is the run complete?") from None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise BadDataError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from None
    if (stored.schema.metadata or {}).get(_KEY) != found:  # guard: run-table-checksum
        raise BadDataError(f"{path}: damaged, or not written by dc train (the table does not fit its checksum)")
    # polars trusts Arrow data blindly, so it gets the checked columns only, without the file's metadata.
    return pl.DataFrame(pa.Table.from_arrays(stored.columns, names=stored.column_names))


def _digest(table: pa.Table) -> bytes:
    """Return the SHA-256 of all names and values, in hexadecimal."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = column.fill_null(0).to_numpy()
            digest.update(json.dumps([name, values.dtype.str]).encode())
            digest.update(values.tobytes() + column.is_null().to_numpy().tobytes())
        else:
            digest.update(json.dumps([name, *column.to_pylist()]).encode())
    return digest.hexdigest().encode()
