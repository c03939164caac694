"""Prepare the inputs of ``dc bench featurize``: one file of reads in several formats, and the bins to count in."""

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
from deepchrome.common.signatures import BAM_MAGIC, GZIP_MAGIC
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import Windows, tss_windows
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.errors import BadDataError, MissingInputError, UsageError

SAMPLE = "E001-H3K4me3"
"""The epigenome and mark of all reads; ``dc featurize`` takes them from the file name."""
_CHUNK_BYTES = 1 << 20

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Inputs:
    """One file of reads and the windows to count in.

    Attributes
    ----------
    folder
        The directory for files derived from these inputs.
    reads_file
        The reads as gzip, the input of every program.
    genes, genome
        The gene table and the genome, as ``dc featurize`` takes them.
    windows
        The windows and their bins.
    reads, text_bytes
        The number of lines in the file, and its decompressed size in bytes.
    """

    folder: Path
    reads_file: Path
    genes: Path
    genome: str
    windows: Windows = field(repr=False)
    reads: int
    text_bytes: int

    @property
    def total_bins(self) -> int:
        """The number of bins of all genes."""
        return len(self.windows.genes) * self.windows.n_bins


def simulate_inputs(folder: Path, reads: int, genes: int, seed: int = 1) -> Inputs:
    """Simulate reads on hg19, or reuse the result of an earlier call with the same arguments in ``folder``."""
    target = folder / f"{reads}-reads-{genes}-genes-{seed}"
    if not target.exists():
        simulate(target, epigenomes=1, genes=genes, reads=reads, seed=seed, marks=[SAMPLE.partition("-")[2]])
    return _load_inputs(target, target / f"{SAMPLE}.tagAlign.gz", target / "genes.tsv", "hg19")


def link_inputs(folder: Path, reads_file: Path, genes: Path, genome: str) -> Inputs:
    """Use a gene table and a file of reads that already exist.

    Parameters
    ----------
    folder
        The directory for derived files. A symbolic link to the reads is made there.
    reads_file
        tagAlign or BED, compressed by gzip: the only input from which every program can start.
    genes
        The gene table.
    genome
        ``hg19``, ``hg38``, or the path of a chrom.sizes file.

    Raises
    ------
    MissingInputError
        The file of reads does not exist.
    UsageError
        The file of reads has another format.
    """
    if not reads_file.is_file():
        raise MissingInputError(f"{reads_file}: no such file")
    with reads_file.open("rb") as file:
        if file.read(len(GZIP_MAGIC)) != GZIP_MAGIC:
            raise UsageError(f"{reads_file}: not gzip. The benchmark needs tagAlign or BED compressed by gzip.")
    with _open_gzip(reads_file) as text:
        if text.read(len(BAM_MAGIC)) == BAM_MAGIC:
            raise UsageError(f"{reads_file}: is BAM. The benchmark needs tagAlign or BED compressed by gzip.")
    # Derived files must not be reused for other inputs, so the name of the directory depends on all inputs.
    stat = reads_file.stat()
    key = zlib.crc32(f"{reads_file.resolve()} {stat.st_size} {stat.st_mtime_ns} {genes.resolve()} {genome}".encode())
    target = folder / f"given-{key:08x}"
    target.mkdir(parents=True, exist_ok=True)
    link = target / f"{SAMPLE}.tagAlign.gz"
    link.unlink(missing_ok=True)
    link.symlink_to(reads_file.resolve())
    return _load_inputs(target, link, genes, genome)


def _load_inputs(folder: Path, reads_file: Path, genes: Path, genome: str) -> Inputs:
    windows = tss_windows(read_genes(genes), read_genome(genome))
    reads = text_bytes = 0
    with _open_gzip(reads_file) as text:
        while chunk := text.read(_CHUNK_BYTES):
            reads += chunk.count(b"\n")
            text_bytes += len(chunk)
    return Inputs(folder, reads_file, genes, genome, windows, reads, text_bytes)


def _open_gzip(path: Path) -> BinaryIO:
    return cast("BinaryIO", igzip.open(path))  # type: ignore[no-untyped-call]


def write_shuffled(inputs: Inputs, seed: int = 1) -> Path:
    """Write the reads in random order as gzip, unless the file exists, and return its path."""
    path = inputs.folder / "shuffled" / inputs.reads_file.name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        lines = pl.read_csv(inputs.reads_file, has_header=False, separator="\1", quote_char=None, new_columns=["line"])
        shuffled = lines.sample(fraction=1, shuffle=True, seed=seed)
        with atomic_write(path) as temporary, gzip.open(temporary, "wb", 5) as file:
            for part in shuffled.iter_slices(_CHUNK_BYTES):
                file.write(b"".join(f"{line}\n".encode() for line in part["line"]))
    return path


def write_bgzip(inputs: Inputs) -> Path:
    """Write the reads as bgzip, unless the file exists, and return its path."""
    path = inputs.folder / "bgzip" / inputs.reads_file.name
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with (
            atomic_write(path) as temporary,
            _open_gzip(inputs.reads_file) as text,
            pysam.BGZFile(str(temporary), "w", index=None) as file,
        ):
            while chunk := text.read(_CHUNK_BYTES):
                file.write(chunk)
    return path


