"""featurize: counts, metadata, summary, errors before and during counting, locks and observers."""

import csv
import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

import numpy as np
import pytest
from support.tiny import GENES, PACK, counts_of, reads_text, write_genes_and_sizes

from deepchrome.common.locks import output_lock
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features import store
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.features.observer import FeaturizeObserver
from deepchrome.engine.features.resume import ReuseDecision
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.store import read_features
from deepchrome.engine.features.summary import SUMMARY_COLUMNS, FileOutcome
from deepchrome.errors import BadDataError, MissingInputError, StorageError, UsageError

TEXT = {name: reads_text(600, seed) for seed, name in enumerate(("E1-A", "E1-B", "E2-A", "E2-B"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with four files of reads, plain and compressed, and the genes."""
    write_genes_and_sizes(tmp_path)
    for (name, text), kind in zip(TEXT.items(), ("plain", "gzip", "bgzip", "gzip"), strict=True):
        (tmp_path / f"{name}.tagAlign").write_bytes(PACK[kind](text))
    return tmp_path


def run(folder: Path, *reads: str, **options: Any) -> list[FileOutcome]:
    given = {"genes": folder / "genes.tsv", "genome": folder / "small.sizes", "out": folder / "out"} | options
    return featurize([folder / name for name in reads] or [folder], **given)


def written(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "out").iterdir() if not path.name.startswith("."))


TABLES = ["deepchrome_chromosomes_mqc.json", "deepchrome_general_mqc.json", "deepchrome_lengths_mqc.json"]
TABLES += ["deepchrome_mqc.json", "qc.tsv", "summary.tsv"]


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "out" / "summary.tsv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize(("jobs", "threads"), [(1, 1), (2, 4), (None, None), (9, 1)])
def test_each_file_fills_its_column(jobs: int | None, threads: int | None, folder: Path) -> None:
    outcomes = run(folder, jobs=jobs, threads=threads)
    assert [(o.sample.epigenome, o.sample.mark) for o in outcomes] == [
        ("E1", "A"),
        ("E1", "B"),
        ("E2", "A"),
        ("E2", "B"),
    ]
    assert not any(outcome.error for outcome in outcomes)
    assert written(folder) == ["E1.parquet", "E2.parquet", *TABLES]
    for epigenome in ("E1", "E2"):
        features = read_features(folder / "out" / f"{epigenome}.parquet")
        assert features.marks == ("A", "B")
        for m, mark in enumerate("AB"):
            assert (features.counts[:, :, m] == counts_of(TEXT[f"{epigenome}-{mark}"])).all()


def test_metadata_of_a_feature_file(folder: Path) -> None:
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


def test_summary_of_good_and_bad_files(folder: Path) -> None:
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
    assert bad["status"].startswith(f"failed: {folder / 'E2-B.tagAlign'}:1: fewer than three")
    assert {bad[name] for name in SUMMARY_COLUMNS[2:-1]} == {""}


@pytest.mark.campaign("one-bad")
def test_bad_file_does_not_stop_the_others(folder: Path) -> None:
    """The epigenome of the bad file is not written, and its old feature file stays; the others are written."""
    run(folder, "E1-A.tagAlign", "E1-B.tagAlign")
    old = (folder / "out" / "E1.parquet").read_bytes()
    (folder / "E1-A.tagAlign").write_bytes(PACK["gzip"](TEXT["E1-A"])[:-5])
    outcomes = run(folder, force=True)
    assert [type(o.error) for o in outcomes] == [BadDataError, type(None), type(None), type(None)]
    assert "truncated" in str(outcomes[0].error)
    assert (folder / "out" / "E1.parquet").read_bytes() == old
    assert written(folder) == ["E1.parquet", "E2.parquet", *TABLES]
    assert (read_features(folder / "out" / "E2.parquet").counts[:, :, 0] == counts_of(TEXT["E2-A"])).all()
    assert [row["status"][:6] for row in table(folder)] == ["failed", "done", "done", "done"]


@pytest.mark.campaign("names")
def test_path_that_is_not_utf8_is_escaped_in_the_summary(folder: Path) -> None:
    odd = folder / "odd\udcff"
    odd.mkdir()
    (odd / "E3-A.bed").write_bytes(b"x\n")
    (outcome,) = run(folder, "odd\udcff")
    assert outcome.error
    assert "odd\\udcff/E3-A.bed:1: " in table(folder)[0]["status"]


def test_marks_select_and_order_the_columns(folder: Path) -> None:
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
        (["A", "B", "A"], UsageError, "^marks must name each mark once, got A,B,A$"),
        (["A", "../B"], BadDataError, "'../B' is not a valid name for a mark"),
        (["A", ""], BadDataError, "is not a valid name for a mark"),
    ],
)
def test_invalid_marks_are_refused(marks: Sequence[str], error: type[Exception], message: str, folder: Path) -> None:
    with pytest.raises(error, match=message):
        run(folder, marks=marks)
    assert not (folder / "out").exists()


def test_mark_missing_from_one_epigenome_is_refused(folder: Path) -> None:
    (folder / "E2-B.tagAlign").unlink()
    with pytest.raises(UsageError, match=r"^E2: no reads of B$"):
        run(folder, marks=["A", "B"])


@pytest.mark.campaign("naming")
def test_unknown_chromosomes_are_refused_skipped_or_placed_as_bedtools(folder: Path) -> None:
    """Chromosomes named 1 and 2 instead of chr1 and chr2 are an error that names them."""
    text = TEXT["E1-A"].replace(b"chr", b"")
    (folder / "E1-A.tagAlign").write_bytes(text)
    (outcome,) = run(folder, "E1-A.tagAlign")
    ones, twos = text.count(b"\n1\t") + text.startswith(b"1\t"), text.count(b"\n2\t") + text.startswith(b"2\t")
    message = str(outcome.error)
    assert "600 of 600 reads lie on chromosomes that small.sizes does not have" in message
    assert f"'1' ({ones} reads)" in message
    assert f"'2' ({twos} reads)" in message
    assert "Its names are like 'chr1'" in message
    assert written(folder) == ["qc.tsv", "summary.tsv"]
    (outcome,) = run(folder, "E1-A.tagAlign", options=ReadOptions(unknown_chrom="skip"))
    assert "only 0 of 600 reads lie on the genes' chromosomes (chr1, chr2)" in str(outcome.error)
    (outcome,) = run(folder, "E1-A.tagAlign", options=ReadOptions(unknown_chrom="bedtools"))
    assert outcome.error is None
    as_bedtools = b"\n".join(b"chr1" + line[1:] for line in text.splitlines()) + b"\n"
    assert (read_features(folder / "out" / "E1.parquet").counts[:, :, 0] == counts_of(as_bedtools)).all()
    with pytest.raises(UsageError, match=r"^unknown_chrom must be one of error, skip, bedtools, got 'guess'$"):
        run(folder, options=ReadOptions(unknown_chrom="guess"))


@pytest.mark.campaign("naming")
def test_reads_far_from_all_genes_are_refused(folder: Path) -> None:
    """Less than 1 % of the reads on the genes' chromosomes is refused, 1 % is accepted."""
    (folder / "small.sizes").write_text("chr1\t250000\nchr2\t240000\nchr3\t9000\n")
    elsewhere = b"chr3\t50\t86\tN\t0\t+\n"
    here = b"chr1\t50\t86\tN\t0\t+\n"
    for n, refused in ((100, True), (99, False)):
        (folder / "E1-A.tagAlign").write_bytes(elsewhere * n + here)
        (outcome,) = run(folder, "E1-A.tagAlign", force=True)
        assert (outcome.error is not None) == refused
    (folder / "E1-A.tagAlign").write_bytes(elsewhere)
    (outcome,) = run(folder, "E1-A.tagAlign", force=True)
    assert (
        "only 0 of 1 reads lie on the genes' chromosomes (chr1, chr2). Use reads, genes and a genome of the same"
        in str(outcome.error)
    )


@pytest.mark.campaign("naming")
def test_genes_of_another_genome_are_refused(folder: Path) -> None:
    (folder / "genes.tsv").write_text("gene_id\tchrom\ttss\ng\t1\t20000\n")
    with pytest.raises(
        BadDataError, match=r"^small\.sizes: no gene lies on a chromosome of this genome \(the genes have '1', .*'chr1'"
    ):
        run(folder)
    assert not (folder / "out").exists()


@pytest.mark.campaign("empty")
def test_file_without_reads_is_refused_unless_allowed(folder: Path) -> None:
    (folder / "E1-A.tagAlign").write_bytes(b"")
    (outcome,) = run(folder, "E1-A.tagAlign")
    assert str(outcome.error).endswith("no reads in this file")
    (outcome,) = run(folder, "E1-A.tagAlign", options=ReadOptions(allow_empty=True))
    assert outcome.error is None
    assert outcome.row()["fraction_in_windows"] == 0
    features = read_features(folder / "out" / "E1.parquet")
    assert features.counts.shape == (10, 100, 1)
    assert not features.counts.any()
    assert features.metadata["sources"]["A"]["read_length_bp"] == {"min": 0, "mean": 0, "max": 0}


@pytest.mark.campaign("races")
def test_existing_output_is_looked_for_under_the_lock(folder: Path) -> None:
    """Otherwise two runs could find no output, and the second would replace the output of the first."""
    seen = []

    def enter(out: Path, names: Sequence[str]) -> Any:
        seen.append((out / "E1.parquet").exists())
        out.mkdir()
        (out / "E1.parquet").touch()
        return output_lock(out, names)

    decisions: list[ReuseDecision] = []
    observer = FeaturizeObserver()
    with (
        patch("deepchrome.engine.features.featurize.output_lock", enter),
        patch.object(observer, "on_decision", decisions.append),
    ):
        run(folder, observer=observer)
    assert seen == [False]
    assert [decision.action for decision in decisions] == ["redo", "make"]


@pytest.mark.campaign("races")
def test_lock_is_per_feature_file(folder: Path) -> None:
    """A run that would write the same file is refused; a run that writes other files is not."""
    with output_lock(folder / "out", ["E1.parquet"]):
        with pytest.raises(StorageError, match=r"out/E1\.parquet: process \d+ of .* is writing there"):
            run(folder)
        assert len(run(folder, "E2-A.tagAlign", "E2-B.tagAlign")) == 2
    assert len(run(folder)) == 4


def test_bad_parameters_are_refused_before_counting(folder: Path) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"genes": folder / "absent"}, MissingInputError, "absent"),
        ({"genome": folder / "absent"}, MissingInputError, "absent: no such file or directory. Give one of hg19, hg38"),
        ({"samples": folder / "genes.tsv"}, UsageError, "^give either files of reads or a table of samples$"),
        ({"bin_size": 300}, UsageError, "must divide"),
        ({"edge": "cut"}, UsageError, "edge must be one of"),
        ({"edge": "error", "flank": 30_000}, BadDataError, "bins wholly outside their chromosome"),
    ]
    with patch("deepchrome.engine.features.count_sample.tally_reads", side_effect=AssertionError("counting has begun")):
        for options, error, message in cases:
            with pytest.raises(error, match=message):
                run(folder, **options)
        with pytest.raises(MissingInputError, match=r"absent-A\.bed"):
            run(folder, "E1-A.tagAlign", "absent-A.bed")
        (folder / "file").touch()
        with pytest.raises(StorageError, match="cannot be written"):
            run(folder, "E1-A.tagAlign", out=folder / "file")
    assert not (folder / "out").exists()


