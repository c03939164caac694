"""A second run counts only missing and changed epigenomes, reports why, and replaces no other files."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from campaign.rows import sized
from support.tiny import PACK, CommandResult, counts_of, dc, reads_text, write_genes_and_sizes
from support.web import serving

from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.features.hash_cache import HashCache, file_stamp
from deepchrome.engine.features.observer import FeaturizeObserver
from deepchrome.engine.features.resume import ReuseDecision
from deepchrome.engine.features.store import read_features
from deepchrome.engine.features.summary import FileOutcome
from deepchrome.errors import UsageError

pytestmark = pytest.mark.campaign("resume")
NAMES = ("E1-A", "E1-B", "E2-A", "E2-B", "E3-A", "E3-B")
TEXT = {name: reads_text(500, seed) for seed, name in enumerate(NAMES)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with six files of reads, and the genes."""
    write_genes_and_sizes(tmp_path)
    (tmp_path / "reads").mkdir()
    for name, text in TEXT.items():
        (tmp_path / "reads" / f"{name}.tagAlign.gz").write_bytes(PACK["gzip"](text))
    return tmp_path


class RecordingObserver(FeaturizeObserver):
    """Record the decisions, and the files that were counted."""

    def __init__(self) -> None:
        self.decisions: dict[str, ReuseDecision] = {}
        self.counted: list[str] = []

    def on_decision(self, decision: ReuseDecision) -> None:
        self.decisions[decision.epigenome] = decision

    def on_finish(self, outcome: FileOutcome) -> None:
        self.counted.append(f"{outcome.sample.epigenome}-{outcome.sample.mark}")


def run(folder: Path, **options: Any) -> RecordingObserver:
    observer = RecordingObserver()
    given: dict[str, Any] = {"genes": folder / "genes.tsv", "genome": folder / "small.sizes", "out": folder / "out"}
    featurize([folder / "reads"], **given | {"observer": observer} | options)
    return observer


def call(folder: Path, *options: object) -> CommandResult:
    given = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / "out")
    return dc("featurize", folder / "reads", *given, *options)


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


def summary(out: Path) -> dict[tuple[str, str], list[str]]:
    """Return the rows of summary.tsv without their times."""
    rows = [line.split("\t") for line in (out / "summary.tsv").read_text().splitlines()[1:]]
    return {(row[0], row[1]): row[2:7] + row[9:] for row in rows}


def test_valid_files_are_kept(folder: Path) -> None:
    first = run(folder)
    assert sorted(first.counted) == sorted(NAMES)
    assert {d.action for d in first.decisions.values()} == {"make"}
    before, summary_text = tables(folder / "out"), (folder / "out" / "summary.tsv").read_text()
    again = run(folder)
    assert again.counted == []
    assert {d.action for d in again.decisions.values()} == {"keep"}
    assert tables(folder / "out") == before
    assert (folder / "out" / "summary.tsv").read_text() == summary_text
    ran = call(folder, "--json")
    assert ran.code == 0
    assert [row["status"] for row in ran.json()] == ["kept"] * 6
    assert ran.json()[0]["reads"] == 500
    assert "E2: up to date, kept" in ran.err
    assert "0 of 3 epigenomes written, 3 kept. See summary.tsv." in ran.err


def test_force_counts_all_files_again(folder: Path) -> None:
    run(folder)
    assert sorted(run(folder, force=True).counted) == sorted(NAMES)


def test_only_missing_and_changed_epigenomes_are_counted(folder: Path) -> None:
    run(folder)
    old = tables(folder / "out")
    (folder / "out" / "E1.parquet").unlink()
    other = bytearray(TEXT["E2-B"])
    other[5] ^= 1  # another digit, so that the size is the same
    (folder / "reads" / "E2-B.tagAlign.gz").write_bytes(PACK["plain"](bytes(other)))
    again = run(folder)
    assert sorted(again.counted) == ["E1-A", "E1-B", "E2-A", "E2-B"]
    assert [again.decisions[e].action for e in ("E1", "E2", "E3")] == ["make", "redo", "keep"]
    assert "B: its reads have changed (from" in again.decisions["E2"].why
    new = tables(folder / "out")
    assert new["E1.parquet"] == old["E1.parquet"]
    assert (read_features(folder / "out" / "E2.parquet").counts[:, :, 1] == counts_of(bytes(other))).all()


