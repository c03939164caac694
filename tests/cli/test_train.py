"""The commands of the trainer, as users call them."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score
from support.epigenomes import MARKS, write_random_features

from deepchrome.cli import main
from deepchrome.cli.train import DEFAULTS
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.run.config import read_config
from deepchrome.train.run.directory import Run
from deepchrome.train.run.protocols import BEST, PROTOCOLS, PUBLISHED, Protocol, pool

NAMES = ("E001", "E002")
SMALL = ("--epochs", "2", "--batch-size", "16", "--device", "cpu")


@pytest.fixture
def dc(monkeypatch, capsys):
    """Run a command line in this process; return its exit code, stdout and stderr."""

    def call(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dc", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_random_features(folder / "features")
    return folder


def from_features(data: Path) -> tuple[str, ...]:
    return (str(data / "features"), "--expression", str(data / "expression.tsv"))


@pytest.fixture(scope="module")
def run(data) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "deepchrome", "train", *from_features(data), "--out", data / "run", *SMALL],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("epigenome\tbest_epoch\tvalid_auroc\ttest_auroc\ttest_auprc\tn_train")
    assert "mean test AUROC" in done.stderr
    return data / "run"


def test_json_on_stdout_is_the_summary(dc, data, tmp_path) -> None:
    code, out, _ = dc("train", *from_features(data), "--out", tmp_path / "run", *SMALL, "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["epigenome"] for row in rows] == ["E001", "E002"]
    test = Run(tmp_path / "run").predictions().filter((pl.col("split") == "test") & (pl.col("epigenome") == "E002"))
    assert rows[1]["test_auroc"] == pytest.approx(roc_auc_score(test["label"], test["score"]))
    assert rows[1]["published_auroc"] is None


def test_the_protocol_sets_the_defaults(dc, data, run, tmp_path) -> None:
    config = read_config(run)
    assert config.fit == replace(BEST.fit, epochs=2, min_steps=0, batch_size=16)
    assert config.inputs.options() == replace(BEST.inputs, marks=MARKS)
    assert config.source == FeatureSource(data / "features", data / "expression.tsv", "numeric", "chromosome", 1, None)

    published = ("--protocol", "published", "--epochs", "1", "--epigenomes", "E002", "--device", "cpu")
    code, _, err = dc("train", *from_features(data), "--out", tmp_path / "run", *published)
    assert code == 0, err
    config = read_config(tmp_path / "run")
    assert config.fit.epochs == 1
    assert (config.fit.optimizer, config.fit.lr, config.fit.momentum) == ("sgd", 1e-3, 0.0)
    assert (config.fit.batch_size, config.fit.lr_decay, config.fit.weight_decay) == (1, 1e-7, 0.0)
    assert (config.fit.schedule, config.fit.task, config.fit.augment_depth) == ("constant", "classify", False)
    assert (config.inputs.orient, config.inputs.transform, config.inputs.depth) == ("genomic", "counts", "raw")
    assert config.source == FeatureSource(data / "features", data / "expression.tsv", "published", "published", 1, None)
    assert list(config.data) == ["E002"]
    assert "dc train: warning: the published split flatters test scores: the windows of 0 of 30 test genes" in err


def test_the_published_protocol_runs_for_99_epochs() -> None:
    assert PROTOCOLS == {"best": BEST, "published": PUBLISHED}
    assert PUBLISHED.fit.epochs == 99


# What the help adds to some defaults.
EXTRA = {"epochs": f", {pool(BEST.fit).epochs} with --pooled, more for few genes"}
# Defaults that follow from other options.
OTHERS = {
    "augment_depth": "on, unless --depth is raw",
    "mark_dropout": f"{pool(BEST.fit).mark_dropout:g}",
    "task": "both; classify for baselines, with --csv and with --protocol published; as the outputs of module:Class",
}


def test_the_help_shows_the_defaults_of_the_protocols() -> None:
    def value(protocol: Protocol, model: str, name: str) -> str:
        found = {**vars(protocol), **vars(protocol.inputs), **vars(protocol.fit_of(model))}[name]
        return f"{found:g}" if isinstance(found, float) else str(found)

    def text(name: str) -> str:
        best, published = (value(protocol, "deepchrome", name) for protocol in (BEST, PUBLISHED))
        models: dict[str, list[str]] = {}
        for model in ("attentivechrome", "module:Class"):
            if (own := value(BEST, model, name)) != best:
                models.setdefault(own, []).append(model)
        shown = best + "".join(f", {own} for {' and '.join(of)}" for own, of in models.items()) + EXTRA.get(name, "")
        return shown if best == published and not models else f"{shown}; {published} with --protocol published"

    assert {**{name: text(name) for name in DEFAULTS if name not in OTHERS}, **OTHERS} == DEFAULTS
    assert (PUBLISHED.fit.task, PUBLISHED.inputs.depth, PUBLISHED.fit.augment_depth) == ("classify", "raw", False)
    assert (BEST.fit.task, BEST.fit.augment_depth) == ("both", True)


@pytest.mark.parametrize("command", ["demo", "labels", "train", "evaluate", "predict", "visualize"])
def test_the_summary_of_a_command_fits_in_80_columns(dc, command, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = dc("--help")
    (line,) = (line for line in out.splitlines() if line.startswith(f"  {command} "))
    assert not line.endswith("...")


@pytest.mark.campaign("kills")
def test_a_run_that_is_killed_and_resumed_equals_an_unbroken_run(data, tmp_path) -> None:
    options = ("--epochs", "10", "--batch-size", "8", "--device", "cpu", "--seed", "5")

    def command(out: Path) -> list[str]:
        return [sys.executable, "-m", "deepchrome", "train", *from_features(data), "--out", str(out), *options]

    subprocess.run(command(tmp_path / "unbroken"), check=True, capture_output=True)
    started = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "killed").glob("checkpoints/[!.]*")):
        assert started.poll() is None
        time.sleep(0.005)
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "summary.tsv").exists()
    subprocess.run([*command(tmp_path / "killed"), "--resume"], check=True, capture_output=True)
    for file in ("models/E001.safetensors", "models/E002.safetensors", "summary.tsv"):
        assert (tmp_path / "unbroken" / file).read_bytes() == (tmp_path / "killed" / file).read_bytes()


def csv_folder(folder: Path, one_class: str = "") -> Path:
    """Write a data set in DeepChrome's text format: 24 genes per file, 20 bins, 5 marks."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    for part in ("train", "valid", "test"):
        rows = []
        for gene in range(24):
            on = 0 if part == one_class else gene % 2
            counts = rng.poisson(1 + on, (20, 5))
            rows += [
                f"{part}{gene},{bin_id},{','.join(map(str, row))},{on}" for bin_id, row in enumerate(counts, start=1)
            ]
        (folder / f"{part}.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_training_on_deepchromes_text_format_prints_the_summary(dc, tmp_path) -> None:
    folder = csv_folder(tmp_path / "C1")
    code, out, err = dc("train", "--csv", folder, "--out", tmp_path / "run", *SMALL)
    assert code == 0, err
    header, row = (line.split("\t") for line in out.splitlines())
    table = dict(zip(header, row, strict=True))
    assert (table["epigenome"], table["n_train"], table["n_valid"], table["n_test"]) == ("C1", "24", "24", "24")
    assert 0 <= float(table["test_auroc"]) <= 1
    code, out, _ = dc("evaluate", tmp_path / "run", "--bootstrap", "20")
    assert code == 0
    assert out.splitlines()[1].startswith(f"C1\tC1\t24\t12\t{table['test_auroc']}")


@pytest.mark.campaign("numbers")
@pytest.mark.parametrize(("part", "code"), [("train", 65), ("valid", 65), ("test", 0)])
def test_one_class_is_refused_in_training_and_has_no_test_auroc(dc, tmp_path, part, code) -> None:
    folder = csv_folder(tmp_path / "C1", one_class=part)
    ended, out, err = dc("train", "--csv", folder, "--out", tmp_path / "run", *SMALL)
    assert ended == code
    if code:
        assert f"C1: the labels do not include both classes in {part} (24 genes)" in err
    else:
        assert "no test AUROC: the 24 test genes do not include both classes" in out
        ended, out, err = dc("evaluate", tmp_path / "run")
        assert ended == 0
        assert "C1: no AUROC (0 of 24 genes are on)" in err


@pytest.fixture
def tables(data, tmp_path) -> tuple[Path, Path]:
    """An expression table of the genes with features, and one with many silent genes besides."""
    table = pl.read_csv(data / "expression.tsv", separator="\t")
    table = table.with_columns(
        pl.when(pl.col(name) < 0.5).then(0).otherwise(pl.col(name)).alias(name) for name in NAMES
    )
    silent = {"gene_id": [f"ENSG9{i:010d}" for i in range(500)], **dict.fromkeys(NAMES, [0.0] * 500)}
    paths = tmp_path / "clean.tsv", tmp_path / "annotation.tsv"
    for path, rows in zip(paths, (table, pl.concat([table, pl.DataFrame(silent)])), strict=True):
        rows.write_csv(path, separator="\t")
    return paths


def labels_of(run: Path) -> dict[tuple[str, str], int]:
    """Return the label of every epigenome and gene of a run."""
    table = Run(run).predictions()
    return {(name, gene): on for name, gene, on in table.select("epigenome", "gene_id", "label").iter_rows()}


@pytest.mark.campaign("numbers")
def test_a_table_full_of_silent_genes_is_reported_and_has_two_ways_out(dc, data, tables, tmp_path) -> None:
    features, (clean, annotation) = data / "features", tables
    table = pl.read_csv(clean, separator="\t")
    medians = {name: float(table[name].median()) for name in NAMES}

    def train(name: str, expression: Path, *options: object) -> str:
        call = ("train", features, "--expression", expression, "--out", tmp_path / name, "--model", "logistic")
        code, _, err = dc(*call, *options)
        assert code == 0, err
        return err

    err = train("silent", annotation)
    advice = ". Choose the threshold with --label-threshold or --label-genes.\n"
    zero = "the median RPKM is 0 in E001, E002, so every gene with an RPKM above 0 is on"
    assert f"dc train: warning: {zero}. This threshold is too low if the table has many silent genes{advice}" in err
    shown = ", ".join(f"{name}: 0, not {median:.3g}" for name, median in medians.items())
    whole = "the median RPKM of the whole expression table"
    apart = f"the labels use {whole}, which is far from that of the genes with features"
    assert f"dc train: warning: {apart} ({shown}){advice}" in err

    assert "median" not in train("clean", clean)
    assert "median" not in train("features", annotation, "--label-genes", "features")
    assert labels_of(tmp_path / "features") == labels_of(tmp_path / "clean") != labels_of(tmp_path / "silent")

    assert "median" not in train("threshold", annotation, "--label-threshold", "1")
    expected = {
        (name, gene): int(rpkm > 1)
        for name in medians
        for gene, rpkm in zip(table["gene_id"], table[name], strict=True)
    }
    assert labels_of(tmp_path / "threshold") == expected

    # evaluate labels other data as the run does, unless it is told otherwise.
    for name in ("features", "threshold"):
        call = ("evaluate", tmp_path / name, features, "--expression", annotation, "--bootstrap", "0", "--json")
        code, out, err = dc(*call)
        assert code == 0, err
        test = Run(tmp_path / name).predictions().filter(pl.col("split") == "test")
        on = dict(test.group_by("epigenome").agg(pl.col("label").sum()).iter_rows())
        assert {row["epigenome"]: row["n_on"] for row in json.loads(out)} == on
        code, out, err = dc(*call, "--label-threshold", "0")
        assert {row["epigenome"]: row["n_on"] for row in json.loads(out)} != on
        code, out, err = dc(*call, "--label-genes", "table")
        assert f"dc evaluate: warning: {zero}" in err
        code, out, err = dc(*call, "--label-genes", "features", "--label-threshold", "1")
        assert (code, out) == (2, "")
        assert "the labels have two thresholds: RPKM 1, and the median of the genes with features. Leave out" in err


@pytest.mark.campaign("numbers", "messages")
def test_labels_reports_a_median_of_zero(dc, tables, tmp_path) -> None:
    clean, annotation = tables
    code, out, err = dc("labels", "--expression", annotation, "--json")
    assert code == 0
    assert [row["median_rpkm"] for row in json.loads(out)] == [0, 0]
    assert set(json.loads(out)[0]) == {
        *("epigenome", "genes", "median_rpkm", "positive_fraction", "flipped_label_fraction", "published_auroc")
    }
    assert err.startswith("dc labels: warning: the median RPKM is 0 in E001, E002, so every gene with an RPKM above 0")
    assert err.endswith("silent genes. Choose the threshold with --label-threshold.\n")
    call = ("labels", "--expression", annotation, "--label-threshold", "1", "--out", tmp_path / "labels.tsv", "--json")
    code, out, err = dc(*call)
    assert (code, err) == (0, "")
    labels = pl.read_csv(tmp_path / "labels.tsv", separator="\t")
    table = pl.read_csv(annotation, separator="\t")
    for row in json.loads(out):
        assert labels[row["epigenome"]].to_list() == (table[row["epigenome"]] > 1).cast(int).to_list()
        assert row["positive_fraction"] == pytest.approx((table[row["epigenome"]] > 1).mean())
    assert dc("labels", "--expression", clean)[2] == ""


def test_training_that_diverges_is_an_error_with_a_table(dc, data, tmp_path) -> None:
    options = ("--epochs", "2", "--device", "cpu", "--lr", "1e30")
    code, out, err = dc("train", *from_features(data), "--out", tmp_path / "run", *options)
    assert code == 65
    assert "E001, E002: no model, because training diverged in the first epoch" in err
    assert "diverged in epoch 1. Try a smaller learning rate" in out
    assert "E002: diverged in epoch 1. Try a smaller learning rate" in err
    code, out, err = dc("evaluate", tmp_path / "run")
    assert (code, out) == (65, "")
    assert "no model in this run" in err


@pytest.mark.campaign("messages")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "run"), "give either FEATURES and --expression, or --csv"),
        (("f", "--csv", "c", "--out", "run"), "give either FEATURES and --expression, or --csv"),
        (("f", "--out", "run"), "--expression is needed"),
        (("--csv", "c", "--out", "run", "--split", "random"), "--split cannot be combined with --csv"),
        (("--csv", "c", "--out", "run", "--n-train", "9"), "--n-train cannot be combined with --csv"),
        (("--csv", "c", "--out", "run", "--label-threshold", "9"), "--label-threshold cannot be combined with --csv"),
        (("--csv", "c", "--out", "run", "--label-genes", "features"), "--label-genes cannot be combined with --csv"),
        (("--csv", "c", "--out", "run", "--epigenomes", "E003"), "--epigenomes cannot be combined with --csv"),
        (
            ("--csv", "c", "--out", "run", "--threads", "0"),
            "'-t' / '--threads': Input should be greater than or equal to 1",
        ),
        (("--csv", "c", "--out", "run", "--epochs", "0"), "'--epochs': Input should be greater than or equal to 1"),
        (("--csv", "c", "--out", "run", "--seed", "-1"), "'--seed': Input should be greater than or equal to 0"),
        (("--csv", "c", "--out", "run", "--device", "tpu"), "tpu"),
    ],
)
def test_invalid_calls_of_train_are_usage_errors(dc, arguments, message) -> None:
    code, out, err = dc("train", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_missing_input_and_an_existing_run_have_their_exit_codes(dc, data, run, tmp_path) -> None:
    code, _, err = dc("train", tmp_path / "none", "--expression", data / "expression.tsv", "--out", tmp_path / "run")
    assert code == 66
    assert "none: no such file or directory" in err
    code, _, err = dc("train", *from_features(data), "--out", run)
    assert code == 2
    assert "already contains a run. Use --resume to continue it, or --force to replace it." in err
    code, _, err = dc("train", *from_features(data), "--out", run, *SMALL, "--resume", "--lr", "0.5")
    assert code == 2
    assert "(fit.lr was 0.05, is now 0.5). Use --force without --resume to start again." in err
    code, out, err = dc("train", *from_features(data), "--out", run, *SMALL, "--resume", "--force")
    assert (code, out) == (2, "")
    assert "force and resume contradict each other: replace the run, or continue it" in err


def test_evaluate_prints_areas_and_writes_curves(dc, run, tmp_path) -> None:
    code, out, _ = dc("evaluate", run, "--bootstrap", "50", "--roc", tmp_path / "roc.tsv", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["epigenome"] for row in rows] == ["E001", "E002"]
    assert all(row["auroc_low"] <= row["auroc"] <= row["auroc_high"] for row in rows)
    assert set(pl.read_csv(tmp_path / "roc.tsv", separator="\t")["epigenome"]) == {"E001", "E002"}
    code, _, err = dc("evaluate", run, "--roc", tmp_path / "roc.tsv")
    assert code == 2
    assert "roc.tsv: file exists. Use --force to replace it." in err


def test_on_a_terminal_only_columns_that_fit_are_shown(dc, run, monkeypatch) -> None:
    monkeypatch.setattr("deepchrome.cli.tables.sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = dc("evaluate", run, "--bootstrap", "20")
    assert code == 0
    assert "pearson" in out
    assert "auprc" not in out
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines())) <= 80
    assert "…" not in out


