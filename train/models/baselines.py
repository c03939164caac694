"""Baseline classifiers from scikit-learn, with which the networks are compared.

``logistic`` uses all bins of all marks. ``random-forest`` and ``svm`` use one bin per mark, the "best bin" of
Dong et al. 2012 (Genome Biology 13:R53): the bin whose value correlates most with the label over the training
genes. The parameter C of ``logistic`` and ``svm``, the inverse of the regularization strength, is the one with the
best AUROC on the validation genes.

A fitted baseline is a set of arrays, like the weights of any other model. The functions below compute scores
from the arrays, so no scikit-learn object has to be pickled.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from deepchrome.common.names import TRAIN, VALID
from deepchrome.common.seeds import random_generator
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.models import GENES_PER_BATCH
from deepchrome.train.models.metrics import auroc

Arrays = Mapping[str, NDArray[Any]]

LOGISTIC_C = (1e-4, 1e-3, 1e-2, 1e-1)
SVM_C = (0.1, 1.0, 10.0)
TREES = 200
# A forest can be certain (all its trees agree), and log odds must be finite. Below any other fraction of a forest.
_FOREST_MARGIN = 1e-6
_INDEX_ARRAYS = frozenset({"best_bin", "root", "left", "right", "feature"})


def fit_baseline(name: str, data: Dataset, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Fit one baseline to one epigenome.

    Parameters
    ----------
    name
        One of :data:`deepchrome.train.models.BASELINES`.
    data
        Genes of the epigenome. The AUROC on the validation genes decides between values of C.
    seed
        Seed of scikit-learn's random numbers.

    Returns
    -------
    dict of arrays
        The arrays that :func:`score_baseline` needs.

    Raises
    ------
    BadDataError
        Training or validation genes are missing or of one class.
    """
    data.check_classes()
    train, valid = data.split == TRAIN, data.split == VALID
    sklearn_seed = int(random_generator(seed, data.seed_name).integers(2**31))
    candidates = _FIT[name](data.x[train], data.y[train], sklearn_seed)

    def valid_auroc(arrays: Arrays) -> float:
        return auroc(data.y[valid], score_baseline(name, arrays, data.x[valid])) or 0.0

    return max(candidates, key=valid_auroc)


