"""Tracks for genome browsers: every base has the value of the nearest TSS, in bedGraph and in bigWig."""

import gzip
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyBigWig
import pytest
from support.exports import BIN, FLANK, SIZES, write_mixed

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.features.exports.bedgraph import write_bedgraph
from deepchrome.engine.features.exports.bigwig import write_bigwig
from deepchrome.engine.features.exports.tracks import make_tracks
from deepchrome.engine.features.store import Features
from deepchrome.errors import BadDataError, NotInstalledError, StorageError


def naive_track(features: Features, mark: str) -> dict[str, np.ndarray]:
    """Return the value of every base, NaN outside all windows: for each base, look at all genes."""
    genes, counts = features.genes, features.counts[:, :, features.marks.index(mark)]
    track = {}
    for chrom, size in SIZES.items():
        if size is None:
            continue
        values = np.full(size, np.nan)
        for base in range(size):
            nearest = None
            for row in range(len(genes)):
                start = int(genes.tss[row]) - FLANK
                distance = abs(base + 0.5 - int(genes.tss[row]))
                inside = genes.chrom[row] == chrom and start <= base < start + 2 * FLANK
                if inside and (nearest is None or distance < nearest[0]):  # the first of equally near genes remains
                    nearest = distance, counts[row, (base - start) // BIN]
            values[base] = np.nan if nearest is None else nearest[1]
        track[chrom] = values
    return track


def read_bedgraph(path: Path) -> dict[str, np.ndarray]:
    values = {chrom: np.full(size, np.nan) for chrom, size in SIZES.items() if size}
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    rows = [line.split("\t") for line in text.splitlines()]
    assert [(chrom, int(start)) for chrom, start, *_ in rows] == sorted(
        (chrom, int(start)) for chrom, start, *_ in rows
    )
    for chrom, start, end, value in rows:
        part = values[chrom][int(start) : int(end)]
        assert len(part) == int(end) - int(start) > 0
        assert np.isnan(part).all()  # no run overlaps another
        part[:] = float(value)
    return values


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mark", ["A.1", "B"])
def test_every_base_has_the_value_of_the_nearest_tss(mark: str, seed: int, tmp_path: Path) -> None:
    features = write_mixed(tmp_path / "E1.parquet", seed)
    expected = naive_track(features, mark)
    assert sum(np.isfinite(values).sum() for values in expected.values()) > 2000
    write_bedgraph(features, mark, tmp_path / "a.bedGraph")
    write_bigwig(features, mark, tmp_path / "a.bw")
    bedgraph, bigwig = read_bedgraph(tmp_path / "a.bedGraph"), pyBigWig.open(str(tmp_path / "a.bw"))
    assert bigwig.chroms() == {chrom: size for chrom, size in SIZES.items() if size}
    for chrom, values in expected.items():
        np.testing.assert_array_equal(bedgraph[chrom].astype(np.float32), values.astype(np.float32))
        np.testing.assert_array_equal(np.array(bigwig.values(chrom, 0, SIZES[chrom])), values.astype(np.float32))


def test_ties_belong_to_the_first_gene_of_the_table(tmp_path: Path) -> None:
    """The bases 500 and 499 lie between the TSSs 499 and 501 and between 499 and 500."""
    features = write_mixed(tmp_path / "E1.parquet")
    for tss, rows in (((499, 502), {499: 0, 500: 0, 501: 1}), ((502, 499), {499: 1, 500: 0, 501: 0})):
        genes = Genes(("a", "b"), ("", ""), ("chr1",) * 2, np.array(tss, np.int64), ("+",) * 2)
        (track,) = make_tracks(replace(features, genes=genes, counts=features.counts[:2]))
        for base, row in rows.items():
            (run,) = np.flatnonzero((track.start <= base) & (base < track.end))
            assert track.gene[run] == row


def test_whole_numbers_and_signal_in_bedgraph(tmp_path: Path) -> None:
    genes = Genes(("a",), ("",), ("chr1",), np.array([1000], np.int64), ("-",))
    features = write_mixed(tmp_path / "E1.parquet")
    counts = np.array([[0, 16_777_216, 0.1, 1e-7, 3e38, -2, 5, 6]], np.float32)[:, :, None]
    as_signal = replace(features, genes=genes, counts=counts, marks=("B",))
    whole = np.array([[0, 16_777_216, 4, 5, 6, 7, 8, 9]], np.float32)[:, :, None]
    as_counts = replace(as_signal, marks=("C",), counts=whole)
    values = []
    for each, mark in ((as_signal, "B"), (as_counts, "C")):
        write_bedgraph(each, mark, tmp_path / "a.bedGraph")
        values.append([line.split("\t")[3] for line in (tmp_path / "a.bedGraph").read_text().splitlines()])
    assert [np.float32(value) for value in values[0]] == counts[0, :, 0].tolist()
    assert values[1] == ["0", "16777216", *"456789"]


def test_compressed_bedgraph_is_the_same_every_time(tmp_path: Path) -> None:
    features = write_mixed(tmp_path / "E1.parquet")
    for name in ("a.bedGraph.gz", "b.bedGraph.gz", "a.bedGraph"):
        write_bedgraph(features, "B", tmp_path / name)
    first, second = (tmp_path / f"{name}.bedGraph.gz" for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()) == (tmp_path / "a.bedGraph").read_bytes()


def test_exported_bigwig_is_counted_again_as_it_was(tmp_path: Path) -> None:
    """Windows that do not overlap give their own values back."""
    tss = np.array([500, 1000, 1400, 2800], np.int64)
    genes = Genes(tuple("abcd"), ("",) * 4, ("chr1",) * 4, tss, ("+",) * 4)
    features = write_mixed(tmp_path / "E1.parquet")
    features = replace(features, genes=genes, counts=features.counts[:4])
    write_bigwig(features, "B", tmp_path / "a.bw")
    windows = tss_windows(genes, Genome("test", {"chr1": 3000}), FLANK, BIN)
    np.testing.assert_allclose(tally_reads(tmp_path / "a.bw", windows).counts, features.counts[:, :, 1], rtol=1e-6)


def test_features_without_lengths_of_chromosomes(tmp_path: Path) -> None:
    features = write_mixed(tmp_path / "E1.parquet")
    for lengths in (None, {"chr1": 3000}, [1]):
        other = replace(features, metadata={**features.metadata, "gene_chromosomes": lengths})
        with pytest.raises(BadDataError, match="E1: the features do not record the lengths of the chromosomes"):
            write_bigwig(other, "B", tmp_path / "a.bw")
    nowhere = replace(features, metadata={**features.metadata, "gene_chromosomes": dict.fromkeys(SIZES)})
    with pytest.raises(BadDataError, match="E1: no window lies on a chromosome of the genome"):
        write_bigwig(nowhere, "B", tmp_path / "a.bw")
    assert [path.name for path in tmp_path.iterdir()] == ["E1.parquet"]


def test_a_bigwig_file_that_was_not_written_completely(tmp_path: Path) -> None:
    features = write_mixed(tmp_path / "E1.parquet")
    path = tmp_path / "a.bw"
    path.write_text("mine")
    for runs, message in (((), "cannot be written"), ((("chr1", 0, 5, 1.0),), "could not be written")):
        with (
            patch("deepchrome.engine.features.exports.bigwig._runs", return_value=iter(runs)),
            pytest.raises(StorageError, match=rf"a\.bw: {message}.* An existing file is unchanged"),
        ):
            write_bigwig(features, "B", path)
        assert path.read_text() == "mine"
        assert sorted(each.name for each in tmp_path.iterdir()) == ["E1.parquet", "a.bw"]


def test_pybigtools_is_needed(tmp_path: Path) -> None:
    features = write_mixed(tmp_path / "E1.parquet")
    with patch.dict(sys.modules, {"pybigtools": None}), pytest.raises(NotInstalledError, match=r"deepchrome\[bigwig\]"):
        write_bigwig(features, "B", tmp_path / "a.bw")
