"""The statistical model that simulated genes, expression and reads are drawn from. docs/simulation.md describes it.

The model also gives the probability that a gene is on, given its reads. This is the score of the best possible
classifier.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import Genome

FLANK_BP = 5000
BIN_BP = 100
N_BINS = 2 * FLANK_BP // BIN_BP
# Correlation of the activities of one gene in two epigenomes.
SHARED_ACTIVITY = 0.85
# Standard deviation of the logarithm of a gene's expected reads of a mark, given the state of the mark.
AMPLITUDE_SD = 0.5
# Expected fraction of genes with an RPKM of 0.
SILENT_FRACTION = 0.1
_MARGIN_BP = 10_000
_NEIGHBOUR_FRACTION = 0.1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """How the reads of one histone mark depend on the activity of a gene.

    Attributes
    ----------
    noise
        Standard deviation of the normal noise. The state of the mark is on if activity plus noise is positive.
    on, off
        Log enrichment of each bin over the gene's base level, 5'→3', if the state is on or off:
        float64 (100,), natural logarithm.
    """

    noise: float
    on: Floats
    off: Floats


def _define_marks() -> dict[str, Mark]:
    x = np.arange(N_BINS) * BIN_BP - FLANK_BP + BIN_BP / 2  # bp from the TSS to the middle of each bin

    def peak(centre: float, sd: float) -> Floats:
        return np.asarray(np.exp(-0.5 * ((x - centre) / sd) ** 2))

    flat = np.zeros(N_BINS)
    body = 1 / (1 + np.exp(-(x - 1200) / 500))
    flanks = peak(-1500, 600) + peak(1500, 600)
    return {
        "H3K27me3": Mark(1.3, flat, np.log1p(4 * peak(0, 2500))),
        "H3K36me3": Mark(0.5, np.log1p(5 * body), flat),
        "H3K4me1": Mark(1.0, np.log1p(4 * flanks) - peak(0, 350), flat),
        "H3K4me3": Mark(0.35, np.log1p(40 * peak(100, 450)), np.log1p(peak(100, 450))),
        "H3K9me3": Mark(2.0, flat, np.log1p(2 * peak(0, 3500))),
    }


MARKS: Mapping[str, Mark] = _define_marks()


def draw_genes(rng: np.random.Generator, genome: Genome, n: int) -> Genes:
    """Draw n genes on chromosomes 1 to 22 and X, in proportion to their lengths.

    Every TSS is at least 10 kb from both ends of its chromosome. One gene in ten is placed within 10 kb of another
    gene, and others lie that close by chance. With 20,000 genes, the total fraction of overlapping windows is that of
    human genes.
    """
    names = [f"chr{name}" for name in (*range(1, 23), "X")]
    sizes = np.array([genome.sizes[name] for name in names])
    chrom = rng.choice(len(names), n, p=sizes / sizes.sum())
    tss = rng.integers(_MARGIN_BP, sizes[chrom] - _MARGIN_BP, endpoint=True)
    neighbour = np.flatnonzero(rng.random(n) < _NEIGHBOUR_FRACTION)
    anchor = rng.integers(0, n, len(neighbour))
    distance = rng.integers(200, 2 * FLANK_BP, len(neighbour)) * rng.choice([-1, 1], len(neighbour))
    chrom[neighbour] = chrom[anchor]
    tss[neighbour] = np.clip(tss[anchor] + distance, _MARGIN_BP, sizes[chrom[anchor]] - _MARGIN_BP)
    strand = rng.integers(0, 2, n)
    return Genes(
        tuple(f"ENSG9{number:010d}" for number in range(1, n + 1)),
        tuple(f"SIM{number}" for number in range(1, n + 1)),
        tuple(names[index] for index in chrom),
        tss.astype(np.int64),
        tuple("+-"[index] for index in strand),
    )


def expression(activity: Floats) -> Floats:
    """Return the RPKM for each activity, rounded to 3 decimals: float64, in the shape of ``activity``.

    RPKM is 2^(1.5 + 3 activity), or 0 if the activity is in the lowest tenth of the standard normal distribution.
    """
    is_silent = activity < NormalDist().inv_cdf(SILENT_FRACTION)
    return np.asarray(np.where(is_silent, 0.0, np.round(np.exp2(1.5 + 3 * activity), 3)), np.float64)


def find_isolated(genes: Genes) -> npt.NDArray[np.bool_]:
    """Return whether each gene's window is free of overlaps with the windows of other genes: bool (n,)."""
    chrom = np.unique(genes.chrom, return_inverse=True)[1]
    order = np.lexsort((genes.tss, chrom))
    is_near_next = (np.diff(chrom[order]) == 0) & (np.diff(genes.tss[order]) < 2 * FLANK_BP)
    isolated = np.empty(len(genes), bool)
    isolated[order] = ~(np.append(is_near_next, False) | np.append(False, is_near_next))
    return isolated


