import json
import os
import pickle
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from campaign.rows import sized
from sklearn.metrics import average_precision_score, roc_auc_score
from support.epigenomes import INPUTS, random_dataset
from support.places import TESTS

from deepchrome.common.names import SPLIT_NAMES
from deepchrome.errors import BadDataError, MissingInputError, StorageError, UsageError
from deepchrome.train.datasets.splits import TEST
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.models import BASELINES
from deepchrome.train.run.config import RunConfig, describe_datasets, read_config
from deepchrome.train.run.directory import Run, read_checkpoints, start_run
from deepchrome.train.run.tensors import read_tensors, write_tensors
from deepchrome.train.run.trainer import train_run

CONFIG = FitConfig(epochs=3, batch_size=16)
CPU = Placement("cpu", threads=2)


def data(n: int = 2):
    return [random_dataset(f"E{i + 3:03d}", genes=90, seed=i) for i in range(n)]


def train(out: Path, config: FitConfig = CONFIG, datasets=None, **options):
    return train_run(out, datasets or data(), INPUTS, config, CPU, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    train(out, origin={"label_rule": "numeric"})
    return out


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    subprocess.run(["cp", "-r", finished, tmp_path / "run"], check=True)
    return tmp_path / "run"


def test_a_run_leaves_the_files_of_the_contract(finished) -> None:
    names = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert names == {
        ".lock",
        "config.json",
        "metrics.parquet",
        "models/E003.safetensors",
        "models/E004.safetensors",
        "predictions.parquet",
        "summary.tsv",
    }


def test_predictions_hold_every_gene_and_give_the_summary_s_numbers(finished) -> None:
    run = Run(finished)
    predictions = run.predictions()
    assert predictions.columns == ["epigenome", "gene_id", "split", "label", "score"]
    for dataset, row in zip(data(), run.summary(), strict=True):
        own = predictions.filter(pl.col("epigenome") == dataset.epigenome)
        assert tuple(own["gene_id"]) == dataset.gene_id
        assert own["label"].to_list() == dataset.y.tolist()
        assert own["split"].to_list() == [SPLIT_NAMES[part] for part in dataset.split]
        np.testing.assert_array_equal(own["score"].to_numpy(), run.score(dataset.epigenome, dataset.x))
        test = own.filter(pl.col("split") == "test")
        assert row.test_auroc == pytest.approx(roc_auc_score(test["label"], test["score"]))
        assert row.test_auprc == pytest.approx(average_precision_score(test["label"], test["score"]))
        assert (row.n_train, row.n_valid, row.n_test) == (30, 30, 30)
    assert run.summary()[0].published_auroc == 0.77
    header = (finished / "summary.tsv").read_text().splitlines()[0].split("\t")
    assert header[:9] == [
        *("epigenome", "best_epoch", "valid_auroc", "test_auroc", "test_auprc"),
        *("n_train", "n_valid", "n_test", "published_auroc"),
    ]


def test_metrics_hold_every_epoch_and_the_best_is_the_summary_s(finished) -> None:
    run = Run(finished)
    metrics = run.metrics()
    assert metrics.columns[:5] == ["epigenome", "epoch", "train_loss", "valid_loss", "valid_auroc"]
    assert metrics["epoch"].to_list() == [1, 2, 3] * 2
    for row in run.summary():
        areas = metrics.filter(pl.col("epigenome") == row.epigenome)["valid_auroc"].to_list()
        assert row.best_epoch == 1 + int(np.argmax(areas))
        assert row.valid_auroc == pytest.approx(max(areas), abs=1e-6)


def test_config_repeats_the_run(finished, tmp_path) -> None:
    config = read_config(finished)
    assert config.fit == CONFIG
    assert config.inputs == INPUTS
    train(tmp_path / "again", config.fit)
    for name in ("E003", "E004"):
        model = f"models/{name}.safetensors"
        assert (tmp_path / "again" / model).read_bytes() == (finished / model).read_bytes()
    assert Run(tmp_path / "again").predictions().equals(Run(finished).predictions())


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_leave_the_same_files(name, tmp_path) -> None:
    summary = train(tmp_path / "run", FitConfig(model=name))
    run = Run(tmp_path / "run")
    assert run.summary() == summary
    assert run.predictions().height == 180
    assert run.metrics().is_empty()
    own = run.predictions().filter(pl.col("epigenome") == "E003")["score"]
    np.testing.assert_array_equal(own.to_numpy(), run.score("E003", data()[0].x))


def test_a_run_in_the_way_is_refused_replaced_or_left_alone(copied) -> None:
    before = (copied / "summary.tsv").read_bytes()
    with pytest.raises(UsageError, match="a run is here; --resume goes on with it, --force replaces it"):
        train(copied)
    assert (copied / "summary.tsv").read_bytes() == before
    assert train(copied, resume=True) == Run(copied).summary()
    assert (copied / "summary.tsv").read_bytes() == before
    (copied / "notes.txt").write_text("mine")
    train(copied, replace(CONFIG, epochs=1), [data()[0]], force=True)
    assert Run(copied).epigenomes == ("E003",)
    assert not (copied / "models" / "E004.safetensors").exists()
    assert (copied / "notes.txt").read_text() == "mine"


def test_a_directory_of_other_files_is_no_place_for_a_run(tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for options in ({}, {"force": True}, {"resume": True}):
        with pytest.raises(UsageError, match=r"not empty \(thesis.tex\), and no run"):
            train(tmp_path, **options)
    with pytest.raises(UsageError, match="not a directory"):
        train(tmp_path / "thesis.tex")


@pytest.mark.campaign("names")
@pytest.mark.parametrize("name", ["../escape", "..", "a/b", "", "x" * 65, "E 3"])
def test_a_name_that_is_no_file_s_is_refused_before_anything_is_written(tmp_path, name) -> None:
    with pytest.raises(BadDataError, match="cannot name an epigenome"):
        train(tmp_path / "run", datasets=[random_dataset(name)])
    assert not (tmp_path / "run").exists()


def test_resuming_with_another_config_or_other_data_is_refused_by_name(finished) -> None:
    with pytest.raises(UsageError, match=r"fit.lr was 0.01, is 0.02; fit.seed was 1, is 2"):
        train(finished, replace(CONFIG, lr=0.02, seed=2), resume=True)
    one, other = data()
    changed = replace(other, x=other.x + np.float32(1e-6))
    with pytest.raises(UsageError, match=r"the data of E004 changed"):
        train(finished, datasets=[one, changed], resume=True)
    with pytest.raises(UsageError, match=r"epigenomes were E003, E004, are E003"):
        train(finished, datasets=[one], resume=True)


def test_data_have_one_fingerprint_each() -> None:
    dataset = data()[0]
    y, split = dataset.y.copy(), dataset.split.copy()
    y[5] ^= 1
    split[40] = TEST
    variants = [
        dataset,
        replace(dataset, x=dataset.x[:, ::-1]),
        replace(dataset, y=y),
        replace(dataset, split=split),
        replace(dataset, gene_id=dataset.gene_id[::-1]),
        replace(dataset, marks=dataset.marks[::-1]),
    ]
    assert len({describe_datasets([variant])["E003"]["sha256"] for variant in variants}) == len(variants)
    assert describe_datasets([dataset]) == describe_datasets([random_dataset("E003", genes=90, seed=0)])


@pytest.mark.campaign("races")
def test_two_runs_on_one_directory_exclude_each_other(tmp_path) -> None:
    config = RunConfig(CONFIG, INPUTS, {}, describe_datasets(data()))
    with (
        start_run(tmp_path / "run", config),
        pytest.raises(StorageError, match=rf"process {os.getpid()}\b.* is writing"),
    ):
        train(tmp_path / "run", resume=True)
    train(tmp_path / "run", resume=True)


@pytest.mark.campaign("kills")
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(tmp_path) -> None:
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


class _StoppedError(Exception):
    pass


def interrupted(out: Path, after: int) -> None:
    """A run that ends by an exception once its second model has trained ``after`` epochs."""

    def stop(epigenome, record) -> None:
        if epigenome == "E004" and record.epoch == after:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        train_run(out, data(), INPUTS, replace(CONFIG, epochs=50), Placement("cpu", threads=1), on_epoch=stop)


@pytest.mark.campaign("runs")
def test_an_interrupted_run_is_no_run_yet_and_a_damaged_checkpoint_is_named(tmp_path) -> None:
    interrupted(tmp_path, 2)
    with pytest.raises(BadDataError, match="not finished; the same dc train call with --resume"):
        Run(tmp_path)
    config = read_config(tmp_path)
    checkpoints = read_checkpoints(tmp_path, config)
    assert len(checkpoints["E003"].history) == 50
    assert len(checkpoints["E004"].history) == 2
    file = tmp_path / "checkpoints" / "E004.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:100], b"", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
        file.write_bytes(damaged)
        with pytest.raises(BadDataError, match=r"checkpoints/E004.safetensors: damaged"):
            train(tmp_path, replace(CONFIG, epochs=50), resume=True)
    write_tensors(file, {"weights/conv.weight": torch.zeros(3)}, {"epigenome": "E004"})
    with pytest.raises(BadDataError, match="not a checkpoint; remove it to train E004 from the beginning"):
        train(tmp_path, replace(CONFIG, epochs=50), resume=True)
    file.unlink()
    train(tmp_path, replace(CONFIG, epochs=50), resume=True)
    assert Run(tmp_path).epigenomes == ("E003", "E004")


@pytest.mark.campaign("runs")
def test_a_flipped_byte_anywhere_in_a_model_is_an_error(copied) -> None:
    file = copied / "models" / "E003.safetensors"
    whole = bytearray(file.read_bytes())
    rng = np.random.default_rng(1)
    for position in [0, 9, *rng.integers(0, 600, 20), *rng.integers(0, len(whole), 20)]:
        whole[position] ^= 0x10
        file.write_bytes(whole)
        with pytest.raises(BadDataError, match=r"E003.safetensors: "):
            Run(copied).weights("E003")
        whole[position] ^= 0x10


def all_weights(run: Path) -> str:
    return str({name: tensor.numpy().tobytes() for name, tensor in sorted(Run(run).weights("E003").items())})


READERS = {
    "predictions.parquet": lambda run: Run(run).predictions().write_json(),
    "metrics.parquet": lambda run: Run(run).metrics().write_json(),
    "config.json": lambda run: str(read_config(run)),
    "models/E003.safetensors": all_weights,
}


@pytest.mark.campaign("runs")
@pytest.mark.parametrize("name", READERS)
def test_a_changed_byte_is_an_error_or_changes_nothing(name, copied, record_property) -> None:
    """Footers, headers and documents too, which their formats do not protect."""
    read, file = READERS[name], copied / name
    whole, want, rng, refused = bytearray(file.read_bytes()), read(copied), np.random.default_rng(3), 0
    few = np.unique(np.concatenate([rng.integers(0, len(whole), 150), len(whole) - rng.integers(1, 1500, 150)]))
    places = sized(few[few >= 0], np.arange(min(len(whole), 20_000)))
    for at in places:
        change = int(rng.integers(1, 256))
        whole[at] ^= change
        file.write_bytes(whole)
        try:
            assert read(copied) == want, (at, change)
        except BadDataError:
            refused += 1
        whole[at] ^= change
    assert refused > len(places) // 2
    record_property("bytes changed", len(places))
    record_property("refused", refused)


@pytest.mark.campaign("pickles")
@pytest.mark.parametrize("how", ["pickle", "torch", "torch zip", "numpy"])
def test_a_pickle_by_the_name_of_a_model_runs_no_code(how, copied) -> None:
    file, witness = copied / "models" / "E003.safetensors", copied / "it-ran"
    payload = _Payload(witness)
    if how == "pickle":
        file.write_bytes(pickle.dumps(payload))
    elif how == "numpy":
        with file.open("wb") as out:
            np.save(out, np.array([payload], object), allow_pickle=True)
    else:
        torch.save({"conv.weight": payload}, file, _use_new_zipfile_serialization=how == "torch zip")
    assert str(witness).encode() in file.read_bytes()
    with pytest.raises(BadDataError, match=r"E003.safetensors: damaged, or not written by dc train"):
        Run(copied).weights("E003")
    checkpoint = copied / "checkpoints" / "E003.safetensors"
    checkpoint.write_bytes(file.read_bytes())
    with pytest.raises(BadDataError, match=r"checkpoints/E003.safetensors: damaged"):
        read_checkpoints(copied, read_config(copied))
    assert not witness.exists()


class _Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = str(witness)

    def __reduce__(self):
        return os.mkdir, (self.witness,)


@pytest.mark.campaign("runs")
def test_tables_of_other_programs_and_damaged_summaries_are_refused(copied) -> None:
    run = Run(copied)
    table = run.predictions()
    table.with_columns(pl.col("score") + 1e-9).write_parquet(copied / "predictions.parquet")
    with pytest.raises(BadDataError, match=r"predictions.parquet: damaged, or not written by dc train"):
        run.predictions()
    for text in ("", "epigenome\n", "a\tb\n1\t2\n", (copied / "summary.tsv").read_text().replace("0.", "x.")):
        (copied / "summary.tsv").write_text(text)
        with pytest.raises(BadDataError, match=r"summary.tsv: "):
            run.summary()


@pytest.mark.campaign("runs")
def test_a_model_that_is_not_the_config_s_is_refused(copied) -> None:
    run = Run(copied)
    file = copied / "models" / "E003.safetensors"
    tensors, document = read_tensors(file)

    def refused(changed, match, **other) -> None:
        write_tensors(file, changed, {**document, **other})
        with pytest.raises(BadDataError, match=match):
            run.weights("E003")

    refused({**tensors, "conv.bias": torch.zeros(1, 49)}, r"conv.bias is \(1, 49\) where \(1, 50\) must be")
    refused({k: v for k, v in tensors.items() if k != "conv.bias"}, "conv.bias is None where")
    refused({**tensors, "extra": torch.zeros(1)}, r"extra is \(1,\) where None must be")
    refused({**tensors, "conv.bias": torch.full((1, 50), torch.nan)}, "weights that are not finite")
    refused({**tensors, "conv.bias": torch.zeros(1, 50, dtype=torch.float16)}, "weights that are not float32")
    refused(tensors, "a model 'svm' of 'E003'", model="svm")
    refused(tensors, "a model 'deepchrome' of 'E004'", epigenome="E004")
    with pytest.raises(MissingInputError, match="no model of E099; it has E003, E004"):
        run.weights("E099")
    file.unlink()
    with pytest.raises(MissingInputError, match=r"summary.tsv may say why"):
        run.weights("E003")


@pytest.mark.campaign("runs")
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.update(format_version=9), "format version 9"),
        (lambda c: c.pop("fit"), "not the config of a run"),
        (lambda c: c["fit"].update(lr=0.5), "damaged or edited"),
        (lambda c: c["inputs"].update(transform="counts"), "damaged or edited"),
        (lambda c: c.pop("sha256"), "damaged or edited"),
        (lambda c: c["fit"].update(model="resnet"), "model 'resnet'"),
        (lambda c: c["fit"].update(colour="blue"), "not the config of a run"),
        (lambda c: c["fit"].update(lr=-1), "lr = -1"),
        (lambda c: c["inputs"].update(transform="sqrt"), "transform"),
        (lambda c: c["data"].clear(), "0 epigenomes"),
        (lambda c: c["data"].update({"../../etc/passwd": c["data"]["E003"]}), "cannot name an epigenome"),
        (lambda c: c["data"].update(E003=3), "not the config of a run"),
    ],
)
def test_a_config_that_is_none_is_refused(copied, change, match) -> None:
    document = json.loads((copied / "config.json").read_text())
    change(document)
    (copied / "config.json").write_text(json.dumps(document))
    with pytest.raises(BadDataError, match=match):
        Run(copied)


