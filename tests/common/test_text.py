"""Tables that are cut anywhere are refused, by every reader and from every place."""

import gzip
import io
import random
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from campaign.rows import sized
from support.tiny import bgzip, bgzip_member, featurize, reads_text, write_genes_and_sizes

from deepchrome.common.signatures import BGZIP_END
from deepchrome.common.text import read_bytes
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.features.exports.csv import read_labels, read_split_table
from deepchrome.engine.features.sample_tables import read_tsv_rows
from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.datasets.deepchrome_csv import load_csv
from deepchrome.train.datasets.expression import read_expression

Read = Callable[[Path], object]
RecordProperty = Callable[[str, int], None]


def table(header: str, row: str, n: int = 30) -> bytes:
    return (header + "".join(row.format(i=i) for i in range(n))).encode()


def read_rows(path: Path) -> object:
    return list(read_tsv_rows(path, "a table of samples", ("epigenome", "mark", "path")))


def read_csv(path: Path) -> object:
    """Read ``path`` as train.csv, beside two short complete files."""
    for name in ("valid", "test"):
        (path.parent / f"{name}.csv").write_bytes(table("", "{i},1,5,0\n{i},2,5,0\n", 4))
    path.with_name("train.csv").write_bytes(path.read_bytes())
    return load_csv(path.parent)


# A reader, a table of lines of equal length, so that cuts between blocks are cuts between lines, and that length.
READERS: dict[str, tuple[Read, bytes]] = {
    "genes": (lambda path: read_genes(path).gene_id, table("", "chr1\t{i:03}\t1000\tg{i:03}\t0\t+\n")),
    "genome": (lambda path: read_genome(path).sizes, table("", "chr{i:03}\t5000\n")),
    "samples": (read_rows, table("epigenome\tmark\tpath\n", "E{i:03}\tH3K4me3\tx{i:03}\n")),
    "expression": (lambda path: read_expression(path).gene_id, table("gene_id\tE003\n", "ENSG{i:05}\t1.5\n")),
    "labels": (lambda path: read_labels(path).row_of, table("gene_id\tE003\n", "ENSG{i:05}\t1\n")),
    "splits": (read_split_table, table("gene_id\tsplit\n", "ENSG{i:05}\ttrain\n")),
    "csv": (read_csv, table("", "{i:03},1,5,0\n{i:03},2,5,0\n")),
}
each_reader = pytest.mark.parametrize("kind", READERS)


def in_blocks(data: bytes) -> list[bytes]:
    """Return bgzip members of three lines each, and the last one, which is empty."""
    lines = data.splitlines(keepends=True)
    return [bgzip_member(b"".join(lines[i : i + 3])) for i in range(0, len(lines), 3)] + [BGZIP_END]


@pytest.mark.campaign("tables")
@each_reader
def test_cut_tables_are_refused(kind: str, tmp_path: Path, record_property: RecordProperty) -> None:
    read, data = READERS[kind]
    path, blocks, dice = tmp_path / "table", in_blocks(data), random.Random(kind)
    path.write_bytes(b"".join(blocks))
    whole = read(path)
    assert whole
    edges = [b"".join(blocks[:n]) for n in range(len(blocks))]
    n_cuts = sized(10, 500)
    packed = {"bgzip": b"".join(blocks), "gzip": gzip.compress(data, mtime=0)}
    cuts = [pack[: dice.randrange(3, len(pack))] for pack in packed.values() for _ in range(n_cuts)]
    for cut in edges + cuts:
        path.write_bytes(cut)
        with pytest.raises(BadDataError) as refused:
            read(path)
        assert not cut or "gzip data" in str(refused.value)
    record_property("tables cut", len(edges + cuts))


@pytest.mark.campaign("tables")
@pytest.mark.parametrize("kind", ["genes", "expression", "labels"])
def test_cut_tables_on_standard_input_are_refused(kind: str) -> None:
    read, data = READERS[kind]
    blocks = in_blocks(data)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    for n in range(1, len(blocks) + 1):
        with patch.object(sys, "stdin", io.TextIOWrapper(Pipe(b"".join(blocks[:n])))):
            if n == len(blocks):
                assert read(Path("-"))
            else:
                with pytest.raises(BadDataError, match=r"^-: .*the last block of bgzip is missing"):
                    read(Path("-"))
    with patch.object(sys, "stdin", None), pytest.raises(MissingInputError, match=r"^standard input is closed$"):
        read(Path("-"))


