"""dc bench many: a quick run, the comparison of counts, and the projection."""

import json
from pathlib import Path

import pytest
from support.tiny import dc

from deepchrome.benchmarks.common.results import read_results
from deepchrome.benchmarks.common.tables import format_seconds
from deepchrome.benchmarks.maintain.sections import many_section
from deepchrome.benchmarks.many.measure import compare_with_single_files, project
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


def test_projection() -> None:
    """20 s on one core and 11 s on two; without 1 s of start-up, 19 s and 10 s: an efficiency of 0.95."""
    figures = project(20.0, 11.0, 1.0, 1.0, 2, 100_000_000)
    assert figures["efficiency"] == pytest.approx(20 / 22)
    assert figures["efficiency_without_start"] == pytest.approx(0.95)
    seconds = 19e9 / (100e6 / 10)
    assert figures["remc_minutes_2_cores"] == pytest.approx(seconds / 60)
    assert figures["remc_mb_per_second_2_cores"] == pytest.approx(150e9 / seconds / 1e6)
    assert figures["remc_minutes_64_cores"] == pytest.approx(seconds / 60 / 32)
    assert "remc_minutes_2_cores" not in project(1.5, 1.4, 1.0, 1.0, 2, 1000)
