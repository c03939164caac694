"""Models, checkpoints and tables of another run are refused by name. So is an edited summary."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.epigenomes import random_dataset, write_random_features
from support.runs import CONFIG, random_datasets, train
from support.tiny import dc

from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.run.config import read_config
from deepchrome.train.run.directory import Run
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.tensors import read_tensors, write_tensors
from deepchrome.train.run.weights import read_checkpoints
from deepchrome.train.scoring.evaluate import score_test_genes

MODEL = "models/E003.safetensors"
CHECKPOINT = "checkpoints/E003.safetensors"


def other_split() -> list[Dataset]:
    """Return the data sets with another split: training and test genes have changed places."""
    return [replace(data, split=(2 - data.split).astype(np.int8)) for data in random_datasets()]


def swapped_names() -> list[Dataset]:
    one, other = random_datasets()
    return [replace(one, epigenome="E004"), replace(other, epigenome="E003")]


OTHERS: dict[str, tuple[FitConfig, Callable[[], list[Dataset]], str]] = {
    "seed": (replace(CONFIG, seed=2), random_datasets, "fit.seed is 2, not 1"),
    "epochs": (replace(CONFIG, epochs=2), random_datasets, "fit.epochs is 2, not 3"),
    "split": (CONFIG, other_split, r"the data of E003 are others \(features, labels or split\)"),
    "data": (CONFIG, swapped_names, r"the data of E003 are others \(features, labels or split\)"),
}


@pytest.fixture(scope="module")
def other_runs(tmp_path_factory) -> dict[str, Path]:
    """Finished runs that differ from the finished run, each in one thing."""
    runs = {name: tmp_path_factory.mktemp("others") / name for name in OTHERS}
    for name, (config, datasets, _) in OTHERS.items():
        train(runs[name], config, datasets())
    return runs


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("other", OTHERS)
def test_a_model_of_another_run_is_refused(other, other_runs, run_copy) -> None:
    shutil.copy(other_runs[other] / MODEL, run_copy / MODEL)
    message = rf"{MODEL}: belongs to a run with other settings or data \(.*{OTHERS[other][2]}\)"
    run = Run(run_copy)
    with pytest.raises(BadDataError, match=message):
        run.score("E003", random_datasets()[0].x)
    with pytest.raises(BadDataError, match=message):
        score_test_genes(run)
    with pytest.raises(BadDataError, match=message):
        train(run_copy, resume=True)
    assert run.weights("E004")


@pytest.mark.campaign("provenance")
def test_a_model_of_another_epigenome_is_refused(run_copy) -> None:
    shutil.copy(run_copy / "models" / "E004.safetensors", run_copy / MODEL)
    with pytest.raises(BadDataError, match=r"E003.safetensors: contains the model 'deepchrome' of 'E004'"):
        Run(run_copy).weights("E003")


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("table", ["predictions.parquet", "metrics.parquet"])
def test_a_table_of_another_run_is_refused(table, other, other_runs, run_copy) -> None:
    shutil.copy(other_runs[other] / table, run_copy / table)
    with pytest.raises(BadDataError, match=rf"{table}: belongs to a run with other settings or data \("):
        getattr(Run(run_copy), table.partition(".")[0])()
    with pytest.raises(BadDataError, match=rf"{table}: belongs to"):
        train(run_copy, resume=True)


@pytest.mark.campaign("provenance")
def test_a_config_of_another_run_is_refused(other_runs, run_copy) -> None:
    shutil.copy(other_runs["seed"] / "config.json", run_copy / "config.json")
    run = Run(run_copy)
    for read in (run.predictions, run.metrics, run.summary, lambda: run.weights("E003")):
        with pytest.raises(BadDataError, match=r"fit.seed is 1, not 2"):
            read()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """Checkpoints of E003 after the last epoch, of the finished run and of the others."""
    folder, taken = tmp_path_factory.mktemp("checkpoints"), {}
    for name, (config, datasets, _) in {**OTHERS, "own": (CONFIG, random_datasets, "")}.items():
        taken[name] = take_checkpoint(folder / name, config, datasets())
    return taken


def take_checkpoint(out: Path, config: FitConfig, datasets: list[Dataset]) -> Path:
    """Train, and return a checkpoint of E003, which a finished run would remove."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepchrome.train.run.train.finish_run", lambda *_: None)
        train(out, config, datasets)
    return out / CHECKPOINT


@pytest.fixture
def unfinished_run(run_copy) -> Path:
    """A run without results, as if it had been killed before its first epoch ended."""
    for name in ("summary.tsv", "predictions.parquet", "metrics.parquet", MODEL, "models/E004.safetensors"):
        (run_copy / name).unlink()
    return run_copy


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_another_run_is_refused(other, checkpoints, unfinished_run) -> None:
    """It would bring the test genes of this run into training, if it came from another split."""
    shutil.copy(checkpoints[other], unfinished_run / CHECKPOINT)
    message = (
        rf"{CHECKPOINT}: belongs to a run with other settings or data \(.*{OTHERS[other][2]}\)\. "
        "Remove it to train E003 from the beginning"
    )
    with pytest.raises(BadDataError, match=message):
        train(unfinished_run, resume=True)
    assert not (unfinished_run / "summary.tsv").exists()
    assert (unfinished_run / CHECKPOINT).read_bytes() == checkpoints[other].read_bytes()


@pytest.mark.campaign("provenance")
def test_a_checkpoint_of_another_epigenome_is_refused(checkpoints, unfinished_run) -> None:
    shutil.copy(checkpoints["own"], unfinished_run / "checkpoints" / "E004.safetensors")
    with pytest.raises(BadDataError, match=r"E004.safetensors: belongs .* \(the epigenomes are E003, not E004\)"):
        train(unfinished_run, resume=True)


