"""qc.tsv: its values against samtools, pysam and naive code, its empty cells, and its rows of several runs."""

import csv
import json
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pysam
import pytest
from oracle import naive, quality
from support.quality import (
    measured_by_oracle,
    random_records,
    with_quality,
    write_records,
    write_small_genome,
)
from support.tiny import GENES, dc, reads_text

from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.quality import ReadQuality
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.multiqc import REPORT_NAMES, write_qc_report
from deepchrome.engine.features.qc import QC_COLUMNS, mitochondrial_fraction, qc_rows, write_qc
from deepchrome.errors import StorageError, UsageError

QC_CELLS = ("duplicates", "fraction_duplicates", "forward_fraction", "read_length_median", "nrf", "fraction_chrM")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two BAM files, one with flags and one without, a BED file, and the genome with chrM."""
    write_small_genome(tmp_path)
    write_records(tmp_path / "E1-A.bam", random_records(700, 1))
    write_records(tmp_path / "E1-B.bam", random_records(500, 2, flags=False))
    (tmp_path / "E2-A.tagAlign").write_bytes(reads_text(400, 3))
    return tmp_path


@pytest.fixture(autouse=True)
def oracle() -> Iterator[None]:
    with measured_by_oracle():
        yield


def featurize(folder: Path, *arguments: object) -> str:
    options = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / "out")
    done = dc("featurize", *(arguments or (folder,)), *options)
    assert done.code == 0, done.err
    return done.out


def table(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "out" / "qc.tsv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {f"{row['epigenome']}-{row['mark']}": row for row in rows}


def tally(path: Path, folder: Path, **options: Any) -> ReadTally:
    placed = tss_windows(read_genes(folder / "genes.tsv"), read_genome(folder / "small.sizes"))
    counted = tally_reads(path, placed, options=ReadOptions(**options))
    return with_quality(path, counted, options.get("min_mapq", 0))


@pytest.mark.bedtools
@pytest.mark.skipif(not shutil.which("samtools"), reason="needs samtools")
def test_duplicates_and_records_are_those_of_samtools(folder: Path) -> None:
    featurize(folder)
    row = table(folder)["E1-A"]
    bam = folder / "E1-A.bam"
    flagstat = json.loads(
        subprocess.run(["samtools", "flagstat", "-O", "json", bam], capture_output=True, check=True).stdout
    )
    total = sum(part["total"] for part in flagstat.values())
    duplicates = sum(part["duplicates"] for part in flagstat.values())
    assert int(row["duplicates"]) == duplicates > 0
    assert int(row["reads"]) + int(row["records_filtered"]) == total == 700
    assert float(row["fraction_duplicates"]) == pytest.approx(duplicates / total, abs=1e-6)
    kept = subprocess.run(["samtools", "view", "-c", "-F", "1540", bam], capture_output=True, check=True).stdout
    assert int(row["reads"]) == int(kept)
    on_m = subprocess.run(["samtools", "view", "-F", "1540", bam], capture_output=True, check=True, text=True).stdout
    share = sum(line.split("\t")[2] == "chrM" for line in on_m.splitlines()) / int(kept)
    assert float(row["fraction_chrM"]) == pytest.approx(share, abs=1e-6)
    assert share > 0


def test_row_of_a_bam_file(folder: Path) -> None:
    """Every column against pysam, by code that shares nothing with the engine."""
    featurize(folder)
    row, bam = table(folder)["E1-B"], folder / "E1-B.bam"
    with pysam.AlignmentFile(str(bam)) as file:
        records = list(file.fetch(until_eof=True))
    lengths = [record.reference_length for record in records]
    reads = naive.bam_reads(bam)
    inside = [read for read in reads if naive.in_a_window(read, GENES, 5000)]
    positions = [quality.five_prime(read) for read in inside]
    times = {position: positions.count(position) for position in positions}
    once, twice = (sum(n == k for n in times.values()) for k in (1, 2))
    assert tuple(row) == QC_COLUMNS
    assert (row["file"], row["format"]) == ("E1-B.bam", "BAM")
    assert int(row["reads"]) == len(records) == 500
    assert int(row["reads_in_regions"]) == len(inside)
    assert float(row["fraction_in_regions"]) == pytest.approx(len(inside) / 500, abs=1e-6)
    forward = sum(read.strand == "+" for read in inside) / len(inside)
    assert float(row["forward_fraction"]) == pytest.approx(forward, abs=1e-6)
    assert (int(row["read_length_min"]), int(row["read_length_max"])) == (min(lengths), max(lengths))
    assert float(row["read_length_median"]) == statistics.median(lengths)
    assert float(row["read_length_mean"]) == pytest.approx(statistics.fmean(lengths), abs=1e-6)
    assert float(row["nrf"]) == pytest.approx(len(times) / len(positions), abs=1e-6)
    assert float(row["pbc1"]) == pytest.approx(once / len(times), abs=1e-6)
    assert float(row["pbc2"]) == pytest.approx(once / twice, abs=1e-6)
    assert (int(row["positions_sampled"]), int(row["reads_sampled"])) == (len(times), len(positions))
    assert float(row["fraction_sampled"]) == 1
    zeros = {name for name in QC_COLUMNS if name.startswith("filtered_")} | {"records_filtered", "duplicates"}
    assert {row[name] for name in zeros} == {"0"}
    assert (row["reads_off_genome"], row["reads_past_end"]) == ("0", "0")
    assert float(row["seconds"]) > 0


def test_filtered_records_by_reason(folder: Path) -> None:
    """The reasons add up to all records left out; a reason that has no column is counted as other."""
    counted = tally(folder / "E1-A.bam", folder, min_mapq=20)
    (file,) = qc_rows(["a"], [counted])
    row = file.row()
    with pysam.AlignmentFile(str(folder / "E1-A.bam")) as bam:
        records = list(bam.fetch(until_eof=True))
    assert row["filtered_unplaced"] == sum(record.reference_id < 0 for record in records) > 0
    assert row["filtered_duplicate"] == sum(record.is_duplicate for record in records) > 0
    assert row["filtered_qc_fail"] == sum(record.is_qcfail for record in records) > 0
    low = sum(
        r.reference_id >= 0 and not r.is_duplicate and not r.is_qcfail and r.mapping_quality < 20 for r in records
    )
    assert row["filtered_low_mapq"] == low > 0
    assert (row["filtered_improper"], row["filtered_other"]) == (0, 0)
    assert sum(row[name] for name in QC_COLUMNS if name.startswith("filtered_")) == row["records_filtered"]
    assert counted.quality
    moved = {**counted.quality.record(), "filtered": {"duplicate": 1, "too_long": 7}}
    (file,) = qc_rows(["a"], [replace(counted, quality=ReadQuality.from_record(moved))])
    assert file.row()["filtered_other"] == 7


def test_text_has_no_flags(folder: Path) -> None:
    """The cells of flags are empty for text, not 0; those of reads are filled."""
    featurize(folder)
    row = table(folder)["E2-A"]
    flags = {name for name in QC_COLUMNS if name.startswith("filtered_")} | {"duplicates", "fraction_duplicates"}
    assert {row[name] for name in flags} == {""}
    assert (row["reads"], row["format"], row["read_length_median"]) == ("400", "BED", "36")
    assert 0 < float(row["nrf"]) <= 1


def test_no_complexity_without_duplicates(folder: Path) -> None:
    """If flagged duplicates were left out, the other reads do not show the complexity of the library."""
    left_out, counted = tally(folder / "E1-A.bam", folder), tally(folder / "E1-B.bam", folder)
    assert left_out.quality
    assert left_out.quality.positions
    names = ("nrf", "pbc1", "pbc2", "positions_sampled", "reads_sampled", "fraction_sampled")
    without, with_all = (file.row() for file in qc_rows(["a", "b"], [left_out, counted]))
    assert {without[name] for name in names} == {None}
    assert None not in {with_all[name] for name in names}


def test_file_that_fails_has_empty_cells(folder: Path) -> None:
    (folder / "E2-A.tagAlign").write_bytes(b"chr1\t5\n")
    options = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / "out")
    assert dc("featurize", folder, *options).code == 65
    rows = table(folder)
    assert {name for name, value in rows["E2-A"].items() if value} == {"epigenome", "mark", "file"}
    assert rows["E1-A"]["reads"]


def test_runs_replace_their_rows_only(folder: Path) -> None:
    """Another epigenome's rows stay; the row of a kept file stays with its time; a changed file gets a new row."""
    featurize(folder, folder / "E1-A.bam", folder / "E1-B.bam")
    first = table(folder)
    featurize(folder, folder / "E2-A.tagAlign")
    assert list(table(folder)) == ["E1-A", "E1-B", "E2-A"]
    featurize(folder)  # keeps all
    kept = table(folder)
    assert {name: kept[name] for name in first} == first
    (folder / "E2-A.tagAlign").write_bytes(reads_text(300, 4))
    featurize(folder)
    assert table(folder)["E2-A"]["reads"] == "300"
    assert {name: table(folder)[name] for name in first} == first


