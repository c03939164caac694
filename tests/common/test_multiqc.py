"""Sections for MultiQC: names that it keeps, and files of other programs."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from support.multiqc import MULTIQC, needs_multiqc

from deepchrome.common.multiqc import Section, keeps_name, section_is_foreign, write_sections
from deepchrome.errors import StorageError

NAMES = ("E003-H3K4me3", "E003-H2A.Z", "K562_rep1-H3.3", "CD4+_T-cells-H3K27ac", "E003", "pooled", "E003~2")
PROGRAM = "import json; from multiqc import config; print(json.dumps([config.fn_clean_exts, config.fn_clean_trim]))"


@needs_multiqc
def test_names_that_multiqc_changes_are_known() -> None:
    """Every pattern of its default configuration that can occur in a name is recognized."""
    assert MULTIQC
    python = Path(MULTIQC).read_text().splitlines()[0].removeprefix("#!")
    done = subprocess.run([python, "-c", PROGRAM], capture_output=True, text=True, check=True)
    truncated, trimmed = json.loads(done.stdout.splitlines()[-1])
    patterns = [one if isinstance(one, str) else one["pattern"] for one in truncated]
    assert len(patterns) > 100
    assert [one for one in patterns if keeps_name(f"liver{one}-H3K4me3")] == []
    assert [one for one in trimmed if keeps_name(f"{one}liver-H3K4me3")] == []
    assert [one for one in trimmed if keeps_name(f"liver-H3K4me3{one}")] == []


@pytest.mark.parametrize("name", NAMES)
def test_usual_names_are_kept(name: str) -> None:
    assert keeps_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "liver.sorted-A", "x.bam", "_x", "x-", "<b>", "runs_1-A", "a b", "accs-A"])
def test_other_names_are_not_kept(name: str) -> None:
    assert not keeps_name(name)


@pytest.mark.parametrize(
    ("content", "foreign"),
    [
        (b"", False),
        (b'{"made_by": "deepchrome"}', False),
        (b'{"id": "deepchrome_reads_table", "data": {}}', True),
        (b"[]", True),
        (b"\xff", True),
        (b"[" * 100_000, True),
        (b'{"made_by": "deepchrome"', True),
    ],
)
def test_files_of_other_programs(content: bytes, foreign: bool, tmp_path: Path) -> None:
    (tmp_path / "x_mqc.json").write_bytes(content)
    assert section_is_foreign(tmp_path / "x_mqc.json") is foreign


def test_places_without_a_file(tmp_path: Path) -> None:
    assert not section_is_foreign(tmp_path / "absent")
    assert section_is_foreign(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    assert section_is_foreign(tmp_path / "link")
    section = Section("x_mqc.json", "x", "X", "", "table", {"a": {"b": 1}})
    with pytest.raises(StorageError, match="cannot be written"):
        write_sections(tmp_path / "absent", [section])
    write_sections(tmp_path, [section])
    assert not section_is_foreign(tmp_path / "x_mqc.json")


def test_section_without_data_only_replaces(tmp_path: Path) -> None:
    empty = Section("x_mqc.json", "x", "X", "", "table", {})
    write_sections(tmp_path, [empty])
    assert not (tmp_path / "x_mqc.json").exists()
    write_sections(tmp_path, [replace(empty, data={"a": {"b": 1}})])
    assert json.loads((tmp_path / "x_mqc.json").read_text())["data"] == {"a": {"b": 1}}
    write_sections(tmp_path, [empty])
    assert json.loads((tmp_path / "x_mqc.json").read_text())["data"] == {}


def test_names_that_are_not_kept_are_in_a_list() -> None:
    """MultiQC cleans no names in a list, but shows only the last of several lists with one id."""
    rows = {"liver.sorted-A": {"b": 1}, "E003-A": {"b": 2}}
    table = Section("x_mqc.json", "x", "X", "", "table", rows)
    document, other = table.document(), replace(table, data={**rows, "E003-B": {"b": 2}}).document()
    assert document["data"] == [rows]
    assert document["id"] != other["id"]
    assert document["pconfig"]["id"] == f"{document['id']}_plot"
    assert replace(table, plot="generalstats").document()["data"] == {"E003-A": {"b": 2}}
    kept = replace(table, data={"E003-A": {"b": 2}}).document()
    assert (kept["id"], kept["data"]) == ("x", {"E003-A": {"b": 2}})
