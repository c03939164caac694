"""Regions: their formats and errors, and the intervals that bedtools counts in."""

import gzip
import io
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest
from oracle import bedtools, naive
from support.tiny import SIZES, reads_text

from deepchrome.engine.annotation import region_files
from deepchrome.engine.annotation.aliases import auto_aliases
from deepchrome.engine.annotation.genome import MAX_POSITION_BP, Genome, read_genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.annotation.regions import Regions, genome_bins, read_regions
from deepchrome.engine.kernels import MINUS, PLUS
from deepchrome.errors import BadDataError, MissingInputError, ParameterError

SMALL = Genome("small", SIZES)
SIGNS = {PLUS: "+", MINUS: "-", 0: "."}

BED6 = "chr1\t10\t20\ta\t5\t+\nchr2\t0\t7\tb\t0\t-\nchr1\t10\t20\ta\t5\t+\nchr1\t5\t5\tc\t0\t.\n"
GTF = (
    '#!build\nchr1\tx\tgene\t11\t20\t.\t+\t.\tgene_id "a";\nchr1\tx\texon\t11\t15\t.\t+\t.\tgene_id "a";\n'
    'chr2\tx\texon\t1\t7\t.\t-\t0\tgene_id "b";\nchr3\tx\tCDS\t1\t7\t.\t?\t0\tgene_id "c";\n'
)
GFF3_END = "##FASTA\n>chr1 a chromosome\twith a tab\nACGT\n>chr2\nACGT"


def read(folder: Path, content: str | bytes, feature: str | None = None) -> Regions:
    (folder / "regions.any").write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_regions(folder / "regions.any", feature)


def rows(regions: Regions) -> list[tuple[str, int, int, str]]:
    chroms = [regions.chrom_names[i] for i in regions.chrom]
    strands = [SIGNS[sign] for sign in regions.strand.tolist()]
    return list(zip(chroms, regions.start.tolist(), regions.end.tolist(), strands, strict=True))


def texts(regions: Regions) -> dict[str, list[str]]:
    return {name: list(column) for name, column in regions.columns.items()}


EXPECTED = {
    "bed": (BED6, [("chr1", 10, 20, "+"), ("chr2", 0, 7, "-"), ("chr1", 10, 20, "+"), ("chr1", 5, 5, ".")]),
    "gff": (GTF, [("chr1", 10, 15, "+"), ("chr2", 0, 7, "-")]),
}


@pytest.mark.parametrize("layout", EXPECTED)
@pytest.mark.parametrize(
    "container", ["plain", "gzip", "members", "bgzip", "crlf", "bom", "no final newline", "odd lines", "last tabs"]
)
@pytest.mark.parametrize("block_bytes", [1, 30, 1 << 24])
def test_every_format_in_every_container(
    layout: str, container: str, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region_files, "_BLOCK_BYTES", block_bytes)
    text, expected = EXPECTED[layout]
    data = text.encode()
    path = tmp_path / "regions.any"
    match container:
        case "gzip":
            data = gzip.compress(data)
        case "members":
            data = gzip.compress(data[:20]) + gzip.compress(b"") + gzip.compress(data[20:])
        case "bgzip":
            with pysam.BGZFile(str(path), "wb") as file:
                file.write(data)
            data = path.read_bytes()
        case "crlf":
            data = data.replace(b"\n", b"\r\n")
        case "bom":
            data = b"\xef\xbb\xbf" + data
        case "no final newline":
            data = data[:-1]
        case "odd lines":
            data = (
                b"browser position chr1\n\n\n# \xff\t\ntrack name=x\n"
                + data.replace(b"\nchr2", b"\n\n#x\n\nchr2")
                + b"\n#"
            )
        case "last tabs":
            data = data.replace(b"\nchr", b"\t\nchr") + b"\n"
    regions = read(tmp_path, data, "exon" if layout == "gff" else None)
    assert rows(regions) == expected
    assert regions.chrom_names == ("chr1", "chr2")
    assert (regions.format, regions.source, len(regions)) == (layout, "regions.any", len(expected))
    kinds = [array.dtype for array in (regions.chrom, regions.start, regions.end, regions.strand)]
    assert kinds == [np.int32, np.int64, np.int64, np.int8]


