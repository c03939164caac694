"""The report of FEATURES, read back from what MultiQC itself makes of it."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pysam
import pytest
from oracle import naive, quality
from support.multiqc import multiqc, needs_multiqc
from support.quality import random_records, write_records, write_small_genome
from support.tiny import GENES, dc, reads_text

from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.features.multiqc import REPORT_NAMES, report_sections, write_qc_report
from deepchrome.engine.features.qc import qc_rows

FILES = {"E1-A": (700, 1), "E1-B": (500, 2), "E2-A": (300, 3)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three BAM files without flags of two epigenomes, and the genome with chrM."""
    write_small_genome(tmp_path)
    for name, (n, seed) in FILES.items():
        write_records(tmp_path / f"{name}.bam", random_records(n, seed, flags=False))
    return tmp_path


def featurize(folder: Path, *names: str, out: str = "out", code: int = 0) -> Path:
    options = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / out)
    done = dc("featurize", *([folder / name for name in names] or [folder]), *options)
    assert done.code == code, done.err
    return folder / out


def documents(out: Path) -> dict[str, Any]:
    return {name: json.loads((out / name).read_text()) for name in REPORT_NAMES}


def expected(bam: Path) -> dict[str, float]:
    """Return numbers of a BAM file, from pysam and naive code."""
    reads = naive.bam_reads(bam)
    inside = [read for read in reads if naive.in_a_window(read, GENES, 5000)]
    at = Counter(map(quality.position, inside))
    once, twice = (sum(n == k for n in at.values()) for k in (1, 2))
    with pysam.AlignmentFile(str(bam)) as file:
        lengths = [record.reference_length for record in file.fetch(until_eof=True)]
    return {
        "reads": len(reads),
        "in_regions": 100 * len(inside) / len(reads),
        "duplicates": 0,
        "filtered": 0,
        "forward": 100 * sum(read.strand == "+" for read in inside) / len(inside),
        "length_min": min(lengths),
        "length_median": quality.median(lengths),
        "length_mean": sum(lengths) / len(lengths),
        "length_max": max(lengths),
        "nrf": len(at) / len(inside),
        "pbc1": once / len(at),
        "pbc2": once / twice,
        "positions": len(at),
        "off_genome": 0,
        "past_end": 0,
        "chr_m": 100 * sum(read.chrom == "chrM" for read in reads) / len(reads),
    }


@needs_multiqc
def test_multiqc_shows_the_right_values(folder: Path, tmp_path: Path) -> None:
    report = multiqc(tmp_path / "report", featurize(folder))
    saved = report["report_saved_raw_data"]
    table, general = saved["multiqc_deepchrome_reads_table_plot"], report["report_general_stats_data"]["custom_content"]
    lengths, bars = (saved[f"multiqc_deepchrome_reads_{name}_plot"] for name in ("lengths", "chromosomes"))
    assert list(table) == list(general) == list(lengths) == list(bars) == list(FILES)
    for name in FILES:
        bam = folder / f"{name}.bam"
        numbers = expected(bam)
        assert table[name] == pytest.approx(numbers, abs=1e-4)
        columns = ("reads", "in_regions", "duplicates", "nrf")
        assert general[name] == pytest.approx({column: numbers[column] for column in columns}, abs=1e-4)
        reads = naive.bam_reads(bam)
        of_length = Counter(read.end - read.start for read in reads)
        shown = {int(float(length)): share for length, share in lengths[name].items()}
        assert {length for length, share in shown.items() if share} == of_length.keys()
        assert shown == pytest.approx({length: 100 * of_length[length] / len(reads) for length in shown}, abs=1e-4)
        assert bars[name] == {**Counter(read.chrom for read in reads), "not in the genome": 0}
    assert list(bars["E1-A"]) == ["chr1", "chr2", "chrM", "not in the genome"]


@needs_multiqc
def test_multiqc_leaves_unknown_values_empty(folder: Path, tmp_path: Path) -> None:
    """Text has no duplicates. A BAM file without its duplicates has no complexity."""
    (folder / "E3-A.bed").write_bytes(reads_text(200, 5))
    write_records(folder / "E3-B.bam", random_records(300, 6))
    report = multiqc(tmp_path / "report", featurize(folder, "E3-A.bed", "E3-B.bam"))
    general = report["report_general_stats_data"]["custom_content"]
    assert set(general["E3-A"]) == {"reads", "in_regions", "nrf"}
    assert set(general["E3-B"]) == {"reads", "in_regions", "duplicates"}


@needs_multiqc
def test_names_that_multiqc_would_shorten(folder: Path, tmp_path: Path) -> None:
    """Both would become ``liver``, and one file would hide the other."""
    for mark, seed in (("A", 7), ("B", 8)):
        write_records(folder / f"liver.sorted-{mark}.bam", random_records(300 + seed, seed, flags=False))
    out = featurize(folder, "E1-A.bam", "liver.sorted-A.bam", "liver.sorted-B.bam")
    report = multiqc(tmp_path / "report", out)
    saved = report["report_saved_raw_data"]
    (table,) = (data for name, data in saved.items() if name.startswith("multiqc_deepchrome_reads_table"))
    assert {name: row["reads"] for name, row in table.items()} == {
        "E1-A": 700,
        "liver.sorted-A": 307,
        "liver.sorted-B": 308,
    }
    assert list(report["report_general_stats_data"]["custom_content"]) == ["E1-A"]
    # Two directories give two tables, because MultiQC joins no lists.
    write_records(folder / "liver.sorted-C.bam", random_records(50, 9, flags=False))
    report = multiqc(tmp_path / "both", out, featurize(folder, "liver.sorted-C.bam", out="out2"))
    tables = [d for n, d in report["report_saved_raw_data"].items() if n.startswith("multiqc_deepchrome_reads_table")]
    assert sorted(name for table in tables for name in table) == ["E1-A", *(f"liver.sorted-{mark}" for mark in "ABC")]


