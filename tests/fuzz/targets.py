"""The targets of the fuzzer. Each makes a file of reads from any bytes and compares the engine with the naive counter.

A target raises an AssertionError if the two differ. Buffers have only the margin of 64 bytes that kernels need, so
that in plain Python (NUMBA_DISABLE_JIT=1) any access beyond it is an IndexError.
"""

import gzip as python_gzip
import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from oracle import naive
from support.engine import windows
from support.strategies import BGZIP_END, bgzip_member

from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.streams import blocks
from deepchrome.errors import BadDataError

SIZES = {"chr1": 3000, "chr2": 2000, "chromosome_00016": 1500, "c": 900}
GENES = [naive.Gene(*gene) for gene in (("chr1", 500), ("chr1", 620, "-"), ("chr1", 2990), ("chr2", 100))]
GENES += [naive.Gene("chromosome_00016", 700, "."), naive.Gene("c", 450, "-")]
FLANK, BIN = 200, 50
WINDOWS = windows(GENES, SIZES, FLANK, BIN)
BLOCKS = (64, 65, 100, 257, 1000, 4096)
LAST_POSITION = 2**29 - 1
LAST_ON_UNKNOWN = 2**31 - 2  # on chromosomes that the genome does not have
LONGEST_LINE = 1 << 16


@contextmanager
def tight_blocks(size: int) -> Iterator[None]:
    with patch.object(blocks, "BLOCK_BYTES", size), patch.object(blocks, "HEADROOM_BYTES", blocks.MARGIN_BYTES):
        yield


def tally(data: bytes, block: int, **options: object) -> ReadTally | BadDataError:
    """Count ``data`` as the content of a file; return the tally, or the error if it is refused."""
    chosen = ReadOptions(unknown_chrom="skip", allow_empty=True, build_check=False, format="bed", **options)  # type: ignore[arg-type]
    with tight_blocks(block), patch("deepchrome.engine.counting.count.open_stream", lambda path: io.BytesIO(data)):
        try:
            return tally_reads("fuzzed", WINDOWS, options=chosen)
        except BadDataError as error:
            return error


def check(tally: ReadTally, found: list[naive.Read]) -> None:
    """Check that a tally equals the counts of the naive counter."""
    placed = naive.on_genome(found, SIZES)
    assert tally.reads == len(found)
    assert tally.in_windows == sum(naive.in_a_window(read, GENES, FLANK) for read in placed)
    assert tally.counts.tolist() == naive.count(placed, GENES, SIZES, FLANK, BIN)


# --- text ---


def first_bad_line(text: bytes) -> int | None:
    """Return the number of the first malformed line, from 1; 0 if lines end in lone carriage returns; else None."""
    columns = 0
    for number, whole in enumerate(text.removesuffix(b"\n").split(b"\n"), 1):
        line = whole.removesuffix(b"\r")
        if len(whole) > LONGEST_LINE:
            return number
        if not line or line.startswith((b"#", b"track", b"browser")):
            continue
        if not columns and b"\r" in line:
            return 0
        fields = line.removesuffix(b"\t").split(b"\t")
        columns = columns or len(fields)
        if len(fields) != columns or columns < 3 or not fields[0]:
            return number
        if not all(re.fullmatch(rb"[0-9]+", field) for field in fields[1:3]):
            return number
        # int() refuses more than 4,300 digits, so convert only the last 4,000 and require zeros before them.
        start, end = (int(field[-4000:]) if not field[:-4000].strip(b"0") else 2**40 for field in fields[1:3])
        last = LAST_POSITION if fields[0].decode("utf-8", "surrogateescape") in SIZES else LAST_ON_UNKNOWN
        if not start <= end <= last:
            return number
    return None


def text(data: bytes) -> None:
    """Read lines of BED. The first byte chooses the block size; the rest is the file."""
    block, lines = BLOCKS[data[0] % len(BLOCKS)] if data else 64, data[1:]
    if lines.startswith((b"\x1f\x8b", b"CRAM", b"BAM\1")):
        return
    bad = first_bad_line(lines)
    counted = tally(lines, block)
    if isinstance(counted, BadDataError):
        assert bad is not None, counted
        where = "fuzzed: lines end in a lone" if bad == 0 else f"fuzzed:{bad}: "
        # The first bytes may be those of another format, which is refused before any line is read.
        assert str(counted).startswith((where, "fuzzed: this is ")), (bad, counted)
        return
    assert bad is None, bad
    check(counted, naive.text_reads(lines))


# --- BAM ---


def bam_header() -> bytes:
    names = [*SIZES, "unknown"]
    head = b"BAM\1" + struct.pack("<i", 3) + b"@CO" + struct.pack("<i", len(names))
    for name in names:
        head += struct.pack("<i", len(name) + 1) + name.encode() + b"\0" + struct.pack("<i", SIZES.get(name, 10))
    return head


