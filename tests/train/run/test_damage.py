"""Damaged, edited and foreign files in a run directory are refused."""

import json
import os
import pickle
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from campaign.rows import sized
from support.runs import make_old, random_datasets

from deepchrome.errors import BadDataError, MissingInputError
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.run.config import read_config
from deepchrome.train.run.directory import Run
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.tensors import read_tensors, write_tensors
from deepchrome.train.run.weights import read_checkpoints


@pytest.mark.campaign("runs")
def test_a_flipped_byte_anywhere_in_a_model_is_an_error(run_copy) -> None:
    file = run_copy / "models" / "E003.safetensors"
    whole = bytearray(file.read_bytes())
    rng = np.random.default_rng(1)
    for position in [0, 9, *rng.integers(0, 600, 20), *rng.integers(0, len(whole), 20)]:
        whole[position] ^= 0x10
        file.write_bytes(whole)
        with pytest.raises(BadDataError, match=r"E003.safetensors: "):
            Run(run_copy).model("E003")
        whole[position] ^= 0x10


def whole_model(run: Path) -> str:
    model = Run(run).model("E003")
    weights = {name: tensor.numpy().tobytes() for name, tensor in sorted(model.weights.items())}
    return str((weights, model.calibration, model.target_mean, model.target_sd))


READERS = {
    "predictions.parquet": lambda run: Run(run).predictions().write_json(),
    "metrics.parquet": lambda run: Run(run).metrics().write_json(),
    "config.json": lambda run: str(read_config(run)),
    "models/E003.safetensors": whole_model,
}


@pytest.mark.campaign("runs")
@pytest.mark.parametrize("name", READERS)
def test_a_changed_byte_is_an_error_or_changes_nothing(name, run_copy, record_property) -> None:
    """The bytes include footers, headers and JSON, which their formats do not protect."""
    read, file = READERS[name], run_copy / name
    whole, want, rng, refused = bytearray(file.read_bytes()), read(run_copy), np.random.default_rng(3), 0
    few = np.unique(np.concatenate([rng.integers(0, len(whole), 150), len(whole) - rng.integers(1, 1500, 150)]))
    places = sized(few[few >= 0], np.arange(min(len(whole), 20_000)))
    for at in places:
        change = int(rng.integers(1, 256))
        whole[at] ^= change
        file.write_bytes(whole)
        try:
            assert read(run_copy) == want, (at, change)
        except BadDataError:
            refused += 1
        whole[at] ^= change
    assert refused > len(places) // 2
    record_property("bytes changed", len(places))
    record_property("refused", refused)


@pytest.mark.campaign("pickles")
@pytest.mark.parametrize("how", ["pickle", "torch", "torch zip", "numpy"])
def test_a_pickle_in_place_of_a_model_runs_no_code(how, run_copy) -> None:
    file, witness = run_copy / "models" / "E003.safetensors", run_copy / "it-ran"
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
        Run(run_copy).model("E003")
    checkpoint = run_copy / "checkpoints" / "E003.safetensors"
    checkpoint.write_bytes(file.read_bytes())
    with pytest.raises(BadDataError, match=r"checkpoints/E003.safetensors: damaged"):
        read_checkpoints(run_copy, read_config(run_copy), plan_trainings(random_datasets()))
    assert not witness.exists()


