"""Gene tables: all formats and all errors."""

import gzip
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.places import SHARED

from deepchrome.engine.annotation.genes import Genes, drop_repeated_genes, read_genes, write_genes
from deepchrome.errors import BadDataError, MissingInputError, StorageError

TSV = "gene_id\tsymbol\tchrom\ttss\tstrand\nENSG1.2\tA\tchr1\t1000\t+\nENSG2\t\tchrX\t500\t-\nENSG3\tC d\tchr2\t7\t.\n"
GENE_INFO = (
    "ENSG1\tX\t99883667\t99894988\t-1\tprotein_coding\tTSPAN6\ttetraspanin 6\n"
    "ENSG2\t\tMT\t3307\t4262\t1\tprotein_coding\t\tMT-ND1\tNADH\t\n"
    "ENSG3\tHG7_PATCH\t10\t20\t1\tpseudogene\n"
)
GTF = (
    "#!genome-build GRCh37\n"
    'chr1\tHAVANA\tgene\t11869\t14412\t.\t+\t.\tgene_id "ENSG1.4"; gene_type "x; y"; gene_name "DDX11L1"; level 2;\n'
    'chr1\tHAVANA\ttranscript\t11000\t14412\t.\t+\t.\tgene_id "ENSG1.4"; transcript_id "ENST1";\n'
    'chr1\tHAVANA\tgene\t14363\t29806\t.\t-\t.\tgene_id "ENSG2.3"; level 2;\n'
)
GFF3 = (
    "##gff-version 3\n"
    "chr1\tE\tgene\t11869\t14412\t.\t+\t.\tID=gene:ENSG1;Name=A%3BB;gene_id=ENSG1;version=4\n"
    "chr1\tE\tmRNA\t11869\t14412\t.\t+\t.\tID=transcript:ENST1;Parent=gene:ENSG1\n"
    "chr2\tE\tgene\t100\t200\t.\t-\t.\tID=ENSG2.1\n"
)
BED = "track name=genes\nchr1\t999\t1000\tENSG1\t0\t+\nchr1\t100\t200\tENSG2\t0\t+\nchr1\t100\t200\tENSG3\t0\t-\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(genes: Genes) -> list[tuple[str, str, str, int, str]]:
    return list(zip(genes.gene_id, genes.symbol, genes.chrom, genes.tss.tolist(), genes.strand, strict=True))


EXPECTED = {
    "tsv": (
        TSV,
        [("ENSG1.2", "A", "chr1", 1000, "+"), ("ENSG2", "", "chrX", 500, "-"), ("ENSG3", "C d", "chr2", 7, ".")],
    ),
    "gene_info": (
        GENE_INFO,
        [
            ("ENSG1", "TSPAN6", "chrX", 99894988, "-"),
            ("ENSG2", "MT-ND1", "chrM", 3307, "+"),
            ("ENSG3", "", "chrHG7_PATCH", 10, "+"),
        ],
    ),
    "gtf": (GTF, [("ENSG1.4", "DDX11L1", "chr1", 11869, "+"), ("ENSG2.3", "", "chr1", 29806, "-")]),
    "gff3": (GFF3, [("ENSG1", "A;B", "chr1", 11869, "+"), ("ENSG2.1", "", "chr2", 200, "-")]),
    "bed": (
        BED,
        [("ENSG1", "", "chr1", 1000, "+"), ("ENSG2", "", "chr1", 101, "+"), ("ENSG3", "", "chr1", 200, "-")],
    ),
}


@pytest.mark.parametrize("layout", EXPECTED)
@pytest.mark.parametrize("container", ["plain", "gzip", "members", "bgzip", "crlf", "bom", "no final newline", "blank"])
def test_every_format_in_every_container(tmp_path: Path, layout: str, container: str) -> None:
    text, expected = EXPECTED[layout]
    data = text.encode()
    path = tmp_path / "genes.any"
    match container:
        case "plain":
            write(path, data)
        case "gzip":
            write(path, gzip.compress(data))
        case "members":
            write(path, gzip.compress(data[:20]) + gzip.compress(b"", mtime=0) + gzip.compress(data[20:]))
        case "bgzip":
            with pysam.BGZFile(str(path), "wb") as file:
                file.write(data)
        case "crlf":
            write(path, data.replace(b"\n", b"\r\n"))
        case "bom":
            write(path, b"\xef\xbb\xbf" + data)
        case "no final newline":
            write(path, data[:-1])
        case "blank":
            write(path, b"\n# a remark\n" + data + b"\n\n#end\n")
    genes = read_genes(path)
    assert rows(genes) == expected
    assert genes.tss.dtype == np.int64


