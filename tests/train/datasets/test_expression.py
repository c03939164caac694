import gzip
from pathlib import Path

import numpy as np
import pytest

from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.datasets.expression import read_expression

# Like Roadmap's file: E000 first, ids with versions, blanks at the ends of rows, a value of 0.
ROADMAP = (
    b"gene_id\tE000\tE003\tE004\n"
    b"ENSG00000000003.10\t23.265\t43.985\t37.413\t\n"
    b"ENSG00000000005.5\t0.872\t1.642\t6.498 \t \n"
    b"ENSG00000000419.8\t1.208\t0\t0.003\n"
)


@pytest.fixture
def table(tmp_path: Path):
    def write(data: bytes | str) -> Path:
        path = tmp_path / "rpkm.tsv"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


@pytest.mark.parametrize(
    "data",
    [ROADMAP, ROADMAP.replace(b"\n", b"\r\n"), ROADMAP.rstrip(), ROADMAP + b"\n\n", gzip.compress(ROADMAP)],
    ids=["plain", "CRLF", "no final newline", "blank lines at the end", "gzip"],
)
def test_roadmaps_table_is_read(table, data):
    read = read_expression(table(data))
    assert read.gene_id == ("ENSG00000000003", "ENSG00000000005", "ENSG00000000419")
    assert read.epigenomes == ("E003", "E004")
    assert read.rpkm.dtype == np.float64
    assert read.rpkm.tolist() == [[43.985, 37.413], [1.642, 6.498], [0, 0.003]]
    assert len(read.notes) == 1
    assert "E000" in read.notes[0]


def test_gzip_of_several_members(table):
    halves = ROADMAP[:50], ROADMAP[50:]
    read = read_expression(table(b"".join(map(gzip.compress, halves))))
    assert read.rpkm.sum() == pytest.approx(43.985 + 37.413 + 1.642 + 6.498 + 0.003)


def test_epigenomes_in_the_order_asked_for(table):
    read = read_expression(table(ROADMAP), ["E004", "E003"])
    assert read.epigenomes == ("E004", "E003")
    assert read.column("E003").tolist() == [43.985, 1.642, 0]
    assert read.rpkm[0].tolist() == [37.413, 43.985]


def test_ids_that_are_not_from_ensembl_keep_their_dots(table):
    read = read_expression(table("gene_id\tE003\nAL672294.1\t1\nENSMUSG00000000001.4\t2\nENSG1.2_PAR_Y\t3\n"))
    assert read.gene_id == ("AL672294.1", "ENSMUSG00000000001", "ENSG1_PAR_Y")


@pytest.mark.campaign("numbers")
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "missing"),
        ("NA", "missing"),
        (".", "missing"),
        ("nan", "NaN"),
        ("NaN", "NaN"),
        ("inf", "infinite"),
        ("1e999", "infinite"),
        ("-inf", "infinite"),
        ("-0.5", "negative"),
        ("x", "not a number"),
        ("1,5", "not a number"),
        ("0x10", "not a number"),
    ],
)
def test_an_invalid_rpkm_is_refused(table, value, problem):
    path = table(f"gene_id\tE003\tE004\nENSG01\t1\t1\nENSG02\t{value}\t1\nENSG03\t{value}\t2\n")
    with pytest.raises(BadDataError, match=rf"2 {problem} \(first: line 3, ENSG02, E003") as caught:
        read_expression(path)
    assert str(path) in str(caught.value)


@pytest.mark.campaign("numbers")
def test_every_kind_of_invalid_value_is_counted(table):
    path = table("gene_id\tE003\tE004\nA\tNaN\t-1\nB\tinf\t\tx\nC\tNA\tNaN\n".replace("\t\tx", "\tx"))
    with pytest.raises(BadDataError) as caught:
        read_expression(path)
    for count in ("2 NaN", "1 negative", "1 infinite", "1 not a number", "1 missing"):
        assert count in str(caught.value)


def test_a_missing_last_value_is_a_ragged_row(table):
    with pytest.raises(BadDataError, match=r"rpkm\.tsv:3: 2 fields where line 1 has 3"):
        read_expression(table("gene_id\tE003\tE004\nA\t1\t2\nB\t1\t\nC\t1\t2\n"))


def test_minus_zero_is_zero(table):
    assert not np.signbit(read_expression(table("gene_id\tE003\nA\t-0\nB\t1\n")).rpkm).any()


def test_rows_of_one_gene_must_agree(table):
    agreeing = read_expression(table("gene_id\tE003\nA\t1\nB\t2\nA\t1\n"))
    assert agreeing.gene_id == ("A", "B", "A")
    # Two versions of one id are the same gene.
    path = table("gene_id\tE003\nENSG01.1\t1\nENSG02.1\t2\nENSG01.2\t3\n")
    with pytest.raises(BadDataError, match=r"rpkm\.tsv:4: .* \(1 genes: ENSG01\)"):
        read_expression(path)


@pytest.mark.campaign("numbers")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("gene_id\tE003\n", "a header and no rows"),
        ("gene_id\nA\n", "one column"),
        ("A\t1.5\t2\nB\t1\t2\n", "a number in the first line"),
        ("gene_id\tE003\tE003\nA\t1\t2\n", "repeated column name 'E003'"),
        ("gene_id\t../E003\nA\t1\n", "is not a valid name for an epigenome"),
        ("gene_id\tE000\nA\t1\n", "no epigenome except E000"),
        ("gene_id\tE003\n\t1\n", ":2: row without a gene id"),
        ("gene_id\tE003\nA\t1\n\nB\t1\n", ":3: 1 fields where line 1 has 2"),
        (gzip.compress(ROADMAP)[:-9], "truncated gzip"),
        (b"gene_id\tE003\n\xff\xfe\t1\n", "not a text table"),
    ],
)
def test_invalid_tables_are_refused(table, data, message):
    with pytest.raises(BadDataError, match=message):
        read_expression(table(data))


def test_long_runs_of_blanks_are_read_in_linear_time(table):
    # A search that starts again at every blank would take hours.
    with pytest.raises(BadDataError, match=":2: 3 fields"):
        read_expression(table(b"gene_id\tE003\nA\t1" + b" " * 3_000_000 + b"\tx\n"))


def test_missing_files_and_columns_are_named(table, tmp_path):
    with pytest.raises(MissingInputError, match=r"nothing\.tsv: no such file"):
        read_expression(tmp_path / "nothing.tsv")
    with pytest.raises(MissingInputError, match="is a directory"):
        read_expression(tmp_path)
    with pytest.raises(BadDataError, match="no column E129"):
        read_expression(table(ROADMAP), ["E129"])


@pytest.mark.realdata
def test_the_real_table(shared_data):
    path = shared_data / "roadmap" / "rpkm_56_epigenomes.tsv.gz"
    read = read_expression(path)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert read.rpkm.shape == (19802, 56)
    assert len(set(read.gene_id)) == 19795
    for row in (0, 777, 19801):
        gene, *values = lines[row + 1].split()
        assert read.gene_id[row] == gene
        assert read.rpkm[row].tolist() == [float(value) for value in values]
