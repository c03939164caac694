"""What the writers write, byte for byte, and that files appear complete or not at all."""

import io
import json
import zlib
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from support.regions import count_bed, regions_of

from deepchrome.engine.regioncounts import write
from deepchrome.engine.regioncounts.result import RegionCounts
from deepchrome.engine.regioncounts.write import send_counts, write_counts
from deepchrome.errors import ParameterError, StorageError

SIZES = {"chr1": 1000, "chré": 1000}
BED = 'chr1\t007\t9\t"a"\t,\t.\t"\nchré\t5\t5\t\té\t+\t\'\nchr1\t1\t2\t  \t1e3\t-\tNA\n'


@pytest.fixture
def counts(tmp_path: Path) -> RegionCounts:
    (tmp_path / "a.bed").write_text("chr1\t0\t8\nchr1\t3\t9\n")
    return count_bed([tmp_path / "a.bed"], BED, SIZES)


def written(counts: RegionCounts, container: str) -> str:
    file = io.BytesIO()
    send_counts(file, counts, container)
    return file.getvalue().decode()


def test_text_is_never_quoted(counts: RegionCounts) -> None:
    rows = 'chr1\t7\t9\t"a"\t,\t.\t"\t2\nchré\t5\t5\t\té\t+\t\'\t0\nchr1\t1\t2\t  \t1e3\t-\tNA\t1\n'
    assert written(counts, "multicov") == rows
    assert written(counts, "tsv") == "chrom\tstart\tend\tname\tscore\tstrand\tcolumn_7\ta\n" + rows


def test_pieces_make_the_same_text(counts: RegionCounts) -> None:
    whole = written(counts, "tsv")
    with patch.object(write, "_ROWS_AT_A_TIME", 2):
        assert written(counts, "tsv") == whole


def test_signal(counts: RegionCounts) -> None:
    values = np.array([0.1, 3, 123456789], np.float32)
    signal = replace(counts, names=("a", "b"), columns=(counts.columns[0], values), paths=("a", "b"))
    signal = replace(signal, tallies=(counts.tallies[0],) * 2)
    cells = [line.split("\t")[-1] for line in written(signal, "tsv").splitlines()]
    assert cells[0] == "b"
    assert (np.array(cells[1:], np.float32) == values).all()
    assert signal.counts.dtype == np.float64
    assert signal.counts[:, 0].tolist() == [2, 0, 1]
    with pytest.raises(ParameterError, match="multicov holds whole numbers only, but b is a signal"):
        written(signal, "multicov")


def test_parquet_has_checksums(counts: RegionCounts, tmp_path: Path) -> None:
    write_counts(tmp_path / "x.parquet", counts, "parquet", {"command": "mine"})
    table = pq.read_table(tmp_path / "x.parquet", page_checksum_verification=True)
    text = table.schema.metadata[b"deepchrome"]
    assert int(table.schema.metadata[b"deepchrome_crc32"]) == zlib.crc32(text)
    record = json.loads(text)
    assert record["command"] == "mine"
    for name, kind in (("start", "<i8"), ("end", "<i8"), ("a", "<u4")):
        assert record["crc32"][name] == zlib.crc32(table[name].to_numpy().astype(kind).tobytes())
    assert pl.read_parquet(tmp_path / "x.parquet")["name"].to_list() == ['"a"', "", "  "]
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    data[60] ^= 1
    (tmp_path / "x.parquet").write_bytes(data)
    with pytest.raises(OSError, match=r"CRC|checksum|corrupt"):
        pq.read_table(tmp_path / "x.parquet", page_checksum_verification=True)


@pytest.mark.parametrize("container", ["tsv", "parquet", "multicov"])
def test_existing_file_is_unchanged_after_an_error(counts: RegionCounts, tmp_path: Path, container: str) -> None:
    path = tmp_path / "out"
    path.write_text("before")
    with (
        patch.object(write, "count_table", side_effect=OSError(28, "No space left on device")),
        patch.object(write, "source_table", side_effect=OSError(28, "No space left on device")),
        pytest.raises(StorageError, match="No space left on device"),
    ):
        write_counts(path, counts, container)
    assert path.read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.bed", "out", "regions.bed"]


def test_unknown_format(counts: RegionCounts) -> None:
    with pytest.raises(ParameterError, match="container must be one of tsv, parquet, multicov, got 'csv'"):
        written(counts, "csv")


def test_names_of_features(tmp_path: Path) -> None:
    gtf = (
        'chr1\ts\texon\t1\t5\t.\t+\t.\tgene_id "g1"; transcript_id "t1"; exon_id "e1";\n'
        'chr1\ts\texon\t1\t5\t.\t+\t.\tgene_id "g2"; note "exon_id of nothing";\n'
        "chr1\ts\texon\t1\t5\t.\t+\t.\tgene_id=g3\n"
        "chr1\ts\texon\t1\t5\t.\t+\t.\tParent=p4;ID=e4;Name=n4\n"
        "chr1\ts\texon\t1\t5\t.\t+\t.\tnote=x\n"
    )
    (tmp_path / "reads.bed").write_text("chr1\t0\t8\n")
    counts = count_bed([tmp_path / "reads.bed"], gtf, SIZES)
    names = [line.split("\t")[3] for line in written(counts, "tsv").splitlines()]
    assert names == ["name", "e1", "g2", "g3", "e4", ""]
    assert regions_of(gtf, tmp_path).format == "gff"