def test_tsv_columns_in_any_order_with_aliases_and_extras(tmp_path: Path) -> None:
    path = write(tmp_path / "g", "TSS\trpkm\tSym\tEns\tCHROM\n12\t0.5\tFoo\tE1\tchr3\n")
    assert rows(read_genes(path)) == [("E1", "Foo", "chr3", 12, ".")]
    path = write(tmp_path / "g", "gene_id\tchrom\ttss\nE1\tchr3\t12\n")
    assert rows(read_genes(str(path))) == [("E1", "", "chr3", 12, ".")]


@pytest.mark.parametrize("line", ["chr1\t9\t10\tE1", "chr1\t9\t10\tE1\t0", "chr1\t9\t10\tE1\t0\t."])
def test_bed_interval_of_1_bp_needs_no_strand(tmp_path: Path, line: str) -> None:
    assert rows(read_genes(write(tmp_path / "g", line))) == [("E1", "", "chr1", 10, ".")]


def test_bed12_with_numeric_names_is_not_gene_info(tmp_path: Path) -> None:
    path = write(tmp_path / "g", "1\t100\t200\t7\t1\t+\t100\t200\t0\t1\t100\t0\n")
    assert rows(read_genes(path)) == [("7", "", "1", 101, "+")]


def test_repeated_genes_are_dropped_only_on_request(tmp_path: Path) -> None:
    genes = read_genes(write(tmp_path / "g", "gene_id\tchrom\ttss\nB\tchr1\t5\nA\tchr1\t6\nB\tchr2\t7\nA\tchr1\t6\n"))
    assert genes.gene_id == ("B", "A", "B", "A")
    assert rows(drop_repeated_genes(genes)) == [("B", "", "chr1", 5, "."), ("A", "", "chr1", 6, ".")]
    assert rows(drop_repeated_genes(drop_repeated_genes(genes))) == rows(drop_repeated_genes(genes))


HEADER = "gene_id\tchrom\ttss\tstrand\tsymbol\n"
BED_LINE = "chr1\t9\t10\tE\t0\t+\n"
INFO_LINE = "E\t1\t5\t9\t1\tcoding\tS\td\n"
GTF_LINE = 'chr1\tx\tgene\t5\t9\t.\t+\t.\tgene_id "E";\n'
GFF3_LINE = "chr1\tx\tgene\t5\t9\t.\t+\t.\tID=E\n"


