"""Stacked training compared with a plain PyTorch loop; checkpoints, early stopping, and refused data."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score
from support.epigenomes import random_dataset
from support.fitting import CPU, epigenomes, fit, largest_difference, plain_loop, scores_of

from deepchrome.common.names import TEST, TRAIN, VALID
from deepchrome.errors import BadDataError, ParameterError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, Placement, best_epoch

SHORT = FitConfig(epochs=3, batch_size=16, precision="fp32")
OPTIMIZERS = (
    FitConfig(epochs=3, batch_size=16, precision="fp32", optimizer="sgd", lr=0.05, momentum=0.0, lr_decay=0.01),
    FitConfig(epochs=3, batch_size=16, precision="fp32", optimizer="sgd", weight_decay=1e-3),
    FitConfig(epochs=3, batch_size=16, precision="fp32", optimizer="adam", lr=1e-3),
    FitConfig(epochs=3, batch_size=16, precision="fp32", optimizer="adamw", lr=1e-3, weight_decay=0.05),
    FitConfig(epochs=3, batch_size=16, precision="fp32", lr=0.05, nesterov=True, schedule="one-cycle", task="both"),
    FitConfig(epochs=3, batch_size=16, precision="fp32", shift_bins=2, task="regress"),
)
OPTIMIZER_NAMES = ("sgd", "momentum", "adam", "adamw", "one-cycle", "regress")


@pytest.mark.parametrize("config", OPTIMIZERS, ids=OPTIMIZER_NAMES)
def test_stacked_training_equals_a_plain_loop(config) -> None:
    datasets = epigenomes(3)
    for placement in (CPU, Placement("cpu", group_size=2)):
        last = {}

        def keep(name, record, checkpoint, last=last) -> None:
            last[name] = checkpoint().weights

        fitted = fit(datasets, config, placement, on_epoch=keep)
        for data, model in zip(datasets, fitted, strict=True):
            areas, weights = plain_loop([data], config, data.epigenome)
            assert [record.valid_auroc for record in model.history] == pytest.approx(areas, abs=2e-3)
            assert largest_difference(last[data.epigenome], weights) < 2e-5


@pytest.mark.parametrize("model", ["deepchrome", "attentivechrome"])
@pytest.mark.parametrize("group_size", [1, 3])
def test_model_does_not_depend_on_the_other_models(model, group_size) -> None:
    datasets = epigenomes(3)
    config = replace(SHORT, model=model, epochs=2)
    among = fit(datasets, config, Placement("cpu", threads=2, group_size=group_size))
    reordered = fit(datasets[::-1], config, Placement("cpu", threads=2, group_size=group_size))[::-1]
    for data, one, other in zip(datasets, among, reordered, strict=True):
        alone = fit([data], config, Placement("cpu", threads=1))[0]
        for together in (one, other):
            assert largest_difference(alone.weights, together.weights) < 1e-6
            assert [r.valid_auroc for r in alone.history] == pytest.approx([r.valid_auroc for r in together.history])


def test_same_seed_gives_same_models() -> None:
    datasets = epigenomes(2)
    one, same = fit(datasets, SHORT, CPU), fit(datasets, SHORT, CPU)
    other = fit(datasets, replace(SHORT, seed=2), CPU)
    for i in range(2):
        assert largest_difference(one[i].weights, same[i].weights) == 0
        assert largest_difference(one[i].weights, other[i].weights) > 0.01


def test_weights_of_the_best_epoch_are_kept() -> None:
    data = epigenomes(1)[0]
    seen = {}

    def on_epoch(epigenome, record, checkpoint) -> None:
        seen[record.epoch] = checkpoint()

    fitted = fit([data], replace(SHORT, epochs=8, lr=0.3), CPU, on_epoch=on_epoch)[0]
    areas = [record.valid_auroc for record in fitted.history]
    assert fitted.best_epoch == 1 + int(np.argmax(areas))
    assert fitted.best_epoch != 8
    assert largest_difference(fitted.weights, seen[fitted.best_epoch].weights) == 0
    assert largest_difference(fitted.weights, seen[8].best) == 0
    assert largest_difference(fitted.weights, seen[8].weights) > 0
    assert best_epoch(fitted.history) == fitted.best_epoch


def test_epoch_measures_equal_scikit_learn() -> None:
    data = epigenomes(1)[0]
    fitted = fit([data], replace(SHORT, epochs=2), CPU)[0]
    valid = data.split == VALID
    scores = scores_of(data, SHORT, fitted.weights, valid)
    best = fitted.history[fitted.best_epoch - 1]
    assert best.valid_auroc == pytest.approx(roc_auc_score(data.y[valid], scores), abs=1e-6)
    assert best.valid_loss == pytest.approx(log_loss(data.y[valid], scores), abs=1e-5)


def test_patience_stops_a_model_but_not_the_others() -> None:
    datasets = epigenomes(3)
    config = replace(SHORT, epochs=12, lr=0.05, patience=2)
    unbroken = fit(datasets, replace(config, patience=0), Placement("cpu", group_size=3))
    for placement in (CPU, Placement("cpu", group_size=3)):
        stopped = fit(datasets, config, placement)
        assert any(len(model.history) < 12 for model in stopped)
        for long, short in zip(unbroken, stopped, strict=True):
            n = len(short.history)
            best = best_epoch(long.history[:n])
            assert short.best_epoch == best
            assert n == 12 or n == best + 2
            assert [r.valid_auroc for r in short.history] == pytest.approx([r.valid_auroc for r in long.history[:n]])


@pytest.mark.parametrize("config", OPTIMIZERS, ids=OPTIMIZER_NAMES)
def test_resuming_from_a_checkpoint_gives_the_same_bits(config) -> None:
    datasets = epigenomes(3)
    checkpoints = {epoch: {} for epoch in range(1, config.epochs + 1)}

    def keep(epigenome, record, checkpoint) -> None:
        if epigenome != "E002":
            checkpoints[record.epoch][epigenome] = checkpoint()

    unbroken = fit(datasets, config, CPU, on_epoch=keep)
    for epoch in range(1, config.epochs):
        resumed = fit(datasets, config, CPU, resume=checkpoints[epoch])
        for one, other in zip(unbroken, resumed, strict=True):
            assert largest_difference(one.weights, other.weights) == 0
            assert one.best_epoch == other.best_epoch
            assert [replace(r, seconds=0) for r in one.history] == [replace(r, seconds=0) for r in other.history]


def test_checkpoint_of_the_last_epoch_is_not_trained_further() -> None:
    data = epigenomes(1)
    last = {}
    unbroken = fit(data, SHORT, CPU, on_epoch=lambda name, record, checkpoint: last.update({name: checkpoint()}))
    events = []
    resumed = fit(data, SHORT, CPU, resume=last, on_epoch=lambda *event: events.append(event))
    assert events == []
    assert resumed[0].history == unbroken[0].history
    assert largest_difference(resumed[0].weights, unbroken[0].weights) == 0


def test_diverging_model_stops_and_the_others_finish() -> None:
    stable, diverging = epigenomes(2)
    diverging = replace(diverging, x=diverging.x * np.float32(1e18))
    for placement in (CPU, Placement("cpu", group_size=2)):
        fitted = fit([stable, diverging], SHORT, placement)
        assert len(fitted[0].history) == 3
        assert fitted[1].history[-1].diverged
        assert len(fitted[1].history) == 1
        assert fitted[1].best_epoch is None
        assert fitted[1].weights == {}


def test_error_in_a_callback_ends_training() -> None:
    epochs = []

    def fail(epigenome, record, checkpoint) -> None:
        epochs.append(record.epoch)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fit(epigenomes(4), replace(SHORT, epochs=500), CPU, on_epoch=fail)
    assert set(epochs) == {1}


def with_one_class(data: Dataset, part: int) -> Dataset:
    y = data.y.copy()
    y[data.split == part] = 0
    return replace(data, y=y)


def test_bad_data_are_refused() -> None:
    data = epigenomes(2)
    for part, name in ((TRAIN, "train"), (VALID, "valid")):
        with pytest.raises(BadDataError, match=rf"E001: the labels do not include both classes in {name} \("):
            fit([data[0], with_one_class(data[1], part)], SHORT, CPU)
    no_training = replace(data[0], split=np.where(data[0].split == TRAIN, TEST, data[0].split).astype(np.int8))
    with pytest.raises(BadDataError, match=r"train \(0 genes\)"):
        fit([no_training], SHORT, CPU)
    with_nan = replace(data[0], x=data[0].x.copy())
    with_nan.x[3, 2, 1] = np.nan
    with pytest.raises(BadDataError, match="E000: an input value is not a finite number"):
        fit([with_nan], SHORT, CPU)
    shorter = replace(data[1], x=data[1].x[:, :20])
    with pytest.raises(BadDataError, match="E001: 20 bins of H3K27me3, H3K4me3, H3K9me3, but E000 has 24 bins"):
        fit([data[0], shorter], SHORT, CPU)
    with pytest.raises(BadDataError, match="same epigenome name"):
        fit([data[0], data[0]], SHORT, CPU)
    with pytest.raises(UsageError, match="no data set"):
        fit([], SHORT, CPU)


def test_test_genes_of_one_class_are_accepted() -> None:
    assert fit([with_one_class(epigenomes(1)[0], TEST)], SHORT, CPU)[0].best_epoch is not None


def test_global_settings_of_pytorch_are_restored() -> None:
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    fit(epigenomes(2), replace(SHORT, epochs=1), Placement("cpu", threads=2))
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == before


def test_bf16_trains_about_as_well_as_fp32() -> None:
    data = random_dataset(genes=600, seed=4)
    exact = fit([data], replace(SHORT, epochs=6), CPU)[0].history[-1]
    coarse = fit([data], replace(SHORT, epochs=6, precision="bf16"), CPU)[0].history[-1]
    assert coarse.valid_loss != exact.valid_loss
    assert coarse.valid_auroc == pytest.approx(exact.valid_auroc, abs=0.03)


def test_missing_gpu_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU is present")
    with pytest.raises(ParameterError, match="device is cuda, but PyTorch finds no CUDA device"):
        Placement("cuda").resolve()
    assert Placement("auto").resolve().type == "cpu"
