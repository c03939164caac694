"""Feature files with signal: bigWig files in featurize, float32 columns, and files that only have counts."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyBigWig
import pytest
from support.bigwig import exact_mean, random_runs, write_bigwig
from support.tiny import GENES, SIZES, counts_of, dc, reads_text, write_genes_and_sizes

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.features.provenance import ANY, counting_record
from deepchrome.engine.features.samples import find_samples
from deepchrome.engine.features.store import read_features, read_header, write_features
from deepchrome.engine.features.summary import FileOutcome
from deepchrome.engine.features.verify import verify
from deepchrome.errors import BadDataError

TEXT = reads_text(600)
TABLE = Genes(("a", "b"), ("", ""), ("chr1", "chr2"), np.array([5, 9], np.int64), ("+", "-"))
METADATA = {"n_bins": 3, "flank": 150, "bin_size": 100}
COUNTS = np.array([[0, 1, 2**24], [3, 4, 5]], np.uint32)
SIGNAL = np.array([[0, 0.1, 3e38], [-1.5, 1e-40, 7]], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a mark of reads and two of signal, one under a wrong suffix, and the genes."""
    write_genes_and_sizes(tmp_path)
    (tmp_path / "E1-A.bed").write_bytes(TEXT)
    write_bigwig(tmp_path / "E1-B.bw", SIZES, random_runs(SIZES, 1))
    write_bigwig(tmp_path / "E1-C.bigWig", SIZES, random_runs(SIZES, 2), "pybigtools")
    return tmp_path


def run(folder: Path, *reads: str, **options: object) -> list[FileOutcome]:
    given = {"genes": folder / "genes.tsv", "genome": folder / "small.sizes", "out": folder / "out"} | options
    return featurize([folder / name for name in reads] or [folder], **given)


def expected_signal(path: Path) -> np.ndarray:
    file = pyBigWig.open(str(path))
    starts = range(-5000, 5000, 100)
    return np.array([[exact_mean(file, g.chrom, g.tss + s, g.tss + s + 100) for s in starts] for g in GENES])


def test_counts_and_signal_in_one_epigenome(folder: Path) -> None:
    outcomes = run(folder)
    assert not any(outcome.error for outcome in outcomes)
    features = read_features(folder / "out" / "E1.parquet")
    assert features.marks == ("A", "B", "C")
    assert features.signal == ("B", "C")
    assert features.counts.dtype == np.float32
    assert (features.counts[:, :, 0] == counts_of(TEXT)).all()
    for m, name in ((1, "E1-B.bw"), (2, "E1-C.bigWig")):
        np.testing.assert_allclose(features.counts[:, :, m], expected_signal(folder / name), rtol=1e-6)
    assert features.metadata["format_version"] == 2
    source = features.metadata["sources"]["B"]
    assert (source["name"], source["format"], source["reads"]) == ("E1-B.bw", "bigWig", 0)
    assert source["bytes"] == (folder / "E1-B.bw").stat().st_size
    only = read_features(folder / "out" / "E1.parquet", ["A"])
    assert only.counts.dtype == np.uint32
    assert only.signal == ()
    types = pq.read_schema(folder / "out" / "E1.parquet")
    assert types.field("A").type == pa.list_(pa.uint32(), 100)
    assert types.field("B").type == pa.list_(pa.float32(), 100)


def test_a_bigwig_file_is_recognized_by_its_content(folder: Path) -> None:
    (folder / "E1-B.bw").rename(folder / "E2-B.bed")
    (outcome,) = run(folder, "E2-B.bed")
    assert outcome.tally is not None
    assert outcome.tally.format == "bigWig"
    assert read_features(folder / "out" / "E2.parquet").signal == ("B",)


def test_a_directory_has_its_bigwig_files_but_no_other_new_files(folder: Path) -> None:
    for name in ("E1-D.bwa.log", "E1-D.bw.md5", "E1-D.bwt", "D.bw"):
        (folder / name).touch()
    assert [sample.file_name for sample in find_samples([str(folder)])] == ["E1-A.bed", "E1-B.bw", "E1-C.bigWig"]


def test_a_rerun_keeps_the_file_until_the_signal_changes(folder: Path) -> None:
    run(folder)
    before = (folder / "out" / "E1.parquet").read_bytes()
    assert all(outcome.kept for outcome in run(folder))
    assert (folder / "out" / "E1.parquet").read_bytes() == before
    write_bigwig(folder / "E1-B.bw", SIZES, random_runs(SIZES, 9))
    assert not any(outcome.kept for outcome in run(folder))
    stored = read_features(folder / "out" / "E1.parquet").counts[:, :, 1]
    np.testing.assert_allclose(stored, expected_signal(folder / "E1-B.bw"), rtol=1e-6)


