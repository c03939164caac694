"""Feature files are read back equal, and damaged or changed files are refused."""

import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from campaign.rows import FULL

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.store import feature_files, read_features, read_metadata, write_features
from deepchrome.errors import BadDataError, MissingInputError

N, BINS = 40, 6
GENES = Genes(
    tuple(f"ENSG{i:05d}.1" for i in range(N)),
    ("", 'S"1', "é") + ("S",) * (N - 3),
    ("chr1", "chr2") * (N // 2),
    np.arange(1, N + 1, dtype=np.int64) * 2**22,
    ("+", "-", ".", "+") * (N // 4),
)
MARKS = ("H3K9me3", "H2A.Z", "H2A", "list")
RNG = np.random.default_rng(3)
COUNTS = {mark: RNG.integers(0, 2**32, (N, BINS), dtype=np.uint32) for mark in MARKS}
METADATA = {"n_bins": BINS, "flank": 300, "bin_size": 100}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "E003.parquet"
    write_features(path, GENES, COUNTS, METADATA)
    return path


def test_features_are_read_back_equal(path: Path) -> None:
    features = read_features(str(path))
    assert features.epigenome == "E003"
    assert features.marks == MARKS
    assert features.counts.shape == (N, BINS, len(MARKS))
    assert features.counts.dtype == np.uint32
    for m, mark in enumerate(MARKS):
        assert (features.counts[:, :, m] == COUNTS[mark]).all()
        assert features.counts[:, :, m].flags.c_contiguous
    for name in ("gene_id", "symbol", "chrom", "strand"):
        assert getattr(features.genes, name) == getattr(GENES, name)
    assert features.genes.tss.dtype == np.int64
    assert (features.genes.tss == GENES.tss).all()
    assert features.metadata.items() >= {"format_version": 1, "marks": list(MARKS), **METADATA}.items()
    assert read_metadata(path) == features.metadata


def test_plain_parquet_readers_can_read_it(path: Path) -> None:
    table = pq.read_table(path, page_checksum_verification=True)
    assert table.column_names == ["gene_id", "symbol", "chrom", "tss", "strand", *MARKS]
    assert [table.schema.field(name).type for name in MARKS] == [pa.list_(pa.uint32(), BINS)] * len(MARKS)
    assert not any(field.nullable for field in table.schema)
    assert table["H2A"].to_pylist() == COUNTS["H2A"].tolist()
    assert json.loads(table.schema.metadata[b"deepchrome"])["marks"] == list(MARKS)


def test_marks_can_be_selected(path: Path) -> None:
    """The order is kept, and a mark is not confused with one whose name begins in the same way."""
    some = read_features(path, marks=("list", "H2A"))
    assert some.marks == ("list", "H2A")
    assert (some.counts == np.stack([COUNTS["list"], COUNTS["H2A"]], axis=-1)).all()
    assert read_features(path, marks=()).counts.shape == (N, BINS, 0)
    with pytest.raises(BadDataError, match=r"no mark H3K4me3 in this file; it has H3K9me3, H2A\.Z, H2A, list"):
        read_features(path, marks=("H2A", "H3K4me3"))


@pytest.mark.campaign("features")
def test_flipped_bit_is_an_error_or_harmless(path: Path, record_property: Callable[[str, int], None]) -> None:
    """This includes the footer and the metadata, which Parquet itself does not protect."""
    whole, want = path.read_bytes(), read_features(path)
    dice = random.Random(11)
    places = range(4, len(whole)) if FULL else [dice.randrange(4, len(whole)) for _ in range(400)]
    flips = [(at, dice.randrange(8)) for at in places]
    at_json = whole.index(b'"n_bins"')
    flips += [(i, dice.randrange(8)) for i in range(at_json - 200, at_json + 20)]
    refused = 0
    for at, bit in flips:
        data = bytearray(whole)
        data[at] ^= 1 << bit
        path.write_bytes(data)
        try:
            features = read_features(path)
        except BadDataError:
            refused += 1
            continue
        assert features.metadata == want.metadata, (at, bit)
        assert features.counts.tobytes() == want.counts.tobytes(), (at, bit)
        assert (features.genes.tss == want.genes.tss).all(), (at, bit)
        assert str(features.genes.__dict__) == str(want.genes.__dict__), (at, bit)
    assert refused > 300
    record_property("bytes changed", len(flips))
    record_property("refused", refused)


@pytest.mark.campaign("features")
def test_pages_have_checksums(path: Path) -> None:
    """With these, readers that do not know our own checksums can find damage."""
    whole, caught = path.read_bytes(), 0
    column = pq.ParquetFile(path).metadata.row_group(0).column(3)  # tss
    begin = column.dictionary_page_offset or column.data_page_offset
    for at in range(begin, begin + column.total_compressed_size):
        data = bytearray(whole)
        data[at] ^= 16
        path.write_bytes(data)
        try:
            pq.read_table(path, columns=["tss"], page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            caught += "CRC checksum verification failed" in str(error)
    assert caught > 100


def rewrite(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    """Change a table and write it like any program, with correct page checksums."""

    def spoil(path: Path) -> None:
        table = pq.read_table(path)
        pq.write_table(change(table), path, write_page_checksum=True)

    return spoil


def one_more(table: pa.Table) -> pa.Table:
    values = table["H2A"].combine_chunks().flatten().to_numpy().copy()
    values[77] += 1
    return with_column(table, "H2A", pa.FixedSizeListArray.from_arrays(values, BINS))


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    i = table.column_names.index(name)
    return table.set_column(i, pa.field(name, values.type), values)


def with_document(**other: Any) -> Callable[[pa.Table], pa.Table]:
    """Change the metadata together with its checksum, as another program might."""

    def change(table: pa.Table) -> pa.Table:
        document = json.loads(table.schema.metadata[b"deepchrome"]) | other
        text = json.dumps({name: value for name, value in document.items() if value is not ...}).encode()
        return table.replace_schema_metadata({b"deepchrome": text, b"deepchrome_crc32": b"%d" % zlib.crc32(text)})

    return change


def without_checksum(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({b"deepchrome": table.schema.metadata[b"deepchrome"]})


def nulls(table: pa.Table, name: str) -> pa.Table:
    return with_column(table, name, pa.array([None, *table[name].to_pylist()[1:]], table.schema.field(name).type))


SPOILT = {
    "a count changed": (one_more, "the checksum of column H2A is wrong"),
    "a row removed": (lambda t: t.slice(0, N - 1), "the checksum of column .* is wrong"),
    "rows swapped": (lambda t: t.take([1, 0, *range(2, N)]), "the checksum of column .* is wrong"),
    "a gene moved": (lambda t: with_column(t, "tss", pa.array(GENES.tss + 1)), "the checksum of column tss is wrong"),
    "a null id": (lambda t: nulls(t, "gene_id"), "damaged"),
    "a null tss": (lambda t: nulls(t, "tss"), "damaged"),
    "a null mark": (lambda t: nulls(t, "H2A"), "damaged"),
    "a mark removed": (lambda t: t.drop_columns("H2A"), r"column H2A is missing \(expected fixed_size_list"),
    "a mark twice": (lambda t: t.append_column("H2A", t["H2A"]), r"column H2A has type fixed.* and fixed.* \(expected"),
    "tss as text": (
        lambda t: with_column(t, "tss", pa.array(["1"] * N)),
        r"column tss has type string \(expected int64\)",
    ),
    "signed counts": (
        lambda t: with_column(t, "H2A", t["H2A"].combine_chunks().cast(pa.list_(pa.int64(), BINS))),
        r"column H2A has type fixed_size_list<.*int64.* \(expected",
    ),
    "no checksum": (without_checksum, "metadata is damaged"),
    "of another program": (lambda t: t.replace_schema_metadata({b"x": b"y"}), "not written by dc featurize"),
    "not JSON": (lambda t: t.replace_schema_metadata({b"deepchrome": b"{"}), "metadata is damaged"),
    "a list": (lambda t: t.replace_schema_metadata({b"deepchrome": b"[1]"}), "metadata is damaged"),
    "version 3": (with_document(format_version=3), "format version 3; this deepchrome reads versions 1 and 2"),
    "version 3, other metadata": (
        lambda t: t.replace_schema_metadata({b"deepchrome": b'{"format_version": 3}'}),
        "format version 3",
    ),
    "no version": (with_document(format_version=...), "metadata is damaged"),
    "no bins": (with_document(n_bins=...), "metadata is damaged"),
    "bins as text": (with_document(n_bins="6"), "metadata is damaged"),
    "bins below 0": (with_document(n_bins=-6), "metadata is damaged"),
    "far more bins": (with_document(n_bins=2**30), "expected fixed_size_list.*1073741824"),
    "marks as text": (with_document(marks="H2A"), "metadata is damaged"),
    "marks as numbers": (with_document(marks=[1]), "metadata is damaged"),
    "options as a list": (with_document(options=[1]), "metadata is damaged"),
    "sources as a list": (with_document(sources=[1]), "metadata is damaged"),
    "a source as text": (with_document(sources={"H2A": "x"}), "metadata is damaged"),
    "reads as text": (with_document(sources={"H2A": {"reads": "9"}}), "metadata is damaged"),
    "reads below 0": (with_document(sources={"H2A": {"reads_in_windows": -9}}), "metadata is damaged"),
    "read length as text": (with_document(sources={"H2A": {"read_length_bp": {"mean": "9"}}}), "metadata is damaged"),
    "read length as a number": (with_document(sources={"H2A": {"read_length_bp": 9}}), "metadata is damaged"),
    "epigenome as a number": (with_document(epigenome=3), "metadata is damaged"),
    "another epigenome": (with_document(epigenome="E004"), "holds the features of E004"),
    "no column sums": (with_document(crc32={}), "the checksum of column .* is wrong"),
    "sums as text": (with_document(crc32="x"), "metadata is damaged"),
}


@pytest.mark.campaign("features")
@pytest.mark.parametrize("how", SPOILT)
def test_changed_file_is_refused(how: str, path: Path) -> None:
    change, message = SPOILT[how]
    rewrite(change)(path)
    with pytest.raises(BadDataError, match=f"^{path}: .*{message}"):
        read_features(path)


@pytest.mark.campaign("features")
def test_other_files_are_refused(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(b"PAR1")
    with pytest.raises(BadDataError, match="not a readable Parquet file"):
        read_metadata(path)
    for data in (b"", b"PAR1", b"gene_id\ttss\n", whole[:-1], whole[:100], whole[1:], whole + b"\n"):
        path.write_bytes(data)
        with pytest.raises(BadDataError, match=f"^{path}: (not a readable Parquet file|damaged) .*$"):
            read_features(path)
    with pytest.raises(MissingInputError, match=r"no such file\. Make it with dc featurize"):
        read_features(tmp_path / "E004.parquet")


def test_feature_files_of_a_directory(path: Path, tmp_path: Path) -> None:
    (tmp_path / "E001.parquet").write_bytes(path.read_bytes())
    (tmp_path / "summary.tsv").touch()
    assert [found.name for found in feature_files(tmp_path)] == ["E001.parquet", "E003.parquet"]
    assert feature_files(path) == [path]
    (tmp_path / "empty").mkdir()
    for missing, message in ((tmp_path / "empty", "no .parquet file"), (tmp_path / "absent", "no such file")):
        with pytest.raises(MissingInputError, match=message):
            feature_files(missing)
