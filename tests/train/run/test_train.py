"""The results and files of a training run."""

import json
import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from support.epigenomes import write_random_features
from support.places import TESTS
from support.runs import CONFIG, CPU, random_datasets, train

from deepchrome.common.names import SPLIT_NAMES, TEST
from deepchrome.errors import MissingInputError, StorageError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.load import LoadReport, load_datasets
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.models import BASELINES
from deepchrome.train.run.config import describe_datasets, read_config
from deepchrome.train.run.directory import Run
from deepchrome.train.run.train import RunOptions, train_models


def test_a_run_writes_the_documented_files(finished_run) -> None:
    names = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
    assert names == {
        ".lock",
        "config.json",
        "deepchrome_epochs_mqc.json",
        "deepchrome_mqc.json",
        "metrics.parquet",
        "models/E003.safetensors",
        "models/E004.safetensors",
        "predictions.parquet",
        "summary.tsv",
    }


def test_predictions_have_every_gene_and_agree_with_the_summary(finished_run) -> None:
    run = Run(finished_run)
    predictions = run.predictions()
    assert predictions.columns == ["epigenome", "gene_id", "split", "label", "score", "log2_rpkm"]
    for dataset, row in zip(random_datasets(), run.summary(), strict=True):
        own = predictions.filter(pl.col("epigenome") == dataset.epigenome)
        assert tuple(own["gene_id"]) == dataset.gene_id
        assert own["label"].to_list() == dataset.y.tolist()
        assert own["split"].to_list() == [SPLIT_NAMES[part] for part in dataset.split]
        np.testing.assert_array_equal(
            own["score"].to_numpy(), run.model(dataset.epigenome).score(dataset.x, "cpu").score
        )
        test = own.filter(pl.col("split") == "test")
        assert row.test_auroc == pytest.approx(roc_auc_score(test["label"], test["score"]))
        assert row.test_auprc == pytest.approx(average_precision_score(test["label"], test["score"]))
        assert (row.n_train, row.n_valid, row.n_test) == (30, 30, 30)
    assert run.summary()[0].published_auroc == 0.77
    header = (finished_run / "summary.tsv").read_text().splitlines()[0].split("\t")
    assert header[:9] == [
        *("epigenome", "best_epoch", "valid_auroc", "test_auroc", "test_auprc"),
        *("n_train", "n_valid", "n_test", "published_auroc"),
    ]


def test_metrics_have_every_epoch_and_the_summary_names_the_best(finished_run) -> None:
    run = Run(finished_run)
    metrics = run.metrics()
    assert metrics.columns == [*("epigenome", "member", "epoch", "train_loss", "valid_loss", "valid_auroc", "seconds")]
    assert metrics["member"].to_list() == [1] * 6
    assert metrics["epoch"].to_list() == [1, 2, 3] * 2
    for row in run.summary():
        areas = metrics.filter(pl.col("epigenome") == row.epigenome)["valid_auroc"].to_list()
        assert row.best_epoch == 1 + int(np.argmax(areas))
        assert row.valid_auroc == pytest.approx(max(areas), abs=1e-6)


def test_a_run_can_be_repeated_from_its_config(finished_run, tmp_path) -> None:
    config = read_config(finished_run)
    assert config.fit == CONFIG
    train(tmp_path / "again", config.fit)
    for name in ("E003", "E004"):
        model = f"models/{name}.safetensors"
        assert (tmp_path / "again" / model).read_bytes() == (finished_run / model).read_bytes()
    assert Run(tmp_path / "again").predictions().equals(Run(finished_run).predictions())


def test_train_models_loads_the_source_and_records_it(tmp_path) -> None:
    source = FeatureSource(*write_random_features(tmp_path / "features"), split="random", seed=3)
    loaded: list[tuple[list[str], LoadReport]] = []
    epochs: list[tuple[str, int]] = []

    def on_loaded(datasets: list[Dataset], report: LoadReport) -> None:
        loaded.append(([data.epigenome for data in datasets], report))

    summary = train_models(
        source,
        tmp_path / "run",
        epigenomes=["E002"],
        config=replace(CONFIG, epochs=2),
        placement=CPU,
        on_loaded=on_loaded,
        on_epoch=lambda epigenome, record: epochs.append((epigenome, record.epoch)),
    )
    assert [row.epigenome for row in summary] == ["E002"]
    ((names, report),) = loaded
    assert (names, epochs) == (["E002"], [("E002", 1), ("E002", 2)])
    config = read_config(tmp_path / "run")
    assert config.source == source
    assert config.inputs == report.inputs
    # The default inputs are those of the protocol "best".
    datasets, _ = load_datasets(
        source.features,
        source.expression,
        epigenomes=["E002"],
        split="random",
        seed=3,
        inputs=InputOptions("strand", "log1p", "ranks"),
    )
    assert config.data == describe_datasets(datasets)


