"""What the report says about test genes, compared with scikit-learn, SciPy and the expression table."""

from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import pearsonr
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score
from support.epigenomes import BINS, MARKS
from support.reports import ENDING, HOSTILE, hostile_run, page_data, pooled_run, unpack
from support.runs import make_old
from support.tiny import dc

from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.report import accuracy
from deepchrome.train.run.data import RunData
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.evaluate import evaluate_run

NAMES = ("E001", "E002", "E003")


def make_report(run: Path, out: Path, *arguments: object) -> dict:
    """Make a report with few steps, and return its data."""
    ran = dc("visualize", run, "--out", out, "--steps", 5, "--starts", 1, *arguments)
    assert ran.code == 0, ran.err
    return page_data(out / "report.html")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(pooled_run(tmp_path_factory.mktemp("pooled")))


@pytest.fixture(scope="module")
def document(run: Run) -> dict:
    return make_report(run.path, run.path.parent / "report", "--gene", "GENE3")


@pytest.fixture(scope="module")
def observed(run: Run) -> dict[str, np.ndarray]:
    """Return observed log2(RPKM + 1) of the test genes, straight from the table."""
    table = pl.read_csv(run.path.parent / "expression.tsv", separator="\t")
    test = run.predictions().filter(epigenome="E001", split="test")
    joined = test.join(table, on="gene_id", how="left", maintain_order="left")
    return {name: np.log2(joined[name].to_numpy() + 1) for name in NAMES}


def test_yardsticks_are_those_of_dc_evaluate(run: Run, document: dict) -> None:
    rows, _ = evaluate_run(run)
    assert rows[0].variable_auroc is not None
    for row, shown in zip(rows, document["epigenomes"], strict=True):
        assert (shown["id"], shown["nearest"]) == (row.epigenome, row.nearest)
        for key, value in asdict(row).items():
            if key in shown and isinstance(value, float):
                assert shown[key] == pytest.approx(value, rel=1e-4), key
    expected = {"gene_mean_auroc", "nearest_auroc", "fused_auroc", "variable_auroc", "variable_gene_mean_auroc", "ece"}
    assert {key for key, value in document["epigenomes"][0].items() if isinstance(value, float)} > expected


def test_calibration_curve_equals_that_of_scikit_learn(run: Run, document: dict) -> None:
    for name in NAMES:
        test = run.predictions().filter(epigenome=name, split="test")
        on, mean = calibration_curve(test["label"], test["score"], n_bins=10)
        curve = document["calibration"][name]
        known = np.array(curve["genes"]) > 0
        np.testing.assert_allclose(np.array(curve["fraction_on"], float)[known], on, rtol=1e-4)
        np.testing.assert_allclose(np.array(curve["mean_score"], float)[known], mean, rtol=1e-4)
        assert sum(curve["genes"]) == test.height


def test_expression_is_that_of_the_table_and_of_the_predictions(
    run: Run, document: dict, observed: dict[str, np.ndarray]
) -> None:
    test = run.predictions().filter(split="test")
    for i, name in enumerate(NAMES):
        np.testing.assert_allclose(unpack(document)["expressed"][i] / 64, observed[name], atol=1 / 128 + 1e-6)
        predicted = test.filter(epigenome=name)["log2_rpkm"]
        np.testing.assert_allclose(unpack(document)["predicted"][i] / 64, predicted, atol=1 / 128 + 1e-6)
    assert document["expression"]["id"] == test.filter(epigenome="E003")["gene_id"].to_list()
    assert {HOSTILE, ENDING} <= set(document["expression"]["symbol"])


def test_contrasts_equal_scipy(run: Run, document: dict, observed: dict[str, np.ndarray]) -> None:
    test = run.predictions().filter(split="test")
    predicted = {name: test.filter(epigenome=name)["log2_rpkm"].to_numpy() for name in NAMES}
    rows = document["expression"]["contrasts"]
    assert [tuple(row[:2]) for row in rows] == list(combinations(range(3), 2))
    for i, j, r, changed, direction in rows:
        change, guess = (values[NAMES[i]] - values[NAMES[j]] for values in (observed, predicted))
        assert r == pytest.approx(pearsonr(change, guess).statistic, rel=1e-4)
        moved = np.abs(change) > 1
        assert changed == moved.sum() > 0
        assert direction == pytest.approx(np.mean((change > 0)[moved] == (guess > 0)[moved]), rel=1e-4)