def test_change_of_equal_size_and_time_is_detected(folder: Path) -> None:
    """The modification time is restored; the change time or the hash still shows the change."""
    path = folder / "reads" / "E2-A.tagAlign.gz"
    path.write_bytes(TEXT["E2-A"])
    run(folder)
    was = path.stat()
    other = TEXT["E2-A"].replace(b"chr1", b"chr2", 1)
    path.write_bytes(other)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    again = run(folder)
    assert again.decisions["E2"].why == "A: its reads have changed (different SHA-256)"
    assert (read_features(folder / "out" / "E2.parquet").counts[:, :, 0] == counts_of(other)).all()


def test_touched_and_moved_files_are_not_counted_again(folder: Path) -> None:
    """Only the content matters, not the file times."""
    run(folder)
    for i, path in enumerate(sorted((folder / "reads").iterdir())):
        os.utime(path, (4e9, 4e9) if i % 2 else (0, 0))
    assert run(folder).counted == []
    (folder / "reads").rename(folder / "elsewhere")
    (folder / "reads").symlink_to(folder / "elsewhere")
    for path in (folder / "out" / ".deepchrome").glob("*.json"):
        path.write_text("[]")  # lost hashes only cost time
    assert run(folder).counted == []


def test_hash_of_a_file_changed_while_read_is_not_stored(folder: Path) -> None:
    path = folder / "reads" / "E1-A.tagAlign.gz"
    (folder / "out" / ".deepchrome").mkdir(parents=True)
    hashes = HashCache(folder / "out", "E1")
    before = file_stamp(str(path))
    path.write_bytes(b"another")
    hashes.remember(str(path), before, "0" * 64)
    assert hashes.sha256(str(path)) != "0" * 64
    hashes.remember(str(path), file_stamp(str(path)), "1" * 64)
    hashes.save()
    assert HashCache(folder / "out", "E1").sha256(str(path)) == "1" * 64


def test_new_mark_is_added_and_missing_mark_is_refused(folder: Path) -> None:
    path = folder / "reads" / "E1-C.bed"
    run(folder)
    path.write_bytes(TEXT["E3-A"])
    assert run(folder).decisions["E1"].why == "C: not counted yet"
    assert read_features(folder / "out" / "E1.parquet").marks == ("A", "B", "C")
    path.unlink()
    before = tables(folder / "out")
    ran = call(folder)
    assert ran.code == 2
    assert "(it also has C, for which no reads are given). Use --force to replace it." in ran.err
    assert tables(folder / "out") == before


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"bin_size": 50}, "bin_size was 100, is now 50"),
        ({"flank": 4000}, "flank was 5000, is now 4000"),
        ({"marks": ["B", "A"]}, "its marks are in another order: A, B"),
        ({"options": ReadOptions(min_mapq=3)}, "min_mapq was 0, is now 3"),
        ({"unique_genes": True}, "the genes differ"),
    ],
)
def test_files_made_with_other_options_are_not_replaced(options: Mapping[str, Any], why: str, folder: Path) -> None:
    with open(folder / "genes.tsv", "a") as file:
        file.write("g0\tS\tchr2\t70000\t-\n")
    run(folder)
    before = tables(folder / "out")
    with pytest.raises(
        UsageError, match=rf"E1\.parquet: exists and does not match this call \({why}; first of 3 such files\)$"
    ) as caught:
        run(folder, **options)
    assert caught.value.remedy == "force"
    assert tables(folder / "out") == before
    assert sorted(run(folder, force=True, **options).counted) == sorted(NAMES)


