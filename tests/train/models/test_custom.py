"""Networks of users, written as plain PyTorch modules: trained as in a plain loop, and refused with one line."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import plain_networks
from support.epigenomes import BINS, MARKS, random_dataset
from torch import nn

from deepchrome.common.names import TRAIN
from deepchrome.common.seeds import random_generator
from deepchrome.errors import UsageError
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.models import NetworkSpec, build_network, check_network, compute_outputs
from deepchrome.train.models.custom import task_of

PLACE = "support.plain_networks"
CPU = Placement("cpu", threads=2)


def config_of(name: str, **settings) -> FitConfig:
    return FitConfig(f"{PLACE}:{name}", **{"epochs": 3, "batch_size": 16, "lr": 0.05, "precision": "fp32", **settings})


def plain_loop(name: str, data, config: FitConfig) -> dict[str, torch.Tensor]:
    """Train a network with plain PyTorch."""
    rng = random_generator(config.seed, data.epigenome)
    torch.manual_seed(int(rng.integers(2**31)))
    network = getattr(plain_networks, name)(len(MARKS), BINS)
    optimizer = torch.optim.SGD(network.parameters(), config.lr, config.momentum)
    mean, spread = np.log2(data.rpkm[data.split == TRAIN] + 1).mean(), np.log2(data.rpkm[data.split == TRAIN] + 1).std()
    target = torch.from_numpy((np.log2(data.rpkm + 1) - mean) / spread).float()
    x, on, rows = torch.from_numpy(data.x), torch.from_numpy(data.y).long(), np.flatnonzero(data.split == TRAIN)
    for epoch in range(1, config.epochs + 1):
        order = random_generator(config.seed, data.epigenome, epoch).permutation(rows)
        torch.manual_seed(int(random_generator(config.seed, f"{data.epigenome}/{epoch}").integers(2**31)))
        for genes in np.array_split(order, range(config.batch_size, rows.size, config.batch_size)):
            outputs, loss = network(x[genes]), 0
            if config.task != "regress":
                loss = nn.functional.cross_entropy(outputs[:, :2], on[genes])
            if config.task != "classify":
                loss = loss + nn.functional.huber_loss(outputs[:, -1], target[genes])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.state_dict()


def last_weights(trainings, config, **options) -> dict[str, dict[str, torch.Tensor]]:
    last = {}
    fit(trainings, config, CPU, on_epoch=lambda key, _, state: last.update({key: state().weights}), **options)
    return last


@pytest.mark.parametrize(
    ("name", "task"),
    [("NoDropout", "classify"), ("OneHidden", "classify"), ("Regresses", "regress"), ("DoesBoth", "both")],
)
def test_custom_network_is_trained_as_in_a_plain_loop(name, task) -> None:
    datasets = [random_dataset(f"E{i:03d}", seed=i, sizes=(48, 30)) for i in range(2)]  # whole batches
    config = config_of(name, task=task)
    last = last_weights(plan_trainings(datasets), config)
    for data in datasets:
        for key, expected in plain_loop(name, data, config).items():
            np.testing.assert_allclose(last[data.epigenome][key.replace(".", "/")], expected, atol=2e-5)


def test_custom_network_computes_the_outputs_of_its_class() -> None:
    spec = NetworkSpec(f"{PLACE}:OneHidden", 3, BINS)
    torch.manual_seed(2)
    networks = [plain_networks.OneHidden(3, BINS).eval() for _ in range(2)]
    states = [network.state_dict() for network in networks]
    weights = {key.replace(".", "/"): torch.stack([state[key] for state in states]) for key in states[0]}
    x = np.random.default_rng(1).random((1500, BINS, 3), np.float32)
    outputs = compute_outputs(spec, weights, x)
    for network, found in zip(networks, outputs, strict=True):
        np.testing.assert_allclose(found, network(torch.from_numpy(x)).detach().numpy(), atol=1e-6)


def test_dropout_of_a_custom_network_is_reproducible_resumes_and_leaves_other_random_numbers_alone() -> None:
    datasets = [random_dataset(f"E{i:03d}", seed=i) for i in range(2)]
    config = config_of("OneHidden", epochs=4)
    states: dict[int, dict] = {}

    def keep(key, record, checkpoint) -> None:
        states.setdefault(record.epoch, {})[key] = checkpoint()

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    fit(plan_trainings(datasets), config, CPU, on_epoch=keep)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)  # what the process drew before makes no difference
    again = last_weights(plan_trainings(datasets), config)
    without = last_weights(plan_trainings(datasets), config_of("NoDropout", epochs=4))
    for key, state in states[4].items():
        for name, expected in state.weights.items():
            assert torch.equal(again[key][name], expected)
        assert any(not torch.equal(without[key][name], expected) for name, expected in state.weights.items())
    for epoch in (1, 2, 3):
        resumed = last_weights(plan_trainings(datasets), config, resume=states[epoch])
        for key, state in states[4].items():
            assert all(torch.equal(resumed[key][name], expected) for name, expected in state.weights.items())


def test_custom_network_gets_a_mask_for_missing_marks() -> None:
    datasets = [random_dataset("E001", seed=1), random_dataset("E002", seed=2, missing=(MARKS[0],))]
    config = replace(config_of("NoDropout"), pooled=True, mark_dropout=0.2)
    fitted = fit(plan_trainings(datasets, pooled=True), config, CPU)[0]
    assert fitted.weights["inner.layers/1/weight"].shape == (8, 2 * len(MARKS) * BINS)
    assert fitted.best_epoch is not None


@pytest.mark.parametrize(("name", "task"), [("OneHidden", "classify"), ("Regresses", "regress"), ("DoesBoth", "both")])
def test_the_number_of_outputs_tells_the_task(name, task) -> None:
    assert task_of(f"{PLACE}:{name}", 3, BINS) == task


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{PLACE}:FourOutputs", f"{PLACE}:FourOutputs: returns 4 outputs per gene, expected 1, 2 or 3"),
        (f"{PLACE}:NoModule", "is no torch.nn.Module"),
        ("builtins:range", "is no torch.nn.Module"),
        (f"{PLACE}:BINS", "cannot be built (AttributeError: module"),
        (f"{PLACE}:__name__", "is no torch.nn.Module"),
        ("no_such_module:Network", "cannot be built (ModuleNotFoundError: No module named 'no_such_module')"),
        (":Network", "cannot be built (ValueError: Empty module name)"),
        (f"{PLACE}:FailsToBuild", "cannot be built (ValueError: no room for 3 marks and 24 bins)"),
        (f"{PLACE}:TakesMarksFirst", "fails on an input of shape (2, 24, 3) (RuntimeError: "),
        (f"{PLACE}:OneDimension", "returns the shape (2,) for 2 genes, expected (2, outputs)"),
        (f"{PLACE}:Tuples", "returns a tuple, expected a tensor of shape (2, outputs)"),
    ],
)
def test_unusable_classes_are_refused_with_one_line(name, message) -> None:
    for use in (lambda: task_of(name, 3, BINS), lambda: check_network(NetworkSpec(name, 3, BINS))):
        with pytest.raises(UsageError) as refused:
            use()
        text = str(refused.value)
        assert "\n" not in text
        assert text.startswith(f"{name}: ")
        if "FourOutputs" not in name:
            assert message in text


def test_wrong_number_of_outputs_is_refused() -> None:
    with pytest.raises(UsageError, match=r"OneHidden: returns 2 outputs per gene, but the task both needs 3"):
        build_network(NetworkSpec(f"{PLACE}:OneHidden", 3, BINS, "both"), 1)


def test_buffers_of_a_custom_network_are_refused() -> None:
    with pytest.raises(UsageError, match=re.escape("a model file would not hold its buffer norm/num_batches_tracked")):
        check_network(NetworkSpec(f"{PLACE}:WithBatchNorm", 3, BINS))
    with pytest.raises(UsageError, match="a model file would not hold its buffer"):
        fit(plan_trainings([random_dataset()]), config_of("WithBatchNorm"), CPU)