def test_columns_of_bed(tmp_path: Path) -> None:
    assert texts(read(tmp_path, BED6)) == {
        "chrom": ["chr1", "chr2", "chr1", "chr1"],
        "start": ["10", "0", "10", "5"],
        "end": ["20", "7", "20", "5"],
        "name": ["a", "b", "a", "c"],
        "score": ["5", "0", "5", "0"],
        "strand": ["+", "-", "+", "."],
    }
    regions = read(tmp_path, "chr1\t0010\t020\t\t\n")
    assert texts(regions) == {"chrom": ["chr1"], "start": ["10"], "end": ["20"], "name": [""]}
    assert regions.columns["end"][0] == "20"
    with pytest.raises(KeyError):
        regions.columns["strand"]


def test_columns_of_gtf(tmp_path: Path) -> None:
    assert texts(read(tmp_path, GTF, "exon")) == {
        "seqname": ["chr1", "chr2"],
        "source": ["x", "x"],
        "feature": ["exon", "exon"],
        "start": ["11", "1"],
        "end": ["15", "7"],
        "score": [".", "."],
        "strand": ["+", "-"],
        "frame": [".", "0"],
        "attributes": ['gene_id "a";', 'gene_id "b";'],
    }


START = "chr1\t100\t200\tn\t5\t+"
SIX = ["chrom", "start", "end", "name", "score", "strand"]
NAMES = {
    "chr1\t100\t200": SIX[:3],
    "chr1\t100\t200\t1.5": SIX[:4],
    "chr1\t100\t200\tn\t5\t7": [*SIX[:5], "column_6"],
    f"{START}\t100": [*SIX, "thick_start"],
    f"{START}\t300": [*SIX, "column_7"],
    f"{START}\t100\t150": [*SIX, "thick_start", "thick_end"],
    f"{START}\t150\t100": [*SIX, "column_7", "column_8"],
    f"{START}\t100\t200\t255,0,0": [*SIX, "thick_start", "thick_end", "item_rgb"],
    f"{START}\t5.12\t-1\t2e-3": [*SIX, "signal_value", "p_value", "q_value"],
    f"{START}\t5.12\tx\t2e-3": [*SIX, "column_7", "column_8", "column_9"],
    f"{START}\t5.12\t3\t2\t-1": [*SIX, "signal_value", "p_value", "q_value", "peak"],
    f"{START}\t5.12\t3\t2\t-2": [*SIX, "column_7", "column_8", "column_9", "column_10"],
    f"{START}\t100\t200\t0\t2\t10,20,\t0,80,": [
        *SIX,
        *("thick_start", "thick_end", "item_rgb", "block_count", "block_sizes", "block_starts"),
    ],
    f"{START}\t100\t200\t0\t2\t10,20,\t0;80": [*SIX, *(f"column_{n}" for n in range(7, 13))],
    f"{START}\ta\tb\tc\td\te": [*SIX, *(f"column_{n}" for n in range(7, 12))],
}


@pytest.mark.parametrize("line", NAMES)
def test_names_of_columns(line: str, tmp_path: Path) -> None:
    regions = read(tmp_path, f"{line}\n{line}\n")
    assert list(regions.columns) == NAMES[line]
    assert [column[1] for column in regions.columns.values()] == line.split("\t")


def test_one_value_of_another_kind_changes_the_names(tmp_path: Path) -> None:
    peak = f"{START}\t5.12\t3\t2\t7\n"
    assert "peak" in read(tmp_path, peak * 2).columns
    assert "peak" not in read(tmp_path, peak + peak.replace("\t7\n", "\t7.5\n")).columns


GOOD = "chr1\t1\t2\tx\n"
GOOD_GFF = "chr1\tx\texon\t5\t9\t.\t+\t.\tID=E\n"


