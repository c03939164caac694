"""Feature files: one Parquet file per epigenome, written whole or not at all. See docs/format.md."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from deepchrome.engine.genes import COLUMNS, Genes
from deepchrome.engine.outputs import replacing
from deepchrome.errors import BadDataError, MissingInputError

FORMAT_VERSION = 1
METADATA_KEY = b"deepchrome"


@dataclass(frozen=True)
class Features:
    """The read counts of one epigenome.

    Attributes
    ----------
    epigenome
        Its name, e.g. ``E003``.
    genes
        The genes, a row each.
    marks
        Names of the histone marks, in the order of the last axis.
    counts
        Reads per gene, bin and mark: uint32 (genes, bins, marks). Bins are in genomic order,
        whatever the strand of the gene.
    metadata
        What the file says of its own making; see docs/format.md.
    """

    epigenome: str
    genes: Genes
    marks: tuple[str, ...]
    counts: npt.NDArray[np.uint32] = field(repr=False)
    metadata: Mapping[str, Any] = field(repr=False)


def write_features(
    path: Path, genes: Genes, counts: Mapping[str, npt.NDArray[np.uint32]], metadata: Mapping[str, Any]
) -> None:
    """Write one epigenome's features; the file appears under its name only when it is complete.

    Parameters
    ----------
    path
        The file to write, ``<epigenome>.parquet``.
    genes
        n genes.
    counts
        Per mark, in the order of the columns: uint32 (n, bins), in genomic order.
    metadata
        Stored as JSON under the key ``deepchrome``; ``format_version`` and ``marks`` are added.
    """
    columns: dict[str, pa.Array] = {
        "gene_id": pa.array(genes.gene_id, pa.string()),
        "symbol": pa.array(genes.symbol, pa.string()),
        "chrom": pa.array(genes.chrom, pa.string()),
        "tss": pa.array(genes.tss, pa.int64()),
        "strand": pa.array(genes.strand, pa.string()),
    }
    for mark, reads in counts.items():
        values = pa.array(np.ascontiguousarray(reads, dtype=np.uint32).reshape(-1))
        columns[mark] = pa.FixedSizeListArray.from_arrays(values, reads.shape[1])
    document = {"format_version": FORMAT_VERSION, "marks": list(counts), **metadata}
    schema = pa.schema(
        [pa.field(name, column.type, nullable=False) for name, column in columns.items()],
        metadata={METADATA_KEY: json.dumps(document, sort_keys=True).encode()},
    )
    table = pa.Table.from_arrays(list(columns.values()), schema=schema)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True, store_schema=True)


def feature_files(features: Path) -> list[Path]:
    """Return the Parquet files of a features directory, by name; a single file stands for itself.

    Raises
    ------
    MissingInputError
        Nothing there, or no Parquet file in it.
    """
    if features.is_file():
        return [features]
    if not features.is_dir():
        raise MissingInputError(f"{features}: no such file or directory; make it with dc featurize")
    found = sorted(features.glob("*.parquet"))
    if not found:
        raise MissingInputError(f"{features}: no .parquet file in this directory; make one with dc featurize")
    return found


def read_metadata(path: Path) -> dict[str, Any]:
    """Read only what a feature file says of its own making.

    Raises
    ------
    MissingInputError, BadDataError
        As :func:`read_features`.
    """
    return _document(path, _open(path).schema_arrow)


def read_features(path: str | Path, marks: Sequence[str] | None = None) -> Features:
    """Read one epigenome's features.

    Parameters
    ----------
    path
        A file that ``dc featurize`` wrote. Its page checksums are verified.
    marks
        The marks wanted, in this order; by default all, in the file's order.

    Returns
    -------
    Features
        ``counts`` is uint32 (genes, bins, marks), laid out mark by mark in memory, so that
        ``counts[:, :, m]`` is contiguous.

    Raises
    ------
    MissingInputError
        No such file.
    BadDataError
        Not a feature file, one of another format version, a damaged one, or a mark is not in it.
    """
    path = Path(path)
    file = _open(path)
    document = _document(path, file.schema_arrow)
    stored = tuple(document["marks"])
    wanted = stored if marks is None else tuple(marks)
    if absent := [mark for mark in wanted if mark not in stored]:
        raise BadDataError(f"{path}: no mark {', '.join(absent)} in this file; it has {', '.join(stored)}")
    try:
        table = file.read(columns=[*COLUMNS, *wanted])
    except (OSError, pa.ArrowInvalid) as error:
        raise BadDataError(f"{path}: damaged ({error}); make it anew with dc featurize") from None
    n_bins = document["n_bins"]
    counts = np.empty((len(wanted), table.num_rows, n_bins), np.uint32)
    for mark, out in zip(wanted, counts, strict=True):
        column = table[mark].combine_chunks()
        if column.type != pa.list_(pa.uint32(), n_bins) or column.null_count:
            raise BadDataError(f"{path}: column {mark} is {column.type}, expected {n_bins} uint32 a gene, never null")
        out[:] = column.flatten().to_numpy().reshape(-1, n_bins)
    gene_id, symbol, chrom, strand = (
        tuple(table[name].to_pylist()) for name in ("gene_id", "symbol", "chrom", "strand")
    )
    genes = Genes(gene_id, symbol, chrom, table["tss"].to_numpy(), strand)
    return Features(path.stem, genes, wanted, np.moveaxis(counts, 0, -1), document)


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file; make it with dc featurize") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise BadDataError(f"{path}: not a readable Parquet file ({error})") from None


def _document(path: Path, schema: pa.Schema) -> dict[str, Any]:
    text = (schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise BadDataError(f"{path}: a Parquet file, but not one of dc featurize (no 'deepchrome' metadata)")
    try:
        document: dict[str, Any] = json.loads(text)
        version = document["format_version"]
    except (ValueError, KeyError, TypeError):
        raise BadDataError(f"{path}: its 'deepchrome' metadata is damaged; make it anew with dc featurize") from None
    if version != FORMAT_VERSION:
        raise BadDataError(f"{path}: format version {version}; this deepchrome reads version {FORMAT_VERSION}")
    if missing := [name for name in (*COLUMNS, *document["marks"]) if name not in schema.names]:
        raise BadDataError(f"{path}: no column {', '.join(missing)}")
    return document