def score_baseline(name: str, arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Score genes with one fitted baseline.

    Parameters
    ----------
    name, arrays
        The baseline, and its result of :func:`fit_baseline`.
    x
        float32 (genes, bins, marks).

    Returns
    -------
    float64 (genes,)
        Log odds that a gene is on. For ``svm``, the value of the decision function, which has another scale.
    """
    batches = [x[i : i + GENES_PER_BATCH] for i in range(0, len(x), GENES_PER_BATCH)]
    return np.concatenate([_SCORE[name](arrays, batch) for batch in batches] or [np.empty(0)])


def check_baseline(name: str, arrays: Arrays, marks: int, bins: int) -> str | None:
    """Check that :func:`score_baseline` can use arrays from a file.

    Parameters
    ----------
    name
        One of :data:`deepchrome.train.models.BASELINES`.
    arrays
        Arrays of a fitted baseline.
    marks, bins
        Shape of the input of one gene.

    Returns
    -------
    str or None
        The first problem found, or ``None``.
    """
    expected = _array_shapes(marks, bins)[name]
    if arrays.keys() != expected.keys():
        return f"has arrays {', '.join(sorted(arrays))}, not {', '.join(sorted(expected))}"
    sizes: dict[str, int] = {}
    for key, shape in expected.items():
        found = arrays[key].shape
        if len(found) != len(shape):
            return f"{key} has shape {found}, not {shape}"
        # The first array with a named axis, such as "n", fixes its length for the other arrays.
        wanted = tuple(
            sizes.setdefault(axis, size) if isinstance(axis, str) else axis
            for axis, size in zip(shape, found, strict=True)
        )
        if found != wanted or 0 in found:
            return f"{key} has shape {found}, not {wanted}"
        if arrays[key].dtype.kind != ("i" if key in _INDEX_ARRAYS else "f") or not np.isfinite(arrays[key]).all():
            return f"{key} has the wrong type ({arrays[key].dtype}) or values that are not finite"
    limits = {"best_bin": bins, "feature": marks} | dict.fromkeys(("root", "left", "right"), sizes.get("n", 0))
    for key in _INDEX_ARRAYS.intersection(arrays):
        if arrays[key].min() < 0 or arrays[key].max() >= limits[key]:
            return f"{key} has an index outside 0 to {limits[key] - 1}"
    # Children follow their parent. A tree that broke this rule could have a cycle, and scoring would not end.
    if name == "random-forest" and np.any(np.minimum(arrays["left"], arrays["right"]) < np.arange(sizes["n"])):
        return "a node of a tree has a child before it"
    return None


def _array_shapes(marks: int, bins: int) -> dict[str, dict[str, tuple[int | str, ...]]]:
    """Return the shapes of the arrays of every baseline; a string names an axis of any length."""
    features = bins * marks
    return {
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


def best_bins(x: NDArray[np.float32], y: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Find the bin of each mark whose value has the largest absolute correlation with the label.

    Parameters
    ----------
    x
        float32 (genes, bins, marks).
    y
        Labels, uint8 (genes,).

    Returns
    -------
    int64 (marks,)
        The index of the bin, from 0.
    """
    centred = x - x.mean(0, dtype=np.float64)
    label = y - y.mean()
    covariance = np.abs(np.einsum("gbm,g->bm", centred, label))
    spread = np.sqrt((centred**2).sum(0))
    # A bin with the same value in all genes gets correlation 0.
    correlation = np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
    return np.asarray(correlation.argmax(0), np.int64)


def _select_best_bins(arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the value of the best bin of each mark, float32 (genes, marks)."""
    return np.asarray(x[:, arrays["best_bin"], np.arange(x.shape[2])])


def _standardize(features: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """Return the mean and scale of every feature, and the standardized features."""
    mean, scale = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    scale[scale == 0] = 1
    return {"mean": mean, "scale": scale}, (features - mean) / scale


def _fit_logistic(x: NDArray[np.float32], y: NDArray[np.uint8], seed: int) -> list[dict[str, NDArray[Any]]]:
    scaling, features = _standardize(x.reshape(len(x), -1))
    fitted = []
    for c in LOGISTIC_C:
        model = LogisticRegression(C=c, max_iter=1000, random_state=seed).fit(features, y)
        fitted.append({**scaling, "weight": model.coef_[0], "bias": np.array(model.intercept_[0])})
    return fitted


def _score_logistic(arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float64]:
    features = (x.reshape(len(x), -1) - arrays["mean"]) / arrays["scale"]
    return np.asarray(features @ arrays["weight"] + arrays["bias"], np.float64)


def _fit_svm(x: NDArray[np.float32], y: NDArray[np.uint8], seed: int) -> list[dict[str, NDArray[Any]]]:
    best = {"best_bin": best_bins(x, y)}
    scaling, features = _standardize(_select_best_bins(best, x))
    # scikit-learn's default: 1 / (number of features * variance). Standardized features have variance 1.
    gamma = 1 / features.shape[1]
    fitted = []
    for c in SVM_C:
        model = SVC(C=c, kernel="rbf", gamma=gamma, random_state=seed).fit(features, y)
        fitted.append(
            {
                **best,
                **scaling,
                "vectors": model.support_vectors_,
                "dual": model.dual_coef_[0],
                "bias": np.array(model.intercept_[0]),
                "gamma": np.array(gamma),
            }
        )
    return fitted


def _score_svm(arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float64]:
    features = (_select_best_bins(arrays, x) - arrays["mean"]) / arrays["scale"]
    vectors = arrays["vectors"]
    squared_distance = (features**2).sum(1)[:, None] + (vectors**2).sum(1) - 2 * features @ vectors.T
    return np.asarray(np.exp(-arrays["gamma"] * squared_distance) @ arrays["dual"] + arrays["bias"])


def _fit_forest(x: NDArray[np.float32], y: NDArray[np.uint8], seed: int) -> list[dict[str, NDArray[Any]]]:
    best = {"best_bin": best_bins(x, y)}
    forest = RandomForestClassifier(TREES, random_state=seed).fit(_select_best_bins(best, x), y)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    root = np.cumsum([0] + [tree.node_count for tree in trees[:-1]])
    # Number the nodes consecutively over all trees. A leaf is its own child, so that scoring stops there.
    children = {}
    for side in ("left", "right"):
        per_tree = [
            np.where(nodes < 0, np.arange(nodes.size), nodes) + first
            for first, nodes in zip(root, (getattr(tree, f"children_{side}") for tree in trees), strict=True)
        ]
        children[side] = np.concatenate(per_tree)
    arrays = {
        **best,
        "root": root,
        **children,
        "feature": np.concatenate([np.maximum(tree.feature, 0) for tree in trees]),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "on": np.concatenate([tree.value[:, 0, 1] / tree.value[:, 0].sum(1) for tree in trees]),
    }
    return [arrays]


def _score_forest(arrays: Arrays, x: NDArray[np.float32]) -> NDArray[np.float64]:
    features = _select_best_bins(arrays, x)
    genes = np.arange(len(features))[:, None]
    node = np.broadcast_to(arrays["root"], (len(features), arrays["root"].size))
    while True:
        goes_left = features[genes, arrays["feature"][node]] <= arrays["threshold"][node]
        child = np.where(goes_left, arrays["left"][node], arrays["right"][node])
        if np.array_equal(child, node):
            on = np.clip(arrays["on"][node].mean(1), _FOREST_MARGIN, 1 - _FOREST_MARGIN)
            return np.asarray(np.log(on) - np.log1p(-on))
        node = child


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
