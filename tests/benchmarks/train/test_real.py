"""The measurement on whole real epigenomes, on small random ones, and on the real ones with few epochs."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr
from support.epigenomes import write_random_features
from typer.testing import CliRunner

from deepchrome.benchmarks.train import real
from deepchrome.benchmarks.train.matrices import convert
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.models.trained import GeneScores


def test_table_compares_means_with_what_is_expected() -> None:
    figures = {
        "E012, AUROC": [0.9570, 0.9576],
        "E012, calibration error at 30 %": [0.03, 0.02],
        "2016 labels, AUROC": [0.84],
        "E012, Brier score": [0.1],
    }
    assert real.table_rows(figures) == [
        "figure\tmean\tlowest\thighest\texpected\tresult",
        "E012, AUROC\t0.9573\t0.9570\t0.9576\t>= 0.9575\tmissed",
        "E012, calibration error at 30 %\t0.0250\t0.0200\t0.0300\t<= 0.04\tmet",
        "2016 labels, AUROC\t0.8400\t0.8400\t0.8400\t0.79 to 0.83\tmissed",
        "E012, Brier score\t0.1000\t0.1000\t0.1000\t\t",
    ]


class _Predictor:
    """Takes the place of a model: its predictions are the mean inputs of the genes."""

    def score(self, x: np.ndarray) -> GeneScores:
        values = x.mean((1, 2)).astype(float)
        return GeneScores(values, values, values)


def test_contrast_counts_the_genes_that_changed_more_than_twofold() -> None:
    # log2(RPKM + 1) changes by 2, -2, 2, 0.5 and, in a gene that is not tested, 3.
    rpkm, zero = np.array([3.0, 0.0, 3.0, 2**0.5 - 1, 7.0]), np.zeros(5)
    other_rpkm = np.array([0.0, 3.0, 0.0, 0.0, 0.0])
    predicted = np.array([1.0, -1.0, -0.5, 0.2, -9.0], np.float32)
    split = np.array([2, 2, 2, 2, 0], np.int8)

    def data(values: np.ndarray, expressed: np.ndarray) -> Dataset:
        x = values.astype(np.float32)[:, None, None]
        return Dataset("E", ("m",), tuple("abcde"), x, np.zeros(5, np.uint8), split, rpkm=expressed)

    figures = real._contrast_figures(_Predictor(), data(predicted, rpkm), data(zero, other_rpkm))
    assert figures["pooled, E012 - E013, direction"] == pytest.approx(2 / 3)
    expected = pearsonr([2, -2, 2, 0.5], predicted[:4]).statistic
    assert figures["pooled, E012 - E013, Pearson"] == pytest.approx(expected)


def test_run_prints_every_expected_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features, expression = write_random_features(tmp_path / "features", ("E012", "E013", "E028"), genes=240)
    monkeypatch.setattr(real, "N_TRAIN", 80)
    # The table has too few epigenomes for variable genes.
    monkeypatch.setattr("deepchrome.train.scoring.yardsticks.MIN_OTHERS", 2)
    arguments = ["run", "--features", features, "--expression", expression, "--seeds", "1", "--epochs", "2", "--json"]
    ran = CliRunner().invoke(real.app, list(map(str, arguments)), catch_exceptions=False)
    assert ran.exit_code == 1, ran.output  # random data miss most of what is expected
    document = json.loads(ran.stdout)
    assert real.EXPECTED.keys() <= document["figures"].keys()
    assert "E012, AUROC" in document["missed"]
    assert all(np.isfinite(value) for values in document["figures"].values() for value in values)


@pytest.mark.realdata
def test_two_epochs_come_close_to_what_is_expected(shared_data: Path, tmp_path: Path) -> None:
    roadmap = shared_data / "roadmap"
    expression = roadmap / "rpkm_56_epigenomes.tsv.gz"
    for npz in sorted(shared_data.glob("e0*/*.covered_bases.npz")):
        convert(npz, roadmap / "genes.tsv", expression, tmp_path / "features")
    arguments = ["run", "--features", tmp_path / "features", "--expression", expression, "--epochs", "2"]
    ran = CliRunner().invoke(real.app, [*map(str, arguments), "--seeds", "1", "--json"], catch_exceptions=False)
    means = json.loads(ran.stdout)["means"]
    # With all epochs, these are 0.958, 0.948 and 0.932.
    assert means["E012, AUROC"] > 0.945
    assert means["E012 on E013, AUROC"] > 0.935
    assert means["pooled on E028, AUROC"] > 0.90
    assert 0.93 < means["E012, AUROC of the gene mean"] < 0.96
