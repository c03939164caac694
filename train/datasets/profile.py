"""Profiles of features: how many reads each mark has, and where they lie. Compare new features with the training.

A model that gets other data than it was trained on gives scores without an error. A profile holds the few numbers that
show it. docs/training.md lists what is compared, the limits, and how they were measured on real epigenomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import combinations
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from deepchrome.engine.features.store import Features
from deepchrome.errors import BadDataError

# Number of classes of distance from the TSS for which a profile gives the share of the reads.
N_DISTANCES: Final = 10
# Shapes, correlations and shares of genes are compared for at least so many genes: fewer are too noisy.
MIN_GENES: Final = 200
# A mark with fewer counts has no reliable shape.
_MIN_COUNTS: Final = 1000
# A chromosome with fewer genes, or where fewer counts are expected, may have no reads by chance.
_MIN_CHROM_GENES: Final = 5
_MIN_CHROM_COUNTS: Final = 100

# Limits. docs/training.md says how they were measured.
# Fold difference of the reads of a mark from the training. 97 % of all pairs of Roadmap's epigenomes differ by less.
WARN_READS: Final = 3.0
# The same for counts per gene, if the number of reads is unknown: they differ more, because enrichment differs too.
WARN_COUNTS: Final = 10.0
# Fold difference of the mean read length.
WARN_LENGTH: Final = 1.5
# Fold difference of the share of reads in the windows of a gene. A tenth of the share of the training is less than
# the background of the genome.
WARN_SHARE: Final = 4.0
REFUSE_SHARE: Final = 10.0
# Increase of the fraction of genes without reads.
WARN_SILENT: Final = 0.2
# Increase of the fraction of genes on chromosomes where no gene has reads.
REFUSE_EMPTY_CHROMS: Final = 0.1
# Squared Hellinger distance between the shapes of a mark. Below 0.03 for every pair of real epigenomes.
WARN_SHAPE: Final = 0.05
REFUSE_SHAPE: Final = 0.15
# Marks seem swapped if another order of them fits the training so many times better, and fits it well. With the marks
# in their order, the factor is below 1 for every pair of real epigenomes.
REFUSE_SWAP: Final = 1.5
MAX_SWAP_MISFIT: Final = 0.2
# Weight of the shapes in the misfit of an order of marks; the weight of the correlations is 1.
_SHAPE_WEIGHT: Final = 3.0


@dataclass(frozen=True)
class MarkProfile:
    """The reads of one mark in the windows of all genes. A number that is not known is ``None``.

    Attributes
    ----------
    reads
        Number of reads in the file of the mark.
    share_in_windows
        Share of these reads that lie in a window.
    read_length
        Mean length of the reads (bp).
    counts_per_gene
        Mean sum of the counts of a gene. A read counts once in every bin that it overlaps.
    genes_without_reads
        Fraction of the genes whose counts are all 0.
    genes_on_empty_chroms
        Fraction of the genes that lie on a chromosome where no gene has a read, although reads are expected there.
    shape
        Share of the counts by distance from the TSS, in :data:`N_DISTANCES` steps from the TSS to the end of the
        window; empty without counts.
    """

    reads: int | None
    share_in_windows: float | None
    read_length: float | None
    counts_per_gene: float
    genes_without_reads: float
    genes_on_empty_chroms: float | None
    shape: tuple[float, ...]


@dataclass(frozen=True)
class Profile:
    """The profile of the features of one epigenome.

    Attributes
    ----------
    genes
        Number of genes.
    marks
        The profile of each mark, in the order of the features.
    correlations
        Spearman correlation of the counts per gene of two marks, for every pair of marks in the order of
        ``itertools.combinations``; 0 where it is not defined.
    """

    genes: int
    marks: Mapping[str, MarkProfile]
    correlations: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as a dictionary that can be stored as JSON."""
        marks = {name: {**asdict(mark), "shape": list(mark.shape)} for name, mark in self.marks.items()}
        return {"genes": self.genes, "marks": marks, "correlations": list(self.correlations)}

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """Restore a profile from the result of :meth:`to_dict`.

        Raises
        ------
        BadDataError
            The document is not a profile.
        """
        try:
            marks = {
                name: MarkProfile(**{**mark, "shape": tuple(mark["shape"])}) for name, mark in document["marks"].items()
            }
            profile = cls(document["genes"], marks, tuple(document["correlations"]))
            numbers = [profile.genes, *profile.correlations]
            for mark in marks.values():
                values = [getattr(mark, item.name) for item in fields(mark) if item.name != "shape"]
                numbers += [value for value in values if value is not None] + list(mark.shape)
            is_valid = len(profile.correlations) == len(marks) * (len(marks) - 1) // 2
            is_valid = is_valid and all(len(mark.shape) in {0, N_DISTANCES} for mark in marks.values())
            is_valid = is_valid and bool(np.all(np.isfinite(np.array(numbers, np.float64))))
        except (KeyError, TypeError, AttributeError, ValueError):
            is_valid = False
        if not is_valid:
            raise BadDataError("not the profile of features")
        return profile

    def correlation_matrix(self, marks: Sequence[str]) -> NDArray[np.float64]:
        """Return the correlations of some marks: float64 (marks, marks)."""
        pairs = combinations(self.marks, 2)
        value = {frozenset(pair): r for pair, r in zip(pairs, self.correlations, strict=True)}
        return np.array([[1.0 if a == b else value[frozenset((a, b))] for b in marks] for a in marks])

    def shapes(self, marks: Sequence[str]) -> NDArray[np.float64]:
        """Return the square roots of the shapes of some marks: float64 (marks, distances); 0 without counts."""
        return np.sqrt([self.marks[mark].shape or (0.0,) * N_DISTANCES for mark in marks])