def test_evaluate_tests_every_model_on_every_epigenome(dc, data, run) -> None:
    code, out, err = dc("evaluate", run, "--cross", "--json")
    assert code == 0, err
    matrix = json.loads(out)
    assert [row["model"] for row in matrix] == ["E001", "E002"]
    own = {row.epigenome: row.test_auroc for row in Run(run).summary()}
    for row in matrix:
        assert row[row["model"]] == pytest.approx(own[row["model"]])
    code, again, err = dc("evaluate", run, *from_features(data), "--cross", "--json")
    assert (code, again) == (0, out)
    assert "60 genes left out because the run was trained or validated on them; 30 genes tested" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("f",), "FEATURES and --expression must be given together"),
        (("--bootstrap", "-1"), "'--bootstrap': Input should be greater than or equal to 0"),
        (("--cross", "--roc", "x.tsv"), "--cross prints a matrix"),
        (("--model-of", "E001"), "--model-of and options for labels need FEATURES"),
        (("--label-threshold", "1"), "--model-of and options for labels need FEATURES"),
        (("--roc", "x.doc"), "unknown table format. Use the suffix .parquet, .tsv or .csv"),
    ],
)
def test_invalid_calls_of_evaluate_are_usage_errors(dc, run, arguments, message) -> None:
    code, out, err = dc("evaluate", run, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_predict_writes_a_score_for_every_gene(dc, data, run, tmp_path) -> None:
    for name in ("scores.tsv", "scores.parquet"):
        code, out, err = dc("predict", run, data / "features", "--out", tmp_path / name)
        assert (code, out) == (0, "")
        assert "180 scores in" in err
    text = pl.read_csv(tmp_path / "scores.tsv", separator="\t")
    columns = ["gene_id", "symbol", "epigenome", "split", "score", "percentile", "call", "log2_rpkm"]
    assert text.columns == columns
    table = pl.read_parquet(tmp_path / "scores.parquet")
    assert text["gene_id"].equals(table["gene_id"])
    np.testing.assert_allclose(text["score"], table["score"])
    stored = Run(run).predictions()
    joined = table.join(stored, on=["gene_id", "epigenome"], how="inner")
    assert joined.height == 180
    np.testing.assert_allclose(joined["score"], joined["score_right"], atol=1e-6)


@pytest.mark.campaign("messages")
def test_predict_refuses_features_that_do_not_match_and_writes_nothing(dc, data, run, tmp_path) -> None:
    write_random_features(tmp_path / "coarse", ("E001",), genes=30, bin_size=200)
    code, _, err = dc("predict", run, tmp_path / "coarse", "--out", tmp_path / "scores.tsv")
    assert code == 65
    assert "200 bp per bin, expected 100" in err
    code, _, err = dc(
        "predict", run, data / "features", "--out", tmp_path / "s.tsv", "--attention", tmp_path / "a.parquet"
    )
    assert code == 2
    assert "deepchrome models have no attention weights" in err
    assert not (tmp_path / "scores.tsv").exists()
    assert not (tmp_path / "s.tsv").exists()


def test_predict_writes_attention_weights(dc, data, tmp_path) -> None:
    call = ("--model", "attentivechrome", "--epigenomes", "E001", "--epochs", "1", "--device", "cpu")
    assert dc("train", *from_features(data), "--out", tmp_path / "run", *call)[0] == 0
    features = data / "features" / "E001.parquet"
    code, _, err = dc(
        "predict", tmp_path / "run", features, "--out", tmp_path / "s.tsv", "--attention", tmp_path / "a.parquet"
    )
    assert code == 0, err
    assert pl.read_parquet(tmp_path / "a.parquet").height == 90


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["E003", "toy"])
def test_training_on_published_files_gives_an_auroc(dc, shared_data, tmp_path, name) -> None:
    (tmp_path / name).mkdir()
    for part in ("train", "valid", "test"):
        for file in (shared_data / "csv").glob(f"{name}.{part}.csv*"):
            shutil.copy(file, tmp_path / name / file.name.removeprefix(f"{name}."))
    code, out, err = dc(
        "train", "--csv", tmp_path / name, "--out", tmp_path / "run", "--epochs", "4", "--device", "cpu"
    )
    assert code == 0, err
    header, row = (line.split("\t") for line in out.splitlines())
    area = float(dict(zip(header, row, strict=True))["test_auroc"])
    assert 0 <= area <= 1
    if name == "E003":
        # On these 600 genes, H3K4me3 near the TSS alone gives an AUROC of 0.85.
        assert area > 0.8
    else:
        assert "every count of H3K4me3 is even" in err
