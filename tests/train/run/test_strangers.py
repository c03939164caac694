"""Files of others in a run directory are neither replaced nor removed, unless the user wants it."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.runs import CONFIG, random_datasets, train, visible

from deepchrome.errors import DeepchromeError, UsageError
from deepchrome.train.run.directory import Run
from deepchrome.train.run.layout import FILES, FOLDERS

pytestmark = pytest.mark.campaign("strangers")
MINE = b"years of work"
# All places where a run with the epigenomes E003 and E004 writes, and names beside them that it does not write.
WRITTEN = [*FILES, *(f"{folder}/{name}.safetensors" for folder in FOLDERS for name in ("E003", "E004"))]
BESIDE = ["models/mine.safetensors", "models/E003.txt", "checkpoints/mine.safetensors", "checkpoints/E005.safetensors"]
HIDDEN = ["models/.E003.part", "checkpoints/.mine.part", ".notes", ".cache.part"]
PLACED = {
    "FEATURES directory": {"E001.parquet": MINE, "summary.tsv": MINE},
    "project": {"config.json": b'{"name": "project"}', "src": MINE},
    "two": {"summary.tsv": MINE, "models/E003.safetensors": MINE},
}


def place(folder: Path, name: str, content: bytes = MINE) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_every_file_of_a_run_is_in_the_list(finished_run) -> None:
    checkpoints = {name for name in WRITTEN if name.startswith("checkpoints/")}
    assert visible(finished_run).keys() | checkpoints == set(WRITTEN)


@pytest.mark.parametrize("options", [{}, {"resume": True}], ids=["new", "resume"])
@pytest.mark.parametrize("name", [*WRITTEN, *BESIDE])
def test_a_file_of_others_is_refused_without_force(name, options, tmp_path) -> None:
    place(tmp_path, name)
    with pytest.raises(DeepchromeError, match=name):
        train(tmp_path, **options)
    assert visible(tmp_path) == {name: MINE}


@pytest.mark.parametrize("case", PLACED)
@pytest.mark.parametrize("options", [{}, {"resume": True}], ids=["new", "resume"])
def test_a_directory_of_others_is_refused_without_force(case, options, tmp_path) -> None:
    for name, content in PLACED[case].items():
        place(tmp_path, name, content)
    with pytest.raises(DeepchromeError):
        train(tmp_path, **options)
    assert visible(tmp_path) == PLACED[case]


@pytest.mark.parametrize("name", WRITTEN)
def test_force_replaces_a_file_that_the_run_writes(name, tmp_path, finished_run) -> None:
    place(tmp_path, name)
    train(tmp_path, force=True)
    written = visible(tmp_path)
    assert written.keys() == visible(finished_run).keys()
    assert MINE not in written.values()


@pytest.mark.parametrize("name", [*BESIDE, *HIDDEN])
def test_force_removes_no_other_file(name, tmp_path) -> None:
    place(tmp_path, name)
    for _ in range(2):
        train(tmp_path, force=True)
        assert visible(tmp_path)[name] == MINE


def test_force_replaces_a_run_and_nothing_else(run_copy) -> None:
    kept = dict.fromkeys((*BESIDE, *HIDDEN, "thesis.tex", "figures/one.png"), MINE)
    for name in kept:
        place(run_copy, name)
    train(run_copy, replace(CONFIG, epochs=1), random_datasets()[:1], force=True)
    left = visible(run_copy)
    assert left.keys() == kept.keys() | {*FILES, "models/E003.safetensors"}  # E004 was part of the run replaced
    assert {name: left[name] for name in kept} == kept


@pytest.mark.parametrize("name", [*FILES, "models/E003.safetensors", "checkpoints/E003.safetensors"])
def test_resuming_replaces_no_file_of_others(name, run_copy) -> None:
    """The run was killed before its end. Since then, another program has written a file of this name."""
    for file in FILES[1:]:
        (run_copy / file).unlink()
    for file in (run_copy / "models").iterdir():
        file.unlink()
    place(run_copy, name)
    before = visible(run_copy)
    # A run with a summary looks finished, but its results are missing.
    with pytest.raises(DeepchromeError, match="metrics.parquet" if name == "summary.tsv" else name):
        train(run_copy, resume=True)
    assert visible(run_copy) == before
    train(run_copy, force=True)
    assert Run(run_copy).epigenomes == ("E003", "E004")


def test_a_baseline_removes_no_checkpoint(tmp_path) -> None:
    baseline = replace(CONFIG, model="logistic")
    train(tmp_path, baseline)
    (tmp_path / "summary.tsv").unlink()
    file = place(tmp_path, "checkpoints/E003.safetensors")
    train(tmp_path, baseline, resume=True)
    assert file.read_bytes() == MINE


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}], ids=["new", "resume", "force"])
@pytest.mark.parametrize("name", [*FOLDERS, ".lock", ".lock.holder"])
def test_a_link_in_place_of_a_folder_or_a_lock_is_refused(name, options, tmp_path) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    run.mkdir()
    if name in FOLDERS:
        for file in ("E003.safetensors", "mine.safetensors", ".E003.safetensors.12345678.part"):
            place(outside, file)
    else:
        outside.write_bytes(MINE)
    (run / name).symlink_to(outside)
    before = visible(tmp_path)
    with pytest.raises(UsageError, match=rf"run/{name}: a link, and a run writes only below its own directory"):
        train(run, **options)
    assert visible(tmp_path) == before
    assert [path.name for path in run.iterdir()] == [name]


@pytest.mark.parametrize("exists", [True, False], ids=["file", "nothing"])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_link_to_a_file_is_refused_or_replaced_but_not_followed(name, exists, tmp_path) -> None:
    outside, run = tmp_path / "outside", tmp_path / "run"
    if exists:
        outside.write_bytes(MINE)
    (run / name).parent.mkdir(parents=True)
    (run / name).symlink_to(outside)
    for options in ({}, {"resume": True}):
        with pytest.raises(DeepchromeError):
            train(run, **options)
        assert os.readlink(run / name) == str(outside)
        assert outside.exists() == exists
    train(run, force=True)
    assert not (run / name).is_symlink()
    assert (outside.read_bytes() if exists else MINE) == MINE


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}], ids=["new", "resume", "force"])
@pytest.mark.parametrize("name", [*WRITTEN, *FOLDERS])
def test_a_folder_in_place_of_a_file_is_refused_and_so_is_the_opposite(name, options, tmp_path) -> None:
    file = place(tmp_path, f"{name}/thesis.tex" if name in WRITTEN else name)
    with pytest.raises(UsageError, match=r"but a run|not empty"):
        train(tmp_path, **options)
    assert file.read_bytes() == MINE


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}], ids=["new", "resume", "force"])
def test_a_file_named_like_the_note_of_a_lock_is_refused(options, tmp_path) -> None:
    file = place(tmp_path, ".lock.holder")
    with pytest.raises(UsageError, match=r".lock.holder: not written by a run"):
        train(tmp_path, **options)
    assert file.read_bytes() == MINE
    file.write_text("process 1 of nobody on nowhere")  # left by a killed run
    train(tmp_path)


def test_unfinished_files_of_a_killed_run_are_removed(run_copy) -> None:
    for folder in FOLDERS:
        place(run_copy, f"{folder}/.E003.safetensors.abcd1234.part")
    train(run_copy, force=True)
    assert not list(run_copy.rglob("*.part"))


LOGS: dict[str, Callable[[Path], Path]] = {
    "config.json": lambda run: run / "config.json",
    "another spelling": lambda run: run / ".." / run.name / "." / "summary.tsv",
    "a model": lambda run: run / "models" / "log.jsonl",
    "a lock": lambda run: run / ".lock",
    "the directory": lambda run: run,
    "above the directory": lambda run: run.parent,
}


@pytest.mark.parametrize("options", [{}, {"resume": True}, {"force": True}], ids=["new", "resume", "force"])
@pytest.mark.parametrize("log", LOGS)
def test_a_log_at_a_place_of_the_run_is_refused(log, options, tmp_path) -> None:
    with pytest.raises(UsageError, match="another output has the same path"):
        train(tmp_path / "run", log=LOGS[log](tmp_path / "run"), **options)
    assert not (tmp_path / "run").exists()


def test_a_log_may_be_in_the_directory_and_grows_with_resume(tmp_path) -> None:
    log = tmp_path / "run" / "log.jsonl"
    train(tmp_path / "run", log=log)
    lines = log.read_text()
    for name in ("summary.tsv", "models/E004.safetensors"):
        (tmp_path / "run" / name).unlink()
    train(tmp_path / "run", log=log, resume=True)
    assert log.read_text().startswith(lines)
    added = [json.loads(line) for line in log.read_text().removeprefix(lines).splitlines()]
    assert [(line["epigenome"], line["epoch"]) for line in added] == [("E004", epoch) for epoch in (1, 2, 3)]


@pytest.mark.parametrize(
    "content",
    [
        MINE,
        b'{"name": "project"}\n',
        b"[1]\n",
        b"\xff\n",
        b"\n" + json.dumps({"epigenome": "E003", "epoch": 1}).encode(),
    ],
)
def test_a_file_of_others_is_no_log(content, tmp_path) -> None:
    log = place(tmp_path, "log.jsonl", content)
    with pytest.raises(UsageError, match=r"log.jsonl: file exists"):
        train(tmp_path / "run", log=log)
    with pytest.raises(UsageError, match=r"log.jsonl: not the log of a run. Write the log to another file"):
        train(tmp_path / "run", log=log, resume=True)
    assert log.read_bytes() == content
    train(tmp_path / "run", log=log, force=True)
    assert len(log.read_text().splitlines()) == 6
