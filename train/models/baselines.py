"""Baselines by scikit-learn, after the methods that the DeepChrome paper compares itself with.

``logistic`` sees all bins of all marks. ``random-forest`` and ``svm`` see one bin per mark, the
"best bin" of Dong et al. 2012 (Genome Biology 13:R53): the one whose value goes most with the label
over the training genes. Where there is a choice of strength (C), the validation genes make it.

A fitted baseline is a set of arrays like any other model's weights, and scores are computed from
them here: nothing is pickled.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from deepchrome.common.seeds import random_generator
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.splits import TRAIN, VALID
from deepchrome.train.models.metrics import auroc

Arrays = Mapping[str, NDArray[Any]]

TREES = 200
_INDICES = frozenset({"best_bin", "root", "left", "right", "feature"})
LOGISTIC_C = (1e-4, 1e-3, 1e-2, 1e-1)
SVM_C = (0.1, 1.0, 10.0)
_SCORED_AT_ONCE = 1024


def fit_baseline(name: str, data: Dataset, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Fit one of :data:`deepchrome.train.models.BASELINES` to one epigenome; return its arrays.

    Raises
    ------
    BadDataError
        Training or validation genes are missing or of one class.
    """
    if single := [part for part in data.one_class_parts() if not part.startswith("test")]:
        raise BadDataError(f"{data.epigenome}: labels of one class only, or no gene, in {', '.join(single)}")
    train, valid = data.split == TRAIN, data.split == VALID
    fitted = _FIT[name](data.x[train], data.y[train], int(random_generator(seed, data.epigenome).integers(2**31)))

    def valid_auroc(arrays: Arrays) -> float:
        return auroc(data.y[valid], score_baseline(name, arrays, data.x[valid])) or 0.0

    return max(fitted, key=valid_auroc)


