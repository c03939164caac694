"""Identify files that are not reads, from the first bytes of their content, and say what to do with them.

BED has no signature, so bedGraph, peaks and other tables pass for BED and would be counted as reads. The rules here
are safe in both directions. A format without a signature is only named if every line of the sample fits it and no line
could be that of a valid BED file. The one exception is a BED file with four columns and numbers as names: it cannot be
told from bedGraph, so it is refused unless the caller insists that it is BED.
"""

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deepchrome.common.signatures import BAM_MAGIC, CRAM_MAGIC, GZIP_MAGIC
from deepchrome.engine.counting.known_formats import FORMATS, TRACK_TYPES
from deepchrome.errors import BadDataError

HEAD_BYTES: Final = 1 << 16
"""Length of the sample. A shorter one is taken for a whole file."""

Row = Sequence[bytes]
_WANTED_WITH_FRAGMENTS: Final = ("bedpe", "10x")


@dataclass(frozen=True)
class Identified:
    """A file that is not BED, BAM or CRAM.

    Attributes
    ----------
    name
        Name of the format, such as ``bedGraph``.
    kind
        Key of the format, such as ``bedgraph``.
    what
        The format with an article and a short explanation, such as ``a bedGraph file (signal, not reads)``.
    advice
        What to do, as complete sentences.
    remedy
        Key of further advice, as in :class:`~deepchrome.errors.DeepchromeError`; empty if there is none.
    is_certain
        Whether the content shows the format beyond doubt. Otherwise it was guessed from numbers in columns.
    """

    name: str
    kind: str
    what: str
    advice: str
    remedy: str = ""
    is_certain: bool = True


def identify(head: bytes) -> Identified | None:
    """Identify a file that is not reads.

    Parameters
    ----------
    head
        The first :data:`HEAD_BYTES` bytes of the decompressed content; all of it if there is less.

    Returns
    -------
    Identified or None
        None if the file is BAM or may be BED: three columns or more, with any name, score and strand.

    Notes
    -----
    BED and its columns: https://github.com/samtools/hts-specs/blob/master/BEDv1.pdf. bedGraph, wiggle, narrowPeak,
    broadPeak and gappedPeak: https://genome.ucsc.edu/FAQ/FAQformat.html. BEDPE: the documentation of bedtools. SAM and
    the indexes: https://samtools.github.io/hts-specs. Fragments: the documentation of Cell Ranger ATAC.
    """
    head = bytes(head[:HEAD_BYTES])
    if head.startswith(BAM_MAGIC):
        return None
    if kind := _kind_of_binary(head) or _kind_of_start(head):
        return _describe(kind)
    lines = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if len(head) == HEAD_BYTES and len(lines) > 1:
        lines.pop()  # it may be cut
    data = [line for line in lines if line.strip() and not line.startswith((b"#", b"track", b"browser"))]
    if kind := _kind_of_header(head, lines):
        is_peaks = kind == "10x" and data and len(_fields(data[0])) == 3  # Cell Ranger writes the same header there
        return _describe("10x-peaks", is_certain=False) if is_peaks else _describe(kind)
    if not data:
        return None
    if kind := _kind_of_first_line(data):
        return _describe(kind)
    kind, is_certain = _kind_of_columns(data)
    return _describe(kind, is_certain) if kind else None


def refusal(
    identified: Identified | None, *, fragments: bool = False, insisted: bool = False, signal: bool = False
) -> BadDataError | None:
    """Return the error for a file that cannot be counted, or None if it can.

    Parameters
    ----------
    identified
        The result of :func:`identify`.
    fragments
        Whether fragments are counted: then BEDPE and fragments of 10x are wanted.
    insisted
        Whether the user insists that the file is BED. This overrules guesses from columns, but not a signature or a
        header, and not columns that no BED file can have.
    signal
        Whether bigWig is wanted.

    Returns
    -------
    BadDataError or None
        The message does not name the file; :func:`~deepchrome.engine.streams.inputs.translate_error` adds it.
    """
    if identified is None or (insisted and not identified.is_certain):
        return None
    if (fragments and identified.kind in _WANTED_WITH_FRAGMENTS) or (signal and identified.kind == "bigwig"):
        return None
    return BadDataError(f"this is {identified.what}. {identified.advice}", remedy=identified.remedy)


def _describe(kind: str, is_certain: bool = True) -> Identified:
    known = FORMATS[kind]
    identified = Identified(known.name, kind, known.what, known.advice, known.remedy, is_certain)
    is_ambiguous = kind == "bedgraph" and not is_certain
    return replace(identified, remedy="format_bed") if is_ambiguous else identified


