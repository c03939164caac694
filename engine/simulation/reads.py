"""Simulated reads: drawn from the model, written as tagAlign."""

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
from deepchrome.engine.simulation.kernels import LINE_BYTES, READ_LENGTH_BP, format_reads

Container = Literal["gzip", "bgzip", "plain"]
# Share of a file's reads near the TSSs of its genes, and share of chrM in the rest.
NEAR_TSS_FRACTION = 0.3
CHRM_FRACTION = 0.002
_CHUNK_READS = 1 << 17
# Within 0.2 % of the size that gzip -6 gives these files, in two thirds of the time.
_ZLIB_LEVEL = 5


@dataclass(frozen=True)
class Chromosomes:
    """The c chromosomes of a genome laid end to end, with room for reads past their ends.

    Attributes
    ----------
    names
        In the order of the genome file.
    sizes, offsets
        Lengths, and where each begins, in bp: int64 (c,).
    """

    names: tuple[str, ...]
    sizes: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, genome: Genome) -> "Chromosomes":
        """Take chromosomes 1 to 22, X, Y and M."""
        wanted = {f"chr{name}" for name in (*range(1, 23), "X", "Y", "M")}
        names = tuple(name for name in genome.sizes if name in wanted)
        sizes = np.array([genome.sizes[name] for name in names], np.int64)
        return cls(names, sizes, np.append(0, np.cumsum(sizes + READ_LENGTH_BP)[:-1]))


@dataclass(frozen=True)
class MarkTruth:
    """What is known of one mark in one epigenome, for n genes.

    Attributes
    ----------
    state
        bool (n,): whether the mark has the profile of active genes.
    expected
        float64 (n,): expected reads from the gene itself, background apart.
    log_on, log_off
        float64 (n,): log likelihood of the reads in the gene's window under either state.
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
    activity
        Of each gene: float64 (genes,).
    reads
        How many to draw, exactly.

    Returns
    -------
    keys
        int64 (reads,), in genome order: 2 x (offset of the chromosome + start) + (1 on the minus
        strand).
    truth
        What is known of the mark.
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
    # Poisson counts given their total are multinomial: noise as in sequencing, and exactly as many as asked.
    counts = rng.multinomial(
        reads - past_end, np.append(genomic * (NEAR_TSS_FRACTION / genomic.sum()), 1 - NEAR_TSS_FRACTION)
    )
    starts = np.repeat(edges[:, :-1].ravel(), counts[:-1])
    starts += rng.integers(0, model.BIN_BP, len(starts))
    keys = np.concatenate([starts, *_background(rng, counts[-1], chromosomes), _past_end(rng, past_end, chromosomes)])
    keys <<= 1
    keys += rng.integers(0, 2, len(keys))
    keys.sort()

    observed = np.diff(np.searchsorted(keys, 2 * edges))
    density = (1 - NEAR_TSS_FRACTION) * (reads - past_end) * _background_share(chromosomes) / chromosomes.sizes
    other = density[0] * model.BIN_BP + model.neighbours_rate(edges, genomic)
    for bins in (observed, other):
        bins[reverse] = bins[reverse, ::-1]
    log_on, log_off = model.state_log_likelihoods(observed, mark, base, other)
    return keys, MarkTruth(state, rate.sum(1), log_on, log_off)


def _background_share(chromosomes: Chromosomes) -> model.Floats:
    nuclear = np.where(np.array(chromosomes.names) == "chrM", 0, chromosomes.sizes)
    return np.where(nuclear > 0, nuclear / nuclear.sum() * (1 - CHRM_FRACTION), CHRM_FRACTION)


def _background(rng: np.random.Generator, reads: np.int64, chromosomes: Chromosomes) -> Iterator[npt.NDArray[np.int64]]:
    counts = rng.multinomial(reads, _background_share(chromosomes))
    for offset, size, count in zip(chromosomes.offsets, chromosomes.sizes, counts, strict=True):
        yield offset + rng.integers(0, size - READ_LENGTH_BP, count, endpoint=True)


def _past_end(rng: np.random.Generator, reads: int, chromosomes: Chromosomes) -> npt.NDArray[np.int64]:
    """Draw reads over the ends: first the one of Roadmap's files, chrM 16536-16572, 1 bp past hg19's chrM."""
    where = rng.integers(0, len(chromosomes.sizes), reads)
    overhang = rng.integers(1, READ_LENGTH_BP, reads)
    where[:1], overhang[:1] = chromosomes.names.index("chrM"), 1
    return chromosomes.offsets[where] + chromosomes.sizes[where] - READ_LENGTH_BP + overhang


def write_reads(path: Path, keys: npt.NDArray[np.int64], chromosomes: Chromosomes, container: Container) -> None:
    """Write reads, in the order of their keys, as BED6 lines ``chrom start end N 1000 strand``."""
    longest = max(map(len, chromosomes.names))
    names = np.array([[*name.ljust(longest).encode()] for name in chromosomes.names], np.uint8)
    lengths = np.array([len(name) for name in chromosomes.names])
    text = np.empty(min(_CHUNK_READS, len(keys)) * (longest + LINE_BYTES), np.uint8)
    with _opened(path, container) as write:
        for first in range(0, len(keys), _CHUNK_READS):
            used = format_reads(keys[first : first + _CHUNK_READS], chromosomes.offsets, names, lengths, text)
            write(text[:used].tobytes())


@contextmanager
def _opened(path: Path, container: Container) -> Iterator[Callable[[bytes], object]]:
    if container == "bgzip":
        with pysam.BGZFile(str(path), "wb", None) as blocks:
            yield blocks.write
        return
    with path.open("wb") as file:
        if container == "plain":
            yield file.write
            return
        # wbits 31: a gzip header without name and time, so that the same reads are the same bytes.
        gzip = zlib.compressobj(level=_ZLIB_LEVEL, wbits=31)
        yield lambda text: file.write(gzip.compress(text))
        file.write(gzip.flush())
