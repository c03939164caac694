"""Draw simulated reads from the model, and write them as tagAlign files."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pysam

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.simulation import model
from deepchrome.engine.simulation.kernels import MAX_BYTES_BESIDES_NAME, READ_LENGTH_BP, format_reads

Container = Literal["gzip", "bgzip", "plain"]
# Fraction of the reads of a file that are drawn around TSSs. The other reads are background.
NEAR_TSS_FRACTION = 0.3
# Fraction of the background reads that are on chrM.
CHRM_FRACTION = 0.002
_CHUNK_READS = 1 << 17
# Level 5 gives files within 0.2 % of the size that gzip -6 gives, in two thirds of the time that gzip -6 takes.
_ZLIB_LEVEL = 5


@dataclass(frozen=True)
class Chromosomes:
    """The c chromosomes of a genome laid end to end, with a gap after each for reads that reach past its end.

    Attributes
    ----------
    names
        Names of the chromosomes, in the order of the genome file.
    sizes, offsets
        Length of each chromosome, and its start when all are laid end to end, in bp: int64 (c,).
    """

    names: tuple[str, ...]
    sizes: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def from_genome(cls, genome: Genome) -> "Chromosomes":
        """Return chromosomes 1 to 22, X, Y and M of a genome."""
        wanted = {f"chr{name}" for name in (*range(1, 23), "X", "Y", "M")}
        names = tuple(name for name in genome.sizes if name in wanted)
        sizes = np.array([genome.sizes[name] for name in names], np.int64)
        return cls(names, sizes, np.append(0, np.cumsum(sizes + READ_LENGTH_BP)[:-1]))


@dataclass(frozen=True)
class MarkTruth:
    """The ground truth of one mark in one epigenome, for n genes.

    Attributes
    ----------
    state
        Whether the state of the mark is on: bool (n,).
    expected
        Number of reads expected from the gene itself, without background: float64 (n,).
    log_on, log_off
        Log likelihood of the reads in the gene's window if the state is on, and if it is off: float64 (n,).
    """

    state: npt.NDArray[np.bool_]
    expected: model.Floats
    log_on: model.Floats
    log_off: model.Floats


def draw_reads(
    rng: np.random.Generator,
    genes: Genes,
    activity: model.Floats,
    mark: model.Mark,
    reads: int,
    chromosomes: Chromosomes,
) -> tuple[npt.NDArray[np.int64], MarkTruth]:
    """Draw the reads of one mark in one epigenome.

    Parameters
    ----------
    rng
        Source of randomness.
    genes
        The n genes.
    activity
        Activity of each gene: float64 (n,).
    mark
        The mark.
    reads
        Exact number of reads to draw.
    chromosomes
        The chromosomes to draw from.

    Returns
    -------
    keys
        The reads in genomic order: int64 (reads,), 2 x (offset of the chromosome + start), plus 1 on the
        minus strand.
    truth
        The ground truth of the mark.
    """
    state = activity + mark.noise * rng.standard_normal(len(genes)) > 0
    amplitude = np.exp(model.AMPLITUDE_SD * rng.standard_normal(len(genes)))
    rate = amplitude[:, None] * np.exp(np.where(state[:, None], mark.on, mark.off))  # (genes, bins 5'→3')
    past_end = min(reads // 2, 3 + reads // 1_000_000)
    base = NEAR_TSS_FRACTION * (reads - past_end) / rate.sum()
    rate *= base

    reverse = np.array(genes.strand) == "-"
    index = {chrom: number for number, chrom in enumerate(chromosomes.names)}
    windows = chromosomes.offsets[[index[chrom] for chrom in genes.chrom]] + genes.tss - model.FLANK_BP
    edges = windows[:, None] + np.arange(model.N_BINS + 1) * model.BIN_BP
    genomic = np.where(reverse[:, None], rate[:, ::-1], rate)
    # Sequencing noise is Poisson. Poisson counts with a fixed total are multinomial, so this total is exact.
    counts = rng.multinomial(
        reads - past_end, np.append(genomic * (NEAR_TSS_FRACTION / genomic.sum()), 1 - NEAR_TSS_FRACTION)
    )
    starts = np.repeat(edges[:, :-1].ravel(), counts[:-1])
    starts += rng.integers(0, model.BIN_BP, len(starts))
    background = _draw_background(rng, counts[-1], chromosomes)
    keys = np.concatenate([starts, *background, _draw_past_end(rng, past_end, chromosomes)])
    keys <<= 1
    keys += rng.integers(0, 2, len(keys))
    keys.sort()

    observed = np.diff(np.searchsorted(keys, 2 * edges))
    density = (1 - NEAR_TSS_FRACTION) * (reads - past_end) * _background_fractions(chromosomes) / chromosomes.sizes
    other = density[0] * model.BIN_BP + model.neighbour_reads(edges, genomic)
    for bins in (observed, other):
        bins[reverse] = bins[reverse, ::-1]
    log_on, log_off = model.state_log_likelihoods(observed, mark, base, other)
    return keys, MarkTruth(state, rate.sum(1), log_on, log_off)


def _background_fractions(chromosomes: Chromosomes) -> model.Floats:
    """Return the fraction of the background reads on each chromosome: float64 (c,)."""
    nuclear = np.where(np.array(chromosomes.names) == "chrM", 0, chromosomes.sizes)
    return np.where(nuclear > 0, nuclear / nuclear.sum() * (1 - CHRM_FRACTION), CHRM_FRACTION)


def _draw_background(
    rng: np.random.Generator, reads: np.int64, chromosomes: Chromosomes
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield offset + start of uniform background reads, one array per chromosome: int64."""
    counts = rng.multinomial(reads, _background_fractions(chromosomes))
    for offset, size, count in zip(chromosomes.offsets, chromosomes.sizes, counts, strict=True):
        yield offset + rng.integers(0, size - READ_LENGTH_BP, count, endpoint=True)


