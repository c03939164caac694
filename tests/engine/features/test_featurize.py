"""Many files to feature files: what is refused before work starts, what a bad file does to the others."""

import csv
import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from support.tiny import GENES, PACK, counts_of, place, reads_text

from deepchrome.common.files import output_lock
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features import store
from deepchrome.engine.features.featurize import FeaturizeObserver, featurize
from deepchrome.engine.features.resume import ReuseDecision
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.store import read_features
from deepchrome.engine.features.summary import SUMMARY_COLUMNS, FileOutcome
from deepchrome.errors import BadDataError, MissingInputError, StorageError, UsageError

TEXT = {name: reads_text(600, seed) for seed, name in enumerate(("E1-A", "E1-B", "E2-A", "E2-B"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files of reads, plain and packed, and the genes."""
    place(tmp_path)
    for (name, text), kind in zip(TEXT.items(), ("plain", "gzip", "bgzip", "gzip"), strict=True):
        (tmp_path / f"{name}.tagAlign").write_bytes(PACK[kind](text))
    return tmp_path


def run(folder: Path, *reads: str, **options: Any) -> list[FileOutcome]:
    given = {"genes": folder / "genes.tsv", "genome": folder / "small.sizes", "out": folder / "out"} | options
    return featurize([folder / name for name in reads] or [folder], **given)


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").iterdir() if not path.name.startswith("."))


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "out" / "summary.tsv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize(("jobs", "threads"), [(1, 1), (2, 4), (None, None), (9, 1)])
def test_every_file_in_its_column(jobs: int | None, threads: int | None, folder: Path) -> None:
    outcomes = run(folder, jobs=jobs, threads=threads)
    assert [(o.sample.epigenome, o.sample.mark) for o in outcomes] == [
        ("E1", "A"),
        ("E1", "B"),
        ("E2", "A"),
        ("E2", "B"),
    ]
    assert not any(outcome.error for outcome in outcomes)
    assert written(folder) == ["E1.parquet", "E2.parquet", "summary.tsv"]
    for epigenome in ("E1", "E2"):
        features = read_features(folder / "out" / f"{epigenome}.parquet")
        assert features.marks == ("A", "B")
        for m, mark in enumerate("AB"):
            assert (features.counts[:, :, m] == counts_of(TEXT[f"{epigenome}-{mark}"])).all()


def test_what_the_file_says_of_its_making(folder: Path) -> None:
    off = b"chrX\t1\t2\tN\t0\t+\n" + b"chr1\t249990\t250010\tN\t0\t+\n"
    raw = gzip.compress(TEXT["E1-A"] + off)
    (folder / "E1-A.tagAlign").write_bytes(raw)
    run(folder, "E1-A.tagAlign", options=ReadOptions(unknown_chrom="skip"), flank=4000, bin_size=50)
    document = read_features(folder / "out" / "E1.parquet").metadata
    source = document["sources"]["A"]
    assert source["sha256"] == hashlib.sha256(raw).hexdigest()
    assert source["bytes"] == len(raw)
    assert (source["name"], source["format"]) == ("E1-A.tagAlign", "BED")
    assert source["reads"] == 602
    assert source["reads_off_genome"] == {"chrX": 1}
    assert source["reads_past_end"] == 1
    assert source["read_length_bp"] == {"min": 1, "mean": (600 * 36 + 1 + 20) / 602, "max": 36}
    assert (document["flank"], document["bin_size"], document["n_bins"]) == (4000, 50, 160)
    assert (document["epigenome"], document["genome"]) == ("E1", "small.sizes")
    assert document["options"]["unknown_chrom"] == "skip"


def test_the_summary(folder: Path) -> None:
    (folder / "E2-B.tagAlign").write_bytes(b"chr1\t5\n")
    run(folder)
    rows = table(folder)
    assert tuple(rows[0]) == SUMMARY_COLUMNS
    assert SUMMARY_COLUMNS[:3] == ("epigenome", "mark", "reads")
    assert [row["status"] for row in rows[:3]] == ["done"] * 3
    first = rows[0]
    assert first["reads"] == "600"
    assert 0 < int(first["reads_in_windows"]) < 600
    assert float(first["fraction_in_windows"]) == pytest.approx(int(first["reads_in_windows"]) / 600, abs=1e-6)
    assert float(first["seconds"]) >= 0
    bad = rows[3]
    assert bad["status"].startswith(f"failed: {folder / 'E2-B.tagAlign'}: line 1: fewer than three")
    assert {bad[name] for name in SUMMARY_COLUMNS[2:-1]} == {""}


@pytest.mark.campaign("one-bad")
def test_one_bad_file_among_several(folder: Path) -> None:
    """Its epigenome is not written, an old one of that name stands; the others are."""
    run(folder, "E1-A.tagAlign", "E1-B.tagAlign")
    old = (folder / "out" / "E1.parquet").read_bytes()
    (folder / "E1-A.tagAlign").write_bytes(PACK["gzip"](TEXT["E1-A"])[:-5])
    outcomes = run(folder, force=True)
    assert [type(o.error) for o in outcomes] == [BadDataError, type(None), type(None), type(None)]
    assert "truncated" in str(outcomes[0].error)
    assert (folder / "out" / "E1.parquet").read_bytes() == old
    assert written(folder) == ["E1.parquet", "E2.parquet", "summary.tsv"]
    assert (read_features(folder / "out" / "E2.parquet").counts[:, :, 0] == counts_of(TEXT["E2-A"])).all()
    assert [row["status"][:6] for row in table(folder)] == ["failed", "done", "done", "done"]


@pytest.mark.campaign("names")
def test_a_path_that_is_not_text(folder: Path) -> None:
    odd = folder / "odd\udcff"
    odd.mkdir()
    (odd / "E3-A.bed").write_bytes(b"x\n")
    (outcome,) = run(folder, "odd\udcff")
    assert outcome.error
    assert "odd\\udcff/E3-A.bed: line 1" in table(folder)[0]["status"]


def test_the_order_of_marks(folder: Path) -> None:
    run(folder, marks=["B", "A"])
    features = read_features(folder / "out" / "E1.parquet")
    assert features.marks == ("B", "A")
    assert (features.counts[:, :, 0] == counts_of(TEXT["E1-B"])).all()
    run(folder, marks=["B"], force=True)
    assert read_features(folder / "out" / "E1.parquet").marks == ("B",)
    (folder / "E2-B.tagAlign").unlink()
    run(folder, force=True)
    assert read_features(folder / "out" / "E2.parquet").marks == ("A",)


@pytest.mark.campaign("names")
@pytest.mark.parametrize(
    ("marks", "error", "message"),
    [
        (["A", "C"], UsageError, "^E1: no reads of C$"),
        (["A", "B", "A"], UsageError, "names a mark twice"),
        (["A", "../B"], BadDataError, "'../B' cannot name a mark"),
        (["A", ""], BadDataError, "cannot name a mark"),
    ],
)
def test_marks_that_cannot_be(marks: Sequence[str], error: type[Exception], message: str, folder: Path) -> None:
    with pytest.raises(error, match=message):
        run(folder, marks=marks)
    assert not (folder / "out").exists()


def test_a_mark_that_one_epigenome_lacks(folder: Path) -> None:
    (folder / "E2-B.tagAlign").unlink()
    with pytest.raises(UsageError, match=r"^E2: no reads of B$"):
        run(folder, marks=["A", "B"])


@pytest.mark.campaign("naming")
def test_other_names_than_the_genome_has(folder: Path) -> None:
    """1 for chr1: an error that names them; nothing written unless asked for."""
    text = TEXT["E1-A"].replace(b"chr", b"")
    (folder / "E1-A.tagAlign").write_bytes(text)
    (outcome,) = run(folder, "E1-A.tagAlign")
    ones, twos = text.count(b"\n1\t") + text.startswith(b"1\t"), text.count(b"\n2\t") + text.startswith(b"2\t")
    message = str(outcome.error)
    assert "600 of 600 reads lie on chromosomes that small.sizes does not have" in message
    assert f"'1' ({ones} reads)" in message
    assert f"'2' ({twos} reads)" in message
    assert "its names are like 'chr1'" in message
    assert written(folder) == ["summary.tsv"]
    (outcome,) = run(folder, "E1-A.tagAlign", options=ReadOptions(unknown_chrom="skip"))
    assert "only 0 of 600 reads lie on the genes' chromosomes (chr1, chr2)" in str(outcome.error)
    (outcome,) = run(folder, "E1-A.tagAlign", options=ReadOptions(unknown_chrom="bedtools"))
    assert outcome.error is None
    as_bedtools = b"\n".join(b"chr1" + line[1:] for line in text.splitlines()) + b"\n"
    assert (read_features(folder / "out" / "E1.parquet").counts[:, :, 0] == counts_of(as_bedtools)).all()
    with pytest.raises(UsageError, match="unknown_chrom='guess': choose one of error, skip, bedtools"):
        run(folder, options=ReadOptions(unknown_chrom="guess"))


@pytest.mark.campaign("naming")
def test_hardly_a_read_on_the_genes_chromosomes(folder: Path) -> None:
    """Under 1 % is refused, 1 % is not."""
    (folder / "small.sizes").write_text("chr1\t250000\nchr2\t240000\nchr3\t9000\n")
    elsewhere = b"chr3\t50\t86\tN\t0\t+\n"
    here = b"chr1\t50\t86\tN\t0\t+\n"
    for n, refused in ((100, True), (99, False)):
        (folder / "E1-A.tagAlign").write_bytes(elsewhere * n + here)
        (outcome,) = run(folder, "E1-A.tagAlign", force=True)
        assert (outcome.error is not None) == refused
    (folder / "E1-A.tagAlign").write_bytes(elsewhere)
    (outcome,) = run(folder, "E1-A.tagAlign", force=True)
    assert "only 0 of 1 reads lie on the genes' chromosomes (chr1, chr2); are reads, genes and genome" in str(
        outcome.error
    )


@pytest.mark.campaign("naming")
def test_genes_of_another_genome(folder: Path) -> None:
    (folder / "genes.tsv").write_text("gene_id\tchrom\ttss\ng\t1\t20000\n")
    with pytest.raises(
        BadDataError, match=r"no gene lies on a chromosome of small\.sizes: the genes have '1', .*'chr1'"
    ):
        run(folder)
    assert not (folder / "out").exists()


@pytest.mark.campaign("empty")
def test_no_reads(folder: Path) -> None:
    (folder / "E1-A.tagAlign").write_bytes(b"")
    (outcome,) = run(folder, "E1-A.tagAlign")
    assert "not a single read in it; say --allow-empty" in str(outcome.error)
    (outcome,) = run(folder, "E1-A.tagAlign", options=ReadOptions(allow_empty=True))
    assert outcome.error is None
    assert outcome.row()["fraction_in_windows"] == 0
    features = read_features(folder / "out" / "E1.parquet")
    assert features.counts.shape == (10, 100, 1)
    assert not features.counts.any()
    assert features.metadata["sources"]["A"]["read_length_bp"] == {"min": 0, "mean": 0, "max": 0}


@pytest.mark.campaign("races")
def test_an_output_that_another_run_has_just_written(folder: Path) -> None:
    """Looking for it comes after the lock, or both would find nothing and the second would replace the first's."""
    seen = []

    def enter(out: Path, names: Sequence[str]) -> Any:
        seen.append((out / "E1.parquet").exists())
        out.mkdir()
        (out / "E1.parquet").touch()
        return output_lock(out, names)

    heard: list[ReuseDecision] = []
    listener = FeaturizeObserver()
    with patch("deepchrome.engine.features.featurize.exclusive", enter), patch.object(listener, "judged", heard.append):
        run(folder, observer=listener)
    assert seen == [False]
    assert [verdict.action for verdict in heard] == ["redo", "make"]


@pytest.mark.campaign("races")
def test_two_runs_on_one_output(folder: Path) -> None:
    """Whoever would write the same file is refused; who writes another, or has another directory, is not."""
    with output_lock(folder / "out", ["E1.parquet"]):
        with pytest.raises(StorageError, match=r"out/E1\.parquet: process \d+ of .* is writing there"):
            run(folder)
        assert len(run(folder, "E2-A.tagAlign", "E2-B.tagAlign")) == 2
    assert len(run(folder)) == 4


def test_what_is_checked_before_work_starts(folder: Path) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"genes": folder / "absent"}, MissingInputError, "absent"),
        ({"genome": folder / "absent"}, MissingInputError, "no such genome"),
        ({"samples": folder / "genes.tsv"}, UsageError, "or --samples TABLE"),
        ({"bin_size": 300}, UsageError, "must divide"),
        ({"edge": "cut"}, UsageError, "choose one of"),
        ({"edge": "error", "flank": 30_000}, BadDataError, "windows reach beyond"),
    ]
    with patch("deepchrome.engine.features.featurize.tally_reads", side_effect=AssertionError("work has started")):
        for options, error, message in cases:
            with pytest.raises(error, match=message):
                run(folder, **options)
        with pytest.raises(MissingInputError, match=r"absent-A\.bed"):
            run(folder, "E1-A.tagAlign", "absent-A.bed")
        with pytest.raises(StorageError, match="cannot be written"):
            run(folder, out=folder / "genes.tsv")
    assert not (folder / "out").exists()


