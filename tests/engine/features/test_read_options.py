"""Each option that selects or changes reads: counts of the naive counter, the record of it, reruns, and the recount."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import regions
from support.bam import write_bam
from support.cram import write_cram
from support.strategies import Record
from support.tiny import GENES, SIZES, CommandResult, dc, featurize, write_genes_and_sizes

from deepchrome.engine.features.store import read_features

pytestmark = pytest.mark.campaign("provenance", "resume")
BLACKLIST = "chr1\t18000\t21000\nchr2\t39000\t40100\nchr2\t40050\t40060\nchr1\t62000\t62000\nchrX\t1\t9\n"
FILTERS = ("min_mapq", "proper_pairs", "include_duplicates", "include_qc_fail")
CHANGES = ("shift_bp", "point", "extend_bp", "blacklist")
COUNTING = ("strand", "fraction", "reciprocal", "split")


def pairs(n: int = 300) -> list[Record]:
    """Return pairs around the genes as aligners write them: spliced, duplicates, improper, and with POS 0."""
    dice = random.Random(1)
    records = []
    for i in range(n):
        gene = dice.choice(GENES)
        start = gene.tss + dice.randrange(-5300, 5000)
        length = dice.randrange(80, 400)
        cigar = dice.choice(["36M", "36M", "10M200N26M", "30M2D6M", "6S30M"])
        flag = dice.choice([2, 2, 2, 0]) | dice.choice([0, 0, 0, 1024, 512])
        mapq, name, chrom = dice.choice([0, 20, 60]), f"p{i}", gene.chrom
        mate = start + length - 36
        records.append(Record(chrom, start, 1 | 32 | 64 | flag, mapq, cigar, "A" * 36, name, chrom, mate, length))
        records.append(Record(chrom, mate, 1 | 16 | 128 | flag, mapq, "36M", "A" * 36, name, chrom, start, -length))
    records.append(Record("chr1", 20_000, 4, 0, "36M", "A" * 36))
    records.append(Record("chr1", 20_010, 0, 60, None, ""))
    return records


def bedpe_line(i: int) -> str:
    """Return a pair of reads; one in ten is on two chromosomes."""
    start, chroms = 15_000 + 97 * i, ("chr1", "chr2")
    mate = start + 50 + i % 300
    fields = (chroms[i % 2], start, start + 36, chroms[i % 2 if i % 5 else 0], mate, mate + 36, "p", 60, "+", "-")
    return "\t".join(map(str, fields)) + "\n"


BEDPE = "".join(map(bedpe_line, range(2000)))
BED = "".join(
    f"{record.chrom}\t{record.start}\t{record.start + 36}\tN\t0\t{'+-'[record.flag >> 4 & 1]}\n" for record in pairs()
)

# The options of dc featurize, the format of the reads, and the same options for the oracle.
CASES: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "mapping quality": ("-q 20", "bam", {"min_mapq": 20}),
    "proper pairs": ("-p", "bam", {"proper_pairs": True}),
    "duplicates and failures": ("-D -F", "bam", {"include_duplicates": True, "include_qc_fail": True}),
    "fraction": ("-f 0.3", "bam", {"fraction": 0.3}),
    "fraction of both": ("-f 0.2 -r", "bam", {"fraction": 0.2, "reciprocal": True}),
    "blocks": ("--split", "bam", {"split": True}),
    "fraction of blocks": ("--split -f 0.5", "bam", {"split": True, "fraction": 0.5}),
    "fragments": ("--fragments", "bam", {"fragments": True}),
    "fragments of CRAM": ("--fragments", "cram", {"fragments": True}),
    "centers of fragments": ("--fragments --center", "bam", {"fragments": True, "point": "center"}),
    "fragments of BEDPE": ("--fragments", "bedpe", {"fragments": True}),
    "extended": ("--extend 200", "bam", {"extend_bp": 200}),
    "extended text": ("--extend 200", "bed", {"extend_bp": 200}),
    "shifted": ("--shift 75", "bam", {"shift_bp": 75}),
    "shifted back": ("--shift -75 -s", "bed", {"shift_bp": -75, "strand": "same"}),
    "shifted and extended": ("--shift -20 --extend 40", "cram", {"shift_bp": -20, "extend_bp": 40}),
    "5' ends": ("--five-prime -S", "bam", {"point": "five-prime", "strand": "opposite"}),
    "cuts of Tn5": ("--shift 4 --five-prime", "bed", {"shift_bp": 4, "point": "five-prime"}),
    "centers": ("--center", "bed", {"point": "center"}),
    "blacklist": ("--blacklist black.bed", "bam", {"blacklist": True}),
    "blacklist, blocks": ("--blacklist black.bed --split", "bam", {"blacklist": True, "split": True}),
    "blacklist after extension": ("--blacklist black.bed --extend 300", "bed", {"blacklist": True, "extend_bp": 300}),
    "blacklist, fragments": ("--blacklist black.bed --fragments", "bedpe", {"blacklist": True, "fragments": True}),
}


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reads")
    write_bam(folder / "E1-A.bam", SIZES, pairs())
    by_place = sorted(pairs(), key=lambda record: (record.chrom, record.start))
    write_cram(folder / "E1-A.cram", SIZES, by_place, "3.0")
    (folder / "E1-A.bed").write_text(BED)
    (folder / "E1-A.bedpe").write_text(BEDPE)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_genes_and_sizes(tmp_path)
    Path("black.bed").write_text(BLACKLIST)
    return tmp_path


def expected(path: Path, options: Mapping[str, Any]) -> np.ndarray:
    """Return the counts of the naive counter: (genes, bins)."""
    if path.suffix == ".bedpe":
        alignments = regions.bedpe_fragments(path.read_bytes())
    elif path.suffix == ".bed":
        alignments = regions.text_alignments(path.read_bytes())
    else:
        filters = {name: options[name] for name in FILTERS if name in options}
        read = regions.bam_fragments if options.get("fragments") else regions.bam_alignments
        alignments = read(path, **filters)
    changes = {name: options[name] for name in CHANGES if name in options}
    if changes:
        if "blacklist" in changes:
            changes["blacklist"] = regions.bed_regions(BLACKLIST.encode())
        alignments = regions.prepare(alignments, SIZES, **changes)
    counting = {name: options[name] for name in COUNTING if name in options}
    counts = []
    for gene in GENES:
        first = gene.tss - 5000
        spans = [(first + 100 * b, first + 100 * (b + 1)) for b in range(100)]
        bins = [regions.Region(gene.chrom, *span, gene.strand, (span,)) for span in spans]
        near = [r for r in alignments if r.chrom == gene.chrom and first - 1000 < r.end and r.start < first + 11_000]
        counts.append(regions.count(near, bins, **counting))
    return np.array(counts)


def verify(path: Path, *options: str) -> CommandResult:
    return dc("verify", "out", path, "--genome", "small.sizes", "--genes", 10, *options)


@pytest.mark.parametrize("case", CASES)
def test_counts_records_reruns_and_recounts(case: str, reads: Path, folder: Path) -> None:
    words, suffix, options = CASES[case]
    path = reads / f"E1-A.{suffix}"
    assert featurize(folder, path, *words.split()).code == 0
    features = read_features("out/E1.parquet")
    assert (features.counts[:, :, 0] == expected(path, options)).all()
    assert features.counts.any()
    # The record is that of the options that were used, and nothing else was added to the defaults.
    recorded = features.metadata["options"]
    assert len(recorded.keys() - DEFAULTS) == len(
        options.keys() - {"min_mapq", "include_duplicates", "include_qc_fail", "strand"}
    )
    again = featurize(folder, path, *words.split())
    assert "E1: up to date, kept" in again.err
    before = Path("out/E1.parquet").read_bytes()
    other = featurize(folder, path, *OTHER.get(suffix, []))
    assert other.code == 2
    assert "E1.parquet: exists and does not match this call (" in other.err
    assert Path("out/E1.parquet").read_bytes() == before
    given = ["--blacklist", "black.bed"] if "blacklist" in options else []
    ran = verify(path, *given)
    assert (ran.code, ran.out.split("\t")[-1]) == (0, "equal\n"), ran


DEFAULTS = {
    "unknown_chrom", "allow_empty", "allow_no_eof", "strand", "min_mapq", "include_duplicates", "include_qc_fail",
    "allow_few",
}  # fmt: skip
OTHER = {"bedpe": ["--fragments", "--center"]}  # without fragments, BEDPE is refused for another reason


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        ("--extend 200", "--extend 150", "extend was 200, is now 150"),
        ("--shift 1", "--shift 2", "shift was 1, is now 2"),
        ("--five-prime", "--center", "point was five-prime, is now center"),
        ("-f 0.5", "-f 0.25", "overlap_fraction was 0.5, is now 0.25"),
        ("-f 0.5", "-f 0.5 -r", "reciprocal was False, is now True"),
        ("", "--split", "split was False, is now True"),
        ("", "-p", "proper_pairs was False, is now True"),
        ("--fragments", "", "fragments was True, is now False"),
        ("--blacklist black.bed", "--blacklist other.bed", "blacklist was "),
        ("", "--blacklist other.bed", "blacklist was None, is now "),
    ],
)
def test_a_rerun_with_another_value_is_refused(one: str, two: str, why: str, reads: Path, folder: Path) -> None:
    Path("other.bed").write_text("chr1\t1\t2\n")
    assert featurize(folder, reads / "E1-A.bam", *one.split()).code == 0
    ran = featurize(folder, reads / "E1-A.bam", *two.split())
    assert ran.code == 2
    assert f"does not match this call ({why}" in ran.err
    assert featurize(folder, reads / "E1-A.bam", *two.split(), "--force").code == 0


def test_the_name_of_a_blacklist_does_not_matter(reads: Path, folder: Path) -> None:
    assert featurize(folder, reads / "E1-A.bam", "--blacklist", "black.bed").code == 0
    Path("black.bed").rename("renamed.bed")
    assert "up to date, kept" in featurize(folder, reads / "E1-A.bam", "--blacklist", "renamed.bed").err


def test_options_that_only_accept_more_files_may_differ(reads: Path, folder: Path) -> None:
    assert featurize(folder, reads / "E1-A.bam").code == 0
    for options in (["--no-build-check"], ["--format", "bed"], ["--chrom-alias", "auto"]):
        assert "up to date, kept" in featurize(folder, reads / "E1-A.bam", *options).err


def test_verify_needs_the_blacklist(reads: Path, folder: Path) -> None:
    path = reads / "E1-A.bam"
    featurize(folder, path, "--blacklist", "black.bed")
    ran = verify(path)
    assert ran.code == 2
    assert ran.err.startswith("dc: out/E1.parquet: counted with a blacklist (")
    assert ran.err.endswith("), and no file is given. Give it with --blacklist.\n")
    Path("other.bed").write_text("chr1\t1\t2\n")
    assert ", not with other.bed. Give the file" in verify(path, "--blacklist", "other.bed").err
    featurize(folder, path, "--force")
    assert "counted without a blacklist, so other.bed must not" in verify(path, "--blacklist", "other.bed").err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("-s -S", "-s and -S cannot be used together"),
        ("--five-prime --center", "--five-prime and --center cannot be used together"),
        ("--extend 10 --center", "extend and point cannot be used together"),
        ("--fragments --shift 3", "fragments cannot be used together with shift"),
        ("--split --extend 3", "split cannot be used together with extend"),
        ("-f 0", "--overlap-fraction must be above 0 and at most 1, got 0.0"),
        ("--format sam", "--format"),
        ("--extend -1", "--extend"),
        ("--blacklist absent.bed", "absent.bed: no such file"),
        ("--chrom-alias absent.txt", "absent.txt: no such file"),
    ],
)
def test_wrong_usage(options: str, message: str, reads: Path, folder: Path) -> None:
    ran = featurize(folder, reads / "E1-A.bam", *options.split())
    assert ran.code in (2, 66)
    assert message in ran.err.lower() or message in ran.err
    assert not list(folder.glob("out/*.parquet"))


def test_single_reads_are_no_fragments(reads: Path, folder: Path) -> None:
    ran = featurize(folder, reads / "E1-A.bed", "--fragments")
    assert ran.code == 65
    assert "E1-A.bed: a BED file of single reads, not of fragments" in ran.err
    assert not list(folder.glob("out/*.parquet"))


def test_outputs_do_not_replace_a_blacklist_or_a_table_of_names(reads: Path, folder: Path) -> None:
    for name, option in (("summary.tsv", "--blacklist"), ("qc.tsv", "--chrom-alias")):
        Path("out").mkdir(exist_ok=True)
        text = "chr1\t1\t2\n" if option == "--blacklist" else "one\tchr1\n"
        Path("out", name).write_text(text)
        ran = featurize(folder, reads / "E1-A.bam", option, f"out/{name}", "--force")
        assert ran.code == 2
        assert f"{name}: this output would replace an input (out/{name})" in ran.err
        assert Path("out", name).read_text() == text


def test_headers_give_the_genome(reads: Path, folder: Path) -> None:
    """The metadata name the file, and dc verify finds the genome there, too."""
    given = ("--genes", "genes.tsv", "-o", "out")
    ran = dc("featurize", reads / "E1-A.bam", *given)
    assert ran.code == 0
    features = read_features("out/E1.parquet")
    assert features.metadata["genome"] == "E1-A.bam"
    assert features.metadata["gene_chromosomes"] == SIZES
    assert (features.counts[:, :, 0] == expected(reads / "E1-A.bam", {})).all()
    assert dc("verify", "out", reads / "E1-A.bam").code == 0
    assert dc("verify", "out", reads / "E1-A.bed").code == 66  # it has no header
    Path("samples.csv").write_text(f"epigenome,mark,path\nE1,B,{reads}/E1-A.cram\nE1,A,{reads}/E1-A.bam\n")
    ran = dc("featurize", "--samples", "samples.csv", *given, "--blacklist", "black.bed", "--force")
    assert ran.code == 0
    assert read_features("out/E1.parquet").marks == ("A", "B")
    for options in (["--samples", "samples.csv"], [reads / "E1-A.bam", reads / "E1-A.bed", "--pool"]):
        Path("samples.csv").write_text(f"epigenome,mark,path\nE1,B,{reads}/E1-A.bed\n")
        ran = dc("featurize", *options, *given, "--force")
        assert ran.code == 2
        assert "E1-A.bed: the genome is needed, because only BAM and CRAM files can give it. Give it with" in ran.err


def test_headers_must_agree(reads: Path, folder: Path) -> None:
    write_bam(folder / "E2-A.bam", {**SIZES, "chr2": 240_001}, pairs())
    ran = dc("featurize", reads / "E1-A.bam", "E2-A.bam", "--genes", "genes.tsv", "-o", "out")
    assert ran.code == 65
    assert "E2-A.bam: has other chromosomes than" in ran.err
    assert not Path("out").exists()