def _draw_past_end(rng: np.random.Generator, reads: int, chromosomes: Chromosomes) -> npt.NDArray[np.int64]:
    """Return offset + start of reads that end past the end of their chromosome: int64 (reads,).

    The first read is one that Roadmap's files contain: chrM 16536-16572, which ends 1 bp past the end of hg19's chrM.
    """
    chrom = rng.integers(0, len(chromosomes.sizes), reads)
    overhang = rng.integers(1, READ_LENGTH_BP, reads)
    chrom[:1], overhang[:1] = chromosomes.names.index("chrM"), 1
    return chromosomes.offsets[chrom] + chromosomes.sizes[chrom] - READ_LENGTH_BP + overhang


def write_reads(path: Path, keys: npt.NDArray[np.int64], chromosomes: Chromosomes, container: Container) -> None:
    """Write reads, in the order of ``keys``, as BED6 lines ``chrom start end N 1000 strand``.

    Parameters
    ----------
    path
        The file to write.
    keys
        The reads, as :func:`draw_reads` returns them: int64 (reads,).
    chromosomes
        The chromosomes that the reads were drawn from.
    container
        ``gzip``, ``bgzip``, or ``plain`` for text.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    longest = max(map(len, chromosomes.names))
    names = np.array([[*name.ljust(longest).encode()] for name in chromosomes.names], np.uint8)
    lengths = np.array([len(name) for name in chromosomes.names])
    text = np.empty(min(_CHUNK_READS, len(keys)) * (longest + MAX_BYTES_BESIDES_NAME), np.uint8)
    with _open_container(path, container) as write:
        for first in range(0, len(keys), _CHUNK_READS):
            used = format_reads(keys[first : first + _CHUNK_READS], chromosomes.offsets, names, lengths, text)
            write(text[:used].tobytes())


@contextmanager
def _open_container(path: Path, container: Container) -> Iterator[Callable[[bytes], object]]:
    """Open a file and yield a function that writes bytes to it."""
    if container == "bgzip":
        with pysam.BGZFile(str(path), "wb", None) as blocks:
            yield blocks.write
        return
    with path.open("wb") as file:
        if container == "plain":
            yield file.write
            return
        # wbits=31 gives a gzip header without name and time, so that equal reads give equal bytes.
        gzip = zlib.compressobj(level=_ZLIB_LEVEL, wbits=31)
        yield lambda text: file.write(gzip.compress(text))
        file.write(gzip.flush())