def test_kept_file_gives_its_row_again(folder: Path) -> None:
    """The row of a kept file comes from its feature file: all of it except the time."""
    featurize(folder)
    first = table(folder)
    (folder / "out" / "qc.tsv").unlink()
    featurize(folder)
    assert table(folder) == {name: {**row, "seconds": ""} for name, row in first.items()}


def test_feature_file_of_an_earlier_version(folder: Path) -> None:
    """Its record has no quality. The cells of the other values are filled, and those of the quality are empty."""
    with patch("support.quality.as_quality", return_value=None):
        featurize(folder)
    rows = table(folder)
    (folder / "out" / "qc.tsv").unlink()
    featurize(folder)
    for row in (rows["E1-A"], table(folder)["E1-A"]):
        assert {row[name] for name in QC_CELLS} == {""}
        assert (row["reads"], row["read_length_min"]) == (rows["E1-A"]["reads"], "36")


@pytest.mark.parametrize("name", ["qc.tsv", *REPORT_NAMES])
@pytest.mark.parametrize("content", ["sample\treads\nmine\t5\n", '{"id": "mine", "data": {}}', "[1]", "\udcff"])
def test_file_of_another_program_is_refused(name: str, content: str, folder: Path) -> None:
    (folder / "out").mkdir()
    mine = content.encode("utf-8", "surrogateescape")
    (folder / "out" / name).write_bytes(mine)
    options = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / "out")
    done = dc("featurize", folder, *options)
    assert (done.code, sorted(path.name for path in (folder / "out").glob("[!.]*"))) == (2, [name])
    assert f"{name}: not " in done.err
    assert "Use --force to replace it." in done.err
    assert (folder / "out" / name).read_bytes() == mine
    assert dc("featurize", folder, *options, "--force").code == 0
    assert (folder / "out" / name).read_bytes() != mine
    assert dc("featurize", folder, *options).code == 0