def score_baseline(name: str, arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score genes x, float32 (genes, bins, marks); see :func:`deepchrome.train.models.score_genes`."""
    return np.concatenate(
        [_SCORE[name](arrays, x[i : i + _SCORED_AT_ONCE]) for i in range(0, len(x), _SCORED_AT_ONCE)] or [np.empty(0)]
    )


def check_baseline(name: str, arrays: Arrays, marks: int, bins: int) -> str | None:
    """Say what makes these arrays unfit to score genes with; ``None`` if nothing does."""
    features = bins * marks
    shapes: dict[str, dict[str, tuple[int | str, ...]]] = {
        "logistic": {"mean": (features,), "scale": (features,), "weight": (features,), "bias": ()},
        "svm": {
            "best_bin": (marks,),
            "mean": (marks,),
            "scale": (marks,),
            "vectors": ("n", marks),
            "dual": ("n",),
            "bias": (),
            "gamma": (),
        },
        "random-forest": {
            "best_bin": (marks,),
            "root": ("trees",),
            **dict.fromkeys(("left", "right", "feature", "threshold", "on"), ("n",)),
        },
    }
    expected = shapes[name]
    if arrays.keys() != expected.keys():
        return f"arrays {', '.join(sorted(arrays))} where {', '.join(sorted(expected))} must be"
    sizes: dict[str, int] = {}
    for key, shape in expected.items():
        found = arrays[key].shape
        wanted = tuple(
            sizes.setdefault(n, size) if isinstance(n, str) else n for n, size in zip(shape, found, strict=False)
        )
        if len(found) != len(shape) or found != wanted or 0 in found:
            return f"{key} has shape {found}, not {wanted if len(found) == len(shape) else shape}"
        if arrays[key].dtype.kind != ("i" if key in _INDICES else "f") or not np.isfinite(arrays[key]).all():
            return f"{key} holds {arrays[key].dtype} or values that are not finite"
    limits = {"best_bin": bins, "feature": marks} | dict.fromkeys(("root", "left", "right"), sizes.get("n", 0))
    for key in _INDICES.intersection(arrays):
        if arrays[key].min() < 0 or arrays[key].max() >= limits[key]:
            return f"{key} points outside of 0 to {limits[key] - 1}"
    # Children stand after their parent; a tree in which one did not could be walked for ever.
    if name == "random-forest" and np.any(np.minimum(arrays["left"], arrays["right"]) < np.arange(sizes["n"])):
        return "a tree's child stands before its parent"
    return None


def best_bins(x: NDArray[np.float32], y: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Find for each mark the bin whose value has the largest absolute correlation with the label.

    Parameters
    ----------
    x, y
        float32 (genes, bins, marks) and uint8 (genes,).

    Returns
    -------
    int64 (marks,)
    """
    centred = x - x.mean(0, dtype=np.float64)
    label = y - y.mean()
    covariance = np.abs(np.einsum("gbm,g->bm", centred, label))
    spread = np.sqrt((centred**2).sum(0))
    # A bin that never varies says nothing.
    correlation = np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.asarray(correlation.argmax(0), np.int64)


def _at_best_bins(arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(x[:, arrays["best_bin"], np.arange(x.shape[2])])


def _standard(features: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """Return mean and scale of every feature, and the features standardised by them."""
    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale[scale == 0] = 1
    return {"mean": mean, "scale": scale}, (features - mean) / scale


def _fit_logistic(x: NDArray[np.float32], y: NDArray[np.uint8], seed: int) -> list[dict[str, NDArray[Any]]]:
    standard, features = _standard(x.reshape(len(x), -1))
    fitted = []
    for strength in LOGISTIC_C:
        model = LogisticRegression(C=strength, max_iter=1000, random_state=seed).fit(features, y)
        fitted.append({**standard, "weight": model.coef_[0], "bias": np.array(model.intercept_[0])})
    return fitted


def _score_logistic(arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float64]:
    features = (x.reshape(len(x), -1) - arrays["mean"]) / arrays["scale"]
    # 1 / (1 + exp(-z)) without overflow at large negative z.
    return np.asarray(np.exp(-np.logaddexp(0, -(features @ arrays["weight"] + arrays["bias"]))))


def _fit_svm(x: NDArray[np.float32], y: NDArray[np.uint8], seed: int) -> list[dict[str, NDArray[Any]]]:
    best = {"best_bin": best_bins(x, y)}
    standard, features = _standard(_at_best_bins(best, x))
    # The default width: 1 / (number of features * their variance), and the variance here is 1.
    gamma = 1 / features.shape[1]
    fitted = []
    for strength in SVM_C:
        model = SVC(C=strength, kernel="rbf", gamma=gamma, random_state=seed).fit(features, y)
        own = {"vectors": model.support_vectors_, "dual": model.dual_coef_[0], "bias": np.array(model.intercept_[0])}
        fitted.append({**best, **standard, **own, "gamma": np.array(gamma)})
    return fitted


def _score_svm(arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float64]:
    features = (_at_best_bins(arrays, x) - arrays["mean"]) / arrays["scale"]
    vectors = arrays["vectors"]
    squared = (features**2).sum(1)[:, None] + (vectors**2).sum(1) - 2 * features @ vectors.T
    return np.asarray(np.exp(-arrays["gamma"] * squared) @ arrays["dual"] + arrays["bias"])


def _fit_forest(x: NDArray[np.float32], y: NDArray[np.uint8], seed: int) -> list[dict[str, NDArray[Any]]]:
    best = {"best_bin": best_bins(x, y)}
    forest = RandomForestClassifier(TREES, random_state=seed).fit(_at_best_bins(best, x), y)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    root = np.cumsum([0] + [tree.node_count for tree in trees[:-1]])
    # Children numbered through all trees; a leaf is its own child.
    children = {}
    for side in ("left", "right"):
        per_tree = [
            np.where(own < 0, np.arange(own.size), own) + first
            for first, own in zip(root, (getattr(tree, f"children_{side}") for tree in trees), strict=True)
        ]
        children[side] = np.concatenate(per_tree)
    on = [tree.value[:, 0, 1] / tree.value[:, 0].sum(1) for tree in trees]
    own = {
        "root": root,
        **children,
        "feature": np.concatenate([np.maximum(tree.feature, 0) for tree in trees]),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "on": np.concatenate(on),
    }
    return [{**best, **own}]


def _score_forest(arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float64]:
    features = _at_best_bins(arrays, x)
    genes = np.arange(len(features))[:, None]
    node = np.broadcast_to(arrays["root"], (len(features), arrays["root"].size))
    while True:
        goes_left = features[genes, arrays["feature"][node]] <= arrays["threshold"][node]
        following = np.where(goes_left, arrays["left"][node], arrays["right"][node])
        if np.array_equal(following, node):
            return np.asarray(arrays["on"][node].mean(1))
        node = following


_FIT: dict[str, Callable[[NDArray[np.float32], NDArray[np.uint8], int], list[dict[str, NDArray[Any]]]]] = {
    "logistic": _fit_logistic,
    "random-forest": _fit_forest,
    "svm": _fit_svm,
}
_SCORE: dict[str, Callable[[Arrays, NDArray[np.float32]], NDArray[np.float64]]] = {
    "logistic": _score_logistic,
    "random-forest": _score_forest,
    "svm": _score_svm,
}
