"""The edges of the program: signals, closed streams, pipes without a reader, special files, names in any bytes."""

import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign.rows import sized
from support.epigenomes import write_random_features
from support.program import code_of, run, run_until_signal
from support.tiny import dc, featurize, reads_text, write_genes_and_sizes

pytestmark = pytest.mark.campaign("edges")

# The number of signals for each command. Training takes seconds to start.
SIGNALS = sized(
    {"help": 6, "labels": 3, "featurize": 3},
    {"help": 420, "labels": 250, "featurize": 265, "train": 40, "visualize": 25},
)
KINDS = (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
CLOSED = [" ".join(each) for n in (1, 2, 3) for each in itertools.combinations(("<&-", ">&-", "2>&-"), n)]
LATE_SECONDS = 1.0  # a signal that finds the program ending already has no effect


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with reads, genes, an expression table, features, and a run trained on them."""
    folder = tmp_path_factory.mktemp("data")
    write_genes_and_sizes(folder)
    for name in ("E1-A", "E1-B", "E2-A"):
        (folder / f"{name}.tagAlign").write_bytes(reads_text(500, seed=len(name)))
    assert featurize(folder, folder, out="counted").code == 0
    features, expression = write_random_features(folder / "features")
    ran = dc("train", features, "--expression", expression, "--out", folder / "run", "--epochs", 2)
    assert ran.code == 0, ran.err
    return folder


def arguments_of(command: str, data: Path, out: Path) -> list[object]:
    """Return a command that can be repeated with the same result."""
    expression = ("--expression", data / "expression.tsv")
    genes = ("--genes", data / "genes.tsv", "--genome", data / "small.sizes")
    return {
        "help": ["--help"],
        "labels": ["labels", *expression, "--out", out / "labels.tsv", "--force"],
        "featurize": ["featurize", data, *genes, "--out", out / "features", "--force"],
        "train": ["train", data / "features", *expression, "--out", out / "run", "--epochs", 3, "--force"],
        "visualize": ["visualize", data / "run", "--out", out / "report", "--steps", 3, "--starts", 1, "--force"],
    }[command]


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files below ``folder`` that have the same bytes after every run, and no checkpoints."""
    names = ("labels.tsv", "*.parquet", "*.safetensors", "config.json")
    found = itertools.chain.from_iterable(folder.rglob(name) for name in names)
    # The metrics hold times.
    kept = [path for path in found if path.name != "metrics.parquet" and path.parent.name != "checkpoints"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


@pytest.mark.parametrize("command", SIGNALS)
def test_signals_at_any_moment(
    command: str, data: Path, tmp_path: Path, record_property: Callable[[str, int], None]
) -> None:
    arguments, dice = arguments_of(command, data, tmp_path), random.Random(7)
    run_until_signal(arguments, tmp_path)  # compiles modules
    whole = run_until_signal(arguments, tmp_path)
    assert whole.code == 0, whole.err
    expected = read_files(tmp_path)
    sent = SIGNALS[command]
    for i in range(sent):
        number = KINDS[i % len(KINDS)]
        ended = run_until_signal(arguments, tmp_path, number, dice.uniform(0, whole.seconds))
        place = f"{command}, signal {i}"
        assert "Traceback" not in ended.err, f"{place}: {ended.err}"
        assert ended.code in (0, code_of(number)), f"{place}: {ended}"
        found = read_files(tmp_path)
        assert found == {name: expected[name] for name in found}, place
        if ended.code == 0:  # the signal came when the work was done
            assert (found == expected, ended.seconds < LATE_SECONDS) == (True, True), place
    again = run_until_signal(arguments, tmp_path)
    assert (again.code, again.err.count("Traceback"), read_files(tmp_path)) == (0, 0, expected)
    # A rerun clears what a killed run left behind in an output directory, but not beside a single file.
    assert not list((tmp_path / "features").glob(".*.part"))
    assert not list((tmp_path / "run").rglob(".*.part"))
    record_property("signals and closed streams", sent)


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams(closed: str, data: Path, tmp_path: Path, record_property: Callable[[str, int], None]) -> None:
    """A command whose results are files does its work; one that prints its result fails if it cannot."""
    printed = 74 if ">&-" in closed.split() else 0
    expression = data / "expression.tsv"
    commands = {
        "version": (["--version"], printed),
        "missing input": (["labels", "--expression", tmp_path / "absent"], 66),
        "stdin": (["labels", "--expression", "-"], 66 if "<&-" in closed else 65),
        "labels": (["labels", "--expression", expression, "--out", tmp_path / "labels.tsv"], printed),
        "featurize": (arguments_of("featurize", data, tmp_path), 0),
    }
    chosen = sized(["version", "featurize" if "2>&-" in closed else "stdin"], list(commands))
    for name in chosen:
        arguments, code = commands[name]
        ran = run(*arguments, closed=closed)
        assert ran.returncode == code, f"{name}: {ran}"
        assert "Traceback" not in ran.stderr
        if code and "2>&-" not in closed:
            assert ran.stderr.startswith("dc: ")
        if name == "featurize":
            assert {path.name: path.read_bytes() for path in (tmp_path / "features").glob("*.parquet")} == {
                path.name: path.read_bytes() for path in (data / "counted").glob("*.parquet")
            }
    if "labels" in chosen:
        assert (tmp_path / "labels.tsv").stat().st_size > 1000
    record_property("signals and closed streams", len(chosen))


def closed_pipe() -> int:
    """Return the writing end of a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_reader_of_standard_output_goes_away(data: Path) -> None:
    ran = run("labels", "--expression", data / "expression.tsv", stdout=closed_pipe())
    assert (ran.returncode, ran.stderr) == (141, "")
    ran = run("--help", stdout=closed_pipe())
    assert (ran.returncode, ran.stderr) == (141, "")


def test_reader_of_messages_goes_away(data: Path, tmp_path: Path) -> None:
    ran = run(*arguments_of("featurize", data, tmp_path), stderr=closed_pipe())
    assert ran.returncode == 0
    assert len(list((tmp_path / "features").glob("*.parquet"))) == 2


def test_full_disk_at_standard_output(data: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = run("labels", "--expression", data / "expression.tsv", stdout=full)
    assert (ran.returncode, ran.stderr) == (
        74,
        "dc: standard output: cannot be written (No space left on device)\n",
    )


def test_text_from_a_pipe_is_read(data: Path, tmp_path: Path) -> None:
    """As from the process substitution of a shell: <(zcat table.gz)."""
    pipes = {name: tmp_path / name for name in ("genes.tsv", "small.sizes", "E9-A.bed")}
    texts = [data / "genes.tsv", data / "small.sizes", data / "E1-A.tagAlign"]
    for pipe in pipes.values():
        os.mkfifo(pipe)
    writers = [f"cat '{text}' > '{pipe}'" for text, pipe in zip(texts, pipes.values(), strict=True)]
    with subprocess.Popen(["sh", "-c", " & ".join(writers)]):
        given = ("--genes", pipes["genes.tsv"], "--genome", pipes["small.sizes"], "--out", tmp_path / "out")
        ran = run("featurize", pipes["E9-A.bed"], *given)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "E9.parquet").is_file()


READ_PIPES = """
import sys
from pathlib import Path
from deepchrome.engine.features.store import feature_files, read_features, read_metadata
from deepchrome.engine.roadmap.download import plan_downloads
from deepchrome.errors import DeepchromeError
from deepchrome.train.run.config import read_config
from deepchrome.train.run.frames import read_frame
from deepchrome.train.run.summary import read_summary
from deepchrome.train.run.tensors import read_tensors
folder = Path(sys.argv[1])
readers = [feature_files, read_features, read_metadata, read_frame, read_tensors]
calls = [(reader, folder / "pipe") for reader in readers]
calls += [(read_config, folder), (lambda path: read_summary(path, []), folder)]
calls += [(lambda path: plan_downloads(path, []), folder)]
for reader, path in calls:
    try:
        reader(path)
    except DeepchromeError as error:
        print(error.exit_code, error)
"""


def test_pipes_are_refused_where_a_file_is_needed(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would wait for ever."""
    names = ["pipe"] * 5 + ["config.json", "summary.tsv", "manifest.tsv"]
    for name in set(names):
        os.mkfifo(tmp_path / name)
    command = [sys.executable, "-c", READ_PIPES, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines() == [
        f"66 {tmp_path / name}: a pipe, but a regular file is needed here" for name in names
    ]


@pytest.mark.parametrize("kind", ["directory", "pipe", "device"])
def test_outputs_that_are_no_files_are_refused(kind: str, data: Path, tmp_path: Path) -> None:
    path = Path("/dev/null") if kind == "device" else tmp_path / "labels.tsv"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    ran = dc("labels", "--expression", data / "expression.tsv", "--out", path, "--force")
    assert (ran.code, ran.err) == (2, f"dc: {path}: is a {kind}. Give the path of a file.\n")


def test_names_in_any_bytes(data: Path, tmp_path: Path) -> None:
    """Directories whose names are not UTF-8, with a line break: every command works, every message is one line."""
    folder = tmp_path / os.fsdecode(b"\xff\xe9 a\nb")
    folder.mkdir()
    for name in ("genes.tsv", "small.sizes", "expression.tsv", "E1-A.tagAlign"):
        (folder / name).write_bytes((data / name).read_bytes())
    features, run_path, expression = folder / "features", folder / "run", folder / "expression.tsv"
    write_random_features(features)
    commands: list[list[object]] = [
        ["simulate", "--out", folder / "simulated", "--genes", 20, "--reads", 50, "--format", "bgzip"],
        [
            "featurize",
            folder,
            "--genes",
            folder / "genes.tsv",
            "--genome",
            folder / "small.sizes",
            "--out",
            folder / "f",
        ],
        ["verify", folder / "f", folder, "--genome", folder / "small.sizes"],
        ["labels", "--expression", expression, "--out", folder / "labels.tsv"],
        ["train", features, "--expression", expression, "--out", run_path, "--epochs", 1],
        ["evaluate", run_path, "--roc", folder / "roc.parquet"],
        ["predict", run_path, features, "--out", folder / "scores.tsv"],
        ["export", features, "--labels", folder / "labels.tsv", "--out", folder / "csv"],
        ["visualize", run_path, "--out", folder / "report", "--steps", 1, "--starts", 1],
    ]
    for arguments in commands:
        ran = dc(*arguments)
        assert ran.code == 0, f"{arguments[0]}: {ran.err}"
        assert not [line for line in ran.err.splitlines() if line.startswith("b")], ran.err
    ran = run("labels", "--expression", folder / "absent")
    assert ran.returncode == 66
    assert ran.stderr == f"dc: {tmp_path}/\\udcff\\udce9 a\\nb/absent: no such file or directory\n"
    ran = run("demo", "--out", folder / "labels.tsv")
    assert ran.returncode == 74
    assert "Traceback" not in ran.stderr
