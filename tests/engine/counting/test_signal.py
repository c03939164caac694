"""Bins of bigWig files equal the exact statistics of pyBigWig, and unusable files are refused."""

import hashlib
import random
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyBigWig
import pytest
from campaign.rows import FULL
from support.bigwig import exact_mean, random_runs, write_bigwig

from deepchrome.engine.annotation.genome import Genome, read_genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.counting import signal_bins
from deepchrome.engine.counting.bigwig import is_bigwig
from deepchrome.engine.counting.blacklist import Blacklist
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.signal import tally_signal
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError, NotInstalledError, UsageError

SIZES = {"chr1": 30_000, "chr2": 8_000, "chr3": 500}
GENOME = Genome("test", SIZES)
RUNS = random_runs(SIZES, seed=1)


def layout_of(rows: list[tuple[str, int, int]], n_bins: int = 1, genome: Genome = GENOME) -> Layout:
    names = [*genome.sizes]
    chrom = np.array([names.index(name) if name in names else -1 for name, _, _ in rows], np.int64)
    start, end = (np.array([row[i] for row in rows], np.int64) for i in (1, 2))
    return Layout(genome, chrom, start, end, n_bins, np.zeros(len(rows), np.int8), "regions")


def random_rows(n: int, seed: int, width: int | None = None) -> list[tuple[str, int, int]]:
    """Return rows anywhere, also over and beyond the ends of chromosomes: overlapping, nested, equal, of any width."""
    dice = random.Random(seed)
    rows = []
    for _ in range(n):
        chrom = dice.choice([*SIZES])
        start = dice.randrange(-1500, SIZES[chrom] + 1000)
        rows.append((chrom, start, start + (width or dice.choice((1, 2, 7, 100, dice.randrange(1, 5000))))))
    return [*rows, *rows[:3]]


