"""Gene tables read at once: as they are read line by line, or not at all."""

from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepchrome.engine.annotation import genes
from deepchrome.engine.annotation.gene_formats import MAX_LINE_BYTES
from deepchrome.engine.annotation.genes import Genes, read_genes
from deepchrome.engine.annotation.plain_tables import read_plain_table
from deepchrome.errors import BadDataError

HEADER = b"gene_id\tsymbol\tchrom\ttss\tstrand\n"
ROW = b"g1\tS\tc1\t5\t+\n"
ODD = {
    "nothing": b"",
    "no header": ROW,
    "only a header": HEADER,
    "a header without a column": b"gene_id\tchrom\ng\tc\n",
    "a header with a repeated column": b"gene_id\tens\tchrom\ttss\ng\th\tc\t1\n",
    "bytes that are not ASCII": HEADER + "g1\tß\tc1\t5\t+\n".encode(),
    "a byte order mark": b"\xef\xbb\xbf" + HEADER + ROW,
    "carriage returns": (HEADER + ROW).replace(b"\n", b"\r\n"),
    "a control character": HEADER + b"g\x01\tS\tc1\t5\t+\n",
    "a comment before the header": b"# x\n" + HEADER + ROW,
    "a comment": HEADER + b"#g\tS\tc1\t5\t+\n",
    "a gene id like a comment": b"chrom\tgene_id\ttss\nc\t#g\t1\n",
    "an empty line": HEADER + b"\n" + ROW,
    "an empty line at the end": HEADER + ROW + b"\n",
    "a line of tabs": HEADER + b"\t\t\t\t\n",
    "a field too many": HEADER + ROW + b"g2\tS\tc1\t5\t+\t\n",
    "a field too many and one too few": HEADER + b"g2\tS\tc1\t5\t+\t\n" + b"g2\tS\tc1\t5\n",
    "an empty gene id": HEADER + ROW + b"\tS\tc1\t5\t+\n",
    "a blank chromosome": HEADER + ROW + b"g\tS\t \t5\t+\n",
    "an unknown strand": HEADER + ROW + b"g\tS\tc1\t5\t?\n",
    "a position of 0": HEADER + ROW + b"g\tS\tc1\t0\t+\n",
    "a position without digits": HEADER + ROW + b"g\tS\tc1\t\t+\n",
    "a signed position": HEADER + ROW + b"g\tS\tc1\t+5\t+\n",
    "a position that is too large": HEADER + ROW + b"g\tS\tc1\t2147483647\t+\n",
    "a position of many digits": HEADER + ROW + b"g\tS\tc1\t00000000005\t+\n",
    "a long line": HEADER + b"g1\t" + b"S" * MAX_LINE_BYTES + b"\tc1\t5\t+\n",
    "BED": b"c1\t4\t5\tg\t0\t+\n",
}


def read_by_line(path: Path) -> Genes | str:
    """Return what the lines of a file give one by one: the genes, or the error."""
    with patch.object(genes, "read_plain_table", return_value=None):
        return read_or_refuse(path)


def read_or_refuse(path: Path) -> Genes | str:
    try:
        return read_genes(path)
    except BadDataError as error:
        return str(error)


def assert_same(found: Genes | str, expected: Genes | str) -> None:
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
        return
    assert {**vars(found), "tss": found.tss.tolist()} == {**vars(expected), "tss": expected.tss.tolist()}
    assert found.tss.dtype == expected.tss.dtype


@pytest.mark.parametrize("kind", ODD)
def test_odd_tables_are_left_to_the_reader_of_lines(kind: str, tmp_path: Path) -> None:
    assert read_plain_table(ODD[kind]) is None
    path = tmp_path / "genes"
    path.write_bytes(ODD[kind])
    assert_same(read_or_refuse(path), read_by_line(path))


@pytest.mark.parametrize(
    "table",
    [
        HEADER + ROW,
        HEADER + ROW.rstrip(b"\n"),
        b"Ens\tSYM\tx\tChrom\tTSS \ng 1\t\t\tc 1\t2147483646\ng 1\tS'\t+\tc1\t0000000007\n",
        b"tss\tgene_id\tchrom\n" + b"1\tg\tc\n" * 3,
        HEADER + b"g1\t" + b"S" * (MAX_LINE_BYTES - 11) + b"\tc1\t5\t+\n",
    ],
)
def test_ordinary_tables_are_read_at_once(table: bytes, tmp_path: Path) -> None:
    assert read_plain_table(table)
    path = tmp_path / "genes"
    path.write_bytes(table)
    expected = read_by_line(path)
    assert isinstance(expected, Genes)
    with patch.object(genes, "_TableReader"):  # would read no gene
        assert_same(read_genes(path), expected)


@given(
    st.lists(st.sampled_from([b"gene_id", b"chrom", b"tss", b"strand", b"symbol", b"x", b"5", b"+", b"", b" ", b"#"])),
    st.lists(st.sampled_from([b"\t", b"\n", b"\t", b"\t", b"\r\n"])),
)
def test_any_text_is_read_as_its_lines_are(
    tmp_path_factory: pytest.TempPathFactory, words: list[bytes], ends: list[bytes]
) -> None:
    text = b"".join(word + end for word, end in zip(words, ends, strict=False))
    for table in (text, b"gene_id\tchrom\ttss\n" + text, b"gene_id\tchrom\ttss\n" + text.replace(b"\r", b"")):
        path = tmp_path_factory.getbasetemp() / "genes"
        path.write_bytes(table)
        assert_same(read_or_refuse(path), read_by_line(path))


@pytest.mark.parametrize("size", [1, 40, 100, 1 << 17])
def test_tables_that_are_too_large_to_read_at_once(size: int, tmp_path: Path) -> None:
    """A part is read first, and the lines after it are not lost, divided or counted twice."""
    path = tmp_path / "genes"
    lines = [b"g%d\t%s\tc1\t%d\t-\n" % (i, b"S" * (i % 7 * 1000), i) for i in range(1, 50)]
    for table in (HEADER + b"".join(lines), HEADER + b"".join(lines[:9]) + b"bad\n", ODD["a long line"]):
        path.write_bytes(table)
        expected = read_by_line(path)
        with patch.object(genes, "_PLAIN_BYTES", size):
            assert_same(read_or_refuse(path), expected)
