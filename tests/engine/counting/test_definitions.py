"""The table "Input, case by case" of docs/definitions.md, row by row, with the results of bedtools and the engine."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from oracle import bedtools
from oracle.naive import Gene
from support.engine import windows

from deepchrome.engine.counting.count import count_reads
from deepchrome.errors import BadDataError

SIZES = {"chr2": 500, "chr1": 1000}  # bedtools moves reads on unknown chromosomes to chr2, the first
GENES = [Gene("chr1", 20, "+"), Gene("chr2", 20, "-"), Gene("chr1", 1000, "+")]
FLANK_AND_BIN = (20, 10)  # four bins each: [0, 40) twice, and [980, 1020) of which the last two lie outside
READ = "chr1\t10\t20\ta\t0\t+\n"
ONE = [0, 1, 0, 0] + [0] * 8
TWO = [0, 2, 0, 0] + [0] * 8
NONE = [0] * 12
STRAY = "chrZ\t10\t20\ta\t0\t+\n"
ON_CHR2 = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]


@dataclass(frozen=True)
class Row:
    """The text of a file, and its counts by bedtools and by the engine; or, if it is refused, the engine's message."""

    text: str
    bedtools: list[int] | str
    engine: list[int] | str
    options: tuple[str, Any] | None = None


REFUSED = "refused"
AS_BEDTOOLS = {
    "ends at an edge": Row("chr1\t0\t10\ta\n", [1] + [0] * 11, [1] + [0] * 11),
    "begins at an edge": Row("chr1\t20\t21\ta\n", [0, 0, 1] + [0] * 9, [0, 0, 1] + [0] * 9),
    "one base over an edge": Row("chr1\t19\t21\ta\n", [0, 1, 1] + [0] * 9, [0, 1, 1] + [0] * 9),
    "past the end": Row("chr1\t995\t1010\ta\n", [0] * 9 + [1, 0, 0], [0] * 9 + [1, 0, 0]),
    "no length": Row("chr1\t10\t10\ta\n", [1, 1] + [0] * 10, [1, 1] + [0] * 10),
    "no length at 0": Row("chr1\t0\t0\ta\n", [1] + [0] * 11, [1] + [0] * 11),
    "4 columns": Row("chr1\t10\t20\ta\n", ONE, ONE),
    "BED12, its whole span": Row(
        "chr1\t0\t40\ta\t0\t+\t0\t40\t0\t2\t5,5\t0,35\n", [1] * 4 + [0] * 8, [1] * 4 + [0] * 8
    ),
    "13 columns": Row(READ.replace("\n", "\t1\t2\t3\t4\t5\t6\t7\n"), ONE, ONE),
    "score and strand are text": Row("chr1\t10\t20\ta\tx\tx\n", ONE, ONE),
    "empty name": Row("chr1\t10\t20\t\t0\t+\n", ONE, ONE),
    "name not UTF-8, with a NUL": Row("chr1\t10\t20\t\udcff\0\t0\t+\n", ONE, ONE),
    "comment": Row("# x\n" + READ + "#chr1\t10\t20\ta\t0\t+\n", ONE, ONE),
    "track and browser": Row("browser x\ntrack\n" + READ, ONE, ONE),
    "chromosome called track1": Row("track1\t10\t20\ta\t0\t+\n" + READ, ONE, ONE),
    "blank lines": Row("\n\r\n" + READ + "\n", ONE, ONE),
    "CRLF": Row(READ.replace("\n", "\r\n") * 2, TWO, TWO),
    "no final newline": Row(READ.rstrip("\n"), ONE, ONE),
    "carriage return at the very end": Row(READ.replace("\n", "\r"), ONE, ONE),
    "a tab at the end of some rows": Row(READ + READ.replace("\n", "\t\n"), TWO, TWO),
    "leading zeros": Row("chr1\t0010\t00000000000020\ta\n", ONE, ONE),
    "any order": Row(
        "chr2\t10\t20\ta\n" + "chr1\t10\t20\ta\n", [0, 1, 0, 0, 0, 1] + [0] * 6, [0, 1, 0, 0, 0, 1] + [0] * 6
    ),
    "blanks only": Row(READ + "   \n", REFUSED, ":2: fewer than three"),
    "tabs only": Row(READ + "\t\n", REFUSED, ":2: fewer than three"),
    "comment after a blank": Row(" # x\n" + READ, REFUSED, ":1: fewer than three"),
    "ragged rows": Row(READ + "chr1\t10\t20\ta\t0\n", REFUSED, ":2: 5 columns where the lines before have 6"),
    "ragged, but as long": Row(READ + "chr1\t10\t20\ta\t00+\n", REFUSED, ":2: 5 columns where the lines before have 6"),
    "empty last field, CRLF": Row(
        READ + "chr1\t10\t20\ta\t0\t\r\n", REFUSED, ":2: 5 columns where the lines before have 6"
    ),
    "empty last field": Row(READ + "chr1\t10\t20\ta\t0\t\n", REFUSED, ":2: 5 columns where the lines before have 6"),
    "two tabs at the end": Row(READ + READ.replace("\n", "\t\t\n"), REFUSED, ":2: 7 columns"),
    "blanks for tabs": Row("chr1 10 20 a\n", REFUSED, ":1: fewer than three"),
    "two columns": Row(READ + "chr1\t10\n", REFUSED, ":2: fewer than three"),
    "end before start": Row("chr1\t20\t10\ta\n", REFUSED, ":1: the end lies before the start"),
    "negative start": Row("chr1\t-1\t10\ta\n", REFUSED, ":1: the start is not a whole number"),
    "no number on the first row": Row("chr1\t15x\t20\ta\n", REFUSED, ":1: the start is not a whole number"),
    "empty start": Row(READ + "chr1\t\t20\ta\t0\t+\n", REFUSED, ":2: the start is not a whole number"),
}
UNLIKE_BEDTOOLS = {
    "unknown chromosome": Row(STRAY + READ, [0, 1, 0, 0, 0, 1] + [0] * 6, ": 1 of 2 reads lie on chromosomes.*'chrZ'"),
    "unknown chromosome, skip": Row(STRAY, ON_CHR2, NONE, ("unknown_chrom", "skip")),
    "unknown chromosome, bedtools": Row(STRAY, ON_CHR2, ON_CHR2, ("unknown_chrom", "bedtools")),
    "no chromosome": Row("\t10\t20\ta\n", ON_CHR2, ":1: no chromosome name"),
    "no length at 0, twice": Row("chr1\t0\t0\ta\n" * 2, REFUSED, [2] + [0] * 11),
    "3 columns": Row("chr1\t10\t20\n", REFUSED, ONE),
    "GFF": Row("chr1\ts\texon\t11\t20\t.\t+\t.\tid\n", ONE, ": this is a GTF or GFF file"),
    "4 columns, a number": Row("chr1\t10\t20\t7.5\n", ONE, ": this is a bedGraph file"),
    "narrowPeak": Row("chr1\t10\t20\tp\t0\t.\t7.5\t3.2\t-1\t5\n", ONE, ": this is a narrowPeak file"),
    "broadPeak": Row("chr1\t10\t20\tp\t0\t.\t7.5\t3.2\t-1\n", ONE, ": this is a broadPeak file"),
    "BEDPE": Row("chr1\t10\t20\tchr1\t30\t40\tp\t0\t+\t-\n", ONE, ": this is a BEDPE file"),
    "10x": Row("chr1\t10\t20\tAAACGAAAGAAACGCC-1\t2\n", ONE, ": this is a fragments file of 10x"),
    "VCF": Row("chr1\t11\tid\tA\tC\t.\t.\t.\n", ONE, ":1: the end is not a whole number"),
    "15x": Row(READ + "chr1\t10x\t20\ta\t0\t+\n", TWO, ":2: the start is not a whole number"),
    "1e2": Row(READ + "chr1\t1e2\t5\ta\t0\t+\n", [1, 1] + [0] * 10, ":2: the start is not a whole number"),
    "decimals": Row(READ + "chr1\t10\t20.9\ta\t0\t+\n", TWO, ":2: the end is not a whole number"),
    "plus sign": Row(READ + "chr1\t+10\t20\ta\t0\t+\n", TWO, ":2: the start is not a whole number"),
    "blank before a number": Row(READ + "chr1\t 10\t20\ta\t0\t+\n", TWO, ":2: the start is not a whole number"),
    "NUL in a number": Row(READ + "chr1\t10\0005\t20\ta\t0\t+\n", TWO, ":2: the start is not a whole number"),
    "above 2^32": Row("chr1\t4294967306\t4294967316\ta\n", ONE, ":1: a position beyond 2\\^29 - 1"),
    "of 2^28 bp": Row("chr1\t0\t268435456\ta\n", NONE, [1] * 4 + [0] * 4 + [1, 1, 0, 0]),
    "carriage returns alone": Row(READ.replace("\n", "\r") * 2, ONE, ": lines end in a lone carriage return"),
    "empty": Row("", NONE, ": no reads in this file"),
    "empty, allowed": Row("", NONE, NONE, ("allow_empty", True)),
    "only comments": Row("# x\n", NONE, ": no reads in this file"),
}
ROWS = AS_BEDTOOLS | UNLIKE_BEDTOOLS


