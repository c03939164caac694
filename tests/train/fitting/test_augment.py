"""Random changes of the inputs, compared with SciPy's binomial distribution and with NumPy."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from deepchrome.train.datasets.depth import RATES, thinning_rates
from deepchrome.train.fitting.augment import hide_marks, shift, thin

ALL_BYTES = torch.arange(256, dtype=torch.uint8)


def thinned_by_every_byte(count: int, index: int) -> np.ndarray:
    """Thin one count with each of the 256 random bytes."""
    counts = torch.full((256, 1, 1), count, dtype=torch.int16)
    rate = torch.full((256, 1), index, dtype=torch.uint8)
    return thin(counts, rate, ALL_BYTES.view(256, 1, 1))[:, 0, 0].numpy()


@pytest.mark.parametrize("index", [0, 1, 5, 20, RATES])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 60, 200, 255])
def test_thinned_counts_are_quantiles_of_a_binomial(count, index) -> None:
    found = thinned_by_every_byte(count, index)
    levels = (np.arange(256) + 0.5) / 256
    np.testing.assert_array_equal(found, binom.ppf(levels, count, thinning_rates()[index]))


@pytest.mark.parametrize("index", [0, 1, 5, 20, RATES])
@pytest.mark.parametrize("count", [256, 700, 4095])
def test_large_counts_are_thinned_with_nearly_the_same_quantiles(count, index) -> None:
    found, rate = thinned_by_every_byte(count, index), thinning_rates()[index]
    exact = binom.ppf((np.arange(256) + 0.5) / 256, count, rate)
    # The skewness of the binomial is what the normal distribution lacks.
    assert np.abs(found - exact).max() <= 2
    assert np.abs(found - exact).mean() < 0.5
    assert found.min() >= 0
    assert found.max() <= count


def test_random_thinning_has_the_mean_and_variance_of_a_binomial() -> None:
    rng = np.random.default_rng(5)
    values = np.array([0, 1, 3, 40, 255, 256, 900])
    counts = np.broadcast_to(values[:, None], (20_000, 7, 3)).astype(np.int16)
    rate = np.array([2, 11, 25], np.uint8)
    random_bytes = torch.from_numpy(rng.integers(0, 256, counts.shape, np.uint8))
    thinned = thin(torch.from_numpy(counts), torch.from_numpy(np.tile(rate, (20_000, 1))), random_bytes).numpy()
    for i, count in enumerate(values):
        for j, p in enumerate(thinning_rates()[rate]):
            assert thinned[:, i, j].mean() == pytest.approx(binom.mean(count, p), rel=0.01, abs=0.02)
            assert thinned[:, i, j].var() == pytest.approx(binom.var(count, p), rel=0.06, abs=0.02)


def test_rate_0_keeps_every_read() -> None:
    counts = torch.from_numpy(np.random.default_rng(1).integers(0, 4096, (50, 20, 3)).astype(np.int16))
    random_bytes = torch.randint(0, 256, counts.shape).to(torch.uint8)
    assert torch.equal(thin(counts, torch.zeros(50, 3, dtype=torch.uint8), random_bytes), counts.long())


@pytest.mark.parametrize("largest", [255, 3000])
def test_each_mark_of_a_gene_has_its_own_rate(largest) -> None:
    rng = np.random.default_rng(2)
    counts = torch.from_numpy(rng.integers(0, largest, (30, 40, 3)).astype(np.int16))
    rate = torch.from_numpy(rng.integers(0, RATES + 1, (30, 3)).astype(np.uint8))
    random_bytes = torch.from_numpy(rng.integers(0, 256, counts.shape).astype(np.uint8))
    together = thin(counts, rate, random_bytes)
    for gene in range(0, 30, 7):
        for mark in range(3):
            part = (slice(gene, gene + 1), slice(None), slice(mark, mark + 1))
            alone = thin(counts[part], rate[gene : gene + 1, mark : mark + 1], random_bytes[part])
            assert torch.equal(alone, together[part])


def test_shifted_bins_move_and_the_others_are_empty() -> None:
    x = np.random.default_rng(3).random((9, 12, 3)).astype(np.float32)
    x[4:6, :, 1] = np.nan
    bins = np.array([0, 1, -1, 3, 2, -2, 11, -11, 0], np.int8)
    expected = x.copy()
    for gene, by in enumerate(bins):
        moved = np.zeros_like(x[gene])
        if by >= 0:
            moved[by:] = x[gene, : len(moved) - by]
        else:
            moved[:by] = x[gene, -by:]
        moved[:, np.isnan(x[gene, 0])] = np.nan  # a missing mark stays missing
        expected[gene] = moved
    shifted = torch.from_numpy(x.copy())
    assert shift(shifted, torch.from_numpy(bins)) is shifted
    np.testing.assert_array_equal(shifted.numpy(), expected)


def test_hidden_marks_become_nan() -> None:
    x = torch.rand(5, 7, 3)
    hidden = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 0]], dtype=torch.bool)
    expected = np.where(hidden.numpy()[:, None], np.nan, x.numpy())
    np.testing.assert_array_equal(hide_marks(x, hidden).numpy(), expected)