ROWS = random_rows(200, seed=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_bigwig(tmp_path / "a.bw", SIZES, RUNS)


def expected_of(path: Path, layout: Layout) -> np.ndarray:
    file, names = pyBigWig.open(str(path)), [*layout.genome.sizes]
    width = (layout.end - layout.start) // layout.n_bins
    return np.array(
        [
            [
                exact_mean(file, names[c], int(s + b * w), int(s + (b + 1) * w)) if c >= 0 else 0
                for b in range(layout.n_bins)
            ]
            for c, s, w in zip(layout.chrom_id, layout.start, width, strict=True)
        ]
    )


@pytest.mark.campaign("parity")
@pytest.mark.parametrize("program", ["pyBigWig", "pybigtools"])
@pytest.mark.parametrize("seed", range(20 if FULL else 3))
def test_means_equal_the_exact_statistics_of_pybigwig(program: str, seed: int, tmp_path: Path) -> None:
    runs = random_runs(SIZES, seed, mean=random.Random(seed).choice((3, 30, 300)))
    path = write_bigwig(tmp_path / "a.bigWig", SIZES, runs, program)
    for layout in (
        layout_of(random_rows(150, seed)),
        layout_of([*random_rows(60, seed, width=1000), ("chrX", 5, 1005)], n_bins=20),
    ):
        tally = tally_signal(path, layout)
        assert tally.values.dtype == np.float32
        assert tally.values.any()
        np.testing.assert_allclose(tally.values, expected_of(path, layout), rtol=1e-6, atol=0)
        assert tally.bases == sum(end - start for _, start, end, _ in runs)


@pytest.mark.campaign("parity")
def test_means_do_not_depend_on_how_rows_are_read_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = layout_of(ROWS)
    expected = tally_signal(path, layout).values
    for stretch, gap, bins in ((1, 0, 1), (100, 0, 3), (1000, 50, 10), (5000, 10**6, 2)):
        monkeypatch.setattr(signal_bins, "_STRETCH_BASES", stretch)
        monkeypatch.setattr(signal_bins, "_BUFFER_BASES", 4 * stretch + 1)
        monkeypatch.setattr(signal_bins, "_GAP_BASES", gap)
        monkeypatch.setattr(signal_bins, "_MAX_BINS", bins)
        np.testing.assert_allclose(tally_signal(path, layout).values, expected, rtol=1e-6)


def test_bases_without_data_and_outside_the_chromosome_stay_in_the_denominator(tmp_path: Path) -> None:
    path = write_bigwig(tmp_path / "a.bw", SIZES, [("chr1", 0, 10, 2.0), ("chr3", 490, 500, 4.0)])
    rows = [("chr1", 0, 10), ("chr1", 5, 25), ("chr1", -10, 10), ("chr3", 490, 530), ("chr3", 500, 510)]
    values = tally_signal(path, layout_of([*rows, ("chr2", 0, 10), ("chr1", -50, -10)])).values
    assert values[:, 0].tolist() == [2, 0.5, 1, 1, 0, 0, 0]


def test_a_row_of_no_width_is_the_two_bases_around_it(tmp_path: Path) -> None:
    path = write_bigwig(tmp_path / "a.bw", SIZES, [("chr1", 9, 10, 2.0), ("chr1", 10, 11, 4.0)])
    assert tally_signal(path, layout_of([("chr1", n, n) for n in (9, 10, 11, 12)])).values[:, 0].tolist() == [
        1,
        3,
        2,
        0,
    ]


def test_a_large_value_does_not_change_the_small_values_after_it(tmp_path: Path) -> None:
    path = write_bigwig(
        tmp_path / "a.bw", SIZES, [("chr1", 0, 100, 3e37), ("chr1", 100, 200, 1.5), ("chr1", 200, 300, -3e37)]
    )
    values = tally_signal(path, layout_of([("chr1", 0, 300), ("chr1", 100, 200)], 3)).values
    np.testing.assert_array_equal(values[0], np.array([3e37, 1.5, -3e37], np.float32))
    assert tally_signal(path, layout_of([("chr1", 100, 200)])).values.tolist() == [[1.5]]


def test_negative_signal(tmp_path: Path) -> None:
    path = write_bigwig(tmp_path / "a.bw", SIZES, random_runs(SIZES, 4, negative=True))
    layout = layout_of(ROWS)
    scale = 20  # mean of the values without their signs
    np.testing.assert_allclose(
        tally_signal(path, layout).values, expected_of(path, layout), rtol=1e-6, atol=1e-6 * scale
    )


def test_summary_of_a_file(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    tally = tally_signal(path, layout_of(ROWS), hashed=True, progress=lambda *call: seen.append(call))
    data = path.read_bytes()
    assert (tally.bytes_read, tally.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert tally.off_genome == {}
    assert tally.seconds > 0
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert 0.9 * len(data) < seen[-1][0] <= len(data)
    assert tally_signal(path, layout_of(ROWS)).sha256 is None


def test_an_interrupt_from_progress_stops_the_work(path: Path) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tally_signal(path, layout_of(ROWS), progress=stop)


@pytest.mark.campaign("numbers")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("at", [5, 29_000])
def test_a_value_that_is_not_finite_is_refused(value: float, at: int, tmp_path: Path) -> None:
    runs = sorted([("chr1", 100, 200, 1.0), ("chr1", at, at + 1, value)])
    path = write_bigwig(tmp_path / "a.bw", SIZES, runs)
    with pytest.raises(BadDataError, match=r"a\.bw: a value on chr1, in bases 0 to 30,000, is not a finite number"):
        tally_signal(path, layout_of([("chr1", 100, 200)]))


def outcome(path: Path, layout: Layout) -> np.ndarray | DeepchromeError:
    try:
        return tally_signal(path, layout).values
    except DeepchromeError as error:
        return error


@pytest.mark.campaign("truncation")
@pytest.mark.parametrize("program", ["pyBigWig", "pybigtools"])
def test_a_truncated_file_is_refused(program: str, tmp_path: Path) -> None:
    """A file may lack the four bytes that repeat its signature: no data are missing then."""
    path, layout = write_bigwig(tmp_path / "a.bw", SIZES, RUNS, program), layout_of(ROWS)
    data, whole = path.read_bytes(), tally_signal(path, layout).values
    for size in (
        range(len(data)) if FULL else sorted({*range(0, len(data), 97), *range(300), *range(len(data) - 40, len(data))})
    ):
        path.write_bytes(data[:size])
        found = outcome(path, layout)
        if isinstance(found, BadDataError):
            assert str(found).startswith(f"{path}: damaged or truncated bigWig file (")
        else:
            assert size >= len(data) - 4
            np.testing.assert_array_equal(found, whole)


_FLIP = """
import random, sys
from pathlib import Path
sys.path[:0] = {paths!r}
import test_signal as t
path, layout = Path({path!r}), t.layout_of(t.ROWS)
data, whole = path.read_bytes(), t.tally_signal(path, layout).values
dice, refused = random.Random(1), 0
for _ in range({n}):
    at = dice.randrange(dice.choice((700, len(data))))
    path.write_bytes(data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :])
    found = t.outcome(path, layout)
    if isinstance(found, t.BadDataError):
        refused += 1
        print(found, file=sys.stderr)
    else:
        assert (found == whole).all(), at
assert refused > {n} / 4
print("done")
"""


@pytest.mark.campaign("flips")
def test_a_flipped_bit_is_refused_or_harmless(path: Path) -> None:
    """In a process of its own: a wrong size in a file made the library end the process."""
    script = _FLIP.format(
        paths=[str(Path(__file__).parent), str(Path(__file__).parents[2])], path=str(path), n=4000 if FULL else 300
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.stdout == "done\n", ended.stderr[-2000:]
    assert "a block of data is damaged" in ended.stderr
    assert "panicked" not in ended.stderr


def test_two_chromosomes_with_one_number(path: Path) -> None:
    """The data of one would be read twice, and those of the other not at all."""
    data = bytearray(path.read_bytes())
    at = data.index(b"chr2") + 4  # the number follows the name
    assert data[at : at + 4] == (1).to_bytes(4, "little")
    data[at] = 0
    path.write_bytes(data)
    with pytest.raises(BadDataError, match="the table of chromosomes is damaged"):
        tally_signal(path, layout_of(ROWS))


def test_data_beyond_the_end_of_a_chromosome_do_not_count(tmp_path: Path) -> None:
    """pyBigWig writes them without a word, with the right number of bases in the header."""
    path = write_bigwig(tmp_path / "a.bw", SIZES, [("chr2", 0, 10, 1.0), ("chr3", 490, 510, 4.0)])
    tally = tally_signal(path, layout_of([("chr3", 480, 500), ("chr3", 480, 520), ("chr3", 500, 520)]))
    assert tally.values[:, 0].tolist() == [2, 1, 0]
    assert tally.bases == 20


def test_fewer_data_than_the_header_states(path: Path) -> None:
    """As if the index had lost a block."""
    data = bytearray(path.read_bytes())
    at = int.from_bytes(data[44:52], "little")  # the summary of the file begins with its number of bases
    bases = int.from_bytes(data[at : at + 8], "little")
    assert bases == sum(end - start for _, start, end, _ in RUNS)
    data[at : at + 8] = (bases + 1).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(BadDataError, match=f"{bases:,} bases with data, but the header states {bases + 1:,} or more"):
        tally_signal(path, layout_of(ROWS))


@pytest.mark.campaign("naming")
def test_a_chromosome_that_the_genome_lacks(path: Path) -> None:
    small = Genome("small", {"chr1": 30_000})
    layout, bases = layout_of([("chr1", 0, 100)], genome=small), {"chr2": 0, "chr3": 0}
    for chrom, start, end, _ in RUNS:
        if chrom in bases:
            bases[chrom] += end - start
    with pytest.raises(
        BadDataError, match=r"of .* bases with data lie on chromosomes that small does not have: 'chr2' \("
    ) as raised:
        tally_signal(path, layout)
    assert raised.value.remedy == "unknown_chrom"
    for choice in ("skip", "bedtools"):
        tally = tally_signal(path, layout, ReadOptions(unknown_chrom=choice))
        assert tally.off_genome == bases
        assert tally.values.any()


def test_unknown_chromosomes_without_data_are_accepted(tmp_path: Path) -> None:
    path = write_bigwig(tmp_path / "a.bw", {**SIZES, "chrUn": 1000}, RUNS)
    assert tally_signal(path, layout_of(ROWS)).off_genome == {}


@pytest.mark.campaign("naming")
def test_names_of_chromosomes_can_be_translated(path: Path, tmp_path: Path) -> None:
    renamed = write_bigwig(
        tmp_path / "b.bw", {c[3:]: n for c, n in SIZES.items()}, [(c[3:], *rest) for c, *rest in RUNS]
    )
    layout = layout_of(ROWS)
    with pytest.raises(BadDataError, match="chromosomes that test does not have: '1'"):
        tally_signal(renamed, layout)
    values = tally_signal(renamed, layout, rename=lambda name: f"chr{name}").values
    np.testing.assert_array_equal(values, tally_signal(path, layout).values)
    both = write_bigwig(tmp_path / "c.bw", {"1": 30_000, "chr1": 30_000}, [("1", 0, 9, 1.0), ("chr1", 0, 9, 1.0)])
    with pytest.raises(BadDataError, match="1 and chr1 are both names of chr1"):
        tally_signal(both, layout, rename=lambda name: f"chr{name}")


@pytest.mark.campaign("naming")
def test_another_build_is_refused(path: Path) -> None:
    other = layout_of(ROWS, genome=Genome("other", {**SIZES, "chr2": 9000}))
    with pytest.raises(BadDataError, match=r"chr2 has 8,000 bp in this file and 9,000 bp in other") as raised:
        tally_signal(path, other)
    assert raised.value.remedy == "build_check"
    np.testing.assert_allclose(tally_signal(path, other, build_check=False).values, expected_of(path, other), rtol=1e-6)
    assert tally_signal(path, layout_of([("chr1", 0, 100)], genome=other.genome)).values.any()
    shorter = layout_of([("chr2", 0, 200)], 2, Genome("short", {**SIZES, "chr2": 100}))
    values = tally_signal(path, shorter, build_check=False).values
    assert values[0, 0] > 0
    assert values[0, 1] == 0


def test_the_message_names_the_build_that_fits(tmp_path: Path) -> None:
    hg19, hg38 = read_genome("hg19"), read_genome("hg38")
    main = {name: hg38.sizes[name] for name in ("chr1", "chr2", "chr3")}
    path = write_bigwig(tmp_path / "a.bw", main, [("chr1", 0, 9, 1.0)])
    assert tally_signal(path, layout_of([("chr1", 0, 9)], genome=hg38)).values.tolist() == [[1.0]]
    with pytest.raises(BadDataError, match=r"in hg19\. The lengths are those of hg38: use that genome"):
        tally_signal(path, layout_of([("chr1", 0, 9)], genome=hg19))


def test_a_length_of_a_chromosome_without_data_does_not_matter(tmp_path: Path) -> None:
    path = write_bigwig(tmp_path / "a.bw", {**SIZES, "chr3": 99}, [run for run in RUNS if run[0] != "chr3"])
    assert tally_signal(path, layout_of(ROWS)).values.any()


@pytest.mark.campaign("empty")
def test_a_file_without_data(tmp_path: Path) -> None:
    path = write_bigwig(tmp_path / "a.bw", SIZES, [("chr1", 0, 1, 0.0)])
    data, layout = path.read_bytes(), layout_of(ROWS)
    assert not tally_signal(path, layout).values.any()
    with pytest.raises(
        BadDataError, match=r"only 0 of 1 bases with data lie on the chromosomes of the regions \(chr2\)"
    ) as raised:
        tally_signal(path, layout_of([("chr2", 0, 10)]))
    assert raised.value.remedy == "allow_few"
    assert not tally_signal(path, layout_of([("chr2", 0, 10)]), ReadOptions(allow_few=True)).values.any()
    path.write_bytes(data)
    with (
        patch("deepchrome.engine.counting.signal._count_bases", return_value=dict.fromkeys(SIZES, 0)),
        pytest.raises(BadDataError, match=r"a\.bw: no data in this file") as raised,
    ):
        tally_signal(path, layout)
    assert raised.value.remedy == "allow_empty"


CHANGED: dict[str, ReadOptions] = {
    "strand": ReadOptions(strand="same"),
    "min_mapq": ReadOptions(min_mapq=1),
    "include_duplicates": ReadOptions(include_duplicates=True),
    "include_qc_fail": ReadOptions(include_qc_fail=True),
    "proper_pairs": ReadOptions(proper_pairs=True),
    "overlap_fraction": ReadOptions(overlap_fraction=0.5),
    "reciprocal": ReadOptions(reciprocal=True),
    "split": ReadOptions(split=True),
    "fragments": ReadOptions(fragments=True),
    "shift": ReadOptions(shift=-1),
    "extend": ReadOptions(extend=200),
    "point": ReadOptions(point="center"),
    "blacklist": ReadOptions(blacklist=Blacklist.of_layout("a", "", layout_of([("chr1", 0, 9)]))),
    "format": ReadOptions(format="bed"),
}
LENIENT = ("unknown_chrom", "allow_empty", "allow_no_eof", "allow_few", "aliases", "build_check")


def test_every_option_is_refused_or_has_a_meaning_for_signal() -> None:
    assert {field.name for field in fields(ReadOptions)} == {*CHANGED, *LENIENT}


@pytest.mark.parametrize("name", CHANGED)
def test_options_for_reads_are_refused(name: str, path: Path) -> None:
    with pytest.raises(UsageError, match=f"a bigWig file has signal and no reads, so {name} cannot apply to it"):
        tally_signal(path, layout_of(ROWS), CHANGED[name])
    lenient = ReadOptions(allow_empty=True, allow_no_eof=True, allow_few=True, unknown_chrom="skip")
    assert tally_signal(path, layout_of(ROWS), lenient).values.any()


def test_pybigtools_is_needed(path: Path) -> None:
    with patch.dict(sys.modules, {"pybigtools": None}), pytest.raises(NotInstalledError, match=r"deepchrome\[bigwig\]"):
        tally_signal(path, layout_of(ROWS))


@pytest.mark.parametrize("name", ["-", "https://example.org/a.bw", "{folder}/absent.bw", "{folder}"])
def test_what_is_no_file_on_a_disk_is_refused(name: str, tmp_path: Path) -> None:
    name = name.format(folder=tmp_path)
    assert not is_bigwig(name)
    with pytest.raises(MissingInputError):
        tally_signal(name, layout_of(ROWS))


def test_a_bigwig_file_is_recognized_by_its_content(path: Path, tmp_path: Path) -> None:
    other = path.rename(tmp_path / "a.bed")
    assert is_bigwig(str(other))
    for data in (b"", b"\x88\x8f\xfc", b"chr1\t1\t2\n"):
        other.write_bytes(data)
        assert not is_bigwig(str(other))
    other.write_bytes(bytes.fromhex("888ffc26"))
    assert is_bigwig(str(other))
    with pytest.raises(BadDataError, match="damaged or truncated"):
        tally_signal(other, layout_of(ROWS))


def test_a_file_of_the_other_byte_order(tmp_path: Path) -> None:
    """Written here byte by byte, because no program at hand writes it: one chromosome, one block, no compression."""
    import struct

    def pack(layout: str, *values: float | bytes) -> bytes:
        return struct.pack(">" + layout, *values)

    tree = pack("IIIIQQ", 0x78CA8C91, 1, 4, 8, 1, 0) + pack("BBH4sII", 1, 0, 1, b"chr3", 0, 500)
    block = pack("IIIIIBBH", 0, 10, 30, 0, 0, 1, 0, 2) + pack("IIf", 10, 20, 1.5) + pack("IIf", 20, 30, 2.5)
    at_tree, at_summary = 64, 64 + len(tree)
    at_data = at_summary + 40
    at_index = at_data + 8 + len(block)
    header = pack("IHHQQQHHQQIQ", 0x888FFC26, 4, 0, at_tree, at_data, at_index, 0, 0, 0, at_summary, 0, 0)
    index = pack("IIQIIIIQII", 0x2468ACE0, 1, 1, 0, 10, 0, 30, at_index, 1024, 0)
    index += pack("BBHIIIIQQ", 1, 0, 1, 0, 10, 0, 30, at_data + 8, len(block))
    summary = pack("Qdddd", 20, 1.5, 2.5, 40, 85)
    path = tmp_path / "a.bw"
    path.write_bytes(header + tree + summary + pack("Q", 1) + block + index)
    assert tally_signal(path, layout_of([("chr3", 0, 20), ("chr3", 10, 30)])).values[:, 0].tolist() == [0.75, 2.0]


def test_layouts_are_not_changed(path: Path) -> None:
    layout = layout_of(ROWS, 1)
    before = replace(layout, start=layout.start.copy(), end=layout.end.copy())
    tally_signal(path, layout)
    assert (layout.start == before.start).all()
    assert (layout.end == before.end).all()
