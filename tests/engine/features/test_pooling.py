"""Pooled files: the sum of their counts, each file once, and metadata that name all of them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from oracle import bedtools
from support.cluster import cluster
from support.tiny import GENES, SIZES, bgzip, counts_of, dc, featurize, reads_text, write_genes_and_sizes

from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.pooling import SamplePool, pool_records, records_of
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.store import read_features
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.profile import profile_features

TEXTS = [reads_text(n, seed) for n, seed in ((1500, 1), (700, 2), (300, 3))]
NAMES = ("E1-A.rep1.tagAlign.gz", "E1-A.rep2.bed", "E1-A.rep3.bed.gz")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_genes_and_sizes(tmp_path)
    for name, text, pack in zip(NAMES, TEXTS, (gzip.compress, bytes, bgzip), strict=True):
        (tmp_path / name).write_bytes(pack(text))
    (tmp_path / "E1-B.bed").write_bytes(reads_text(400, 9))
    return tmp_path


def stored(folder: Path, out: str = "out") -> Any:
    return read_features(folder / out / "E1.parquet")


def status(folder: Path) -> list[list[str]]:
    lines = (folder / "out" / "summary.tsv").read_text().splitlines()
    return [[row.split("\t")[i] for i in (0, 1, 2, 3, -1)] for row in lines[1:]]


def test_counts_add_up(folder: Path) -> None:
    ran = featurize(folder, *(folder / name for name in NAMES), folder / "E1-B.bed", "--pool")
    assert ran.code == 0, ran.err
    features = stored(folder)
    assert features.marks == ("A", "B")
    assert (features.counts[:, :, 0] == sum(map(counts_of, TEXTS))).all()
    assert (features.counts[:, :, 0] == counts_of(b"".join(TEXTS))).all()
    assert (features.counts[:, :, 1] == counts_of(reads_text(400, 9))).all()
    in_windows = str(features.metadata["sources"]["A"]["reads_in_windows"])
    assert status(folder)[0] == ["E1", "A", "2500", in_windows, "done"]
    assert [row[:3] for row in status(folder)] == [["E1", "A", "2500"], ["E1", "B", "400"]]
    assert [line.split("\t")[:3] for line in ran.out.splitlines()[1:]] == [row[:3] for row in status(folder)]


@pytest.mark.bedtools
def test_bam_and_tagalign_equal_bedtools_on_the_merged_file(folder: Path) -> None:
    """The counts of ``bedtools multicov`` on what ``samtools merge`` makes of both files."""
    bams = []
    for i, text in enumerate(TEXTS[:2]):
        (folder / str(i)).mkdir()
        bams.append(bedtools.bed_to_bam(text, SIZES, folder / str(i)))
    bams[1].rename(folder / "E1-A.rep2.bam")
    merged = folder / "merged.bam"
    bedtools.run("samtools", "merge", "-o", merged, bams[0], folder / "E1-A.rep2.bam")
    bedtools.run("samtools", "index", merged)
    expected = bedtools.multicov(merged, GENES, SIZES, 5000, 100, folder)
    assert featurize(folder, folder / NAMES[0], folder / "E1-A.rep2.bam", "--pool").code == 0
    features = stored(folder)
    assert features.counts[:, :, 0].tolist() == expected
    assert features.counts.sum() > 0
    source = features.metadata["sources"]["A"]
    assert source["format"] == "BAM+BED"
    assert [record["format"] for record in source["pooled"]] == ["BED", "BAM"]


def test_metadata_list_all_files(folder: Path) -> None:
    """The order of the files and the number of threads do not matter. A mark with one file has the old form."""
    paths = [folder / name for name in NAMES]
    for out, order, options in (("out", [0, 1, 2], ()), ("again", [2, 0, 1], ("--jobs", "1"))):
        given = (*(paths[i] for i in order), folder / "E1-B.bed", "--pool", *options)
        assert featurize(folder, *given, out=out).code == 0
    assert (folder / "out" / "E1.parquet").read_bytes() == (folder / "again" / "E1.parquet").read_bytes()
    sources = stored(folder).metadata["sources"]
    pooled = sources["A"]["pooled"]
    assert [record["name"] for record in pooled] == sorted(NAMES)
    assert records_of(sources["A"]) == pooled
    for name, text in zip(NAMES, TEXTS, strict=True):
        alone = folder / f"alone-{name}"
        assert featurize(folder, folder / name, out=alone.name).code == 0
        (record,) = (record for record in pooled if record["name"] == name)
        assert record == stored(folder, alone.name).metadata["sources"]["A"]
        assert record["reads"] == text.count(b"\n")
    for key in ("reads", "reads_in_windows", "reads_past_end", "reads_filtered", "bytes"):
        assert sources["A"][key] == sum(record[key] for record in pooled)
    assert sources["A"]["read_length_bp"] == {"min": 36, "mean": 36.0, "max": 36}
    assert records_of(sources["B"]) == [sources["B"]]
    assert featurize(folder, folder / "E1-B.bed", out="single").code == 0
    assert stored(folder, "single").metadata["sources"]["B"] == sources["B"]


def test_files_of_one_sample_need_the_option(folder: Path) -> None:
    ran = featurize(folder, *(folder / name for name in NAMES))
    assert ran.code == 2
    assert f"{folder / NAMES[1]}: E1 A is given twice (also by {folder / NAMES[0]}). Use --pool" in ran.err
    assert not (folder / "out").exists()


def test_all_files_of_a_named_sample_are_pooled(folder: Path) -> None:
    ran = featurize(folder, *(folder / name for name in NAMES[:2]), "--name", "liver-K4", "--pool")
    assert ran.code == 0, ran.err
    counts = read_features(folder / "out" / "liver.parquet").counts
    assert (counts[:, :, 0] == counts_of(TEXTS[0] + TEXTS[1])).all()
    assert "applies to a single file" in featurize(folder, *(folder / n for n in NAMES[:2]), "--name", "a-b").err


@pytest.mark.parametrize("how", ["again", "link", "copy", "compressed"])
def test_the_same_reads_twice_are_refused(how: str, folder: Path) -> None:
    """The same path, a link to it, a copy under another name, and the same reads compressed in another way."""
    first, second = folder / NAMES[0], folder / "E1-A.other.bed"
    if how == "again":
        second = folder / "." / NAMES[0]
    elif how == "link":
        second.symlink_to(first)
    else:
        second.write_bytes(first.read_bytes() if how == "copy" else TEXTS[0])
    (folder / "E2-A.bed").write_bytes(TEXTS[1])
    ran = featurize(folder, first, second, folder / "E2-A.bed", "--pool")
    assert "would count twice. Give every file of reads once" in ran.err
    if how in {"again", "link"}:
        assert ran.code == 2
        assert not (folder / "out").exists()
        return
    assert ran.code == 65
    assert not (folder / "out" / "E1.parquet").exists()
    assert (folder / "out" / "E2.parquet").exists()
    same = "the same file as" if how == "copy" else "the same reads as"
    assert status(folder)[0][4].startswith("failed: ")
    assert same in status(folder)[0][4]
    assert status(folder)[0][2:4] == ["", ""]


def test_few_reads_may_be_equal(folder: Path) -> None:
    """Files without telling numbers of reads are only compared by their content."""
    (folder / "E1-A.x.bed").write_bytes(b"chr1\t20000\t20036\n")
    (folder / "E1-A.y.bed").write_bytes(b"chr1\t20001\t20036\n")
    assert featurize(folder, folder / "E1-A.x.bed", folder / "E1-A.y.bed", "--pool").code == 0
    assert stored(folder).counts.max() == 2


def test_one_bad_file_fails_the_sample(folder: Path) -> None:
    (folder / NAMES[1]).write_bytes(b"chr1\t5\t3\n")
    ran = featurize(folder, *(folder / name for name in NAMES), folder / "E1-B.bed", "--pool")
    assert ran.code == 65
    assert not (folder / "out" / "E1.parquet").exists()
    (a, b) = status(folder)
    assert a[:4] == ["E1", "A", "", ""]
    assert a[4].startswith(f"failed: {folder / NAMES[1]}:1: the end lies before the start")
    assert b == ["E1", "B", "400", b[3], "done"]
    (folder / NAMES[2]).write_bytes(b"chr1\t5\t3\n")
    featurize(folder, *(folder / name for name in NAMES), "--pool")
    assert status(folder)[0][4].endswith("; so have 1 other files")


def test_pooled_features_are_kept_while_every_file_is_the_same(folder: Path) -> None:
    paths = [folder / name for name in NAMES]
    again = [*paths, folder / "E1-B.bed", "--pool"]
    assert featurize(folder, *again).code == 0
    before, rows = (folder / "out" / "E1.parquet").read_bytes(), (folder / "out" / "summary.tsv").read_text()

    ran = featurize(folder, *reversed(paths), folder / "E1-B.bed", "--pool")
    assert "E1: up to date, kept" in ran.err
    assert (folder / "out" / "E1.parquet").read_bytes() == before
    assert (folder / "out" / "summary.tsv").read_text() == rows

    paths[1].write_bytes(TEXTS[1].replace(b"chr1", b"chr2"))
    ran = featurize(folder, *again)
    assert f"E1: counted again: A: {NAMES[1]}: its reads have changed (different SHA-256)" in ran.err
    changed = TEXTS[0] + TEXTS[1].replace(b"chr1", b"chr2") + TEXTS[2]
    assert (stored(folder).counts[:, :, 0] == counts_of(changed)).all()

    ran = featurize(folder, *paths[:2], folder / "E1-B.bed", "--pool")
    assert "E1: counted again: A: counted from 3 files of reads, now 2" in ran.err
    ran = featurize(folder, paths[0], folder / "E1-B.bed")
    assert "E1: counted again: A: counted from 2 files of reads, now 1" in ran.err
    assert "pooled" not in stored(folder).metadata["sources"]["A"]
    ran = featurize(folder, *again)
    assert "E1: counted again: A: counted from 1 file of reads, now 3" in ran.err
    assert (stored(folder).counts[:, :, 0] == counts_of(changed)).all()


def test_a_file_is_not_kept_in_place_of_another(folder: Path) -> None:
    """Two copies of one of the pooled files are not the pooled files."""
    paths = [folder / name for name in NAMES[:2]]
    assert featurize(folder, *paths, "--pool").code == 0
    paths[1].write_bytes(paths[0].read_bytes())
    assert featurize(folder, *paths, "--pool").code == 65


def test_verify_sums_the_files(folder: Path) -> None:
    """Files are found by name, or by content under another name; each must be given."""
    paths = [folder / name for name in NAMES]
    assert featurize(folder, *paths, "--pool").code == 0

    def verify(*reads: Path) -> Any:
        return dc("verify", folder / "out", *reads, "--genome", folder / "small.sizes")

    ran = verify(*paths)
    assert ran.code == 0, ran.err
    assert "2500 reads (2500 stored)\tequal" in ran.out
    assert f"A was pooled from 3 files. Give the others, too ({NAMES[2]})" in verify(*paths[:2]).err
    (folder / "E1-A.strange.bed").write_bytes(TEXTS[1] + TEXTS[1][:40])
    assert (
        "E1-A.strange.bed: not one of the files of which A was pooled"
        in verify(*paths, folder / "E1-A.strange.bed").err
    )
    paths[1].rename(folder / "E1-A.renamed.bed")
    assert verify(paths[0], folder / "E1-A.renamed.bed", paths[2]).code == 0
    (folder / "E1-A.renamed.bed").write_bytes(TEXTS[1].replace(b"chr1", b"chr2"))
    assert verify(paths[0], folder / "E1-A.renamed.bed", paths[2]).code == 65
    (folder / "E1-A.renamed.bed").rename(paths[1])
    ran = verify(*paths)
    assert ran.code == 65
    assert "DIFFERENT" in ran.out


def test_the_cluster_pools(folder: Path) -> None:
    pytest.importorskip("distributed", reason="needs Dask: pip install 'deepchrome[cluster]'")
    with cluster(folder / "cluster") as started:
        paths = [folder / name for name in NAMES]
        assert featurize(folder, *paths, "--pool").code == 0
        assert featurize(folder, *paths, "--pool", "--scheduler", started.file, out="far").code == 0
    assert (folder / "out" / "E1.parquet").read_bytes() == (folder / "far" / "E1.parquet").read_bytes()


def test_quality_has_a_row_per_file(folder: Path) -> None:
    """Files with equal names in two directories are told apart."""
    (folder / "more").mkdir()
    (folder / "more" / NAMES[1]).write_bytes(TEXTS[2])
    assert featurize(folder, *(folder / name for name in NAMES[:2]), folder / "more" / NAMES[1], "--pool").code == 0
    rows = [line.split("\t") for line in (folder / "out" / "qc.tsv").read_text().splitlines()]
    assert [row[:3] for row in rows[1:]] == [
        ["E1", "A", NAMES[0]],
        ["E1", "A", NAMES[1]],
        ["E1", "A", f"{NAMES[1]} (2)"],
    ]
    assert sorted(int(row[rows[0].index("reads")]) for row in rows[1:]) == [300, 700, 1500]
    section = json.loads((folder / "out" / "deepchrome_mqc.json").read_text())
    assert sorted(section["data"][0]) == [f"E1-A {row[2]}" for row in rows[1:]]
    before = (folder / "out" / "qc.tsv").read_text()
    assert featurize(folder, *(folder / name for name in NAMES[:2]), folder / "more" / NAMES[1], "--pool").code == 0
    assert (folder / "out" / "qc.tsv").read_text() == before


def test_trainer_reads_pooled_numbers(folder: Path) -> None:
    """The profile of pooled features is that of a file with all reads."""
    (folder / "whole-A.bed").write_bytes(b"".join(TEXTS))
    assert featurize(folder, *(folder / name for name in NAMES), "--pool").code == 0
    assert featurize(folder, folder / "whole-A.bed").code == 0
    assert profile_features(stored(folder)) == profile_features(read_features(folder / "out" / "whole.parquet"))


@pytest.mark.parametrize(
    "break_it",
    [
        lambda source: source | {"pooled": 3},
        lambda source: source | {"pooled": [3]},
        lambda source: source | {"pooled": [source]},
        lambda source: source | {"pooled": [source["pooled"][0] | {"reads": -1}]},
    ],
)
def test_damaged_records_are_refused(break_it: Callable[[Any], Any], folder: Path) -> None:
    """Valid checksums do not make valid metadata."""
    import zlib

    assert featurize(folder, *(folder / name for name in NAMES), "--pool").code == 0
    path = folder / "out" / "E1.parquet"
    table = pq.read_table(path)
    document = json.loads(table.schema.metadata[b"deepchrome"])
    document["sources"]["A"] = break_it(document["sources"]["A"])
    text = json.dumps(document).encode()
    metadata = {b"deepchrome": text, b"deepchrome_crc32": b"%d" % zlib.crc32(text)}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(BadDataError, match="the 'deepchrome' metadata is damaged"):
        read_features(path)


def tally(counts: list[int], sha256: str, in_windows: int = 0, dtype: str = "uint32") -> ReadTally:
    values = np.array([counts], dtype)
    return ReadTally(values, 0, in_windows, 0, {}, 0, 0, 0, 0.0, 0, "BED", 0, sha256, None, 1.0)


def test_sum_beyond_32_bits_is_refused() -> None:
    pool = SamplePool(3)
    pool.add(Sample("E", "M", "a"), tally([2**31, 0], "1"))
    pool.add(Sample("E", "M", "b"), tally([2**31 - 1, 5], "2"))
    assert pool.counts is not None
    assert pool.counts.tolist() == [[2**32 - 1, 5]]
    with pytest.raises(BadDataError, match=r"^c: pooled with the files before it, a bin has 4,294,967,296 reads"):
        pool.add(Sample("E", "M", "c"), tally([1, 0], "3"))


def test_signal_is_not_pooled() -> None:
    SamplePool(1).add(Sample("E", "M", "a"), tally([1], "1", dtype="float32"))
    with pytest.raises(BadDataError, match="a: signal cannot be pooled"):
        SamplePool(2).add(Sample("E", "M", "a"), tally([1], "1", dtype="float32"))


def test_records_add_up() -> None:
    record = {
        "name": "b",
        "format": "BED",
        "bytes": 5,
        "sha256": "x",
        "reads": 3,
        "reads_in_windows": 2,
        "reads_off_genome": {"1": 3, "": 1},
        "reads_past_end": 1,
        "reads_filtered": 0,
        "read_length_bp": {"min": 10, "mean": 20.0, "max": 30},
    }
    empty = record | {
        "name": "a",
        "reads": 0,
        "reads_off_genome": {},
        "read_length_bp": {"min": 0, "mean": 0, "max": 0},
    }
    long = record | {
        "name": "c",
        "format": "BAM",
        "reads": 1,
        "reads_off_genome": {"2": 9, "1": 2},
        "read_length_bp": {"min": 40, "mean": 40.0, "max": 40},
    }
    assert pool_records([record]) is record
    pooled = pool_records([long, record, empty])
    assert pooled["read_length_bp"] == {"min": 10, "mean": 25.0, "max": 40}
    assert list(pooled["reads_off_genome"].items()) == [("2", 9), ("1", 5), ("", 1)]
    assert (pooled["reads"], pooled["bytes"], pooled["format"]) == (4, 15, "BAM+BED")
    assert records_of(pooled) == [empty, record, long]
    assert pool_records([empty, empty | {"name": "d"}])["read_length_bp"] == {"min": 0, "mean": 0.0, "max": 0}
