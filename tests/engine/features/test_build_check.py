"""Reads and genes of another genome build are refused, and the message names the build that fits."""

import gzip
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.bam import write_bam
from support.cram import write_cram
from support.strategies import Record
from support.tiny import CommandResult, dc

from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.features.store import read_features

pytestmark = pytest.mark.campaign("naming", "messages")
GENES = "gene_id\tchrom\ttss\tstrand\ng1\tchr1\t20000\t+\ng2\tchr2\t30000\t-\n"
ACCEPT = "Use --no-build-check to accept this."
HG19, HG38 = (read_genome(name).sizes for name in ("hg19", "hg38"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("genes.tsv").write_text(GENES)
    Path("peaks.bed").write_text("chr1\t19000\t21000\nchr2\t1\t90000\n")
    return tmp_path


def featurize(path: object, *options: str, genome: str = "hg38", genes: object = "genes.tsv") -> CommandResult:
    return dc("featurize", path, "--genes", genes, "--genome", genome, "--out", "out", *options)


def count(path: object, *options: str, genome: str = "hg38") -> CommandResult:
    return dc("count", path, "--regions", "peaks.bed", "--genome", genome, "--out", "counts.tsv", *options)


def records(chroms: Sequence[str], n: int = 200) -> list[Record]:
    """Return reads near the genes, in the order of their positions."""
    dice = random.Random(1)
    places = sorted((chroms.index(chrom), dice.randrange(15_000, 35_000)) for chrom in dice.choices(chroms, k=n))
    return [Record(chroms[i], start, 0, 60, "36M", "A" * 36) for i, start in places]


def write_header(path: Path, references: Mapping[str, int], chroms: Sequence[str] = ("chr1", "chr2")) -> None:
    """Write a BAM or CRAM file with reads near the genes and a header."""
    if path.suffix == ".bam":
        write_bam(path, references, records(chroms))
    else:
        write_cram(path, references, records(chroms))


def is_refused(ran: CommandResult, message: str) -> bool:
    """Return whether a command failed with this message, and left no counts."""
    assert (ran.code, message in ran.err) == (65, True), ran.err
    return not list(Path().glob("out/*.parquet")) and not Path("counts.tsv").exists()


@pytest.mark.parametrize("suffix", ["bam", "cram"])
def test_header_of_another_build(suffix: str, folder: Path) -> None:
    path = Path(f"E1-A.{suffix}")
    write_header(path, HG19)
    message = (
        f"E1-A.{suffix}: the header gives chr1 249,250,621 bp, and hg38 gives it 248,956,422 bp. "
        f"The lengths are those of hg19: use that genome. {ACCEPT}"
    )
    assert is_refused(featurize(path), message)
    rows = [line.split("\t") for line in Path("out/summary.tsv").read_text().splitlines()]
    assert rows[1][:2] == ["E1", "A"]
    assert rows[1][-1].startswith("failed: ")
    assert is_refused(count(path), message)
    assert featurize(path, "--no-build-check").code == 0
    accepted = read_features("out/E1.parquet").counts
    assert count(path, "--no-build-check").code == 0
    assert featurize(path, "--force", genome="hg19").code == 0
    assert (read_features("out/E1.parquet").counts == accepted).all()
    assert accepted.any()


def test_lengths_of_no_bundled_build(folder: Path) -> None:
    write_header(Path("E1-A.bam"), {**HG38, "chr2": 240_000_000})
    message = (
        "the header gives chr2 240,000,000 bp, and hg38 gives it 242,193,529 bp. Use the genome of these reads. "
        f"{ACCEPT}"
    )
    assert is_refused(featurize("E1-A.bam"), message)


def test_only_chromosomes_in_use_matter(folder: Path) -> None:
    """Decoys, viruses and other scaffolds may be in the header, and chrM may be another sequence if no gene lies there.

    Files for hg19 with the mitochondrion of GRCh37 are common: it has 16,569 bp, and chrM of hg19 has 16,571.
    """
    references = {**HG19, "chrM": 16_569, "chr7": 5, "hs37d5": 35_477_943, "chrEBV": 171_823}
    write_header(Path("E1-A.bam"), references)
    assert featurize("E1-A.bam", genome="hg19").code == 0
    Path("genes.tsv").write_text(f"{GENES}m\tchrM\t3000\t+\n")
    ran = featurize("E1-A.bam", "--force", genome="hg19")
    assert ran.code == 65
    assert "the header gives chrM 16,569 bp, and hg19 gives it 16,571 bp" in ran.err


def test_header_with_other_names_of_chromosomes(folder: Path) -> None:
    """The lengths are compared under the names of the genome."""
    renamed = {name.removeprefix("chr"): size for name, size in HG19.items()}
    write_header(Path("E1-A.bam"), renamed, ("1", "2"))
    assert featurize("E1-A.bam", "--chrom-alias", "auto", genome="hg19").code == 0
    ran = featurize("E1-A.bam", "--chrom-alias", "auto", "--force")
    assert ran.code == 65
    assert "the header gives chr1 249,250,621 bp, and hg38 gives it 248,956,422 bp. The lengths are those of" in ran.err


def text_reads(n_past: int, place: str) -> str:
    """Return 2,000 reads of hg19, some of which end or start past the end of chr1 in hg38."""
    lines = [f"chr{1 + i % 2}\t{15_000 + 7 * i}\t{15_036 + 7 * i}\tN\t0\t+\n" for i in range(2000)]
    first = HG38["chr1"] + (1000 if place == "beyond" else -10)
    return "".join(lines) + "".join(f"chr1\t{first}\t{first + 36}\tN\t0\t+\n" for _ in range(n_past))


@pytest.mark.parametrize(
    ("n_past", "place", "message"),
    [
        (1, "beyond", "1 read starts past the end of their chromosome (most of them on chr1)"),
        (11, "across", "11 of 2,011 reads end past the end of their chromosome (most of them on chr1)"),
    ],
)
def test_text_reads_past_the_ends(n_past: int, place: str, message: str, folder: Path) -> None:
    path = Path("E1-A.tagAlign.gz")
    path.write_bytes(gzip.compress(text_reads(n_past, place).encode()))
    message = f"E1-A.tagAlign.gz: {message}, so they are not of hg38. They fit hg19: use that genome. {ACCEPT}"
    assert is_refused(featurize(path), message)
    assert is_refused(count(path), message)
    assert featurize(path, genome="hg19").code == 0
    counts = read_features("out/E1.parquet").counts
    assert featurize(path, "--no-build-check", "--force").code == 0
    assert (read_features("out/E1.parquet").counts == counts).all()


def test_few_reads_across_the_end_are_accepted(folder: Path) -> None:
    """Aligners and extensions make such reads; on the circular chrM there may be many."""
    Path("E1-A.bed").write_text(text_reads(10, "across") + "chrM\t16550\t16586\tN\t0\t+\n" * 500)
    ran = featurize("E1-A.bed")
    assert ran.code == 0
    assert read_features("out/E1.parquet").metadata["sources"]["A"]["reads_past_end"] == 510


def test_no_build_fits(folder: Path) -> None:
    Path("E1-A.bed").write_text("chr1\t600000000\t600000036\n" * 20)
    Path("big.sizes").write_text("chr1\t700000000\nchr2\t700000000\n")
    Path("small.sizes").write_text("chr1\t590000000\nchr2\t590000000\n")
    assert is_refused(featurize("E1-A.bed", genome="small.sizes"), "not of small.sizes. Use their genome. Use --no")
    assert featurize("E1-A.bed", genome="big.sizes").code == 0


def test_genes_of_another_build(folder: Path) -> None:
    """A few genes past the end are reported and count 0; many are those of another build."""
    text = GENES + "".join(f"x{i}\tchr1\t{HG38['chr1'] + 10 * (i + 1)}\t+\n" for i in range(11))
    Path("genes.tsv").write_text(text)
    Path("E1-A.bed").write_text(text_reads(0, "across"))
    message = (
        "genes.tsv: 11 of 13 genes lie past the end of their chromosome (most of them on chr1), so they are not of "
        f"hg38. They fit hg19: use that genome. {ACCEPT}"
    )
    assert is_refused(featurize("E1-A.bed"), message)
    assert not Path("out").exists()
    assert featurize("E1-A.bed", genome="hg19").code == 0
    assert featurize("E1-A.bed", "--no-build-check", "--force").code == 0
    Path("genes.tsv").write_text(text.rpartition("x10")[0])
    ran = featurize("E1-A.bed", "--force")
    assert ran.code == 0
    assert "genes with bins outside their chromosome (these bins are 0): 10 (x0, x1, x2, ...)" in ran.err


@pytest.mark.realdata
def test_real_reads_of_hg19_on_hg38(shared_data: Path, folder: Path) -> None:
    """205,035 reads of K562 on chr22, with genes of hg38 and with those of hg19."""
    reads = shared_data / "k562_h1" / "K562-H3K4me3.chr22.tagAlign.gz"
    Path("genes.tsv").write_text("gene_id\tchrom\ttss\tstrand\nEP300\tchr22\t41092592\t+\n")
    message = "2,014 reads start past the end of their chromosome (most of them on chr22), so they are not of hg38."
    assert is_refused(featurize(reads), f"{message} They fit hg19: use that genome. {ACCEPT}")
    assert featurize(reads, genome="hg19").code == 0
    genes = shared_data / "roadmap" / "genes.tsv"
    ran = featurize(reads, "--force", genes=genes)
    assert ran.code == 65
    assert "genes.tsv: 275 of 19,802 genes lie past the end of their chromosome (most of them on chr9)" in ran.err


@pytest.mark.realdata
def test_real_reads_of_hg19_pass_on_hg19(shared_data: Path, folder: Path) -> None:
    folder_of_reads, genes = shared_data / "e003", shared_data / "roadmap" / "genes.tsv"
    assert featurize(folder_of_reads, genome="hg19", genes=genes).code == 0
    counts = read_features("out/E003.parquet").counts
    assert featurize(folder_of_reads, "--no-build-check", "--force", genome="hg19", genes=genes).code == 0
    assert np.array_equal(read_features("out/E003.parquet").counts, counts)
