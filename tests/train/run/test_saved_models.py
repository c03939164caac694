"""The files of a run give the scores of the trained models, or the run is refused."""

from dataclasses import replace
from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score
from support import networks
from support.epigenomes import BINS, INPUTS, MARKS, random_dataset
from support.networks import MixesGenes, MixesModels, Noisy, OneLayer, registered
from support.runs import CONFIG, CPU, random_datasets, train

from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.models import BASELINES, NETWORKS, NetworkSpec, build_network, check_network
from deepchrome.train.models.baselines import fit_baseline
from deepchrome.train.models.outputs import Task
from deepchrome.train.models.trained import TrainedModel
from deepchrome.train.run import weights as weights_module
from deepchrome.train.run.directory import Run
from deepchrome.train.run.train import train_datasets
from deepchrome.train.run.verify import _swappable_pairs, score_rounding

pytestmark = pytest.mark.campaign("save-load")
BUILT_IN = tuple(NETWORKS)


def log_odds_before_saving(config: FitConfig) -> dict[str, np.ndarray]:
    """Train without a run directory, and score with the weights in memory."""
    datasets = random_datasets()
    trainings = plan_trainings(datasets, members=config.members)
    if config.model in BASELINES:
        weights = {
            data.epigenome: {
                name: torch.from_numpy(array) for name, array in fit_baseline(config.model, data, 1).items()
            }
            for data in datasets
        }
    else:
        fitted = {model.key: model.weights for model in fit(trainings, config, CPU)}
        weights = {
            data.epigenome: {
                name: torch.stack(
                    [fitted[training.key][name] for training in trainings if training.datasets == (data,)]
                )
                for name in fitted[data.epigenome]
            }
            for data in datasets
        }
    spec = NetworkSpec(config.model, len(MARKS), BINS, config.task)
    return {data.epigenome: TrainedModel(spec, weights[data.epigenome]).score(data.x).log_odds for data in datasets}


CONFIGS = {name: replace(CONFIG, model=name) for name in (*BUILT_IN, *BASELINES, "outside")}
CONFIGS |= {
    "both": replace(CONFIG, task="both"),
    "regress": replace(CONFIG, task="regress"),
    "members": replace(CONFIG, members=3),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_scores_after_loading_equal_those_before_saving(case, tmp_path) -> None:
    config = CONFIGS[case]
    with registered(OneLayer):
        before = log_odds_before_saving(config)
        summary = train(tmp_path / "run", config)
        run = Run(tmp_path / "run")
        for data, row in zip(random_datasets(), summary, strict=True):
            model = run.model(data.epigenome)
            np.testing.assert_array_equal(model.score(data.x).log_odds, before[data.epigenome])
            stored = run.predictions().filter(pl.col("epigenome") == data.epigenome)
            np.testing.assert_array_equal(model.score(data.x).score, stored["score"].to_numpy())
            valid = data.split == 1
            assert row.valid_auroc == pytest.approx(roc_auc_score(data.y[valid], before[data.epigenome][valid]))
        assert train(tmp_path / "run", config, resume=True) == summary


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (networks.PlainLayers, r"parameter output.bias has the shape \(2,\) in a stack of 2 models and \(2,\) in a"),
        (networks.SizedByStack, r"parameter mixture has the shape \(2, 2\) in a stack of 2 models and \(3, 3\) in a"),
        (networks.OneScale, r"parameter scale has the shape \(\) in a stack of 2 models"),
        (networks.RunningMean, r"a model file would not hold its buffer norm\.num_batches_tracked"),
        (networks.NotStacked, "its class is not a StackedModel"),
    ],
)
def test_networks_that_a_file_cannot_hold_are_refused_before_training(network, message, tmp_path) -> None:
    with registered(network) as name:
        config, out = replace(CONFIG, model=name), tmp_path / "run"
        with pytest.raises(UsageError, match=rf"the network 'outside' \(support.networks:\w+\) cannot .*{message}"):
            train(out, config)
        assert not out.exists()
        with pytest.raises(UsageError, match=message):
            fit(plan_trainings(random_datasets()), config, CPU)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_networks_of_deepchrome_are_stacks(name) -> None:
    for task in get_args(Task):
        check_network(NetworkSpec(name, len(MARKS), BINS, task))
        check_network(NetworkSpec(name, 1, 14, task, missing_marks=True))