@pytest.mark.campaign("lines")
@pytest.mark.parametrize(
    ("content", "number", "words"),
    [
        (HEADER + "E\tchr1\t0\t+\tS\n", 2, "tss '0'"),
        (HEADER + "E\tchr1\t5\t+\tS\nE\tchr1\t1e3\t+\tS\n", 3, "tss '1e3'"),
        (HEADER + "E\tchr1\t-4\t+\tS\n", 2, "tss '-4'"),
        (HEADER + "E\tchr1\t15x\t+\tS\n", 2, "tss '15x'"),
        (HEADER + "E\tchr1\t٣\t+\tS\n", 2, "tss '٣'"),
        (HEADER + "E\tchr1\t\t+\tS\n", 2, "tss ''"),
        (HEADER + f"E\tchr1\t{(1 << 31) - 1}\t+\tS\n", 2, "tss '2147483647'"),
        (HEADER + "E\tchr1\t5\tx\tS\n", 2, "strand 'x'"),
        (HEADER + "E\tchr1\t5\t\tS\n", 2, "strand ''"),
        (HEADER + "\tchr1\t5\t+\tS\n", 2, "empty gene id"),
        (HEADER + " \tchr1\t5\t+\tS\n", 2, "empty gene id"),
        (HEADER + "E\t\t5\t+\tS\n", 2, "empty chromosome"),
        (HEADER + "E\tchr1\t5\t+\ta\0b\n", 2, "control character in the symbol"),
        (HEADER + "E\x1b[2J\tchr1\t5\t+\ta\n", 2, "control character in the gene id"),
        (HEADER + "E\tchr\x0b1\t5\t+\ta\n", 2, "control character in the chromosome"),
        (HEADER + "E\tchr1\t5\t+\n", 2, "4 fields where the header has 5"),
        (HEADER + "E\tchr1\t5\t+\tS\tx\n", 2, "6 fields where the header has 5"),
        ("gene_id\tchrom\n", 1, "the header lacks tss"),
        ("gene_id\tsymbol\n", 1, "the header lacks chrom and tss"),
        ("gene_id\tens\tchrom\ttss\n", 1, "names gene_id more than once"),
        ("# c\n\nsome words\n", 3, "not a gene table"),
        ("chr1 9 10 E 0 +\n", 1, "not a gene table"),
        ("a\tb\tc\n", 1, "not a gene table"),
        (BED_LINE + "chr1\t9\t9\tE\t0\t+\n", 2, "ends at 9, not after its start 9"),
        (BED_LINE + "chr1\t9\t8\tE\t0\t+\n", 2, "ends at 8"),
        (BED_LINE + "chr1\t9\t10\tE\t0\n", 2, "5 fields where the first line has 6"),
        (BED_LINE + "chr1\t9\t20\t\t0\t.\n", 2, "empty gene id"),
        (BED_LINE + "chr1\t9\t10\tE\t0\t*\n", 2, "strand '*'"),
        (BED_LINE + "chr1\tx\t10\tE\t0\t+\n", 2, "position 'x'"),
        (BED_LINE + "chr1\t9\t10\t\t0\t+\n", 2, "empty gene id"),
        ("chr1\t9\t20\tE\n", 1, "needs its strand"),
        ("chr1\t9\t20\tE\t0\n", 1, "needs its strand"),
        ("chr1\t9\t10\n", 1, "BED without names"),
        (INFO_LINE + "E\t1\t5\t9\t0\tcoding\tS\td\n", 2, "strand '0' is not 1 or -1"),
        (INFO_LINE + "E\t1\t9\t5\t1\tcoding\tS\td\n", 2, "ends at 5, before its start 9"),
        (INFO_LINE + "E\t1\t0\t5\t1\tcoding\tS\td\n", 2, "position '0'"),
        (INFO_LINE + "E\t1\t5\t9\n", 2, "4 fields"),
        (GTF_LINE + 'chr1\tx\tgene\t5\t9\t.\t1\t.\tgene_id "E";\n', 2, "strand '1'"),
        (GTF_LINE + 'chr1\tx\tgene\t9\t5\t.\t.\t.\tgene_id "E";\n', 2, "ends at 5, before its start 9"),
        (GTF_LINE + 'chr1\tx\tgene\tx\t5\t.\t.\t.\tgene_id "E";\n', 2, "position 'x'"),
        (GTF_LINE + 'chr1\tx\tgene\t9\t5\t.\t+\t.\tgene_id "E";\n', 2, "ends at 5, before its start 9"),
        (GTF_LINE + 'chr1\tx\tgene\t5\t9\t.\t+\t.\tgene_name "E";\n', 2, "without gene_id"),
        (GTF_LINE + "chr1\tx\tgene\t5\t9\t.\t+\n", 2, "7 fields where GTF and GFF3 have 9"),
        (GFF3_LINE + "chr1\tx\tgene\t5\t9\t.\t+\t.\tName=E\n", 2, "without gene_id"),
        (GFF3_LINE + "chr1\tx\tgene\t5\t9\t.\t?\t.\tID=a%09b\n", 2, "control character in the gene id"),
        (GFF3_LINE + "chr1\tx\tgene\t5\t9\t.\t+\t.\tID=%E9\n", 2, "the gene id '\\udce9' is not UTF-8 text"),
        (GFF3_LINE + "chr1\tx\tgene\t5\t9\t.\t+\t.\tID=a%09b\n", 2, "control character in the gene id"),
    ],
)
def test_invalid_line_is_named(tmp_path: Path, content: str, number: int, words: str) -> None:
    path = write(tmp_path / "genes.txt", content)
    with pytest.raises(BadDataError) as caught:
        read_genes(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{number}: ")
    assert words in message
    assert repr(content.split("\n")[number - 1][:80]) in message
    assert caught.value.exit_code == 65


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no gene in this file"),
        (b"# only a remark\n", "no gene in this file"),
        (TSV.splitlines()[0].encode(), "no gene in this file"),
        (gzip.compress(b"", mtime=0), "no gene in this file"),
        (GTF.replace("\tgene\t", "\tCDS\t").replace("\ttranscript\t", "\tCDS\t").encode(), r"found only CDS\)"),
        (TSV.encode() + b"E\xff\tS\tchr1\t5\t+\n", r":5: the gene id 'E\\udcff' is not UTF-8 text"),
        (TSV.encode("utf-16"), ":1: not UTF-8 text"),
        (TSV.encode() + b"E" * 70_000, ":5: a line of more than"),
        (b"\x1f\x8b", "truncated"),
        (gzip.compress(TSV.encode(), mtime=0) + b"rubbish", "damaged or truncated"),
    ],
)
def test_invalid_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = write(tmp_path / "genes.txt", content)
    with pytest.raises(BadDataError, match=words) as caught:
        read_genes(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.campaign("truncation")
def test_truncated_gzip_is_refused(tmp_path: Path) -> None:
    data = gzip.compress(TSV.encode(), mtime=0)
    for cut in range(len(data)):
        with pytest.raises(BadDataError):
            read_genes(write(tmp_path / "g.gz", data[:cut]))


@pytest.mark.campaign("flips")
def test_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    data = gzip.compress(TSV.encode(), mtime=0)
    expected = rows(read_genes(write(tmp_path / "g.gz", data)))
    refused = 0
    for offset in range(len(data)):
        damaged = bytearray(data)
        damaged[offset] ^= 0x10
        try:
            assert rows(read_genes(write(tmp_path / "g.gz", bytes(damaged)))) == expected  # the byte has no meaning
        except BadDataError:
            refused += 1
    assert refused > len(data) - 10


@pytest.mark.campaign("no-eof")
def test_bgzip_file_cut_between_blocks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.gz"
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(TSV.encode())
    whole = path.read_bytes()
    with pytest.raises(BadDataError, match="the last block of bgzip is missing"):
        read_genes(write(path, whole[:-28]))


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no such file"):
        read_genes(tmp_path / "none.tsv")
    with pytest.raises(MissingInputError, match="directory"):
        read_genes(tmp_path)


@pytest.mark.parametrize("data", [TSV.encode(), gzip.compress(TSV.encode(), mtime=0)])
def test_standard_input(data: bytes) -> None:
    code = "from deepchrome.engine.annotation.genes import read_genes; print(read_genes('-').gene_id)"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "('ENSG1.2', 'ENSG2', 'ENSG3')"


name = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=8)
filled = name.filter(lambda text: text.strip() and not text.startswith("#"))
row = st.tuples(filled, name, filled, st.integers(1, (1 << 31) - 2), st.sampled_from("+-."))


