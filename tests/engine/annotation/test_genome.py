"""Genomes: bundled builds, chrom.sizes files, and errors."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.places import SHARED

from deepchrome.engine.annotation.genome import BUNDLED_GENOMES, MAX_POSITION_BP, read_genome
from deepchrome.errors import BadDataError, MissingInputError

# The published lengths of chromosomes 1 and X, of mitochondrial DNA and of one scaffold (UCSC, Genome Reference
# Consortium, T2T Consortium; headers of BAM files of the 1000 Genomes Project for GRCh37), and the number of sequences.
BUILDS = {
    "hg19": (249_250_621, 155_270_560, 16_571, ("chrUn_gl000249", 38_502), 93),
    "hg38": (248_956_422, 156_040_895, 16_569, ("chrUn_KI270757v1", 71_251), 455),
    "hs1": (248_387_328, 154_259_566, 16_569, ("chrY", 62_460_029), 25),
    "mm10": (195_471_971, 171_031_299, 16_299, ("chrX_GL456233_random", 336_933), 66),
    "mm39": (195_154_279, 169_476_592, 16_299, ("chrX_GL456233v2_random", 559_103), 61),
    "GRCh37": (249_250_621, 155_270_560, 16_569, ("GL000249.1", 38_502), 84),
    "GRCh38": (248_956_422, 156_040_895, 16_569, ("KI270757.1", 71_251), 194),
    "GRCm38": (195_471_971, 171_031_299, 16_299, ("GL456233.1", 336_933), 66),
    "GRCm39": (195_154_279, 169_476_592, 16_299, ("GL456233.2", 559_103), 61),
}


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("kind", [str, Path, str.upper, str.lower])
def test_bundled_builds(name: str, kind: Callable[[str], str | Path]) -> None:
    genome = read_genome(kind(name))
    assert genome.name == name
    chr1, chrx, chrm, (scaffold, length), n = BUILDS[name]
    prefix, mitochondria = ("", "MT") if name.startswith("GRC") else ("chr", "chrM")
    sizes = genome.sizes
    assert (sizes[f"{prefix}1"], sizes[f"{prefix}X"], sizes[mitochondria]) == (chr1, chrx, chrm)
    assert (sizes[scaffold], len(sizes)) == (length, n)
    last = 19 if name[:3] in ("mm1", "mm3") or name.startswith("GRCm") else 22
    assert {f"{prefix}{n}" for n in (*range(1, last + 1), "X", "Y")} <= set(sizes)
    assert f"{prefix}{last + 1}" not in sizes


def test_every_bundled_build_is_tested() -> None:
    assert tuple(BUILDS) == BUNDLED_GENOMES


@pytest.mark.parametrize("name", ["T2T-CHM13", "t2t-chm13v2.0", "CHM13"])
def test_other_names_of_a_build(name: str) -> None:
    assert read_genome(name) == read_genome("hs1")


@pytest.mark.parametrize(("name", "other"), [("GRCh37", "hg19"), ("GRCh38", "hg38"), ("GRCm38", "mm10")])
def test_builds_with_other_names_have_equal_chromosomes(name: str, other: str) -> None:
    """The builds of Ensembl are made from another source than hg19 and hg38."""
    sizes, others = read_genome(name).sizes, read_genome(other).sizes
    assert {n: size for n, size in sizes.items() if n.isdigit() or n in "XY"} == {
        n.removeprefix("chr"): size for n, size in others.items() if n[3:].isdigit() or n[3:] in "XY"
    }
    assert Counter(sizes.values()) - Counter(others.values()) == Counter([16_569] if name == "GRCh37" else [])


@pytest.mark.parametrize("name", ["hg19", "hg38", "mm10"])
def test_bundled_builds_are_those_of_bedtools(name: str) -> None:
    (path,) = [*Path("/usr/share/bedtools/genomes").glob(f"*.{name}.genome")] or [None]
    if path is None:
        pytest.skip("this bedtools has no table of genomes")
    text = path.read_text()
    theirs = dict(line.split("\t")[:2] for line in text.splitlines() if line.count("\t") == 1 and line[-1].isdigit())
    ours = {chrom: str(size) for chrom, size in read_genome(name).sizes.items()}
    assert {chrom: size for chrom, size in theirs.items() if chrom != "chrMT"} == ours


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
    with pytest.raises(MissingInputError, match=r"hg18: no such file or directory\. Give one of hg19, hg38, hs1, mm10"):
        read_genome("hg18")
    with pytest.raises(MissingInputError, match="directory"):
        read_genome(tmp_path)
