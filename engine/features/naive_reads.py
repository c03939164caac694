"""Read files of reads without the kernels: line by line with Python's gzip module, or record by record with pysam."""

import gzip
import io
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from typing import Any, Final, NamedTuple

from deepchrome.common.signatures import BAM_MAGIC, CRAM_MAGIC, GZIP_MAGIC
from deepchrome.common.urls import is_url
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.kernels import MAX_LINE_BYTES
from deepchrome.engine.streams.byte_streams import COMPRESSED_BYTES
from deepchrome.engine.streams.cram import required_fields
from deepchrome.engine.streams.cram_blocks import check_cram_blocks, check_cram_end
from deepchrome.engine.streams.inputs import is_cram, open_stream
from deepchrome.errors import BadDataError, DeepchromeError

Span = tuple[int, int]
"""Start and end, 0-based and half-open (bp)."""

# CIGAR operations as pysam numbers them: those that move along the reference, and N, which leaves a gap.
_ON_REFERENCE: Final = (0, 2, 3, 7, 8)  # M, D, N, =, X
_GAP: Final = 3


class BadLineError(Exception):
    """A line that is not a read. The message starts with its number."""


class NaiveRead(NamedTuple):
    """A read or a fragment."""

    chrom: str
    start: int  # 0-based, half-open; BED reads of zero length are widened to 2 bp as in bedtools
    end: int
    strand: str
    blocks: tuple[Span, ...]  # its alignment, cut at each N


def iterate_reads(path: str, file_format: str, options: ReadOptions) -> Iterator[NaiveRead]:
    """Yield the reads or fragments of a file that the options select.

    Parameters
    ----------
    path
        A file, a URL, or ``-`` for standard input.
    file_format
        ``BED`` or ``BEDPE`` for text; BAM and CRAM are recognized.
    options
        Which records count, and whether to count fragments.

    Raises
    ------
    BadLineError
        A line is not a read.
    DeepchromeError
        The file cannot be read, or is damaged.
    """
    stream: Any = open_stream(path)
    with stream:
        buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)
        is_gzip = buffered.peek(2)[:2] == GZIP_MAGIC
        with gzip.open(buffered) if is_gzip else buffered as text:
            magic = text.peek(4)[:4]
            if magic == CRAM_MAGIC and is_url(path):
                raise BadDataError("CRAM can only be read from a file. Download it first")
            if magic in (BAM_MAGIC, CRAM_MAGIC):
                if path == "-":
                    raise DeepchromeError("BAM and CRAM can only be verified from a file")
                with _local_copy(path) as local:
                    yield from _iterate_alignments(local, options)
            else:
                yield from (_iterate_pairs if file_format == "BEDPE" else _iterate_bed_lines)(text)


def _iterate_bed_lines(text: Any) -> Iterator[NaiveRead]:
    for _, fields in _iterate_lines(text, 3):
        start, end = int(fields[1]), int(fields[2])
        strand = "-" if len(fields) > 5 and fields[5] == b"-" else "+"
        yield _one_block(fields[0], start, end, strand)


def _iterate_pairs(text: Any) -> Iterator[NaiveRead]:
    """Yield the fragments of BEDPE: from the leftmost start to the rightmost end of two reads on one chromosome."""
    for number, fields in _iterate_lines(text, 6):
        if fields[0] != fields[3] or fields[0] == b".":
            continue
        if not (fields[4].isdigit() and fields[5].isdigit()):
            raise _bad_line(number, b"\t".join(fields))
        starts, ends = (int(fields[1]), int(fields[4])), (int(fields[2]), int(fields[5]))
        yield _one_block(fields[0], min(starts), max(ends), "+")


def _iterate_lines(text: Any, n_columns: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number and the fields of each line that is not blank, a comment or a header."""
    for number in count(1):
        raw = text.readline(MAX_LINE_BYTES + 3)  # room for "\r\n", and a byte to detect a longer line
        line = raw.rstrip(b"\r\n")
        if not raw:
            return
        if not line or line.startswith((b"#", b"track", b"browser")):
            continue
        fields = line.split(b"\t", 6)
        is_whole = len(line) <= MAX_LINE_BYTES and len(fields) >= n_columns
        is_unplaced = is_whole and n_columns > 3 and b"." in (fields[0], fields[3])  # positions are -1 then
        if not is_whole or not (is_unplaced or (fields[1].isdigit() and fields[2].isdigit())):
            raise _bad_line(number, line)
        yield number, fields


def _bad_line(number: int, line: bytes) -> BadLineError:
    return BadLineError(f"{number}: not a read: {line[:100].decode('utf-8', 'backslashreplace')!r}")


def _one_block(chrom: bytes, start: int, end: int, strand: str) -> NaiveRead:
    if start == end:
        start, end = start - 1, end + 1
    return NaiveRead(chrom.decode("utf-8", "backslashreplace"), start, end, strand, ((start, end),))


def _iterate_alignments(path: str, options: ReadOptions) -> Iterator[NaiveRead]:
    import pysam

    format_options = None
    if is_cram(path):
        format_options = [required_fields(options.fragments)]
        with open(path, "rb") as cram:
            if not options.allow_no_eof:
                check_cram_end(cram)
            check_cram_blocks(cram)
    with _quiet_htslib(), pysam.AlignmentFile(path, check_sq=False, format_options=format_options) as file:
        for record in file.fetch(until_eof=True):
            if (
                record.reference_id < 0
                or (record.is_duplicate and not options.include_duplicates)
                or (record.is_qcfail and not options.include_qc_fail)
                or record.mapping_quality < options.min_mapq
                or (options.proper_pairs and not record.is_proper_pair)
            ):
                continue
            read = _fragment(record) if options.fragments else _alignment(record)
            if read:
                yield read


def _alignment(record: Any) -> NaiveRead:
    """Return a record as a read. One with a position but without an alignment is 1 bp long, as in bedtools multicov."""
    start = at = block = record.reference_start
    blocks = []
    for operation, length in record.cigartuples or ():
        if operation == _GAP:
            blocks.append((block, at))
            block = at + length
        at += length if operation in _ON_REFERENCE else 0
    blocks.append((block, at))
    end = at if record.cigartuples and not record.is_unmapped else start + 1
    return NaiveRead(str(record.reference_name), start, end, "-" if record.is_reverse else "+", tuple(blocks))


def _fragment(record: Any) -> NaiveRead | None:
    """Return the fragment of a proper pair if this is the record with the positive template length."""
    is_primary = not (record.is_unmapped or record.is_secondary or record.is_supplementary)
    on_one_chrom = record.next_reference_id == record.reference_id
    if not (record.is_proper_pair and is_primary and on_one_chrom and record.template_length > 0):
        return None
    start, end = record.reference_start, record.reference_start + record.template_length
    return NaiveRead(str(record.reference_name), start, end, "+", ((start, end),))


@contextmanager
def _quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing to standard error, for example that a CRAM file has no index."""
    import pysam

    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)


@contextmanager
def _local_copy(path: str) -> Iterator[str]:
    """Yield the path of a local file, or of a temporary copy if ``path`` is a URL.

    pysam would open a URL by itself, without the retries and checks of :func:`open_stream`.
    """
    if not is_url(path):
        yield path
        return
    with tempfile.NamedTemporaryFile() as copy:
        with closing(open_stream(path)) as stream:
            buffer = memoryview(bytearray(COMPRESSED_BYTES))
            while n := stream.readinto(buffer):
                copy.write(buffer[:n])
        copy.flush()
        yield copy.name