@pytest.mark.campaign("lines")
@pytest.mark.parametrize("before", [0, 7])
@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        (GOOD, "chr1\t1\t2", "3 fields where the first line has 4"),
        (GOOD, "chr1\t1\t2\tx\ty", "5 fields where the first line has 4"),
        (GOOD, "chr1\t1\t2\tx\t\t", "5 fields where the first line has 4"),
        (GOOD, "chr1 1 2 x", "1 fields where the first line has 4. Put tabs between the fields"),
        (GOOD, " ", "1 fields"),
        (GOOD, "\t", "1 fields"),
        (GOOD, " # remark", "1 fields"),
        (GOOD, "chr1\t-1\t2\tx", "start '-1' is not a whole number from 0 to 2147483646"),
        (GOOD, "chr1\t15x\t20\tx", "start '15x' is not"),
        (GOOD, "chr1\t1\t1e2\tx", "end '1e2' is not"),
        (GOOD, "chr1\t1\t10.0\tx", "end '10.0' is not"),
        (GOOD, "chr1\t+1\t2\tx", "start '+1' is not"),
        (GOOD, "chr1\t1\t 2\tx", "end ' 2' is not"),
        (GOOD, "chr1\t\t2\tx", "start '' is not"),
        (GOOD, "chr1\t1\t2\0\tx", "end '2\\x00' is not"),
        (GOOD, "chr1\t1\t٣\tx", "end '٣' is not"),
        (
            GOOD,
            "chrom\tstart\tend\tname",
            "start 'start' is not a whole number from 0 to 2147483646. Begin a header with",
        ),
        (GOOD, f"chr1\t1\t{MAX_POSITION_BP + 1}\tx", "end '2147483647' is not"),
        (GOOD, f"chr1\t1\t{'9' * 30}\tx", f"end '{'9' * 30}' is not"),
        (GOOD, "chr1\t9\t8\tx", "the region ends at 8, before its start 9"),
        (GOOD, "\t1\t2\tx", "empty chromosome name"),
        (GOOD, b"chr1\t1\t2\t\xff", "not UTF-8 text"),
        (GOOD, "chr1\t1\t2\tx\rchr1\t1\t2\tx", "7 fields"),
        (GOOD_GFF, "chr1\tx\texon\t0\t9\t.\t+\t.\tID=E", "start '0' is not a whole number from 1"),
        (GOOD_GFF, "chr1\tx\texon\t10\t9\t.\t+\t.\tID=E", "the region ends at 9, before its start 10"),
        (GOOD_GFF, "chr1\tx\tother\t10\t9\t.\t+\t.\tID=E", "the region ends at 9, before its start 10"),
        (GOOD_GFF, "chr1\tx\texon\t5\t9\t.\t1\t.\tID=E", "strand '1' is not +, -, . or ?"),
        (GOOD_GFF, "chr1\tx\texon\t5\t9\t.\t+\t.", "8 fields where the first line has 9"),
    ],
)
def test_invalid_line_is_named(good: str, bad: str | bytes, words: str, before: int, tmp_path: Path) -> None:
    line = bad if isinstance(bad, bytes) else bad.encode()
    content = good.encode() + b"#\n\n" + good.encode() * before + line + b"\n" + good.encode() * 3
    with pytest.raises(BadDataError) as refused:
        read(tmp_path, content, "exon" if good == GOOD_GFF else None)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'regions.any'}:{4 + before}: {words}")
    shown = line.removesuffix(b"\r").decode("utf-8", "backslashreplace")
    assert message.endswith(f"The line is {shown!r}.")


@pytest.mark.campaign("lines")
@pytest.mark.parametrize(("lines", "n"), [("chr1\t1\t2\nchr1\t1\t2\tx\ty\n", 3), ("chr1\t1\t2\tx\ty\nchr1\t1\t2\n", 5)])
def test_a_short_line_does_not_make_up_for_a_long_one(lines: str, n: int, tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match=f":2: {n} fields where the first line has 4"):
        read(tmp_path, (GOOD + lines + GOOD).encode())


def test_line_number_in_a_later_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_files, "_BLOCK_BYTES", 64)
    with pytest.raises(BadDataError, match=r"regions.any:1003: start '5y' is not .* The line is 'chr1\\t5y\\t9\\tx'\."):
        read(tmp_path, "#\n" + GOOD * 1001 + "chr1\t5y\t9\tx\n" + GOOD)


