"""Random genomes, genes, reads and files: what hypothesis tries the counters with."""

import struct
import zlib
from dataclasses import dataclass

from hypothesis import strategies as st
from naive import Gene

# Alike at the beginning, at the end, in all but the middle; of 1, 8, 9, 16, 17 and more bytes; not ASCII.
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
# Names that no genome here has; some all but equal one that it has.
ABSENT = ("chrZ", "chr", "chr11", "Chr1", "chr1 ", "trac", "chromosome_00017", "NW_0123456782_A_contig")
JUNK = (
    b"",
    b"#",
    b"# a comment",
    b"#chr1\t0\t50",
    b"track",
    b"track name=x",
    b"browser position chr1:1-2",
    b"track1\t1\t9",
)
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


@st.composite
def layouts(draw: st.DrawFn, max_genes: int = 8) -> Layout:
    names = draw(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=4, unique=True))
    size = st.one_of(st.integers(1000, 60_000), st.integers(1000, 60_000), st.integers(1, 60), st.just(249_250_621))
    sizes = {name: draw(size) for name in names}
    bin_size = draw(st.one_of(st.integers(1, 12), st.integers(1, 5000), st.sampled_from([1, 100, 5000])))
    n_bins = draw(st.integers(1, 40))
    n_bins += n_bins * bin_size % 2  # a window is two flanks
    flank = n_bins * bin_size // 2
    genes: list[Gene] = []
    for _ in range(draw(st.integers(1, max_genes))):
        chrom = draw(st.sampled_from(names * 4 + ["chrAbsent"]))
        end = sizes.get(chrom, 1000)
        anchors = [end // 2, end // 3, 1, flank, end - flank, end, end + flank, *(gene.tss for gene in genes)]
        anchor = draw(st.sampled_from(anchors))
        tss = anchor + draw(st.one_of(st.integers(-2, 2), st.integers(-2 * flank, 2 * flank)))
        genes.append(Gene(chrom, max(tss, 1), draw(st.sampled_from("+-."))))
    return Layout(sizes, genes, flank, bin_size)


@st.composite
def spans(draw: st.DrawFn, layout: Layout, max_reads: int, longest: int) -> list[tuple[str, int, int]]:
    """Draw (chrom, start, end), most of them at or near an edge of a bin or of a chromosome."""
    names = list(layout.sizes)
    width = 2 * layout.flank
    on_genome = [gene for gene in layout.genes if gene.chrom in layout.sizes]
    near_gene = st.tuples(
        st.sampled_from(on_genome or [Gene(names[0], 1)]),
        st.integers(0, width // layout.bin_size),
        st.one_of(st.integers(-2, 2), st.integers(-width, width)),
    ).map(lambda at: (at[0].chrom, at[0].tss - layout.flank + at[1] * layout.bin_size + at[2]))
    near_end = st.tuples(st.sampled_from(names), st.integers(-40, 40)).map(
        lambda at: (at[0], layout.sizes[at[0]] + at[1])
    )
    anywhere = st.tuples(st.sampled_from(draw(st.sampled_from([names, [*names, *ABSENT]]))), st.integers(0, 60_000))
    length = st.one_of(
        st.sampled_from([0, 1, 2, 36, layout.bin_size, width]),
        st.integers(0, 200),
        st.integers(0, 30_000),
        st.just(longest),
    )
    read = st.tuples(st.one_of(near_gene, near_gene, near_gene, near_end, anywhere), length, st.booleans())
    reads = []
    for (chrom, position), bp, ends_there in draw(
        st.lists(read, min_size=draw(st.sampled_from([0, 4, 12, 25])), max_size=max_reads)
    ):
        start = min(max(position - bp if ends_there else position, 0), LARGEST_END)
        reads.append((chrom, start, min(start + bp, LARGEST_END)))
    return reads


def indexable(reads: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Keep one read [0, 0): bedtobam puts them at -1, and samtools indexes no two reads there."""
    first = next((i for i, read in enumerate(reads) if read[2] == 0), None)
    return [read for i, read in enumerate(reads) if read[2] > 0 or i == first]


@st.composite
def bed_texts(draw: st.DrawFn, reads: list[tuple[str, int, int]], for_bedtools: bool) -> bytes:
    """Write reads as BED lines with everything that may stand around them."""
    columns = draw(st.sampled_from([6, 6, 4, 5, 7, 8, 9, 12] if for_bedtools else [6, 6, 3, 4, 5, 7, 9, 12]))
    zeros = draw(st.sampled_from(["", "", "0", "0000000000"]))
    name = draw(st.sampled_from(["r", "N", "", "é/1", "x" * 30, "x" * 250] + ([] if for_bedtools else ["x" * 5000])))
    last_tab = draw(st.sampled_from(["", "", "", "\t"]))
    extra = st.tuples(st.sampled_from(SCORES), st.sampled_from("+-."), st.sampled_from(["\n", "\n", "\r\n"]))
    always_unix = draw(st.booleans())
    lines: list[bytes] = []
    for i, (chrom, start, end) in enumerate(reads):
        score, strand, eol = draw(extra)
        first = [chrom, zeros + str(start), zeros + str(end), name, score, strand]
        fields = [*first, *("9" * 6)][:columns]
        if not fields[-1]:
            fields[-1] = "."  # bedtools takes an empty last field for none
        lines.append(("\t".join(fields) + last_tab + ("\n" if always_unix else eol)).encode())
        if i == 0 and draw(st.booleans()):
            lines[0] = lines[0].replace(b"\tr\t", b"\t\xff\x00\t")  # names are bytes
    for at, junk in draw(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(JUNK)), max_size=4)):
        lines.insert(at, junk + (b"\n" if at % 2 else b"\r\n"))
    text = b"".join(lines)
    return text.removesuffix(b"\n") if draw(st.booleans()) else text


@st.composite
def cases(draw: st.DrawFn, max_reads: int = 40, for_bedtools: bool = False) -> Case:
    layout = draw(layouts())
    reads = draw(spans(layout, max_reads, LONGEST_BEDTOOLS if for_bedtools else LARGEST_END))
    return Case(layout, draw(bed_texts(indexable(reads) if for_bedtools else reads, for_bedtools)))


def pieces(data: bytes, cuts: list[int], largest: int) -> list[bytes]:
    """Cut ``data`` at thousandths of its length, some pieces empty, none above ``largest``."""
    marks = sorted(len(data) * cut // 1000 for cut in cuts)
    whole = [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True)]
    return [piece[i : i + largest] for piece in whole for i in range(0, max(len(piece), 1), largest)]


def gzip_member(data: bytes, extra: bytes = b"", level: int = 6) -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    header = b"\x1f\x8b\x08" + (b"\x04" if extra else b"\0") + b"\0" * 4 + b"\0\xff"
    return header + extra + body + struct.pack("<II", zlib.crc32(data), len(data))


def bgzip_member(data: bytes) -> bytes:
    """A gzip member that states its own size, as the SAM specification describes it."""
    size = len(gzip_member(data, b"\x06\0BC\x02\0\0\0"))
    return gzip_member(data, b"\x06\0BC\x02\0" + struct.pack("<H", size - 1))


BGZIP_END = bgzip_member(b"")


def packed(data: bytes, kind: str, cuts: list[int], largest: int = 60_000) -> bytes:
    """Return ``data`` as it would lie in a file: plain, gzip of several members, or bgzip."""
    if kind == "plain":
        return data
    if kind == "gzip":
        return b"".join(gzip_member(piece) for piece in pieces(data, cuts, largest))
    return b"".join(bgzip_member(piece) for piece in pieces(data, cuts, largest)) + BGZIP_END


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
    """What a SAM line says, as far as counting goes; ``start`` is 0-based, -1 if unknown."""

    chrom: str | None
    start: int
    flag: int
    mapq: int
    cigar: str | None
    bases: str


@dataclass(frozen=True)
class BamCase:
    """A layout, and the references and records of a BAM; the two need not list the same chromosomes."""

    layout: Layout
    references: dict[str, int]
    records: list[Record]


@st.composite
def bam_cases(draw: st.DrawFn, max_reads: int = 40, strangers: bool = True) -> BamCase:
    """Draw a BAM; with ``strangers`` some of its references are not in the genome."""
    layout = draw(layouts())
    known = draw(st.permutations([name for name in layout.sizes if name.isascii()]))
    references = {name: layout.sizes[name] for name in known}
    if strangers:
        names = st.lists(st.sampled_from(["chrZ", "chr", "NW_0123456782_A_contig"]), unique=True)
        references |= dict.fromkeys(draw(names), 1000)
    if not references:
        references = {"lonely": 1000}
    drawn = draw(spans(layout, max_reads, 1000))
    detail = st.tuples(
        st.one_of(st.just(0), st.sampled_from(FLAGS)),
        st.sampled_from([0, 1, 29, 30, 31, 254, 255]),
        st.sampled_from([None, "", *CIGARS, *CIGARS]),
        st.sampled_from(["", "", "ACGTACGTAC"]),
    )
    records = []
    for chrom, start, end in drawn:
        flag, mapq, cigar, bases = draw(detail)
        span = None if cigar is None else cigar or f"{max(end - start, 1)}M"
        there = chrom if chrom in references else None
        records.append(Record(there, start if there else -1, flag, mapq, span, "" if span else bases))
    # Before the first base: what bedtobam writes for [0, 0), and an unmapped read.
    first = draw(st.lists(st.sampled_from(list(references)), max_size=2, unique=True))
    records += [Record(name, -1, draw(st.sampled_from([0, 4])), 255, "2M", "") for name in first]
    return BamCase(layout, references, records)
