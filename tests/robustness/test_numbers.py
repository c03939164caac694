"""Limits: one or no gene, one bin, equal or invalid RPKM, and counts beyond 32 bits."""

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from campaign.rows import FULL
from oracle import naive
from support.engine import windows
from support.tiny import CommandResult, dc, featurize, write_genes_and_sizes

from deepchrome.engine.counting import formats
from deepchrome.engine.counting.count import count_reads, tally_reads
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.store import read_features
from deepchrome.engine.streams import blocks
from deepchrome.errors import BadDataError

LARGEST = 2**32 - 1
WINDOWS = windows([naive.Gene("c", 101)], {"c": 1000}, flank=2, bin_size=2)  # bins [99, 101) [101, 103)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_genes_and_sizes(tmp_path)
    return tmp_path


@pytest.mark.campaign("overflow")
@pytest.mark.parametrize("n", [2**16 - 1, 2**16, 2**16 + 1, 300_000])
def test_counts_past_16_bits(n: int, tmp_path: Path) -> None:
    (tmp_path / "reads").write_bytes(b"c\t100\t101\n" * n + b"c\t101\t102\n")
    for threads in (1, 2):
        assert count_reads(tmp_path / "reads", WINDOWS, threads).tolist() == [[n, 1]]


def hits_of_one_read(folder: Path) -> np.ndarray:
    """Return what the kernels add for the read of the tests below."""
    (folder / "one").write_bytes(b"c\t100\t101\n")
    found, sum_up = [], formats.Counter._sums
    with (
        patch.object(formats, "READS_PER_FOLD", 0),
        patch.object(formats.Counter, "_sums", lambda self: (found.append(self._raw.copy()), sum_up(self))[1]),
    ):
        count_reads(folder / "one", WINDOWS)
    return found[0].astype(np.int64)


@pytest.mark.campaign("overflow")
@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False), (5000, False)])
def test_counts_up_to_32_bits_and_no_further(more: int, fits: bool, tmp_path: Path) -> None:
    """Hits of 32 bits are folded into sums of 64 bits, and the overflow of a count is detected there."""
    reads = 3000
    earlier = hits_of_one_read(tmp_path) * (LARGEST - reads)
    (tmp_path / "reads").write_bytes(b"c\t100\t101\n" * (reads + more) + b"c\t101\t102\n")
    initialize = formats.Counter.__init__

    def with_billions(self: formats.Counter, *arguments: object) -> None:
        initialize(self, *arguments)  # type: ignore[arg-type]
        self._earlier = earlier.copy()

    with (
        patch.object(formats.Counter, "__init__", with_billions),
        patch.object(formats, "READS_PER_FOLD", 100),
        patch.object(blocks, "BLOCK_BYTES", 4000),
    ):
        if fits:
            assert count_reads(tmp_path / "reads", WINDOWS).tolist() == [[LARGEST, 1]]
        else:
            with pytest.raises(BadDataError, match=r"a bin with 4,294,9.* or more: a count can hold 4,294,967,295"):
                count_reads(tmp_path / "reads", WINDOWS)


@pytest.mark.campaign("overflow")
def test_differences_are_folded_before_they_overflow(tmp_path: Path) -> None:
    """A read adds at most one to a segment, so the reads between two folds, plus one block, must fit in 31 bits."""
    shortest_line_bytes = len(b"c\t1\t2\n")
    max_reads_per_block = (blocks.BLOCK_BYTES + blocks.HEADROOM_BYTES) // shortest_line_bytes
    assert formats.READS_PER_FOLD + max_reads_per_block < 2**31 - 1
    (tmp_path / "reads").write_bytes(b"c\t100\t101\n" * 20_000)
    largest, sum_up = [], formats.Counter._sums
    with (
        patch.object(formats, "READS_PER_FOLD", 100),
        patch.object(blocks, "BLOCK_BYTES", 4000),
        patch.object(formats.Counter, "_sums", lambda self: (largest.append(self._raw.max()), sum_up(self))[1]),
    ):
        assert count_reads(tmp_path / "reads", WINDOWS).tolist() == [[20_000, 0]]
    assert len(largest) > 10
    assert max(largest[1:]) <= 100 + 4000 // len(b"c\t100\t101\n")  # the first block has all bytes that show the format


