"""Files of other programs, under the names that a command writes, survive unless ``--force`` is given."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.epigenomes import write_random_features
from support.tiny import dc, featurize, reads_text, write_genes_and_sizes

from deepchrome import demo
from deepchrome.errors import UsageError

pytestmark = pytest.mark.campaign("strangers")

READS = "H3K4me3.tagAlign.gz"
# For each command, the names below its output directory that it writes.
NAMES = {
    "featurize": ("E1.parquet", "E2.parquet", "summary.tsv", "qc.tsv", "deepchrome_mqc.json"),
    "labels": ("labels.tsv", "figure.svg"),
    "predict": ("scores.tsv", "attention.parquet"),
    "evaluate": ("roc.tsv",),
    "export": tuple(f"{name}/{part}.csv" for name in ("E001", "E002") for part in ("train", "valid", "test")),
    "visualize": ("report.html", "patterns.parquet", "figures"),
    "simulate": (
        "genes.tsv",
        "expression.tsv",
        f"E001-{READS}",
        "truth/summary.tsv",
        "truth/simulation.json",
    ),
    "download": (f"E003-{READS}", f"E003-{READS}.part", f".E003-{READS}.part.json", "manifest.tsv"),
    "demo": (
        "demo.json",
        "data/genes.tsv",
        "features/E001.parquet",
        "features/summary.tsv",
        "run/config.json",
        "run/models/E001.safetensors",
        "pooled/config.json",
        "report-pooled/report.html",
        "report/report.html",
    ),
}
CASES = [(command, name) for command, names in NAMES.items() for name in names]
MANIFEST = (
    "kind\tepigenome\tmark\turl\tbytes\tsha256\nreads\tE003\tH3K4me3\thttp://127.0.0.1:9/E003-H3K4me3.tagAlign.gz"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the inputs of all commands."""
    folder = tmp_path_factory.mktemp("data")
    write_genes_and_sizes(folder)
    for name in ("E1-A", "E2-A"):
        (folder / f"{name}.tagAlign").write_bytes(reads_text(200))
    features, expression = write_random_features(folder / "features")
    for ran in (
        dc("train", features, "--expression", expression, "--out", folder / "run", "--epochs", 1),
        dc("labels", "--expression", expression, "--out", folder / "labels.tsv"),
    ):
        assert ran.code == 0, ran.err
    (folder / "files.tsv").write_text(f"{MANIFEST}\t1000\t\n")
    return folder


def arguments_of(command: str, data: Path, out: Path) -> list[object]:
    expression = ("--expression", data / "expression.tsv")
    genes = ("--genes", data / "genes.tsv", "--genome", data / "small.sizes")
    scores = ("--out", out / "scores.tsv", "--attention", out / "attention.parquet")
    given: Mapping[str, list[object]] = {
        "featurize": [data, *genes, "--out", out],
        "labels": [*expression, "--out", out / "labels.tsv", "--figure", out / "figure.svg"],
        "predict": [data / "run", data / "features", *scores],
        "evaluate": [data / "run", "--roc", out / "roc.tsv"],
        "export": [data / "features", "--labels", data / "labels.tsv", "--out", out],
        "visualize": [data / "run", "--out", out],
        "simulate": ["--out", out, "--genes", 20, "--reads", 50],
        "download": ["--manifest", data / "files.tsv", "--out", out],
        "demo": ["--out", out],
    }
    return [command, *given[command]]


def write_stranger(path: Path) -> None:
    """Write a file of another program: Parquet if the name says so, else text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"x": [1]}), path)
    else:
        path.write_text("not of this program\n")


@pytest.mark.parametrize(("command", "name"), CASES)
def test_files_of_other_programs_survive(command: str, name: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_stranger(out / name)
    before = (out / name).read_bytes()
    ran = dc(*arguments_of(command, data, out))
    assert ran.code in (2, 65, 74), ran
    assert str(out) in ran.err or str(out) in ran.out
    assert (out / name).read_bytes() == before
    hidden = [path for path in out.rglob("*") if path.is_file() and not path.relative_to(out).parts[0].startswith(".")]
    assert [path for path in hidden if path != out / name] == []  # nothing was written before the refusal


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"text of a stranger", 2),
        (b"PAR1 and a stranger's bytes", 2),
        (b"", 0),
    ],
)
def test_unreadable_file_under_the_name_of_a_feature_file(
    content: bytes, code: int, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "E1.parquet").write_bytes(content)
    ran = dc(*arguments_of("featurize", data, tmp_path))
    assert ran.code == code
    assert code == 0 or "Use --force to replace it." in ran.err
    assert code == 0 or (tmp_path / "E1.parquet").read_bytes() == content
    assert dc(*arguments_of("featurize", data, tmp_path), "--force").code == 0


@pytest.mark.parametrize("kept", [8, 300, 900])
def test_truncated_feature_file_is_made_again(kept: int, data: Path, tmp_path: Path) -> None:
    assert dc(*arguments_of("featurize", data, tmp_path)).code == 0
    whole = (tmp_path / "E1.parquet").read_bytes()
    (tmp_path / "E1.parquet").write_bytes(whole[:kept])
    ran = dc(*arguments_of("featurize", data, tmp_path))
    assert (ran.code, "E1: counted again" in ran.err) == (0, True)
    assert (tmp_path / "E1.parquet").read_bytes() == whole


def test_force_replaces_files_of_other_programs(data: Path, tmp_path: Path) -> None:
    for name in NAMES["featurize"]:
        write_stranger(tmp_path / name)
    write_stranger(tmp_path / "notes.txt")
    before = (tmp_path / "notes.txt").read_bytes()
    assert featurize(data, data, "--force", out=str(tmp_path)).code == 0
    assert (tmp_path / "summary.tsv").read_text().startswith("epigenome\tmark\treads\t")
    assert (tmp_path / "notes.txt").read_bytes() == before


def test_a_demo_replaces_an_earlier_one(tmp_path: Path) -> None:
    """But not if its files were changed."""
    genes, notes = tmp_path / "data" / "genes.tsv", tmp_path / "data" / "notes.txt"
    write_stranger(genes)
    with pytest.raises(UsageError, match="not written by an earlier demo"):
        demo.check_output(tmp_path)
    demo.record_files(tmp_path)
    write_stranger(notes)
    demo.check_output(tmp_path)
    genes.write_text("changed")
    with pytest.raises(UsageError, match=r"genes\.tsv: not written by an earlier demo, or changed since"):
        demo.check_output(tmp_path)
