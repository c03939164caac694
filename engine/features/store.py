"""Feature files: one Parquet file per epigenome, written completely or not at all. See docs/format.md."""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome.common.files import atomic_write, check_regular_file
from deepchrome.common.parquet import (
    check_size,
    declared_bytes,
    number_array,
    open_parquet,
    read_text,
    text_array,
)
from deepchrome.engine.annotation.genes import GENE_COLUMNS, Genes
from deepchrome.engine.annotation.layout import BinValues
from deepchrome.errors import BadDataError, MissingInputError

FORMAT_VERSION = 1
# Of files with signal. Versions of deepchrome that know only counts would read its columns as damaged.
SIGNAL_FORMAT_VERSION = 2
METADATA_KEY = b"deepchrome"
# The largest number up to which float32 holds every whole number.
MAX_WHOLE_FLOAT = 1 << 24
# Parquet's checksums protect the pages only. This one protects our metadata.
CHECKSUM_KEY = b"deepchrome_crc32"
_MAKE = "Make it with dc featurize."
_MAKE_AGAIN = "Make it again with dc featurize."


class ForeignFileError(BadDataError):
    """A valid Parquet file that this version of ``dc featurize`` did not write under this name."""


@dataclass(frozen=True)
class Features:
    """The read counts of one epigenome, or the signal of marks that come from bigWig files.

    Attributes
    ----------
    epigenome
        Name of the epigenome, such as ``E003``.
    genes
        The genes, one per row.
    marks
        Names of the histone marks, in the order of the last axis.
    counts
        Reads per gene, bin and mark: uint32 (genes, bins, marks). Bins are in genomic order,
        also for genes on the minus strand. If a mark is signal, all are float32 (genes, bins, marks): the mean
        signal of a bin, or its number of reads.
    metadata
        How the file was made; see docs/format.md.
    """

    epigenome: str
    genes: Genes
    marks: tuple[str, ...]
    counts: BinValues = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)

    @property
    def signal(self) -> tuple[str, ...]:
        """The marks that are signal, and not counts of reads."""
        return _signal_of(self.marks, self.metadata)

    def read_counts(self) -> npt.NDArray[np.uint32]:
        """Return the counts for a use that needs numbers of reads: uint32 (genes, bins, marks).

        Raises
        ------
        BadDataError
            A mark is signal.
        """
        if self.signal:
            raise BadDataError(f"{self.epigenome}: {', '.join(self.signal)} is signal, and this needs counts of reads")
        return self.counts.astype(np.uint32, copy=False)


@dataclass(frozen=True)
class FeatureHeader:
    """What a feature file says about itself, without its counts.

    Attributes
    ----------
    path
        The file.
    epigenome
        Name of the epigenome.
    marks
        Names of its marks, in the order of the columns.
    metadata
        How the file was made; see docs/format.md.
    """

    path: Path
    epigenome: str
    marks: tuple[str, ...]
    metadata: Mapping[str, Any] = field(repr=False)

    @property
    def signal(self) -> tuple[str, ...]:
        """The marks that are signal, and not counts of reads."""
        return _signal_of(self.marks, self.metadata)