def test_edges_and_rows_given_twice(folder: Path) -> None:
    with open(folder / "genes.tsv", "a") as file:
        file.write("edge\tS\tchr1\t100\t+\nlost\tS\tchrX\t100\t+\ng0\tS\tchr2\t70000\t-\n")
    run(folder, "E1-A.tagAlign")
    features = read_features(folder / "out" / "E1.parquet")
    assert features.genes.gene_id[-3:] == ("edge", "lost", "g0")
    assert not features.counts[10, :49].any()
    assert features.counts[10, 49:].any()
    assert not features.counts[11].any()
    assert features.metadata["genes_beyond_chromosome"] == ["edge"]
    assert features.metadata["genes_off_genome"] == ["lost"]
    run(folder, "E1-A.tagAlign", force=True, edge="drop", unique_genes=True)
    fewer = read_features(folder / "out" / "E1.parquet")
    assert fewer.genes.gene_id == (*(f"g{i}" for i in range(10)), "lost")
    assert fewer.metadata["genes_dropped"] == ["edge"]
    assert (fewer.counts == features.counts[[*range(10), 11]]).all()
    assert fewer.genes.tss[0] == GENES[0].tss


class Witness(FeaturizeObserver):
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.bytes: dict[Sample, int] = {}

    def planned(self, samples: Sequence[Sample], windows: Windows) -> None:
        self.heard.append(f"planned {len(samples)} {len(windows.genes)}")

    def advanced(self, sample: Sample, bytes_read: int, lines: int) -> None:
        self.bytes[sample] = bytes_read

    def finished(self, outcome: FileOutcome) -> None:
        self.heard.append("bad" if outcome.error else "good")