@pytest.mark.parametrize("flags", [("--allow-empty",), ("--unknown-chrom", "skip"), ("--unknown-chrom", "bedtools")])
def test_lenient_options_do_not_invalidate_files(flags: tuple[str, ...], folder: Path) -> None:
    """A user adds them after some files were refused; the other files need not be counted again."""
    (folder / "reads" / "E2-A.tagAlign.gz").write_bytes(b"")
    (folder / "reads" / "E3-A.tagAlign.gz").write_bytes(TEXT["E3-A"] + b"chrUn\t1\t2\tN\t0\t+\n")
    assert call(folder).code == 65
    before = tables(folder / "out")
    assert list(before) == ["E1.parquet"]
    ran = call(folder, *flags)
    assert "E1: up to date, kept" in ran.err
    assert tables(folder / "out").keys() == {"E1.parquet", "E2.parquet" if "--allow-empty" in flags else "E3.parquet"}
    if flags == ("--unknown-chrom", "skip"):  # the reverse is not true: reads were left out
        (folder / "reads" / "E2-A.tagAlign.gz").unlink()
        (folder / "reads" / "E2-B.tagAlign.gz").unlink()
        assert "unknown_chrom was skip, is now error" in call(folder).err


def test_files_of_another_count_rule_are_made_again(folder: Path) -> None:
    run(folder)
    before = tables(folder / "out")
    with patch("deepchrome.engine.features.provenance.COUNT_RULE", 2):
        again = run(folder)
        assert sorted(again.counted) == sorted(NAMES)
        assert again.decisions["E1"].why == "it was made by a version with another counting rule"
        assert run(folder).counted == []
    assert sorted(run(folder).counted) == sorted(NAMES)
    assert tables(folder / "out") == before


def test_files_of_another_genome_are_not_replaced(folder: Path) -> None:
    run(folder)
    (folder / "small.sizes").write_text("chr1\t250001\nchr2\t240000\n")
    ran = call(folder)
    assert (ran.code, "the genome differs" in ran.err) == (2, True)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[60] ^= 64  # in the page of gene ids
    path.write_bytes(bytes(data))


def make_foreign(path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), path)


@pytest.mark.parametrize(
    ("harm", "code", "message"),
    [
        (spoil, 0, "E2: counted again: damaged"),
        (lambda path: path.write_bytes(b""), 0, "E2: counted again: not a readable Parquet file"),
        (
            make_foreign,
            2,
            "does not match this call (not written by dc featurize (no 'deepchrome' metadata)). Use --force",
        ),
    ],
)
def test_damaged_file_is_made_again_and_foreign_file_is_not_replaced(
    harm: Callable[[Path], object], code: int, message: str, folder: Path
) -> None:
    run(folder)
    sound = tables(folder / "out")
    harm(folder / "out" / "E2.parquet")
    harmed = tables(folder / "out")
    ran = call(folder)
    assert ran.code == code
    assert message in ran.err
    assert tables(folder / "out") == (harmed if code else sound)


def test_output_of_standard_input_is_replaced_only_with_force(folder: Path) -> None:
    given = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / "out")
    for code, extra in ((0, ()), (2, ()), (0, ("--force",))):
        ran = dc("featurize", "-", "--name", "E1-A", *given, *extra, stdin=TEXT["E1-A"])
        assert ran.code == code
    assert read_features(folder / "out" / "E1.parquet").metadata["sources"]["A"]["reads"] == 500


def test_reads_at_a_url_are_compared_by_etag(folder: Path) -> None:
    """A server without ETags cannot show that the reads are unchanged, so they are counted again."""
    with serving() as web:
        url = web.put("E1-A.bed", TEXT["E1-A"], etag='"1"')
        given = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / "out")

        def again() -> str:
            ran = dc("featurize", url, *given)
            assert ran.code == 0, ran.err
            return ran.err

        again()
        assert read_features(folder / "out" / "E1.parquet").metadata["sources"]["A"]["etag"] == '"1"'
        assert "E1: up to date, kept" in again()
        web.put("E1-A.bed", TEXT["E1-B"], etag='"2"')
        assert "E1: counted again: A: its reads have changed (different ETag, size or name)" in again()
        assert (read_features(folder / "out" / "E1.parquet").counts[:, :, 0] == counts_of(TEXT["E1-B"])).all()
        web.put("E1-A.bed", TEXT["E1-B"], etag=None)
        for _ in range(2):
            assert "cannot be checked for changes (the server sends no size or no ETag)" in again()