@pytest.mark.campaign("tables", "messages")
@pytest.mark.parametrize("name", ["genes.tsv", "small.sizes", "samples.tsv"])
def test_cut_tables_on_the_command_line(name: str, tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    (tmp_path / "E1-A.bed").write_bytes(reads_text(500))
    (tmp_path / "samples.tsv").write_text("epigenome\tmark\tpath\nE1\tA\tE1-A.bed\nE1\tB\tE1-A.bed\n")
    table = tmp_path / name
    blocks = [bgzip_member(line) for line in table.read_bytes().splitlines(keepends=True)]
    table.write_bytes(b"".join([*blocks, BGZIP_END]))
    assert featurize(tmp_path, "--samples", tmp_path / "samples.tsv", out="whole").code == 0
    table.write_bytes(b"".join(blocks[:-1]))
    ran = featurize(tmp_path, "--samples", tmp_path / "samples.tsv")
    assert (ran.code, ran.err.splitlines()[-1]) == (
        65,
        f"dc: {table}: damaged or truncated gzip data (the last block of bgzip is missing). Get the file again.",
    )
    assert not (tmp_path / "out").exists()


def unpack(path: Path, data: bytes) -> bytes:
    path.write_bytes(data)
    return read_bytes(path)


@pytest.mark.campaign("tables", "odd-files")
def test_members_and_zeros_after_them(tmp_path: Path) -> None:
    """gzip itself ignores zeros at the end; tapes and some programs add them."""
    text = reads_text(300)
    path = tmp_path / "text"
    for packed in (gzip.compress(text), bgzip(text, 1000), bgzip(text, 1000) + gzip.compress(b""), BGZIP_END * 9):
        expected = gzip.decompress(packed)
        for n in (0, 1, 17, 512, 100_000):
            assert unpack(path, packed + b"\0" * n) == expected
            for junk in (b"junk", b"\x1f\x8b", packed if n else b"junk"):
                with pytest.raises(BadDataError, match="damaged or truncated gzip data"):
                    unpack(path, packed + b"\0" * n + junk)
    cut = bgzip(text, 1000, end=b"")
    for data in (cut, cut + b"\0" * 512, gzip.compress(text) + cut, BGZIP_END + cut):
        with pytest.raises(BadDataError, match="the last block of bgzip is missing"):
            unpack(path, data)
    assert unpack(path, cut + gzip.compress(text)) == 2 * text  # joined files, of which the last is complete


@pytest.mark.campaign("flips")
def test_flipped_bits_are_refused_or_change_nothing(tmp_path: Path) -> None:
    text, path, refused = reads_text(40), tmp_path / "text", 0
    for packed in (gzip.compress(text, mtime=0), bgzip(text, 500)):
        for offset in range(len(packed)):
            damaged = bytearray(packed)
            damaged[offset] ^= 0x10
            try:
                unpacked = unpack(path, bytes(damaged))
            except BadDataError:
                refused += 1
            else:
                assert unpacked == text or offset < 2  # without the magic bytes, it is text
    assert refused > 500


@pytest.mark.parametrize("size", [1, 15, 300])
def test_pieces_of_any_size(size: int, tmp_path: Path) -> None:
    text = reads_text(300)
    for data in (text, gzip.compress(text), bgzip(text), bgzip(text, 100) + b"\0" * 500):
        with patch("deepchrome.common.text._READ_BYTES", size):
            assert unpack(tmp_path / "text", data) == text


def test_number_of_bytes_is_limited(tmp_path: Path) -> None:
    with patch("deepchrome.common.text.MAX_BYTES", 1 << 20):
        for n in (1 << 20, (1 << 20) + 1):
            (tmp_path / "text").write_bytes(gzip.compress(b"\n" * n))
            if n == 1 << 20:
                assert len(read_bytes(tmp_path / "text")) == n
            else:
                with pytest.raises(BadDataError, match="more than 0 GiB of text"):
                    read_bytes(tmp_path / "text")
