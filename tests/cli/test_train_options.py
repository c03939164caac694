"""The options of dc train, as users combine them."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from scipy.stats import pearsonr, spearmanr
from support.epigenomes import write_random_features
from support.tiny import dc

from deepchrome.train.run.config import read_config
from deepchrome.train.run.directory import Run

SMALL = ("--epochs", "2", "--batch-size", "16", "--device", "cpu")
NAMES = ("E001", "E002", "E003")
COLUMNS = [
    *("epigenome", "best_epoch", "valid_auroc", "test_auroc", "test_auprc", "n_train", "n_valid", "n_test"),
    *("published_auroc", "pearson", "spearman", "held_out", "note"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_random_features(folder / "features", NAMES)
    return folder


def from_features(data: Path) -> tuple[str, ...]:
    return ("train", str(data / "features"), "--expression", str(data / "expression.tsv"))


def expression_of(data: Path, name: str) -> dict[str, float]:
    table = pl.read_csv(data / "expression.tsv", separator="\t")
    return dict(zip(table["gene_id"], (table[name] + 1).log(2), strict=True))


def test_the_tables_of_a_run_have_the_columns_of_the_contract(data, tmp_path) -> None:
    run = tmp_path / "run"
    result = dc(*from_features(data), "--out", run, *SMALL, "--seeds", "2")
    assert result.code == 0, result.err
    assert {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and path.name[0] != "."} == {
        *("config.json", "metrics.parquet", "predictions.parquet", "summary.tsv"),
        *("deepchrome_mqc.json", "deepchrome_epochs_mqc.json"),
        *(f"models/{name}.safetensors" for name in NAMES),
    }
    summary = pl.read_csv(run / "summary.tsv", separator="\t")
    assert summary.columns == COLUMNS
    assert result.out.splitlines()[0].split("\t") == COLUMNS
    predictions = pl.read_parquet(run / "predictions.parquet")
    assert predictions.columns == ["epigenome", "gene_id", "split", "label", "score", "log2_rpkm"]
    assert predictions.height == 3 * 90
    metrics = pl.read_parquet(run / "metrics.parquet")
    assert metrics.select("epigenome", "member", "epoch").rows() == [
        (name, member, epoch) for name in NAMES for member in (1, 2) for epoch in (1, 2)
    ]
    for row in summary.to_dicts():
        test = predictions.filter((pl.col("epigenome") == row["epigenome"]) & (pl.col("split") == "test"))
        observed = [expression_of(data, row["epigenome"])[gene] for gene in test["gene_id"]]
        assert row["pearson"] == pytest.approx(pearsonr(observed, test["log2_rpkm"]).statistic)
        assert row["spearman"] == pytest.approx(spearmanr(observed, test["log2_rpkm"]).statistic)
        assert row["held_out"] == 0


def test_a_pooled_run_has_one_model_and_tests_it_on_epigenomes_held_out(data, tmp_path) -> None:
    """Of these, only genes that the model has not seen either are scored."""
    run = tmp_path / "run"
    result = dc(*from_features(data), "--out", run, *SMALL, "--pooled", "--hold-out", "E002", "--json")
    assert result.code == 0, result.err
    assert [path.name for path in (run / "models").iterdir()] == ["pooled.safetensors"]
    rows = {row["epigenome"]: row for row in json.loads(result.out)}
    assert {name: row["held_out"] for name, row in rows.items()} == {"E001": 0, "E002": 1, "E003": 0}
    assert (rows["E002"]["n_train"], rows["E002"]["n_valid"], rows["E002"]["valid_auroc"]) == (0, 0, None)
    predictions = pl.read_parquet(run / "predictions.parquet")
    parts = predictions.group_by("epigenome").agg(pl.col("split").unique().sort()).sort("epigenome")
    assert parts["split"].to_list() == [["test", "train", "valid"], ["test"], ["test", "train", "valid"]]
    assert set(pl.read_parquet(run / "metrics.parquet")["epigenome"]) == {"pooled"}
    (line,) = [line for line in result.err.splitlines() if line.startswith("dc train: model")]
    assert re.fullmatch(r"dc train: model 1 of 1: E001 test AUROC 0\.\d{4}, E002 test AUROC .*, E003 .*", line)

    # Held-out epigenomes need not be among those that are trained on.
    other = dc(
        *from_features(data),
        "--out",
        tmp_path / "b",
        *SMALL,
        "--pooled",
        "--epigenomes",
        "E001,E003",
        "--hold-out",
        "E002",
    )
    assert other.code == 0, other.err
    model = "models/pooled.safetensors"
    assert (tmp_path / "b" / model).read_bytes() == (run / model).read_bytes()


def test_a_line_tells_of_every_model_where_there_is_no_terminal(data, tmp_path) -> None:
    command = (*from_features(data), "--out", tmp_path / "run", *SMALL, "--threads", "1", "--epigenomes")
    result = dc(*command, "E001,E002")
    areas = {row.epigenome: row.test_auroc for row in Run(tmp_path / "run").summary()}
    lines = [line for line in result.err.splitlines() if "model" in line]
    assert lines == [
        f"dc train: model {i} of 2: {name} test AUROC {area:.4f}" for i, (name, area) in enumerate(areas.items(), 1)
    ]
    result = dc(*command, "E001,E002,E003", "--resume")
    assert result.code == 0
    lines = [line for line in result.err.splitlines() if "model" in line]
    area = Run(tmp_path / "run").summary()[2].test_auroc
    assert lines == [
        *(
            f"dc train: model {i} of 3: {name} test AUROC {area:.4f} (trained before)"
            for i, (name, area) in enumerate(areas.items(), 1)
        ),
        f"dc train: model 3 of 3: E003 test AUROC {area:.4f}",
    ]


def test_a_terminal_gets_a_bar_and_no_lines(data, tmp_path) -> None:
    command = [sys.executable, "-m", "deepchrome", *from_features(data), "--out", str(tmp_path / "run"), *SMALL]
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=os.environ | {"TERM": "xterm"})
    os.close(stderr)
    shown = b""
    while True:
        try:
            block = os.read(terminal, 4096)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        shown += block
    os.close(terminal)
    assert process.wait() == 0
    assert "━".encode() in shown
    assert b"/6" in shown  # epochs of three models
    assert b"dc train: model" not in shown
    assert b"mean test AUROC" in shown


def test_shards_train_every_epigenome_once(data, tmp_path) -> None:
    whole = tmp_path / "whole"
    assert dc(*from_features(data), "--out", whole, *SMALL).code == 0
    trained = []
    for number in (1, 2):
        run = tmp_path / f"shard{number}"
        result = dc(*from_features(data), "--out", run, *SMALL, "--shard", f"{number}/2")
        assert result.code == 0, result.err
        for name in read_config(run).data:
            trained.append(name)
            model = f"models/{name}.safetensors"
            assert (run / model).read_bytes() == (whole / model).read_bytes()
    assert sorted(trained) == sorted(NAMES)


@pytest.mark.campaign("messages")
@pytest.mark.parametrize("shard", ["0/2", "3/2", "1/0", "1", "a/b", "-1/2", "1/2/3", ""])
def test_a_bad_shard_is_a_usage_error(shard, data, tmp_path) -> None:
    result = dc(*from_features(data), "--out", tmp_path / "run", "--shard", shard)
    assert (result.code, result.out) == (2, "")
    assert f"--shard must be i/n with i from 1 to n, got {shard}" in result.err
    assert not (tmp_path / "run").exists()


def test_a_shard_without_epigenomes_is_a_usage_error(data, tmp_path) -> None:
    result = dc(*from_features(data), "--out", tmp_path / "run", "--shard", "4/4")
    assert (result.code, result.out) == (2, "")
    assert "--shard 4 of 4 has no epigenome: there are 3" in result.err


def test_a_split_file_assigns_the_genes(data, tmp_path) -> None:
    genes = pl.read_csv(data / "expression.tsv", separator="\t")["gene_id"]
    parts = {gene: ("test", "train", "valid")[i % 3] for i, gene in enumerate(genes[5:])}
    split = tmp_path / "split.tsv"
    split.write_text("gene_id\tsplit\n" + "".join(f"{gene}.7\t{part}\n" for gene, part in parts.items()))
    command = (*from_features(data), "--out", tmp_path / "run", *SMALL, "--split-file", split)
    result = dc(*command)
    assert result.code == 0, result.err
    assert f"dc train: 5 genes left out because {split} lacks them (ENSG00000000000, " in result.err
    table = Run(tmp_path / "run").predictions().filter(pl.col("epigenome") == "E001")
    assert dict(table.select("gene_id", "split").iter_rows()) == parts
    assert read_config(tmp_path / "run").source.split_file == split.resolve()
    assert dc(*command, "--resume").code == 0
    assert dc("evaluate", tmp_path / "run", "--cross", "--json").code == 0
    # The file may change: the data of a finished run are those that it was trained on.
    split.write_text(split.read_text().replace("valid", "train", 1))
    result = dc(*command, "--resume")
    assert result.code == 2
    assert "the data of E001, E002, E003 changed (features, labels or split)" in result.err
    split.unlink()
    result = dc("evaluate", tmp_path / "run", "--cross")
    assert result.code == 2
    assert f"the split file of this run is missing ({split}). Restore it" in result.err
    result = dc(*command, "--force")
    assert (result.code, result.out) == (66, "")
    assert "split.tsv: no such file" in result.err


@pytest.mark.parametrize("name", ["split.tsv", "run/config.json"])
def test_a_split_file_is_not_replaced(name, data, tmp_path) -> None:
    split = tmp_path / name
    split.parent.mkdir(exist_ok=True)
    split.write_text("gene_id\tsplit\n")
    log = ("--log", split) if name == "split.tsv" else ()
    result = dc(*from_features(data), "--out", tmp_path / "run", "--force", "--split-file", split, *log)
    assert result.code == 2
    assert "this output would replace an input" in result.err
    assert split.read_text() == "gene_id\tsplit\n"


def test_the_published_split_is_warned_of(data, tmp_path) -> None:
    result = dc(*from_features(data), "--out", tmp_path / "run", *SMALL, "--split", "published")
    (line,) = [line for line in result.err.splitlines() if "warning" in line]
    assert line.startswith("dc train: warning: the published split flatters test scores: the windows of ")
    assert "(607 of 6,600 in the list of 2016), and the order of gene ids is not random" in line
    # Other data have no split.
    call = ("evaluate", tmp_path / "run", data / "features", "--expression", data / "expression.tsv")
    assert "flatters" not in dc(*call).err


@pytest.mark.campaign("messages")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--split-file", "s", "--split", "random"),
            "--split cannot be combined with --split-file: the file is the split",
        ),
        (("--split-file", "s", "--n-train", "30"), "--n-train cannot be combined with --split-file"),
        (("--hold-out", "E001"), "--hold-out cannot be combined with a model per epigenome: only --pooled has them"),
        (("--mark-dropout", "0.2"), "--mark-dropout cannot be combined with a model per epigenome"),
        (("--pooled", "--shard", "1/2"), "--shard cannot be combined with --pooled"),
        (("--pooled", "--protocol", "published"), "--protocol cannot be combined with --pooled"),
        (("--pooled", "--mark-dropout", "1"), "--mark-dropout must be at least 0 and below 1, got 1"),
        (("--pooled", "--hold-out", ",".join(NAMES)), "all epigenomes are held out, so none is left to train on"),
        (
            ("--model", "logistic", "--pooled"),
            "--pooled cannot be combined with --model logistic: it is one classifier",
        ),
        (("--model", "svm", "--seeds", "2"), "--seeds cannot be combined with --model svm"),
        (("--model", "random-forest", "--task", "regress"), "--task cannot be combined with --model random-forest"),
        (("--model", "logistic", "--augment-depth"), "--augment-depth cannot be combined with --model logistic"),
        (("--augment-depth", "--depth", "raw"), "--augment-depth cannot be combined with --depth raw"),
        (("--augment-depth", "--protocol", "published"), "--augment-depth cannot be combined with --depth raw"),
        (("--lr-decay", "0.1"), "--lr-decay has no meaning with the schedule one-cycle"),
        (("--model", "resnet"), "no model is named 'resnet'. Choose one of deepchrome, attentivechrome, logistic"),
        (("--model", "no_such_module:Net"), "no_such_module:Net: cannot be built (ModuleNotFoundError"),
        (("--seeds", "0"), "'--seeds': Input should be greater than or equal to 1"),
        (("--n-train", "89"), "--n-train must be 1 to 88 for 90 genes, got 89"),
    ],
)
def test_options_that_do_not_fit_together_are_usage_errors(options, message, data, tmp_path) -> None:
    result = dc(*from_features(data), "--out", tmp_path / "run", *options)
    assert (result.code, result.out) == (2, ""), result.err
    assert message in " ".join(result.err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.campaign("messages")
@pytest.mark.parametrize(
    "options",
    [
        ("--pooled",),
        ("--shard", "1/2"),
        ("--split-file", "split.tsv"),
        ("--task", "regress"),
        ("--task", "both"),
        ("--orient", "strand"),
        ("--marks", "H3K4me3"),
    ],
)
def test_options_that_need_features_are_refused_with_csv(options, tmp_path) -> None:
    result = dc("train", "--csv", tmp_path, "--out", tmp_path / "run", *options)
    assert (result.code, result.out) == (2, "")
    assert f"{options[0]} cannot be combined with --csv: the files determine" in result.err


@pytest.mark.campaign("messages")
def test_unknown_epigenomes_to_hold_out_are_named(data, tmp_path) -> None:
    result = dc(*from_features(data), "--out", tmp_path / "run", "--pooled", "--hold-out", "E003,E099")
    assert (result.code, result.out) == (65, "")
    assert "no epigenome E099 to hold out (found E001, E002, E003)" in result.err


@pytest.mark.parametrize(
    ("options", "lr"), [((), 0.05), (("--optimizer", "adam"), 0.001), (("--optimizer", "adam", "--lr", "0.1"), 0.1)]
)
def test_another_optimizer_gets_another_learning_rate(options, lr, data, tmp_path) -> None:
    result = dc(*from_features(data), "--out", tmp_path / "run", *SMALL, "--epigenomes", "E001", *options)
    assert result.code == 0, result.err
    assert read_config(tmp_path / "run").fit.lr == lr


def test_momentum_may_be_0(data, tmp_path) -> None:
    assert dc(*from_features(data), "--out", tmp_path / "run", *SMALL, "--momentum", "0").code == 0


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_a_best_epoch_that_is_the_last_is_told(schedule, data, tmp_path) -> None:
    """Two epochs are far too few for these data at this learning rate, so the second one gains much."""
    command = (
        *from_features(data),
        "--out",
        tmp_path / "run",
        "--epigenomes",
        "E001",
        "--device",
        "cpu",
        "--seed",
        "3",
    )
    rate = ("--lr", "0.001") if schedule == "constant" else ("--lr", "0.01")
    result = dc(*command, "--epochs", "2", "--batch-size", "16", "--schedule", schedule, *rate)
    assert result.code == 0, result.err
    (row,) = Run(tmp_path / "run").summary()
    areas = Run(tmp_path / "run").metrics()["valid_auroc"].to_list()
    is_told = "dc train: E001: the best epoch is the last (2): more epochs may score higher" in result.err
    assert is_told == (areas[1] > areas[0] + (0.002 if schedule == "one-cycle" else 0))
    assert is_told == ("the best epoch is the last" in row.note)


NETWORK = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, marks, bins):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(marks * bins, OUTPUTS))

    def forward(self, x):
        return self.layers(x)
"""


