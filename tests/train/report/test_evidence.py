"""Observed reads compared with NumPy, integrated gradients compared with closed forms."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.depth import CountScale
from deepchrome.train.models import NetworkSpec, build_network
from deepchrome.train.models.attentivechrome import AttentiveChrome
from deepchrome.train.models.stacked import StackedModel
from deepchrome.train.report.attributions import integrated_gradients, mean_attention
from deepchrome.train.report.evidence import (
    Evidence,
    observed_reads,
    rank_correlation,
    sample_test_genes,
)


class Square(StackedModel):
    """A model whose log-odds are the sum of w x². The integrated gradient of each bin is w x²."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        on = (x.nan_to_num().square() * self.weight).sum((2, 3))
        return torch.stack([-on / 2, on / 2], -1)


def test_integrated_gradients_of_a_quadratic() -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    x = rng.random((19, 4, 3)).astype(np.float32)
    found = integrated_gradients(Square(torch.from_numpy(weight)), x)
    np.testing.assert_allclose(found.values, weight * x**2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.change, (weight * x**2).sum((1, 2)), rtol=1e-3, atol=1e-5)
    assert found.complete


def test_path_starts_at_a_gene_without_reads() -> None:
    rng = np.random.default_rng(6)
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    x, no_reads = rng.random((5, 4, 3)).astype(np.float32), np.array([0.1, 0.2, 0.3], np.float32)
    found = integrated_gradients(Square(torch.from_numpy(weight)), x, no_reads=no_reads)
    np.testing.assert_allclose(found.values, weight * (x**2 - no_reads**2), rtol=1e-4, atol=1e-6)


def test_missing_mark_has_no_attributions() -> None:
    rng = np.random.default_rng(7)
    weight = rng.normal(size=(4, 3)).astype(np.float32)
    x = rng.random((5, 4, 3)).astype(np.float32)
    x[:, :, 1] = np.nan
    found = integrated_gradients(Square(torch.from_numpy(weight)), x)
    np.testing.assert_allclose(found.values, np.nan_to_num(weight * x**2), rtol=1e-4, atol=1e-6)
    assert found.complete


def test_attributions_of_a_network_add_up_to_its_score() -> None:
    model = build_network(NetworkSpec("deepchrome", 5, 100), 1)
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


def make_data(reads: np.ndarray, y: np.ndarray, scales: Sequence[CountScale]) -> Dataset:
    x = np.stack([scale.apply(reads[:, :, i]) for i, scale in enumerate(scales)], 2)
    marks, ids = tuple("abc"[: len(scales)]), tuple(map(str, range(len(y))))
    return Dataset("E1", marks, ids, x, y, np.zeros(len(y), np.int8), scales=tuple(scales))


@pytest.mark.parametrize("kind", ["counts", "log1p", "library-size", "ranks"])
def test_observed_reads_per_class(kind: str) -> None:
    rng = np.random.default_rng(2)
    reads = rng.poisson(3, (60, 7, 2)).astype(np.uint32)
    y = (np.arange(60) % 3 == 0).astype(np.uint8)
    by_kind = {
        "counts": CountScale("counts"),
        "log1p": CountScale("log1p"),
        "library-size": CountScale("log1p", 2.5),
        "ranks": CountScale.by_ranks("log1p", reads),
    }
    for label, observed in enumerate(observed_reads(make_data(reads, y, [by_kind[kind]] * 2))):
        part = reads[y == label]
        assert observed.genes == len(part)
        np.testing.assert_allclose(observed.mean, part.mean(0), rtol=1e-4)
        np.testing.assert_allclose(observed.low, np.quantile(part, 0.25, axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(observed.high, np.quantile(part, 0.75, axis=0), rtol=1e-4)


def test_mean_attention_sums_to_1() -> None:
    model = build_network(NetworkSpec("attentivechrome", 3, 12), 1)
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


def test_inputs_between_two_counts_become_reads_between_them() -> None:
    reads = np.random.default_rng(8).poisson(2, (50, 4, 1)).astype(np.uint32)
    scale = CountScale.by_ranks("log1p", reads)
    data = make_data(reads, np.tile([0, 1], 25).astype(np.uint8), [scale])
    evidence = Evidence(
        None, data.present, data.scales, observed_reads(data), data.reads(slice(2)), data.y[:2], data.split[:2]
    )
    two, three = scale.apply(np.array([2, 3], np.uint32))
    x = np.array([[[two], [(two + three) / 2], [three], [-1.0]]], np.float32)
    np.testing.assert_allclose(evidence.to_reads(x)[0, :, 0], [2, 2.5, 3, 0], atol=1e-5)