def test_genes_at_edges_and_repeated_genes(folder: Path) -> None:
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


class RecordingObserver(FeaturizeObserver):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.bytes: dict[Sample, int] = {}

    def on_plan(self, samples: Sequence[Sample], windows: Windows) -> None:
        self.events.append(f"planned {len(samples)} {len(windows.genes)}")

    def on_progress(self, sample: Sample, bytes_read: int, lines: int) -> None:
        self.bytes[sample] = bytes_read

    def on_finish(self, outcome: FileOutcome) -> None:
        self.events.append("bad" if outcome.error else "good")


def test_observer_receives_plan_progress_and_outcomes(folder: Path) -> None:
    (folder / "E1-A.tagAlign").write_bytes(b"x\n")
    observer = RecordingObserver()
    run(folder, observer=observer, jobs=1)
    assert observer.events[0] == "planned 4 10"
    assert sorted(observer.events[1:]) == ["bad", "good", "good", "good"]
    assert {s.path: n for s, n in observer.bytes.items()} == {
        str(folder / f"{name}.tagAlign"): (folder / f"{name}.tagAlign").stat().st_size for name in list(TEXT)[1:]
    }


@pytest.mark.campaign("interrupt")
def test_interrupt_ends_the_run(folder: Path) -> None:
    class InterruptingObserver(FeaturizeObserver):
        def on_finish(self, outcome: FileOutcome) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(folder, observer=InterruptingObserver(), jobs=1)
    assert written(folder) == []
    assert len(run(folder)) == 4