HEADER = bam_header()
REFERENCES = [*SIZES, "unknown"]
CIGAR_OPERATIONS = "MIDNSHP=X"


def bam_records(data: bytes, min_mapq: int) -> list[naive.Read] | None:
    """Return the reads that count, or None if a record does not follow the SAM specification."""
    found, at = [], 0
    while at < len(data):
        if len(data) - at < 4:
            return None
        (size,) = struct.unpack_from("<i", data, at)
        if size < 32 or at + 4 + size > len(data):
            return None
        fields = struct.unpack_from("<iiBBHHHii", data, at + 4)
        reference, start, name, mapq, _, operations, flags, bases, mate = fields
        if not all(-1 <= place < len(REFERENCES) for place in (reference, mate)) or start < -1:
            return None
        if name < 1 or bases < 0 or 32 + name + 4 * operations + (bases + 1) // 2 + bases > size:
            return None
        cigar = struct.unpack_from(f"<{operations}I", data, at + 36 + name)
        used = sum(code >> 4 for code in cigar if code & 15 < 9 and CIGAR_OPERATIONS[code & 15] in "MIS=X")
        if operations and bases and not flags & 4 and used != bases:
            return None
        at += 4 + size
        if reference < 0 or flags & 0x600 or mapq < min_mapq:
            continue
        span = sum(code >> 4 for code in cigar if code & 15 < 9 and CIGAR_OPERATIONS[code & 15] in "MDN=X")
        if flags & 4 or not operations:
            span = 1
        found.append(naive.Read(REFERENCES[reference], max(start, 0), start + span if span else 0))
    return found


def bam(data: bytes) -> None:
    """Read uncompressed BAM. Two bytes choose the options; the rest is the records."""
    block, min_mapq = BLOCKS[data[0] % len(BLOCKS)] if data else 64, 30 if data[1:2] > b"\x7f" else 0
    expected = bam_records(data[2:], min_mapq)
    counted = tally(HEADER + data[2:], block, min_mapq=min_mapq)
    if isinstance(counted, BadDataError):
        assert expected is None, counted
        return
    assert expected is not None
    check(counted, expected)


# --- gzip and bgzip ---

LINES = b"".join(b"chr%d\t%d\t%d\tN\t0\t%s\n" % (1 + i % 2, 37 * i, 37 * i + 36, b"+-"[i % 2 :][:1]) for i in range(60))


def member(body: bytes, flags: int) -> bytes:
    """Return a gzip member with the optional header fields of ``flags`` (RFC 1952)."""
    flags &= 0b11110
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff"
    head += struct.pack("<H", 6) + b"XY\2\0ab" if flags & 4 else b""
    head += b"name\0" if flags & 8 else b""
    head += b"comment\0" if flags & 16 else b""
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & 2 else b""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return head + packer.compress(body) + packer.flush() + struct.pack("<II", zlib.crc32(body), len(body))


def gzip(data: bytes) -> None:
    """Read gzip. Two bytes describe each member; then three bytes describe each damage."""
    block, n_members = BLOCKS[data[0] % len(BLOCKS)] if data else 64, data[1] % 8 if len(data) > 1 else 0
    plan, damage = data[2 : 2 + 2 * n_members], data[2 + 2 * n_members :]
    packed, at, ends_in_bgzip = bytearray(), 0, False
    for kind, length in zip(plan[::2], plan[1::2], strict=False):
        if kind & 32:
            packed += BGZIP_END
            ends_in_bgzip = False
            continue
        body = LINES[at : at + min(4 * length, block)]
        at += len(body)
        ends_in_bgzip = bool(kind & 1 and body)
        packed += bgzip_member(body) if kind & 1 else member(body, kind)
    whole, lines = bytes(packed), LINES[:at]
    for i in range(0, len(damage) - 2, 3):
        if packed:
            place = int.from_bytes(damage[i : i + 2], "little") % len(packed)
            if damage[i + 2]:
                packed[place] ^= damage[i + 2]
            else:
                del packed[place:]
    if not packed.startswith(b"\x1f\x8b"):
        return
    try:
        unpacked = python_gzip.decompress(bytes(packed))
    except (OSError, EOFError, zlib.error):
        unpacked = None
    counted = tally(bytes(packed), block)
    if isinstance(counted, BadDataError):
        # A damaged file, or bgzip without its end-of-file block, may be refused.
        assert bytes(packed) != whole or ends_in_bgzip or first_bad_line(lines) is not None, counted
        return
    assert unpacked is not None
    assert first_bad_line(unpacked) is None
    check(counted, naive.text_reads(unpacked))


TARGETS: dict[str, Callable[[bytes], None]] = {"text": text, "bam": bam, "gzip": gzip}