_SIGNATURES: Final = (
    (bytes.fromhex("26fc8f88"), "bigwig"),
    (bytes.fromhex("888ffc26"), "bigwig"),
    (bytes.fromhex("ebf28987"), "bigbed"),
    (bytes.fromhex("8789f2eb"), "bigbed"),
    (CRAM_MAGIC, "cram"),
    (b"BCF\2", "bcf"),
    (b"BAI\1", "bai"),
    (b"CSI\1", "csi"),
    (b"TBI\1", "tbi"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"PAR1", "parquet"),
    (b"\x93NUMPY", "numpy"),
    (bytes.fromhex("28b52ffd"), "zstd"),
    (bytes.fromhex("fd377a585a00"), "xz"),
    (bytes.fromhex("377abcaf271c"), "7z"),
    (bytes.fromhex("04224d18"), "lz4"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x1f\x9d", "compress"),
    (GZIP_MAGIC, "gzip"),
    (bytes.fromhex("d0cf11e0a1b11ae1"), "excel"),
    (b"%PDF-", "pdf"),
    (b"\xff\xfe", "utf16"),
    (b"\xfe\xff", "utf16"),
)
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")
_EXCEL_PARTS: Final = (b"[Content_Types].xml", b"xl/")


def _kind_of_binary(head: bytes) -> str:
    """Return the format of a file with a signature, or an empty text."""
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "excel" if any(part in head for part in _EXCEL_PARTS) else "zip"
    if _BZIP2.match(head):
        return "bzip2"
    if head[257:262] == b"ustar":
        return "tar"
    return next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), "")


_STARTS: Final = (
    (re.compile(rb"<(!doctype html|html|head|body)\b", re.IGNORECASE), "html"),
    (re.compile(rb"<\?xml|<[A-Za-z]\w*[ >/]"), "xml"),
    (re.compile(rb'[\[{]\s*["{]'), "json"),
)


def _kind_of_start(head: bytes) -> str:
    """Return what a server sent in place of a file (a page, XML or JSON), or an empty text."""
    start = head[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for pattern, kind in _STARTS if pattern.match(start)), "")


_TRACK = re.compile(rb"^track\b[^\n]*?\btype=[\"']?(\w+)", re.MULTILINE)
_STEP = re.compile(rb"^(?:fixedStep|variableStep)[ \t]+chrom=", re.MULTILINE)
_COMMENTS: Final = (
    (b"##fileformat=VCF", "vcf"),
    (b"##gff-version", "gff"),
    (b"#gff-version", "gff"),
    (b"#gtf-version", "gff"),
    (b"#!genome-build", "gff"),
    (b"## pairs format", "pairs"),
    (b"# pipeline_name=cellranger", "10x"),
    (b"# primary_contig=", "10x"),
)


def _kind_of_header(head: bytes, lines: Sequence[bytes]) -> str:
    """Return the format that a line of a header names, or an empty text."""
    if head.startswith(b"track") or b"\ntrack" in head:
        for match in _TRACK.finditer(head):
            if kind := TRACK_TYPES.get(match[1].lower()):
                return kind
    if b"Step" in head and _STEP.search(head):
        return "wiggle"
    for line in lines:
        if line.startswith(b"#"):
            for start, kind in _COMMENTS:
                if line.startswith(start):
                    return kind
        elif line.strip():
            return ""
    return ""


_SAM_HEADER = re.compile(rb"@(HD|SQ|RG|PG|CO)\t")
_SEQUENCE = re.compile(rb"[A-Za-z.*-]+\r?")
_COMMAS = re.compile(rb'"?[\w.:*-]+"?,"?\d+"?,"?\d+"?(,|\r?$)')


def _kind_of_first_line(data: Sequence[bytes]) -> str:
    """Return the format that the first line after the header shows, or an empty text."""
    first = data[0]
    if _SAM_HEADER.match(first):
        return "sam"
    if first.startswith(b"@") and (b"\t" not in first or any(line.startswith(b"+") for line in data[2:3])):
        return "fastq"
    if first.startswith(b">") and (b"\t" not in first or any(map(_SEQUENCE.fullmatch, data[1:2]))):
        return "fasta"
    if _COMMAS.match(first):
        return "csv"
    return ""


_NUMBER = re.compile(rb"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf(?:inity)?)", re.IGNORECASE)
_WHOLE = re.compile(rb"-?\d+")
_CIGAR = re.compile(rb"\*|(?:\d+[MIDNSHP=X])+")
_BLOCKS = re.compile(rb"\d+(?:,\d+)*,?")
_BARCODE = re.compile(rb"(?:[\w.:-]+[#_:])?[ACGTN]{8,}(?:[+_-][ACGTN]{6,})*(?:-\w+)?")


def _kind_of_columns(data: Sequence[bytes]) -> tuple[str, bool]:
    """Return the format that the columns of all lines show, and whether no BED file can have them."""
    first = _fields(data[0])
    for test in _TESTS:
        if len(first) in test.columns and test.fits(first):
            rows = [_fields(line) for line in data]
            if all(len(row) == len(first) and test.fits(row) for row in rows) and test.confirm(rows):
                return test.kind, test.is_certain
    return "", True


