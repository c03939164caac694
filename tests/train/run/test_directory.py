"""Run directories: when a run may be written, replaced or resumed."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.epigenomes import INPUTS, random_dataset
from support.runs import CONFIG, random_datasets, train, visible

from deepchrome.common.names import TEST
from deepchrome.errors import BadDataError, MissingInputError, StorageError, UsageError
from deepchrome.train.fitting.config import EpochRecord, Placement
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.run.config import RunConfig, describe_datasets, read_config
from deepchrome.train.run.directory import Run, load_run, start_run
from deepchrome.train.run.tensors import write_tensors
from deepchrome.train.run.train import train_datasets
from deepchrome.train.run.weights import read_checkpoints


def test_load_run_opens_a_finished_run(finished_run, tmp_path) -> None:
    assert load_run(str(finished_run)).epigenomes == ("E003", "E004")
    with pytest.raises(MissingInputError, match=r"nowhere: not a run directory \(config.json is missing\)"):
        load_run(tmp_path / "nowhere")


def test_an_existing_run_is_refused_replaced_or_resumed(run_copy) -> None:
    before = (run_copy / "summary.tsv").read_bytes()
    with pytest.raises(UsageError, match="already contains a run") as caught:
        train(run_copy)
    assert caught.value.remedy == "resume_or_force"
    assert (run_copy / "summary.tsv").read_bytes() == before
    assert train(run_copy, resume=True) == Run(run_copy).summary()
    assert (run_copy / "summary.tsv").read_bytes() == before
    (run_copy / "notes.txt").write_text("mine")
    train(run_copy, replace(CONFIG, epochs=1), [random_datasets()[0]], force=True)
    assert Run(run_copy).epigenomes == ("E003",)
    assert not (run_copy / "models" / "E004.safetensors").exists()
    assert (run_copy / "notes.txt").read_text() == "mine"


def test_a_directory_of_other_files_is_refused(tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for options in ({}, {"force": True}, {"resume": True}):
        with pytest.raises(UsageError, match=r"not empty, and not a run \(found thesis.tex\)"):
            train(tmp_path, **options)
    with pytest.raises(UsageError, match="not a directory"):
        train(tmp_path / "thesis.tex")


@pytest.mark.campaign("names")
@pytest.mark.parametrize("name", ["../escape", "..", "a/b", "", "x" * 65, "E 3"])
def test_an_unsafe_epigenome_name_is_refused_before_anything_is_written(tmp_path, name) -> None:
    with pytest.raises(BadDataError, match="is not a valid name for an epigenome"):
        train(tmp_path / "run", datasets=[random_dataset(name)])
    assert not (tmp_path / "run").exists()


def test_resuming_with_other_settings_or_data_is_refused(finished_run) -> None:
    with pytest.raises(UsageError, match=r"fit.lr was 0.01, is now 0.02; fit.seed was 1, is now 2") as caught:
        train(finished_run, replace(CONFIG, lr=0.02, seed=2), resume=True)
    assert caught.value.remedy == "start_again"
    one, other = random_datasets()
    changed = replace(other, x=other.x + np.float32(1e-6))
    with pytest.raises(UsageError, match=r"the data of E004 changed"):
        train(finished_run, datasets=[one, changed], resume=True)
    with pytest.raises(UsageError, match=r"the run also has E004\. To continue it, request E003,E004"):
        train(finished_run, datasets=[one], resume=True)


@pytest.mark.campaign("runs")
def test_other_random_numbers_matter_only_to_an_unfinished_run(run_copy) -> None:
    """Earlier versions trained on DeepChrome's text format with other random numbers."""
    one, other = random_datasets()
    now, before = [replace(one, has_name=False), other], visible(run_copy)
    assert train(run_copy, datasets=now, resume=True) == Run(run_copy).summary()
    assert visible(run_copy) == before
    (run_copy / "summary.tsv").unlink()
    with pytest.raises(UsageError, match=r"an earlier version used other random numbers for E003") as caught:
        train(run_copy, datasets=now, resume=True)
    assert caught.value.remedy == "start_again"


@pytest.mark.campaign("runs")
def test_force_and_resume_contradict_each_other(run_copy) -> None:
    before = visible(run_copy)
    with pytest.raises(UsageError, match="force and resume contradict each other"):
        train(run_copy, replace(CONFIG, seed=2), force=True, resume=True)
    assert visible(run_copy) == before


def test_every_change_of_the_data_changes_their_checksum() -> None:
    dataset = random_datasets()[0]
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
def test_two_runs_cannot_write_one_directory(tmp_path) -> None:
    config = RunConfig(CONFIG, INPUTS, None, describe_datasets(random_datasets()))
    with (
        start_run(tmp_path / "run", config),
        pytest.raises(StorageError, match=rf"process {os.getpid()}\b.* is writing"),
    ):
        train(tmp_path / "run", resume=True)
    train(tmp_path / "run", resume=True)


class _InterruptedError(Exception):
    pass


def start_and_interrupt(out: Path, after: int) -> None:
    """Start a run of 50 epochs, and interrupt it once its second model has trained ``after`` epochs."""

    def interrupt(epigenome: str, record: EpochRecord) -> None:
        if epigenome == "E004" and record.epoch == after:
            raise _InterruptedError

    config, one_thread = replace(CONFIG, epochs=50), Placement("cpu", threads=1)
    with pytest.raises(_InterruptedError):
        train_datasets(random_datasets(), INPUTS, out, config, one_thread, on_epoch=interrupt)


@pytest.mark.campaign("runs")
def test_an_interrupted_run_is_unfinished_and_a_damaged_checkpoint_is_named(tmp_path) -> None:
    start_and_interrupt(tmp_path, 2)
    with pytest.raises(BadDataError, match="this run is not finished") as caught:
        Run(tmp_path)
    assert caught.value.remedy == "finish_run"
    config = read_config(tmp_path)
    checkpoints = read_checkpoints(tmp_path, config, plan_trainings(random_datasets()))
    assert {key: len(checkpoint.history) for key, checkpoint in checkpoints.items()} == {"E004": 2}
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["E003.safetensors"]
    file = tmp_path / "checkpoints" / "E004.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:100], b"", whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
        file.write_bytes(damaged)
        with pytest.raises(BadDataError, match=r"checkpoints/E004.safetensors: damaged"):
            train(tmp_path, replace(CONFIG, epochs=50), resume=True)
    write_tensors(file, {"weights/conv.weight": torch.zeros(3)}, {"epigenome": "E004"})
    with pytest.raises(BadDataError, match=r"not a checkpoint\. Remove it to train E004 from the beginning"):
        train(tmp_path, replace(CONFIG, epochs=50), resume=True)
    file.unlink()
    train(tmp_path, replace(CONFIG, epochs=50), resume=True)
    assert Run(tmp_path).epigenomes == ("E003", "E004")