def test_train_models_checks_the_directory_before_it_loads_data(finished_run, tmp_path) -> None:
    nowhere = FeatureSource(tmp_path / "features", tmp_path / "expression.tsv")
    with pytest.raises(UsageError, match="already contains a run"):
        train_models(nowhere, finished_run)
    with pytest.raises(MissingInputError):
        train_models(nowhere, finished_run, options=RunOptions(resume=True))


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_write_the_same_files(name, tmp_path) -> None:
    summary = train(tmp_path / "run", FitConfig(model=name))
    run = Run(tmp_path / "run")
    assert run.summary() == summary
    assert run.predictions().height == 180
    assert run.metrics().is_empty()
    own = run.predictions().filter(pl.col("epigenome") == "E003")["score"]
    np.testing.assert_array_equal(own.to_numpy(), run.model("E003").score(random_datasets()[0].x, "cpu").score)


@pytest.mark.campaign("kills")
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path) -> None:
    script = TESTS / "support" / "killed_run.py"
    command = [sys.executable, str(script), str(tmp_path), "8", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    killed, progressed = (int(count) for count in done.stdout.split())
    assert killed >= progressed >= 2
    unbroken, resumed = Run(tmp_path / "unbroken"), Run(tmp_path / "killed")
    for name in ("E000", "E001", "E002"):
        model = f"models/{name}.safetensors"
        assert (unbroken.path / model).read_bytes() == (resumed.path / model).read_bytes()
    assert unbroken.predictions().equals(resumed.predictions())
    assert unbroken.summary() == resumed.summary()
    assert unbroken.metrics().drop("seconds").equals(resumed.metrics().drop("seconds"))
    assert not list(resumed.path.rglob("*.part"))
    assert not list((resumed.path / "checkpoints").iterdir())


@pytest.mark.campaign("numbers")
def test_test_genes_of_one_class_have_no_auroc_and_a_note(tmp_path) -> None:
    one, other = random_datasets()
    y = one.y.copy()
    y[one.split == TEST] = 1
    summary = train(tmp_path / "run", datasets=[replace(one, y=y), other])
    assert summary[0].test_auroc is None
    assert summary[0].test_auprc is None
    assert summary[0].valid_auroc is not None
    assert "no test AUROC: the 30 test genes do not include both classes" in summary[0].note
    assert "no test AUROC" not in summary[1].note
    assert Run(tmp_path / "run").summary() == summary


@pytest.mark.campaign("numbers")
def test_a_diverged_model_has_a_note_and_the_other_models_are_trained(tmp_path) -> None:
    one, other = random_datasets()
    summary = train(tmp_path / "run", datasets=[replace(one, x=one.x * np.float32(1e18)), other])
    assert summary[0].note.startswith("diverged in epoch 1. Try a smaller learning rate")
    assert summary[0].test_auroc is None
    assert summary[1].test_auroc is not None
    run = Run(tmp_path / "run")
    assert run.epigenomes == ("E004",)
    assert run.predictions()["epigenome"].unique().to_list() == ["E004"]
    assert run.metrics().filter(pl.col("epigenome") == "E003")["epoch"].to_list() == [1]


def test_the_log_has_a_json_line_for_every_epoch_of_every_model(tmp_path) -> None:
    log = tmp_path / "log.jsonl"
    train(tmp_path / "run", log=log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted((line["epigenome"], line["epoch"]) for line in lines) == [
        (name, epoch) for name in ("E003", "E004") for epoch in (1, 2, 3)
    ]
    metrics = {
        (row["epigenome"], row["epoch"]): row for row in Run(tmp_path / "run").metrics().drop("member").to_dicts()
    }
    for line in lines:
        assert line == metrics[line["epigenome"], line["epoch"]]
    with pytest.raises(UsageError, match=r"log.jsonl: file exists") as caught:
        train(tmp_path / "other", log=log)
    assert caught.value.remedy == "append_or_force"
    with pytest.raises(StorageError, match="cannot be written"):
        train(tmp_path / "other", log=tmp_path / "nowhere" / "log.jsonl")


@pytest.mark.campaign("disk")
def test_a_run_that_cannot_write_a_checkpoint_fails_and_can_be_resumed(tmp_path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond 100 KB: smaller than a checkpoint.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"checkpoints/E00[34].safetensors: cannot be written"):
            train(tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == []
    train(tmp_path / "run", resume=True)
