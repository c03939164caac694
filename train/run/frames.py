"""Tables in Parquet files that vouch for what they hold."""

import hashlib
import json
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome.common.files import atomic_write
from deepchrome.errors import BadDataError, MissingInputError

# Parquet's own checksums are of its pages; what its footer says of them has none.
_KEY: Final = b"deepchrome_sha256"


def write_frame(path: Path, table: pl.DataFrame) -> None:
    """Write a table of texts and numbers, whole or not at all.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    with atomic_write(path) as temporary:
        stored = table.to_arrow()
        stored = stored.replace_schema_metadata({_KEY: _digest(stored)})
        pq.write_table(stored, temporary, write_page_checksum=True)


def read_frame(path: Path) -> pl.DataFrame:
    """Read what :func:`write_frame` wrote.

    Raises
    ------
    MissingInputError
        No such file.
    BadDataError
        Not such a file, or one whose table has changed.
    """
    try:
        stored = pq.read_table(path, page_checksum_verification=True)
        found = _digest(stored)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file; is the run complete?") from None
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise BadDataError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from None
    if (stored.schema.metadata or {}).get(_KEY) != found:
        raise BadDataError(f"{path}: damaged, or not written by dc train (its table does not fit its checksum)")
    # Only now, and nothing but the columns: polars takes it on trust that what it is given is sound.
    return pl.DataFrame(pa.Table.from_arrays(stored.columns, names=stored.column_names))


def _digest(table: pa.Table) -> bytes:
    """Return the SHA-256 of names and values, in hexadecimal."""
    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = column.fill_null(0).to_numpy()
            digest.update(json.dumps([name, values.dtype.str]).encode())
            digest.update(values.tobytes() + column.is_null().to_numpy().tobytes())
        else:
            digest.update(json.dumps([name, *column.to_pylist()]).encode())
    return digest.hexdigest().encode()