def test_report_of_a_few_files(folder: Path) -> None:
    """What ``dc count`` writes: a row per file in the given order, with its name, and the report."""
    names = ["b.bam", "a.bam"]
    tallies = [tally(folder / "E1-B.bam", folder), tally(folder / "E1-A.bam", folder)]
    write_qc_report(folder / "new" / "report", names, tallies)
    lines = (folder / "new" / "report" / "qc.tsv").read_text().splitlines()
    assert [line.split("\t")[:3] for line in lines[1:]] == [["", "", "b.bam"], ["", "", "a.bam"]]
    assert [int(line.split("\t")[4]) for line in lines[1:]] == [one.reads for one in tallies]
    assert {path.name for path in (folder / "new" / "report").glob("[!.]*")} == {"qc.tsv", *REPORT_NAMES}
    write_qc_report(folder / "new" / "report", names[:1], tallies[:1])
    assert len((folder / "new" / "report" / "qc.tsv").read_text().splitlines()) == 2
    (folder / "new" / "report" / "qc.tsv").write_text("mine\n")
    with pytest.raises(UsageError, match=r"qc\.tsv: not a table"):
        write_qc_report(folder / "new" / "report", names, tallies)
    write_qc_report(folder / "new" / "report", names, tallies, force=True)
    assert len((folder / "new" / "report" / "qc.tsv").read_text().splitlines()) == 3


def test_names_that_are_not_text(folder: Path) -> None:
    """A file name may have tabs, line ends and bytes that are not UTF-8."""
    counted = tally(folder / "E1-B.bam", folder)
    write_qc(folder / "qc.tsv", qc_rows(["a\tb\nc\udcff.bam"], [counted]))
    (line,) = (folder / "qc.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert line.split("\t")[2] == "a b c\\udcff.bam"


def test_table_that_cannot_be_written(folder: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        write_qc(folder / "absent" / "qc.tsv", [])


@pytest.mark.parametrize(
    ("on_genome", "off_genome", "expected"),
    [
        ({"chr1": 8, "chrM": 2}, {}, 0.2),
        ({"1": 8, "MT": 2}, {}, 0.2),
        ({"chr1": 8}, {"chrM": 2}, 0.2),
        ({"chr1": 10}, {}, 0.0),
        ({"chr1": 8}, {"": 2}, None),
        ({"chrM": 5}, {"": 5}, 0.5),
        ({}, {}, None),
    ],
)
def test_mitochondrial_fraction(on_genome: dict[str, int], off_genome: dict[str, int], expected: float | None) -> None:
    measured = ReadQuality({}, None, 0, 0, np.zeros(2, np.int64), on_genome, None)
    reads = sum(on_genome.values()) + sum(off_genome.values())
    assert mitochondrial_fraction(measured, off_genome, reads) == expected