def test_a_network_in_the_current_directory_can_be_trained(data, tmp_path) -> None:
    """A script that pip has installed does not have the current directory on its path, which -P imitates.

    A run of somebody else must not make other commands run code of the current directory.
    """
    (tmp_path / "tiny_network.py").write_text(NETWORK.replace("OUTPUTS", "3"))

    def call(*command: object, code: int = 0, **variables: str) -> str:
        line = [sys.executable, "-P", "-c", "from deepchrome.cli import main; main()", *map(str, command)]
        environment = {**os.environ, **variables}
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == code, done.stderr
        return done.stderr

    call(*from_features(data), "--out", "run", "--model", "tiny_network:Tiny", "--epochs", "2", "--epigenomes", "E001")
    predict = ("predict", "run", data / "features" / "E001.parquet", "--out", "scores.tsv")
    assert "Add the folder of the module to PYTHONPATH" in call(*predict, code=2)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    call(*predict, PYTHONPATH=path)
    assert pl.read_csv(tmp_path / "scores.tsv", separator="\t").height == 90


@pytest.mark.parametrize(("outputs", "task"), [(1, "regress"), (2, "classify"), (3, "both")])
@pytest.mark.parametrize("pooled", [(), ("--pooled",)], ids=["one", "pooled"])
def test_the_outputs_of_a_network_tell_its_task(outputs, task, pooled, data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"network{outputs}.py").write_text(NETWORK.replace("OUTPUTS", str(outputs)))
    result = dc(*from_features(data), "--out", "run", *SMALL, "--model", f"network{outputs}:Tiny", *pooled)
    monkeypatch.delitem(sys.modules, f"network{outputs}", raising=False)
    assert result.code == 0, result.err
    assert read_config(tmp_path / "run").fit.task == task
    assert [row.pearson is None for row in Run(tmp_path / "run").summary()] == [outputs == 2] * 3


def test_the_current_directory_is_importable_only_for_networks_of_users(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    monkeypatch.chdir(tmp_path)
    assert dc(*from_features(data), "--out", "run", "--model", "logistic").code == 0
    assert str(tmp_path) not in sys.path