@pytest.mark.campaign("disk")
def test_full_disk_leaves_old_output_and_frees_the_lock(folder: Path) -> None:
    """Old feature files stay, no partial file is left, and the lock is free."""
    run(folder)
    old = {path.name: path.read_bytes() for path in (folder / "out").glob("E*")}

    def write(table: Any, file: BinaryIO, **options: Any) -> None:
        file.write(b"PAR1")
        raise OSError(28, "No space left on device")

    with (
        patch.object(store.pq, "write_table", write),
        pytest.raises(StorageError, match=r"E\d\.parquet: cannot be written .No space left on device"),
    ):
        run(folder, force=True)
    assert {path.name: path.read_bytes() for path in (folder / "out").glob("E*")} == old
    assert {path.name for path in (folder / "out").glob(".*")} <= {".deepchrome"}
    assert len(run(folder, force=True)) == 4


def test_internal_error_is_raised(folder: Path) -> None:
    with (
        patch("deepchrome.engine.features.count_sample._check_gene_chromosomes", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        run(folder)
    assert written(folder) == []


def test_counts_are_released_after_writing(folder: Path) -> None:
    outcomes = run(folder)
    # A view would keep all counts in memory.
    assert all(o.tally is not None and not np.size(o.tally.counts) and o.tally.counts.base is None for o in outcomes)


@pytest.mark.campaign("strangers")
@pytest.mark.parametrize("name", ["summary.tsv", "E1.parquet"])
@pytest.mark.parametrize("table", ["samples", "genes", "genome"])
def test_output_never_replaces_an_input(name: str, table: str, folder: Path) -> None:
    (folder / "out").mkdir()
    samples = "epigenome\tmark\tpath\nE1\tA\t" + str(folder / "E1-A.tagAlign") + "\n"
    content = {
        "samples": samples,
        "genes": (folder / "genes.tsv").read_text(),
        "genome": (folder / "small.sizes").read_text(),
    }[table]
    (folder / "out" / name).write_text(content)
    given: dict[str, Any] = {"genes": folder / "genes.tsv", "genome": folder / "small.sizes"}
    reads = [] if table == "samples" else [folder / "E1-A.tagAlign"]
    with pytest.raises(UsageError, match="this output would replace an input"):
        featurize(reads, **{**given, table: folder / "out" / name}, out=folder / "out", force=True)
    assert (folder / "out" / name).read_text() == content


@pytest.mark.parametrize("missing", ["bytes", "sha256", "name"])
def test_incomplete_record_of_reads_is_counted_again(missing: str, folder: Path) -> None:
    """Another program may have written the file. Its counts cannot be compared with the reads."""
    run(folder, "E1-A.tagAlign")
    path = folder / "out" / "E1.parquet"
    stored = read_features(path)
    metadata = {key: value for key, value in stored.metadata.items() if key != "crc32"}
    metadata["sources"] = {"A": {k: v for k, v in metadata["sources"]["A"].items() if k != missing}}
    store.write_features(path, stored.genes, {"A": np.zeros_like(stored.counts[:, :, 0])}, metadata)
    run(folder, "E1-A.tagAlign")
    assert (read_features(path).counts == stored.counts).all()
