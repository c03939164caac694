"""AUROC, bootstrap resamples, calibration and correlations, compared with scikit-learn and numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import calibration as sklearn_calibration
from sklearn.linear_model import LinearRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from deepchrome.train.fitting.auroc import stacked_auroc
from deepchrome.train.models.metrics import (
    auprc,
    auroc,
    bootstrap_areas,
    brier_score,
    calibration_curve,
    expected_calibration_error,
    pearson,
    r_squared,
    spearman,
)

GENES = st.lists(st.tuples(st.booleans(), st.integers(-4, 4)), min_size=2, max_size=60)


@given(st.lists(GENES, min_size=1, max_size=4))
def test_stacked_auroc_equals_scikit_learn_with_ties_and_padding(models) -> None:
    longest = max(len(genes) for genes in models)
    scores = torch.zeros(len(models), longest, dtype=torch.float64)
    on, counted = torch.zeros_like(scores, dtype=torch.bool), torch.zeros_like(scores, dtype=torch.bool)
    for i, genes in enumerate(models):
        labels, values = zip(*genes, strict=True)
        scores[i, : len(genes)] = torch.tensor(values) / 3
        on[i, : len(genes)] = torch.tensor(labels)
        counted[i, : len(genes)] = True
    areas = stacked_auroc(scores, on, counted)
    for genes, area in zip(models, areas, strict=True):
        labels, values = zip(*genes, strict=True)
        if len(set(labels)) < 2:
            assert area.isnan()
        else:
            assert float(area) == pytest.approx(roc_auc_score(labels, values), abs=1e-12)


def test_stacked_auroc_on_thousands_of_float32_scores() -> None:
    rng = np.random.default_rng(3)
    on = rng.random((2, 6601)) < 0.4
    scores = (rng.normal(size=on.shape) + on).astype(np.float32)
    areas = stacked_auroc(torch.from_numpy(scores), torch.from_numpy(on), torch.ones(on.shape, dtype=torch.bool))
    expected = [roc_auc_score(*row) for row in zip(on, scores, strict=True)]
    np.testing.assert_allclose(areas.numpy(), expected, atol=1e-6, rtol=0)


def test_nan_score_makes_the_auroc_of_its_model_nan_unless_it_is_padding() -> None:
    scores = torch.tensor([[0.1, torch.nan, 0.3], [0.1, 0.2, torch.nan]])
    on = torch.tensor([[False, True, True]] * 2)
    counted = torch.tensor([[True, True, True], [True, True, False]])
    areas = stacked_auroc(scores, on, counted)
    assert areas[0].isnan()
    assert float(areas[1]) == 1.0


def test_auroc_and_auprc_are_none_for_one_class_and_1_for_a_perfect_ranking() -> None:
    for area in (auroc, auprc):
        assert area(np.ones(5), np.arange(5.0)) is None
        assert area(np.array([0, 1, 0]), np.array([0.1, 0.9, 0.2])) == pytest.approx(1.0)


@pytest.mark.parametrize("levels", [3, 1000])
def test_bootstrap_areas_equal_scikit_learn_on_the_same_resample(levels) -> None:
    rng = np.random.default_rng(levels)
    on = rng.random(80) < 0.4
    scores = rng.integers(0, levels, 80).astype(float)
    areas = bootstrap_areas(on, scores, resamples=25, seed=5)
    redrawn = np.random.default_rng(5)
    for i in range(25):
        rows = redrawn.integers(0, 80, 80)
        assert areas[0][i] == pytest.approx(roc_auc_score(on[rows], scores[rows]))
        assert areas[1][i] == pytest.approx(average_precision_score(on[rows], scores[rows]))


def test_bootstrap_resample_of_one_class_is_nan() -> None:
    areas = bootstrap_areas(np.array([0, 1]), np.array([0.2, 0.8]), resamples=60, seed=1)
    assert set(areas[0][~np.isnan(areas[0])]) == {1.0}
    assert np.isnan(areas[0]).any()
    np.testing.assert_array_equal(np.isnan(areas[0]), np.isnan(areas[1]))


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_curve_equals_scikit_learn(bins) -> None:
    rng = np.random.default_rng(bins)
    p = np.concatenate([rng.beta(0.5, 2, 500) * 0.8, [0.0, 0.1, 0.2, 0.8]])  # edges of bins, and empty bins at the top
    on = (rng.random(p.size) < p**2).astype(np.uint8)
    curve = calibration_curve(on, p, bins)
    fractions, scores = sklearn_calibration.calibration_curve(on, p, n_bins=bins)
    used = curve.genes > 0
    np.testing.assert_allclose(curve.fraction_on[used], fractions, rtol=1e-12)
    np.testing.assert_allclose(curve.mean_score[used], scores, rtol=1e-12)
    assert curve.genes.shape == curve.mean_score.shape == curve.fraction_on.shape == (bins,)
    assert curve.genes.sum() == p.size
    assert np.isnan(curve.fraction_on[~used]).all()
    assert np.isnan(curve.mean_score[~used]).all()
    weights = curve.genes[used] / p.size
    assert expected_calibration_error(on, p, bins) == pytest.approx(np.sum(weights * np.abs(scores - fractions)))


def test_calibration_measures_by_hand() -> None:
    on, p = np.array([0, 1, 1, 1]), np.array([0.15, 0.15, 0.95, 1.0])
    # Two genes score 0.15 on average and half of them are on; two score 0.975 and all are on.
    assert expected_calibration_error(on, p) == pytest.approx((0.35 + 0.025) / 2)
    assert brier_score(on, p) == pytest.approx((0.15**2 + 0.85**2 + 0.05**2) / 4)
    assert calibration_curve(on, p).genes.tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]


def test_calibration_of_one_class_is_defined() -> None:
    p = np.array([0.0, 0.25])
    for label, expected in ((0, 0.125), (1, 0.875)):
        on = np.full(2, label, np.uint8)
        assert expected_calibration_error(on, p) == pytest.approx(expected)
        assert brier_score(on, p) == pytest.approx(np.mean((p - label) ** 2))


@pytest.mark.parametrize("p", [[], [0.5, 1.2], [-3.0, 0.5], [0.5, np.nan]])
def test_scores_that_are_no_probabilities_have_no_calibration(p) -> None:
    on, p = np.zeros(len(p), np.uint8), np.array(p)
    assert calibration_curve(on, p) is expected_calibration_error(on, p) is brier_score(on, p) is None


def test_correlations_and_r_squared_equal_independent_results() -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(0, 30, 200).astype(float)  # with ties
    b = a**3 + rng.normal(0, 5000, 200)
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    ranks = [[np.mean(x < v) + np.mean(x <= v) for v in x] for x in (a, b)]
    assert spearman(a, b) == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert spearman(a, np.exp(a)) == pytest.approx(1.0)
    line = LinearRegression().fit(a[:, None], b)
    assert r_squared(b, line.predict(a[:, None])) == pytest.approx(np.corrcoef(a, b)[0, 1] ** 2)
    assert r_squared(b, np.full(200, b.mean())) == pytest.approx(0.0, abs=1e-12)
    assert r_squared(b, -b) < 0


@pytest.mark.parametrize("measure", [pearson, spearman, r_squared])
def test_undefined_correlations_are_none(measure) -> None:
    values = np.array([1.0, 2.0, 4.0])
    undefined = [np.array([]), np.array([1.0]), np.full(3, 0.1), np.array([1.0, np.nan, 2.0]), np.array([1, 2, np.inf])]
    for bad in undefined:
        assert measure(bad, values[: bad.size]) is None
    for bad in undefined[3:]:
        assert measure(values, bad) is None


def test_values_that_differ_by_rounding_are_constant() -> None:
    almost = 1e6 + np.array([0.0, 1e-10, 0.0])
    assert pearson(almost, np.array([1.0, 2.0, 4.0])) is None
    assert r_squared(almost, np.array([1.0, 2.0, 4.0])) is None


def test_constant_predictions_have_no_correlation_but_an_r_squared() -> None:
    observed, constant = np.array([1.0, 2.0, 3.0]), np.full(3, 2.0)
    assert pearson(observed, constant) is spearman(observed, constant) is None
    assert r_squared(observed, constant) == 0.0