class RepeatedLine:
    """A stream of one line, repeated many times, that takes little memory."""

    def __init__(self, line: bytes, times: int) -> None:
        self._cycle = np.frombuffer(line * 100_000, np.uint8)
        self._left = len(line) * times
        self._at = 0

    def readinto(self, buffer: memoryview, /) -> int:
        n = min(len(buffer), self._left, len(self._cycle) - self._at)
        buffer[:n] = self._cycle[self._at : self._at + n].data
        self._left -= n
        self._at = (self._at + n) % len(self._cycle)
        return n

    def close(self) -> None:
        pass


@pytest.mark.campaign("overflow")
@pytest.mark.skipif(not FULL, reason="takes more than a minute. Run it with make campaign.")
@pytest.mark.parametrize("times", [LARGEST, LARGEST + 1])
def test_four_billion_reads(times: int, record_property: Callable[[str, int], None]) -> None:
    def count() -> ReadTally:
        with patch("deepchrome.engine.counting.count.open_stream", lambda path: RepeatedLine(b"c\t100\t101\n", times)):
            return tally_reads("reads", WINDOWS, threads=2)

    if times <= LARGEST:
        assert count().counts.tolist() == [[LARGEST, 0]]
    else:
        with pytest.raises(BadDataError, match=f"a bin with {LARGEST + 1:,} reads"):
            count()
    record_property("reads in two files, each on one bin", times)


def many_marks() -> Iterator[tuple[str, bytes]]:
    for i in range(30):
        yield f"E1-M{i:02d}.bed", b"chr1\t20000\t20036\n" * (i + 1)


@pytest.mark.campaign("numbers")
def test_thirty_marks(folder: Path) -> None:
    for name, text in many_marks():
        (folder / name).write_bytes(text)
    assert featurize(folder, folder).code == 0
    features = read_features(folder / "out" / "E1.parquet")
    assert features.marks == tuple(f"M{i:02d}" for i in range(30))
    assert features.counts[0, 50].tolist() == list(range(1, 31))


@pytest.mark.campaign("numbers")
def test_one_bin_one_gene_one_read(folder: Path) -> None:
    (folder / "genes.tsv").write_text("gene_id\tchrom\ttss\ng\tchr1\t20000\n")
    (folder / "E1-A.bed").write_bytes(b"chr1\t20000\t20001\n")
    assert featurize(folder, folder, "--flank", 50, "--bin-size", 100).code == 0
    assert read_features(folder / "out" / "E1.parquet").counts.tolist() == [[[1]]]


@pytest.mark.campaign("numbers", "messages")
@pytest.mark.parametrize("table", ["", "gene_id\tchrom\ttss\n", "# nothing\n"])
def test_no_gene(table: str, folder: Path) -> None:
    (folder / "genes.tsv").write_text(table)
    (folder / "E1-A.bed").write_bytes(b"chr1\t20000\t20001\n")
    ran = featurize(folder, folder)
    assert ran.code == 65
    assert "genes.tsv: no gene in this file" in ran.err
    assert not (folder / "out").exists()


def features_for(folder: Path, genes: int, bins: int, marks: int) -> Path:
    """Write features with dc featurize. Genes get one or six reads in turn, plus one for each further mark."""
    rows = [f"g{i:03d}\tchr1\t{1000 * (i + 5)}\t+\n" for i in range(genes)]
    (folder / "genes.tsv").write_text("gene_id\tchrom\ttss\tstrand\n" + "".join(rows))
    reads = folder / "reads"
    reads.mkdir()
    for mark in range(marks):
        lines = [f"chr1\t{1000 * (i + 5)}\t{1000 * (i + 5) + 5}\n" * (1 + i % 2 * 5 + mark) for i in range(genes)]
        (reads / f"E1-M{mark:02d}.bed").write_text("".join(lines))
    ran = featurize(folder, reads, "--flank", 50 * bins, out="features")
    assert ran.code == 0, ran.err
    return folder / "features"


