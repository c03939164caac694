"""Saved results: compared row by row, and refused if damaged."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.tiny import dc

from deepchrome.errors import StorageError

pytestmark = pytest.mark.bedtools


def test_compare_reports_slower_rows(quick_run, tmp_path: Path) -> None:
    results, saved = quick_run.results, quick_run.saved
    name = "engine, BAM, 2 threads"
    rows = [replace(row, wall=[2 * wall for wall in row.wall]) if row.name == name else row for row in results.rows]
    slower = replace(results, rows=rows).save(tmp_path)
    ran = dc("bench", "compare", saved, slower, "--json")
    assert ran.code == 0
    found = {row["name"]: row for row in ran.json()}
    assert found.pop(name).items() >= {"ratio": 2.0, "verdict": "slower"}.items()
    assert {row["verdict"] for row in found.values()} == {""}
    ran = dc("bench", "compare", saved, slower, "--fail")
    assert ran.code == 65
    assert f"1 of {len(rows)} rows are slower than in {saved} ({name})" in ran.err
    assert dc("bench", "compare", slower, saved, "--fail").code == 0


def test_noise_within_the_range_is_not_slower(quick_run, tmp_path: Path) -> None:
    results = quick_run.results
    noisy = replace(results.rows[0], wall=[1.0, 1.1, 1.5], cpu=[1.0] * 3, rss_mib=[1.0] * 3)
    later = replace(noisy, wall=[1.2, 1.3, 1.4])
    paths = [replace(results, rows=[row]).save(tmp_path / name) for name, row in (("a", noisy), ("b", later))]
    assert dc("bench", "compare", *paths, "--fail").code == 0


@pytest.mark.parametrize("damage", ["schema", "rows", "wall", "json"])
def test_damaged_results_are_refused(quick_run, tmp_path: Path, damage: str) -> None:
    document = quick_run.results.to_document()
    if damage == "wall":
        document["rows"][0]["wall"] = ["fast"]
    elif damage == "rows":
        del document["rows"]
    else:
        document["schema"] = 1
    (tmp_path / "featurize.json").write_text("{" if damage == "json" else json.dumps(document))
    ran = dc("bench", "compare", tmp_path, tmp_path)
    assert ran.code == 65
    assert f"{tmp_path}/featurize.json: not benchmark results in schema 2" in ran.err


@pytest.mark.campaign("strangers")
def test_files_of_other_programs_are_not_replaced(quick_run, tmp_path: Path) -> None:
    directory = quick_run.results.save(tmp_path)
    assert quick_run.results.save(tmp_path) == directory
    (directory / "featurize.json").write_text("of another program")
    with pytest.raises(StorageError, match="not saved by a benchmark"):
        quick_run.results.save(tmp_path)
    assert (directory / "featurize.json").read_text() == "of another program"
