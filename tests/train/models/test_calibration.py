"""Calibration, compared with scikit-learn's logistic regression and Platt scaling."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.linear_model import LogisticRegression

from deepchrome.errors import BadDataError
from deepchrome.train.models.calibration import SLOPE_LIMITS, Calibration, fit_calibration


def overconfident_genes(scale: float = 3.0, shift: float = 1.0, genes: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Return log odds that are too large by ``scale`` and too high by ``shift``, and labels."""
    rng = np.random.default_rng(7)
    truth = rng.normal(0.3, 1.5, genes)
    on = (rng.random(genes) < 1 / (1 + np.exp(-truth))).astype(np.uint8)
    return scale * truth + shift, on


def soft_regression(log_odds: np.ndarray, on: np.ndarray, *, with_intercept: bool) -> LogisticRegression:
    """Fit a logistic regression without penalty to Platt's targets: every gene counts as partly on and partly off."""
    n, m = on.sum(), (1 - on).sum()
    target = np.where(on == 1, (n + 1) / (n + 2), 1 / (m + 2))
    regression = LogisticRegression(
        C=np.inf, fit_intercept=with_intercept, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    twice = np.concatenate([log_odds, log_odds])[:, None]
    return regression.fit(twice, np.repeat([1, 0], on.size), np.concatenate([target, 1 - target]))


@pytest.mark.parametrize(
    ("with_intercept", "scale", "shift"),
    [
        (False, 3.0, 1.0),
        (False, 0.01, 0.0),
        (True, 3.0, 1.0),
        (True, 0.01, 0.0),
        (True, 200.0, 500.0),
        (True, 1.0, -30.0),
    ],
)
def test_fit_equals_logistic_regression_on_platts_targets(with_intercept, scale, shift) -> None:
    log_odds, on = overconfident_genes(scale, shift)
    found = fit_calibration(log_odds, on, with_intercept=with_intercept)
    unit = max(scale, abs(shift))  # scikit-learn's tolerance depends on the scale
    expected = soft_regression(log_odds / unit, on, with_intercept=with_intercept)
    assert found.slope * unit == pytest.approx(expected.coef_[0, 0], rel=1e-4)
    assert found.intercept == pytest.approx(expected.intercept_[0] if with_intercept else 0.0, rel=1e-4, abs=1e-4)


def test_many_genes_give_the_plain_maximum_of_the_likelihood() -> None:
    log_odds, on = overconfident_genes()
    for with_intercept in (False, True):
        plain = LogisticRegression(C=np.inf, fit_intercept=with_intercept).fit(log_odds[:, None], on)
        found = fit_calibration(log_odds, on, with_intercept=with_intercept)
        assert found.slope == pytest.approx(plain.coef_[0, 0], rel=0.01)
        assert found.intercept == pytest.approx(plain.intercept_[0] if with_intercept else 0.0, abs=0.01)


def test_platt_scaling_equals_that_of_calibrated_classifier_cv() -> None:
    log_odds, on = overconfident_genes(genes=150)
    found = fit_calibration(log_odds, on, with_intercept=True)
    expected = _SigmoidCalibration().fit(log_odds, on)
    np.testing.assert_allclose(found.probability(log_odds), expected.predict(log_odds), atol=1e-5)


def test_calibration_repairs_overconfident_scores() -> None:
    log_odds, on = overconfident_genes(scale=3.0, shift=1.0)
    found = fit_calibration(log_odds, on, with_intercept=True)
    assert found.slope == pytest.approx(1 / 3, rel=0.1)
    assert found.intercept == pytest.approx(-1 / 3, abs=0.15)
    assert found.probability(log_odds).mean() == pytest.approx(on.mean(), abs=1e-3)


SEPARATED = np.array([-2.0, -1.0, 1.0, 2.0])


@pytest.mark.parametrize("with_intercept", [False, True])
@pytest.mark.parametrize(
    ("log_odds", "on"),
    [
        (SEPARATED, [0, 0, 1, 1]),
        (SEPARATED, [1, 1, 0, 0]),
        (SEPARATED, [1, 1, 1, 1]),
        (SEPARATED, [0, 0, 0, 0]),
        (SEPARATED * 1e-9, [0, 0, 1, 1]),
        (SEPARATED * 1e9, [0, 1, 0, 1]),
        (np.zeros(4), [0, 1, 1, 1]),
        (np.full(4, -7.1), [0, 1, 1, 1]),
        (np.array([3.0]), [1]),
    ],
)
def test_hard_cases_give_finite_probabilities_in_the_same_order(log_odds, on, with_intercept) -> None:
    found = fit_calibration(log_odds, np.array(on), with_intercept=with_intercept)
    assert SLOPE_LIMITS[0] <= found.slope <= SLOPE_LIMITS[1]
    assert np.isfinite(found.intercept)
    p = found.probability(log_odds)
    assert np.all((p >= 0) & (p <= 1))
    if abs(log_odds).max() < 1e6:
        assert np.array_equal(np.unique(p, return_inverse=True)[1], np.unique(log_odds, return_inverse=True)[1])
    if with_intercept and np.ptp(log_odds) == 0:
        n = sum(on)
        m = len(on) - n
        assert found.slope == 1.0
        assert p[0] == pytest.approx((n * (n + 1) / (n + 2) + m / (m + 2)) / len(on))


def test_separated_genes_do_not_become_certain() -> None:
    found = fit_calibration(SEPARATED, np.array([0, 0, 1, 1]), with_intercept=False)
    assert 0.5 < found.probability(SEPARATED)[2] < found.probability(SEPARATED)[3] < 0.9


def test_genes_without_finite_log_odds_are_refused() -> None:
    for log_odds in ([], [0.0, np.nan], [np.inf, 1.0]):
        with pytest.raises(BadDataError, match="at least one gene, and log odds that are finite"):
            fit_calibration(np.array(log_odds), np.zeros(len(log_odds)), with_intercept=False)


@given(st.lists(st.floats(-700, 30), min_size=2, max_size=50), st.floats(0.01, 1.0), st.floats(-5, 5))
def test_probabilities_keep_the_order_of_genes(values, slope, intercept) -> None:
    log_odds = np.sort(np.round(values, 3))
    p = Calibration(slope, intercept).probability(log_odds)
    assert np.all(np.diff(p)[np.diff(log_odds) > 0] > 0)


def test_probabilities_at_the_limits_of_float64() -> None:
    p = Calibration().probability(np.array([-1e308, -np.inf, -740.0, -40.0, 0.0, 36.0, 1e308, np.inf]))
    np.testing.assert_allclose(p, [0, 0, np.exp(-740.0), np.exp(-40.0), 0.5, 1, 1, 1], rtol=1e-12)
    assert 0 < p[2] < p[3]
    assert p[5] < 1


def test_a_calibration_can_be_stored() -> None:
    calibration = Calibration(0.4, -1.25)
    assert calibration.to_dict() == {"slope": 0.4, "intercept": -1.25}
    assert Calibration.from_dict(calibration.to_dict()) == calibration
    assert Calibration.from_dict({"slope": 1, "intercept": 0}) == Calibration()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"slope": 1.0}, "keys"),
        ({"slope": 1.0, "intercept": 0.0, "more": 1}, "keys"),
        ({"slope": 0.0, "intercept": 0.0}, r"invalid slope \(0\.0\)"),
        ({"slope": -1.0, "intercept": 0.0}, "invalid slope"),
        ({"slope": float("nan"), "intercept": 0.0}, r"invalid slope \(nan\)"),
        ({"slope": float("inf"), "intercept": 0.0}, "invalid slope"),
        ({"slope": 1.0, "intercept": float("nan")}, "invalid intercept"),
        ({"slope": "1", "intercept": 0.0}, "invalid slope"),
        ({"slope": True, "intercept": 0.0}, "invalid slope"),
        ({"slope": 1.0, "intercept": None}, "invalid intercept"),
        ({"slope": 10**400, "intercept": 0.0}, "invalid slope"),
    ],
)
def test_invalid_documents_are_refused(document, message) -> None:
    with pytest.raises(BadDataError, match=message):
        Calibration.from_dict(document)


def test_the_module_needs_numpy_alone() -> None:
    heavy = ("scipy", "sklearn", "torch", "polars", "numba")
    code = f"import sys, deepchrome.train.models.calibration; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
