"""Run ``dc count``: formats and columns, exit codes, one-line errors, and complete outputs only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from oracle import regions
from support.bam import write_bam
from support.bigwig import write_bigwig
from support.program import run
from support.strategies import Record
from support.tiny import PACK, CommandResult, dc

from deepchrome.engine.features.store import read_features
from deepchrome.errors import BadDataError

SIZES = {"chr1": 60_000, "chr2": 5000}
BED = 'chr1\t100\t200\tx "y"\t0\t+\nchr2\t0\t5000\t\t7.5\t.\nchr1\t150\t160\t\'\t0\t-\nchrX\t1\t9\tn\t0\t+\n'
READS = "".join(f"chr1\t{start}\t{start + 36}\tN\t0\t{'+-'[start % 2]}\n" for start in range(0, 400, 7)).encode()
RECORDS = [Record("chr1", start, start % 2 * 16, 60, "36M", "") for start in range(0, 400, 11)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with a genome, regions, and reads as text and BAM."""
    monkeypatch.chdir(tmp_path)
    Path("small.sizes").write_text("".join(f"{name}\t{size}\n" for name, size in SIZES.items()))
    Path("peaks.bed").write_text(BED)
    Path("liver.tagAlign.gz").write_bytes(PACK["gzip"](READS))
    write_bam(Path("brain.bam"), SIZES, RECORDS)
    return tmp_path


def expected_columns() -> list[list[int]]:
    table = regions.bed_regions(BED.encode())
    return [
        regions.count(reads, table)
        for reads in (regions.text_alignments(READS), regions.bam_alignments(Path("brain.bam")))
    ]


def count(*arguments: object, genome: str | None = "small.sizes") -> CommandResult:
    """Count both files of reads in the peaks."""
    options = ["--genome", genome] if genome else []
    return dc("count", "liver.tagAlign.gz", "brain.bam", "--regions", "peaks.bed", *options, *arguments)


def last_error(ran: CommandResult) -> str:
    """Return the one line that reports the error."""
    assert "Traceback" not in ran.err
    (line,) = [line for line in ran.err.splitlines() if line.startswith("dc: ")]
    return line


def test_tsv(folder: Path) -> None:
    ran = count("--out", "counts.tsv")
    assert (ran.code, ran.out) == (0, "")
    header, *rows = Path("counts.tsv").read_text().splitlines()
    assert header == "chrom\tstart\tend\tname\tscore\tstrand\tliver\tbrain"
    columns = zip(*expected_columns(), strict=True)
    assert rows == [f"{line}\t{a}\t{b}" for line, (a, b) in zip(BED.splitlines(), columns, strict=True)]
    messages = ran.err.splitlines()
    assert messages[0].startswith("liver.tagAlign.gz: 58 reads in ")
    assert messages[1].startswith("brain.bam: 37 reads in ")
    assert messages[2:] == [
        "regions on chromosomes that small.sizes lacks (their counts are 0): 1 (chrX)",
        "counts.tsv: 4 regions, 2 files",
    ]


def test_multicov_has_no_header(folder: Path) -> None:
    assert count("-o", "counts.txt", "--format", "multicov").code == 0
    columns = zip(*expected_columns(), strict=True)
    expected = [f"{line}\t{a}\t{b}\n" for line, (a, b) in zip(BED.splitlines(), columns, strict=True)]
    assert Path("counts.txt").read_text() == "".join(expected)


def test_parquet_records_how_it_was_made(folder: Path) -> None:
    assert count("-o", "counts.parquet", "-q", "7").code == 0
    table = pq.read_table("counts.parquet", page_checksum_verification=True)
    assert [str(field.type) for field in table.schema] == [
        *["string", "int64", "int64"],
        *["string"] * 3,
        *["uint32"] * 2,
    ]
    assert [table["liver"].to_pylist(), table["brain"].to_pylist()] == expected_columns()
    assert table["name"].to_pylist() == ['x "y"', "", "'", "n"]
    record = json.loads(table.schema.metadata[b"deepchrome"])
    assert record["format_version"] == "regions-1"
    assert record["columns"] == ["liver", "brain"]
    assert record["options"]["min_mapq"] == 7
    assert record["regions"] == {"source": "peaks.bed", "format": "bed", "rows": 4}
    assert record["regions_off_genome"] == 1
    for name, file in (("liver", "liver.tagAlign.gz"), ("brain", "brain.bam"), (None, "peaks.bed")):
        digest = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
        assert (record["sources"][name]["sha256"] if name else record["regions_sha256"]) == digest
    assert record["sources"]["brain"]["reads"] == 37


