"""Read Parquet files without letting a small file ask for much memory.

A Parquet file of a few kilobytes can declare billions of values, because equal values are stored once. The declared
sizes are therefore checked before any data are read.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deepchrome.errors import BadDataError

# A file may unpack to so many bytes, whatever its own size.
ALWAYS_BYTES: Final = 256 << 20
# A larger file may unpack to so many times its own size. Real counts unpack to 4 to 20 times the size of their file.
MAX_RATIO: Final = 1000
# No file may unpack to more.
MAX_BYTES: Final = 16 << 30
# Bytes per value in memory, by physical type. Text takes at least a Python string each.
_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
_TEXT_BYTES: Final = 64


def declared_bytes(file: pq.ParquetFile, columns: Sequence[str]) -> int:
    """Return the memory that the values of some columns need, as the footer of a file declares it."""
    total = 0
    metadata = file.metadata
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        for chunk in (group.column(i) for i in range(group.num_columns)):
            path = chunk.path_in_schema  # of a list: the name of the column, then .list.element
            if any(path == name or path.startswith(f"{name}.") for name in columns):
                width = _WIDTHS.get(chunk.physical_type, _TEXT_BYTES)
                total += max(chunk.num_values * width, chunk.total_uncompressed_size)
    return total


def check_size(path: Path, n_bytes: int) -> None:
    """Check that a file may unpack to so many bytes.

    Raises
    ------
    BadDataError
        ``n_bytes`` is more than 16 GiB; or it is more than 256 MiB, and more than 1,000 times the size of the file.
    """
    stored = path.stat().st_size
    if n_bytes > min(max(ALWAYS_BYTES, MAX_RATIO * stored), MAX_BYTES):  # guard: declared-size
        raise BadDataError(
            f"{path}: unpacks to more than deepchrome reads ({n_bytes:,} bytes from {stored:,}). "
            f"The limit is {MAX_RATIO:,} times the size of the file, and at most {MAX_BYTES >> 30} GiB"
        )


def read_text(path: Path, column: pa.ChunkedArray) -> tuple[str, ...]:
    """Return the strings of a dictionary-encoded column. Equal strings share their memory.

    Raises
    ------
    BadDataError
        The strings, one after the other, would be larger than :func:`check_size` allows.
    """
    encoded = column.unify_dictionaries().combine_chunks()
    lengths = pc.binary_length(encoded.dictionary).to_numpy(zero_copy_only=False)
    check_size(path, int(lengths[encoded.indices.to_numpy(zero_copy_only=False)].sum(dtype=np.int64)))
    words = encoded.dictionary.to_pylist()
    return tuple(words[i] for i in encoded.indices.to_pylist())
