"""Observed reads compared with NumPy, integrated gradients compared with closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.inputs import InputSpec
from deepchrome.train.models import build_network
from deepchrome.train.models.attentivechrome import AttentiveChrome
from deepchrome.train.models.stacked import StackedModel
from deepchrome.train.report.attributions import integrated_gradients, mean_attention
from deepchrome.train.report.evidence import observed_reads, rank_correlation, sample_test_genes


class Square(StackedModel):
    """A model whose log-odds are the sum of w x². The integrated gradient of each bin is w x²."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        on = (x.square() * self.weight).sum((2, 3))
        return torch.stack([-on / 2, on / 2], -1)


def test_integrated_gradients_of_a_quadratic() -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    x = rng.random((19, 4, 3)).astype(np.float32)
    found = integrated_gradients(Square(torch.from_numpy(weight)), x)
    np.testing.assert_allclose(found.values, weight * x**2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.change, (weight * x**2).sum((1, 2)), rtol=1e-3, atol=1e-5)
    assert found.complete


def test_attributions_of_a_network_add_up_to_its_score() -> None:
    model = build_network("deepchrome", 1, 5, 100)
    model.draw(0, np.random.default_rng(3))
    model.requires_grad_(False)
    x = np.random.default_rng(4).poisson(2, (6, 100, 5)).astype(np.float32)
    fine = integrated_gradients(model, x, steps=256)
    with torch.no_grad():
        logits = model(torch.from_numpy(np.concatenate([x, np.zeros_like(x[:1])]))[None])[0]
    log_odds = (logits[:, 1] - logits[:, 0]).numpy()
    np.testing.assert_allclose(fine.values.sum((1, 2)), log_odds[:-1] - log_odds[-1], atol=0.01)
    np.testing.assert_allclose(fine.gap, fine.values.sum((1, 2)) - (log_odds[:-1] - log_odds[-1]), atol=1e-5)


def test_attributions_of_a_coarse_path_are_incomplete() -> None:
    class Step(Square):
        def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
            on = 40 * torch.sigmoid(200 * (x.sum((2, 3)) - 0.9))
            return torch.stack([torch.zeros_like(on), on], -1)

    x = np.ones((2, 1, 1), np.float32)
    assert not integrated_gradients(Step(torch.ones(1, 1)), x, steps=2).complete


@pytest.mark.parametrize("transform", ["counts", "log1p"])
def test_observed_reads_per_class(transform: str) -> None:
    inputs = InputSpec(("a", "b"), 7, 100, 350, transform=transform)  # type: ignore[arg-type]
    rng = np.random.default_rng(2)
    reads = rng.poisson(3, (60, 7, 2)).astype(np.float32)
    y = (np.arange(60) % 3 == 0).astype(np.uint8)
    data = Dataset(
        "E1", ("a", "b"), tuple(map(str, range(60))), inputs.apply_transform(reads.copy()), y, np.zeros(60, np.int8)
    )
    for label, observed in enumerate(observed_reads(data, inputs)):
        part = reads[y == label]
        assert observed.genes == len(part)
        np.testing.assert_allclose(observed.mean, part.mean(0), rtol=1e-4)
        np.testing.assert_allclose(observed.low, np.quantile(part, 0.25, axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(observed.high, np.quantile(part, 0.75, axis=0), rtol=1e-4)


def test_mean_attention_sums_to_1() -> None:
    model = build_network("attentivechrome", 1, 3, 12)
    assert isinstance(model, AttentiveChrome)
    model.draw(0, np.random.default_rng(0))
    x = np.random.default_rng(1).random((5, 12, 3)).astype(np.float32)
    bins, marks = mean_attention(model, x)
    assert bins.shape == (12, 3)
    np.testing.assert_allclose(bins.sum(0), 1, rtol=1e-5)
    np.testing.assert_allclose(marks.sum(), 1, rtol=1e-5)
    assert np.ptp(bins) > 0


def test_rank_correlation_per_mark() -> None:
    one = np.array([[1, 5, 0], [2, 4, 0], [3, 1, 0]], np.float32)
    other = np.array([[10, 1, 1], [20, 2, 2], [90, 3, 3]], np.float32)
    assert rank_correlation(one, other) == [pytest.approx(1), pytest.approx(-1), None]


def test_sampled_genes_are_test_genes_of_the_class() -> None:
    y = np.tile([0, 1], 50).astype(np.uint8)
    split = np.repeat([0, 2], 50).astype(np.int8)
    data = Dataset("E1", ("a",), tuple(map(str, range(100))), np.zeros((100, 1, 1), np.float32), y, split)
    chosen = sample_test_genes(data, 1, 10)
    assert len(set(chosen)) == 10
    assert (y[chosen] == 1).all()
    assert (split[chosen] == 2).all()
    assert len(sample_test_genes(data, 0, 1000)) == 25