@pytest.mark.parametrize(("network", "together"), [(MixesModels, 2), (MixesGenes, 1)])
def test_networks_that_mix_models_or_genes_are_refused_after_training(network, together, tmp_path) -> None:
    """Their parameters are saved correctly, but alone or in another batch they give other scores."""
    config, out = replace(CONFIG, model="outside", lr=0.1, epochs=20, precision="fp32"), tmp_path / "run"
    placement = Placement("cpu", threads=1, group_size=together)
    with registered(network), pytest.raises(BadDataError) as caught:
        train_datasets(random_datasets(), INPUTS, out, config, placement)
    assert ".safetensors: the saved model has a validation AUROC of 0." in str(caught.value)
    assert "must score each gene by itself" in str(caught.value)
    assert not (out / "summary.tsv").exists()
    with registered(network), pytest.raises(BadDataError, match="this run is not finished"):
        Run(out)


@pytest.mark.parametrize("name", ["deepchrome", "logistic"])
def test_a_file_that_gives_other_scores_is_an_error(name, tmp_path, monkeypatch) -> None:
    def write_rounded(path, tensors, document) -> None:
        original(path, {key: value * (1 - 1e-6) for key, value in tensors.items()}, document)

    original = weights_module.write_tensors
    train(tmp_path / "intact", replace(CONFIG, model=name))
    # Checkpoints are written by the same function. They have no effect on a run that is not interrupted.
    monkeypatch.setattr(weights_module, "write_tensors", write_rounded)
    with pytest.raises(BadDataError, match=r"E00[34].safetensors: the saved model does not give the scores"):
        train(tmp_path / "run", replace(CONFIG, model=name))
    assert not (tmp_path / "run" / "summary.tsv").exists()


def test_random_numbers_in_scoring_are_an_error(tmp_path) -> None:
    with registered(Noisy), pytest.raises(BadDataError, match="no random numbers when it scores"):
        train(tmp_path / "run", replace(CONFIG, model="outside"))


@pytest.mark.parametrize("genes", [18, 90, 900])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rounding_is_no_error(genes, precision, tmp_path, record_property) -> None:
    """The precision of training may differ from that of scoring, and a third of the genes may have no reads."""
    datasets = [random_dataset(f"E{i:03d}", genes=genes, seed=i) for i in range(3)]
    for data in datasets:
        data.x[::3] = 0
    config = replace(CONFIG, precision=precision, lr=0.1, epochs=10)
    train(tmp_path / "run", config, datasets)
    record_property("models", len(datasets))


def test_rounding_depends_on_the_precision() -> None:
    assert score_rounding("fp32") < score_rounding("tf32") < score_rounding("bf16")


def test_pairs_that_rounding_can_swap() -> None:
    on, scores = np.array([1, 1, 0, 0], np.uint8), np.array([0.5, 0.9, 0.5, 0.1])
    assert _swappable_pairs(on, scores, 1e-5) == 1 / 4
    assert _swappable_pairs(on, scores, 10.0) == 1
    assert _swappable_pairs(on, np.array([1.0, 0.9, 0.0, 0.1]), 1e-5) == 0
    assert _swappable_pairs(on, np.full(4, 1.0), 1e-5) == 1


def test_a_network_from_outside_must_be_known_to_open_its_run(tmp_path) -> None:
    with registered(OneLayer):
        train(tmp_path / "run", replace(CONFIG, model="outside"))
        assert Run(tmp_path / "run").epigenomes == ("E003", "E004")
        assert build_network(NetworkSpec("outside", 3, 24), 1).shapes()["output.weight"] == (72, 2)
    with pytest.raises(BadDataError, match=r"not the config of a run \(model 'outside'"):
        Run(tmp_path / "run")
