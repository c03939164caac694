"""Read Parquet files without letting a small file ask for much memory, and make the arrays to write.

A Parquet file of a few kilobytes can declare billions of values, because equal values are stored once. The declared
sizes are therefore checked before any data are read.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome.errors import BadDataError

# A file may unpack to so many bytes, whatever its own size.
ALWAYS_BYTES: Final = 2 << 30
# A larger file may unpack to so many times its own size. Counts of ordinary depth unpack to 4 to 20 times that size.
MAX_RATIO: Final = 1000
# No file may unpack to more.
MAX_BYTES: Final = 16 << 30
# Bytes that a string needs at least: an index, and a reference to a Python string.
_TEXT_BYTES: Final = 16
_MAX_STRING_BYTES: Final = (1 << 31) - 1  # of a column of Arrow's ordinary strings


def number_array(values: npt.NDArray[Any]) -> pa.Array:
    """Return numbers, of any shape, as a flat Arrow array without nulls.

    ``pyarrow.array`` does the same, but first imports pandas if that is installed, which takes longer than writing a
    table. The array shares the memory of ``values`` if these are contiguous.
    """
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), values.size, [None, pa.py_buffer(values)])


def text_array(words: Sequence[str]) -> pa.StringArray:
    """Return strings as an Arrow array without nulls. Like :func:`number_array`, it does not import pandas.

    Raises
    ------
    BadDataError
        The strings have more than 2 GiB.
    """
    encoded = [word.encode() for word in words]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
    if offsets[-1] > _MAX_STRING_BYTES:  # guard: string-offsets
        raise BadDataError(f"a column of {offsets[-1]:,} bytes of text. The limit is 2 GiB")
    buffers = (pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(b"".join(encoded)))
    return pa.StringArray.from_buffers(len(encoded), *buffers)


def open_parquet(path: Path, **options: Any) -> pq.ParquetFile:
    """Open a Parquet file, and verify the checksums of its pages when they are read.

    Parameters
    ----------
    path
        The file.
    options
        Passed to :class:`pyarrow.parquet.ParquetFile`.
    """
    # As bytes, because Arrow takes texts to be UTF-8, and a path need not be.
    return pq.ParquetFile(pa.OSFile(os.fsencode(path)), page_checksum_verification=True, **options)


def declared_bytes(file: pq.ParquetFile, columns: Sequence[str]) -> int:
    """Return the memory that some columns need, from the number of rows and the types in the footer of a file.

    The sizes that the footer gives for each column would be more exact, but Arrow ends the process if they are damaged.
    """
    types = [field.type for field in file.schema_arrow if field.name in columns]
    return int(file.metadata.num_rows) * sum(map(_width, types))


def _width(kind: pa.DataType) -> int:
    """Return the bytes that a value of this type needs in memory."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * _width(kind.value_type)
    return max(1, int(kind.bit_width) // 8) if pa.types.is_primitive(kind) else _TEXT_BYTES


def check_size(path: Path, n_bytes: int) -> None:
    """Check that a file may unpack to so many bytes.

    Raises
    ------
    BadDataError
        ``n_bytes`` is more than 16 GiB; or it is more than 2 GiB, and more than 1,000 times the size of the file.
    """
    stored = path.stat().st_size
    if n_bytes > min(max(ALWAYS_BYTES, MAX_RATIO * stored), MAX_BYTES):  # guard: declared-size
        raise BadDataError(
            f"{path}: unpacks to more than deepchrome reads ({n_bytes:,} bytes from {stored:,}). "
            f"The limit is {MAX_RATIO:,} times the size of the file, and at most {MAX_BYTES >> 30} GiB"
        )


def check_text_size(path: Path, column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Check the size of the strings of a dictionary-encoded column, and return the column as one array.

    Raises
    ------
    BadDataError
        The strings, one after the other, would be larger than :func:`check_size` allows.
    """
    import pyarrow.compute as pc  # takes time, and who writes does not need it

    encoded = column.unify_dictionaries().combine_chunks()
    lengths = pc.binary_length(encoded.dictionary).to_numpy(zero_copy_only=False)
    indices = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    check_size(path, int(lengths[indices].sum(dtype=np.int64)))
    return encoded


def read_text(path: Path, column: pa.ChunkedArray) -> tuple[str, ...]:
    """Return the strings of a dictionary-encoded column without nulls. Equal strings share their memory.

    Raises
    ------
    BadDataError
        See :func:`check_text_size`.
    """
    encoded = check_text_size(path, column)
    words = encoded.dictionary.to_pylist()
    return tuple(words[i] for i in encoded.indices.to_pylist())