def test_no_run_and_no_json_are_told_apart(copied, tmp_path) -> None:
    with pytest.raises(MissingInputError, match="no run here"):
        Run(tmp_path / "nowhere")
    (copied / "config.json").write_text("{")
    with pytest.raises(BadDataError, match=r"config.json: not JSON"):
        Run(copied)


@pytest.mark.campaign("runs")
def test_damaged_predictions_are_an_error(copied) -> None:
    file = copied / "predictions.parquet"
    whole = bytearray(file.read_bytes())
    whole[60] ^= 1
    file.write_bytes(whole)
    with pytest.raises(BadDataError, match=r"predictions.parquet: not a readable Parquet file"):
        Run(copied).predictions()
    file.unlink()
    with pytest.raises(MissingInputError, match=r"predictions.parquet: no such file"):
        Run(copied).predictions()


@pytest.mark.campaign("numbers")
def test_one_class_in_the_test_genes_leaves_its_area_empty_and_says_why(tmp_path) -> None:
    one, other = data()
    y = one.y.copy()
    y[one.split == TEST] = 1
    summary = train(tmp_path / "run", datasets=[replace(one, y=y), other])
    assert summary[0].test_auroc is None
    assert summary[0].test_auprc is None
    assert summary[0].valid_auroc is not None
    assert summary[0].note == "no test AUROC: 30 test genes, not of both classes"
    assert summary[1].note == ""
    assert Run(tmp_path / "run").summary() == summary


@pytest.mark.campaign("numbers")
def test_a_diverged_model_has_no_numbers_and_a_note_and_the_rest_are_done(tmp_path) -> None:
    one, other = data()
    summary = train(tmp_path / "run", datasets=[replace(one, x=one.x * np.float32(1e18)), other])
    assert summary[0].note.startswith("diverged in epoch 1: try a smaller --lr")
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
    metrics = {(row["epigenome"], row["epoch"]): row for row in Run(tmp_path / "run").metrics().to_dicts()}
    for line in lines:
        assert line == metrics[line["epigenome"], line["epoch"]]
    with pytest.raises(UsageError, match=r"log.jsonl exists"):
        train(tmp_path / "other", log=log)


@pytest.mark.campaign("disk")
def test_a_full_disk_is_an_error_that_a_rerun_recovers_from(tmp_path) -> None:
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
