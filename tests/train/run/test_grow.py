"""Epigenomes can be added to a run: only their models are trained."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.epigenomes import INPUTS, random_dataset
from support.places import TESTS
from support.runs import CONFIG, CPU, make_old, train, visible

from deepchrome.common.names import TEST
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import EpochRecord
from deepchrome.train.run.config import read_config
from deepchrome.train.run.directory import Run
from deepchrome.train.run.summary import Summary
from deepchrome.train.run.train import RunOptions, train_datasets

BOTH = replace(CONFIG, task="both", members=2)
TABLES = ("predictions.parquet", "summary.tsv")


def datasets(*names: str) -> list[Dataset]:
    """Return epigenomes, each with the data that it always has."""
    return [random_dataset(name, genes=90, seed=int(name[1:])) for name in names]


def assert_same_run(grown: Path, whole: Path) -> None:
    """Compare all files of two runs, except the times in metrics.parquet."""
    one, other = visible(grown), visible(whole)
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] != other[name]} <= {"metrics.parquet", "config.json"}
    assert Run(grown).metrics().drop("seconds").equals(Run(whole).metrics().drop("seconds"))
    assert Run(grown).summary() == Run(whole).summary()
    assert read_config(grown) == read_config(whole)
    assert not list((grown / "checkpoints").iterdir())


@pytest.mark.campaign("runs")
@pytest.mark.parametrize("config", [CONFIG, BOTH, replace(CONFIG, model="logistic")], ids=["one", "both", "baseline"])
def test_a_run_that_grew_equals_one_that_was_trained_at_once(config, tmp_path) -> None:
    """The new epigenomes come before and after the others."""
    train(tmp_path / "grown", config, datasets("E002", "E004"))
    before = visible(tmp_path / "grown")
    trained: set[str] = set()
    finished: list[tuple[str, bool]] = []

    def on_epoch(key: str, _: EpochRecord) -> None:
        trained.add(key)

    def on_model(rows: Sequence[Summary], is_new: bool) -> None:
        finished.extend((row.epigenome, is_new) for row in rows)

    train_datasets(
        datasets("E001", "E002", "E004", "E005"),
        INPUTS,
        tmp_path / "grown",
        config,
        CPU,
        options=RunOptions(resume=True),
        on_epoch=on_epoch,
        on_model=on_model,
    )
    members = ("", "~2")[: config.members]
    keys = {f"{name}{member}" for name in ("E001", "E005") for member in members}
    assert trained == (set() if config.model == "logistic" else keys)
    assert sorted(finished) == [("E001", True), ("E002", False), ("E004", False), ("E005", True)]
    after = visible(tmp_path / "grown")
    for name in ("models/E002.safetensors", "models/E004.safetensors"):
        assert after[name] == before[name]
    train(tmp_path / "whole", config, datasets("E001", "E002", "E004", "E005"))
    assert_same_run(tmp_path / "grown", tmp_path / "whole")
    assert Run(tmp_path / "grown").metrics()["seconds"].null_count() == 0


def test_the_times_of_epochs_that_were_trained_before_are_kept(tmp_path) -> None:
    train(tmp_path, CONFIG, datasets("E002"))
    before = Run(tmp_path).metrics()
    train(tmp_path, CONFIG, datasets("E001", "E002"), resume=True)
    assert Run(tmp_path).metrics().filter(pl.col("epigenome") == "E002").equals(before)


def test_every_model_is_written_as_soon_as_it_is_finished(tmp_path) -> None:
    seen = []

    def on_model(rows: Sequence[Summary], is_new: bool) -> None:
        seen.append((rows[0].epigenome, (tmp_path / "models" / f"{rows[0].epigenome}.safetensors").is_file()))
        assert not (tmp_path / "summary.tsv").exists()

    train_datasets(datasets("E001", "E002"), INPUTS, tmp_path, CONFIG, CPU, on_model=on_model)
    assert sorted(seen) == [("E001", True), ("E002", True)]


@pytest.mark.campaign("runs")
def test_a_run_that_stopped_while_growing_is_whole_with_its_earlier_epigenomes(tmp_path) -> None:
    class _StoppedError(Exception):
        pass

    def stop(key: str, record: EpochRecord) -> None:
        if record.epoch == 2:
            raise _StoppedError(key)

    train(tmp_path / "grown", CONFIG, datasets("E001"))
    options = RunOptions(resume=True)
    grown = datasets("E001", "E002")
    with pytest.raises(_StoppedError):
        train_datasets(grown, INPUTS, tmp_path / "grown", CONFIG, CPU, options=options, on_epoch=stop)
    run = Run(tmp_path / "grown")
    assert run.epigenomes == ("E001",)
    assert run.predictions()["epigenome"].unique().to_list() == ["E001"]
    train(tmp_path / "grown", CONFIG, grown, resume=True)
    train(tmp_path / "whole", CONFIG, grown)
    assert_same_run(tmp_path / "grown", tmp_path / "whole")


@pytest.mark.campaign("kills")
def test_a_run_killed_at_random_moments_while_growing_ends_with_the_same_bits(tmp_path) -> None:
    script = TESTS / "support" / "killed_run.py"
    command = [sys.executable, str(script), str(tmp_path), "8", "2", "grow"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    killed, progressed = (int(count) for count in done.stdout.split())
    assert killed >= progressed >= 2
    assert_same_run(tmp_path / "killed", tmp_path / "unbroken")
    assert not list((tmp_path / "killed").rglob("*.part"))


def changed_genes(data: Dataset) -> Dataset:
    return replace(data, x=data.x + np.float32(1e-6))


def changed_split(data: Dataset) -> Dataset:
    split = data.split.copy()
    split[0] = TEST
    return replace(data, split=split)


@pytest.mark.campaign("runs")
@pytest.mark.parametrize(
    ("config", "names", "change", "message"),
    [
        (CONFIG, ("E001",), None, "the run also has E002, E003. To continue it, request E001,E002,E003"),
        (CONFIG, ("E001", "E004"), None, "the run also has E002, E003. To continue it, request E001,E002,E003,E004"),
        (CONFIG, ("E001", "E002", "E003", "E004"), changed_genes, r"the data of E001, E002, E003 changed"),
        (CONFIG, ("E001", "E002", "E003", "E004"), changed_split, r"the data of E001, E002, E003 changed"),
        (
            replace(CONFIG, lr=0.02, seed=3),
            ("E001", "E002", "E004"),
            changed_genes,
            r"fit.lr was 0.01, is now 0.02; fit.seed was 1, is now 3; the data of E001, E002 changed .*; "
            r"the run also has E003",
        ),
    ],
)
def test_a_run_does_not_grow_if_anything_else_differs(config, names, change, message, tmp_path) -> None:
    train(tmp_path, CONFIG, datasets("E001", "E002", "E003"))
    before = visible(tmp_path)
    requested = [data if change is None else change(data) for data in datasets(*names)]
    with pytest.raises(UsageError, match=message) as caught:
        train(tmp_path, config, requested, resume=True)
    assert caught.value.remedy == ("" if "To continue it" in message else "start_again")
    assert visible(tmp_path) == before


def test_the_order_of_the_requested_epigenomes_does_not_matter(tmp_path) -> None:
    train(tmp_path, CONFIG, datasets("E002", "E003"))
    train(tmp_path, CONFIG, datasets("E003", "E001", "E002"), resume=True)
    assert list(read_config(tmp_path).data) == ["E002", "E003", "E001"]


@pytest.mark.campaign("runs")
def test_a_pooled_run_does_not_grow(tmp_path) -> None:
    config, inputs = replace(CONFIG, pooled=True), replace(INPUTS, missing_marks=True)
    train_datasets(datasets("E001", "E002"), inputs, tmp_path, config, CPU)
    before = visible(tmp_path)
    message = "E003 cannot be added, because a pooled model is trained on all its epigenomes at once"
    with pytest.raises(UsageError, match=message):
        train_datasets(datasets("E001", "E002", "E003"), inputs, tmp_path, config, CPU, options=RunOptions(resume=True))
    with pytest.raises(UsageError, match=r"\(E002 was trained on, is now held out\)"):
        train_datasets(
            datasets("E001", "E002"),
            inputs,
            tmp_path,
            config,
            CPU,
            held_out=["E002"],
            options=RunOptions(resume=True),
        )
    assert visible(tmp_path) == before


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("version", [1, 2])
def test_a_run_of_an_earlier_version_does_not_grow(version, tmp_path) -> None:
    train(tmp_path, CONFIG, datasets("E001", "E002"))
    make_old(tmp_path, version)
    before = visible(tmp_path)
    with pytest.raises(UsageError, match=f"E003 cannot be added to a run of the earlier format version {version}"):
        train(tmp_path, CONFIG, datasets("E001", "E002", "E003"), resume=True)
    assert visible(tmp_path) == before
    assert len(train(tmp_path, CONFIG, datasets("E001", "E002"), resume=True)) == 2


@pytest.mark.campaign("strangers")
@pytest.mark.parametrize("place", ["models/E002.safetensors", "checkpoints/E002.safetensors", "metrics.parquet"])
def test_growing_replaces_no_file_of_others(place, tmp_path) -> None:
    train(tmp_path / "run", CONFIG, datasets("E001"))
    train(tmp_path / "other", replace(CONFIG, seed=2), datasets("E002"))
    for content in (b"years of work", visible(tmp_path / "other").get(place)):
        if content is None:
            continue
        shutil.copytree(tmp_path / "run", tmp_path / "copy", dirs_exist_ok=True)
        (tmp_path / "copy" / place).write_bytes(content)
        before = visible(tmp_path / "copy")
        with pytest.raises(BadDataError, match=place):
            train(tmp_path / "copy", CONFIG, datasets("E001", "E002"), resume=True)
        assert visible(tmp_path / "copy") == before
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.campaign("runs")
def test_growing_needs_no_other_epigenome_than_the_finished_models(tmp_path) -> None:
    """A model that diverged is trained again with the same result, and leaves no model file."""
    one = datasets("E001")[0]
    broken = replace(one, x=one.x * np.float32(1e18), scales=None)
    train(tmp_path, CONFIG, [broken])
    assert Run(tmp_path).epigenomes == ()
    summary = train(tmp_path, CONFIG, [broken, *datasets("E002")], resume=True)
    assert summary[0].note.startswith("diverged in epoch 1. ")
    assert Run(tmp_path).epigenomes == ("E002",)
