"""What the race runs on: one file of reads in several forms, and the windows in the form each contestant wants."""

import gzip
import shutil
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import polars as pl
import pysam
from isal import igzip

from deepchrome.common.files import atomic_write
from deepchrome.common.signatures import GZIP_MAGIC
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import Windows, tss_windows
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.errors import BadDataError, MissingInputError, UsageError

SOURCE = "E001-H3K4me3"
_CHUNK = 1 << 20

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Inputs:
    """One file of reads and its windows.

    Attributes
    ----------
    folder
        Where all that is made of them lies.
    reads_file
        The reads as gzip: what every contestant starts from.
    genes, genome
        As ``dc featurize`` takes them.
    windows
        The bins that are counted in.
    reads, text_bytes
        Lines, and their size unpacked.
    """

    folder: Path
    reads_file: Path
    genes: Path
    genome: str
    windows: Windows = field(repr=False)
    reads: int
    text_bytes: int

    @property
    def cells(self) -> int:
        """The number of bins of all genes."""
        return len(self.windows.genes) * self.windows.n_bins


def simulated(folder: Path, reads: int, genes: int, seed: int = 1) -> Inputs:
    """Simulate reads on hg19; what an earlier call left in ``folder`` is taken as it is."""
    place = folder / f"{reads}-reads-{genes}-genes-{seed}"
    if not place.exists():
        simulate(place, epigenomes=1, genes=genes, reads=reads, seed=seed, marks=[SOURCE.partition("-")[2]])
    return _inputs(place, place / f"{SOURCE}.tagAlign.gz", place / "genes.tsv", "hg19")


def given(folder: Path, reads_file: Path, genes: Path, genome: str) -> Inputs:
    """Take a file of reads and a table of genes as they are.

    Raises
    ------
    MissingInputError
        There is no such file.
    UsageError
        It is not BED text packed by gzip, which all contestants can begin with.
    """
    if not reads_file.is_file():
        raise MissingInputError(f"{reads_file}: no such file")
    with reads_file.open("rb") as file:
        if file.read(len(GZIP_MAGIC)) != GZIP_MAGIC:
            raise UsageError(f"{reads_file}: not packed by gzip; the race starts from a .gz file, so pack it first")
    with _opened(reads_file) as text:
        if text.read(4) == b"BAM\1":
            raise UsageError(f"{reads_file}: BAM; the race starts from tagAlign or BED packed by gzip")
    # What is made of a file must not be taken for what is made of another.
    told = reads_file.stat()
    key = zlib.crc32(f"{reads_file.resolve()} {told.st_size} {told.st_mtime_ns} {genes.resolve()} {genome}".encode())
    place = folder / f"given-{key:08x}"
    place.mkdir(parents=True, exist_ok=True)
    link = place / f"{SOURCE}.tagAlign.gz"  # dc featurize wants an epigenome and a mark in the name
    link.unlink(missing_ok=True)
    link.symlink_to(reads_file.resolve())
    return _inputs(place, link, genes, genome)


def _inputs(folder: Path, reads_file: Path, genes: Path, genome: str) -> Inputs:
    windows = tss_windows(read_genes(genes), read_genome(genome))
    reads = text_bytes = 0
    with _opened(reads_file) as text:
        while chunk := text.read(_CHUNK):
            reads += chunk.count(b"\n")
            text_bytes += len(chunk)
    return Inputs(folder, reads_file, genes, genome, windows, reads, text_bytes)


def _opened(reads_file: Path) -> BinaryIO:
    return cast("BinaryIO", igzip.open(reads_file))  # type: ignore[no-untyped-call]


def shuffled(inputs: Inputs, seed: int = 1) -> Path:
    """Write the same lines in random order, as gzip."""
    path = inputs.folder / "shuffled" / inputs.reads_file.name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        lines = pl.read_csv(inputs.reads_file, has_header=False, separator="\1", quote_char=None, new_columns=["line"])
        mixed = lines.sample(fraction=1, shuffle=True, seed=seed)
        with atomic_write(path) as temporary, gzip.open(temporary, "wb", 5) as file:
            for part in mixed.iter_slices(_CHUNK):
                file.write(b"".join(f"{line}\n".encode() for line in part["line"]))
    return path


