"""Hypothesis strategies: random genomes, genes, reads and files."""

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from oracle.naive import Gene

T = TypeVar("T")
Test = TypeVar("Test", bound=Callable[..., Any])


def examples(n: int) -> Callable[[Test], Test]:
    """Try ``n`` cases in a test, times the environment variable DEEPCHROME_CASES."""
    cases = max(1, round(n * float(os.environ.get("DEEPCHROME_CASES", "1"))))

    def decorate(test: Test) -> Test:
        test = settings(max_examples=cases)(test)
        test.cases = cases  # type: ignore[attr-defined] # for the report of the campaign
        return test

    return decorate


# Names that differ at the end, at the beginning or only in the middle; of 1, 8, 9, 16, 17 and more bytes; not ASCII.
KNOWN = (
    "chr1",
    "chr2",
    "chr10",
    "chrX",
    "1",
    "scaffold",
    "scaffold1",
    "chromosome_00016",
    "chromosome_000016",
    "chr1_gl000191_random",
    "chr1_gl000192_random",
    "NW_0123456780_A_contig",
    "NW_0123456781_A_contig",
    "HLA-A*01:01",
    "chré",
)
# Names that no genome here has; some are almost equal to one of KNOWN.
ABSENT = ("chrZ", "chr", "chr11", "Chr1", "chr1 ", "trac", "chromosome_00017", "NW_0123456782_A_contig")
JUNK = ("", "#", "# a comment", "#chr1\t0\t50", "track", "track name=x", "browser position chr1:1-2", "track1\t1\t9")
SCORES = ("0", "1000", "7.5", "", "x")
LARGEST_END = 2**29 - 1
LONGEST_BEDTOOLS = 2**28 - 1  # bedtobam writes the length into 28 bits


@dataclass(frozen=True)
class Layout:
    """A genome and the windows on it."""

    sizes: dict[str, int]
    genes: list[Gene]
    flank: int
    bin_size: int


@dataclass(frozen=True)
class Case:
    """A layout and the text of a reads file."""

    layout: Layout
    text: bytes


class Choices:
    """Make many small choices from one drawn byte string, a hundred times faster than one draw per choice."""

    def __init__(self, drawn: bytes) -> None:
        self._left = int.from_bytes(drawn, "big")

    def below(self, n: int) -> int:
        self._left, rest = divmod(self._left, n)
        return rest

    def between(self, lowest: int, highest: int) -> int:
        return lowest + self.below(highest - lowest + 1)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]


def choices(n_bytes: int = 24) -> st.SearchStrategy[Choices]:
    return st.binary(min_size=n_bytes, max_size=n_bytes).map(Choices)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    names = draw(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=4, unique=True))
    choose = draw(choices(40))
    sizes = {}
    for name in names:
        sizes[name] = choose.pick(
            [choose.between(1000, 60_000), choose.between(5000, 60_000), choose.between(1, 60), 249_250_621]
        )
    bin_size = choose.pick([choose.between(1, 12), choose.between(1, 5000), 1, 100, 5000])
    n_bins = choose.between(1, 40)
    n_bins += n_bins * bin_size % 2  # a window is two equal flanks
    flank = n_bins * bin_size // 2
    genes: list[Gene] = []
    for choose in draw(st.lists(choices(), min_size=1, max_size=8)):
        chrom = choose.pick([*names * 4, "chrAbsent"])
        end = sizes.get(chrom, 1000)
        anchors = [end // 2, end // 3, 1, flank, end - flank, end, end + flank, *(gene.tss for gene in genes)]
        tss = choose.pick(anchors) + choose.pick([choose.between(-2, 2), choose.between(-2 * flank, 2 * flank)])
        genes.append(Gene(chrom, max(tss, 1), choose.pick("+-.")))
    return Layout(sizes, genes, flank, bin_size)


def choose_span(layout: Layout, choose: Choices, longest: int) -> tuple[str, int, int]:
    """Return chromosome, start and end of a read, often at or near an edge of a bin or of a chromosome."""
    width = 2 * layout.flank
    chrom = choose.pick([*layout.sizes])
    position = choose.below(60_000)
    where = choose.below(8)
    if where < 5:
        gene = choose.pick(layout.genes)
        near = choose.pick([choose.between(-2, 2), choose.between(-width, width)])
        position = gene.tss - layout.flank + layout.bin_size * choose.between(0, width // layout.bin_size) + near
        chrom = gene.chrom if gene.chrom in layout.sizes else chrom
    elif where == 5:
        position = layout.sizes[chrom] + choose.between(-40, 40)
    bp = choose.pick(
        [0, 1, 2, 36, layout.bin_size, width, choose.below(200), choose.below(200), choose.below(30_000), longest]
    )
    start = min(max(position - bp * choose.below(2), 0), LARGEST_END)
    return chrom, start, min(start + bp, LARGEST_END)


def many_choices(max_reads: int) -> st.SearchStrategy[list[Choices]]:
    return st.sampled_from([0, 4, 12, 25]).flatmap(
        lambda least: st.lists(choices(), min_size=least, max_size=max_reads)
    )


@st.composite
def cases(draw: st.DrawFn, max_reads: int = 40, for_bedtools: bool = False) -> Case:
    """Draw a BED file: reads, comments and blank lines, with random columns, leading zeros and line ends."""
    layout, style = draw(layouts()), draw(choices())
    columns = style.pick([6, 6, 4, 5, 7, 8, 9, 12] if for_bedtools else [6, 6, 3, 4, 5, 7, 9, 12])
    zeros = style.pick(["", "", "0", "0000000000"])
    name = style.pick(["r", "N", "", "é/1", "x" * 30, "x" * 250, "\udcff\0", "x" * (9 if for_bedtools else 5000)])
    last_tab = style.pick(["", "", "", "\t"])
    eols = style.pick([["\n"], ["\n"], ["\r\n"], ["\n", "\r\n"]])
    with_unknown = style.below(3) == 0
    lines: list[str] = []
    none_at_zero = True
    for choose in draw(many_choices(max_reads)):
        chrom, start, end = choose_span(layout, choose, LONGEST_BEDTOOLS if for_bedtools else LARGEST_END)
        if with_unknown and choose.below(6) == 0:
            chrom = choose.pick(ABSENT)
        if end == 0 and for_bedtools:
            if not none_at_zero:
                continue  # bedtobam moves reads [0, 0) to -1; samtools cannot index two reads there
            none_at_zero = False
        fields = [chrom, f"{zeros}{start}", f"{zeros}{end}", name, choose.pick(SCORES), choose.pick("+-."), *"999999"][
            :columns
        ]
        fields[-1] = fields[-1] or "."  # bedtools does not count an empty last field
        lines.append("\t".join(fields) + last_tab + choose.pick(eols))
    for at, junk in draw(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(JUNK)), max_size=4)):
        lines.insert(at, junk + style.pick(eols))
    text = "".join(lines).encode("utf-8", "surrogateescape")
    return Case(layout, text.removesuffix(b"\n") if style.below(2) else text)