def test_feature_readers_refuse_such_a_file(folder: Path) -> None:
    assert count("-o", "counts.parquet").code == 0
    with pytest.raises(BadDataError, match="format version regions-1"):
        read_features("counts.parquet")


def test_json_summary(folder: Path) -> None:
    ran = count("-o", "counts.tsv", "--json")
    liver, brain = ran.json()
    assert liver.items() >= {"column": "liver", "name": "liver.tagAlign.gz", "format": "BED", "reads": 58}.items()
    table = regions.bed_regions(BED.encode())
    reads = regions.bam_alignments(Path("brain.bam"))
    assert brain["reads_in_regions"] == sum(any(regions.is_counted(read, region) for region in table) for read in reads)


@pytest.mark.bedtools
def test_genome_bins(folder: Path) -> None:
    assert dc("count", "brain.bam", "--genome-bins", "7000", "-o", "bins.tsv").code == 0
    tiles = subprocess.run(
        ["bedtools", "makewindows", "-g", "small.sizes", "-w", "7000"], capture_output=True, text=True, check=True
    ).stdout
    header, *rows = Path("bins.tsv").read_text().splitlines()
    assert header == "chrom\tstart\tend\tbrain"
    expected = regions.count(regions.bam_alignments(Path("brain.bam")), regions.bed_regions(tiles.encode()))
    assert rows == [f"{tile}\t{n}" for tile, n in zip(tiles.splitlines(), expected, strict=True)]


GFF = (
    'chr1\ts\texon\t101\t200\t.\t+\t.\tgene_id "g1"; exon_id "e1";\n'
    'chr1\ts\tgene\t51\t400\t.\t-\t.\tgene_id "g1";\n'
    'chr2\ts\texon\t1\t200\t.\t+\t.\tgene_id "g2"\n'
)


@pytest.mark.bedtools
def test_features_of_gtf(folder: Path) -> None:
    Path("genes.gtf").write_text(GFF)
    options = ("brain.bam", "--regions", "genes.gtf", "--feature", "exon")
    assert dc("count", *options, "-o", "exons.tsv").code == 0
    assert dc("count", *options, "-o", "exons.txt", "--format", "multicov").code == 0
    exons = "".join(line for line in GFF.splitlines(keepends=True) if "\texon\t" in line)
    Path("exons.gtf").write_text(exons)
    subprocess.run("samtools sort -o s.bam brain.bam && samtools index s.bam", shell=True, check=True)
    printed = subprocess.run(
        ["bedtools", "multicov", "-bams", "s.bam", "-bed", "exons.gtf"], capture_output=True, check=True
    ).stdout
    assert Path("exons.txt").read_bytes() == printed
    table = pl.read_csv("exons.tsv", separator="\t", quote_char=None)
    assert table["start"].to_list() == [100, 0]
    assert table["name"].to_list() == ["e1", "g2"]
    assert table["brain"].to_list() == [int(line.rsplit("\t", 1)[1]) for line in printed.decode().splitlines()]


def test_stdout_and_pipes(folder: Path) -> None:
    arguments = ("count", "brain.bam", "--regions", "peaks.bed", "--out", "-")
    ran = run(*arguments)
    assert ran.returncode == 0
    assert count("-o", "counts.tsv").code == 0
    assert [line.split("\t")[-1] for line in ran.stdout.splitlines()[1:]] == [
        line.split("\t")[-1] for line in Path("counts.tsv").read_text().splitlines()[1:]
    ]
    command = [sys.executable, "-m", "deepchrome", *arguments, "--format", "parquet"]
    Path("piped.parquet").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    assert pq.read_table("piped.parquet").num_rows == 4
    ran = run(*arguments, "--json")
    assert (ran.returncode, ran.stdout) == (2, "")


def test_reader_that_goes_away(folder: Path) -> None:
    command = f"'{sys.executable}' -m deepchrome count brain.bam --genome-bins 1 --out - | head -n 1"
    ran = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["chrom\tstart\tend\tbrain", "141"]
    assert "Traceback" not in ran.stderr


def test_existing_output_is_kept(folder: Path) -> None:
    Path("counts.tsv").write_text("mine")
    ran = count("-o", "counts.tsv")
    assert ran.code == 2
    assert last_error(ran) == "dc: counts.tsv: file exists. Use --force to replace it."
    assert Path("counts.tsv").read_text() == "mine"
    assert count("-o", "counts.tsv", "--force").code == 0
    assert Path("counts.tsv").read_text().startswith("chrom\t")


@pytest.mark.parametrize("name", ["peaks.bed", "liver.tagAlign.gz", "brain.bam", "small.sizes", "link"])
def test_output_over_an_input_is_refused(folder: Path, name: str) -> None:
    Path("link").symlink_to("peaks.bed")
    before = Path(name).read_bytes()
    ran = count("--out", name, "--force", "--format", "tsv")
    assert ran.code == 2
    assert Path(name).read_bytes() == before


