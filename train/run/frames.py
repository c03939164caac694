"""Store a table and a JSON document in one Parquet file with a checksum, and verify the checksum on reading."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome.common.files import atomic_write, check_regular_file
from deepchrome.common.parquet import check_size, check_text_size, declared_bytes, open_parquet
from deepchrome.errors import BadDataError, MissingInputError

# Parquet's own checksums cover the pages, but not the footer that describes how to read the pages.
_CHECKSUM_KEY: Final = b"deepchrome_sha256"
_DOCUMENT_KEY: Final = b"deepchrome"


def write_frame(path: Path, table: pl.DataFrame, document: Mapping[str, Any]) -> None:
    """Write a table whose columns are strings or numbers, and a JSON document.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file stays unchanged.
    """
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        stored, text = table.to_arrow(), json.dumps(document).encode()
        stored = stored.replace_schema_metadata({_DOCUMENT_KEY: text, _CHECKSUM_KEY: _digest(stored, text)})
        pq.write_table(stored, file, write_page_checksum=True)


def read_frame(path: Path) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read the table and the document that :func:`write_frame` wrote.

    The document of a file of an earlier version is empty.

    Raises
    ------
    MissingInputError
        The file does not exist.
    BadDataError
        The file cannot be read as Parquet, or the table does not match its checksum.
    """
    check_regular_file(path)
    try:
        stored = _read_table(path)
        metadata = stored.schema.metadata or {}
        text = metadata.get(_DOCUMENT_KEY, b"")
        found = _digest(stored, text)
        document = json.loads(text or "{}")
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file. Is the run complete?") from None
    except (OSError, ValueError, LookupError, TypeError, RecursionError, pa.ArrowException) as error:
        raise BadDataError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from None
    if metadata.get(_CHECKSUM_KEY) != found:  # guard: run-table-checksum
        raise BadDataError(f"{path}: damaged, or not written by dc train (the table does not match its checksum)")
    # polars does not validate Arrow data, so pass it the checked columns only, without the file's metadata.
    table = pl.DataFrame(pa.Table.from_arrays(stored.columns, names=stored.column_names))
    if not isinstance(document, dict):
        raise BadDataError(f"{path}: not a table of a run (its document is not an object)")
    return table, document


def _read_table(path: Path) -> pa.Table:
    """Read a table, after checking that a small file does not unpack to gigabytes."""
    file = open_parquet(path)
    schema = file.schema_arrow
    check_size(path, declared_bytes(file, schema.names))
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    # Equal strings are kept once, so that their size is known before they need memory.
    table = open_parquet(path, read_dictionary=texts).read()
    for i, name in enumerate(table.column_names):
        if name in texts:
            check_text_size(path, table.column(i))
            table = table.set_column(i, name, table.column(i).cast(pa.large_string()))
    return table


def _digest(table: pa.Table, text: bytes) -> bytes:
    """Return the SHA-256 of the document and of all column names and values, in hexadecimal."""
    digest = hashlib.sha256(text)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values = column.fill_null(0).to_numpy()
            digest.update(json.dumps([name, values.dtype.str]).encode())
            digest.update(values.tobytes() + column.is_null().to_numpy().tobytes())
        else:
            digest.update(json.dumps([name, *column.to_pylist()]).encode())
    return digest.hexdigest().encode()
