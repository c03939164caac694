"""AUROC, AUPRC and bootstrap resamples, compared with scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from deepchrome.train.models.metrics import auprc, auroc, bootstrap_areas, stacked_auroc

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