@given(st.lists(row, min_size=1, max_size=5))
def test_written_genes_are_read_back(tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, ...]]) -> None:
    gene_id, symbol, chrom, tss, strand = zip(*table, strict=True)
    path = tmp_path_factory.getbasetemp() / "round.tsv"
    write_genes(path, Genes(gene_id, symbol, chrom, np.array(tss, np.int64), strand))
    assert rows(read_genes(path)) == table


@pytest.mark.parametrize(
    "bad",
    [
        ("", "", "c", 5, "+"),
        ("E", "a\tb", "c", 5, "+"),
        ("E", "", "c", 0, "+"),
        ("E", "", "c", 5, "x"),
        ("#", "", "c", 5, "."),
    ],
)
def test_gene_that_cannot_be_stored_is_not_written(tmp_path: Path, bad: tuple[str, str, str, int, str]) -> None:
    path = tmp_path / "g.tsv"
    genes = Genes((bad[0],), (bad[1],), (bad[2],), np.array([bad[3]]), (bad[4],))
    with pytest.raises(BadDataError, match="gene 1 cannot be written"):
        write_genes(path, genes)
    assert not path.exists()


def test_write_to_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        write_genes(tmp_path / "none" / "g.tsv", Genes(("E",), ("",), ("c",), np.array([1]), ("+",)))


@pytest.mark.realdata
def test_genes_of_roadmap() -> None:
    path = SHARED / "roadmap/genes.tsv"
    if not path.exists():
        pytest.skip(f"no real data at {path}; set DEEPCHROME_SHARED")
    genes = read_genes(path)
    assert len(genes) == 19_802
    assert Counter(genes.strand)["."] == 150
    assert len(drop_repeated_genes(genes)) == 19_795
    assert rows(genes)[0] == ("ENSG00000000003", "TSPAN6", "chrX", 99894988, "-")


@pytest.mark.realdata
def test_genes_of_e003() -> None:
    path = SHARED / "e003/genes.tsv"
    if not path.exists():
        pytest.skip(f"no real data at {path}; set DEEPCHROME_SHARED")
    genes = read_genes(path)
    assert len(genes) == 109
    assert rows(genes)[1] == ("ENSG00000020633", "RUNX3", "chr1", 25291612, "-")


@pytest.mark.campaign("memory")
def test_number_of_genes_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepchrome.engine.annotation.genes._MAX_GENES", 100)
    for n in (100, 101):
        (tmp_path / "genes.tsv").write_text("gene_id\tchrom\ttss\n" + "g\tchr1\t5\n" * n)
        if n == 100:
            assert len(read_genes(tmp_path / "genes.tsv")) == 100
        else:
            with pytest.raises(BadDataError, match=r"genes.tsv:102: more than 100 genes"):
                read_genes(tmp_path / "genes.tsv")