def neighbour_reads(edges: npt.NDArray[np.int64], rate: Floats) -> Floats:
    """Return the reads expected in each bin from the other genes whose windows overlap it: float64 (genes, bins).

    Parameters
    ----------
    edges
        Edges of each gene's bins (bp), with all chromosomes laid end to end: int64 (genes, bins + 1).
    rate
        Reads expected in each bin from the gene itself: float64 (genes, bins), bins in genomic order.
    """
    total = np.zeros_like(rate)
    cumulative = np.pad(np.cumsum(rate, axis=1), ((0, 0), (1, 0)))
    order = np.argsort(edges[:, 0])
    for rank, gene in enumerate(order):
        for other in order[rank + 1 :]:
            if edges[other, 0] >= edges[gene, -1]:
                break
            for here, there in ((gene, other), (other, gene)):
                total[here] += np.diff(np.interp(edges[here], edges[there], cumulative[there]))
    return total


def state_log_likelihoods(
    starts: npt.NDArray[np.integer], mark: Mark, base: float, background: Floats
) -> tuple[Floats, Floats]:
    """Return the log likelihoods of each gene's reads of a mark, given that its state is on or off.

    The unknown amplitude of a gene is log-normal. It is integrated out numerically, on a grid.

    Parameters
    ----------
    starts
        Number of reads that start in each bin: integers (genes, 100), bins 5'→3'.
    mark
        The mark.
    base
        Reads expected in a bin at the base level of a gene of median amplitude.
    background
        Reads expected in each bin from other sources: float64 (genes, 100), bins 5'→3'.

    Returns
    -------
    on, off
        float64 (genes,) each. For each gene, both omit the same additive constant.
    """
    nodes = np.linspace(-6, 6, 241)
    counts = starts.astype(np.float64)
    # Windows that overlap no other window, most of them, have the lowest background. One matrix product computes these.
    common = np.flatnonzero((background == background.min()).all(1))
    others = np.setdiff1d(np.arange(len(counts)), common)

    def log_likelihood(profile: Floats) -> Floats:
        own = base * np.exp(AMPLITUDE_SD * nodes[:, None] + profile)  # (nodes, bins)
        joint = np.empty((len(counts), len(nodes)))
        rate = own + background.min()
        joint[common] = counts[common] @ np.log(rate).T - rate.sum(1)
        for gene in others:
            rate = own + background[gene]
            joint[gene] = np.log(rate) @ counts[gene] - rate.sum(1)
        return np.asarray(np.logaddexp.reduce(joint - 0.5 * nodes**2, axis=1), np.float64)

    return log_likelihood(mark.on), log_likelihood(mark.off)


def log_odds(on: Mapping[str, Floats], off: Mapping[str, Floats]) -> Floats:
    """Return the log odds that each gene's activity is above its median, 0, given the reads: float64 (genes,).

    Parameters
    ----------
    on, off
        For each mark, the log likelihoods of each gene's reads, given that the state is on or off: float64 (genes,).
    """
    step = 0.05
    activity = np.arange(step / 2, 5, step)

    def normal_cdf(x: Floats) -> Floats:  # erfc is accurate in the far tail too
        return np.array([erfc(-value / sqrt(2)) / 2 for value in x])

    def log_evidence(activity: Floats) -> Floats:
        total = np.broadcast_to(-0.5 * activity**2, (len(next(iter(on.values()))), len(activity)))
        for name in on:
            p_on = normal_cdf(activity / MARKS[name].noise)
            p_off = normal_cdf(-activity / MARKS[name].noise)
            total = total + np.logaddexp(np.log(p_on) + on[name][:, None], np.log(p_off) + off[name][:, None])
        return np.asarray(np.logaddexp.reduce(total, axis=1), np.float64)

    return log_evidence(activity) - log_evidence(-activity)


# The trainer has an AUROC of its own, but the engine may not import the trainer.
def auroc(score: Floats, positive: npt.NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve; None if all genes have the same label.

    It is the fraction of pairs of a positive and a negative in which the positive has the higher score; a tie counts
    half (Mann-Whitney U).

    Parameters
    ----------
    score
        float64 (n,).
    positive
        bool (n,).
    """
    if positive.all() or not positive.any():
        return None
    negatives = np.sort(score[~positive])
    below = np.searchsorted(negatives, score[positive], "left") + np.searchsorted(negatives, score[positive], "right")
    return float(below.mean() / (2 * len(negatives)))