class _Payload:
    """Makes a directory when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = str(witness)

    def __reduce__(self):
        return os.mkdir, (self.witness,)


@pytest.mark.campaign("runs")
def test_foreign_tables_are_refused(run_copy) -> None:
    run = Run(run_copy)
    table = run.predictions()
    table.with_columns(pl.col("score") + 1e-9).write_parquet(run_copy / "predictions.parquet")
    with pytest.raises(BadDataError, match=r"predictions.parquet: damaged, or not written by dc train"):
        run.predictions()


@pytest.mark.campaign("runs")
def test_a_damaged_summary_of_an_earlier_version_is_refused(run_copy) -> None:
    """There, summary.tsv is the only place of the results."""
    make_old(run_copy)
    run, text = Run(run_copy), (run_copy / "summary.tsv").read_text()
    for damaged in ("", "epigenome\n", "a\tb\n1\t2\n", text.replace("0.", "x."), text.replace("30\t", "\t")):
        (run_copy / "summary.tsv").write_text(damaged)
        with pytest.raises(BadDataError, match=r"summary.tsv: not the summary"):
            run.summary()


ROW = {"epigenome": "E003", **dict.fromkeys(("n_train", "n_valid", "n_test"), 30), "best_epoch": 1, "note": ""}
ROW |= dict.fromkeys(("valid_auroc", "test_auroc", "test_auprc", "published_auroc"), 0.5)


@pytest.mark.campaign("runs")
@pytest.mark.parametrize(
    "rows",
    [
        None,
        3,
        "E003",
        ["E003", "E004"],
        [[1], [2]],
        [],
        [ROW],
        [{**ROW, "epigenome": "E004"}, ROW],
        [ROW, {**ROW, "epigenome": "E004", "test_auroc": "high"}],
        [ROW, {**ROW, "epigenome": "E004", "n_test": None}],
        [ROW, {**ROW, "epigenome": "E004", "colour": "blue"}],
    ],
)
def test_a_table_with_another_summary_is_refused(rows, run_copy) -> None:
    file = run_copy / "metrics.parquet"
    table, document = read_frame(file)
    write_frame(file, table, {**document, "summary": [ROW, {**ROW, "epigenome": "E004"}]})
    assert [row.n_test for row in Run(run_copy).summary()] == [30, 30]
    write_frame(file, table, {**document, "summary": rows})
    with pytest.raises(BadDataError, match=r"metrics.parquet: not the summary of this run"):
        Run(run_copy).summary()


@pytest.mark.campaign("runs")
def test_damaged_predictions_are_refused(run_copy) -> None:
    file = run_copy / "predictions.parquet"
    whole = bytearray(file.read_bytes())
    whole[60] ^= 1
    file.write_bytes(whole)
    with pytest.raises(BadDataError, match=r"predictions.parquet: not a readable Parquet file"):
        Run(run_copy).predictions()
    file.unlink()
    with pytest.raises(MissingInputError, match=r"predictions.parquet: no such file"):
        Run(run_copy).predictions()


@pytest.mark.campaign("runs")
def test_weights_that_do_not_fit_the_config_are_refused(run_copy) -> None:
    run = Run(run_copy)
    file = run_copy / "models" / "E003.safetensors"
    tensors, document = read_tensors(file)

    def assert_refused(changed, match, **other) -> None:
        write_tensors(file, changed, {**document, **other})
        with pytest.raises(BadDataError, match=match):
            run.model("E003")

    assert_refused({**tensors, "conv.bias": torch.zeros(1, 1, 49)}, r"conv.bias is \(1, 1, 49\), expected \(1, 1, 50\)")
    assert_refused({k: v for k, v in tensors.items() if k != "conv.bias"}, "conv.bias is None, expected")
    assert_refused({**tensors, "extra": torch.zeros(1)}, r"extra is \(1,\), expected None")
    assert_refused({**tensors, "conv.bias": torch.full((1, 1, 50), torch.nan)}, "weights are not finite")
    assert_refused({**tensors, "conv.bias": torch.zeros(1, 1, 50, dtype=torch.float16)}, "weights are not float32")
    assert_refused(tensors, "the model 'svm' of 'E003'", model="svm")
    assert_refused(tensors, "the model 'deepchrome' of 'E004'", epigenome="E004")
    with pytest.raises(MissingInputError, match=r"no model of E099 \(found E003, E004\)"):
        run.model("E099")
    file.unlink()
    with pytest.raises(MissingInputError, match=r"See the notes in .*summary.tsv"):
        run.model("E003")


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
        (lambda c: c["fit"].update(lr=-1), "lr .*-1"),
        (lambda c: c["inputs"].update(transform="sqrt"), "transform"),
        (lambda c: c.pop("origin"), "not the config of a run"),
        (lambda c: c.update(origin={"csv": "/data"}), "damaged or edited"),
        (lambda c: c.update(origin={"features": "/data"}), "not the config of a run"),
        (lambda c: c.update(origin={"features": "a", "expression": "b", "split": "fair"}), "split must be one of"),
        (lambda c: c.update(origin={"features": "a", "expression": "b", "colour": "blue"}), "not the config of a run"),
        (lambda c: c["data"].clear(), "0 epigenomes"),
        (lambda c: c["data"].update({"../../etc/passwd": c["data"]["E003"]}), "is not a valid name for an epigenome"),
        (lambda c: c["data"].update(E003=3), "not the config of a run"),
    ],
)
def test_an_invalid_or_edited_config_is_refused(run_copy, change, match) -> None:
    document = json.loads((run_copy / "config.json").read_text())
    change(document)
    if match != "damaged or edited":
        document.pop("sha256")
        document["sha256"] = sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    (run_copy / "config.json").write_text(json.dumps(document))
    with pytest.raises(BadDataError, match=match):
        Run(run_copy)


def test_a_config_that_is_not_json_is_refused(run_copy) -> None:
    (run_copy / "config.json").write_text("{")
    with pytest.raises(BadDataError, match=r"config.json: not JSON"):
        Run(run_copy)