def test_pooled_model_has_one_map_and_marks_held_out_epigenomes(run: Run, document: dict) -> None:
    table = pl.read_parquet(run.path.parent / "report" / "patterns.parquet")
    assert table["epigenome"].unique().to_list() == ["pooled"]
    assert table.height == 2 * len(MARKS) * BINS
    assert table["value"].is_finite().all()
    assert [row["map"] for row in document["epigenomes"]] == [0, 0, 0]
    assert [row["held_out"] for row in document["epigenomes"]] == [0, 0, 1]
    assert [row["missing_marks"] for row in document["epigenomes"]] == [[], [], [MARKS[0]]]
    assert document["curves"].keys() == {"pooled"}
    assert document["transfer"]["models"] == ["pooled"]
    assert document["transfer"]["auroc"][0] == [row["auroc"] for row in document["epigenomes"]]
    # GENE3 is a training gene, so the model of the held-out epigenome did not score it.
    assert document["genes"]["symbol"][0] == "GENE3"
    scores = [scores[0] for scores in document["genes"]["score"]]
    stored = run.predictions().filter(gene_id=document["genes"]["id"][0])["score"].to_list()
    assert scores == [pytest.approx(stored[0], rel=1e-4), pytest.approx(stored[1], rel=1e-4), None]
    drawn = {path.name for path in (run.path.parent / "report" / "figures").glob("*.png")}
    assert {"patterns_pooled.png", "regression_E003.png", "contrast_E001_E003.png", "yardsticks.png"} <= drawn
    assert document["absent"] == {}


def test_missing_mark_has_no_reads_and_no_attributions(document: dict) -> None:
    for name in ("observed", "tracks", "gradients", "gene_gradients", "optimized"):
        values = unpack(document)[name][2]
        assert not values[..., 0, :].any(), name
        assert values[..., 1, :].any(), name


def test_transfer_matrix_equals_scikit_learn(tmp_path: Path) -> None:
    run = Run(hostile_run(tmp_path))
    document = make_report(run.path, tmp_path / "out")
    for c, name in enumerate(run.epigenomes):
        data = RunData(run).load(name)
        test = data.split == 2
        for r, model in enumerate(run.models):
            area = roc_auc_score(data.y[test], run.model(model).score(data.x[test]).score)
            assert document["transfer"]["auroc"][r][c] == pytest.approx(area, rel=1e-4)
    assert document["transfer"]["genes"] == 30


def test_sections_that_do_not_apply_give_a_reason(tmp_path: Path) -> None:
    run = hostile_run(tmp_path / "networks", epochs=1)
    absent = make_report(run, tmp_path / "all")["absent"]
    assert absent.keys() == {"regression", "contrast"}
    assert "predict no expression (task classify)" in absent["regression"]
    absent = make_report(run, tmp_path / "maps", "--maps-only")["absent"]
    assert absent.keys() == {"yardsticks", "profiles", "genes", "transfer", "regression", "contrast"}
    assert "need the data of the run" in absent["transfer"]
    run = hostile_run(tmp_path / "baselines", model="svm")
    assert "need a network, and this run has svm models" in make_report(run, tmp_path / "svm")["absent"]["pattern"]


def test_report_of_a_run_of_an_earlier_version(tmp_path: Path) -> None:
    run = hostile_run(tmp_path, epochs=1, inputs=InputOptions(orient="strand", transform="log1p"))
    make_old(run)
    document = make_report(run, tmp_path / "out")
    assert document["absent"].keys() == {"regression", "contrast"}
    assert all(row["gene_mean_auroc"] is not None for row in document["epigenomes"])


def test_contrasts_of_many_epigenomes_are_limited(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(accuracy, "MAX_CONTRASTED", 2)
    assert [row[:2] for row in make_report(run.path, tmp_path)["expression"]["contrasts"]] == [[0, 1]]
