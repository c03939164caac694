"""No command writes two outputs to one path, or an output over one of its inputs, not even with --force."""

import os
import shutil
from pathlib import Path

import pytest
from support.epigenomes import write_random_features
from support.tiny import CommandResult, dc

pytestmark = pytest.mark.campaign("strangers")
SMALL = ("--epochs", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with features, expression, labels and a run of attentivechrome models."""
    folder = tmp_path_factory.mktemp("made")
    features, expression = write_random_features(folder / "features", ("E001",), genes=30)
    assert dc("labels", "--expression", expression, "--out", folder / "labels.tsv").code == 0
    options = ("--model", "attentivechrome", *SMALL)
    assert dc("train", features, "--expression", expression, "--out", folder / "run", *options).code == 0
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch) -> Path:
    """A copy of these files, in the current directory."""
    copied = shutil.copytree(made, tmp_path / "copy")
    (copied / "link.parquet").symlink_to("scores.parquet")
    (copied / "linked").symlink_to(copied)
    monkeypatch.chdir(copied)
    return copied


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of all files, as found without following links, except locks."""
    return {
        os.path.join(place, name): Path(place, name).read_bytes()
        for place, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".lock") and Path(place, name).exists()
    }


def assert_refused(result: CommandResult, message: str, folder: Path, before: dict[str, bytes]) -> None:
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert contents(folder) == before


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["new", "force"])
@pytest.mark.parametrize(
    "command",
    [
        "predict run features --out scores.parquet --attention scores.parquet",
        "predict run features --out scores.parquet --attention ./scores.parquet",
        "predict run features --out scores.parquet --attention link.parquet",
        "predict run features --out scores.parquet --attention run/../linked/scores.parquet",
        "labels --expression expression.tsv --out a.svg --figure a.svg",
        "labels --expression expression.tsv --out a.svg --figure ./run/../a.svg",
        "train features --expression expression.tsv --out new --log new/config.json",
        "train features --expression expression.tsv --out new --log linked/new/models/log",
    ],
)
def test_two_outputs_at_one_path_are_refused(command, force, folder) -> None:
    before = contents(folder)
    assert_refused(dc(*command.split(), *force), "another output has the same path", folder, before)


@pytest.mark.parametrize(
    "command",
    [
        "predict run features --out features/E001.parquet",
        "predict run features/E001.parquet --out linked/features/E001.parquet",
        "predict run features --out run/predictions.parquet",
        "predict run features --out scores.tsv --attention run/metrics.parquet",
        "evaluate run --roc run/summary.tsv",
        "evaluate run features --expression expression.tsv --roc ./expression.tsv",
        "labels --expression expression.tsv --out linked/expression.tsv",
        "labels --expression expression.tsv --figure expression.tsv",
        "train features --expression expression.tsv --out new --log expression.tsv",
        "train features --expression expression.tsv --out new --log features/E001.parquet",
        "train features --expression run/summary.tsv --out run",
        "export features --labels exported/train.csv --out exported",
        "export features --labels labels.tsv --split-file exported/test.csv --out exported",
        "visualize run features --expression report/report.html --out report",
    ],
)
def test_an_output_that_is_an_input_is_refused(command, folder) -> None:
    for name in ("exported/train.csv", "exported/test.csv", "report/report.html"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy("expression.tsv", name)
    before = contents(folder)
    assert_refused(dc(*command.split(), "--force"), "this output would replace an input", folder, before)


def test_outputs_beside_the_inputs_are_written(folder) -> None:
    for command in (
        "predict run features --out run/scores.parquet --attention run/attention.parquet",
        "evaluate run --roc run/roc.tsv",
        "labels --expression expression.tsv --out features/labels.tsv",
        f"train features --expression expression.tsv --out run --log run/log.jsonl {' '.join(SMALL)}",
        "visualize run --out run --maps-only --starts 1 --steps 1",
    ):
        for _ in range(2):
            result = dc(*command.split(), "--force")
            assert result.code == 0, result.err


@pytest.mark.parametrize("option", ["--out", "--attention"])
def test_a_link_without_a_target_is_an_existing_file(option, folder) -> None:
    paths = {"--out": "scores.tsv", "--attention": "weights.parquet", option: "link.parquet"}
    before = contents(folder)
    result = dc("predict", "run", "features", *(word for pair in paths.items() for word in pair))
    assert_refused(result, "link.parquet: file exists. Use --force to replace it.", folder, before)
    assert (folder / "link.parquet").is_symlink()
