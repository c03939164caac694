"""Kinds of read files: the parity tests check each of them, and the micro-benchmarks time each of them."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from oracle.naive import Gene

from deepchrome.engine.counting.options import ReadOptions
from support.bam import write_bam
from support.strategies import Layout, Record

Position = tuple[str, int]
"""A chromosome and a start (bp)."""

Writer = Callable[[Path, Layout, list[Position], random.Random], None]
"""Writes a file of reads that start at the given positions."""


@dataclass(frozen=True)
class FileCase:
    """One kind of read file.

    Attributes
    ----------
    name
        The name of the case.
    write
        Writes the file.
    options
        The options to count it with.
    is_sorted
        Whether the reads are sorted by position.
    is_bam
        Whether the file is BAM.
    """

    name: str
    write: Writer
    options: ReadOptions = field(default_factory=ReadOptions)
    is_sorted: bool = True
    is_bam: bool = False

    def make(self, path: Path, layout: Layout, n_reads: int, seed: int = 1) -> Path:
        """Write ``n_reads`` reads, two in ten of them near a gene, and return the path."""
        dice = random.Random(seed)
        names = list(layout.sizes)
        positions = []
        for _ in range(n_reads):
            if dice.random() < 0.2:
                gene = dice.choice(layout.genes)
                positions.append((gene.chrom, max(gene.tss - layout.flank + dice.randrange(2 * layout.flank), 0)))
            else:
                chrom = dice.choice(names)
                positions.append((chrom, dice.randrange(layout.sizes[chrom])))
        if self.is_sorted:
            positions.sort(key=lambda position: (names.index(position[0]), position[1]))
        self.write(path, layout, positions, dice)
        return path


def random_layout(n_genes: int, chrom_bp: int) -> Layout:
    """Return genes at random positions on three chromosomes of ``chrom_bp``, with 100 bins of 100 bp around each."""
    dice = random.Random(1)
    names = ("chr1", "chr2", "chr10_gl000191_random")
    genes = [Gene(dice.choice(names), dice.randrange(1, chrom_bp), dice.choice("+-")) for _ in range(n_genes)]
    return Layout(dict.fromkeys(names, chrom_bp), genes, 5000, 100)


def _write_lines(line: Callable[[str, int, random.Random], str], newline: str = "\n") -> Writer:
    """Return a writer of text, from a function that makes one line."""

    def write(path: Path, _: Layout, positions: list[Position], dice: random.Random) -> None:
        path.write_bytes("".join(line(chrom, start, dice) + newline for chrom, start in positions).encode())

    return write


def _write_records(record: Callable[[str, int, random.Random], Record]) -> Writer:
    """Return a writer of uncompressed BAM, from a function that makes one record."""

    def write(path: Path, layout: Layout, positions: list[Position], dice: random.Random) -> None:
        write_bam(path, layout.sizes, [record(chrom, start, dice) for chrom, start in positions], "wbu")

    return write


def _tag_align(chrom: str, start: int, dice: random.Random) -> str:
    return f"{chrom}\t{start}\t{start + 36}\tN\t1000\t{dice.choice('+-')}"


def _varied_names(chrom: str, start: int, dice: random.Random) -> str:
    name = "r" * dice.randrange(1, 40)
    return f"{chrom}\t{start}\t{start + dice.randrange(20, 300)}\t{name}\t{dice.randrange(1001)}\t{dice.choice('+-')}"


def _bed12(chrom: str, start: int, dice: random.Random) -> str:
    return f"{chrom}\t{start}\t{start + 36}\t{'x' * 300}\t0\t+\t" + "\t".join(["999"] * 6)


def _spliced(chrom: str, start: int, dice: random.Random) -> Record:
    flag = dice.choice([0, 16, 256, 512, 1024])
    cigar = dice.choice(["36M", "18M500N18M", "5S31M", "20M2D16M", "10M3I23M"])
    return Record(chrom, start, flag, dice.randrange(60), cigar, "")


CASES = (
    FileCase("tagAlign of 36 bp, sorted", _write_lines(_tag_align)),
    FileCase("tagAlign of 36 bp, shuffled", _write_lines(_tag_align), is_sorted=False),
    FileCase("tagAlign, same strand", _write_lines(_tag_align), ReadOptions(strand="same")),
    FileCase("tagAlign, opposite strand", _write_lines(_tag_align), ReadOptions(strand="opposite")),
    FileCase("tagAlign, CRLF", _write_lines(_tag_align, "\r\n")),
    FileCase("names and lengths all different", _write_lines(_varied_names)),
    FileCase("three columns", _write_lines(lambda chrom, start, dice: f"{chrom}\t{start}\t{start + 36}")),
    FileCase("long lines of 12 columns", _write_lines(_bed12)),
    FileCase("reads of 10 kb", _write_lines(lambda chrom, start, dice: f"{chrom}\t{start}\t{start + 10_000}\tN\t0\t+")),
    FileCase(
        "unknown chromosomes",
        _write_lines(lambda chrom, start, dice: _tag_align(dice.choice([chrom, "chrUn", "chr1_alt"]), start, dice)),
        ReadOptions(unknown_chrom="skip"),
    ),
    FileCase(
        "BAM of 36 bp",
        _write_records(lambda chrom, start, dice: Record(chrom, start, dice.choice([0, 16]), 255, "36M", "")),
        is_bam=True,
    ),
    FileCase("BAM, flags, gaps and clips", _write_records(_spliced), ReadOptions(min_mapq=10), is_bam=True),
)
