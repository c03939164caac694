"""Reads on a blacklist do not count: as if ``bedtools intersect -v`` had removed them first."""

import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.bam import write_bam
from support.strategies import Record
from support.tiny import GENES, SIZES, dc, featurize, reads_text, write_genes_and_sizes

from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.counting.blacklist import read_blacklist
from deepchrome.engine.features.store import read_features

pytestmark = pytest.mark.bedtools


def random_blacklist(seed: int) -> str:
    """Return overlapping, nested, touching, repeated and empty intervals, unsorted, some of them beyond the end.

    None is [0, 0): bedtools intersect fails on it.
    """
    dice = random.Random(seed)
    lines = []
    for _ in range(60):
        chrom, start = f"chr{dice.randint(1, 2)}", dice.choice([0, 1, *(dice.randrange(240_000) for _ in range(20))])
        end = start + dice.choice([0 if start else 1, 1, 2, 35, 36, 37, 300, 3000])
        lines.append(f"{chrom}\t{start}\t{end}\tname\n")
        lines += dice.choices([lines[-1], f"{chrom}\t{end}\t{end + 40}\tnext\n"], k=dice.randrange(2))
    lines += ["chr1\t249990\t999999\tx\n", "chrUn\t1\t99\tx\n"]
    dice.shuffle(lines)
    return "".join(lines)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_genes_and_sizes(tmp_path)
    return tmp_path


def count(path: object, *options: object) -> np.ndarray:
    """Return counts in the genes' windows, and in bins of the genome."""
    assert featurize(Path(), path, *options, "--force").code == 0
    ran = dc("count", path, "--genome", "small.sizes", "--genome-bins", 500, "-o", "bins.tsv", "--force", *options)
    assert ran.code == 0
    bins = [int(line.split("\t")[-1]) for line in Path("bins.tsv").read_text().splitlines()[1:]]
    return np.append(read_features("out/E1.parquet").counts, bins)


def intersect(reads: str, blacklist: str = "black.bed") -> bytes:
    command = ["bedtools", "intersect", "-v", "-a", reads, "-b", blacklist]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize("seed", range(8))
def test_text_equals_intersect_first(seed: int, folder: Path) -> None:
    Path("black.bed").write_text(random_blacklist(seed))
    ends = b"chr1\t0\t1\tN\t0\t+\nchr1\t249995\t250000\tN\t0\t+\nchr2\t0\t36\tN\t0\t+\n"
    Path("E1-A.bed").write_bytes(reads_text(3000, seed) + ends)
    found = count("E1-A.bed", "--blacklist", "black.bed")
    Path("E1-A.bed").write_bytes(intersect("E1-A.bed"))
    assert np.array_equal(found, count("E1-A.bed"))
    assert found.any()


@pytest.mark.parametrize("seed", range(4))
def test_bam_equals_intersect_first(seed: int, folder: Path) -> None:
    """A spliced read lies on the blacklist with its gaps, as intersect -v takes it."""
    dice = random.Random(seed)
    Path("black.bed").write_text(random_blacklist(seed))
    records = []
    for _ in range(2000):
        gene, cigar = dice.choice(GENES), dice.choice(["36M", "10M500N26M", "5S31M", "20M3D16M"])
        records.append(Record(gene.chrom, gene.tss + dice.randrange(-6000, 6000), dice.choice([0, 16]), 60, cigar, ""))
    write_bam(Path("E1-A.bam"), SIZES, records)
    found = count("E1-A.bam", "--blacklist", "black.bed")
    Path("E1-A.bam").write_bytes(intersect("E1-A.bam"))
    assert np.array_equal(found, count("E1-A.bam"))
    assert found.any()


@pytest.mark.parametrize("option", ["--extend 300", "--shift -40", "--five-prime", "--center"])
def test_reads_are_changed_first(option: str, folder: Path) -> None:
    """The changed reads are those on the blacklist. bedtools makes them of BED, and then removes them."""
    Path("black.bed").write_text(random_blacklist(1))
    Path("E1-A.bed").write_bytes(reads_text(3000))
    found = count("E1-A.bed", *option.split(), "--blacklist", "black.bed")
    changed = []
    for line in Path("E1-A.bed").read_text().splitlines():
        chrom, first, last, *rest, strand = line.split("\t")
        start, end, minus = int(first), int(last), strand == "-"
        if option == "--extend 300":
            start, end = (max(end - 300, 0), end) if minus else (start, min(start + 300, SIZES[chrom]))
        elif option == "--shift -40":
            start, end = (start + 40, end + 40) if minus else (start - 40, end - 40)
        elif option == "--five-prime":
            start, end = (end - 1, end) if minus else (start, start + 1)
        else:
            start, end = (start + end - 1) // 2, (start + end - 1) // 2 + 1
        if end > 0:
            changed.append("\t".join([chrom, str(max(start, 0)), str(end), *rest, strand]) + "\n")
    Path("E1-A.bed").write_text("".join(changed))
    Path("E1-A.bed").write_bytes(intersect("E1-A.bed"))
    assert np.array_equal(found, count("E1-A.bed"))


def test_names_of_a_blacklist(folder: Path) -> None:
    Path("black.bed").write_text(random_blacklist(2))
    Path("renamed.bed").write_text(random_blacklist(2).replace("chr", ""))
    Path("E1-A.bed").write_bytes(reads_text(3000))
    found = count("E1-A.bed", "--blacklist", "black.bed")
    assert np.array_equal(count("E1-A.bed", "--blacklist", "renamed.bed", "--chrom-alias", "auto"), found)
    assert not np.array_equal(count("E1-A.bed"), found)


def test_intervals_are_merged(folder: Path) -> None:
    Path("black.bed").write_text("chr2\t5\t9\nchr1\t10\t20\nchr1\t12\t15\nchr1\t20\t30\nchr1\t40\t40\nchr2\t0\t0\n")
    blacklist = read_blacklist("black.bed", read_genome("small.sizes"))
    assert blacklist.intervals.tolist() == [[10, 30], [39, 41], [-1, 1], [5, 9]]
    assert blacklist.first.tolist() == [0, 2, 4]


def test_number_of_reads_on_the_blacklist(folder: Path) -> None:
    """They are reads of the file, but not in windows."""
    Path("black.bed").write_text("chr1\t0\t250000\n")
    Path("E1-A.bed").write_bytes(reads_text(1000))
    assert featurize(folder, "E1-A.bed", "--blacklist", "black.bed").code == 0
    source = read_features("out/E1.parquet").metadata["sources"]["A"]
    on_chr1 = sum(line.startswith(b"chr1") for line in reads_text(1000).splitlines())
    assert (source["reads"], source["quality"]["filtered"]) == (1000, {"blacklisted": on_chr1})


@pytest.mark.parametrize(
    ("text", "message"), [("", "no region in"), ("chr1\t5\n", "black.bed:1"), (None, "no such file")]
)
def test_unusable_blacklists(text: str | None, message: str, folder: Path) -> None:
    if text is not None:
        Path("black.bed").write_text(text)
    Path("E1-A.bed").write_bytes(reads_text(100))
    ran = featurize(folder, "E1-A.bed", "--blacklist", "black.bed")
    assert ran.code == (66 if text is None else 65)
    assert message in ran.err
    assert not Path("out/E1.parquet").exists()
