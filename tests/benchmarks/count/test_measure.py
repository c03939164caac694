"""dc bench count: a quick run with the installed programs, and programs that give wrong counts."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.tiny import dc

from deepchrome.benchmarks.common.results import Results, read_results
from deepchrome.benchmarks.count.programs import PROGRAMS
from deepchrome.benchmarks.maintain.count_section import count_section

pytestmark = pytest.mark.bedtools
# These take long to start.
SLOW = ("--without", "mosdepth", "--without", "deepTools")


@dataclass(frozen=True)
class QuickRun:
    """The results of the run, the directory they were saved in, and the folder of its data."""

    results: Results
    saved: Path
    data: Path


def fake_program(folder: Path, name: str, command: str, script: str) -> str:
    """Write a program that runs ``script`` instead of one of its commands; return the directory to put on PATH.

    ``{real}`` in the script stands for the real program.
    """
    real = shutil.which(name)
    assert real
    folder.mkdir()
    program = folder / name
    program.write_text(
        f'#!/bin/bash\n[ "$1" != {command} ] || {{ {script.format(real=real)}; exit; }}\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    return str(folder)


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> QuickRun:
    """Run the benchmark with a samtools bedcov that adds 1 to the first three counts."""
    folder = tmp_path_factory.mktemp("bench")
    options = ("--quick", "--sets", "tss-bins,peaks,bins", "--data", folder / "data", "--save", folder / "results")
    add_one = """{real} "$@" | awk -v OFS="\\t" 'NR <= 3 {{ $NF += 1 }} 1'"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", fake_program(folder / "bin", "samtools", "bedcov", add_one), prepend=":")
        ran = dc("bench", "count", *options, *SLOW, "--json")
    assert ran.code == 0, ran.err
    (saved,) = (folder / "results").iterdir()
    assert json.loads((saved / "count.json").read_text()) == ran.json()
    return QuickRun(read_results(saved), saved, folder / "data")


def test_quick_run_compares_and_times_everything(quick_run) -> None:
    results = quick_run.results
    parity = {one.name: one for one in results.parity}
    bedcov = [parity[f"{name}: samtools bedcov -c, BAM"] for name in ("peaks", "bins")]
    assert [(one.cells, one.different) for one in bedcov] == [(100, 3), (100, 3)]
    assert {one.different for one in parity.values() if one not in bedcov} == {0}
    assert parity["peaks: bedtools multicov, BAM"].cells == 100  # a sample
    assert parity["peaks: bedtools coverage -counts, BAM"].cells == 500
    assert parity["bins: bedtools coverage -counts -sorted, tagAlign.gz"].cells == results.settings["regions, bins"]
    assert parity["tss-bins: dc count, tagAlign.gz, 2 threads"].cells == 200 * 100
    assert parity["engine: TSS windows of dc featurize, BAM, 2 threads"].cells == 200 * 100
    programs = {program.name for program in PROGRAMS} - {one.name for one in results.missing}
    expected = {f"peaks: {name}" for name in programs if not name.startswith(("mosdepth", "deepTools"))}
    assert expected <= parity.keys()
    assert {row.name for row in results.rows if row.group == "bins"} >= {"dc count, BAM, 2 threads", *programs} - {
        name for name in programs if name.startswith(("mosdepth", "deepTools"))
    }
    multicov = results.row("peaks", "bedtools multicov, BAM")
    assert multicov
    assert multicov.scale == pytest.approx((500 - 2) / (100 - 2))


def test_quick_run_prints_the_figures_that_it_is_judged_by(quick_run) -> None:
    results = quick_run.results
    tss = results.row("engine", "TSS windows of dc featurize, BAM, 2 threads")
    peaks = results.row("engine", "peaks, BAM, 2 threads")
    assert tss
    assert peaks
    rate = results.figures["peaks, BAM, 2 threads: rate ÷ rate in TSS windows (goal 0.8)"]
    assert rate == pytest.approx(tss.seconds / peaks.seconds)
    own = results.row("peaks", "dc count, tagAlign.gz, 2 threads")
    fastest = results.row("peaks", results.figures["peaks, tagAlign.gz: fastest exact program"])
    assert "bedcov" not in results.figures["peaks, BAM: fastest exact program"]
    assert own
    assert fastest
    ratio = results.figures["peaks, tagAlign.gz: its time ÷ time of dc count (goal 10)"]
    assert ratio == pytest.approx(fastest.seconds / own.seconds)
    assert results.figures["bins: index the regions, once per run (s)"] > 0
    assert 50 < results.figures["bins: peak memory of dc count (MiB)"] < 2000


def test_saved_results_have_a_plot_and_a_section(quick_run) -> None:
    assert {path.suffix for path in quick_run.saved.iterdir()} == {".json", ".log", ".png", ".svg"}
    text = count_section(quick_run.results, "there")
    assert "**500 peaks (150 to 2,000 bp)**" in text
    assert "| bedtools multicov, BAM \\* | yes, 100 |" in text
    assert "| samtools bedcov -c, BAM \\* | no: 3 of 100 differ |" in text
    assert "dc bench count --quick --sets tss-bins,peaks,bins" in text


def test_other_counts_of_bedtools_end_the_benchmark(quick_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tamper = """{real} "$@" | sed '7s/[0-9]*$/1000/'"""
    monkeypatch.setenv("PATH", fake_program(tmp_path / "bin", "bedtools", "multicov", tamper), prepend=":")
    options = ("--quick", "--sets", "peaks", "--data", quick_run.data, "--save", tmp_path / "results")
    ran = dc("bench", "count", *options)
    assert ran.code == 65
    (line,) = (line for line in ran.err.splitlines() if line.startswith("dc: "))
    found = (
        "dc: peaks: bedtools multicov, BAM: 1 of 100 counts differ from those of dc count (first in region 30: 1000,"
    )
    assert line.startswith(found)
    assert ran.out == ""
    assert not (tmp_path / "results").exists()


def test_unknown_set_of_regions_is_refused() -> None:
    ran = dc("bench", "count", "--sets", "peaks,exons")
    assert ran.code == 2
    assert "got 'exons'" in ran.err
