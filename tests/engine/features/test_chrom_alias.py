"""Other names of chromosomes: the counts equal those of renamed files, and unclear names are refused."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from support.bam import write_bam
from support.cram import write_cram
from support.strategies import Record
from support.tiny import CommandResult, dc, reads_text

from deepchrome.engine.features.store import read_features

pytestmark = pytest.mark.campaign("naming")
SIZES = {"chr1": 250_000, "chr2": 240_000, "chrM": 16_571}
ENSEMBL = {"chr1": "1", "chr2": "2", "chrM": "MT"}
REFSEQ = {"chr1": "NC_000001.10", "chr2": "NC_000002.11", "chrM": "NC_012920.1"}
CHROM_ALIAS = "# ucsc\tassembly\trefseq\n" + "".join(f"{name}\t{ENSEMBL[name]}\t{REFSEQ[name]}\n" for name in SIZES)
TEXT = reads_text(2000).decode() + "".join(f"chrM\t{at}\t{at + 50}\tN\t0\t-\n" for at in range(0, 16_000, 40))
GENES = "".join(f"g{i}\tchr{1 + i % 2}\t{20_000 * (i + 1)}\t{'+-'[i % 2]}\n" for i in range(10)) + "m\tchrM\t9000\t+\n"
HEADER = "gene_id\tchrom\ttss\tstrand\n"


def rename(table: str, names: Mapping[str, str]) -> str:
    """Return a table with other names of chromosomes."""
    lines = [line.split("\t") for line in table.splitlines()]
    return "".join("\t".join(names.get(field, field) for field in fields) + "\n" for fields in lines)


def write_text(path: Path, names: Mapping[str, str]) -> None:
    path.write_text(rename(TEXT, names))


def alignments(names: Mapping[str, str]) -> tuple[dict[str, int], list[Record]]:
    """Return the references and the records of the same reads, in the order of their positions."""
    lines = [line.split("\t") for line in TEXT.splitlines()]
    lines.sort(key=lambda fields: (fields[0], int(fields[1])))
    found = [
        Record(names[chrom], int(start), 16 * (strand == "-"), 60, f"{int(end) - int(start)}M", "")
        for chrom, start, end, *_, strand in lines
    ]
    return {names[name]: size for name, size in SIZES.items()}, found


def write_alignments(path: Path, names: Mapping[str, str]) -> None:
    write_bam(path, *alignments(names))


def write_cram_file(path: Path, names: Mapping[str, str]) -> None:
    references, found = alignments(names)
    bases = [Record(r.chrom, r.start, r.flag, r.mapq, r.cigar, "A" * int((r.cigar or "0M")[:-1])) for r in found]
    write_cram(path, references, bases)


WRITERS: dict[str, Callable[[Path, Mapping[str, str]], None]] = {
    "bed": write_text,
    "bam": write_alignments,
    "cram": write_cram_file,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("genes.tsv").write_text(HEADER + GENES)
    Path("ucsc.sizes").write_text("".join(f"{name}\t{size}\n" for name, size in SIZES.items()))
    Path("ensembl.sizes").write_text("".join(f"{ENSEMBL[name]}\t{size}\n" for name, size in SIZES.items()))
    Path("alias.txt").write_text(CHROM_ALIAS)
    return tmp_path


def featurize(path: object, *options: str, genome: str = "ucsc", genes: str = "genes.tsv") -> CommandResult:
    return dc("featurize", path, "--genes", genes, "--genome", f"{genome}.sizes", "--out", "out", "--force", *options)


def counts() -> np.ndarray:
    found = read_features("out/E1.parquet").counts
    assert found.any(axis=(1, 2)).all()
    return found


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("option", ["auto", "alias.txt"])
def test_counts_equal_those_of_the_renamed_file(kind: str, option: str, folder: Path) -> None:
    path = Path(f"E1-A.{kind}")
    WRITERS[kind](path, {name: name for name in SIZES})
    assert featurize(path).code == 0
    expected, record = counts(), read_features("out/E1.parquet").metadata["sources"]["A"]
    for names in (ENSEMBL, REFSEQ):
        WRITERS[kind](path, names)
        refused = featurize(path)
        assert (refused.code, "lie on chromosomes that ucsc.sizes does not have" in refused.err) == (65, True)
        if names is REFSEQ and option == "auto":
            assert featurize(path, "--chrom-alias", option).code == 65
            continue
        ran = featurize(path, "--chrom-alias", option)
        assert ran.code == 0
        first = {"1": "MT for chrM, 1 for chr1, 2 for chr2"}.get(
            names["chr1"], ", ".join(f"{names[name]} for {name}" for name in SIZES)
        )
        assert f"chromosome names in the reads, taken for those of ucsc.sizes: {first}\n" in ran.err
        assert np.array_equal(counts(), expected)
        found = read_features("out/E1.parquet").metadata["sources"]["A"]
        assert {name: value for name, value in found.items() if name not in ("bytes", "sha256")} == {
            name: value for name, value in record.items() if name not in ("bytes", "sha256")
        }
        # The second counter agrees; a table of names must be given again.
        given = [] if option == "auto" else ["--chrom-alias", option]
        assert dc("verify", "out", path, "--genome", "ucsc.sizes", *given).code == 0
        if given:
            ran = dc("verify", "out", path, "--genome", "ucsc.sizes")
            assert (ran.code, "Give it with --chrom-alias FILE." in ran.err) == (2, True)


def test_from_ucsc_to_ensembl(folder: Path) -> None:
    write_text(Path("E1-A.bed"), {})
    assert featurize("E1-A.bed").code == 0
    expected = counts()
    Path("genes.tsv").write_text(HEADER + rename(GENES, ENSEMBL))
    assert featurize("E1-A.bed", "--chrom-alias", "auto", genome="ensembl").code == 0
    assert np.array_equal(counts(), expected)


@pytest.mark.parametrize("option", ["auto", "alias.txt"])
def test_genes_keep_their_names(option: str, folder: Path) -> None:
    write_text(Path("E1-A.bed"), {})
    assert featurize("E1-A.bed").code == 0
    expected = counts()
    Path("genes.tsv").write_text(HEADER + rename(GENES, ENSEMBL))
    assert featurize("E1-A.bed").code == 65
    ran = featurize("E1-A.bed", "--chrom-alias", option)
    assert ran.code == 0
    assert (
        "chromosome names in the genes, taken for those of ucsc.sizes: MT for chrM, 1 for chr1, 2 for chr2\n" in ran.err
    )
    assert "chromosome names in the reads" not in ran.err
    assert np.array_equal(counts(), expected)
    features = read_features("out/E1.parquet")
    assert set(features.genes.chrom) == set(ENSEMBL.values())
    assert features.metadata["gene_chromosomes"] == {ENSEMBL[name]: size for name, size in SIZES.items()}
    assert features.metadata["genes_off_genome"] == []


def test_a_rerun_whose_names_find_other_genes_is_refused(folder: Path) -> None:
    write_text(Path("E1-A.bed"), {})
    Path("genes.tsv").write_text(HEADER + rename(GENES, {"chrM": "MT"}))
    given = ("--genes", "genes.tsv", "--genome", "ucsc.sizes", "--out", "out")
    assert dc("featurize", "E1-A.bed", *given).code == 0
    for options, why in (
        (["--chrom-alias", "auto"], "aliases was None, is now auto"),
        ([], "aliases was auto, is now None"),
    ):
        ran = dc("featurize", "E1-A.bed", *given, *options)
        assert (ran.code, f"does not match this call ({why})" in ran.err) == (2, True)
        assert featurize("E1-A.bed", "--chrom-alias", "auto").code == 0


def test_a_rerun_whose_names_find_other_reads_is_refused(folder: Path) -> None:
    write_text(Path("E1-A.bed"), {"chr2": "2"})
    given = ("E1-A.bed", "--genes", "genes.tsv", "--genome", "ucsc.sizes", "--out", "out", "--unknown-chrom", "skip")
    assert dc("featurize", *given).code == 0
    ran = dc("featurize", *given, "--chrom-alias", "alias.txt")
    assert (ran.code, "does not match this call (aliases was None, is now " in ran.err) == (2, True)
    assert dc("featurize", *given, "--chrom-alias", "alias.txt", "--force").code == 0
    Path("alias.txt").write_text("#alias\tchrom\n2\tchr1\n")
    ran = dc("featurize", *given, "--chrom-alias", "alias.txt")
    assert (ran.code, "does not match this call (aliases was " in ran.err) == (2, True)


@pytest.mark.parametrize("kind", WRITERS)
def test_mixed_names_are_refused_unless_a_table_gives_them(kind: str, folder: Path) -> None:
    path = Path(f"E1-A.{kind}")
    mixed = {"chr1": "chr1", "chr2": "2", "chrM": "chrM"}
    WRITERS[kind](path, mixed)
    ran = featurize(path, "--chrom-alias", "auto")
    assert ran.code == 65
    assert f"E1-A.{kind}: names of chromosomes of two kinds: 'chr1' and '2'. Rename them, or use a table of" in ran.err
    assert "Give it with --chrom-alias FILE." in ran.err
    assert not Path("out/E1.parquet").exists()
    assert featurize(path, "--chrom-alias", "alias.txt").code == 0
    found = counts()
    WRITERS[kind](path, {name: name for name in SIZES})
    assert featurize(path).code == 0
    assert np.array_equal(counts(), found)


def test_a_genome_with_both_names_keeps_them_apart(folder: Path) -> None:
    """Both are names of the genome, so neither stands for the other."""
    Path("ucsc.sizes").write_text("".join(f"{name}\t250000\n" for name in ("chr1", "1", "chr2", "chrM")))
    Path("genes.tsv").write_text(f"{HEADER}a\tchr1\t20000\t+\nb\t1\t20000\t+\n")
    Path("E1-A.bed").write_text("chr1\t20000\t20036\n" * 3 + "1\t20000\t20036\n" * 5)
    assert featurize("E1-A.bed", "--chrom-alias", "auto").code == 0
    assert counts().max(axis=(1, 2)).tolist() == [3, 5]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("option", ["auto", "alias.txt"])
def test_reads_and_regions_of_dc_count(kind: str, option: str, folder: Path) -> None:
    path = Path(f"E1-A.{kind}")
    bed = "chr1\t0\t20000\nchr2\t5\t9\nchrM\t10\t16000\nchr1\t3000\t3000\n"
    command = (
        "count",
        path,
        "--genome",
        "ucsc.sizes",
        "--regions",
        "peaks.bed",
        "-o",
        "counts",
        "--format",
        "multicov",
        "--force",
    )
    Path("peaks.bed").write_text(bed)
    WRITERS[kind](path, {name: name for name in SIZES})
    assert dc(*command).code == 0
    expected = Path("counts").read_text()
    WRITERS[kind](path, ENSEMBL)
    Path("peaks.bed").write_text(rename(bed, ENSEMBL))
    ran = dc(*command, "--chrom-alias", option)
    assert ran.code == 0
    assert Path("counts").read_text() == rename(expected, ENSEMBL)
    for what in ("regions", "reads"):
        wanted = f"chromosome names in the {what}, taken for those of ucsc.sizes: MT for chrM, 1 for chr1, 2 for chr2\n"
        assert wanted in ran.err