def write_plain(inputs: Inputs) -> Path:
    """Write the reads as uncompressed text, unless the file exists, and return its path."""
    path = inputs.folder / "reads.tagAlign"
    if not path.exists():
        with atomic_write(path) as temporary, _open_gzip(inputs.reads_file) as text, temporary.open("wb") as file:
            shutil.copyfileobj(text, file, _CHUNK_BYTES)
    return path


def copy_bam(inputs: Inputs, bam: Path) -> Path:
    """Copy the BAM of the reference path (bedtobam, sort) to a name that ``dc featurize`` accepts; return its path."""
    path = inputs.folder / "bam" / f"{SAMPLE}.bam"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as temporary:
            shutil.copyfile(bam, temporary)
    return path


@dataclass(frozen=True)
class BinFile:
    """A file of bins, and the number of bins in it."""

    path: Path
    n: int


@dataclass(frozen=True)
class Bins:
    """The bins in the file formats that the programs read.

    In BED files the fourth column is the index of the bin: index of the gene * bins per gene + index in the window,
    all from 0.
    Bins that lie completely outside their chromosome are left out, because their count is 0 by definition and
    multicov cannot handle them. Bins that begin before position 0 are cut off at 0.

    Attributes
    ----------
    all
        BED of all bins, in the order of the genes.
    sorted
        BED of all bins, by chromosome and position.
    saf
        All bins in the Simplified Annotation Format of featureCounts.
    chrom_sizes
        The names and lengths of the chromosomes.
    multicov, deeptools
        BED of the bins of some genes, for programs that are too slow for all bins.
    one_gene
        BED of the bins of one gene, to measure the start-up of such programs.
    """

    all: BinFile
    sorted: Path
    saf: Path
    chrom_sizes: Path
    multicov: BinFile
    deeptools: BinFile
    one_gene: BinFile


def write_bins(inputs: Inputs, multicov_genes: int, deeptools_genes: int) -> Bins:
    """Write all files of bins.

    Parameters
    ----------
    inputs
        The windows, and the directory to write to.
    multicov_genes, deeptools_genes
        The numbers of genes whose bins these programs get. The genes are spread evenly over the gene table.

    Raises
    ------
    BadDataError
        No bin lies on a chromosome of the genome.
    """
    folder = inputs.folder
    frame = _bin_table(inputs.windows)
    if not len(frame):
        raise BadDataError(f"{inputs.genes}: no bin lies on a chromosome of {inputs.genome}")

    def write(name: str, table: pl.DataFrame) -> Path:
        table.write_csv(folder / name, separator="\t", include_header=name.endswith(".saf"))
        return folder / name

    genes = frame["gene"].unique().sort()

    def write_some(name: str, n_genes: int) -> BinFile:
        chosen = genes[np.unique(np.linspace(0, len(genes) - 1, n_genes, dtype=np.int64))]
        table = frame.filter(pl.col("gene").is_in(chosen.implode())).drop("gene")
        return BinFile(write(name, table), len(table))

    chrom_sizes = folder / "chrom.sizes"
    lengths = inputs.windows.genome.sizes.items()
    chrom_sizes.write_text("".join(f"{name}\t{length}\n" for name, length in lengths), encoding="utf-8")
    bed = frame.drop("gene")
    saf = bed.select(
        pl.col("bin").alias("GeneID"),
        pl.col("chrom").alias("Chr"),
        (pl.col("start") + 1).alias("Start"),
        pl.col("end").alias("End"),
        pl.lit("+").alias("Strand"),
    )
    return Bins(
        all=BinFile(write("bins.bed", bed), len(bed)),
        # Chromosomes in byte order, as sort and sort-bed order them.
        sorted=write("bins.sorted.bed", bed.sort(pl.col("chrom").cast(pl.Binary), "start", "end")),
        saf=write("bins.saf", saf),
        chrom_sizes=chrom_sizes,
        multicov=write_some("bins.multicov.bed", multicov_genes),
        deeptools=write_some("bins.deeptools.bed", deeptools_genes),
        one_gene=write_some("bins.one-gene.bed", 1),
    )


def _bin_table(windows: Windows) -> pl.DataFrame:
    """Return the six columns of BED and the index of the gene, one row per bin that overlaps its chromosome."""
    genes, n_bins = len(windows.genes), windows.n_bins
    start = (windows.start[:, None] + windows.bin_size * np.arange(n_bins)).ravel()
    end = start + windows.bin_size
    gene = np.repeat(np.arange(genes), n_bins)
    # Unknown chromosomes have index -1, which selects the length 0 at the end of the array.
    chrom_length = np.array([*windows.genome.sizes.values(), 0])[windows.chrom_id[gene]]
    return pl.DataFrame(
        {
            "chrom": pl.Series(windows.genes.chrom).gather(gene),
            "start": np.maximum(start, 0),
            "end": end,
            "bin": np.arange(genes * n_bins),
            "score": np.zeros(genes * n_bins, np.int64),
            "strand": pl.Series(windows.genes.strand).gather(gene),
            "gene": gene,
        }
    ).filter((end > 0) & (start < chrom_length))
