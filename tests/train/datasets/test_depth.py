"""Depth correction compared with SciPy's distributions, and with samples that were thinned."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, weibull_min

from deepchrome.train.datasets.depth import (
    LOWEST_RATE,
    MAX_RANKED_COUNT,
    RATES,
    CountScale,
    thinning_rates,
)

REFERENCE = weibull_min(0.5, scale=0.5)  # its mean is 1


def counts_like_reads(genes: int = 400, seed: int = 3) -> np.ndarray:
    """Return counts uint32 (genes, 40 bins): most are small, some are large, and many values never occur."""
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.gamma(0.4, 12.0, (genes, 40))).astype(np.uint32)


def mean_over_ranks(counts: np.ndarray) -> dict[int, float]:
    """Return the mean of the reference's quantile function over the ranks of each count, by numerical integration."""
    values, sizes = np.unique(counts, return_counts=True)
    means = {}
    for value, size, up_to in zip(values, sizes, sizes.cumsum(), strict=True):
        low, high = (up_to - size) / counts.size, up_to / counts.size
        means[int(value)] = quad(REFERENCE.ppf, low, high, limit=500)[0] / (high - low)
    return means


def test_a_count_gets_the_mean_of_its_ranks_in_the_reference() -> None:
    assert REFERENCE.mean() == pytest.approx(1)
    counts = counts_like_reads()
    expected = mean_over_ranks(counts)
    assert len(expected) > 60
    x = CountScale.by_ranks("counts", counts).apply(counts)
    assert x.dtype == np.float32
    assert x.shape == counts.shape
    for count, mean in expected.items():
        np.testing.assert_allclose(x[counts == count], mean, rtol=2e-5)
    assert x.mean(dtype=np.float64) == pytest.approx(1)
    logarithms = CountScale.by_ranks("log1p", counts).apply(counts)
    np.testing.assert_allclose(logarithms, np.log1p(x), rtol=1e-6)


SCALES = {
    "raw": lambda counts: CountScale("counts"),
    "raw log1p": lambda counts: CountScale("log1p"),
    "library-size": lambda counts: CountScale("counts", 30e6 / 17_654_321),
    "library-size log1p": lambda counts: CountScale("log1p", 30e6 / 17_654_321),
    "ranks": lambda counts: CountScale.by_ranks("counts", counts),
    "ranks log1p": lambda counts: CountScale.by_ranks("log1p", counts),
}


@pytest.mark.parametrize("name", SCALES)
def test_inputs_can_be_turned_back_into_counts(name) -> None:
    counts = counts_like_reads()
    scale = SCALES[name](counts)
    x = scale.apply(counts)
    np.testing.assert_array_equal(scale.invert(x).round(), counts)
    order = np.argsort(counts, axis=None)
    assert (np.diff(x.reshape(-1)[order]) >= 0).all()
    x[0] = np.nan
    assert not scale.invert(x)[0].any()


def test_rare_large_counts_keep_their_order() -> None:
    """All bins of this sample but a few in a thousand are small, as in a real one."""
    counts = np.concatenate([np.repeat(np.arange(3, dtype=np.uint32), 200_000), np.arange(50, 300, dtype=np.uint32)])
    scale = CountScale.by_ranks("log1p", counts)
    x = scale.apply(counts)
    assert (np.diff(x) >= 0).all()
    assert np.unique(x).size == 253
    np.testing.assert_array_equal(scale.invert(x), counts)


def test_ranks_do_not_depend_on_depth_but_library_size_alone_does() -> None:
    counts = counts_like_reads()
    for transform in ("counts", "log1p"):
        once, twice = (CountScale.by_ranks(transform, each).apply(each) for each in (counts, 2 * counts))
        np.testing.assert_allclose(twice, once, rtol=1e-6)
        raw = [CountScale(transform).apply(each) for each in (counts, 2 * counts)]
        assert np.abs(raw[0] - raw[1]).max() > 0.5


def test_scaling_by_library_size_is_a_factor() -> None:
    counts = counts_like_reads()
    np.testing.assert_allclose(CountScale("counts", 1.5).apply(counts), counts * 1.5, rtol=1e-6)
    np.testing.assert_allclose(CountScale("log1p", 1.5).apply(counts), np.log1p(counts * 1.5), rtol=1e-6)


def test_counts_above_the_largest_ranked_share_its_rank() -> None:
    counts = counts_like_reads()
    counts[0, :3] = (MAX_RANKED_COUNT, MAX_RANKED_COUNT + 1, 3_000_000_000)
    scale = CountScale.by_ranks("log1p", counts)
    x = scale.apply(counts)
    assert x[0, 0] == x[0, 1] == x[0, 2] == x.max()
    np.testing.assert_array_equal(scale.invert(x)[0, :3], MAX_RANKED_COUNT)
    np.testing.assert_array_equal(scale.invert(x)[1:], counts[1:])
    # A count that the sample of the scale does not have is no error: at prediction, depth is told by other genes.
    smaller = CountScale.by_ranks("log1p", counts[1:])
    assert smaller.apply(counts)[0, 2] == smaller.apply(counts[1:]).max()


def test_a_mark_without_reads_stays_empty() -> None:
    empty = np.zeros((4, 5), np.uint32)
    assert not CountScale.by_ranks("log1p", empty).apply(empty).any()


def test_rates_are_a_geometric_series() -> None:
    rates = thinning_rates()
    assert rates.size == RATES + 1
    assert rates[0] == 1
    np.testing.assert_allclose(np.diff(np.log(rates)), np.log(LOWEST_RATE) / RATES)


def thinned_shares(counts: np.ndarray, rate: float) -> np.ndarray:
    """Return the expected share of bins with each count, if every read of a sample is kept with some probability."""
    values, sizes = np.unique(counts, return_counts=True)
    kept = binom.pmf(np.arange(values[-1] + 1)[:, None], values, rate)
    return kept @ sizes / counts.size


@pytest.mark.parametrize("index", [0, 1, 7, 31])
def test_values_after_thinning_are_those_of_the_thinned_histogram(index) -> None:
    counts = counts_like_reads()
    rate = thinning_rates()[index]
    values = CountScale.by_ranks("counts", counts).thinned_values(int(counts.max()) + 1)
    assert values.shape == (RATES + 1, counts.max() + 1)
    assert values.dtype == np.float32
    shares = thinned_shares(counts, rate)
    up_to = shares.cumsum()
    checked = 0
    for count in np.flatnonzero(shares > 1e-5):
        mean = quad(REFERENCE.ppf, up_to[count] - shares[count], min(up_to[count], 1), limit=500)[0] / shares[count]
        assert values[index, count] == pytest.approx(mean, rel=1e-3)
        checked += 1
    assert checked > 8


def test_values_after_thinning_fit_a_sample_that_was_thinned() -> None:
    counts = counts_like_reads(genes=5000)
    rates = thinning_rates()
    table = CountScale.by_ranks("log1p", counts).thinned_values(int(counts.max()) + 1)
    for index in (5, 12, 20):
        thinned = np.random.default_rng(index).binomial(counts, rates[index])
        expected = CountScale.by_ranks("log1p", thinned).apply(thinned)
        assert np.abs(table[index][thinned] - expected).mean() < 0.005
        assert np.abs(table[0][thinned] - expected).mean() > 0.05


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_values_after_thinning_without_ranks_are_divided_by_the_rate(factor) -> None:
    values = CountScale("log1p", factor).thinned_values(9)
    expected = np.log1p(np.arange(9) * factor / thinning_rates()[:, None])
    np.testing.assert_allclose(values, expected, rtol=1e-5)