def test_an_observer_hears_it_all(folder: Path) -> None:
    (folder / "E1-A.tagAlign").write_bytes(b"x\n")
    witness = Witness()
    run(folder, observer=witness, jobs=1)
    assert witness.heard[0] == "planned 4 10"
    assert sorted(witness.heard[1:]) == ["bad", "good", "good", "good"]
    assert {s.path: n for s, n in witness.bytes.items()} == {
        str(folder / f"{name}.tagAlign"): (folder / f"{name}.tagAlign").stat().st_size for name in list(TEXT)[1:]
    }


@pytest.mark.campaign("interrupt")
def test_an_interrupt_ends_it(folder: Path) -> None:
    class Impatient(FeaturizeObserver):
        def finished(self, outcome: FileOutcome) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, observer=Impatient(), jobs=1)
    assert written(folder) == []
    assert len(run(folder)) == 4


@pytest.mark.campaign("disk")
def test_a_disk_that_is_full(folder: Path) -> None:
    """What stood there stands, nothing half written is left, and the lock is free."""
    run(folder)
    old = {path.name: path.read_bytes() for path in (folder / "out").glob("E*")}

    def write(table: Any, path: Path, **options: Any) -> None:
        Path(path).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    with (
        patch.object(store.pq, "write_table", write),
        pytest.raises(StorageError, match=r"E\d\.parquet: cannot be written .No space left on device"),
    ):
        run(folder, force=True)
    assert {path.name: path.read_bytes() for path in (folder / "out").glob("E*")} == old
    assert {path.name for path in (folder / "out").glob(".*")} <= {".deepchrome"}
    assert len(run(folder, force=True)) == 4


def test_a_fault_of_the_program_is_not_hidden(folder: Path) -> None:
    with (
        patch("deepchrome.engine.features.featurize._check_place", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        run(folder)
    assert written(folder) == []


def test_counts_are_let_go_of(folder: Path) -> None:
    outcomes = run(folder)
    # A view would hold on to all of them.
    assert all(o.tally is not None and not np.size(o.tally.counts) and o.tally.counts.base is None for o in outcomes)