@pytest.mark.parametrize(
    ("content", "feature", "message"),
    [
        (b"", None, ": no region in this file"),
        (b"#\n\ntrack x\n", None, ": no region in this file"),
        (
            b"#\n1 2 3\n",
            None,
            ":2: not a table of regions: expected BED (chromosome, start, end), GTF or GFF3, tab-sep",
        ),
        (b"chr1\t5\n", None, ":1: not a table of regions"),
        (
            b"chrom\tstart\tend\nchr1\t1\t2\n",
            None,
            ":1: start 'start' is not a whole number from 0 to 2147483646. Begin",
        ),
        (b"chr1\t1\t2\rchr1\t1\t2\r", None, ":1: end '2\\rchr1' is not"),
        (
            b"chr1\t1\t2\t" + b"x" * 40 + b"\nchr1\t1\t2\t" + b"x" * 200,
            None,
            ":2: a line of more than 0 MiB, so this is",
        ),
        (gzip.compress(BED6.encode(), mtime=0)[:-2], None, ": damaged or truncated gzip data"),
        (GTF.encode(), None, ": lines of several types. Choose one: exon (2), CDS (1), gene (1)"),
        (GTF.encode(), "mRNA", ": no line of type 'mRNA'. Choose a type that it has: exon (2), CDS (1), gene (1)"),
        (
            (GOOD_GFF + GFF3_END + "\n" + GOOD_GFF).encode(),
            None,
            ":7: annotation after the sequences that begin on line 2.",
        ),
    ],
)
def test_unclear_files_are_refused(
    content: bytes, feature: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region_files, "_BLOCK_BYTES", 50)
    monkeypatch.setattr(region_files, "_MAX_LINE_BYTES", 100)
    with pytest.raises(BadDataError) as refused:
        read(tmp_path, content, feature)
    assert str(refused.value).startswith(f"{tmp_path / 'regions.any'}{message}")
    assert refused.value.remedy == ("feature" if b"exon\t11" in content else "")


def test_feature_of_a_bed_file(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"feature is for GTF and GFF3, but .*regions.any is BED"):
        read(tmp_path, BED6, "exon")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no such file"):
        read_regions(tmp_path / "absent.bed")


@pytest.mark.parametrize("feature", [None, "exon"])
@pytest.mark.parametrize("block_bytes", [20, 1 << 24])
def test_gff3_of_one_type_with_sequences(
    feature: str | None, block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region_files, "_BLOCK_BYTES", block_bytes)
    assert rows(read(tmp_path, GOOD_GFF + GFF3_END, feature)) == [("chr1", 4, 9, "+")]


@pytest.mark.parametrize("data", [BED6.encode(), gzip.compress(BED6.encode(), mtime=0)])
def test_standard_input(data: bytes) -> None:
    code = "from deepchrome.engine.annotation.regions import read_regions as r; x = r('-'); print(x.source, x.start)"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "standard input [10  0 10  5]"


def test_regions_are_sent_to_workers(tmp_path: Path) -> None:
    regions = read(tmp_path, BED6)
    copy = pickle.loads(pickle.dumps(regions))
    assert (rows(copy), texts(copy), copy.chrom_names) == (rows(regions), texts(regions), regions.chrom_names)


def count_naively(layout: Layout, reads: list[naive.Read], strand: str | None = None) -> list[int]:
    names = [*layout.genome.sizes, None]  # an unknown chromosome has the index -1
    counts = []
    for chrom_id, start, end, sign in zip(layout.chrom_id, layout.start, layout.end, layout.strand, strict=True):
        here = [r for r in reads if r.chrom == names[chrom_id] and naive.overlaps(r.start, r.end, start, end)]
        counts.append(sum(strand is None or (r.strand == SIGNS[sign]) == (strand == "-s") for r in here))
    return counts


def random_regions(seed: int, strands: str) -> list[tuple[str, int, int, str]]:
    """Return regions that nest, repeat, have no width, and lie at or past the ends of their chromosome."""
    dice = random.Random(seed)
    regions = []
    for _ in range(150):
        chrom = dice.choice([*SIZES, "chr9"])
        start = dice.choice([0, 5, dice.randrange(240_000), 249_990, 250_000, 260_000])
        regions.append((chrom, start, start + dice.choice([0, 1, 36, 1_000, 100_000]), dice.choice(strands)))
    return regions + dice.sample(regions, 20)


def bed_text(regions: list[tuple[str, int, int, str]]) -> str:
    return "".join(
        f"{chrom}\t{start}\t{end}\tr{i}\t0\t{strand}\n" for i, (chrom, start, end, strand) in enumerate(regions)
    )


def gff_text(regions: list[tuple[str, int, int, str]]) -> str:
    wide = [region for region in regions if region[1] < region[2]]
    lines = [f"{chrom}\tx\tpeak\t{start + 1}\t{end}\t.\t{strand}\t.\tID=r\n" for chrom, start, end, strand in wide]
    return "##gff-version 3\n" + "".join(lines)


