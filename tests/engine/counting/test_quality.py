"""ReadQuality and PositionSample: ratios, lengths, records and sums."""

import json
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import naive, quality
from support.quality import as_quality, random_records, write_records
from support.strategies import examples
from support.tiny import GENES, SIZES, windows

from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.quality import PositionSample, ReadQuality
from deepchrome.errors import BadDataError

# The command of ENCODE's ChIP-seq pipelines for single-end reads (the file .pbc.qc), after `intersect`.
# It prints total reads, distinct positions, positions with one read and with two, NRF, PBC1 and PBC2.
ENCODE = r"""bedtools bamtobed -i {bam} | bedtools intersect -u -a stdin -b {windows} |
awk 'BEGIN{{OFS="\t"}}{{print $1,$2,$3,$6}}' | grep -v '^chrM\s' | sort | uniq -c |
awk 'BEGIN{{mt=0;m0=0;m1=0;m2=0}} ($1==1){{m1=m1+1}} ($1==2){{m2=m2+1}} {{m0=m0+1}} {{mt=mt+$1}}
END{{printf "%d\t%d\t%d\t%d\t%.10f\t%.10f\t%.10f\n",mt,m0,m1,m2,m0/mt,m1/m0,m1/m2}}'"""

READS = st.lists(
    st.builds(
        lambda chrom, start, length, strand: naive.Read(chrom, start, start + length, strand),
        st.sampled_from(["chr1", "chr2", "chrZ"]),
        st.integers(19_000, 19_020),
        st.integers(1, 60),
        st.sampled_from("+-"),
    ),
    max_size=40,
)


def quality_of(reads: list[naive.Read], **options: Any) -> ReadQuality:
    return as_quality(quality.quality_of(reads, GENES, SIZES, **options))


@pytest.mark.bedtools
@pytest.mark.skipif(not shutil.which("bedtools"), reason="needs bedtools")
@pytest.mark.parametrize("n", [600, 3000])
def test_complexity_is_that_of_encode(n: int, tmp_path: Path) -> None:
    """The engine's positions, and the ratios, against ENCODE's command on the reads in windows."""
    placed = windows(tmp_path)
    bed = "".join(f"{gene.chrom}\t{gene.tss - 5000}\t{gene.tss + 5000}\n" for gene in GENES)
    (tmp_path / "windows.bed").write_text(bed)
    bam = write_records(tmp_path / "reads.bam", random_records(n, 3, flags=False))
    command = ENCODE.format(bam=bam, windows=tmp_path / "windows.bed")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=True)
    total, distinct, once, twice, nrf, pbc1, pbc2 = map(float, done.stdout.split())
    measured = tally_reads(bam, placed, options=ReadOptions(unknown_chrom="skip")).quality
    assert measured
    sample = measured.positions
    assert sample
    assert (sample.reads, sample.distinct, sample.once, sample.twice) == (total, distinct, once, twice)
    assert 0 < twice < once < distinct < total
    assert sample.fraction == 1
    assert (sample.nrf, sample.pbc1, sample.pbc2) == pytest.approx((nrf, pbc1, pbc2), abs=1e-9)


def test_sample_of_many_positions(tmp_path: Path) -> None:
    """A sample of a part of the positions has about the ratios of all. It is the same for any number of threads."""
    placed, dice = windows(tmp_path), np.random.default_rng(1)
    starts = np.minimum(dice.integers(14_000, 26_000, 300_000), dice.integers(14_000, 40_000, 300_000))
    rows = zip(
        starts.tolist(), dice.choice([30, 36, 50], 300_000).tolist(), dice.choice(["+", "-"], 300_000), strict=True
    )
    text = "".join(f"chr1\t{start}\t{start + length}\tN\t0\t{strand}\n" for start, length, strand in rows)
    (tmp_path / "reads.bed").write_text(text)
    measured, threaded = (tally_reads(tmp_path / "reads.bed", placed, n).quality for n in (1, 3))
    whole = quality_of(naive.text_reads(text.encode())).positions
    assert measured
    assert threaded
    assert whole
    assert measured.record() == threaded.record()
    sample = measured.positions
    assert sample
    assert sample.fraction < 1
    assert sample.distinct == pytest.approx(sample.fraction * whole.distinct, rel=0.05)
    assert sample.reads == pytest.approx(sample.fraction * whole.reads, rel=0.05)
    assert (sample.nrf, sample.pbc1) == pytest.approx((whole.nrf, whole.pbc1), rel=0.05)


def test_first_position_is_sampled_like_any_other(tmp_path: Path) -> None:
    """Reads pile up at the first position of a circular chromosome. Not every sample may have all of them."""
    genome = Genome("test", {"chrM": 50_000})
    one = np.ones(1, np.int64)
    layout = Layout(genome, 0 * one, 0 * one, 50_000 * one, 1, np.zeros(1, np.int8), "regions")
    starts = [0] * 5000 + [*range(1, 40_001)]
    (tmp_path / "reads.bed").write_text("".join(f"chrM\t{start}\t{start + 36}\n" for start in starts))
    measured = tally_reads(tmp_path / "reads.bed", layout).quality
    assert measured
    sample = measured.positions
    assert sample
    assert sample.fraction == 0.25
    assert sample.reads == sample.distinct == pytest.approx(10_000, rel=0.05)


