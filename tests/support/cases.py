"""The table of cases that the parity tests check and the micro-benchmarks time: what files of reads look like."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from oracle.naive import Gene

from deepchrome.engine.counting.options import ReadOptions
from support.bam import write_bam
from support.strategies import Layout, Record

Place = tuple[str, int]
"""A chromosome and a start."""


@dataclass(frozen=True)
class Case:
    """One kind of file.

    ``write`` fills a file with reads that begin at the given places.
    """

    name: str
    write: Callable[[Path, Layout, list[Place], random.Random], None]
    options: ReadOptions = field(default_factory=ReadOptions)
    is_sorted: bool = True
    is_bam: bool = False

    def make(self, path: Path, layout: Layout, n_reads: int, seed: int = 1) -> Path:
        """Write ``n_reads`` reads, two in ten of them near a gene, and return the path."""
        dice = random.Random(seed)
        names = list(layout.sizes)
        places = []
        for _ in range(n_reads):
            if dice.random() < 0.2:
                gene = dice.choice(layout.genes)
                places.append((gene.chrom, max(gene.tss - layout.flank + dice.randrange(2 * layout.flank), 0)))
            else:
                chrom = dice.choice(names)
                places.append((chrom, dice.randrange(layout.sizes[chrom])))
        if self.is_sorted:
            places.sort(key=lambda place: (names.index(place[0]), place[1]))
        self.write(path, layout, places, dice)
        return path


def layout(n_genes: int, chrom_bp: int) -> Layout:
    """Lay genes out at random on three chromosomes of one length, 100 bins of 100 bp around each."""
    dice = random.Random(1)
    names = ("chr1", "chr2", "chr10_gl000191_random")
    genes = [Gene(dice.choice(names), dice.randrange(1, chrom_bp), dice.choice("+-")) for _ in range(n_genes)]
    return Layout(dict.fromkeys(names, chrom_bp), genes, 5000, 100)


def _lines(
    line: Callable[[str, int, random.Random], str], eol: str = "\n"
) -> Callable[[Path, Layout, list[Place], random.Random], None]:
    """Make a writer of text from what says one line."""

    def write(path: Path, _: Layout, places: list[Place], dice: random.Random) -> None:
        path.write_bytes("".join(line(chrom, start, dice) + eol for chrom, start in places).encode())

    return write


def _records(
    record: Callable[[str, int, random.Random], Record],
) -> Callable[[Path, Layout, list[Place], random.Random], None]:
    """Make a writer of BAM, uncompressed, from what says one record."""

    def write(path: Path, layout: Layout, places: list[Place], dice: random.Random) -> None:
        write_bam(path, layout.sizes, [record(chrom, start, dice) for chrom, start in places], "wbu")

    return write


def _tag_align(chrom: str, start: int, dice: random.Random) -> str:
    return f"{chrom}\t{start}\t{start + 36}\tN\t1000\t{dice.choice('+-')}"


def _named(chrom: str, start: int, dice: random.Random) -> str:
    name = "r" * dice.randrange(1, 40)
    return f"{chrom}\t{start}\t{start + dice.randrange(20, 300)}\t{name}\t{dice.randrange(1001)}\t{dice.choice('+-')}"


def _long(chrom: str, start: int, dice: random.Random) -> str:
    return f"{chrom}\t{start}\t{start + 36}\t{'x' * 300}\t0\t+\t" + "\t".join(["999"] * 6)


def _spliced(chrom: str, start: int, dice: random.Random) -> Record:
    flag = dice.choice([0, 16, 256, 512, 1024])
    cigar = dice.choice(["36M", "18M500N18M", "5S31M", "20M2D16M", "10M3I23M"])
    return Record(chrom, start, flag, dice.randrange(60), cigar, "")


CASES = (
    Case("tagAlign of 36 bp, sorted", _lines(_tag_align)),
    Case("tagAlign of 36 bp, shuffled", _lines(_tag_align), is_sorted=False),
    Case("tagAlign, same strand", _lines(_tag_align), ReadOptions(strand="same")),
    Case("tagAlign, opposite strand", _lines(_tag_align), ReadOptions(strand="opposite")),
    Case("tagAlign, CRLF", _lines(_tag_align, "\r\n")),
    Case("names and lengths all different", _lines(_named)),
    Case("three columns", _lines(lambda chrom, start, dice: f"{chrom}\t{start}\t{start + 36}")),
    Case("long lines of 12 columns", _lines(_long)),
    Case("reads of 10 kb", _lines(lambda chrom, start, dice: f"{chrom}\t{start}\t{start + 10_000}\tN\t0\t+")),
    Case(
        "chromosomes the genome lacks",
        _lines(lambda chrom, start, dice: _tag_align(dice.choice([chrom, "chrUn", "chr1_alt"]), start, dice)),
        ReadOptions(unknown_chrom="skip"),
    ),
    Case(
        "BAM of 36 bp",
        _records(lambda chrom, start, dice: Record(chrom, start, dice.choice([0, 16]), 255, "36M", "")),
        is_bam=True,
    ),
    Case("BAM, flags, gaps and clips", _records(_spliced), ReadOptions(min_mapq=10), is_bam=True),
)
