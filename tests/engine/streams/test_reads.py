"""Damaged, unusual and hostile files of reads give either the right counts or an error that names the problem."""

import gzip
import random
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from campaign.rows import sized
from support.bam import write_bam
from support.engine import blocks_of
from support.strategies import Record
from support.tiny import PACK, bgzip, bgzip_member, counts_of, reads_text, windows

from deepchrome.common.signatures import BGZIP_END
from deepchrome.engine import kernels
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting import formats, tally
from deepchrome.engine.counting.count import count_reads, tally_reads
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.sources import GzipSource
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError, StorageError

TEXT = reads_text()
COUNTS = counts_of(TEXT)
Put = Callable[[bytes], Path]
RecordProperty = Callable[[str, int], None]


@pytest.fixture
def small_windows(tmp_path: Path) -> Windows:
    return windows(tmp_path)


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(data: bytes) -> Path:
        (tmp_path / "reads").write_bytes(data)
        return tmp_path / "reads"

    return write


def bam_of_text(folder: Path) -> bytes:
    records = []
    for line in TEXT.decode().splitlines():
        chrom, start, _, _, _, strand = line.split("\t")
        records.append(Record(chrom, int(start), 16 * (strand == "-"), 30, "36M", "A" * 36))
    write_bam(folder / "whole.bam", {"chr1": 250_000, "chr2": 240_000}, records)
    return (folder / "whole.bam").read_bytes()