@pytest.mark.campaign("provenance")
def test_a_checkpoint_of_the_run_is_used(checkpoints, unfinished_run) -> None:
    shutil.copy(checkpoints["own"], unfinished_run / CHECKPOINT)
    assert len(read_checkpoints(unfinished_run, read_config(unfinished_run))["E003"].history) == 3
    train(unfinished_run, resume=True)


@pytest.mark.campaign("provenance")
def test_a_checkpoint_that_names_no_run_is_refused(checkpoints, unfinished_run) -> None:
    tensors, document = read_tensors(checkpoints["own"])
    old = {key: document[key] for key in ("epigenome", "history")}
    write_tensors(unfinished_run / CHECKPOINT, tensors, old)
    with pytest.raises(
        BadDataError, match=r"does not name its run \(.*\)\. Remove it to train E003 from the beginning"
    ):
        train(unfinished_run, resume=True)


@pytest.mark.campaign("provenance")
def test_a_run_of_an_earlier_version_can_be_read(run_copy) -> None:
    """Its files do not name their run, and nothing in them contradicts config.json."""
    run = Run(run_copy)
    summary, scores = run.summary(), run.score("E003", random_datasets()[0].x)
    for name in run.epigenomes:
        file = run_copy / "models" / f"{name}.safetensors"
        tensors, document = read_tensors(file)
        write_tensors(file, tensors, {key: document[key] for key in ("epigenome", "model", "best_epoch")})
    for name in ("predictions.parquet", "metrics.parquet"):
        table, _ = read_frame(run_copy / name)
        write_frame(run_copy / name, table, {})
    assert run.summary() == summary
    np.testing.assert_array_equal(run.score("E003", random_datasets()[0].x), scores)
    assert len(score_test_genes(run)) == 2


@pytest.mark.campaign("provenance")
def test_a_model_that_is_gone_is_an_error(run_copy) -> None:
    (run_copy / MODEL).unlink()
    for read in (lambda: score_test_genes(Run(run_copy)), lambda: train(run_copy, resume=True)):
        with pytest.raises(MissingInputError, match=rf"{MODEL}: no such file"):
            read()


@pytest.mark.campaign("provenance")
def test_every_command_refuses_a_model_of_another_run(tmp_path) -> None:
    features, expression = write_random_features(tmp_path / "features")
    for out, seed in (("run", 1), ("other", 2)):
        options = ("--out", tmp_path / out, "--epochs", "2", "--device", "cpu", "--seed", seed)
        assert dc("train", features, "--expression", expression, *options).code == 0
    shutil.copy(tmp_path / "other" / "models" / "E002.safetensors", tmp_path / "run" / "models")
    run, scores = tmp_path / "run", tmp_path / "scores.tsv"
    for command in (
        ("predict", run, features, "--out", scores),
        ("evaluate", run),
        ("evaluate", run, "--cross"),
        ("evaluate", run, features, "--expression", expression),
        ("visualize", run, "--out", tmp_path / "report", "--maps-only"),
        ("visualize", run, "--out", tmp_path / "report"),
    ):
        result = dc(*command)
        assert (result.code, result.out) == (65, ""), command
        assert "models/E002.safetensors: belongs to a run with other settings or data (fit.seed is 2" in result.err
    assert not scores.exists()
    assert not (tmp_path / "report" / "report.html").exists()


@pytest.mark.campaign("runs")
@pytest.mark.parametrize("change", ["a number", "a note", "a line end"])
def test_an_edited_summary_is_refused(change, run_copy) -> None:
    file = run_copy / "summary.tsv"
    table, original = pl.read_csv(file, separator="\t"), file.read_bytes()
    if change == "a number":
        table.with_columns(test_auroc=pl.lit(0.999)).write_csv(file, separator="\t")
    elif change == "a note":
        table.with_columns(note=pl.lit("checked")).write_csv(file, separator="\t")
    else:
        file.write_bytes(original + b"\n")
    edited = file.read_bytes()
    assert edited != original
    for read in (lambda: train(run_copy, resume=True), lambda: Run(run_copy).summary()):
        with pytest.raises(BadDataError, match=r"summary.tsv: changed since the run was finished"):
            read()
    assert file.read_bytes() == edited
    file.write_bytes(original)
    assert train(run_copy, resume=True) == Run(run_copy).summary()


@pytest.mark.campaign("provenance")
def test_the_name_of_a_directory_of_text_files_changes_no_model(tmp_path) -> None:
    """Data in DeepChrome's text format are named after their directory."""
    data = random_dataset("E001", genes=60)
    counts = np.expm1(data.x).round().astype(int)
    results = {}
    for model in ("deepchrome", "random-forest"):
        for name in ("E003", "my data"):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            for part, file in enumerate(("train", "valid", "test")):
                (folder / f"{file}.csv").write_text(
                    "".join(
                        f"{data.gene_id[gene]},{bin_id},{','.join(map(str, row))},{data.y[gene]}\n"
                        for gene in np.flatnonzero(data.split == part)
                        for bin_id, row in enumerate(counts[gene], start=1)
                    )
                )
            run = tmp_path / f"run of {name} {model}"
            options = ("--epochs", "2", "--device", "cpu", "--model", model)
            assert dc("train", "--csv", folder, "--out", run, *options).code == 0
            (file,) = (run / "models").iterdir()
            assert file.stem == name.replace(" ", "_")
            row = Run(run).summary()[0]
            scores = Run(run).predictions().drop("epigenome").write_json()
            assert json.loads((run / "config.json").read_text())["data"][file.stem]["seed_name"] == "csv"
            results[model, name] = (file.read_bytes(), scores, row.valid_auroc, row.test_auroc, row.best_epoch)
        assert results[model, "E003"] == results[model, "my data"]
