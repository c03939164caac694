"""Write counts in regions: as text with a header, as ``bedtools multicov`` prints them, or as Parquet."""

import io
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from deepchrome.common.files import atomic_write
from deepchrome.common.urls import is_url, url_file_name
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.provenance import COUNT_RULE, genome_sha256
from deepchrome.engine.features.records import read_record
from deepchrome.engine.regioncounts.result import RegionCounts
from deepchrome.engine.regioncounts.table import count_table, source_table
from deepchrome.errors import ParameterError
from deepchrome.version import VERSION

if TYPE_CHECKING:
    import polars as pl

FORMATS: Final = ("tsv", "parquet", "multicov")
# Not a number, so that no reader of feature files takes such a file for one.
FORMAT_VERSION: Final = "regions-1"
_COORDINATES: Final = "start and end 0-based, half-open, bp"
_METADATA_KEY: Final = b"deepchrome"
_CHECKSUM_KEY: Final = b"deepchrome_crc32"
_ROWS_AT_A_TIME: Final = 1 << 17  # the text of these fits the CPU cache
_ROWS_PER_GROUP: Final = 1 << 18
_MAX_STRING_BYTES: Final = (1 << 31) - 1  # of a column of Arrow's ordinary strings


def check_counts(container: str, counts: RegionCounts) -> None:
    """Check that a format can hold the counts.

    Raises
    ------
    ParameterError
        There is no such format, or ``multicov`` is asked to hold the signal of a bigWig file.
    """
    if container not in FORMATS:
        raise ParameterError("container", f"must be one of {', '.join(FORMATS)}, got {container!r}")
    signal = [name for name, column in zip(counts.names, counts.columns, strict=True) if column.dtype != np.uint32]
    if container == "multicov" and signal:
        raise ParameterError("container", f"multicov holds whole numbers only, but {signal[0]} is a signal. Use tsv")


def write_counts(
    path: Path, counts: RegionCounts, container: str = "tsv", metadata: Mapping[str, Any] | None = None
) -> None:
    """Write counts to a file, which appears only when it is complete.

    Parameters
    ----------
    path
        The file to write.
    counts
        Counts of one or more files of reads.
    container
        ``tsv``: a header, then a row per region. ``multicov``: the bytes that ``bedtools multicov`` prints.
        ``parquet``: with a record of how the counts were made; see docs/format.md.
    metadata
        Added to the record in Parquet.

    Raises
    ------
    ParameterError
        See :func:`check_counts`.
    StorageError
        The file cannot be written.
    """
    check_counts(container, counts)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        send_counts(file, counts, container, metadata)


def send_counts(
    file: BinaryIO, counts: RegionCounts, container: str = "tsv", metadata: Mapping[str, Any] | None = None
) -> None:
    """Write counts to an open binary file, such as standard output. See :func:`write_counts` for the parameters."""
    check_counts(container, counts)
    writers: dict[str, Callable[[], None]] = {
        "tsv": lambda: _write_text(file, count_table(counts), with_header=True),
        "multicov": lambda: _write_text(file, source_table(counts), with_header=False),
        "parquet": lambda: _write_parquet(file, counts, metadata or {}),
    }
    writers[container]()


def _write_text(file: BinaryIO, table: "pl.DataFrame", with_header: bool) -> None:
    r"""Write a table as text: tabs between the columns, ``\n`` after each row, and nothing quoted."""
    if with_header:
        file.write(("\t".join(table.columns) + "\n").encode())
    for first in range(0, table.height, _ROWS_AT_A_TIME):
        # In memory, because polars ends a write to a pipe without an error if the reader has gone.
        piece = io.BytesIO()
        table.slice(first, _ROWS_AT_A_TIME).write_csv(piece, include_header=False, separator="\t", quote_style="never")
        file.write(piece.getbuffer())


def _write_parquet(file: BinaryIO, counts: RegionCounts, metadata: Mapping[str, Any]) -> None:
    """Write Parquet with page checksums. Columns have no missing values."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = count_table(counts)
    arrays = {name: table[name].to_arrow(compat_level=pl.CompatLevel.oldest()) for name in table.columns}
    for name, array in arrays.items():
        if pa.types.is_large_string(array.type) and array.nbytes <= _MAX_STRING_BYTES:
            arrays[name] = array.cast(pa.string())  # which more readers know
    text = json.dumps({**describe_counts(counts), **metadata}, sort_keys=True).encode()
    schema = pa.schema(
        [pa.field(name, array.type, nullable=False) for name, array in arrays.items()],
        metadata={_METADATA_KEY: text, _CHECKSUM_KEY: b"%d" % zlib.crc32(text)},
    )
    pq.write_table(
        pa.Table.from_arrays([*arrays.values()], schema=schema),
        file,
        compression="zstd",
        row_group_size=_ROWS_PER_GROUP,
        use_dictionary=[name for name, array in arrays.items() if not pa.types.is_primitive(array.type)],
        write_page_checksum=True,
        store_schema=True,
    )


def describe_counts(counts: RegionCounts) -> dict[str, Any]:
    """Return the record of how counts were made, as Parquet files store it. See docs/format.md."""
    regions, genome = counts.regions, counts.genome
    sources = {
        name: describe_source(path, tally)
        for name, path, tally in zip(counts.names, counts.paths, counts.tallies, strict=True)
    }
    numbers: dict[str, npt.NDArray[Any]] = {"start": regions.start, "end": regions.end}
    numbers |= dict(zip(counts.names, counts.columns, strict=True))
    return {
        "format": "region counts",
        "format_version": FORMAT_VERSION,
        "coordinates": _COORDINATES,
        "genome": genome.name,
        "genome_sha256": genome_sha256(genome),
        "count_rule": COUNT_RULE,
        "options": counts.options.record(),
        "regions": {"source": regions.source, "format": regions.format, "rows": len(regions.start)},
        "regions_off_genome": len(counts.off_genome),
        "columns": [*counts.names],
        "sources": sources,
        "crc32": {name: zlib.crc32(np.ascontiguousarray(values).data) for name, values in numbers.items()},
        "engine_version": VERSION,
    }


def describe_source(path: str, tally: ReadTally) -> dict[str, Any]:
    """Return the record of a file of reads, like those in feature files. Regions take the place of windows."""
    name = url_file_name(path) if is_url(path) else Path(path).name
    return read_record(tally, name.encode("utf-8", "backslashreplace").decode())