def text_of(row: Row) -> bytes:
    return row.text.encode("utf-8", "surrogateescape")


@pytest.mark.campaign("cases")
@pytest.mark.parametrize("name", ROWS)
def test_engine(name: str, tmp_path: Path) -> None:
    row, path = ROWS[name], tmp_path / "reads.bed"
    path.write_bytes(text_of(row))
    gene_windows, options = windows(GENES, SIZES, *FLANK_AND_BIN), dict([row.options] if row.options else [])
    if isinstance(row.engine, str):
        with pytest.raises(BadDataError, match=f"^{re.escape(str(path))}{row.engine}"):
            count_reads(path, gene_windows, **options)
    else:
        assert count_reads(path, gene_windows, **options).ravel().tolist() == row.engine


@pytest.mark.campaign("cases")
@pytest.mark.bedtools
@pytest.mark.parametrize("name", ROWS)
def test_bedtools(name: str, tmp_path: Path) -> None:
    row = ROWS[name]

    def count() -> list[int]:
        bam = bedtools.bed_to_bam(text_of(row), SIZES, tmp_path)
        rows = bedtools.multicov(bam, GENES, SIZES, *FLANK_AND_BIN, tmp_path)
        return [count for gene in rows for count in gene]

    if isinstance(row.bedtools, str):
        with pytest.raises(RuntimeError, match=r"^(bedtools|samtools) exited"):
            count()
    else:
        assert count() == row.bedtools


