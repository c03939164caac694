"""Training on a Dask cluster gives the same bits as on one machine, even if a worker is killed."""

import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.cluster import cluster
from support.epigenomes import INPUTS, random_dataset, write_random_features
from support.tiny import dc

from deepchrome.errors import UsageError
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.directory import Run
from deepchrome.train.run.train import RunOptions, train_datasets

pytest.importorskip("distributed", reason="needs Dask: pip install 'deepchrome[cluster]'")

pytestmark = pytest.mark.campaign("cluster")
NAMES = ("E001", "E002", "E003", "E004")


def weights(run: Path) -> dict[str, dict[str, bytes]]:
    opened = Run(run)
    return {name: {k: v.numpy().tobytes() for k, v in opened.weights(name).items()} for name in opened.epigenomes}


def test_cluster_trains_the_same_models_as_one_machine(tmp_path: Path) -> None:
    features, expression = write_random_features(tmp_path / "features", NAMES)
    options = ["train", features, "--expression", expression, "--epochs", "3", "--split", "random", "--json"]
    here = dc(*options, "--out", tmp_path / "here", "--threads", "2")
    assert here.code == 0
    with cluster(tmp_path / "cluster") as started:
        log = tmp_path / "log"
        there = dc(*options, "--out", tmp_path / "there", "--scheduler", started.file, "--log", log)
        assert (there.code, "Traceback" in there.err) == (0, False), there.err
    assert there.json() == here.json()
    assert weights(tmp_path / "there") == weights(tmp_path / "here")
    assert len(log.read_text().splitlines()) == 12
    one, other = Run(tmp_path / "here").metrics(), Run(tmp_path / "there").metrics()
    assert one.drop("seconds").sort("epigenome", "epoch").equals(other.drop("seconds").sort("epigenome", "epoch"))


def test_models_of_a_killed_worker_are_trained_by_another(tmp_path: Path) -> None:
    """Models that the killed worker had finished are not trained again."""
    datasets = [random_dataset(name, genes=90, seed=i) for i, name in enumerate(NAMES)]
    config = FitConfig(epochs=4, batch_size=8)
    train_datasets(datasets, INPUTS, tmp_path / "here", config, Placement("cpu", threads=2))
    with cluster(tmp_path / "cluster", workers=1) as started:
        first = started.processes[-1]
        epochs: list[str] = []

        def on_epoch(epigenome: str, record: object) -> None:
            epochs.append(epigenome)
            if len(epochs) == 1:
                first.send_signal(signal.SIGKILL)
                threading.Timer(0.5, started.add_worker).start()

        options, out = RunOptions(scheduler=str(started.file)), tmp_path / "there"
        train_datasets(datasets, INPUTS, out, config, Placement("cpu"), options=options, on_epoch=on_epoch)
    assert sorted(epochs) == sorted(NAMES * 4)
    assert weights(tmp_path / "there") == weights(tmp_path / "here")


def test_cluster_and_one_machine_resume_each_other(tmp_path: Path) -> None:
    """A run that was interrupted on the cluster continues with the checkpoints it left."""
    datasets = [random_dataset(name, genes=90, seed=i) for i, name in enumerate(NAMES)]
    config = FitConfig(epochs=3, batch_size=8)
    train_datasets(datasets, INPUTS, tmp_path / "here", config, Placement("cpu", threads=2))

    class InterruptError(Exception):
        pass

    def interrupt(epigenome: str, record: object) -> None:
        raise InterruptError

    with cluster(tmp_path / "cluster", workers=1) as started:
        options, out, cpu = RunOptions(scheduler=str(started.file)), tmp_path / "there", Placement("cpu")
        with pytest.raises(InterruptError):
            train_datasets(datasets, INPUTS, out, config, cpu, options=options, on_epoch=interrupt)
        assert len(list((out / "checkpoints").glob("*.safetensors"))) == 1
        train_datasets(datasets, INPUTS, out, config, cpu, options=replace(options, resume=True))
        with pytest.raises(UsageError, match="networks"):
            train_datasets(datasets, INPUTS, tmp_path / "x", FitConfig(model="logistic"), cpu, options=options)
    assert weights(tmp_path / "there") == weights(tmp_path / "here")