@dataclass(frozen=True)
class Comparison:
    """How features differ from those of a training.

    Attributes
    ----------
    refusals
        Differences that cannot be right, each with its numbers.
    warnings
        Differences that make scores doubtful.
    """

    refusals: tuple[str, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())


def profile_features(features: Features) -> Profile:
    """Return the profile of the features of one epigenome."""
    sources = features.metadata.get("sources", {})
    return profile_counts(features.marks, features.counts, features.genes.chrom, sources)


def profile_counts(
    marks: Sequence[str],
    counts: NDArray[np.generic],
    chrom: Sequence[str] | None = None,
    sources: Mapping[str, Mapping[str, Any]] | None = None,
) -> Profile:
    """Return the profile of counts.

    Parameters
    ----------
    marks
        Names of the marks.
    counts
        Numbers (genes, bins, marks), bins in genomic order.
    chrom
        Chromosome of each gene; ``None`` if unknown.
    sources
        What a feature file records about the reads of each mark (see docs/format.md).
    """
    n_genes, n_bins = counts.shape[:2]
    chrom_of_gene = None if chrom is None else np.unique(np.array(chrom), return_inverse=True)[1]
    half = n_bins / 2
    distance = np.minimum((N_DISTANCES * np.abs(np.arange(n_bins) + 0.5 - half) / half).astype(int), N_DISTANCES - 1)
    totals = np.empty((n_genes, len(marks)))
    profiles = {}
    for i, mark in enumerate(marks):
        per_gene = totals[:, i] = counts[:, :, i].sum(axis=1, dtype=np.float64)
        per_bin = counts[:, :, i].sum(axis=0, dtype=np.float64)
        total = per_gene.sum()
        shape = np.bincount(distance, per_bin, N_DISTANCES) / total if total else ()
        source = (sources or {}).get(mark, {})
        reads, in_windows = source.get("reads"), source.get("reads_in_windows")
        length = source.get("read_length_bp", {}).get("mean")
        profiles[mark] = MarkProfile(
            reads,
            _round(in_windows / reads) if reads and in_windows is not None else None,
            None if length is None else _round(length),
            _round(total / max(n_genes, 1)),
            _round(np.mean(per_gene == 0)) if n_genes else 0.0,
            None if chrom_of_gene is None else _round(_fraction_on_empty_chroms(per_gene, chrom_of_gene)),
            tuple(map(_round, shape)),
        )
    return Profile(n_genes, profiles, tuple(_round(r) for r in _correlations(totals)))