@pytest.mark.campaign("cases")
@pytest.mark.bedtools
def test_bedtools_on_bins_outside_the_chromosome(tmp_path: Path) -> None:
    """multicov refuses bins before the start and counts in bins past the end; in the engine all of them are 0."""
    bam = bedtools.bed_to_bam(b"chr1\t995\t1010\ta\nchr1\t1500\t1510\tb\n", SIZES, tmp_path)
    (tmp_path / "past.bed").write_text("chr1\t1000\t1010\nchr1\t1500\t1600\nchrZ\t0\t10\n")
    past = bedtools.run("bedtools", "multicov", "-bams", bam, "-bed", tmp_path / "past.bed")
    assert [row.split(b"\t")[-1] for row in past.splitlines()] == [b"1", b"1", b"0"]
    for before in ("chr1\t0\t10\nchr1\t-5\t5\n", "chr1\t0\t10\nchr1\t-20\t-10\n"):
        (tmp_path / "before.bed").write_text(before)
        with pytest.raises(RuntimeError, match="Start Coordinate detected that is < 0"):
            bedtools.run("bedtools", "multicov", "-bams", bam, "-bed", tmp_path / "before.bed")


def test_read_names_may_be_long_but_lines_are_limited(tmp_path: Path) -> None:
    """bedtools cannot be compared here: names of 252 bytes or more break the BAM file that it writes."""
    path, gene_windows = tmp_path / "reads.bed", windows(GENES, SIZES, *FLANK_AND_BIN)
    path.write_text("chr1\t10\t20\t" + "x" * 60_000 + "\n")
    assert count_reads(path, gene_windows).ravel().tolist() == ONE
    path.write_text(READ + "chr1\t10\t20\t" + "x" * 70_000 + "\t0\t+\n")
    with pytest.raises(BadDataError, match=":2: a line of more than 65536 bytes"):
        count_reads(path, gene_windows)


@pytest.mark.campaign("cases")
def test_only_bins_completely_outside_the_chromosome_are_listed() -> None:
    """A bin that is partly outside counts as usual. Genes with a bin completely outside are in ``outside``."""
    gene_windows = windows(
        [Gene("chr1", 3), Gene("chr1", 998), Gene("chr1", 500), Gene("chrAbsent", 500)], {"chr1": 1000}, 10, 5
    )
    assert gene_windows.outside.tolist() == [0, 1]
    assert gene_windows.layout.outside_bins().tolist() == [[True, False, False, False], [False, False, False, True]]
