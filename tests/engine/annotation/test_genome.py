"""Genomes: bundled builds, chrom.sizes files, and errors."""

from pathlib import Path

import pytest
from support.places import SHARED

from deepchrome.engine.annotation.genome import MAX_POSITION_BP, read_genome
from deepchrome.errors import BadDataError, MissingInputError


# The published lengths of chr1, chrX and chrM (UCSC, Genome Reference Consortium).
@pytest.mark.parametrize(
    ("name", "chr1", "chrx", "chrm"),
    [("hg19", 249_250_621, 155_270_560, 16_571), ("hg38", 248_956_422, 156_040_895, 16_569)],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_bundled_builds(name: str, chr1: int, chrx: int, chrm: int, kind: type) -> None:
    genome = read_genome(kind(name))
    assert genome.name == name
    assert (genome.sizes["chr1"], genome.sizes["chrX"], genome.sizes["chrM"]) == (chr1, chrx, chrm)
    assert {f"chr{n}" for n in (*range(1, 23), "X", "Y", "M")} <= set(genome.sizes)


@pytest.mark.realdata
def test_bundled_hg19_equals_that_of_roadmap() -> None:
    path = SHARED / "roadmap/hg19.chrom.sizes"
    if not path.exists():
        pytest.skip(f"no real data at {path}; set DEEPCHROME_SHARED")
    assert read_genome(path).sizes == read_genome("hg19").sizes
    assert len(read_genome("hg19").sizes) == 93


@pytest.mark.parametrize(
    "content",
    [
        b"b\t20\na\t10\n",
        b"b\t20\r\na\t10\r\n",
        b"# a remark\n\nb\t20\na\t10",
        b"b\t20\t5\t60\t61\na\t10\t30\t60\t61\n",  # .fai
        b"b\t20\na\t10\nb\t20\n",  # repeated with the same length
    ],
)
def test_file_order_is_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "my.chrom.sizes"
    path.write_bytes(content)
    genome = read_genome(path)
    assert list(genome.sizes.items()) == [("b", 20), ("a", 10)]
    assert genome.name == "my.chrom.sizes"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no chromosome"),
        (b"# nothing\n", "no chromosome"),
        (b"a\t5\nb 20\n", ":2: expected a name, a tab and a length"),
        (b"a\n", ":1: expected"),
        (b"\t5\n", ":1: expected"),
        (b"a\t\n", ":1: expected"),
        (b"a\t-5\n", ":1: expected"),
        (b"a\t1e6\n", ":1: expected"),
        (b"a\t5x\n", ":1: expected"),
        ("a\t٣\n".encode(), ":1: expected"),
        (b"a\t" + b"9" * 5000 + b"\n", ":1: expected"),
        (b"a\t0\n", ":1: the length of a must be 1 to"),
        (
            b"a\t%d\n" % (MAX_POSITION_BP + 1),
            f"the length of a must be 1 to {MAX_POSITION_BP} bp, got {MAX_POSITION_BP + 1}",
        ),
        (b"a\t5\n\na\t6\n", ":3: a is given twice, with 5 and 6 bp"),
        (b"\xff\xfea\x00", "not a chrom.sizes file (it is not UTF-8 text)"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "damaged or truncated gzip data"),
    ],
)
def test_invalid_genome_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.sizes"
    path.write_bytes(content)
    with pytest.raises(BadDataError) as caught:
        read_genome(path)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_longest_supported_chromosome(tmp_path: Path) -> None:
    path = tmp_path / "long.sizes"
    path.write_text(f"a\t{MAX_POSITION_BP}\n")
    assert read_genome(path).sizes == {"a": (1 << 31) - 2}


def test_missing_genome(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"hg18: no such file or directory\. Give one of hg19, hg38, or"):
        read_genome("hg18")
    with pytest.raises(MissingInputError, match="directory"):
        read_genome(tmp_path)