def write_features(path: Path, genes: Genes, counts: Mapping[str, BinValues], metadata: Mapping[str, Any]) -> None:
    """Write the features of one epigenome. ``path`` appears only when the file is complete.

    Parameters
    ----------
    path
        The file to write, ``<epigenome>.parquet``.
    genes
        n genes.
    counts
        Read counts of each mark, uint32 (n, bins), or its signal, float32 (n, bins); bins in genomic order. The columns
        keep the order of the marks.
    metadata
        Stored as JSON under the key ``deepchrome``, together with ``format_version``, ``marks`` and ``crc32``,
        the checksum of each column; and ``signal``, the marks that are signal, if there are any.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    columns: dict[str, pa.Array] = {
        "gene_id": text_array(genes.gene_id),
        "symbol": text_array(genes.symbol),
        "chrom": text_array(genes.chrom),
        "tss": number_array(genes.tss.astype(np.int64, copy=False)),
        "strand": text_array(genes.strand),
    }
    for mark, reads in counts.items():
        values = number_array(reads.astype(_dtype(reads), copy=False))
        columns[mark] = pa.FixedSizeListArray.from_arrays(values, reads.shape[1])
    checksums = gene_checksums(genes) | {mark: _checksum(reads, _dtype(reads)) for mark, reads in counts.items()}
    signal = [mark for mark, reads in counts.items() if reads.dtype.kind == "f"]
    version = (
        {"format_version": SIGNAL_FORMAT_VERSION, "signal": signal} if signal else {"format_version": FORMAT_VERSION}
    )
    document = {**version, "marks": list(counts), "crc32": checksums, **metadata}
    text = json.dumps(document, sort_keys=True).encode()
    schema = pa.schema(
        [pa.field(name, column.type, nullable=False) for name, column in columns.items()],
        metadata={METADATA_KEY: text, CHECKSUM_KEY: b"%d" % zlib.crc32(text)},
    )
    table = pa.Table.from_arrays(list(columns.values()), schema=schema)
    with atomic_write(path) as temporary:
        with temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True, store_schema=True)
        check_size(temporary, declared_bytes(open_parquet(temporary), schema.names))  # else nobody could read it


def feature_files(features: Path) -> list[Path]:
    """Return the Parquet files of a directory, sorted by name. If ``features`` is a file, return only that file.

    Raises
    ------
    MissingInputError
        The path does not exist, or the directory contains no Parquet file.
    """
    if not features.is_dir():
        check_regular_file(features)
    if features.is_file():
        return [features]
    if not features.is_dir():
        raise MissingInputError(f"{features}: no such file or directory. {_MAKE}")
    found = sorted(features.glob("*.parquet"))
    if not found:
        raise MissingInputError(f"{features}: no .parquet file in this directory. Make one with dc featurize.")
    return found


def read_header(path: Path) -> FeatureHeader:
    """Read only what a feature file says about itself, and check the types and the sizes of its columns.

    Raises
    ------
    MissingInputError, BadDataError
        See :func:`read_features`.
    """
    return _open(path)[1]


def read_metadata(path: Path) -> dict[str, Any]:
    """Read only the metadata of a feature file: how it was made (see docs/format.md).

    Raises
    ------
    MissingInputError, BadDataError
        See :func:`read_features`.
    """
    return dict(read_header(path).metadata)


def read_features(path: str | Path, marks: Sequence[str] | None = None) -> Features:
    """Read the features of one epigenome, and check them against the checksums in the file.

    Parameters
    ----------
    path
        A file that ``dc featurize`` wrote.
    marks
        The marks to read, in this order. By default all marks, in the order of the file.

    Returns
    -------
    Features
        ``counts`` is uint32 (genes, bins, marks), or float32 if one of these marks is signal. It is stored mark by
        mark, so that ``counts[:, :, m]`` is contiguous.

    Raises
    ------
    MissingInputError
        There is no such file.
    BadDataError
        The file is not a feature file, was renamed, has another format version, is damaged, or lacks a mark; or a
        small file unpacks to gigabytes (see :func:`~deepchrome.common.parquet.check_size`); or, beside signal, a count
        is above 16,777,216.
    """
    path = Path(path)
    file, header = _open(path)
    document, stored = header.metadata, header.marks
    wanted = stored if marks is None else tuple(marks)
    if absent := [mark for mark in wanted if mark not in stored]:
        raise BadDataError(f"{path}: no mark {', '.join(absent)} in this file; it has {', '.join(stored)}")
    signal = _signal_of(wanted, document)
    n_genes, n_bins = file.metadata.num_rows, document["n_bins"]
    check_size(path, declared_bytes(file, [*GENE_COLUMNS, *wanted]))
    try:
        genes = _read_genes(path, file.metadata)
        counts = np.empty((len(wanted), n_genes, n_bins), np.float32 if signal else np.uint32)
        found = gene_checksums(genes)
        # One mark at a time, because Arrow needs more than twice the memory of the counts.
        for mark, out in zip(wanted, counts, strict=True):
            column = file.read(columns=[mark])[mark].combine_chunks()
            if column.null_count:
                raise ValueError("a value is null")
            values = column.flatten().to_numpy().reshape(-1, n_bins)
            if mark in signal and not np.isfinite(values).all():  # guard: finite-column
                raise ValueError(f"a value of {mark} is not a finite number")
            found[mark] = _checksum(values, _dtype(values))
            if signal and mark not in signal and values.max(initial=0) > MAX_WHOLE_FLOAT:  # guard: counts-beside-signal
                raise BadDataError(
                    f"{path}: a count of {mark} is above {MAX_WHOLE_FLOAT:,}, which float32 does not hold exactly. "
                    f"Read {mark} without the marks that are signal"
                )
            out[:] = values
    except _DAMAGE_ERRORS as error:
        raise BadDataError(f"{path}: damaged ({_one_line(error)}). {_MAKE_AGAIN}") from None
    if wrong := [name for name in found if found[name] != document["crc32"].get(name)]:  # guard: column-checksums
        raise BadDataError(f"{path}: damaged (the checksum of column {wrong[0]} is wrong). {_MAKE_AGAIN}")
    return Features(header.epigenome, genes, wanted, np.moveaxis(counts, 0, -1), document)


def _read_genes(path: Path, metadata: pq.FileMetaData) -> Genes:
    """Read the gene columns. Equal strings are kept once, so the memory does not depend on how often they occur."""
    texts = [name for name in GENE_COLUMNS if name != "tss"]
    table = open_parquet(path, metadata=metadata, read_dictionary=texts).read(columns=list(GENE_COLUMNS))
    if any(column.null_count for column in table.columns):
        raise ValueError("a value is null")
    column = {name: read_text(path, table[name]) for name in texts}
    tss = table["tss"].to_numpy()
    return Genes(column["gene_id"], column["symbol"], column["chrom"], tss, column["strand"])


def gene_checksums(genes: Genes) -> dict[str, int]:
    """Return the CRC-32 of each gene column, as stored in a feature file."""
    texts = {"gene_id": genes.gene_id, "symbol": genes.symbol, "chrom": genes.chrom, "strand": genes.strand}
    checksums = {name: zlib.crc32("\n".join(values).encode()) for name, values in texts.items()}
    return checksums | {"tss": _checksum(genes.tss, "<i8")}


# Exceptions that Arrow and json raise on damaged data.
_DAMAGE_ERRORS = (OSError, ValueError, LookupError, TypeError, RecursionError, pa.ArrowException)


def _open(path: Path) -> tuple[pq.ParquetFile, FeatureHeader]:
    """Open a feature file; check its metadata, its name and the types of its columns."""
    check_regular_file(path)
    try:
        file = open_parquet(path)
        schema = file.schema_arrow
        types: dict[str, list[pa.DataType]] = {}
        for column in schema:
            types.setdefault(column.name, []).append(column.type)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file. {_MAKE}") from None
    except _DAMAGE_ERRORS as error:
        raise BadDataError(f"{path}: not a readable Parquet file ({_one_line(error)})") from None
    document = _parse_metadata(path, schema.metadata or {})
    expected = {name: pa.int64() if name == "tss" else pa.string() for name in GENE_COLUMNS}
    for mark in document["marks"]:
        kind = pa.float32() if mark in document.get("signal", ()) else pa.uint32()
        expected[mark] = pa.list_(kind, document["n_bins"])
    for name, kind in expected.items():
        found = types.get(name, [])
        if found != [kind]:
            problem = f"has type {' and '.join(map(str, found))}" if found else "is missing"
            raise BadDataError(f"{path}: column {name} {problem} (expected {kind})")
    # Files of other programs need not record the epigenome.
    epigenome = document.get("epigenome", path.stem)
    if epigenome != path.stem:  # guard: epigenome-of-file
        raise ForeignFileError(
            f"{path}: holds the features of {epigenome}. Rename it to {epigenome}{path.suffix}, "
            "or count the reads again under the new name"
        )
    return file, FeatureHeader(path, epigenome, tuple(document["marks"]), document)


def _parse_metadata(path: Path, metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Parse and check the metadata of a feature file.

    Raises
    ------
    ForeignFileError
        Another program or another version wrote the file.
    BadDataError
        The metadata is damaged.
    """
    if METADATA_KEY not in metadata:
        raise ForeignFileError(f"{path}: not written by dc featurize (no 'deepchrome' metadata)")
    text = metadata[METADATA_KEY]
    damaged = BadDataError(f"{path}: the 'deepchrome' metadata is damaged. {_MAKE_AGAIN}")
    try:
        document: dict[str, Any] = json.loads(text)
        version = document["format_version"]
    except _DAMAGE_ERRORS:
        raise damaged from None
    if version not in (FORMAT_VERSION, SIGNAL_FORMAT_VERSION):
        raise ForeignFileError(
            f"{path}: format version {version}; this deepchrome reads versions {FORMAT_VERSION} and "
            f"{SIGNAL_FORMAT_VERSION}"
        )
    if metadata.get(CHECKSUM_KEY) != b"%d" % zlib.crc32(text):  # guard: metadata-checksum
        raise damaged
    # A correct checksum does not guarantee valid metadata: another program may have written both.
    marks, n_bins, checksums = (document.get(name) for name in ("marks", "n_bins", "crc32"))
    if not isinstance(marks, list) or not isinstance(n_bins, int) or not isinstance(checksums, dict):
        raise damaged
    if not all(isinstance(text, str) for text in (*marks, document.get("epigenome", ""))) or not 0 < n_bins < 2**31:
        raise damaged
    signal = document.get("signal", [])
    if not isinstance(signal, list) or not all(mark in marks for mark in signal):
        raise damaged
    if bool(signal) != (version == SIGNAL_FORMAT_VERSION):
        raise damaged
    sources = document.get("sources", {})
    if not isinstance(document.get("options", {}), dict) or not isinstance(sources, dict):
        raise damaged
    if not all(map(_is_source, sources.values())):
        raise damaged
    return document


