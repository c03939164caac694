"""The report of RUN, read back from what MultiQC itself makes of it."""

import csv
import json
from pathlib import Path

import polars as pl
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from support.multiqc import multiqc, needs_multiqc
from support.quality import random_records, write_records, write_small_genome
from support.runs import CONFIG, random_datasets, train
from support.tiny import dc

from deepchrome.errors import UsageError
from deepchrome.train.run.layout import EPOCHS_REPORT, SCORES_REPORT
from deepchrome.train.run.multiqc import run_sections
from deepchrome.train.run.summary import Summary


@needs_multiqc
def test_multiqc_shows_the_scores_of_a_run(finished_run, tmp_path) -> None:
    """Against scikit-learn on the predictions, and the table of the epochs."""
    saved = multiqc(tmp_path / "report", finished_run)["report_saved_raw_data"]
    scores, epochs = saved["multiqc_deepchrome_models_scores_plot"], saved["multiqc_deepchrome_models_epochs_plot"]
    predictions = pl.read_parquet(finished_run / "predictions.parquet")
    metrics = pl.read_parquet(finished_run / "metrics.parquet")
    with open(finished_run / "summary.tsv", newline="") as file:
        summary = {row["epigenome"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert list(scores) == list(epochs) == ["E003", "E004"]
    for name, row in scores.items():
        test = predictions.filter(epigenome=name, split="test")
        assert row["test_auroc"] == pytest.approx(roc_auc_score(test["label"], test["score"]))
        assert row["test_auprc"] == pytest.approx(average_precision_score(test["label"], test["score"]))
        assert (row["n_train"], row["n_valid"], row["n_test"], row["held_out"]) == (30, 30, 30, 0)
        assert row["best_epoch"] == int(summary[name]["best_epoch"])
        assert row["valid_auroc"] == pytest.approx(float(summary[name]["valid_auroc"]))
        own = metrics.filter(epigenome=name).sort("epoch")
        assert [int(float(epoch)) for epoch in epochs[name]] == own["epoch"].to_list()
        assert list(epochs[name].values()) == pytest.approx(own["valid_auroc"].to_list(), abs=1e-6)
    assert "pearson" not in scores["E003"]
    assert scores["E003"]["published_auroc"] == 0.77


@needs_multiqc
def test_features_and_run_in_one_report(finished_run, tmp_path) -> None:
    """Both directories have a file deepchrome_mqc.json. Their sections stand side by side."""
    write_small_genome(tmp_path)
    write_records(tmp_path / "E003-A.bam", random_records(300, 1, flags=False))
    options = ("--genes", tmp_path / "genes.tsv", "--genome", tmp_path / "small.sizes", "--out", tmp_path / "features")
    assert dc("featurize", tmp_path / "E003-A.bam", *options).code == 0
    report = multiqc(tmp_path / "report", tmp_path / "features", finished_run)
    saved = report["report_saved_raw_data"]
    assert saved["multiqc_deepchrome_reads_table_plot"]["E003-A"]["reads"] == 300
    assert list(saved["multiqc_deepchrome_models_scores_plot"]) == ["E003", "E004"]
    assert report["report_general_stats_data"]["custom_content"]["E003-A"]["reads"] == 300
    html = (tmp_path / "report" / "multiqc_report.html").read_text(encoding="utf-8")
    assert "deepchrome: reads" in html
    assert "deepchrome: models" in html


def test_values_that_are_not_known_are_left_out() -> None:
    """A model that diverged has no scores, and its note is no markup."""
    row = Summary("E003", None, None, None, None, 1, 2, 3, None, note="<b>diverged</b>")
    scores, epochs = (section.document() for section in run_sections([row], {"E003": []}))
    assert scores["data"] == {
        "E003": {"n_train": 1, "n_valid": 2, "n_test": 3, "held_out": 0, "note": "&lt;b&gt;diverged&lt;/b&gt;"}
    }
    assert epochs["data"] == {}


def test_continued_run_has_all_epigenomes(tmp_path: Path) -> None:
    """Epigenomes that are added to a run are in the report beside the others."""
    first, second = random_datasets()
    train(tmp_path, CONFIG, [first])
    before = json.loads((tmp_path / SCORES_REPORT).read_text())["data"]
    train(tmp_path, CONFIG, [first, second], resume=True)
    after = json.loads((tmp_path / SCORES_REPORT).read_text())["data"]
    assert list(after) == ["E003", "E004"]
    assert {name: row for name, row in after.items() if name in before} == before
    assert list(json.loads((tmp_path / EPOCHS_REPORT).read_text())["data"]) == ["E003", "E004"]


@pytest.mark.parametrize("name", [SCORES_REPORT, EPOCHS_REPORT])
def test_report_of_another_program_is_refused(name: str, run_copy: Path) -> None:
    """The run was killed before its end. Since then, another program has written a file of this name."""
    (run_copy / "summary.tsv").unlink()
    (run_copy / name).write_text('{"id": "mine"}')
    with pytest.raises(UsageError, match=f"{name}: not written by deepchrome"):
        train(run_copy, resume=True)
    assert (run_copy / name).read_text() == '{"id": "mine"}'
    train(run_copy, force=True)
    assert json.loads((run_copy / name).read_text())["made_by"] == "deepchrome"