def split(data: bytes, cuts: list[int], largest: int) -> list[bytes]:
    """Cut ``data`` at ``cuts``, in thousandths of its length. Pieces have 0 to ``largest`` bytes."""
    edges = sorted(len(data) * cut // 1000 for cut in cuts)
    pieces = [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]
    return [piece[i : i + largest] for piece in pieces for i in range(0, max(len(piece), 1), largest)]


def gzip_member(data: bytes, extra: bytes = b"", level: int = 6) -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    header = b"\x1f\x8b\x08" + (b"\x04" if extra else b"\0") + b"\0" * 4 + b"\0\xff"
    return header + extra + body + struct.pack("<II", zlib.crc32(data), len(data))


def bgzip_member(data: bytes) -> bytes:
    """Return a gzip member that states its own size, as in the SAM specification."""
    size = len(gzip_member(data, b"\x06\0BC\x02\0\0\0"))
    return gzip_member(data, b"\x06\0BC\x02\0" + struct.pack("<H", size - 1))


BGZIP_END = bgzip_member(b"")


def packed(data: bytes, kind: str, cuts: list[int], largest: int = 60_000) -> bytes:
    """Return ``data`` as the content of a file: plain, gzip of several members, or bgzip."""
    if kind == "plain":
        return data
    if kind == "gzip":
        return b"".join(gzip_member(piece) for piece in split(data, cuts, largest))
    return b"".join(bgzip_member(piece) for piece in split(data, cuts, largest)) + BGZIP_END


KINDS = ("plain", "gzip", "bgzip")
CUTS = st.lists(st.integers(0, 1000), max_size=5)


# --- BAM ---

FLAGS = (
    0,
    16,
    4,
    20,
    256,
    272,
    512,
    1024,
    1536,
    2048,
    2064,
    1 | 2 | 32 | 64,
    1 | 2 | 16 | 128,
    1 | 8 | 64,
    1 | 4 | 8 | 77,
)
CIGARS = (
    "36M",
    "10M5N10M",
    "5M100D5M",
    "5S20M3H",
    "3M2I3M",
    "4=1X4=",
    "2M1P2M",
    "10S",
    "7I",
    "5N5M",
    "1M",
    "0M",
    "2000N1M",
)


@dataclass(frozen=True)
class Record:
    """A SAM record: the fields that matter for counting. ``start`` is 0-based, -1 if unknown, as is ``mate_start``."""

    chrom: str | None
    start: int
    flag: int
    mapq: int
    cigar: str | None
    bases: str
    name: str = ""
    mate_chrom: str | None = None
    mate_start: int = -1
    template_length: int = 0


@dataclass(frozen=True)
class BamCase:
    """A layout, and the references and records of a BAM file, whose chromosomes may differ from those of the layout."""

    layout: Layout
    references: dict[str, int]
    records: list[Record]


@st.composite
def bam_cases(draw: st.DrawFn, max_reads: int = 40, with_unknown: bool = True) -> BamCase:
    """Draw a BAM file. If ``with_unknown``, some of its chromosomes may be absent from the genome."""
    layout = draw(layouts())
    known = draw(st.permutations([name for name in layout.sizes if name.isascii()]))
    references = {name: layout.sizes[name] for name in known}
    if with_unknown:
        names = st.lists(st.sampled_from(["chrZ", "chr", "NW_0123456782_A_contig"]), unique=True)
        references |= dict.fromkeys(draw(names), 1000)
    if not references:
        references = {"lonely": 1000}
    records = []
    for choose in draw(many_choices(max_reads)):
        chrom, start, end = choose_span(layout, choose, 1000)
        placed_on = choose.pick([chrom] * 9 + [*references]) if chrom in references else None
        flag = choose.pick(FLAGS) if choose.below(2) else 0
        cigar = choose.pick([None, f"{max(end - start, 1)}M", *CIGARS])
        bases = "" if cigar else choose.pick(["", "ACGTACGTAC"])
        records.append(
            Record(placed_on, start if placed_on else -1, flag, choose.pick([0, 1, 29, 30, 31, 254, 255]), cigar, bases)
        )
    # Records without a position on a chromosome. bedtobam writes reads [0, 0) like this; with flag 4 they are unmapped.
    first = draw(st.lists(st.sampled_from(list(references)), max_size=2, unique=True))
    records += [Record(name, -1, draw(st.sampled_from([0, 4])), 255, "2M", "") for name in first]
    return BamCase(layout, references, records)
