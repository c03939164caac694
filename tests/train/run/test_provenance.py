"""Models, checkpoints and tables of another run are refused by name, and those that name no run."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.special
from support.epigenomes import random_dataset, write_random_features
from support.runs import CONFIG, drop_origin, make_old, random_datasets, train, visible
from support.tiny import dc

from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.run import frames
from deepchrome.train.run.collector import Collector
from deepchrome.train.run.config import read_config
from deepchrome.train.run.directory import Run
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.tensors import read_tensors, write_tensors
from deepchrome.train.run.weights import read_checkpoints
from deepchrome.train.scoring.scored import score_test_genes

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
        run.model("E003")
    with pytest.raises(BadDataError, match=message):
        score_test_genes(run)
    with pytest.raises(BadDataError, match=message):
        train(run_copy, resume=True)
    assert run.model("E004")


@pytest.mark.campaign("provenance")
def test_a_model_of_another_epigenome_is_refused(run_copy) -> None:
    shutil.copy(run_copy / "models" / "E004.safetensors", run_copy / MODEL)
    with pytest.raises(BadDataError, match=r"E003.safetensors: contains the model 'deepchrome' of 'E004'"):
        Run(run_copy).model("E003")


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
    for read in (run.predictions, run.metrics, run.summary, lambda: run.model("E003")):
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
        # Without its last step, training leaves all its checkpoints.
        patch.setattr(Collector, "add", lambda *_: None)
        patch.setattr(Collector, "finish", lambda _: [])
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
    assert (
        len(
            read_checkpoints(unfinished_run, read_config(unfinished_run), plan_trainings(random_datasets()))[
                "E003"
            ].history
        )
        == 3
    )
    train(unfinished_run, resume=True)


@pytest.mark.campaign("provenance")
def test_a_checkpoint_that_names_no_run_is_refused(checkpoints, unfinished_run) -> None:
    """A run of 56 epigenomes may have 56 of them, so one message names all."""
    for name in ("E003", "E004"):
        shutil.copy(checkpoints["own"].with_stem(name), unfinished_run / "checkpoints")
        drop_origin(unfinished_run / "checkpoints" / f"{name}.safetensors")
    message = (
        r"checkpoints: the checkpoints of E003, E004 do not name their run \(.*\)\. "
        "Remove them to train these models from the beginning"
    )
    with pytest.raises(BadDataError, match=message):
        train(unfinished_run, resume=True)
    make_old(unfinished_run)  # the rule is the same in a run of an earlier version, where models need no origin
    before = visible(unfinished_run)
    with pytest.raises(BadDataError, match=message):
        train(unfinished_run, resume=True)
    assert visible(unfinished_run) == before


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("name", [MODEL, "predictions.parquet", "metrics.parquet"])
def test_a_file_that_names_no_run_is_refused(name, run_copy) -> None:
    """It may be a file of an earlier version, which was trained with other settings or data."""
    drop_origin(run_copy / name)
    run = Run(run_copy)
    read = {MODEL: lambda: run.model("E003"), "predictions.parquet": run.predictions, "metrics.parquet": run.summary}
    with pytest.raises(BadDataError, match=rf"{name}: does not name its run \(.*\)\. Restore the"):
        read[name]()
    with pytest.raises(BadDataError, match=rf"{name}: does not name its run"):
        train(run_copy, resume=True)
    (run_copy / "summary.tsv").unlink()
    before = visible(run_copy)
    with pytest.raises(BadDataError, match=rf"{name}: does not .* Resuming would replace this file") as caught:
        train(run_copy, resume=True)
    assert caught.value.remedy == "start_again"
    assert visible(run_copy) == before


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("document", [{"fit": [1]}, {"inputs": "log1p"}, {"data": ["E003"]}, {"data": None}])
@pytest.mark.parametrize("name", [MODEL, "predictions.parquet", CHECKPOINT])
def test_an_origin_of_another_shape_is_refused(name, document, checkpoints, run_copy) -> None:
    file = run_copy / name
    shutil.copy(checkpoints["own"], run_copy / CHECKPOINT)
    read, write = (read_frame, write_frame) if file.suffix == ".parquet" else (read_tensors, write_tensors)
    content, own = read(file)
    write(file, content, {**own, **document})
    (run_copy / "summary.tsv").unlink()
    with pytest.raises(BadDataError, match=rf"{file.name}: no valid origin \({next(iter(document))} missing or not an"):
        train(run_copy, resume=True)


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("text", [b'["fit"]', b"3", b"{", b"\xff", b"[" * 100_000])
def test_a_table_with_another_document_is_refused(text, run_copy) -> None:
    file = run_copy / "predictions.parquet"
    table, _ = read_frame(file)
    stored = table.to_arrow()
    metadata = {b"deepchrome": text, b"deepchrome_sha256": frames._digest(stored, text)}
    pq.write_table(stored.replace_schema_metadata(metadata), file)
    with pytest.raises(BadDataError, match=r"predictions.parquet: not a "):
        Run(run_copy).predictions()


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("version", [1, 2])
def test_a_run_of_an_earlier_version_can_be_read(version, run_copy) -> None:
    """Its files do not name their run, and nothing in them contradicts config.json. Its scores are not calibrated."""
    run, x = Run(run_copy), random_datasets()[0].x
    summary, scores = run.summary(), run.model("E003").score(x)
    make_old(run_copy, version)
    run, before = Run(run_copy), visible(run_copy)
    assert run.summary() == summary
    old = run.model("E003").score(x)
    np.testing.assert_array_equal(old.log_odds, scores.log_odds)
    np.testing.assert_allclose(old.score, scipy.special.expit(old.log_odds))
    assert len(score_test_genes(run)) == 2
    assert train(run_copy, resume=True) == summary
    assert visible(run_copy) == before


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("left", ["models and tables", "nothing"])
def test_an_unfinished_run_of_an_earlier_version_is_finished_like_a_new_one(left, tmp_path) -> None:
    features, expression = write_random_features(tmp_path / "features")
    run = tmp_path / "run"
    # Settings that earlier versions had. The best ones are others today.
    protocol = ("--protocol", "published", "--batch-size", "16", "--epochs", "2", "--device", "cpu")
    command = ("train", features, "--expression", expression, "--out", run, *protocol)
    assert dc(*command).code == 0
    (run / "summary.tsv").unlink()
    new = visible(run)
    make_old(run)
    if left == "nothing":
        for file in (*run.glob("*.parquet"), *run.glob("models/*")):
            file.unlink()
    assert read_config(run).profile("E001") is None
    assert dc(*command, "--resume").code == 0
    (run / "summary.tsv").unlink()
    resumed = visible(run)
    assert resumed.keys() == new.keys()
    assert {name for name in new if resumed[name] != new[name]} == {"metrics.parquet"}  # its times


@pytest.mark.campaign("provenance")
@pytest.mark.parametrize("model", ["deepchrome", "logistic"])
@pytest.mark.parametrize("version", [1, 2])
def test_every_command_reads_a_run_of_an_earlier_version(version, model, tmp_path) -> None:
    features, expression = write_random_features(tmp_path / "features")
    run, scores = tmp_path / "run", tmp_path / "scores.tsv"
    protocol = ("--protocol", "published", "--batch-size", "16", "--epochs", "2", "--device", "cpu", "--model", model)
    assert dc("train", features, "--expression", expression, "--out", run, *protocol).code == 0
    make_old(run, version)
    before = visible(run)
    for command in (
        ("predict", run, features, "--out", scores),
        ("evaluate", run),
        ("evaluate", run, "--cross"),
        ("evaluate", run, features, "--expression", expression),
        ("visualize", run, "--out", tmp_path / "report", "--maps-only") if model == "deepchrome" else ("evaluate", run),
        ("train", features, "--expression", expression, "--out", run, *protocol, "--resume"),
    ):
        result = dc(*command)
        assert result.code == 0, (command, result.err)
    assert scores.exists()
    assert visible(run) == before


@pytest.mark.campaign("provenance")
def test_a_new_model_that_was_copied_from_an_old_run_is_refused(run_copy, tmp_path) -> None:
    train(tmp_path / "old", replace(CONFIG, seed=2))
    make_old(tmp_path / "old")
    assert Run(tmp_path / "old").model("E003")
    shutil.copy(tmp_path / "old" / MODEL, run_copy / MODEL)
    with pytest.raises(BadDataError, match=rf"{MODEL}: does not name its run"):
        score_test_genes(Run(run_copy))


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
def test_an_edited_summary_changes_no_result(tmp_path) -> None:
    """A spreadsheet, for example, saves it with other line ends."""
    features, expression = write_random_features(tmp_path / "features")
    run, report = tmp_path / "run", tmp_path / "report"
    commands: list[tuple[object, ...]] = [
        ("train", features, "--expression", expression, "--out", run, "--epochs", "2", "--device", "cpu", "--resume"),
        ("evaluate", run),
        ("evaluate", run, "--json"),
        ("visualize", run, "--out", report, "--force", "--maps-only"),
    ]

    def results() -> list[object]:
        ran = [dc(*command) for command in commands]
        assert [result.code for result in ran] == [0] * len(commands), ran
        return [*(result.out for result in ran), Run(run).summary(), (report / "report.html").read_bytes()]

    assert dc(*commands[0]).code == 0
    original, file = results(), run / "summary.tsv"
    written = file.read_bytes()
    for edited in (written.replace(b"\n", b"\r\n"), written.replace(b"0.", b"0.9"), b"", b"\xff\0"):
        assert edited != written
        file.write_bytes(edited)
        assert results() == original
        assert file.read_bytes() == edited


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
