"""dc bench featurize, readme and compare: a real quick run, and what must make them refuse."""

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from oracle import naive
from support.places import CHECKOUT
from support.tiny import GENES, PACK, SIZES, counts_of, dc, place, reads_text

from deepchrome.benchmarks.common.results import Results, read_results
from deepchrome.benchmarks.featurize import inputs
from deepchrome.benchmarks.featurize.contestants import PEERS, REFERENCE, installed
from deepchrome.engine.counting.count import count_reads

pytestmark = pytest.mark.bedtools


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path, Path]:
    """A quick run: its results, the directory they were saved in, and the data it ran on."""
    folder = tmp_path_factory.mktemp("bench")
    arguments = ("--quick", "--data", folder / "data", "--save", folder / "results", "--peer-python", sys.executable)
    ran = dc("bench", "featurize", *arguments, "--json")
    assert ran.code == 0, ran.err
    (saved,) = (folder / "results").iterdir()
    assert json.loads((saved / "featurize.json").read_text()) == ran.json()
    return read_results(saved), saved, folder / "data"


def test_a_quick_run(quick: tuple[Results, Path, Path]) -> None:
    results, _, _ = quick
    equal = {one.name: one for one in results.parity if not one.reason}
    assert {one.different for one in equal.values()} == {0}
    assert equal[REFERENCE.name].cells == 20 * 100
    assert equal["bedtools intersect -c -sorted"].cells == 200 * 100
    forms = {f"engine, {form}, 2 threads" for form in ("sorted gzip", "shuffled gzip", "bgzip", "BAM")}
    assert {*forms, "dc featurize"} <= equal.keys()
    (other,) = (one for one in results.parity if one.reason)
    assert other.different > 0  # read starts alone are not the same counts: so differences can be seen
    timed = {(row.group, row.name) for row in results.rows}
    assert {("engine", name) for name in forms} <= timed
    assert ("floor", "gzip -dc") in timed
    reference = results.row("reference", REFERENCE.name)
    steps = [results.row("step", step) for step in REFERENCE.steps]
    assert reference
    assert reference.scale == pytest.approx((200 - 1) / (20 - 1))
    assert reference.wall[0] == pytest.approx(sum(step.wall[0] for step in steps if step))
    assert {one.name for one in results.missing} | equal.keys() >= {peer.name for peer in PEERS if not peer.reason}


def test_what_is_saved(quick: tuple[Results, Path, Path]) -> None:
    """Enough to know what was measured, where, by what; and no name of a machine or directory."""
    results, saved, data = quick
    assert saved.name.startswith(f"{results.when[:10]}-{results.commit}-")
    assert saved.name.endswith(f"{results.machine['cores']}-cores")
    assert {path.suffix for path in saved.iterdir()} == {".json", ".log", ".png", ".svg"}
    assert results.command == "dc bench featurize --quick"
    assert results.machine.keys() == {"processor", "cores", "memory_gib", "kernel", "python"}
    assert {"bedtools", "samtools", "numba", "numpy"} <= results.versions.keys()
    for path in saved.glob("featurize.[!p]*"):
        text = path.read_text(encoding="utf-8")
        assert str(data.parent) not in text
        assert f'"{socket.gethostname()}"' not in text


def test_help_imports_nothing_heavy() -> None:
    for arguments in (["bench", "--help"], ["bench", "featurize", "--help"]):
        command = [sys.executable, "-X", "importtime", "-m", "deepchrome", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Usage: " in ran.stdout
        imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in ran.stderr.splitlines() if "|" in line}
        assert "typer" in imported
        assert not imported & {"numba", "torch", "polars", "pyarrow", "numpy", "pysam", "matplotlib"}


def test_missing_tools_are_listed_with_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    there, missing, _ = installed(sys.executable, ("pyranges",))
    how = {one.name: one.how for one in missing}
    assert how[REFERENCE.name] == "apt install bedtools samtools"
    assert how["BEDOPS bedmap --count"] == "apt install bedops"
    assert "pyranges1 count_overlaps" not in how
    assert all(not contestant.programs for contestant in there)


