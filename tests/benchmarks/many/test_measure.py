"""dc bench many: a quick run, the comparison of counts, and the projection."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.tiny import dc

from deepchrome.benchmarks.common.results import Results, Row, read_results
from deepchrome.benchmarks.common.tables import format_seconds
from deepchrome.benchmarks.maintain.sections import many_section, scale_section
from deepchrome.benchmarks.many.measure import compare_with_single_files, compute_rates, project_remc
from deepchrome.errors import BadDataError


def test_quick_run(tmp_path: Path) -> None:
    ran = dc("bench", "many", "--quick", "--data", tmp_path / "data", "--save", tmp_path / "results", "--json")
    assert ran.code == 0, ran.err
    (saved,) = (tmp_path / "results").iterdir()
    results = read_results(saved)
    assert json.loads((saved / "many.json").read_text()) == ran.json() == results.to_document()
    compared = [(parity.cells, parity.different, parity.work) for parity in results.parity]
    assert compared == [(10 * 200 * 100, 0, 50_000)] * 2
    one, several = results.row("many", "one core"), results.row("many", "2 cores")
    assert one
    assert several
    assert one.work == several.work == 50_000
    assert results.figures["efficiency"] == pytest.approx(one.seconds / several.seconds / 2)
    text = many_section(results, "there")
    assert f"| one core | {format_seconds(one.seconds)} s |" in text
    assert "10 files of 5,000 reads" in text


def test_counts_that_differ_from_single_files_are_refused(tmp_path: Path) -> None:
    ran = dc("simulate", "--out", tmp_path / "data", "--epigenomes", 1, "--genes", 20, "--reads", 2000)
    assert ran.code == 0
    genes, features = tmp_path / "data" / "genes.tsv", tmp_path / "features"
    assert dc("featurize", tmp_path / "data", "--genes", genes, "--genome", "hg19", "--out", features).code == 0
    files = sorted((tmp_path / "data").glob("*.tagAlign.gz"))
    assert compare_with_single_files(files, genes, features, "all").different == 0
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(BadDataError, match="of 10,000 counts differ from those of single files"):
        compare_with_single_files(files, genes, features, "all")


def test_rates() -> None:
    """20 s on one core and 11 s on two; without 1 s of start-up, 19 s and 10 s: an efficiency of 0.95."""
    figures = compute_rates(20.0, 11.0, 1.0, 1.0, 2, 100_000_000)
    assert figures["speedup"] == pytest.approx(20 / 11)
    assert figures["efficiency"] == pytest.approx(20 / 22)
    assert figures["efficiency_without_start"] == pytest.approx(0.95)
    assert "efficiency_without_start" not in compute_rates(1.5, 1.4, 1.0, 1.0, 2, 1000)


def test_projection_uses_the_measured_rate_of_files_of_full_size() -> None:
    """300 million reads in 10 files in 5.5 s on 2 cores, 0.5 s of it start-up: 16.39 billion take 273.1 + 0.5 s."""
    figures = project_remc(5.5, 0.5, 2, 300_000_000, 10)
    seconds = 0.5 + 16_388_942_777 / 60e6
    assert figures["remc_minutes_2_cores"] == pytest.approx(seconds / 60)
    assert figures["remc_minutes_64_cores"] == pytest.approx((0.5 + 16_388_942_777 / 60e6 / 32) / 60)
    assert figures["remc_mb_per_second_2_cores"] == pytest.approx(150e9 / seconds / 1e6)
    assert "remc_minutes_2_cores" not in project_remc(5.5, 0.5, 2, 250_000_000, 10)


def test_sections_project_only_from_files_of_full_size() -> None:
    settings = {"files": 10, "reads": 30_000_000, "bins": 1_980_200, "cores": 2, "rounds": 1}
    rows = [Row("many", "one core", 300_000_000, [9.0], [9.0], [300.0])]
    figures = {**compute_rates(9.0, 5.0, 0.5, 0.5, 2, 300_000_000), **project_remc(5.0, 0.5, 2, 300_000_000, 10)}
    results = Results.create("many", "dc bench many", {}, settings=settings, rows=rows, figures=figures)
    text = scale_section(results, "there")
    assert "| all of Roadmap: 635 files, 16.39 billion reads, 150 GB |" in text
    assert "| 2 cores | 4.1 |" in text
    assert "1.80 times that on one core (goal: 1.9)" in text
    assert "earlier measurement" not in text
    old = replace(results, settings={**settings, "reads": 1_000_000})
    text = " ".join(scale_section(old, "there").split())
    assert "all of Roadmap" not in text
    assert "earlier measurement, of files with 1 million reads" in text
