"""The campaign: its test files exist, its newest results have every row, and the document shows them."""

import json

from campaign import report, run
from campaign.rows import ROWS


def test_files_of_the_parts_exist() -> None:
    for files in run.PARTS.values():
        assert [file for file in files if not (run.TESTS / file).is_file()] == []


def test_document_shows_the_newest_results() -> None:
    text = report.DOCUMENT.read_text(encoding="utf-8")
    table = report.format_table(json.loads(report.newest_results().read_bytes()))
    assert f"{report.BEGIN}\n{table}\n{report.END}" in text


def test_newest_results_have_every_row() -> None:
    assert json.loads(report.newest_results().read_bytes())["rows"].keys() == ROWS.keys()
