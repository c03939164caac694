"""The command dc evaluate."""

import json
import re
import sys

import pytest
from support.atlases import Data, train_on, write_atlas
from support.tiny import dc

from deepchrome.cli import main
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.contrast import evaluate_contrast
from deepchrome.train.scoring.evaluate import evaluate_run

# The contract: other programs read these names.
COLUMNS = [
    "epigenome",
    "model",
    "n_test",
    "n_on",
    "auroc",
    "auroc_low",
    "auroc_high",
    "auprc",
    "auprc_low",
    "auprc_high",
    "brier",
    "ece",
    "gene_mean_auroc",
    "nearest",
    "nearest_auroc",
    "fused_auroc",
    "variable_genes",
    "variable_auroc",
    "variable_gene_mean_auroc",
    "variable_nearest_auroc",
    "pearson",
    "spearman",
    "r2",
    "held_out",
]
COLUMNS_OF_TERMINAL = [
    "epigenome",
    "n_test",
    "auroc",
    "gene_mean_auroc",
    "variable_auroc",
    "fused_auroc",
    "ece",
    "pearson",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    return write_atlas(tmp_path_factory.mktemp("atlas"))


@pytest.fixture(scope="module")
def run(data) -> Run:
    return train_on(data, data.features.parent / "run", held_out=("E003",), task="both", pooled=True)


def test_other_programs_get_all_columns(run) -> None:
    result = dc("evaluate", run.path, "--bootstrap", "30", "--json")
    assert result.code == 0, result.err
    rows = json.loads(result.out)
    expected, _ = evaluate_run(run, resamples=30)
    assert [list(row) for row in rows] == [COLUMNS] * 3
    assert rows == [vars(row) for row in expected]
    text = dc("evaluate", run.path, "--bootstrap", "30").out.splitlines()
    assert text[0].split("\t") == COLUMNS
    assert [line.split("\t")[0] for line in text[1:]] == ["E001", "E002", "E003"]


def test_a_narrow_terminal_shows_the_columns_that_fit(run, monkeypatch, capsys) -> None:
    monkeypatch.setattr("deepchrome.cli.tables.sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["dc", "evaluate", str(run.path), "--bootstrap", "0"])
    with pytest.raises(SystemExit):
        main()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    cells = [re.split(r" *[┃│] *", line) for line in lines]
    heading = ["_".join(filter(None, words)) for words in zip(*(line[1:-1] for line in cells[1:4]), strict=True)]
    assert heading == COLUMNS_OF_TERMINAL
    row = evaluate_run(run, resamples=0)[0][0]
    assert cells[5][1:-1][:4] == ["E001", "80", f"{row.auroc:.4f}", f"{row.gene_mean_auroc:.4f}"]


def test_a_sentence_puts_the_auroc_in_perspective(run, data, tmp_path) -> None:
    """A model that has learned nothing is worse than the gene mean."""
    poor = train_on(data, tmp_path / "run", epigenomes=("E001",), epochs=1, lr=1e-9)
    sentence = "the mean expression of a gene in the other epigenomes predicts its state at least as well as the marks"
    for arguments in ((), (data.features / "E001.parquet", "--expression", data.expression), ("--json",)):
        assert f"dc evaluate: in E001, {sentence}" in dc("evaluate", poor.path, "--bootstrap", "0", *arguments).err
    assert sentence not in dc("evaluate", run.path, "--bootstrap", "0").err


def test_a_moved_table_can_be_given(run, data, tmp_path) -> None:
    before = dc("evaluate", run.path, "--bootstrap", "0").out
    moved = data.expression.rename(tmp_path / "moved.tsv")
    try:
        without = dc("evaluate", run.path, "--bootstrap", "0")
        found = dc("evaluate", run.path, "--expression", moved, "--bootstrap", "0")
    finally:
        moved.rename(data.expression)
    assert without.code == 0
    assert f"the expression table {data.expression} is missing. Give the table of the training with --expression." in (
        without.err
    )
    assert without.out != before
    assert found.out == before


def test_the_recorded_table_is_not_overwritten(run, data) -> None:
    before = data.expression.read_bytes()
    result = dc("evaluate", run.path, "--roc", data.expression, "--force")
    assert (result.code, result.out) == (2, "")
    assert data.expression.read_bytes() == before


def test_a_contrast_is_one_row(run, data) -> None:
    result = dc("evaluate", run.path, "--contrast", "E001,E003", "--json")
    assert result.code == 0, result.err
    expected = evaluate_contrast(run, "E001", "E003")
    names = ("a", "b", "genes", "pearson", "changed", "direction")
    assert json.loads(result.out) == [{name: getattr(expected, name) for name in names}]
    new = dc("evaluate", run.path, data.features, "--expression", data.expression, "--contrast", "E001,E003", "--json")
    assert new.code == 0, new.err
    (row,), (known,) = json.loads(new.out), json.loads(result.out)
    assert row == known | {"pearson": pytest.approx(known["pearson"], abs=1e-6)}
    assert dc("evaluate", run.path, "--contrast", "E001,E003").out.splitlines()[0].split("\t") == list(names)


def test_a_contrast_needs_regression(data, tmp_path) -> None:
    run = train_on(data, tmp_path / "run", model="logistic", epochs=1)
    result = dc("evaluate", run.path, "--contrast", "E001,E002")
    assert (result.code, result.out) == (2, "")
    assert "the models of E001 and E002 do not predict expression values" in result.err
    assert "Train them with --task both." in result.err


def test_a_pooled_run_has_one_row_of_the_cross_matrix(run) -> None:
    result = dc("evaluate", run.path, "--cross", "--json")
    assert result.code == 0, result.err
    rows = json.loads(result.out)
    own = {row.epigenome: row.test_auroc for row in run.summary()}
    assert [row.pop("model") for row in rows] == ["pooled"]
    assert rows == [pytest.approx(own)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--contrast", "E001"), "--contrast must be two epigenomes, such as E012,E013 (got 'E001')"),
        (("--contrast", "E001,E002,E003"), "--contrast must be two epigenomes"),
        (("--contrast", "E001,E009"), "no genes to test of E009 (found E001, E002, E003)"),
        (("--contrast", "E001,E002", "--cross"), "--cross prints a matrix"),
        (
            ("--contrast", "E001,E002", "--roc", "x.tsv"),
            "--contrast compares two epigenomes and cannot be combined with --roc",
        ),
        (("--cross", "--expression", "x.tsv"), "--cross with --expression needs FEATURES too"),
    ],
)
def test_contradictory_options_are_usage_errors(run, arguments, message) -> None:
    result = dc("evaluate", run.path, *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
