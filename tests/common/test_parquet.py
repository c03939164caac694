"""Small Parquet files that ask for gigabytes are refused, with little memory."""

import json
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from campaign.rows import sized

from deepchrome.common import parquet
from deepchrome.common.parquet import ALWAYS_BYTES, MAX_BYTES, MAX_RATIO, check_size, number_array, text_array
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.store import read_features, write_features
from deepchrome.errors import BadDataError
from deepchrome.train.run.frames import read_frame, write_frame

READ = """
import sys
from pathlib import Path
from deepchrome.common import parquet
from deepchrome.{module} import {function}
from deepchrome.errors import BadDataError
parquet.ALWAYS_BYTES = 256 << 20  # so that smaller files show the same
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) >> 10
before = peak()
try:
    {function}(Path(sys.argv[1]))
except BadDataError as error:
    print(error)
print("peak", peak() - before, file=sys.stderr)
"""
STORE = {"module": "engine.features.store", "function": "read_features"}
FRAMES = {"module": "train.run.frames", "function": "read_frame"}


def write_repeated(path: Path, rows: int, columns: Mapping[str, pa.Array], metadata: Mapping[bytes, bytes]) -> None:
    """Write a table whose every row is the first row of the columns, in row groups that need little memory."""
    table = pa.table(dict(columns)).replace_schema_metadata(metadata)
    schema = pa.schema([pa.field(f.name, f.type, nullable=False) for f in table.schema], metadata=metadata)
    step = max(1, min(rows, (1 << 24) // max(table.nbytes, 1)))
    first = table.cast(schema)
    block = first if step == 1 else first.take(pa.array(np.zeros(step, np.int64)))
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for _ in range(-(-rows // step)):
            writer.write_table(block, row_group_size=step)


def feature_bomb(path: Path, rows: int, n_bins: int, gene_id: str = "g", marks: int = 1) -> None:
    """Write a valid feature file of equal rows, as any program can."""
    names = [f"M{i}" for i in range(marks)]
    columns: dict[str, pa.Array] = {name: pa.array(["x"]) for name in ("symbol", "chrom", "strand")}
    columns = {"gene_id": pa.array([gene_id]), **columns, "tss": pa.array([1], pa.int64())}
    counts = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(n_bins, np.uint32)), n_bins)
    columns |= dict.fromkeys(names, counts)
    document = {"format_version": 1, "marks": names, "n_bins": n_bins, "bin_size": 100, "flank": 50 * n_bins}
    text = json.dumps({**document, "crc32": {}}).encode()
    metadata = {b"deepchrome": text, b"deepchrome_crc32": b"%d" % zlib.crc32(text)}
    write_repeated(path, rows, columns, metadata)


def frame_bomb(path: Path, rows: int, text: str) -> None:
    columns = {"epigenome": pa.array([text]), "score": pa.array([0.5])}
    write_repeated(path, rows, columns, {b"deepchrome_sha256": b"0"})


BOMBS: dict[str, tuple[Callable[[Path], None], Mapping[str, str]]] = {
    "many bins": (lambda path: feature_bomb(path, 2, sized(34_000_000, 100_000_000)), STORE),
    "many rows": (lambda path: feature_bomb(path, sized(700_000, 5_000_000), 100), STORE),
    "many marks": (lambda path: feature_bomb(path, sized(2_500, 20_000), 1000, marks=30), STORE),
    "many genes, hardly a count": (lambda path: feature_bomb(path, sized(3_700_000, 20_000_000), 1), STORE),
    "long names": (lambda path: feature_bomb(path, sized(20_000, 100_000), 1, "g" * 20_000), STORE),
    "many rows of a run": (lambda path: frame_bomb(path, sized(12_000_000, 50_000_000), "E003"), FRAMES),
    "long names of a run": (lambda path: frame_bomb(path, sized(20_000, 100_000), "E" * 20_000), FRAMES),
}


@pytest.mark.campaign("limits")
@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak memory from /proc")
@pytest.mark.parametrize("kind", BOMBS)
def test_small_files_that_ask_for_gigabytes_are_refused(kind: str, tmp_path: Path, record_property: Any) -> None:
    make, reader = BOMBS[kind]
    path = tmp_path / "E001.parquet"
    make(path)
    assert path.stat().st_size < 10_000_000
    ran = subprocess.run(
        [sys.executable, "-c", READ.format(**reader), path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert re.match(rf"{path}: unpacks to more than deepchrome reads \([\d,]+ bytes from [\d,]+\)", ran.stdout)
    assert int(ran.stderr.rsplit("peak ", 1)[1]) < 100, kind
    record_property("files that unpack to gigabytes", 1)


@pytest.mark.campaign("limits")
def test_the_limits_leave_room_for_large_data(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(1000))
    check_size(path, ALWAYS_BYTES)
    with pytest.raises(BadDataError, match="at most 16 GiB"):
        check_size(path, ALWAYS_BYTES + 1)
    with path.open("r+b") as file:
        file.truncate(10_000_000)  # 60,000 genes, 100 bins and 30 marks take more than this
    check_size(path, 60_000 * 100 * 30 * 4)
    check_size(path, MAX_RATIO * 10_000_000)
    with path.open("r+b") as file:
        file.truncate(MAX_BYTES)
    check_size(path, MAX_BYTES)
    with pytest.raises(BadDataError):
        check_size(path, MAX_BYTES + 1)


@pytest.mark.parametrize(
    "words", [(), ("",), ("ENSG1", "", "TP53"), ("é", "", "chr1", "染色体", "😀"), ("x" * 70_000,) * 2]
)
def test_arrays_of_text_are_those_of_arrow(words: tuple[str, ...]) -> None:
    array = text_array(words)
    array.validate(full=True)
    assert array.equals(pa.array(words, pa.string()))
    assert array.null_count == 0


@pytest.mark.campaign("limits")
def test_text_that_overflows_the_offsets() -> None:
    with patch.object(parquet, "_MAX_STRING_BYTES", 8):
        assert text_array(("abcd", "éé")).to_pylist() == ["abcd", "éé"]
        with pytest.raises(BadDataError, match="9 bytes of text"):
            text_array(("abcd", "éé", "x"))


@pytest.mark.parametrize("dtype", [np.uint32, np.float32, np.int64])
def test_arrays_of_numbers_are_those_of_arrow(dtype: type[np.generic]) -> None:
    numbers = np.arange(12).reshape(3, 4).astype(dtype)
    for values in (numbers, numbers[:, ::2], numbers.T, numbers[:0], np.asfortranarray(numbers)):
        array = number_array(values)
        array.validate(full=True)
        assert array.equals(pa.array(np.ascontiguousarray(values).reshape(-1)))
        assert array.null_count == 0


def test_sparse_counts_are_read(tmp_path: Path) -> None:
    """Features of a small chromosome unpack to many times their size, and are right nevertheless."""
    n = 20_000
    ids = tuple(f"ENSG{i:011d}" for i in range(n))
    genes = Genes(ids, ("",) * n, ("chr1",) * n, np.arange(n, dtype=np.int64), ("+",) * n)
    counts = np.zeros((n, 100), np.uint32)
    counts[7, 3] = 5
    path = tmp_path / "E1.parquet"
    write_features(path, genes, {f"M{i}": counts for i in range(30)}, {"n_bins": 100})
    assert n * 100 * 30 * 4 > 200 * path.stat().st_size
    features = read_features(path, ["M7"])
    assert (features.counts[:, :, 0] == counts).all()
    assert features.genes.gene_id == ids


def test_tables_of_runs_keep_their_values_and_types(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": ["x", "", "é", "x", None], "b": [1, 2, None, 3, 4], "c": [0.5, 1, 2, 3, 4]})
    for frame in (table, table.clear()):
        write_frame(tmp_path / "t.parquet", frame, {"a": 1})
        read, document = read_frame(tmp_path / "t.parquet")
        assert document == {"a": 1}
        assert read.equals(frame)
        assert read.schema == frame.schema


@pytest.mark.campaign("limits")
def test_no_file_is_written_that_could_not_be_read(tmp_path: Path) -> None:
    genes = Genes(("g",), ("",), ("chr1",), np.array([5]), ("+",))
    with patch.object(parquet, "MAX_BYTES", 1000), pytest.raises(BadDataError, match="unpacks to more than"):
        write_features(tmp_path / "E1.parquet", genes, {"M": np.zeros((1, 400), np.uint32)}, {"n_bins": 400})
    assert not list(tmp_path.iterdir())
