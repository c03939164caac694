"""Fold changes between two epigenomes: by hand, and recomputed from the files of a run."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr
from support.atlases import Data, train_on, write_atlas

from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.contrast import contrast_genes, evaluate_contrast
from deepchrome.train.scoring.scored import ScoredGenes


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    return write_atlas(tmp_path_factory.mktemp("atlas"))


@pytest.fixture(scope="module")
def run(data) -> Run:
    out = data.features.parent / "run"
    return train_on(data, out, held_out=("E003",), task="regress", pooled=True)


def genes_of(epigenome: str, predicted: list[float] | None, rpkm: list[float] | None) -> ScoredGenes:
    """Return four genes with these values."""
    return ScoredGenes(
        epigenome,
        epigenome,
        np.array([0, 1, 0, 1], np.uint8),
        np.full(4, 0.5),
        ("A", "B", "C", "D"),
        None if predicted is None else np.array(predicted),
        None if rpkm is None else np.array(rpkm),
    )


def test_a_contrast_is_a_difference_of_log2_values_by_hand() -> None:
    a = genes_of("E1", [3.0, 1.0, 2.5, 0.5], [7.0, 1.0, 0.0, 31.0])  # log2(RPKM + 1): 3, 1, 0, 5
    b = genes_of("E2", [1.0, 1.5, 2.0, 0.5], [1.0, 3.0, 3.0, 3.0])  # 1, 2, 2, 2
    found = contrast_genes([a, b], "E1", "E2")
    assert (found.a, found.b, found.gene_id) == ("E1", "E2", ("A", "B", "C", "D"))
    assert found.predicted.tolist() == [2.0, -0.5, 0.5, 0.0]
    assert found.observed.tolist() == [2.0, -1.0, -2.0, 3.0]
    # B changed exactly twofold, which does not count. A has the predicted direction, C not; D was predicted to stay.
    assert (found.genes, found.changed, found.direction) == (4, 3, pytest.approx(1 / 3))
    assert found.pearson == pytest.approx(pearsonr([2.0, -0.5, 0.5, 0.0], [2.0, -1.0, -2.0, 3.0]).statistic)
    back = contrast_genes([a, b], "E2", "E1")
    assert back.predicted.tolist() == [-2.0, 0.5, -0.5, 0.0]
    assert (back.pearson, back.changed, back.direction) == (found.pearson, found.changed, found.direction)


def test_a_contrast_without_expression_has_no_observed_fold_change() -> None:
    a, b = genes_of("E1", [3.0, 1.0, 2.5, 0.5], None), genes_of("E2", [1.0, 1.5, 2.0, 0.5], [1.0, 3.0, 3.0, 3.0])
    found = contrast_genes([a, b], "E1", "E2")
    assert found.predicted.tolist() == [2.0, -0.5, 0.5, 0.0]
    assert (found.observed, found.genes, found.pearson, found.changed, found.direction) == (None, 4, None, None, None)
    unchanged = contrast_genes([replace(a, rpkm=b.rpkm), b], "E1", "E2")
    assert (unchanged.pearson, unchanged.changed, unchanged.direction) == (None, 0, None)


def test_invalid_contrasts_are_refused() -> None:
    a, b = genes_of("E1", [1.0] * 4, None), genes_of("E2", [1.0] * 4, None)
    with pytest.raises(UsageError, match="two different epigenomes, got E1 twice"):
        contrast_genes([a, b], "E1", "E1")
    with pytest.raises(UsageError, match=r"no genes to test of E3 \(found E1, E2\)"):
        contrast_genes([a, b], "E1", "E3")
    with pytest.raises(BadDataError, match="the genes of E1 and E2 differ"):
        contrast_genes([a, replace(b, gene_id=("A", "B", "D", "C"))], "E1", "E2")
    with pytest.raises(UsageError, match="do not predict expression values") as caught:
        contrast_genes([a, replace(b, log2_rpkm=None)], "E1", "E2")
    assert caught.value.remedy == "regression"


def test_the_contrast_of_a_run_is_on_its_test_genes(data, run, tmp_path) -> None:
    """E003 is held out: neither its genes nor the epigenome were seen."""
    found = evaluate_contrast(run, "E001", "E003")
    test = run.predictions().filter(pl.col("split") == "test")
    columns = {name: test.filter(pl.col("epigenome") == name) for name in ("E001", "E003")}
    table = pl.read_csv(data.expression, separator="\t")
    assert list(found.gene_id) == columns["E001"]["gene_id"].to_list()
    observed = columns["E001"].select("gene_id").join(table, on="gene_id", maintain_order="left")
    expected = np.log2(observed["E001"] + 1) - np.log2(observed["E003"] + 1)
    predicted = columns["E001"]["log2_rpkm"] - columns["E003"]["log2_rpkm"]
    np.testing.assert_allclose(found.predicted, predicted)
    np.testing.assert_allclose(found.observed, expected)
    assert found.pearson == pytest.approx(pearsonr(predicted, expected).statistic)

    moved = Run(run.path)
    moved.config = replace(run.config, source=replace(run.config.source, expression=tmp_path / "gone.tsv"))
    without = evaluate_contrast(moved, "E001", "E003")
    assert without.observed is None
    np.testing.assert_array_equal(without.predicted, found.predicted)
    given = evaluate_contrast(moved, "E001", "E003", data.expression)
    np.testing.assert_array_equal(given.observed, found.observed)


def test_a_run_without_regression_has_no_contrast(data, tmp_path) -> None:
    run = train_on(data, tmp_path / "run", model="logistic", epochs=1)
    with pytest.raises(UsageError, match="the models of E001 and E002 do not predict expression values"):
        evaluate_contrast(run, "E001", "E002")