@pytest.mark.bedtools
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("write", [bed_text, gff_text])
@pytest.mark.parametrize("strand", [None, "-s", "-S"])
def test_intervals_are_those_of_multicov(seed: int, write: object, strand: str | None, tmp_path: Path) -> None:
    """The columns are those that multicov prints; a naive counter finds its counts in the intervals of the layout."""
    reads = (
        reads_text(400, seed) + b"chr1\t249980\t250000\tN\t0\t-\nchr1\t0\t36\tN\t0\t+\nchr1\t249995\t250010\tN\t0\t+\n"
    )
    bam = bedtools.bed_to_bam(reads, SIZES, tmp_path)
    other = "?" if write is gff_text else "*"
    regions = read(tmp_path, write(random_regions(seed, "+-" if seed < 2 else f"+-.{other}")))
    options = [strand] if strand else []
    printed = bedtools.run("bedtools", "multicov", *options, "-bams", bam, "-bed", tmp_path / "regions.any").decode()
    counts = count_naively(regions.layout(SMALL), naive.text_reads(reads), strand)
    ours = zip(*regions.columns.values(), map(str, counts), strict=True)
    assert "".join("\t".join(row) + "\n" for row in ours) == printed


def test_layout(tmp_path: Path) -> None:
    regions = read(tmp_path, "2\t5\t9\n1\t0\t0\nchr1\t300000\t300001\nX\t1\t2\nMT\t4\t4\n")
    genome = Genome("g", {"chr1": 250_000, "chr2": 9, "chrM": 7})
    layout = regions.layout(genome, auto_aliases(genome))
    assert layout.chrom_id.tolist() == [1, 0, 0, -1, 2]
    assert layout.start.tolist() == [5, -1, 300_000, 1, 3]
    assert layout.end.tolist() == [9, 1, 300_001, 2, 5]
    assert (layout.n_bins, layout.what, layout.genome) == (1, "regions", genome)
    assert layout.strand.tolist() == [0] * 5
    assert regions.layout(genome).chrom_id.tolist() == [-1, -1, 0, -1, -1]
    assert [array.dtype for array in (layout.chrom_id, layout.start, layout.end, layout.strand)] == [
        np.int64,
        np.int64,
        np.int64,
        np.int8,
    ]


@pytest.mark.bedtools
@pytest.mark.parametrize(("genome", "size"), [("small", 1_000), ("small", 250_000), ("small", 7_919), ("hg38", 50_000)])
def test_genome_bins_are_those_of_makewindows(genome: str, size: int, tmp_path: Path) -> None:
    build = SMALL if genome == "small" else read_genome(genome)
    bedtools.write_genome(tmp_path / "g", build.sizes)
    printed = bedtools.run("bedtools", "makewindows", "-g", tmp_path / "g", "-w", str(size)).decode()
    bins = genome_bins(build, size)
    assert [f"{chrom}\t{start}\t{end}" for chrom, start, end, _ in rows(bins)] == printed.splitlines()
    assert (bins.source, bins.format, dict(bins.columns)) == (f"bins of {size} bp", "bins", {})
    layout = bins.layout(build)
    assert np.array_equal(layout.chrom_id, bins.chrom)


@pytest.mark.parametrize(("size", "words"), [(0, "must be at least 1 bp, got 0"), (1, "of 1 bp gives 3,[0-9,]+ bins")])
def test_genome_bins_of_no_use_are_refused(size: int, words: str) -> None:
    with pytest.raises(ParameterError, match=words) as refused:
        genome_bins(read_genome("hg38"), size)
    assert refused.value.parameter == "genome_bins"


def test_many_regions_take_little_memory(tmp_path: Path) -> None:
    """1.5 million regions of three columns: 21 bytes per region, and the buffers of one block."""
    with io.StringIO() as text:
        for start in range(0, 150_000_000, 100):
            text.write(f"chr1\t{start}\t{start + 100}\n")
        (tmp_path / "bins.bed").write_text(text.getvalue())
    code = (
        "import resource, sys; from deepchrome.engine.annotation.regions import read_regions; import polars\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert len(read_regions(sys.argv[1])) == 1_500_000\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "bins.bed"], capture_output=True, check=True)
    assert int(done.stdout) < 250 * 1024