@needs_multiqc
def test_two_directories_in_one_report(folder: Path, tmp_path: Path) -> None:
    one, two = featurize(folder, "E1-A.bam"), featurize(folder, "E2-A.bam", out="out2")
    report = multiqc(tmp_path / "report", one, two)
    table = report["report_saved_raw_data"]["multiqc_deepchrome_reads_table_plot"]
    assert {name: row["reads"] for name, row in table.items()} == {"E1-A": 700, "E2-A": 300}


def test_report_has_all_epigenomes_of_the_directory(folder: Path) -> None:
    """Those of earlier runs come from their feature files, and a run that keeps everything writes the same report."""
    whole = documents(featurize(folder, out="whole"))
    featurize(folder, "E2-A.bam")
    assert list(documents(folder / "out")["deepchrome_mqc.json"]["data"]) == ["E2-A"]
    featurize(folder, "E1-A.bam", "E1-B.bam")
    assert documents(folder / "out") == whole
    for name in REPORT_NAMES:
        (folder / "out" / name).unlink()
    featurize(folder)
    assert documents(folder / "out") == whole
    (folder / "out" / "E1.parquet").write_bytes(b"damaged")
    featurize(folder, "E2-A.bam")
    assert list(documents(folder / "out")["deepchrome_mqc.json"]["data"]) == ["E2-A"]


def test_file_that_fails_is_not_shown(folder: Path) -> None:
    (folder / "E3-A.bed").write_bytes(b"chr1\t5\n")
    featurize(folder, code=65)
    for document in documents(folder / "out").values():
        assert list(document["data"]) == list(FILES)


def test_names_from_data_are_not_markup(folder: Path) -> None:
    """Names of files and chromosomes come from others."""
    placed = tss_windows(read_genes(folder / "genes.tsv"), read_genome(folder / "small.sizes"))
    counted = tally_reads(folder / "E1-A.bam", placed)
    assert counted.quality
    evil = replace(counted.quality, reads_on={"<img src=x onerror=alert(1)>": 5})
    text = json.dumps(
        [one.document() for one in report_sections(qc_rows(["<b>.bam\udcff"], [replace(counted, quality=evil)]))]
    )
    assert "&lt;b&gt;.bam\\\\udcff" in text
    assert "&lt;img" in text
    assert "<img" not in text
    assert "<b>" not in text


def test_many_chromosomes_are_summed(folder: Path) -> None:
    placed = tss_windows(read_genes(folder / "genes.tsv"), read_genome(folder / "small.sizes"))
    counted = tally_reads(folder / "E1-A.bam", placed)
    assert counted.quality
    reads_on = {"chrX": 900, **{f"chr{i}": 1000 - i for i in range(1, 23)}, **{f"scaffold{i}": i for i in range(1, 8)}}
    changed = replace(counted, quality=replace(counted.quality, reads_on=reads_on), off_genome={"chrZ": 3, "": 4})
    (bar,) = report_sections(qc_rows(["a"], [changed]))[-1].data.values()
    names = [*(f"chr{i}" for i in range(1, 23)), "chrX", "scaffold6", "scaffold7"]
    assert list(bar) == [*names, "other chromosomes", "not in the genome"]
    assert bar["other chromosomes"] == 1 + 2 + 3 + 4 + 5
    assert bar["not in the genome"] == 7
    assert sum(bar.values()) == sum(reads_on.values()) + 7


def test_open_last_length_is_described(folder: Path) -> None:
    placed = tss_windows(read_genes(folder / "genes.tsv"), read_genome(folder / "small.sizes"))
    (folder / "long.bed").write_bytes(b"chr1\t100\t200\nchr1\t100\t90100\n")
    short, long = (tally_reads(folder / name, placed) for name in ("E1-A.bam", "long.bed"))
    assert "or more" not in report_sections(qc_rows(["a"], [short]))[2].description
    section = report_sections(qc_rows(["a", "b"], [short, long]))[2]
    assert long.quality
    bound = len(long.quality.lengths) - 1
    assert f"Reads of {bound:,} bp or more are shown at {bound:,} bp." in section.description
    assert section.data["b"] == {"99": 0, "100": 50, "101": 0, f"{bound - 1}": 0, f"{bound}": 50, f"{bound + 1}": 0}
    (row,) = qc_rows(["b"], [long])
    assert (row.row()["read_length_median"], row.row()["read_length_max"]) == (None, 90_000)


@needs_multiqc
def test_multiqc_shows_counted_files(folder: Path, tmp_path: Path) -> None:
    """The report of ``dc count`` has the names that it was given."""
    placed = tss_windows(read_genes(folder / "genes.tsv"), read_genome(folder / "small.sizes"))
    tallies = [tally_reads(path, placed) for path in (folder / "E1-A.bam", folder / "E2-A.bam")]
    write_qc_report(tmp_path / "qc", ["a.sorted.bam", "a.bam"], tallies)
    report = multiqc(tmp_path / "report", tmp_path / "qc")
    (table,) = (d for n, d in report["report_saved_raw_data"].items() if "deepchrome_reads_table" in n)
    assert {name: row["reads"] for name, row in table.items()} == {"a.sorted.bam": 700, "a.bam": 300}