def truncate(folder: Path) -> None:
    Path("liver.tagAlign.gz").write_bytes(PACK["gzip"](READS)[:-9])


def add_unknown_chromosome(folder: Path) -> None:
    Path("liver.tagAlign.gz").write_bytes(PACK["gzip"](READS + b"chrQ\t1\t9\tN\t0\t+\n"))


def empty(folder: Path) -> None:
    Path("liver.tagAlign.gz").write_bytes(b"")


def break_regions(folder: Path) -> None:
    Path("peaks.bed").write_text(BED + "chr1\t9\t5\tn\t0\t+\n")


def rename_regions(folder: Path) -> None:
    Path("peaks.bed").write_text("1\t5\t9\n")


def break_genome(folder: Path) -> None:
    Path("small.sizes").write_text("chr1\t0\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "liver.tagAlign.gz: "),
        (add_unknown_chromosome, "'chrQ' (1 reads)"),
        (empty, "Use --allow-empty to accept this."),
        (break_regions, "peaks.bed:5: "),
        (rename_regions, "peaks.bed: no region lies on a chromosome of small.sizes"),
        (break_genome, "small.sizes:1: "),
    ],
)
def test_bad_data_leaves_no_output(folder: Path, spoil, message: str) -> None:
    spoil(folder)
    ran = count("-o", "counts.tsv")
    assert (ran.code, ran.out) == (65, "")
    assert message in last_error(ran)
    assert not Path("counts.tsv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("count brain.bam brain.bam --regions peaks.bed", "the same reads are given twice (also by brain.bam)"),
        ("count brain.bam ./brain.bam --regions peaks.bed", "the same reads are given twice (also by brain.bam)"),
        ("count - - --regions peaks.bed --genome small.sizes", "-: the same reads are given twice"),
        ("count brain.bam", "give either --regions or --genome-bins"),
        ("count brain.bam --regions peaks.bed --genome-bins 5", "give either --regions or --genome-bins"),
        ("count brain.bam --genome-bins 0", "--genome-bins must be at least 1 bp, got 0"),
        ("count brain.bam --genome-bins 50 --feature exon", "--feature needs --regions"),
        ("count brain.bam --regions peaks.bed --feature exon", "--feature "),
        ("count liver.tagAlign.gz --regions peaks.bed", "liver.tagAlign.gz: the genome is needed"),
        ("count - --regions peaks.bed", "-: the genome is needed"),
        ("count . --regions peaks.bed --genome small.sizes", ".: is a directory. Give the files in it"),
        ("count brain.bam --regions peaks.bed -s -S", "-s and -S cannot be used together"),
        ("count brain.bam --regions peaks.bed --center --five-prime", "--five-prime and --center cannot be used"),
        ("count brain.bam --regions peaks.bed --format csv", "--format must be one of tsv, parquet, multicov, bed"),
        ("count brain.bam --regions peaks.bed --format tsv --format parquet", "--format names several formats"),
        ("count brain.bam --regions peaks.bed -f 0", "--overlap-fraction"),
        ("count brain.bam --regions peaks.bed -f 1.5", "--overlap-fraction"),
        ("count brain.bam --regions peaks.bed -t 0", ""),
    ],
)
def test_wrong_usage(folder: Path, arguments: str, message: str) -> None:
    ran = dc(*arguments.split(), "--out", "counts.tsv")
    assert ran.code == 2
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not Path("counts.tsv").exists()


def test_compressed_text_is_refused(folder: Path) -> None:
    ran = count("-o", "counts.tsv.gz")
    assert ran.code == 2
    assert "counts.tsv.gz: text is written uncompressed" in last_error(ran)


@pytest.mark.parametrize("missing", ["brain.bam", "peaks.bed", "small.sizes"])
def test_missing_input(folder: Path, missing: str) -> None:
    Path(missing).unlink()
    ran = count("-o", "counts.tsv")
    assert ran.code == 66
    assert missing in last_error(ran)
    assert not Path("counts.tsv").exists()


def test_headers_must_agree(folder: Path) -> None:
    write_bam(Path("other.bam"), {**SIZES, "chr2": 5001}, RECORDS)
    ran = dc("count", "brain.bam", "other.bam", "--regions", "peaks.bed", "-o", "counts.tsv")
    assert ran.code == 65
    expected = "other.bam: has other chromosomes than brain.bam ('chr2': 5,001 bp here, 5,000 bp there)"
    assert expected in last_error(ran)
    write_bam(Path("same.bam"), dict(reversed(SIZES.items())), RECORDS)
    assert dc("count", "brain.bam", "same.bam", "--regions", "peaks.bed", "-o", "counts.tsv").code == 0


