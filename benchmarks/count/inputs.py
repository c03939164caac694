"""Prepare the inputs of ``dc bench count``: the same reads as BAM and as tagAlign, and sets of regions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from deepchrome.benchmarks.common.processes import run_shell
from deepchrome.benchmarks.featurize.inputs import BinFile, Inputs
from deepchrome.engine.annotation.regions import genome_bins

BAM: Final = "BAM"
TAGALIGN: Final = "tagAlign.gz"
SetName = Literal["windows", "tss-bins", "peaks", "bins"]
SETS: Final[tuple[SetName, ...]] = ("windows", "tss-bins", "peaks", "bins")
"""Names of the sets of regions, see :func:`write_regions`."""
_PEAK_WIDTHS: Final = (150, 2000)
_TO_BAM: Final = (
    'bedtools bedtobam -i "$READS" -g "$SIZES" | samtools sort -@ "$THREADS" -o "$OUT" - && samtools index "$OUT"'
)
_TO_INSIDE_BAM: Final = (
    'bedtools intersect -f 1 -sorted -g "$SIZES" -a "$READS" -b "$CHROMOSOMES" > "$OUT" && samtools index "$OUT"'
)


@dataclass(frozen=True)
class Reads:
    """The same reads in several files.

    Attributes
    ----------
    files
        Sorted BAM with an index, and tagAlign compressed by gzip: paths by :data:`BAM` and :data:`TAGALIGN`.
    inside_bam
        The BAM file without reads that end past the end of their chromosome.
    """

    files: Mapping[str, Path]
    inside_bam: Path


@dataclass(frozen=True)
class RegionSet:
    """A set of regions in the file formats that the programs read.

    In BED files the fourth column is the index of the region. Files are sorted by position, with the chromosomes in
    the order of the genome. No region extends past the ends of its chromosome.

    Attributes
    ----------
    name
        The name of the set.
    index
        int64 (regions,): the index of each region, in the order of the file.
    all, sample, small_sample
        BED of all regions, and of some that are spread evenly, for programs that take hours with all.
    two
        BED of two regions, to measure the start-up of such programs; deepTools needs two.
    saf
        All regions in the Simplified Annotation Format of featureCounts.
    """

    name: SetName
    index: npt.NDArray[np.int64] = field(repr=False)
    all: BinFile
    sample: BinFile
    small_sample: BinFile
    two: BinFile
    saf: Path


def write_reads(inputs: Inputs, threads: int) -> Reads:
    """Write the BAM files, unless they exist.

    Raises
    ------
    MissingInputError, StorageError
        bedtools or samtools is not installed, or fails.
    """
    folder = inputs.folder
    sizes, chromosomes = folder / "chrom.sizes", folder / "chromosomes.bed"
    lengths = inputs.windows.genome.sizes.items()
    sizes.write_text("".join(f"{name}\t{length}\n" for name, length in lengths), encoding="utf-8")
    chromosomes.write_text("".join(f"{name}\t0\t{length}\n" for name, length in lengths), encoding="utf-8")
    bam, inside = folder / "reads.bam", folder / "reads-inside.bam"
    variables = {"SIZES": str(sizes), "CHROMOSOMES": str(chromosomes), "THREADS": str(threads)}
    for script, reads, out in ((_TO_BAM, inputs.reads_file, bam), (_TO_INSIDE_BAM, bam, inside)):
        if not out.with_name(f"{out.name}.bai").exists():  # the index is written last
            run_shell(script, {**variables, "READS": str(reads), "OUT": str(out)}, name=f"{out.name} with bedtools")
    return Reads({BAM: bam, TAGALIGN: inputs.reads_file}, inside)


def write_regions(
    inputs: Inputs, name: SetName, *, peaks: int, bin_bp: int, sample: int, small_sample: int, seed: int = 1
) -> RegionSet:
    """Write all files of one set of regions.

    Parameters
    ----------
    inputs
        The reads, the genes and the genome.
    name
        ``windows``: the window of each gene, index of the gene. ``tss-bins``: the bins of these windows, index of the
        gene * bins per gene + bin. ``peaks``: random widths of 150 to 2,000 bp, each around a random read.
        ``bins``: the whole genome.
    peaks
        The number of peaks.
    bin_bp
        The width of bins of the genome, in bp.
    sample, small_sample
        The numbers of regions in these files.
    seed
        Seed of the random choices.
    """
    frame = _region_table(inputs, name, peaks, bin_bp, seed)
    folder = inputs.folder / name
    folder.mkdir(exist_ok=True)

    def write(stem: str, table: pl.DataFrame) -> BinFile:
        table.write_csv(folder / f"{stem}.bed", separator="\t", include_header=False)
        return BinFile(folder / f"{stem}.bed", len(table))

    def write_some(stem: str, n: int) -> BinFile:
        return write(stem, frame[np.unique(np.linspace(0, len(frame) - 1, n, dtype=np.int64))])

    saf = frame.select(GeneID="region", Chr="chrom", Start=pl.col("start") + 1, End="end", Strand=pl.lit("+"))
    saf.write_csv(folder / "all.saf", separator="\t")
    return RegionSet(
        name,
        frame["region"].to_numpy(),
        all=write("all", frame),
        sample=write_some("sample", sample),
        small_sample=write_some("small-sample", small_sample),
        two=write_some("two", 2),
        saf=folder / "all.saf",
    )


def _region_table(inputs: Inputs, name: SetName, peaks: int, bin_bp: int, seed: int) -> pl.DataFrame:
    """Return chrom, start, end and region (the index), sorted by position."""
    windows, sizes = inputs.windows, inputs.windows.genome.sizes
    if name == "peaks":
        chrom_id, start, end = _draw_peaks(inputs, peaks, seed)
    elif name == "bins":
        regions = genome_bins(windows.genome, bin_bp)
        chrom_id, start, end = regions.layout(windows.genome).chrom_id, regions.start, regions.end
    else:
        per_gene = windows.n_bins if name == "tss-bins" else 1
        width = windows.bin_size * windows.n_bins // per_gene
        chrom_id = np.repeat(windows.chrom_id, per_gene)
        start = (windows.start[:, None] + width * np.arange(per_gene)).ravel()
        end = start + width
    # Unknown chromosomes have index -1, which selects the length 0 at the end of the array.
    length = np.array([*sizes.values(), 0])[chrom_id]
    start, end = np.maximum(start, 0), np.minimum(end, length)
    order = np.lexsort((end, start, chrom_id))
    table = {
        "chrom": pl.Series([*sizes, ""]).gather(np.where(chrom_id < 0, len(sizes), chrom_id)),
        "start": start,
        "end": end,
        # Peaks are numbered by position; genes and bins keep the order of their table.
        "region": np.argsort(order) if name == "peaks" else np.arange(len(start)),
    }
    return pl.DataFrame(table)[order].filter(pl.col("start") < pl.col("end"))


def _draw_peaks(inputs: Inputs, peaks: int, seed: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Draw peaks around random reads, because peaks lie where many reads are. Return chromosome index, start, end.

    There is no peak on chrM, where the reads are too dense for peaks.
    """
    rng = np.random.default_rng(seed)
    reads = pl.read_csv(inputs.reads_file, separator="\t", has_header=False, columns=[0, 1])
    reads = reads.rename(dict(zip(reads.columns, ("chrom", "start"), strict=True))).filter(pl.col("chrom") != "chrM")
    chosen = reads[np.sort(rng.integers(len(reads), size=peaks))]
    ids = {name: i for i, name in enumerate(inputs.windows.genome.sizes)}
    width = rng.integers(_PEAK_WIDTHS[0], _PEAK_WIDTHS[1] + 1, peaks)
    start = chosen["start"].to_numpy() - (rng.random(peaks) * width).astype(np.int64)
    chrom_id = chosen["chrom"].replace_strict(ids, return_dtype=pl.Int64).to_numpy()
    return chrom_id, start, start + width
