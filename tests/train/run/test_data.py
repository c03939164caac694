"""Finding the data of a run again, and checking that they have not changed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.epigenomes import write_random_features
from support.runs import CPU

from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.source import FeatureSource, TextSource
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.run.data import RunData, find_source
from deepchrome.train.run.directory import Run
from deepchrome.train.run.train import train_models

INPUTS = InputOptions("strand", "log1p", depth="library-size", marks=("H3K4me3", "H3K27me3"))


@pytest.fixture
def source(tmp_path: Path) -> FeatureSource:
    return FeatureSource(*write_random_features(tmp_path / "features"), split="random", seed=2, n_train=40)


@pytest.fixture
def run(source: FeatureSource, tmp_path: Path) -> Run:
    config = FitConfig(model="logistic")
    train_models(source, tmp_path / "run", inputs=INPUTS, config=config, placement=CPU)
    return Run(tmp_path / "run")


def with_source(run: Run, source: FeatureSource | TextSource | None) -> Run:
    run.config = replace(run.config, source=source)
    return run


def test_the_data_of_a_run_are_loaded_again(run, source) -> None:
    data = RunData(run)
    assert (data.source, data.expression) == (source, source.expression)
    (expected,), _ = source.load(INPUTS, ["E002"])
    loaded = data.load("E002")
    np.testing.assert_array_equal(loaded.x, expected.x)
    np.testing.assert_array_equal(loaded.split, expected.split)
    assert data.symbols() == source.symbols()


def test_changed_data_are_refused(run, source) -> None:
    lines = source.expression.read_text().splitlines()
    gene, first, second = lines[1].split("\t")
    lines[1] = f"{gene}\t{first}\t{2 - float(second)}"
    source.expression.write_text("\n".join(lines) + "\n")
    assert RunData(run).load("E001").epigenome == "E001"
    with pytest.raises(BadDataError, match="run: the data of E002 have changed since training") as caught:
        RunData(run).load("E002")
    assert caught.value.remedy == "maps_only"


def test_moved_data_are_found_at_their_new_paths(run, source, tmp_path) -> None:
    moved = [path.rename(tmp_path / f"moved-{path.name}") for path in (source.features, source.expression)]
    with pytest.raises(UsageError, match=r"the data of this run are missing \(.*features\)") as caught:
        RunData(run)
    assert caught.value.remedy == "run_data"
    assert find_source(run, *moved) == replace(source, features=moved[0], expression=moved[1])
    assert RunData(run, *moved).load("E001").epigenome == "E001"


def test_a_run_without_a_recorded_source_needs_paths(run, source) -> None:
    unrecorded = with_source(run, None)
    with pytest.raises(UsageError, match="has no path to features"):
        find_source(unrecorded)
    assert find_source(unrecorded, source.features, source.expression) == FeatureSource(
        source.features, source.expression
    )


def test_text_data_are_found_by_their_directory(run, source, tmp_path) -> None:
    text = with_source(run, TextSource(tmp_path))
    assert find_source(text) == TextSource(tmp_path)
    assert find_source(text, None, source.expression) == TextSource(tmp_path, source.expression)
    assert RunData(text).expression is None
    assert RunData(text).symbols() == {}
    with pytest.raises(UsageError, match="the data of this run are missing"):
        find_source(with_source(run, TextSource(tmp_path / "nowhere")))