def fake_bedtools(folder: Path, on_coverage: str) -> str:
    """Make a bedtools that is itself but for ``coverage``; return the PATH that finds it first."""
    folder.mkdir()
    program = folder / "bedtools"
    program.write_text(f'#!/bin/bash\n[ "$1" != coverage ] || {{ {on_coverage}; exit; }}\nexec {real()} "$@"\n')
    program.chmod(0o755)
    return str(folder)


def real() -> str:
    found = shutil.which("bedtools")
    assert found
    return found


@pytest.mark.parametrize(
    ("on_coverage", "code", "message"),
    [
        (
            '{real} "$@" | sed "77s/[0-9]*$/1000/"',
            65,
            "dc: bedtools coverage -counts: 1 of 20,000 counts differ from the engine's, first in cell 76 (1000, not ",
        ),
        ('{real} "$@" | tail -n +2', 65, "dc: bedtools coverage -counts: 19,999 rows of counts for 20,000 bins"),
        ("echo out of sorts >&2; exit 3", 74, "dc: bedtools coverage -counts: failed: out of sorts"),
    ],
    ids=["tampered", "short", "broken"],
)
def test_a_contestant_that_must_be_exact_and_is_not(
    quick: tuple[Results, Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_coverage: str,
    code: int,
    message: str,
) -> None:
    """The command fails, says who and where, and tells no time."""
    path = fake_bedtools(tmp_path / "bin", on_coverage.replace("{real}", real()))
    monkeypatch.setenv("PATH", path, prepend=":")
    others = [word for peer in PEERS if "coverage" not in peer.name for word in ("--without", peer.name)]
    ran = dc("bench", "featurize", "--quick", "--data", quick[2], "--save", tmp_path / "results", *others)
    assert ran.code == code
    (line,) = (line for line in ran.err.splitlines() if line.startswith("dc: "))
    assert line.startswith(message)
    assert ran.out == ""
    assert not (tmp_path / "results").exists()


def test_compare_flags_what_fell_behind(quick: tuple[Results, Path, Path], tmp_path: Path) -> None:
    results, saved, _ = quick
    name = "engine, BAM, 2 threads"
    rows = [replace(row, wall=[2 * wall for wall in row.wall]) if row.name == name else row for row in results.rows]
    slower = replace(results, rows=rows).save(tmp_path)
    ran = dc("bench", "compare", saved, slower, "--json")
    assert ran.code == 0
    found = {row["name"]: row for row in ran.json()}
    assert found.pop(name).items() >= {"ratio": 2.0, "verdict": "slower"}.items()
    assert {row["verdict"] for row in found.values()} == {""}
    ran = dc("bench", "compare", saved, slower, "--fail")
    assert ran.code == 65
    assert f"1 of {len(rows)} rows fell behind: {name}" in ran.err
    assert dc("bench", "compare", slower, saved, "--fail").code == 0


def test_noise_within_the_spread_is_no_slowdown(quick: tuple[Results, Path, Path], tmp_path: Path) -> None:
    results, _, _ = quick
    noisy = replace(results.rows[0], wall=[1.0, 1.1, 1.5], cpu=[1.0] * 3, rss_mib=[1.0] * 3)
    later = replace(noisy, wall=[1.2, 1.3, 1.4])
    paths = [replace(results, rows=[row]).save(tmp_path / name) for name, row in (("a", noisy), ("b", later))]
    assert dc("bench", "compare", *paths, "--fail").code == 0


def test_readme_follows_the_newest_results(quick: tuple[Results, Path, Path], tmp_path: Path) -> None:
    results, _, _ = quick
    folder, readme = tmp_path / "results", tmp_path / "README.md"
    replace(results, when="2020-01-01T00:00:00+00:00", command="dc bench featurize --older").save(folder)
    results.save(folder)
    before, after = "# A title\n\n<!-- bench:featurize -->\n", "<!-- /bench:featurize -->\n\nmore\n"
    readme.write_text(f"{before}1.0 s, typed by hand\n{after}", encoding="utf-8")
    given = ("bench", "readme", "--readme", readme, "--results", folder)
    ran = dc(*given, "--check")
    assert ran.code == 65
    assert "run dc bench readme" in ran.err
    assert "typed by hand" in readme.read_text(encoding="utf-8")
    assert dc(*given).code == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(before)
    assert text.endswith(after)
    assert "dc bench featurize --quick" in text
    assert "bedtools intersect -c -sorted" in text
    assert dc(*given, "--check").code == 0
    readme.write_text(text.replace(" s |", "1 s |", 1), encoding="utf-8")
    assert dc(*given, "--check").code == 65
    assert dc(*given[:-1], tmp_path / "none").code == 66
    readme.write_text("no marks", encoding="utf-8")
    assert dc(*given).code == 65


def test_our_readme_is_what_the_newest_results_give() -> None:
    texts = ("--readme", CHECKOUT / "README.md", "--readme", CHECKOUT / "docs" / "scale.md")
    ran = dc("bench", "readme", "--check", *texts, "--results", CHECKOUT / "benchmarks" / "results")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize("spoil", ["schema", "rows", "wall", "json"])
def test_what_are_no_results(quick: tuple[Results, Path, Path], tmp_path: Path, spoil: str) -> None:
    document = quick[0].document()
    if spoil == "wall":
        document["rows"][0]["wall"] = ["fast"]
    elif spoil == "rows":
        del document["rows"]
    else:
        document["schema"] = 1
    (tmp_path / "featurize.json").write_text("{" if spoil == "json" else json.dumps(document))
    ran = dc("bench", "compare", tmp_path, tmp_path)
    assert ran.code == 65
    assert "not results of dc bench in schema 2" in ran.err


def test_given_reads_in_every_form(tmp_path: Path) -> None:
    """Reads from a file: same counts as gzip, shuffled and bgzip, and every bin written with its place."""
    place(tmp_path)
    with open(tmp_path / "genes.tsv", "a") as file:
        file.write("edge\tS\tchr1\t4950\t+\nlost\tS\tchrX\t100\t+\n")
    text = reads_text(2000)
    (tmp_path / "reads.bed.gz").write_bytes(PACK["gzip"](text))
    genes, sizes = tmp_path / "genes.tsv", str(tmp_path / "small.sizes")
    given = inputs.given(tmp_path / "data", tmp_path / "reads.bed.gz", genes, sizes)
    assert (given.reads, given.text_bytes, given.cells) == (2000, len(text), 1200)
    assert inputs.unpacked(given).read_bytes() == text
    mixed = inputs.shuffled(given)
    for path in (given.reads_file, mixed, inputs.bgzipped(given)):
        assert (count_reads(path, given.windows)[:10] == counts_of(text)).all()
    bins = inputs.write_bins(given, some=3, few=1)
    assert (bins.n_every, bins.n_some, bins.n_few) == (1100, 300, 100)
    lines = [line.split("\t") for line in bins.every.read_text().splitlines()]
    where = [*GENES, naive.Gene("chr1", 4950)]
    spans = [(gene.chrom, max(start, 0), end) for gene in where for start, end in naive.bins_of(gene, 5000, 100)]
    assert [(chrom, int(start), int(end)) for chrom, start, end, *_ in lines] == spans
    assert [int(line[3]) for line in lines] == list(range(1100))
    assert sorted(bins.ordered.read_text().splitlines()) == sorted(bins.every.read_text().splitlines())
    assert SIZES.items() <= given.windows.genome.sizes.items()
    (tmp_path / "reads.bed.gz").write_bytes(PACK["gzip"](reads_text(100)))
    other = inputs.given(tmp_path / "data", tmp_path / "reads.bed.gz", genes, sizes)
    assert inputs.unpacked(other).read_bytes() == reads_text(100)  # not what was made of the file before


def test_given_reads_that_cannot_race(tmp_path: Path) -> None:
    place(tmp_path)
    (tmp_path / "reads.bed").write_bytes(reads_text(10))
    given = ("--genes", tmp_path / "genes.tsv", "--genome", tmp_path / "small.sizes")
    assert dc("bench", "featurize", "--reads", tmp_path / "reads.bed", *given).code == 2
    assert dc("bench", "featurize", "--reads", tmp_path / "absent.gz", *given).code == 66
    assert dc("bench", "featurize", "--reads", tmp_path / "reads.bed").code == 2
    assert dc("bench", "featurize", "--threads", "0").code == 2
