from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import auc, roc_auc_score
from support.epigenomes import MARKS, random_dataset, write_random_features

from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.source import FeatureSource, TextSource
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.directory import Run
from deepchrome.train.run.train import train_models
from deepchrome.train.scoring.evaluate import compare_with_gene_mean, cross_evaluate, evaluate, roc_points
from deepchrome.train.scoring.predict import predict
from deepchrome.train.scoring.scored import ScoredGenes, score_datasets, score_test_genes
from deepchrome.train.scoring.unseen import load_unseen_genes

CPU = Placement("cpu", threads=2)
GENES = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("data")


def trained(folder: Path, name: str, **options) -> Run:
    features, expression = folder / "features", folder / "expression.tsv"
    if not features.is_dir():
        write_random_features(features, genes=GENES)
    source = FeatureSource(features, expression, split="random", seed=3)
    config = FitConfig(**{"epochs": 3, "batch_size": 16, **options})
    train_models(source, folder / name, config=config, placement=CPU)
    return Run(folder / name)


@pytest.fixture(scope="module")
def run(folder) -> Run:
    return trained(folder, "run")


def test_areas_of_test_genes_are_those_of_the_summary_and_within_their_intervals(run) -> None:
    scored = score_test_genes(run)
    assert [one.epigenome for one in scored] == ["E001", "E002"]
    for row, summary in zip(evaluate(scored, resamples=200), run.summary(), strict=True):
        assert row.auroc == summary.test_auroc
        assert row.auprc == summary.test_auprc
        assert row.n_test == summary.n_test == 50
        assert row.auroc_low < row.auroc < row.auroc_high
        assert row.auprc_low < row.auprc < row.auprc_high


def test_intervals_depend_on_the_seed_and_narrow_with_more_genes() -> None:
    rng = np.random.default_rng(1)
    on = rng.integers(0, 2, 4000).astype(np.uint8)
    scores = rng.normal(size=4000) + on
    many, few = ScoredGenes("E1", "E1", on, scores), ScoredGenes("E1", "E1", on[:250], scores[:250])
    wide, narrow = evaluate([few, many], resamples=200, seed=1)
    # The standard error falls with the square root: 16 times as many genes, a quarter of the width.
    ratio = (wide.auroc_high - wide.auroc_low) / (narrow.auroc_high - narrow.auroc_low)
    assert 2.8 < ratio < 5.7
    assert evaluate([few], resamples=200, seed=1) == [wide]
    assert evaluate([few], resamples=200, seed=2) != [wide]
    without = evaluate([few], resamples=0)[0]
    assert (without.auroc, without.auroc_low, without.auprc_high) == (wide.auroc, None, None)


def test_one_class_has_no_area_and_no_curve() -> None:
    one = ScoredGenes("E1", "E1", np.ones(5, np.uint8), np.arange(5.0))
    row = evaluate([one])[0]
    assert (row.auroc, row.auroc_low, row.auprc, row.n_on) == (None, None, None, 5)
    assert roc_points([one]).is_empty()


def test_a_sentence_says_where_the_gene_mean_is_as_good_as_the_model() -> None:
    genes = ScoredGenes("E1", "E1", np.array([0, 1, 0, 1], np.uint8), np.array([0.1, 0.4, 0.6, 0.9]))
    row = evaluate([genes], resamples=0)[0]
    assert (row.auroc, compare_with_gene_mean([row])) == (0.75, None)
    better, same = replace(row, gene_mean_auroc=0.5), replace(row, gene_mean_auroc=0.75)
    assert compare_with_gene_mean([better]) is None
    assert compare_with_gene_mean([same]) == (
        "in E1, the mean expression of a gene in the other epigenomes predicts its state at least as well as the marks "
        "do (AUROC 0.750, model 0.750)"
    )
    variable = replace(row, gene_mean_auroc=0.95, variable_auroc=0.8, variable_gene_mean_auroc=0.6)
    assert compare_with_gene_mean([better, variable, row]) == (
        "in 1 of 2 epigenomes, the mean expression of a gene in the other epigenomes predicts its state at least as "
        "well as the marks do (AUROC 0.950, model 0.750); what is specific to a cell type shows in the genes whose "
        "state varies (AUROC 0.600, model 0.800)"
    )


def test_brier_score_and_calibration_error_need_probabilities() -> None:
    on = np.array([0, 1, 0, 1], np.uint8)
    row = evaluate([ScoredGenes("E1", "E1", on, np.array([0.25, 0.75, 0.25, 0.75]))], resamples=0)[0]
    assert (row.brier, row.ece) == (0.0625, 0.25)
    row = evaluate([ScoredGenes("E1", "E1", on, np.array([-1.0, 2.0, 0.5, 0.75]))], resamples=0)[0]
    assert (row.auroc, row.brier, row.ece) == (1.0, None, None)


def test_the_area_under_the_roc_points_is_the_auroc(run) -> None:
    scored = score_test_genes(run)
    points = roc_points(scored)
    for one in scored:
        curve = points.filter(pl.col("epigenome") == one.epigenome)
        x, y = curve["false_positive_rate"], curve["true_positive_rate"]
        assert auc(x, y) == pytest.approx(roc_auc_score(one.on, one.scores))
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)


def test_on_its_own_data_only_the_test_genes_are_unseen(run, folder) -> None:
    datasets, report = load_unseen_genes(run, folder / "features", folder / "expression.tsv")
    assert report.notes[0] == "100 genes left out because the run was trained or validated on them; 50 genes tested"
    for before, after in zip(score_test_genes(run), score_datasets(run, datasets), strict=True):
        np.testing.assert_array_equal(before.on, after.on)
        np.testing.assert_allclose(before.scores, after.scores, atol=1e-6)