def train(folder: Path, features: Path, rpkm: list[str]) -> CommandResult:
    lines = [f"g{i:03d}\t{value}\n" for i, value in enumerate(rpkm)]
    (folder / "expression.tsv").write_text("gene_id\tE1\n" + "".join(lines))
    given = ("--expression", folder / "expression.tsv", "--epochs", 2, "--device", "cpu")
    return dc("train", features, *given, "--split", "published", "--out", folder / "run")


@pytest.mark.campaign("numbers")
@pytest.mark.parametrize(("bins", "marks"), [(100, 1), (100, 30), (1, 1), (12, 2)])
def test_training_on_few_and_many_bins_and_marks(bins: int, marks: int, folder: Path) -> None:
    """The result has no NaN, or one message explains why there is no result."""
    features = features_for(folder, 60, bins, marks)
    ran = train(folder, features, [str(1 + i % 2) for i in range(60)])
    assert "Traceback" not in ran.err
    if ran.code:
        assert ran.code in (2, 65)
        assert "bins" in ran.err
        assert not (folder / "run" / "summary.tsv").exists()
        return
    predictions = pl.read_parquet(folder / "run" / "predictions.parquet")
    assert predictions.height == 60
    assert predictions["score"].is_finite().all()
    assert predictions["label"].to_list() == [i % 2 for i in range(60)]


@pytest.mark.campaign("numbers", "messages")
def test_equal_rpkm_are_refused(folder: Path) -> None:
    """No gene is above the median, so there is only one class."""
    features = features_for(folder, 60, 100, 1)
    ran = train(folder, features, ["7.5"] * 60)
    assert ran.code == 65
    assert "only one class of labels" in ran.err
    assert not (folder / "run" / "summary.tsv").exists()
    audit = dc("labels", "--expression", folder / "expression.tsv", "--json")
    assert audit.code == 0
    assert audit.json()[0]["positive_fraction"] == 0


@pytest.mark.campaign("numbers", "messages")
@pytest.mark.parametrize("value", ["NaN", "nan", "inf", "-inf", "1e999", "-1", "-1e-300", "", "NA", "x", "1,5"])
def test_invalid_rpkm_is_refused(value: str, folder: Path) -> None:
    features = features_for(folder, 60, 100, 1)
    ran = train(folder, features, ["1", value, *["2"] * 58])
    assert ran.code == 65
    (line,) = [line for line in ran.err.splitlines() if line.startswith("dc: ")]
    assert "expression.tsv" in line
    assert "g001" in line or ":3:" in line
    assert not (folder / "run").exists()


@pytest.mark.campaign("numbers", "messages")
@pytest.mark.parametrize("genes", [1, 2, 3, 5])
def test_training_on_too_few_genes_is_refused(genes: int, folder: Path) -> None:
    features = features_for(folder, genes, 100, 1)
    ran = train(folder, features, [str(i) for i in range(genes)])
    assert ran.code == 65
    (line,) = [line for line in ran.err.splitlines() if line.startswith("dc: ")]
    assert "genes" in line
    assert not (folder / "run" / "summary.tsv").exists()


@pytest.mark.campaign("numbers", "messages")
def test_genes_without_expression_are_reported(folder: Path) -> None:
    features = features_for(folder, 60, 100, 1)
    ran = train(folder, features, [str(1 + i % 2) for i in range(45)])
    assert ran.code == 0, ran.err
    assert "15 genes left out because they have no expression (g045, g046, g047, ...)" in ran.err
    assert pl.read_parquet(folder / "run" / "predictions.parquet").height == 45
