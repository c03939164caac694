"""Networks compared with plain PyTorch layers, baselines compared with scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.special import logit
from scipy.stats import pearsonr
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC
from support.epigenomes import random_dataset
from torch import nn
from torch.nn import functional

from deepchrome.common.names import TRAIN, VALID
from deepchrome.common.seeds import random_generator
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.models import BASELINES, NetworkSpec, build_network, compute_outputs
from deepchrome.train.models import baselines as baselines_module
from deepchrome.train.models.attentivechrome import Attention, BiLSTM
from deepchrome.train.models.baselines import best_bins, check_baseline, fit_baseline, score_baseline


def initialized_network(name, models=3, marks=5, bins=100):
    built = build_network(NetworkSpec(name, marks, bins), models)
    for i in range(models):
        built.draw(i, np.random.default_rng(i))
    return built


def plain_deepchrome(weights, marks, bins):
    """Build the layers of Singh et al. 2016 from PyTorch modules, with the weights of one stacked model."""
    pools = (bins - 9) // 5
    model = nn.Sequential(
        nn.Conv1d(marks, 50, 10),
        nn.ReLU(),
        nn.MaxPool1d(5),
        nn.Flatten(),
        nn.Linear(50 * pools, 625),
        nn.ReLU(),
        nn.Linear(625, 125),
        nn.ReLU(),
        nn.Linear(125, 2),
    )
    with torch.no_grad():
        model[0].weight.copy_(weights["conv.weight"].view(10, marks, 50).permute(2, 1, 0))
        model[0].bias.copy_(weights["conv.bias"][0])
        # The stacked model orders inputs by pool, then filter; PyTorch by filter, then pool.
        model[4].weight.copy_(weights["hidden1.weight"].view(pools, 50, 625).permute(2, 1, 0).reshape(625, -1))
        model[4].bias.copy_(weights["hidden1.bias"][0])
        for layer, name in ((6, "hidden2"), (8, "output")):
            model[layer].weight.copy_(weights[f"{name}.weight"].T)
            model[layer].bias.copy_(weights[f"{name}.bias"][0])
    return model


def test_deepchrome_has_as_many_parameters_as_the_published_model() -> None:
    assert (
        sum(weights.numel() for weights in build_network(NetworkSpec("deepchrome", 5, 100), 1).parameters()) == 644_177
    )


@pytest.mark.parametrize(("marks", "bins"), [(5, 100), (1, 14), (7, 53)])
def test_deepchrome_equals_plain_layers(marks, bins) -> None:
    stack = initialized_network("deepchrome", marks=marks, bins=bins)
    x = torch.from_numpy(np.random.default_rng(9).poisson(3, (3, 6, bins, marks)).astype(np.float32))
    logits = stack(x)
    for i in range(3):
        plain = plain_deepchrome(stack.weights(i), marks, bins)
        torch.testing.assert_close(logits[i], plain(x[i].transpose(1, 2)), atol=1e-5, rtol=1e-5)


def test_deepchrome_gradients_equal_plain_layers_with_ties() -> None:
    stack = initialized_network("deepchrome", models=1)
    # With few reads, many positions of a pool are equal, as in silent genes.
    x = torch.from_numpy(np.random.default_rng(2).poisson(0.02, (1, 8, 100, 5)).astype(np.float32))
    y = torch.tensor([0, 1] * 4)
    functional.cross_entropy(stack(x)[0], y).backward()
    plain = plain_deepchrome(stack.weights(0), 5, 100)
    functional.cross_entropy(plain(x[0].transpose(1, 2)), y).backward()
    of_conv = plain[0].weight.grad.permute(2, 1, 0).reshape(50, 50)
    torch.testing.assert_close(stack.conv.weight.grad[0], of_conv, atol=1e-7, rtol=1e-4)
    torch.testing.assert_close(stack.output.weight.grad[0], plain[8].weight.grad.T, atol=1e-7, rtol=1e-4)


def test_dropout_follows_the_mask_and_doubles_kept_units() -> None:
    stack = initialized_network("deepchrome", models=1)
    x = torch.rand(1, 4, 100, 5)
    all_kept = torch.ones(1, 4, stack.dropout_units, dtype=torch.uint8)
    plain = plain_deepchrome(stack.weights(0), 5, 100)
    pooled = plain[:4](x[0].transpose(1, 2))
    torch.testing.assert_close(stack(x, all_kept)[0], plain[4:](2 * pooled), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(stack(x, 0 * all_kept)[0], plain[4:](0 * pooled), atol=1e-5, rtol=1e-5)


def test_too_few_bins_are_refused() -> None:
    with pytest.raises(BadDataError, match="13 bins per gene; the deepchrome model needs at least 14"):
        build_network(NetworkSpec("deepchrome", 5, 13), 1)


def test_unknown_network_is_refused() -> None:
    with pytest.raises(UsageError, match="no network is named 'resnet'"):
        build_network(NetworkSpec("resnet", 5, 100), 1)


def test_bilstm_equals_pytorch() -> None:
    models, copies, units = 2, 3, 4
    ours = BiLSTM(models, copies, 5, units)
    for parameter in ours.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    x = torch.randn(models, copies, 6, 7, 5)
    states = ours(x)
    for m in range(models):
        for c in range(copies):
            reference = nn.LSTM(5, units, batch_first=True, bidirectional=True)
            with torch.no_grad():
                for d, suffix in enumerate(("l0", "l0_reverse")):
                    getattr(reference, f"weight_ih_{suffix}").copy_(ours.from_input[m, c, d].T)
                    getattr(reference, f"weight_hh_{suffix}").copy_(ours.from_state[m, c, d].T)
                    getattr(reference, f"bias_ih_{suffix}").copy_(ours.bias[m, c, d, 0])
                    getattr(reference, f"bias_hh_{suffix}").zero_()
            torch.testing.assert_close(states[m, c], reference(x[m, c])[0])


def test_attention_weights_are_a_softmax() -> None:
    attention = Attention(1, 2, 3)
    with torch.no_grad():
        attention.context.copy_(torch.tensor([[[[1.0], [0.0], [0.0]], [[0.0], [2.0], [0.0]]]]))
    x = torch.randn(1, 2, 4, 5, 3)
    weights, summed = attention(x)
    expected = torch.softmax(2 * x[0, 1, :, :, 1], dim=1)
    torch.testing.assert_close(weights[0, 1], expected)
    torch.testing.assert_close(summed[0, 1], torch.einsum("gs,gsi->gi", expected, x[0, 1]))


def test_attention_sums_to_one_and_models_do_not_mix() -> None:
    stack = initialized_network("attentivechrome", models=2, marks=3, bins=12)
    x = torch.rand(2, 5, 12, 3)
    logits, bins, marks = stack.attend(x)
    assert logits.shape == (2, 5, 2)
    assert bins.shape == (2, 5, 3, 12)
    assert marks.shape == (2, 5, 3)
    torch.testing.assert_close(bins.sum(3), torch.ones(2, 5, 3))
    torch.testing.assert_close(marks.sum(2), torch.ones(2, 5))
    alone = build_network(NetworkSpec("attentivechrome", 3, 12), 1)
    alone.load(0, stack.weights(1))
    torch.testing.assert_close(alone(x[1:])[0], logits[1])


def test_initial_weights_depend_on_the_generator_only_and_stay_in_bounds() -> None:
    wide, alone = build_network(NetworkSpec("deepchrome", 3, 24), 4), build_network(NetworkSpec("deepchrome", 3, 24), 1)
    wide.draw(2, np.random.default_rng(7))
    alone.draw(0, np.random.default_rng(7))
    for name, weights in alone.weights(0).items():
        assert torch.equal(weights, wide.weights(2)[name])
        assert not wide.weights(1)[name].any()
    bound = 1 / np.sqrt(30)
    of_conv = alone.weights(0)["conv.weight"].abs()
    assert of_conv.max() <= bound
    assert of_conv.max() > 0.9 * bound


def test_outputs_in_batches_equal_those_at_once() -> None:
    stack = initialized_network("deepchrome", models=2, marks=3, bins=24)
    weights = {name: parameter.detach() for name, parameter in stack.named_parameters()}
    x = torch.from_numpy(np.random.default_rng(1).random((2500, 24, 3), np.float32))
    outputs = compute_outputs(NetworkSpec("deepchrome", 3, 24), weights, x.numpy())
    assert outputs.dtype == np.float64
    for member in range(2):
        with torch.no_grad():
            at_once = plain_deepchrome(stack.weights(member), 3, 24)(x.transpose(1, 2))
        np.testing.assert_allclose(outputs[member], at_once.numpy(), atol=1e-6)
    assert compute_outputs(NetworkSpec("deepchrome", 3, 24), weights, x[:0].numpy()).shape == (2, 0, 2)


@pytest.fixture(scope="module")
def data():
    return random_dataset(genes=600, seed=4)


@pytest.fixture(scope="module")
def fitted(data):
    return {name: fit_baseline(name, data) for name in BASELINES}


def test_best_bins_have_the_largest_correlation(data) -> None:
    x = data.x[:200].copy()
    x[:, 5, 0] = 1  # never varies
    found = best_bins(x, data.y[:200])
    for mark in range(3):
        varying = [b for b in range(x.shape[1]) if np.ptp(x[:, b, mark])]
        strength = {b: abs(pearsonr(x[:, b, mark], data.y[:200]).statistic) for b in varying}
        assert found[mark] == max(strength, key=strength.__getitem__)


def standardised(x, by):
    return (x - by.mean(0)) / by.std(0)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_learn_and_their_scores_equal_scikit_learn(name, data, fitted) -> None:
    train, valid, test = (data.split == part for part in range(3))
    scores = score_baseline(name, fitted[name], data.x)
    assert roc_auc_score(data.y[test], scores[test]) > 0.62
    assert check_baseline(name, fitted[name], 3, 24) is None
    x64 = data.x.astype(np.float64)
    best = best_bins(data.x[train], data.y[train])
    at_best = x64[:, best, np.arange(3)]
    if name == "logistic":
        flat = x64.reshape(len(x64), -1)
        features = standardised(flat, flat[train])
        models = [LogisticRegression(C=c, max_iter=1000) for c in baselines_module.LOGISTIC_C]
        candidates = [m.fit(features[train], data.y[train]).decision_function(features) for m in models]
    elif name == "svm":
        features = standardised(at_best, at_best[train])
        models = [SVC(C=c, gamma=1 / 3) for c in baselines_module.SVM_C]
        candidates = [m.fit(features[train], data.y[train]).decision_function(features) for m in models]
    else:
        seed = int(random_generator(1, data.epigenome).integers(2**31))
        forest = RandomForestClassifier(baselines_module.TREES, random_state=seed)
        candidates = [forest.fit(at_best[train].astype(np.float32), data.y[train]).predict_proba(at_best)[:, 1]]
    expected = max(candidates, key=lambda values: roc_auc_score(data.y[valid], values[valid]))
    if name == "random-forest":  # its scores are probabilities, among them 0 and 1
        inner = (expected > 0.001) & (expected < 0.999)
        np.testing.assert_array_equal(scores > 0, expected > 0.5)
        assert inner.sum() > 300
        scores, expected = scores[inner], logit(expected[inner])
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_invalid_arrays_are_described(fitted) -> None:
    forest, svm, logistic = (dict(fitted[name]) for name in ("random-forest", "svm", "logistic"))
    assert "best_bin has an index outside 0 to 4" in check_baseline(
        "svm", {**svm, "best_bin": np.array([1, 2, 9])}, 3, 5
    )
    loop = forest["left"].copy()
    loop[-1] = 0
    assert "has a child before it" in check_baseline("random-forest", {**forest, "left": loop}, 3, 24)
    assert "right has an index outside" in check_baseline(
        "random-forest", {**forest, "right": forest["right"] + 1}, 3, 24
    )
    assert "weight has shape (71,)" in check_baseline("logistic", {**logistic, "weight": np.zeros(71)}, 3, 24)
    assert "not finite" in check_baseline("logistic", {**logistic, "bias": np.array(np.nan)}, 3, 24)
    assert "dual has shape" in check_baseline("svm", {**svm, "dual": svm["dual"][:-1]}, 3, 24)
    assert "has arrays" in check_baseline("svm", logistic, 3, 24)


def test_labels_of_one_class_are_refused(data) -> None:
    y = data.y.copy()
    y[data.split == VALID] = 1
    one_class = type(data)(data.epigenome, data.marks, data.gene_id, data.x, y, data.split)
    with pytest.raises(BadDataError, match=r"E001: the labels do not include both classes in valid \(200 genes\)"):
        fit_baseline("logistic", one_class)
    assert np.unique(y[data.split == TRAIN]).size == 2