def test_own_data_are_those_of_the_epigenomes_of_the_run(run, folder) -> None:
    """Others may have been counted into the same directory later, with other marks."""
    source = FeatureSource(folder / "features", folder / "expression.tsv", split="random", seed=3)
    config = FitConfig(model="logistic", epochs=1)
    train_models(source, folder / "one", epigenomes=("E002",), config=config, placement=CPU)
    one = Run(folder / "one")
    assert [data.epigenome for data in load_unseen_genes(one)[0]] == ["E002"]
    given = load_unseen_genes(one, folder / "features", folder / "expression.tsv")[0]
    assert [data.epigenome for data in given] == ["E001", "E002"]


def test_epigenomes_without_expression_are_left_out_with_a_note(run, folder, tmp_path) -> None:
    table = pl.read_csv(folder / "expression.tsv", separator="\t").drop("E001")
    table.write_csv(tmp_path / "expression.tsv", separator="\t")
    datasets, report = load_unseen_genes(run, folder / "features", tmp_path / "expression.tsv")
    assert [data.epigenome for data in datasets] == ["E002"]
    assert f"E001 left out: no column in {tmp_path}/expression.tsv" in report.notes


def test_seen_genes_are_found_despite_versions_and_bare_numbers(run, folder, tmp_path) -> None:
    predictions = run.predictions()
    numbers = predictions.with_columns(pl.col("gene_id").str.slice(4).str.strip_chars_start("0").replace("", "0"))
    versions = predictions.with_columns(pl.col("gene_id") + ".7")
    for changed in (numbers, versions):
        other = Run(run.path)
        other.predictions = lambda changed=changed: changed
        notes = load_unseen_genes(other, folder / "features", folder / "expression.tsv")[1].notes
        assert notes[0].startswith("100 genes left out")


def test_data_without_unseen_genes_are_refused(run, folder) -> None:
    other = Run(run.path)
    other.predictions = lambda: run.predictions().with_columns(split=pl.lit("train"))
    with pytest.raises(BadDataError, match="the run used all 150 in training"):
        load_unseen_genes(other, folder / "features", folder / "expression.tsv")


def test_the_cross_matrix_tests_every_model_on_every_epigenome(run, folder) -> None:
    datasets, _ = load_unseen_genes(run)
    matrix = cross_evaluate(run, datasets)
    assert matrix.columns == ["model", "E001", "E002"]
    assert matrix["model"].to_list() == ["E001", "E002"]
    for i, summary in enumerate(run.summary()):
        assert matrix[summary.epigenome][i] == pytest.approx(summary.test_auroc)
    expected = score_datasets(run, datasets, model_of="E001")[1]
    assert matrix["E002"][0] == pytest.approx(roc_auc_score(expected.on, expected.scores))
    one_class = [replace(datasets[0], y=np.zeros_like(datasets[0].y))]
    assert cross_evaluate(run, one_class)["E001"].to_list() == [None, None]


def test_paths_are_needed_if_the_data_have_moved_or_are_not_features(run, tmp_path) -> None:
    moved, text = Run(run.path), Run(run.path)
    moved.config = replace(run.config, source=replace(run.config.source, features=tmp_path / "nowhere"))
    text.config = replace(run.config, source=TextSource(tmp_path))
    for other, message in ((moved, "the data of this run are missing"), (text, "this run was not trained on features")):
        with pytest.raises(UsageError, match=message) as caught:
            load_unseen_genes(other)
        assert caught.value.remedy == "run_data"


def test_features_and_expression_are_given_together_or_not_at_all(run, folder) -> None:
    """One of them alone was ignored, and the run's own data were tested."""
    for lone in ({"features": folder / "features"}, {"expression": folder / "expression.tsv"}):
        with pytest.raises(UsageError, match="features and an expression table must be given together"):
            load_unseen_genes(run, **lone)


def test_other_data_are_labelled_by_the_rule_of_the_run_or_the_given_rule(run, folder, tmp_path) -> None:
    # Around a median of 10, the two rules label many genes differently.
    table = pl.read_csv(folder / "expression.tsv", separator="\t").with_columns(pl.col("E001", "E002") * 10)
    table.write_csv(tmp_path / "expression.tsv", separator="\t")
    other = Run(run.path)
    other.config = replace(run.config, source=replace(run.config.source, label_rule="published"))

    def labels_of(run: Run, **options) -> list[int]:
        return load_unseen_genes(run, folder / "features", tmp_path / "expression.tsv", **options)[0][0].y.tolist()

    assert labels_of(other) == labels_of(run, label_rule="published")
    assert labels_of(run) == labels_of(other, label_rule="numeric")
    assert labels_of(run) != labels_of(other)


def test_features_that_do_not_fit_are_refused_with_every_difference(run, folder, tmp_path) -> None:
    write_random_features(tmp_path / "coarse", ("E001",), genes=30, bin_size=200)
    match = "200 bp per bin, expected 100; 2400 bp of flank, expected 1200"
    for call in (
        lambda: predict(run, tmp_path / "coarse"),
        lambda: load_unseen_genes(run, tmp_path / "coarse", tmp_path / "expression.tsv"),
    ):
        with pytest.raises(BadDataError, match=match):
            call()
    other = Run(run.path)
    other.config = replace(run.config, inputs=replace(run.config.inputs, marks=(*MARKS[:2], "H3K27ac")))
    with pytest.raises(BadDataError, match="no mark H3K27ac"):
        predict(other, folder / "features")


def test_random_data_of_the_tests_can_be_learned() -> None:
    data = random_dataset(genes=400)
    assert roc_auc_score(data.y, data.x[:, 8:16, 1].sum(1)) > 0.9