def compare_profiles(found: Profile, trained: Sequence[Profile]) -> Comparison:
    """Compare features with the features of a training.

    Parameters
    ----------
    found
        The profile of the features to score.
    trained
        The profiles of the epigenomes that the model was trained on; at least one. Numbers are compared with
        their range.

    Returns
    -------
    Comparison
        Differences beyond the limits of this module, in the marks that all profiles have.
    """
    refusals: list[str] = []
    warnings: list[str] = []
    marks = [mark for mark in found.marks if all(mark in profile.marks for profile in trained)]
    swap = _describe_swap(found, trained, marks)
    refusals += swap.refusals
    warnings += swap.warnings
    shares = [_shares_per_gene(mark, found, trained) for mark in marks]
    near_no_genes = all(share is not None and share[0] * REFUSE_SHARE < share[1] for share in shares)
    for mark in marks:
        one = _compare_mark(mark, found, trained, near_no_genes)
        # The shape of a swapped mark is that of another mark. One sentence about it is enough.
        refusals += [text for text in one.refusals if not swap.refusals]
        warnings += one.warnings
    return Comparison(tuple(refusals), tuple(warnings))


def _compare_mark(mark: str, found: Profile, trained: Sequence[Profile], near_no_genes: bool) -> Comparison:
    """Compare the numbers of one mark with the range of the training.

    ``near_no_genes``: no mark has its reads near genes, which cannot be chance even with few genes.
    """
    refusals: list[str] = []
    warnings: list[str] = []
    here, there = found.marks[mark], [profile.marks[mark] for profile in trained]
    enough_genes = min(found.genes, *(profile.genes for profile in trained)) >= MIN_GENES

    depth = _describe_fold("reads", WARN_READS, here, there)
    if here.reads is None or any(each.reads is None for each in there):
        depth = _describe_fold("counts_per_gene", WARN_COUNTS, here, there)
    warnings += [depth, _describe_fold("read_length", WARN_LENGTH, here, there)]

    if not here.counts_per_gene and min(each.counts_per_gene for each in there) * found.genes >= _MIN_COUNTS:
        refusals.append("no reads in the windows")
    elif (shares := _shares_per_gene(mark, found, trained)) is not None:
        share, low, high = shares
        text = f"{share:.2g} of the reads in windows per 1,000 genes (training: {_show_range(low, high, '.2g')})"
        if share * REFUSE_SHARE < low and (enough_genes or near_no_genes):
            refusals.append(text)
        elif share * WARN_SHARE < low or share > WARN_SHARE * high:
            warnings.append(text)

    on_empty = [each.genes_on_empty_chroms or 0.0 for each in (here, *there)]
    if on_empty[0] > max(on_empty[1:]) + REFUSE_EMPTY_CHROMS:
        refusals.append(
            f"no reads near any gene of some chromosomes, which have {on_empty[0]:.0%} of the genes "
            f"(training: {max(on_empty[1:]):.0%})"
        )
    most = max(each.genes_without_reads for each in there)
    if enough_genes and here.genes_without_reads > most + WARN_SILENT:
        warnings.append(f"{here.genes_without_reads:.0%} of the genes without reads (training: {most:.0%})")
    shape = _compare_shape(mark, found, trained) if enough_genes else Comparison()
    return Comparison(
        tuple(f"{mark}: {text}" for text in (*refusals, *shape.refusals)),
        tuple(f"{mark}: {text}" for text in (*warnings, *shape.warnings) if text),
    )


def _describe_fold(name: str, limit: float, here: MarkProfile, there: Sequence[MarkProfile]) -> str:
    """Describe a number that lies more than ``limit``-fold outside the range of the training; else return ""."""
    value, known = getattr(here, name), [getattr(each, name) for each in there]
    if value is None or None in known or min(known) <= limit * value <= limit**2 * max(known):
        return ""
    return f"{_TEXTS[name].format(_show(value))} (training: {_show_range(min(known), max(known))})"


def _shares_per_gene(mark: str, found: Profile, trained: Sequence[Profile]) -> tuple[float, float, float] | None:
    """Return the share of reads in windows per 1,000 genes, and its range in the training; None if unknown.

    Per gene, because fewer genes have fewer reads in their windows.
    """
    shares = [(profile.marks[mark].share_in_windows, profile.genes) for profile in (found, *trained)]
    known = [1000 * share / genes for share, genes in shares if share is not None and genes]
    return (known[0], min(known[1:]), max(known[1:])) if len(known) == len(shares) else None