def _is_source(source: Any) -> bool:
    """Return whether this is a record of the reads of a mark. Other programs may leave out any part of it."""
    if isinstance(source, dict) and "pooled" in source:
        files, source = source["pooled"], {name: value for name, value in source.items() if name != "pooled"}
        if not isinstance(files, list) or not all(isinstance(file, dict) and "pooled" not in file for file in files):
            return False
        return all(map(_is_source, [source, *files]))
    if not isinstance(source, dict) or not isinstance(source.get("read_length_bp", {}), dict):
        return False
    numbers = [
        source.get("reads", 0),
        source.get("reads_in_windows", 0),
        source.get("read_length_bp", {}).get("mean", 0),
    ]
    return all(isinstance(number, int | float) and 0 <= number < math.inf for number in numbers)


def _one_line(error: Exception) -> str:
    """Return an error message as one line. Messages of Arrow span several lines."""
    return " ".join(str(error).split())


def _signal_of(marks: Sequence[str], metadata: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(mark for mark in marks if mark in metadata.get("signal", ()))


def _dtype(values: npt.NDArray[Any]) -> str:
    """Return the type in which the values of a mark are stored."""
    return "<f4" if values.dtype.kind == "f" else "<u4"


def _checksum(values: npt.NDArray[Any], dtype: str) -> int:
    return zlib.crc32(np.ascontiguousarray(values, dtype).data)