def test_one_damaged_bigwig_file(folder: Path) -> None:
    data = (folder / "E1-B.bw").read_bytes()
    (folder / "E1-B.bw").write_bytes(data[: len(data) // 2])
    errors = {outcome.sample.mark: outcome.error for outcome in run(folder) if outcome.error}
    assert list(errors) == ["B"]
    assert str(errors["B"]).startswith(f"{folder / 'E1-B.bw'}: damaged or truncated bigWig file (")
    assert not (folder / "out" / "E1.parquet").exists()


def test_options_for_reads_and_signal_do_not_go_together(folder: Path) -> None:
    outcomes = {outcome.sample.mark: outcome.error for outcome in run(folder, options=ReadOptions(strand="same"))}
    assert outcomes["A"] is None
    assert "so strand cannot apply to it" in str(outcomes["B"])


def test_options_for_alignments_had_no_effect_on_signal(folder: Path) -> None:
    run(folder)
    options = counting_record(read_features(folder / "out" / "E1.parquet").metadata)["options"]
    assert options["min_mapq"] == options["include_duplicates"] == ANY
    assert options["strand"] is None


def test_verify_recounts_only_reads(folder: Path) -> None:
    run(folder)
    sizes = folder / "small.sizes"
    (result,) = verify(folder / "out", find_samples([str(folder / "E1-A.bed")]), genome=sizes)
    assert result.agrees
    with pytest.raises(BadDataError, match=r"E1\.parquet: B is signal of a bigWig file, and has no reads"):
        verify(folder / "out", find_samples([str(folder / "E1-B.bw")]), genome=sizes)


def test_the_command_line(folder: Path) -> None:
    given = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / "out")
    assert dc("featurize", folder, *given).code == 0
    assert read_features(folder / "out" / "E1.parquet").signal == ("B", "C")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "E1.parquet"
    write_features(path, TABLE, {"A": COUNTS, "B": SIGNAL}, METADATA)
    return path


def test_signal_is_read_back_equal(path: Path) -> None:
    features = read_features(path)
    assert features.counts[:, :, 1].tobytes() == SIGNAL.tobytes()
    assert features.counts[:, :, 1].flags.c_contiguous
    assert (features.counts[:, :, 0] == COUNTS).all()
    assert read_header(path).signal == ("B",)
    document = features.metadata
    assert document["crc32"]["B"] == zlib.crc32(SIGNAL.astype("<f4").tobytes())
    assert (document["format_version"], document["signal"]) == (2, ["B"])


def test_counts_alone_are_stored_as_before(tmp_path: Path) -> None:
    path = tmp_path / "E1.parquet"
    write_features(path, TABLE, {"A": COUNTS}, METADATA)
    document = read_features(path).metadata
    assert document["format_version"] == 1
    assert "signal" not in document


def test_what_needs_reads_refuses_signal(path: Path) -> None:
    with pytest.raises(BadDataError, match="E1: B is signal, and this needs counts of reads"):
        read_features(path).read_counts()
    assert (read_features(path, ["A"]).read_counts()[:, :, 0] == COUNTS).all()


def test_a_count_that_float32_does_not_hold_is_refused_beside_signal(path: Path) -> None:
    more = COUNTS.copy()
    more[0, 2] += 1
    write_features(path, TABLE, {"A": more, "B": SIGNAL}, METADATA)
    with pytest.raises(BadDataError, match=r"a count of A is above 16,777,216, .* Read A without the marks that are"):
        read_features(path)
    assert (read_features(path, ["A"]).counts[:, :, 0] == more).all()


def with_column(values: np.ndarray, **changes: object) -> Callable[[pa.Table], pa.Table]:
    """Replace the column B, and parts of the metadata, with right checksums."""

    def change(table: pa.Table) -> pa.Table:
        document = json.loads(table.schema.metadata[b"deepchrome"])
        document["crc32"]["B"] = zlib.crc32(np.ascontiguousarray(values).data)
        document |= changes
        column = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 3)
        field = pa.field("B", column.type, nullable=False)
        table = table.set_column(table.column_names.index("B"), field, column)
        text = json.dumps(document).encode()
        return table.replace_schema_metadata({b"deepchrome": text, b"deepchrome_crc32": b"%d" % zlib.crc32(text)})

    return change


def spoil(value: float) -> np.ndarray:
    spoilt = SIGNAL.copy()
    spoilt[1, 1] = value
    return spoilt


SPOILT = {
    "NaN": (with_column(spoil(np.nan)), r"damaged \(a value of B is not a finite number\)"),
    "infinity": (with_column(spoil(-np.inf)), r"damaged \(a value of B is not a finite number\)"),
    "double": (with_column(SIGNAL.astype(np.float64)), "column B has type .*double.* \\(expected .*float"),
    "counts": (with_column(COUNTS), "column B has type .*uint32.* \\(expected .*float"),
    "version 1": (with_column(SIGNAL, format_version=1), "metadata is damaged"),
    "no signal": (with_column(COUNTS, signal=[]), "metadata is damaged"),
    "signal of an absent mark": (with_column(SIGNAL, signal=["B", "X"]), "metadata is damaged"),
    "signal as text": (with_column(SIGNAL, signal="B"), "metadata is damaged"),
}


@pytest.mark.campaign("features")
@pytest.mark.parametrize("how", SPOILT)
def test_a_changed_file_is_refused(how: str, path: Path) -> None:
    change, message = SPOILT[how]
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(BadDataError, match=f"^{path}: .*{message}"):
        read_features(path)


def test_the_changes_above_alone_are_no_fault(path: Path) -> None:
    pq.write_table(with_column(spoil(8.5))(pq.read_table(path)), path)
    assert read_features(path).counts[1, 1, 1] == 8.5