def _compare_shape(mark: str, found: Profile, trained: Sequence[Profile]) -> Comparison:
    """Compare where the reads of a mark lie around the TSS."""
    profiles = [found, *trained]
    if any(profile.marks[mark].counts_per_gene * profile.genes < _MIN_COUNTS for profile in profiles):
        return Comparison()
    shapes = [profile.shapes([mark])[0] for profile in profiles]
    distance = min(float(np.sum((shapes[0] - other) ** 2)) for other in shapes[1:])
    if distance <= WARN_SHAPE:
        return Comparison()
    central, *expected = (sum(profile.marks[mark].shape[:2]) for profile in profiles)
    text = (
        f"{central:.0%} of the reads in the middle fifth of the windows "
        f"(training: {_show_range(min(expected), max(expected), '.0%')}), as if the TSSs were elsewhere"
    )
    return Comparison((text,)) if distance > REFUSE_SHAPE else Comparison((), (text,))


def _describe_swap(found: Profile, trained: Sequence[Profile], marks: Sequence[str]) -> Comparison:
    """Find out whether another order of the marks fits the training much better than the given one."""
    profiles = [found, *trained]
    usable = [mark for mark in marks if all(p.marks[mark].counts_per_gene * p.genes >= _MIN_COUNTS for p in profiles)]
    if len(usable) < 2 or min(profile.genes for profile in profiles) < MIN_GENES:
        return Comparison()
    correlations, shapes = found.correlation_matrix(usable), found.shapes(usable)
    expected = [(profile.correlation_matrix(usable), profile.shapes(usable)) for profile in trained]
    pairs = np.triu_indices(len(usable), 1)

    def misfit(order: Sequence[int]) -> float:
        """Return the misfit of the columns in this order to the closest epigenome of the training."""
        here, form = correlations[np.ix_(order, order)][pairs], shapes[list(order)]
        return min(
            float(np.mean((here - r[pairs]) ** 2) + _SHAPE_WEIGHT * np.mean(np.sum((form - s) ** 2, axis=1)))
            for r, s in expected
        )

    given = list(range(len(usable)))
    best, least = given, misfit(given)
    while True:  # Exchange two marks at a time, as long as this fits better.
        exchanged = []
        for i, j in combinations(given, 2):
            order = list(best)
            order[i], order[j] = order[j], order[i]
            exchanged.append((misfit(order), order))
        if min(exchanged)[0] >= least:
            break
        least, best = min(exchanged)
    moved = [i for i in given if best[i] != i]
    if not moved:
        return Comparison()
    columns = ", ".join(f"{usable[best[i]]} looks like {usable[i]}" for i in moved)
    text = f"the marks seem to be swapped: {columns} in the training (misfit {misfit(given):.3f}, then {least:.3f})"
    if misfit(given) > REFUSE_SWAP * least and least < MAX_SWAP_MISFIT:
        return Comparison((text,))
    return Comparison((), (text,))


_TEXTS: Final = {"reads": "{} reads", "counts_per_gene": "{} counts per gene", "read_length": "reads of {} bp"}


def _fraction_on_empty_chroms(per_gene: NDArray[np.float64], chrom: NDArray[np.int64]) -> float:
    """Return the fraction of genes on chromosomes without reads that should have some, like the other chromosomes."""
    if not per_gene.any():
        return 0.0
    genes, reads = np.bincount(chrom), np.bincount(chrom, per_gene)
    expected = genes * reads.sum() / genes[reads > 0].sum()
    is_empty = (reads == 0) & (genes >= _MIN_CHROM_GENES) & (expected >= _MIN_CHROM_COUNTS)
    return float(genes[is_empty].sum() / per_gene.size)


def _correlations(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Spearman correlation of every pair of columns: float64 (pairs,); 0 where it is not defined."""
    ranks = rankdata(totals, axis=0) if len(totals) else totals
    ranks = ranks - ranks.mean(axis=0) if len(totals) else ranks
    norms = np.sqrt((ranks**2).sum(axis=0))
    products = ranks.T @ ranks
    matrix = np.divide(products, np.outer(norms, norms), out=np.zeros_like(products), where=np.outer(norms, norms) > 0)
    return matrix[np.triu_indices(totals.shape[1], 1)]


def _round(value: float) -> float:
    """Round to four significant digits, which is more than the comparison needs."""
    return float(f"{value:.4g}")


def _show(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _show_range(low: float, high: float, form: str = "") -> str:
    texts = [format(value, form) if form else _show(value) for value in (low, high)]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