def bgzipped(inputs: Inputs) -> Path:
    """Write the same bytes as bgzip."""
    path = inputs.folder / "bgzip" / inputs.reads_file.name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with (
            atomic_write(path) as temporary,
            _opened(inputs.reads_file) as text,
            pysam.BGZFile(str(temporary), "w", index=None) as file,
        ):
            while chunk := text.read(_CHUNK):
                file.write(chunk)
    return path


def unpacked(inputs: Inputs) -> Path:
    """Write the same bytes as plain text."""
    path = inputs.folder / "reads.tagAlign"
    if not path.exists():
        with atomic_write(path) as temporary, _opened(inputs.reads_file) as text, temporary.open("wb") as file:
            shutil.copyfileobj(text, file, _CHUNK)
    return path


def as_bam(inputs: Inputs, bam: Path) -> Path:
    """Keep the sorted BAM of the reference path under a name that ``dc featurize`` takes."""
    path = inputs.folder / "bam" / f"{SOURCE}.bam"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as temporary:
            shutil.copyfile(bam, temporary)
    return path


@dataclass(frozen=True)
class Bins:
    """Every bin as a line of BED, in the files the contestants read.

    The fourth column is the number of the cell, gene x bins + bin. Bins wholly outside their chromosome
    are left out (they are 0 by definition, and multicov has trouble with them), and those partly
    before its begin start at 0.

    Attributes
    ----------
    every, ordered, saf, sizes
        In the order of genes; by chromosome and position; as SAF; and the genome's lengths.
    some, few, one
        The bins of a part of the genes, for programs too slow for all of them; of one gene, which shows
        what such a program takes for itself.
    n_every, n_some, n_few, n_one
        Cells in them.
    """

    every: Path
    ordered: Path
    saf: Path
    sizes: Path
    some: Path
    few: Path
    one: Path
    n_every: int
    n_some: int
    n_few: int
    n_one: int


def write_bins(inputs: Inputs, some: int, few: int) -> Bins:
    """Write the bins of all genes, and of ``some`` and ``few`` genes spread evenly over the table."""
    windows, folder = inputs.windows, inputs.folder
    genes, n_bins = len(windows.genes), windows.n_bins
    start = (windows.start[:, None] + windows.bin_size * np.arange(n_bins)).ravel()
    gene = np.repeat(np.arange(genes), n_bins)
    size = np.array([*windows.genome.sizes.values(), 0])[windows.chrom_id[gene]]
    frame = pl.DataFrame(
        {
            "chrom": pl.Series(windows.genes.chrom).gather(gene),
            "start": np.maximum(start, 0),
            "end": start + windows.bin_size,
            "cell": np.arange(genes * n_bins),
            "score": np.zeros(genes * n_bins, np.int64),
            "strand": pl.Series(windows.genes.strand).gather(gene),
            "gene": gene,
        }
    ).filter((start + windows.bin_size > 0) & (start < size))
    if not len(frame):
        raise BadDataError(f"{inputs.genes}: no bin lies on a chromosome of {inputs.genome}")

    def write(name: str, table: pl.DataFrame) -> Path:
        table.write_csv(folder / name, separator="\t", include_header=name.endswith(".saf"))
        return folder / name

    bed = frame.drop("gene")
    saf = bed.select(
        pl.col("cell").alias("GeneID"),
        pl.col("chrom").alias("Chr"),
        (pl.col("start") + 1).alias("Start"),
        pl.col("end").alias("End"),
        pl.lit("+").alias("Strand"),
    )
    genes_there = frame["gene"].unique().sort()
    parts = []
    for n in (some, few, 1):
        evenly = np.unique(np.linspace(0, len(genes_there) - 1, n, dtype=np.int64))
        parts.append(frame.filter(pl.col("gene").is_in(genes_there[evenly].implode())))
    (folder / "chrom.sizes").write_text(
        "".join(f"{name}\t{length}\n" for name, length in windows.genome.sizes.items()), encoding="utf-8"
    )
    # Bytewise, as sort and sort-bed order it.
    ordered = bed.sort(pl.col("chrom").cast(pl.Binary), "start", "end")
    return Bins(
        write("bins.bed", bed),
        write("bins.ordered.bed", ordered),
        write("bins.saf", saf),
        folder / "chrom.sizes",
        write("bins.some.bed", parts[0].drop("gene")),
        write("bins.few.bed", parts[1].drop("gene")),
        write("bins.one.bed", parts[2].drop("gene")),
        len(bed),
        *map(len, parts),
    )