def gzip_flushed_per_line() -> bytes:
    """Return gzip data that still inflate to whole lines when they are cut after any line."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    lines = TEXT.splitlines(keepends=True)[:500]
    return b"".join(packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH) for line in lines) + packer.flush()


@pytest.mark.campaign("truncation")
@pytest.mark.parametrize("kind", ["gzip", "bgzip", "gzip flushed", "bam"])
def test_truncated_file_is_an_error(
    kind: str, put: Put, small_windows: Windows, tmp_path: Path, record_property: RecordProperty
) -> None:
    whole = {
        "gzip": lambda: PACK["gzip"](TEXT),
        "bgzip": lambda: PACK["bgzip"](TEXT),
        "gzip flushed": gzip_flushed_per_line,
        "bam": lambda: bam_of_text(tmp_path),
    }[kind]()
    assert count_reads(put(whole), small_windows).sum() > 100
    dice = random.Random(kind)
    cuts = [len(whole) - n for n in range(1, 30)] + [dice.randrange(1, len(whole)) for _ in range(sized(40, 1000))]
    if kind == "gzip flushed":  # also cut directly after lines
        cuts += [i + 4 for i in range(20, len(whole) - 20) if whole[i : i + 4] == b"\0\0\xff\xff"][::20]
    for i, cut in enumerate(cuts):
        path = put(whole[:cut])
        if cut >= 3:
            with pytest.raises(BadDataError, match=f"^{path}: "):
                count_reads(path, small_windows, threads=1 + i % 2)
        else:
            with pytest.raises(DeepchromeError):
                count_reads(path, small_windows)
    record_property("files cut", len(cuts))


@pytest.mark.campaign("flips")
@pytest.mark.parametrize("block", [3 << 20, 12_000])  # 12,000: two members fill a block exactly
@pytest.mark.parametrize("kind", ["gzip", "bgzip", "bam"])
def test_flipped_bit_is_an_error_or_changes_nothing(
    kind: str, block: int, put: Put, small_windows: Windows, tmp_path: Path, record_property: RecordProperty
) -> None:
    whole = bam_of_text(tmp_path) if kind == "bam" else PACK[kind](TEXT)
    dice = random.Random(block)
    flips = [(dice.randrange(len(whole)), dice.randrange(8)) for _ in range(sized(250, 1000))]
    flips += [(i, i % 8) for i in range(30)] + [(len(whole) - i, i % 8) for i in range(1, 40)]
    caught = 0
    with blocks_of(block):
        for i, (at, bit) in enumerate(flips):
            data = bytearray(whole)
            data[at] ^= 1 << bit
            try:
                counts = count_reads(put(bytes(data)), small_windows, threads=1 + i % 2)
            except BadDataError:
                caught += 1
            else:
                assert (counts == COUNTS).all(), (at, bit)
    assert caught > len(flips) // 2
    record_property("files with a bit flipped", len(flips))
    record_property("refused", caught)


@pytest.mark.campaign("flips")
def test_last_member_of_a_full_block_is_checked(put: Put, small_windows: Windows) -> None:
    """A wrong checksum and excess data are found, although they come after the last byte that fits the block."""
    members = [bgzip_member(TEXT[i : i + 6000]) for i in (0, 6000)]
    wrong_sum = members[1][:-8] + struct.pack("<I", zlib.crc32(TEXT[6000:12000]) ^ 1) + members[1][-4:]
    too_long = bgzip_member(TEXT[6000:12_300])[:-8] + members[1][-8:]
    too_long = too_long[:16] + struct.pack("<H", len(too_long) - 1) + too_long[18:]
    rest = bgzip(TEXT[12_000:], 6000)
    with blocks_of(12_000):
        assert (count_reads(put(b"".join(members) + rest), small_windows) == COUNTS).all()
        for wrong in (wrong_sum, too_long):
            with pytest.raises(BadDataError, match="damaged"):
                count_reads(put(members[0] + wrong + rest), small_windows)


@pytest.mark.campaign("flips")
@pytest.mark.parametrize("size", [0, 10, 24])
def test_bgzip_block_shorter_than_its_header(size: int, put: Put, small_windows: Windows) -> None:
    whole = bytearray(bgzip(TEXT))
    whole[16:18] = struct.pack("<H", size)
    with pytest.raises(BadDataError, match="a size below that of its header"):
        count_reads(put(bytes(whole)), small_windows)


@pytest.mark.campaign("no-eof")
def test_bgzip_without_end_of_file_block(put: Put, small_windows: Windows) -> None:
    path = put(bgzip(TEXT, 6000, end=b""))
    with pytest.raises(BadDataError, match=r"end-of-file block is missing") as caught:
        count_reads(path, small_windows)
    assert caught.value.remedy == "allow_no_eof"
    assert (count_reads(path, small_windows, allow_no_eof=True) == COUNTS).all()
    lost_a_block = bgzip(TEXT[:18_000], 6000, end=b"")
    with pytest.raises(BadDataError, match="end-of-file block is missing"):
        count_reads(put(lost_a_block), small_windows, threads=2)


@pytest.mark.campaign("members")
def test_empty_members_take_little_memory(small_windows: Windows, put: Put) -> None:
    """The compressed size of a block is limited, too."""
    sizes = []
    take = GzipSource.take

    def take_and_measure(self: GzipSource, block: Block) -> memoryview:
        members = take(self, block)
        sizes.append(len(members))
        return members

    path = put(BGZIP_END * 20_000 + bgzip(TEXT))
    with blocks_of(70_000), patch.object(GzipSource, "take", take_and_measure):
        assert (count_reads(path, small_windows, 2) == COUNTS).all()
    assert max(sizes) < 2 * 70_000


@pytest.mark.parametrize("n", [1, 2, 100])
def test_many_members(n: int, put: Put, small_windows: Windows) -> None:
    """Members may end within a line, be empty, and alternate between gzip and bgzip."""
    edges = np.linspace(0, len(TEXT), n + 1).astype(int)
    pieces = [TEXT[a:b] for a, b in pairwise(edges)]
    empty = gzip.compress(b"", mtime=0)
    plain = b"".join(map(PACK["gzip"], pieces))
    with_empty = empty + b"".join(PACK["gzip"](piece) + empty for piece in pieces)
    both = b"".join(PACK["gzip" if i % 2 else "bgzip"](piece) for i, piece in enumerate(pieces))
    several_ends = BGZIP_END + b"".join(map(PACK["bgzip"], pieces))
    for data in (plain, with_empty, both, several_ends):
        for threads in (1, 2):
            with blocks_of(20_000):
                assert (count_reads(put(data), small_windows, threads) == COUNTS).all()


@pytest.mark.campaign("flips")
@pytest.mark.parametrize("kind", ["gzip", "bgzip"])
@pytest.mark.parametrize("junk", [b"junk", b"chr1\t1\t2\n", b"\x1f\x8b", b"\x1f", b"\0junk"])
def test_junk_after_the_data_is_an_error(kind: str, junk: bytes, put: Put, small_windows: Windows) -> None:
    with pytest.raises(BadDataError, match=r"damaged|truncated"):
        count_reads(put(PACK[kind](TEXT) + junk), small_windows)


@pytest.mark.campaign("odd-files")
@pytest.mark.parametrize("kind", ["gzip", "bgzip"])
@pytest.mark.parametrize("n", [1, 11, 12, 512, 1_000_000])
def test_zeros_after_the_data_are_ignored(kind: str, n: int, put: Put, small_windows: Windows) -> None:
    """gzip itself ignores them; tapes and some programs add them."""
    for threads in (1, 2):
        with blocks_of(20_000):
            assert (count_reads(put(PACK[kind](TEXT) + b"\0" * n), small_windows, threads) == COUNTS).all()
    for junk in (b"junk", b"\x1f\x8b", *([PACK[kind](TEXT)] if kind == "bgzip" else [])):
        with pytest.raises(BadDataError, match=r"damaged|truncated"):
            count_reads(put(PACK[kind](TEXT) + b"\0" * n + junk), small_windows)
    with pytest.raises(BadDataError, match="end-of-file block is missing"):
        count_reads(put(bgzip(TEXT, 6000, end=b"") + b"\0" * n), small_windows)


@pytest.mark.campaign("members")
def test_empty_blocks_before_bam(tmp_path: Path, put: Put, small_windows: Windows) -> None:
    """The format of a file is not known before its first bytes."""
    path = put(BGZIP_END * 9 + bgzip(gzip.decompress(bam_of_text(tmp_path)), 60))
    with blocks_of(64):
        assert (count_reads(path, small_windows) == COUNTS).all()


@pytest.mark.campaign("flips")
def test_bgzip_blocks_hold_64_kib_at_most(put: Put, small_windows: Windows) -> None:
    line = TEXT[: TEXT.index(b"\n") + 1]
    for size in (1 << 16, (1 << 16) + 1, 1 << 20):
        comment = b"#" + b"x" * (size - len(line) - 2) + b"\n"
        path = put(bgzip_member(comment + line) + BGZIP_END)
        if size == 1 << 16:
            assert count_reads(path, small_windows, allow_empty=True).sum() == counts_of(line).sum()
        else:
            with pytest.raises(BadDataError, match="states an inflated size above 64 KiB"):
                count_reads(path, small_windows)


@pytest.mark.campaign("lines")
@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_first_bad_line_is_named(kind: str, threads: int, put: Put, small_windows: Windows) -> None:
    """The first bad line is named even if another thread finds a later one first. Comments and blank lines count."""
    lines = TEXT.splitlines(keepends=True)
    lines[100:100] = [b"# comment\n", b"\n"]
    for first, later in ((2000, 2400), (2000, 2001), (1, 2990), (0, 3001)):
        bad = list(lines)
        bad[first] = b"chr1\t77x\t99\tN\t0\t+\n"
        bad[later] = b"chr1\t50\t40\tN\t0\t+\n"
        path = put(PACK[kind](b"".join(bad)))
        with blocks_of(7000), pytest.raises(BadDataError) as caught:
            count_reads(path, small_windows, threads)
        wanted = f"{path}:{first + 1}: the start is not a whole number. The line is 'chr1\\t77x\\t99\\tN\\t0\\t+'."
        assert str(caught.value) == wanted


@pytest.mark.campaign("memory")
@pytest.mark.parametrize("kind", PACK)
def test_line_length_is_limited(kind: str, put: Put, small_windows: Windows) -> None:
    """Lines of more than 64 KiB are refused, whether they end in the same block, in a later one or never."""
    fits = b"chr1\t10\t20\t" + b"x" * (65536 - 15) + b"\t0\t+\n"
    assert count_reads(put(PACK[kind](TEXT + fits)), small_windows).sum() == COUNTS.sum()
    for long in (fits.replace(b"x", b"xx", 1), fits[:-1] * 100, fits.replace(b"x", b"xxxx") + TEXT):
        for block in (8192, 3 << 20):
            with blocks_of(block), pytest.raises(BadDataError, match=":3001: a line of more than 65536 bytes"):
                count_reads(put(PACK[kind](TEXT + long)), small_windows, threads=2)


@pytest.mark.campaign("lines")
def test_lone_carriage_returns_are_refused(put: Put, small_windows: Windows) -> None:
    with pytest.raises(BadDataError, match="lone carriage return"):
        count_reads(put(TEXT.replace(b"\n", b"\r")), small_windows)


@pytest.mark.campaign("empty")
@pytest.mark.parametrize(
    "data", [b"", b"# x\n\n", gzip.compress(b""), BGZIP_END], ids=["none", "header", "gzip", "bgzip"]
)
def test_file_without_reads(data: bytes, put: Put, small_windows: Windows) -> None:
    with pytest.raises(BadDataError, match="no reads in this file"):
        count_reads(put(data), small_windows)
    counts = count_reads(put(data), small_windows, allow_empty=True)
    assert counts.shape == (10, 100)
    assert not counts.any()


@pytest.mark.campaign("disk")
def test_missing_inputs(tmp_path: Path, small_windows: Windows) -> None:
    (tmp_path / "file").write_bytes(TEXT)
    for missing in (tmp_path / "absent", tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(MissingInputError, match=f"^{missing}: "):
            count_reads(missing, small_windows)
    with patch("sys.stdin", None), pytest.raises(MissingInputError, match="standard input is closed"):
        count_reads("-", small_windows)


@pytest.mark.campaign("memory")
def test_out_of_memory(put: Put, small_windows: Windows) -> None:
    with (
        patch.object(formats.Counter, "__init__", side_effect=MemoryError("30 GiB")),
        pytest.raises(StorageError, match=r"not enough memory \(30 GiB\)\. Use larger bins"),
    ):
        count_reads(put(TEXT), small_windows)


@pytest.mark.parametrize("threads", [1, 2])
def test_counts_are_folded_repeatedly(threads: int, put: Put, small_windows: Windows) -> None:
    path = put(TEXT)
    with blocks_of(1000), patch.object(formats, "READS_PER_FOLD", 100):
        assert (count_reads(path, small_windows, threads) == COUNTS).all()


@pytest.mark.campaign("disk")
def test_read_error(put: Put, small_windows: Windows) -> None:
    path = put(TEXT)
    with (
        patch(
            "deepchrome.engine.streams.byte_streams.MeteredStream.readinto",
            side_effect=OSError(5, "Input/output error"),
        ),
        pytest.raises(StorageError, match=f"^{path}: cannot be read .Input/output error"),
    ):
        count_reads(path, small_windows, threads=2)


@pytest.mark.campaign("interrupt")
@pytest.mark.parametrize("threads", [1, 2])
def test_interrupt_ends_all_threads(threads: int, put: Put, small_windows: Windows) -> None:
    def interrupt(bytes_read: int, lines: int) -> None:
        raise KeyboardInterrupt

    with blocks_of(1000), pytest.raises(KeyboardInterrupt):
        tally_reads(put(TEXT), small_windows, threads, progress=interrupt)


@pytest.mark.campaign("memory", "names")
def test_number_of_chromosome_names_is_limited(put: Put, small_windows: Windows) -> None:
    """The limit allows any assembly, but keeps files of another kind from filling the memory."""
    real = b"".join(b"NW_%010d_contig\t%d\t%d\n" % (i, i, i + 36) for i in range(5000))
    tally = tally_reads(put(real), small_windows, options=formats.ReadOptions(unknown_chrom="skip"))
    assert tally.off_genome == {f"NW_{i:010d}_contig": 1 for i in range(1000)} | {"": 4000}
    long = b"".join(b"%s%d\t1\t2\n" % (b"x" * 60_000, i) for i in range(600))
    with pytest.raises(BadDataError, match="different chromosome names"):
        count_reads(put(gzip.compress(long, 1)), small_windows, unknown_chrom="skip", threads=2)
    with patch.object(formats, "MAX_NAMES", 100), pytest.raises(BadDataError, match="more than 100 different"):
        count_reads(put(real), small_windows, unknown_chrom="skip")


@pytest.mark.campaign("limits", "names")
@pytest.mark.parametrize("shape", ["NW_%010d_contig", "%d", "scaffold_%d", "a_very_long_prefix_of_%d_and_its_suffix"])
def test_many_chromosome_names_take_little_time(shape: str, put: Put, small_windows: Windows) -> None:
    """Names that differ only in the middle do not collide, and the kernel is not interrupted by each of them."""
    n, options = sized(100_000, 300_000), formats.ReadOptions(unknown_chrom="skip")
    lines = [f"{shape}\t7\t43\tN\t0\t+\n" % i for i in range(n)]
    random.Random(1).shuffle(lines)
    path = put(("".join(lines) + TEXT.decode()).encode())
    kernels.warm_up()
    began = time.process_time()
    with patch.object(kernels, "count_text", side_effect=kernels.count_text) as count_text:
        tally = tally_reads(path, small_windows, options=options)
    assert (tally.counts == COUNTS).all()
    assert tally.reads == n + 3000
    assert sum(tally.off_genome.values()) == n
    assert len(tally.off_genome) == 1001
    assert count_text.call_count < n / 100
    assert time.process_time() - began < n / 40_000  # seconds; with collisions, ten times as long


@pytest.mark.campaign("limits")
def test_the_chromosomes_with_most_reads_are_kept_by_name(put: Put, small_windows: Windows) -> None:
    text = "".join(f"u{i}\t1\t2\n" * (1 + (i == 1500)) for i in range(1600))
    options = formats.ReadOptions(unknown_chrom="skip")
    with patch.object(tally, "MAX_OFF_GENOME_NAMES", 2):
        tallied = tally_reads(put(text.encode()), small_windows, options=options)
        assert tallied.off_genome == {"u1500": 2, "u0": 1, "": 1598}
        with pytest.raises(BadDataError, match=r"1,601 of 1,601 reads lie .*'u1500' \(2 reads\).* and 1595 more"):
            tally_reads(put(text.encode()), small_windows)
    assert len(tally_reads(put(text.encode()), small_windows, options=options).off_genome) == 1001


@pytest.mark.campaign("memory")
@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak memory from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Count one and five million reads, 60 MB of blank lines, and a gigabyte without a line break."""
    windows(tmp_path)
    (tmp_path / "million").write_bytes(gzip.compress(TEXT * 10) * 34)
    (tmp_path / "five").write_bytes(gzip.compress(TEXT * 10) * 170)
    (tmp_path / "blank").write_bytes(gzip.compress(b"\n" * (1 << 20)) * 60)
    (tmp_path / "endless").write_bytes(gzip.compress(b"\0" * (1 << 20)) * 1000)
    script = textwrap.dedent("""
        from pathlib import Path
        from deepchrome.engine.counting.count import count_reads
        from deepchrome.engine.annotation.genes import read_genes
        from deepchrome.engine.annotation.genome import read_genome
        from deepchrome.engine.annotation.windows import tss_windows
        from deepchrome.errors import BadDataError

        windows = tss_windows(read_genes("genes.tsv"), read_genome("small.sizes"))
        for name in ("million", "five", "blank", "endless"):
            try:
                total = count_reads(name, windows, threads=2, allow_empty=True).sum()
            except BadDataError as error:
                total = str(error)
            peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
            print(int(peak) >> 10, total, sep=";")
    """)
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    peaks, totals = zip(*(line.split(";") for line in ran.stdout.splitlines()), strict=True)
    assert totals[:3] == (str(340 * COUNTS.sum()), str(1700 * COUNTS.sum()), "0")
    assert totals[3].startswith("endless:1: a line of more than 65536 bytes")
    assert int(peaks[3]) - int(peaks[0]) < 30, peaks  # MiB
    assert int(peaks[3]) < 400