def test_equal_names_get_numbers(folder: Path) -> None:
    os.mkdir("b")
    for name in ("b/brain.bam", "b/start.bam"):
        Path(name).write_bytes(Path("brain.bam").read_bytes())
    assert dc("count", "brain.bam", "b/brain.bam", "b/start.bam", "--regions", "peaks.bed", "-o", "c.tsv").code == 0
    assert Path("c.tsv").read_text().split("\n")[0].split("\t")[-3:] == ["brain", "brain.2", "start.2"]


def test_standard_input(folder: Path) -> None:
    ran = dc("count", "-", "--regions", "peaks.bed", "--genome", "small.sizes", "-o", "c.tsv", stdin=READS)
    assert ran.code == 0
    header, *rows = Path("c.tsv").read_text().splitlines()
    assert header.endswith("\tstdin")
    assert [int(row.split("\t")[-1]) for row in rows] == expected_columns()[0]


def test_reads_that_do_not_count_are_reported(folder: Path) -> None:
    Path("black.bed").write_text("chr1\t0\t60\n")
    Path("few.bed").write_text("chr1\t10\t46\tN\t0\t+\nchr1\t3\t39\tN\t0\t-\nchr1\t300\t336\tN\t0\t+\n")
    ran = dc(
        *("count", "few.bed", "--regions", "peaks.bed", "--genome", "small.sizes", "-o", "c.tsv"),
        *("--shift", 40, "--blacklist", "black.bed"),
    )
    assert ran.code == 0
    assert ", 0.0% in regions, 1 shifted off their chromosome, 1 on the blacklist\n" in ran.err
    Path("pairs.bedpe").write_text("chr1\t1\t9\tchr1\t20\t30\nchr1\t1\t9\tchr2\t20\t30\n")
    command = (
        "count",
        "pairs.bedpe",
        "--regions",
        "peaks.bed",
        "--genome",
        "small.sizes",
        "-o",
        "d.tsv",
        "--fragments",
    )
    assert ", 1 records or lines that stand for no fragment\n" in dc(*command).err


def test_signal_is_a_column_of_floats(folder: Path) -> None:
    write_bigwig(Path("signal.bw"), SIZES, [("chr1", 100, 150, 3.0), ("chr2", 0, 10, 0.5)])
    options = ("--regions", "peaks.bed", "--genome", "small.sizes")
    ran = dc("count", "signal.bw", "brain.bam", *options, "-o", "c.tsv")
    assert ran.code == 0
    assert ran.err.startswith("signal.bw: signal averaged in ")
    rows = [line.split("\t")[-2:] for line in Path("c.tsv").read_text().splitlines()]
    assert rows[0] == ["signal", "brain"]
    assert [float(row[0]) for row in rows[1:]] == pytest.approx([1.5, 0.001, 0, 0])
    assert [int(row[1]) for row in rows[1:]] == expected_columns()[1]
    ran = dc("count", "signal.bw", *options, "-o", "c.txt", "--format", "multicov")
    assert ran.code == 2
    assert "--format multicov holds whole numbers only, but signal is a signal" in last_error(ran)
    assert not Path("c.txt").exists()


def test_quality_of_the_reads(folder: Path) -> None:
    assert count("-o", "c.tsv", "--qc", "qc").code == 0
    table = pl.read_csv("qc/qc.tsv", separator="\t")
    assert table["file"].to_list() == ["liver", "brain"]
    assert table["reads"].to_list() == [58, 37]
    Path("qc/qc.tsv").write_text("mine")
    ran = count("-o", "d.tsv", "--qc", "qc")
    assert ran.code == 2
    assert "qc/qc.tsv: not a table of deepchrome" in last_error(ran)
    assert not Path("d.tsv").exists()


def test_formats_of_reads_that_look_like_something_else(folder: Path) -> None:
    Path("numbers.bed").write_text("".join(f"chr1\t{start}\t{start + 9}\t{start}\n" for start in range(0, 300, 10)))
    options = ("--regions", "peaks.bed", "--genome", "small.sizes", "-o", "c.tsv")
    ran = dc("count", "numbers.bed", *options)
    assert ran.code == 65
    assert "--format bed" in last_error(ran)
    assert not Path("c.tsv").exists()
    assert dc("count", "numbers.bed", *options, "--format", "bed").code == 0
    expected = regions.count(
        regions.text_alignments(Path("numbers.bed").read_bytes()), regions.bed_regions(BED.encode())
    )
    assert [int(line.split("\t")[-1]) for line in Path("c.tsv").read_text().splitlines()[1:]] == expected