def test_nrf_does_not_depend_on_whether_a_pile_up_is_sampled(tmp_path: Path) -> None:
    """A pile-up of 15,000 reads among 60,000 others gives the same NRF wherever it is."""
    layout = Layout(Genome("test", {"chr1": 1_000_000}), np.zeros(1, np.int64), np.zeros(1, np.int64),
                    np.full(1, 1_000_000), 1, np.zeros(1, np.int8), "regions")  # fmt: skip
    for place in (3, 70_003, 500_005):
        starts = [*range(0, 600_000, 10), *[place] * 15_000]
        (tmp_path / "reads.bed").write_text("".join(f"chr1\t{start}\t{start + 36}\n" for start in starts))
        measured = tally_reads(tmp_path / "reads.bed", layout).quality
        assert measured
        assert measured.positions
        assert measured.positions.fraction < 1
        assert measured.positions.nrf == pytest.approx(60_001 / 75_000, rel=0.05)


def test_ratios_without_reads() -> None:
    assert (PositionSample(0.1, 0, 0, 0, 0, 0).nrf, PositionSample(0.1, 0, 0, 0, 0, 0).pbc1) == (None, None)
    assert PositionSample(0.1, 5, 50, 5, 5, 0).pbc2 is None
    assert quality_of([]).strand_balance is None
    assert quality_of([]).median_length is None
    assert quality_of([]).mean_length is None


@examples(200)
@given(reads=READS.filter(bool))
def test_lengths_and_strands(reads: list[naive.Read]) -> None:
    measured = quality_of(reads)
    lengths = [read.end - read.start for read in reads]
    assert measured.median_length == statistics.median(lengths)
    assert measured.mean_length == pytest.approx(statistics.fmean(lengths))
    inside = [read for read in reads if read.chrom == "chr1"]  # the strategy places them in the first window
    expected = sum(read.strand == "+" for read in inside) / len(inside) if inside else None
    assert measured.strand_balance == expected


@examples(200)
@given(reads=READS.filter(bool), longest=st.integers(1, 60))
def test_open_last_length_gives_no_number(reads: list[naive.Read], longest: int) -> None:
    """A median or mean that depends on reads of unknown length is None, not the bound."""
    measured = quality_of(reads, longest=longest)
    lengths = sorted(read.end - read.start for read in reads)
    is_known = lengths[len(lengths) // 2] < longest
    assert measured.median_length == (statistics.median(lengths) if is_known else None)
    assert (measured.mean_length is None) == (lengths[-1] >= longest)


@examples(100)
@given(reads=READS)
def test_record_restores_everything(reads: list[naive.Read]) -> None:
    measured = quality_of(reads, filtered={"duplicate": 3, "unplaced": 0}, duplicates=4)
    text = json.dumps(measured.record())
    restored = ReadQuality.from_record(json.loads(text))
    assert json.dumps(restored.record()) == text
    assert (restored.filtered, restored.duplicates) == ({"duplicate": 3, "unplaced": 0}, 4)
    assert (restored.forward, restored.reverse) == (measured.forward, measured.reverse)
    assert restored.lengths.dtype == np.int64
    assert np.array_equal(restored.lengths, measured.lengths)
    assert restored.reads_on == measured.reads_on
    assert restored.positions == measured.positions


@pytest.mark.parametrize(
    "change",
    [
        {"lengths": {"99999999": 1}},
        {"lengths": [1, 2]},
        {"filtered": None},
        {"positions": {"reads": 1}},
        {"longest_bp": "many"},
        {"forward": None},
    ],
)
def test_other_records_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadDataError, match="not a record of read quality"):
        ReadQuality.from_record(quality_of([]).record() | change)
    with pytest.raises(BadDataError, match="not a record of read quality"):
        ReadQuality.from_record({})


@examples(100)
@given(one=READS, other=READS, longest=st.integers(1, 80))
def test_pooled_files_add_up(one: list[naive.Read], other: list[naive.Read], longest: int) -> None:
    """The sum has the numbers of both files together; those that two samples cannot give are None."""
    first = quality_of(one, filtered={"duplicate": 1, "qc_fail": 2}, duplicates=1)
    second = quality_of(other, filtered={"duplicate": 5}, duplicates=5, longest=longest)
    both = quality_of(one + other, longest=longest)
    sums = first.add(second)
    assert sums.filtered == {"duplicate": 6, "qc_fail": 2}
    assert sums.duplicates == 6
    assert (sums.forward, sums.reverse) == (both.forward, both.reverse)
    assert np.array_equal(sums.lengths, both.lengths)
    assert sums.reads_on == both.reads_on
    assert sums.positions is None
    assert first.add(quality_of(other)).duplicates is None