def _fields(line: bytes) -> list[bytes]:
    """Return the fields of a line. One tab at its end does not count, as in the kernels."""
    line = line.removesuffix(b"\r")
    return line.removesuffix(b"\t").split(b"\t") if b"\t" in line else line.split()


def _is_number(text: bytes) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _are_whole(*texts: bytes) -> bool:
    return all(_WHOLE.fullmatch(text) for text in texts)


def _has_interval(row: Row) -> bool:
    return row[1].isdigit() and row[2].isdigit()


def _is_sam(row: Row) -> bool:
    numbers = row[1].isdigit() and row[3].isdigit() and row[4].isdigit() and row[7].isdigit()
    return numbers and int(row[1]) < 1 << 16 and int(row[4]) < 256 and _CIGAR.fullmatch(row[5]) is not None


def _is_bedpe(row: Row) -> bool:
    return _are_whole(row[1], row[2], row[4], row[5])


def _names_chromosomes(rows: Sequence[Row]) -> bool:
    """Return whether the fourth column holds chromosomes: mostly those of the first column, or names like theirs."""
    names = {row[0] for row in rows} | {b"."}
    n_known = sum(row[3] in names for row in rows)
    return 2 * n_known >= len(rows) or all(row[3].startswith(b"chr") or row[3] in names for row in rows)


def _is_gff(row: Row) -> bool:
    is_placed = row[3].isdigit() and row[4].isdigit() and not row[2].isdigit()
    return is_placed and row[6] in (b"+", b"-", b".", b"?") and row[7] in (b".", b"0", b"1", b"2")


def _is_fragment(row: Row) -> bool:
    return _has_interval(row) and row[4].isdigit() and _BARCODE.fullmatch(row[3]) is not None


def _is_bedgraph(row: Row) -> bool:
    return _has_interval(row) and (_is_number(row[3]) or row[3] == b"NA")


def _is_peak(row: Row) -> bool:
    return _has_interval(row) and all(_is_number(value) for value in row[6:9])


def _is_narrow_peak(row: Row) -> bool:
    return _is_peak(row) and _are_whole(row[9]) and int(row[9]) >= -1


def _is_gapped_peak(row: Row) -> bool:
    blocks = row[6].isdigit() and row[7].isdigit() and row[9].isdigit() and _BLOCKS.fullmatch(row[10])
    return _has_interval(row) and bool(blocks) and all(_is_number(value) for value in row[12:15])


def _is_methylation(row: Row) -> bool:
    """Return whether this is a line of bedMethyl: a cytosine, its coverage, and the percentage of methylation."""
    is_site = _has_interval(row) and int(row[2]) - int(row[1]) in (1, 2) and b"," in row[8]
    return is_site and row[6:8] == row[1:3] and row[9].isdigit() and _is_number(row[10]) and float(row[10]) <= 100


def _has_thick_part(row: Row) -> bool:
    """Return whether columns 7 to 9 can be those of BED: a thick part inside the interval, and a colour."""
    start, end, thick_start, thick_end, colour = row[1], row[2], row[6], row[7], row[8]
    if not (thick_start.isdigit() and thick_end.isdigit() and colour.isdigit()):
        return False
    return int(start) <= int(thick_start) <= int(thick_end) <= int(end)


def _has_fractions(columns: slice) -> Callable[[Sequence[Row]], bool]:
    """Return a test whether some of the numbers in these columns are not whole: BED has only whole ones there."""
    return lambda rows: any(not value.isdigit() for row in rows for value in row[columns])


@dataclass(frozen=True)
class _ColumnTest:
    """A format without a signature: what each line has, and what all lines together must have."""

    kind: str
    columns: Container[int]
    fits: Callable[[Row], bool]
    confirm: Callable[[Sequence[Row]], bool] = bool  # true for any lines
    is_certain: bool = False


_TESTS: Final = (
    _ColumnTest("sam", range(11, 1000), _is_sam, is_certain=True),
    _ColumnTest("bedpe", range(6, 1000), _is_bedpe, _names_chromosomes, is_certain=True),
    _ColumnTest("crai", (6,), lambda row: _are_whole(*row), is_certain=True),
    _ColumnTest("gff", (8, 9), _is_gff, is_certain=True),
    _ColumnTest("10x", (5,), _is_fragment),
    _ColumnTest("bedgraph", (4,), _is_bedgraph, lambda rows: any(row[3] != b"NA" for row in rows)),
    _ColumnTest("broadpeak", (9,), _is_peak, _has_fractions(slice(6, 9))),
    _ColumnTest("narrowpeak", (10,), _is_narrow_peak, lambda rows: not all(map(_has_thick_part, rows))),
    _ColumnTest("gappedpeak", (15,), _is_gapped_peak, _has_fractions(slice(12, 15))),
    _ColumnTest("bedmethyl", (11, 18), _is_methylation),
)
