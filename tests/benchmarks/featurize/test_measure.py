"""dc bench featurize: a quick run with the installed programs, and programs that give wrong counts."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.tiny import dc, reads_text, write_genes_and_sizes

from deepchrome.benchmarks.common.tools import find_tools
from deepchrome.benchmarks.featurize.programs import PEERS, REFERENCE

pytestmark = pytest.mark.bedtools


def test_quick_run_compares_and_times_everything(quick_run) -> None:
    results = quick_run.results
    equal = {one.name: one for one in results.parity if not one.reason}
    assert {one.different for one in equal.values()} == {0}
    assert equal[REFERENCE.name].cells == 20 * 100
    assert equal["bedtools intersect -c -sorted"].cells == 200 * 100
    formats = {f"engine, {name}, 2 threads" for name in ("sorted gzip", "shuffled gzip", "bgzip", "BAM")}
    assert {*formats, "dc featurize"} <= equal.keys()
    (other,) = (one for one in results.parity if one.reason)
    assert other.different > 0  # so the comparison can find differences
    timed = {(row.group, row.name) for row in results.rows}
    assert {("engine", name) for name in formats} <= timed
    assert ("floor", "gzip -dc") in timed
    reference = results.row("reference", REFERENCE.name)
    steps = [results.row("step", step) for step in REFERENCE.steps]
    assert reference
    assert reference.scale == pytest.approx((200 - 1) / (20 - 1))
    assert reference.wall[0] == pytest.approx(sum(step.wall[0] for step in steps if step))
    assert {one.name for one in results.missing} | equal.keys() >= {peer.name for peer in PEERS if not peer.reason}


def test_saved_results_describe_the_run_without_private_names(quick_run) -> None:
    results, saved = quick_run.results, quick_run.saved
    assert saved.name.startswith(f"{results.when[:10]}-{results.commit}-")
    assert saved.name.endswith(f"{results.machine['cores']}-cores")
    assert {path.suffix for path in saved.iterdir()} == {".json", ".log", ".png", ".svg"}
    assert results.command == "dc bench featurize --quick"
    assert results.machine.keys() == {"processor", "cores", "memory_gib", "kernel", "python"}
    assert {"bedtools", "samtools", "numba", "numpy"} <= results.versions.keys()
    for path in saved.glob("featurize.[!p]*"):
        text = path.read_text(encoding="utf-8")
        assert str(quick_run.data.parent) not in text
        assert f'"{socket.gethostname()}"' not in text


def test_help_imports_nothing_heavy() -> None:
    for arguments in (["bench", "--help"], ["bench", "featurize", "--help"]):
        command = [sys.executable, "-X", "importtime", "-m", "deepchrome", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Usage: " in ran.stdout
        imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in ran.stderr.splitlines() if "|" in line}
        assert "typer" in imported
        assert not imported & {"numba", "torch", "polars", "pyarrow", "numpy", "pysam", "matplotlib"}


def test_help_summaries_fit_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = dc("bench", "--help")
    assert ran.code == 0
    assert "..." not in ran.out.partition("Commands:")[2]


def test_missing_programs_are_listed_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    programs, missing, _ = find_tools((REFERENCE, *PEERS), sys.executable, ("pyranges",))
    install = {one.name: one.how for one in missing}
    assert install[REFERENCE.name] == "apt install bedtools samtools"
    assert install["BEDOPS bedmap --count"] == "apt install bedops"
    assert "pyranges1 count_overlaps" not in install
    assert all(not program.commands for program in programs)


def make_fake_bedtools(folder: Path, on_coverage: str) -> str:
    """Write a bedtools that runs ``on_coverage`` for ``bedtools coverage``; return the directory to put on PATH."""
    folder.mkdir()
    program = folder / "bedtools"
    program.write_text(
        f'#!/bin/bash\n[ "$1" != coverage ] || {{ {on_coverage}; exit; }}\nexec {real_bedtools()} "$@"\n'
    )
    program.chmod(0o755)
    return str(folder)


def real_bedtools() -> str:
    found = shutil.which("bedtools")
    assert found
    return found


@pytest.mark.parametrize(
    ("on_coverage", "code", "message"),
    [
        (
            '{real} "$@" | sed "77s/[0-9]*$/1000/"',
            65,
            "dc: bedtools coverage -counts: 1 of 20,000 counts differ from the engine's (first in bin 76: 1000, ",
        ),
        (
            '{real} "$@" | tail -n +2',
            65,
            "dc: bedtools coverage -counts: the output must have one row for each of 20,000 bins",
        ),
        ("echo not sorted >&2; exit 3", 74, "dc: bedtools coverage -counts: failed: not sorted"),
    ],
    ids=["tampered", "short", "broken"],
)
def test_program_with_wrong_counts_ends_the_benchmark(
    quick_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_coverage: str, code: int, message: str
) -> None:
    """The message names the program, and no times are shown."""
    path = make_fake_bedtools(tmp_path / "bin", on_coverage.replace("{real}", real_bedtools()))
    monkeypatch.setenv("PATH", path, prepend=":")
    others = [word for peer in PEERS if "coverage" not in peer.name for word in ("--without", peer.name)]
    ran = dc("bench", "featurize", "--quick", "--data", quick_run.data, "--save", tmp_path / "results", *others)
    assert ran.code == code
    (line,) = (line for line in ran.err.splitlines() if line.startswith("dc: "))
    assert line.startswith(message)
    assert ran.out == ""
    assert not (tmp_path / "results").exists()


def test_unusable_inputs_are_refused(tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    (tmp_path / "reads.bed").write_bytes(reads_text(10))
    given = ("--genes", tmp_path / "genes.tsv", "--genome", tmp_path / "small.sizes")
    assert dc("bench", "featurize", "--reads", tmp_path / "reads.bed", *given).code == 2
    assert dc("bench", "featurize", "--reads", tmp_path / "absent.gz", *given).code == 66
    assert dc("bench", "featurize", "--reads", tmp_path / "reads.bed").code == 2
    assert dc("bench", "featurize", "--threads", "0").code == 2
