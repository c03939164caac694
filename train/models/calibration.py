"""Calibration: turn the log odds of a model into probabilities that agree with how often genes are on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from deepchrome.errors import BadDataError

# A fitted slope stays within these limits: ranks never change, and log odds are not all mapped to one probability.
SLOPE_LIMITS: Final = (1e-3, 1e3)
_LARGEST: Final = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Calibration:
    """Turn log odds into probabilities: p = sigmoid(slope * log_odds + intercept).

    The slope is positive, so calibration does not change the order of genes, and thus no AUROC.

    Attributes
    ----------
    slope
        Greater than 0. Below 1, it makes an overconfident model less certain.
    intercept
        Log odds that are added for every gene.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def probability(self, log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that each gene is on.

        Parameters
        ----------
        log_odds
            float64 (genes,). Values without a bound are allowed.

        Returns
        -------
        float64 (genes,)
            0 to 1. Probabilities are too close to 1 for float64 from calibrated log odds of about 37 on, so
            rank genes by their log odds.
        """
        return _sigmoid(self.slope * np.asarray(log_odds, np.float64) + self.intercept)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Restore a calibration from the result of :meth:`to_dict`.

        Raises
        ------
        BadDataError
            A key is missing or unknown, a value is not a finite number, or the slope is not positive.
        """
        expected = [field.name for field in fields(cls)]
        if document.keys() != set(expected):
            raise BadDataError(f"calibration: keys {sorted(document)}, expected {sorted(expected)}")
        for key in expected:
            value = document[key]
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
            if not is_number or (key == "slope" and value <= 0):  # guard: valid-calibration
                raise BadDataError(f"calibration: invalid {key} ({value!r})")
        return cls(float(document["slope"]), float(document["intercept"]))

    def to_dict(self) -> dict[str, float]:
        """Return the calibration as JSON values."""
        return asdict(self)


def fit_calibration(log_odds: NDArray[np.float64], on: NDArray[Any], *, with_intercept: bool) -> Calibration:
    """Fit a calibration by maximum likelihood on genes that the model was not trained on.

    Without an intercept, this is temperature scaling (Guo et al. 2017, ICML 70:1321), and 1 / slope is the temperature.
    With one, it is Platt scaling (Platt 1999, Advances in Large Margin Classifiers, 61).

    Both use Platt's targets: with n genes on and m off, (n + 1) / (n + 2) for those that are on, and 1 / (m + 2) for
    those that are off, instead of 1 and 0. With thousands of genes this changes nothing. With genes of one class, or
    log odds that separate the classes perfectly, it keeps the result finite.

    Parameters
    ----------
    log_odds
        Log odds of validation genes: float64 (genes,), finite.
    on
        Labels (genes,), 0 or 1.
    with_intercept
        Fit an intercept too. It corrects scores that are too high or too low for all genes, as at another depth.

    Returns
    -------
    Calibration
        Its slope is within :data:`SLOPE_LIMITS`. It is 1 if all log odds are equal and there is an intercept.

    Raises
    ------
    BadDataError
        There are no genes, or log odds are not finite.
    """
    from scipy.optimize import minimize

    log_odds, is_on = np.asarray(log_odds, np.float64), np.asarray(on).astype(bool)
    if not log_odds.size or not np.isfinite(log_odds).all():
        raise BadDataError("calibration needs at least one gene, and log odds that are finite")
    n_on = int(is_on.sum())
    target = np.where(is_on, (n_on + 1) / (n_on + 2), 1 / (is_on.size - n_on + 2))

    # Standardised log odds make the problem equally easy for the optimizer at every scale.
    is_constant = np.ptp(log_odds) == 0
    centre = float(log_odds.mean()) if with_intercept else 0.0
    standard = np.zeros_like(log_odds) if with_intercept and is_constant else log_odds - centre
    scale = float(np.sqrt(np.mean(standard**2))) or 1.0
    standard = standard / scale

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the mean cross-entropy and its gradient."""
        x = parameters[0] * standard + parameters[1]
        residual = _sigmoid(x) - target
        return float(np.mean(np.logaddexp(0, x) - target * x)), np.array(
            [np.mean(residual * standard), residual.mean()]
        )

    limits = tuple(limit * scale for limit in SLOPE_LIMITS)
    start = [scale, np.log(target.mean() / (1 - target.mean())) if with_intercept else 0.0]
    bounds = [limits, (None, None) if with_intercept else (0, 0)]
    fitted = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
    slope = float(np.clip(fitted.x[0] / scale, *SLOPE_LIMITS))
    return Calibration(slope, float(fitted.x[1]) - slope * centre if with_intercept else 0.0)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) without overflow, and with full precision near 0."""
    small = np.exp(-np.abs(x))
    probability: NDArray[np.float64] = np.where(x >= 0, 1.0, small) / (1 + small)
    return probability
