"""Outputs and losses compared with PyTorch's own; networks for missing marks; the scores of trained models."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from deepchrome.train.models import NetworkSpec, build_network, check_network
from deepchrome.train.models.calibration import Calibration
from deepchrome.train.models.outputs import OUTPUTS, expression, gene_losses, log_odds
from deepchrome.train.models.trained import TrainedModel, member_log_odds

TASKS = tuple(OUTPUTS)


@pytest.mark.parametrize("task", TASKS)
def test_loss_of_each_gene_equals_pytorch(task) -> None:
    torch.manual_seed(1)
    outputs, on, target = 3 * torch.randn(40, OUTPUTS[task]), torch.randint(0, 2, (40,)), 2 * torch.randn(40)
    losses = gene_losses(outputs, on, target, task)
    assert losses.shape == (40,)
    cross, huber = nn.CrossEntropyLoss(), nn.HuberLoss(delta=1.0)
    for i in range(40):
        one = slice(i, i + 1)
        expected = {
            "classify": lambda one=one: cross(outputs[one, :2], on[one]),
            "regress": lambda one=one: huber(outputs[one, -1], target[one]),
            "both": lambda one=one: cross(outputs[one, :2], on[one]) + huber(outputs[one, 2], target[one]),
        }
        torch.testing.assert_close(losses[i], expected[task]())
    assert (target - outputs[:, -1]).abs().min() < 1 < (target - outputs[:, -1]).abs().max()


def test_log_odds_are_those_of_the_softmax_in_float64() -> None:
    outputs = torch.tensor([[0.0, 0.0, 9.0], [1.0, -2.0, 9.0], [0.0, 20.0, 9.0], [0.0, 21.0, 9.0]])
    for task in ("classify", "both"):
        odds = log_odds(outputs, task)
        assert odds.dtype == torch.float64
        np.testing.assert_allclose(expit(odds.numpy()), outputs[:, :2].double().softmax(1)[:, 1].numpy(), rtol=1e-12)
        assert odds[3] > odds[2]
    assert log_odds(outputs[:, :1], "regress").tolist() == [0.0, 1.0, 0.0, 0.0]
    assert expression(outputs, "classify") is None
    assert expression(outputs, "both").tolist() == [9.0] * 4
    assert expression(outputs[:, :1], "regress").tolist() == [0.0, 1.0, 0.0, 0.0]


def drawn(spec: NetworkSpec, models: int = 1):
    network = build_network(spec, models)
    for i in range(models):
        network.draw(i, np.random.default_rng(i))
    return network.eval()


@pytest.mark.parametrize("name", ["deepchrome", "attentivechrome"])
@pytest.mark.parametrize("task", TASKS)
def test_networks_have_the_outputs_of_their_task(name, task) -> None:
    spec = NetworkSpec(name, 3, 24, task)
    check_network(spec)
    assert drawn(spec)(torch.rand(1, 5, 24, 3)).shape == (1, 5, OUTPUTS[task])


@pytest.mark.parametrize("name", ["deepchrome", "attentivechrome"])
def test_a_missing_mark_is_told_from_an_empty_one_and_its_values_do_not_count(name) -> None:
    network = drawn(NetworkSpec(name, 3, 24, missing_marks=True))
    x = torch.rand(1, 5, 24, 3)
    missing, empty = x.clone(), x.clone()
    missing[..., 1], empty[..., 1] = torch.nan, 0
    assert network(missing).isfinite().all()
    assert (network(missing) - network(empty)).abs().max() > 1e-4
    # The inner network gets the input without NaN, then the mask.
    channels = torch.cat([empty, torch.ones(1, 5, 24, 3)], 3)
    channels[..., 4] = 0
    torch.testing.assert_close(network.inner(channels), network(missing))


@pytest.mark.parametrize("task", TASKS)
def test_scores_average_the_members_before_calibration(task) -> None:
    spec, rng = NetworkSpec("deepchrome", 3, 24, task), np.random.default_rng(4)
    stack = drawn(spec, 3)
    weights = {name: 3 * parameter.detach() for name, parameter in stack.named_parameters()}
    model = TrainedModel(spec, weights, Calibration(0.7, 0.2), target_mean=2.5, target_sd=1.5)
    x = rng.random((11, 24, 3), np.float32)
    with torch.no_grad():
        outputs = np.stack([model.member(i)(torch.from_numpy(x)[None])[0].double().numpy() for i in range(3)])
    np.testing.assert_allclose(model.outputs(x), outputs, atol=1e-5)
    odds = outputs[..., 0] if task == "regress" else outputs[..., 1] - outputs[..., 0]
    np.testing.assert_allclose(member_log_odds(spec, model.outputs(x)), odds, atol=1e-5)
    scores = model.score(x)
    np.testing.assert_allclose(scores.log_odds, odds.mean(0), atol=1e-5)
    np.testing.assert_allclose(scores.score, expit(0.7 * odds.mean(0) + 0.2), atol=1e-5)
    assert np.abs(expit(0.7 * odds + 0.2).mean(0) - scores.score).max() > 1e-4  # not the mean of probabilities
    if task == "classify":
        assert scores.log2_rpkm is None
    else:
        np.testing.assert_allclose(scores.log2_rpkm, outputs[..., -1].mean(0) * 1.5 + 2.5, atol=1e-5)
    assert model.score(x[:0]).score.shape == (0,)
