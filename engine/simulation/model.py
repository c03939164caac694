"""The model that simulated genes, expression and reads are drawn from; docs/simulation.md derives it.

What each gene's reads say about its expression is known here, so the score of the best possible
classifier is too.
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
# Standard deviation of the log of a gene's reads of a mark, beside what its state explains.
AMPLITUDE_SD = 0.5
SILENT_FRACTION = 0.1
_MARGIN_BP = 10_000
_NEIGHBOUR_FRACTION = 0.1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """How one histone mark follows activity.

    Attributes
    ----------
    noise
        Standard deviation of what is added to a gene's activity before it decides the mark's state.
    on, off
        Log enrichment over the gene's base level in each bin, 5'→3', where the state is on or off:
        float64 (100,), natural logarithm.
    """

    noise: float
    on: Floats
    off: Floats


def _profiles() -> dict[str, Mark]:
    x = np.arange(N_BINS) * BIN_BP - FLANK_BP + BIN_BP / 2  # bp from the TSS to the middle of a bin

    def hill(centre: float, width: float) -> Floats:
        return np.asarray(np.exp(-0.5 * ((x - centre) / width) ** 2))

    flat = np.zeros(N_BINS)
    body = 1 / (1 + np.exp(-(x - 1200) / 500))
    flanks = hill(-1500, 600) + hill(1500, 600)
    return {
        "H3K27me3": Mark(1.3, flat, np.log1p(4 * hill(0, 2500))),
        "H3K36me3": Mark(0.5, np.log1p(5 * body), flat),
        "H3K4me1": Mark(1.0, np.log1p(4 * flanks) - hill(0, 350), flat),
        "H3K4me3": Mark(0.35, np.log1p(40 * hill(100, 450)), np.log1p(hill(100, 450))),
        "H3K9me3": Mark(2.0, flat, np.log1p(2 * hill(0, 3500))),
    }


MARKS: Mapping[str, Mark] = _profiles()


def draw_genes(rng: np.random.Generator, genome: Genome, n: int) -> Genes:
    """Draw n genes on the chromosomes 1 to 22 and X, in proportion to their lengths.

    No TSS is within 10 kb of a chromosome's end. One gene in ten is put within 10 kb of another,
    which with the chance encounters of 20,000 genes gives the share of overlapping windows that
    human genes have.
    """
    names = [f"chr{name}" for name in (*range(1, 23), "X")]
    sizes = np.array([genome.sizes[name] for name in names])
    chrom = rng.choice(len(names), n, p=sizes / sizes.sum())
    tss = rng.integers(_MARGIN_BP, sizes[chrom] - _MARGIN_BP, endpoint=True)
    neighbour = np.flatnonzero(rng.random(n) < _NEIGHBOUR_FRACTION)
    of = rng.integers(0, n, len(neighbour))
    distance = rng.integers(200, 2 * FLANK_BP, len(neighbour)) * rng.choice([-1, 1], len(neighbour))
    chrom[neighbour] = chrom[of]
    tss[neighbour] = np.clip(tss[of] + distance, _MARGIN_BP, sizes[chrom[of]] - _MARGIN_BP)
    strand = rng.integers(0, 2, n)
    return Genes(
        tuple(f"ENSG9{number:010d}" for number in range(1, n + 1)),
        tuple(f"SIM{number}" for number in range(1, n + 1)),
        tuple(names[index] for index in chrom),
        tss.astype(np.int64),
        tuple("+-"[index] for index in strand),
    )


def expression(activity: Floats) -> Floats:
    """Return RPKM, 3 decimals: 2^(1.5 + 3 a), and 0 for the least active tenth in expectation."""
    silent = activity < NormalDist().inv_cdf(SILENT_FRACTION)
    return np.asarray(np.where(silent, 0.0, np.round(np.exp2(1.5 + 3 * activity), 3)), np.float64)


def isolated(genes: Genes) -> npt.NDArray[np.bool_]:
    """Return bool (n,): whether a gene's window overlaps no other gene's."""
    chrom = np.unique(genes.chrom, return_inverse=True)[1]
    order = np.lexsort((genes.tss, chrom))
    near = (np.diff(chrom[order]) == 0) & (np.diff(genes.tss[order]) < 2 * FLANK_BP)
    alone = np.empty(len(genes), bool)
    alone[order] = ~(np.append(near, False) | np.append(False, near))
    return alone


def neighbours_rate(edges: npt.NDArray[np.int64], rate: Floats) -> Floats:
    """Return the reads expected in each bin of a window from the other genes that reach into it.

    Parameters
    ----------
    edges
        Edges of each gene's bins along the genome: int64 (genes, bins + 1).
    rate
        Reads expected from the gene itself: float64 (genes, bins), genomic order.
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
    """Return the log likelihoods of each gene's reads of a mark if its state is on, and if it is off.

    Parameters
    ----------
    starts
        Reads that start in each bin, (genes, 100), bins 5'→3'.
    mark
        The mark.
    base
        Expected reads a bin at the base level of a gene of median amplitude.
    background
        Expected reads in each bin from all else: float64 (genes, 100), bins 5'→3'.

    Returns
    -------
    on, off
        float64 (genes,), both up to the same constant of the gene. The unknown amplitude is
        integrated over its log-normal distribution on a grid.
    """
    nodes = np.linspace(-6, 6, 241)
    counts = starts.astype(np.float64)
    # Nearly all windows have the same background: one product of matrices does for them.
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
    """Return each gene's log odds of an activity above its median, 0, given its reads.

    Parameters
    ----------
    on, off
        By mark, the log likelihoods of a gene's reads under each state, float64 (genes,).
    """
    step = 0.05
    activity = np.arange(step / 2, 5, step)

    def cdf(x: Floats) -> Floats:  # by erfc, exact in the far tail too
        return np.array([erfc(-value / sqrt(2)) / 2 for value in x])

    def evidence(activity: Floats) -> Floats:
        total = np.broadcast_to(-0.5 * activity**2, (len(next(iter(on.values()))), len(activity)))
        for name in on:
            p = cdf(activity / MARKS[name].noise)
            q = cdf(-activity / MARKS[name].noise)
            total = total + np.logaddexp(np.log(p) + on[name][:, None], np.log(q) + off[name][:, None])
        return np.asarray(np.logaddexp.reduce(total, axis=1), np.float64)

    return evidence(activity) - evidence(-activity)


def auroc(score: Floats, positive: npt.NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve, ties counted half; None where there is only one class."""
    if positive.all() or not positive.any():
        return None
    negatives = np.sort(score[~positive])
    below = np.searchsorted(negatives, score[positive], "left") + np.searchsorted(negatives, score[positive], "right")
    return float(below.mean() / (2 * len(negatives)))