def test_failed_file_is_counted_in_the_next_run(folder: Path) -> None:
    path = folder / "reads" / "E2-A.tagAlign.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert call(folder).code == 65
    assert summary(folder / "out")["E2", "A"][-1].startswith("failed: ")
    path.write_bytes(whole)
    ran = call(folder)
    assert ran.code == 0
    assert "E1: up to date, kept" in ran.err
    assert [row[-1] for row in summary(folder / "out").values()] == ["done"] * 6


def test_all_shards_together_equal_one_run(folder: Path) -> None:
    run(folder)
    for i in (1, 2, 3, 4):  # with three epigenomes, the fourth shard is empty
        ran = dc(
            *("featurize", folder / "reads", "--shard", f"{i}/4", "--genome", folder / "small.sizes"),
            *("--genes", folder / "genes.tsv", "--out", folder / "parts"),
        )
        assert ran.code == 0
        assert len(tables(folder / "parts")) == min(i, 3)
    assert tables(folder / "parts") == tables(folder / "out")
    assert summary(folder / "parts") == summary(folder / "out")
    assert "this shard contains no epigenomes; nothing to do" in ran.err
    for bad in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2"):
        assert call(folder, "--shard", bad).code == 2


def test_killed_runs_continue_where_they_ended(folder: Path, record_property: Callable[[str, int], None]) -> None:
    """The output equals that of an uninterrupted run, and no finished epigenome is counted twice."""
    for e in range(4, 13):
        for mark in "AB":
            (folder / "reads" / f"E{e}-{mark}.bed").write_bytes(reads_text(20_000, e))
    kills = sized(6, 50)
    run(folder)
    expected, rows = tables(folder / "out"), summary(folder / "out")
    out = folder / "killed"
    given = ["--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", out, "-j", "1", "-t", "1"]
    command = [sys.executable, "-m", "deepchrome", "featurize", folder / "reads", *given]
    dice, finished, kept, killed = random.Random(kills), set(tables(out)), 0, 0
    while True:
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
            if killed < kills:
                # Kill at a random moment, or soon after a file was finished, in turn: the work must make progress.
                deadline = time.monotonic() + 30
                while killed % 2 and process.poll() is None and time.monotonic() < deadline:
                    if set(tables(out)) != finished:
                        break
                    time.sleep(0.001)
                time.sleep(dice.uniform(0, 0.02 if killed % 2 else 1.0))
                process.send_signal(signal.SIGKILL)
            process.wait(60)
        log_text = (folder / "log").read_text()
        reused = {
            f"{line.split(':')[0]}.parquet" for line in log_text.splitlines() if line.endswith("up to date, kept")
        }
        counted = {line.split(" ")[0] + ".parquet" for line in log_text.splitlines() if " reads in " in line}
        assert reused == finished if counted else reused <= finished  # killed before it had reported all
        assert not counted & finished
        kept += len(reused)
        finished = set(tables(out))
        assert all(expected[name] == data for name, data in tables(out).items())
        if process.returncode == 0:
            assert tables(out) == expected
            assert summary(out) == rows
            if killed == kills:
                break
            shutil.rmtree(out)  # it finished before it was killed: start over
            finished = set()
            continue
        killed += 1
        assert process.returncode == -signal.SIGKILL, log_text
    assert kept
    record_property("SIGKILLs, each followed by a rerun", killed)
    record_property("epigenomes that a rerun kept", kept)
    assert not list(out.glob(".*.part"))
    assert json.loads((out / ".deepchrome" / "E1.inputs.json").read_text())
