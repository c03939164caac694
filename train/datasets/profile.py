"""Profiles of features: how many reads each mark has, and where they lie. Compare new features with the training.

A model that gets other data than it was trained on gives scores without an error. A profile holds the few numbers that
show it. docs/training.md lists what is compared, the limits, and how they were measured on real epigenomes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from deepchrome.engine.features.store import Features

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
# The same for models that were trained with fewer reads, too, and whose inputs are corrected for depth.
WARN_READS_CORRECTED: Final = 10.0
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
# Distance of two profiles; see profile_distance. Below 0.17 for every pair of real epigenomes.
WARN_DISTANCE: Final = 0.2
# Marks seem swapped if another order of them fits the training so many times better, and fits it well. With the marks
# in their order, the factor is below 1 for every pair of real epigenomes.
REFUSE_SWAP: Final = 1.5
MAX_SWAP_MISFIT: Final = 0.2
# Features that fit so well are not swapped. With two real marks swapped, the misfit is at least twice as large.
_MIN_SWAP_MISFIT: Final = 0.02
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
        KeyError, TypeError, AttributeError
            The document is not a profile.
        """
        marks = {
            name: MarkProfile(**{**mark, "shape": tuple(mark["shape"])}) for name, mark in document["marks"].items()
        }
        return cls(document["genes"], marks, tuple(document["correlations"]))

    def correlation_matrix(self, marks: Sequence[str]) -> NDArray[np.float64]:
        """Return the correlations of some marks: float64 (marks, marks)."""
        pairs = combinations(self.marks, 2)
        value = {frozenset(pair): r for pair, r in zip(pairs, self.correlations, strict=True)}
        return np.array([[1.0 if a == b else value[frozenset((a, b))] for b in marks] for a in marks])

    def shapes(self, marks: Sequence[str]) -> NDArray[np.float64]:
        """Return the square roots of the shapes of some marks: float64 (marks, distances); 0 without counts."""
        return np.sqrt([self.marks[mark].shape or (0.0,) * N_DISTANCES for mark in marks])


@dataclass(frozen=True)
class Finding:
    """A difference between features and those of a training.

    Attributes
    ----------
    text
        The difference with its numbers. It starts with the name of a mark, and can name several.
    refuse
        Whether it cannot be right. Otherwise it only makes scores doubtful.
    """

    text: str
    refuse: bool = False


def profile_features(features: Features) -> Profile:
    """Return the profile of the features of one epigenome. The number of reads of a signal is unknown, not 0."""
    sources = {m: s for m, s in features.metadata.get("sources", {}).items() if m not in features.signal}
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
        What a feature file records about the reads of each mark (see docs/format.md). Signal below 0 is taken as 0.
    """
    n_genes, n_bins = counts.shape[:2]
    chrom_of_gene = None if chrom is None else np.unique(np.array(chrom), return_inverse=True)[1]
    half = n_bins / 2
    distance = np.minimum((N_DISTANCES * np.abs(np.arange(n_bins) + 0.5 - half) / half).astype(int), N_DISTANCES - 1)
    totals = np.empty((n_genes, len(marks)))
    profiles = {}
    for i, mark in enumerate(marks):
        values = counts[:, :, i].clip(0)
        per_gene = totals[:, i] = values.sum(axis=1, dtype=np.float64)
        per_bin = values.sum(axis=0, dtype=np.float64)
        shape = np.bincount(distance, per_bin, N_DISTANCES) / total if (total := per_gene.sum()) else ()
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


def compare_profiles(
    found: Profile,
    known: Sequence[Profile],
    known_as: Literal["training", "other epigenomes"] = "training",
    *,
    warn_reads: float = WARN_READS,
) -> list[Finding]:
    """Compare features with the features of a training.

    Parameters
    ----------
    found
        The profile of the features to score.
    known
        The profiles of the epigenomes that the model was trained on; at least one. The numbers of a mark are compared
        with the range of the epigenomes that have it.
    known_as
        What to call these epigenomes.
    warn_reads
        Fold difference of the reads of a mark beyond which there is a finding.

    Returns
    -------
    list of Finding
        Differences beyond the limits of this module. All marks with the same kind of difference share one entry.
    """
    group = _Group(found, known, known_as, warn_reads)
    swap = _compare_order(group)
    is_swapped = swap is not None and swap.refuse
    of_places = _compare_marks(group, (_compare_share, _compare_chroms, _compare_silence, _compare_shape))
    # The shape of a swapped mark is that of another mark. One sentence about it is enough.
    findings = [*([swap] if swap else []), *(one for one in of_places if not (one.refuse and is_swapped))]
    if not findings and (text := _compare_distance(group)):
        findings.append(Finding(text))
    return findings + _compare_marks(group, (_compare_depth, _compare_length))


def _compare_marks(group: "_Group", comparisons: Sequence["_Comparison"]) -> list[Finding]:
    """Return the differences in single marks. All marks with the same kind of difference share one entry."""
    findings = []
    for compare in comparisons:
        marks_of: dict[tuple[str, bool], list[str]] = {}
        for mark in group.marks:
            for difference in compare(group, mark):
                marks_of.setdefault(difference, []).append(mark)
        for refused in (True, False):
            texts = [f"{', '.join(marks)}: {text}" for (text, refuse), marks in marks_of.items() if refuse == refused]
            if texts:
                findings.append(Finding("; ".join(texts), refused))
    return findings


def profile_distance(one: Profile, other: Profile) -> float:
    """Return how far two profiles lie apart, over the marks that both have; infinite without such marks.

    This is the mean squared difference of the correlations, plus three times the mean distance of the shapes.
    """
    marks = [mark for mark in one.marks if mark in other.marks]
    if not marks:
        return float("inf")
    pairs = np.triu_indices(len(marks), 1)
    correlations = (one.correlation_matrix(marks) - other.correlation_matrix(marks))[pairs]
    shapes = one.shapes(marks) - other.shapes(marks)
    of_correlations = float(np.mean(correlations**2)) if len(correlations) else 0.0
    return of_correlations + _SHAPE_WEIGHT * float((shapes**2).sum(axis=1).mean())


def describe_likeness(found: Profile, known: Mapping[str, Profile]) -> str:
    """Say how far features lie from those of a training: the reads of their marks, and the nearest epigenome.

    Parameters
    ----------
    found
        The profile of the features.
    known
        The profiles of the epigenomes that the model was trained on, by name; at least one.

    Returns
    -------
    str
        Its numbers compare each mark with the median of the epigenomes that have it.
    """
    group = _Group(found, [*known.values()], "training", WARN_READS)
    name, unit = "reads", "reads"
    if not all(all(group.values(mark, name)) for mark in group.marks):
        name, unit = "counts_per_gene", "counts per gene"
    if not group.marks:
        return "no mark of the training"
    pairs = [(here, float(np.median(known))) for here, *known in (group.values(mark, name) for mark in group.marks)]
    folds = [here / usual if usual else float("inf") for here, usual in pairs]
    low, high = f"{min(folds):.2g}", f"{max(folds):.2g}"
    distance, nearest = min((profile_distance(found, profile), name) for name, profile in known.items())
    times = low if low == high else f"{low} to {high}"
    return f"{unit} {times} times those of the training; nearest profile {nearest} (distance {distance:.2g})"


class _Group:
    """A profile, and the profiles to compare it with."""

    def __init__(self, found: Profile, known: Sequence[Profile], known_as: str, warn_reads: float) -> None:
        self.found, self.known, self.known_as, self.warn_reads = found, known, known_as, warn_reads
        self.marks = [mark for mark in found.marks if any(mark in profile.marks for profile in known)]
        self.has_enough_genes = min(profile.genes for profile in (found, *known)) >= MIN_GENES
        # By mark, the fold of the share in windows per gene, below the range (less than 1) or above it.
        self.share_folds = {mark: _fold(self.shares_per_gene(mark)) for mark in self.marks}

    def known_with(self, mark: str) -> list[Profile]:
        """Return the known profiles that have a mark; at least one."""
        return [profile for profile in self.known if mark in profile.marks]

    def values(self, mark: str, name: str) -> list[Any]:
        """Return a number of a mark: that of the features, then those of the known epigenomes."""
        return [getattr(profile.marks[mark], name) for profile in (self.found, *self.known_with(mark))]

    def shares_per_gene(self, mark: str) -> list[float | None]:
        """Return the shares of the reads in windows, per gene: fewer genes have fewer reads in their windows."""
        profiles = (self.found, *self.known_with(mark))
        shares = zip(self.values(mark, "share_in_windows"), profiles, strict=True)
        return [None if share is None or not profile.genes else share / profile.genes for share, profile in shares]

    def has_shape(self, mark: str) -> bool:
        """Return whether a mark has enough counts everywhere for a reliable shape."""
        profiles = (self.found, *self.known_with(mark))
        return all(profile.marks[mark].counts_per_gene * profile.genes >= _MIN_COUNTS for profile in profiles)

    def describe_range(self, values: Sequence[float], show: Callable[[float], str]) -> str:
        """Return the name of the known epigenomes and the range of their values."""
        low, high = show(min(values)), show(max(values))
        return f"{self.known_as}: {low if low == high else f'{low} to {high}'}"


# What the functions below find in one mark: a text, and whether to refuse.
_Differences = Iterator[tuple[str, bool]]
_Comparison = Callable[[_Group, str], _Differences]


def _compare_depth(group: _Group, mark: str) -> _Differences:
    """Compare the number of reads, or that of the counts if a number of reads is unknown."""
    (reads, *known), name, limit = group.values(mark, "reads"), "reads", group.warn_reads
    if None in (reads, *known):
        (reads, *known), name, limit = group.values(mark, "counts_per_gene"), "counts per gene", WARN_COUNTS
    if not 1 / limit <= _fold([reads, *known]) <= limit:
        yield f"{_show(reads)} {name} ({group.describe_range(known, _show)})", False


def _compare_length(group: _Group, mark: str) -> _Differences:
    length, *known = group.values(mark, "read_length")
    if not 1 / WARN_LENGTH <= _fold([length, *known]) <= WARN_LENGTH:
        yield f"reads of {_show(length)} bp ({group.describe_range(known, _show)})", False


def _compare_share(group: _Group, mark: str) -> _Differences:
    """Compare the share of the reads that lie in windows."""
    counts, *known_counts = group.values(mark, "counts_per_gene")
    if not counts and min(known_counts) * group.found.genes >= _MIN_COUNTS:
        yield "no reads in the windows", True
        return
    fold = group.share_folds[mark]
    if 1 / WARN_SHARE <= fold <= WARN_SHARE:
        return
    share, *known = group.values(mark, "share_in_windows")
    expected = f"{group.describe_range(known, _percent)} in those of {group.known_with(mark)[0].genes:,}"
    text = f"{_percent(share)} of the reads in the windows of {group.found.genes:,} genes ({expected})"
    # If no mark has its reads near genes, this cannot be chance, even with few genes.
    is_reliable = group.has_enough_genes or max(group.share_folds.values()) < 1 / REFUSE_SHARE
    yield text, fold < 1 / REFUSE_SHARE and is_reliable


def _compare_chroms(group: _Group, mark: str) -> _Differences:
    """Compare the fraction of the genes that lie on chromosomes without reads."""
    here, *known = (value or 0.0 for value in group.values(mark, "genes_on_empty_chroms"))
    if here > max(known) + REFUSE_EMPTY_CHROMS:
        text = f"no reads near any gene of some chromosomes, which have {_percent(here)} of the genes"
        yield f"{text} ({group.describe_range([max(known)], _percent)})", True


def _compare_silence(group: _Group, mark: str) -> _Differences:
    """Compare the fraction of the genes without reads."""
    here, *known = group.values(mark, "genes_without_reads")
    if group.has_enough_genes and here > max(known) + WARN_SILENT:
        yield f"{_percent(here)} of the genes without reads ({group.describe_range([max(known)], _percent)})", False


def _compare_shape(group: _Group, mark: str) -> _Differences:
    """Compare where the reads lie around the TSS."""
    if not (group.has_enough_genes and group.has_shape(mark)):
        return
    distance = shape_distance(mark, group.found, group.known_with(mark))
    if distance > WARN_SHAPE:
        central, *expected = (sum(shape[:2]) for shape in group.values(mark, "shape"))
        text = f"{_percent(central)} of the reads in the middle fifth of the windows"
        expected_text = group.describe_range(expected, _percent)
        yield f"{text} ({expected_text}), as if the TSSs were elsewhere", distance > REFUSE_SHAPE


def shape_distance(mark: str, found: Profile, known: Sequence[Profile]) -> float:
    """Return the squared Hellinger distance of the shape of a mark from the closest of the known shapes, times 2."""
    here = found.shapes([mark])
    return min(float(np.sum((here - profile.shapes([mark])) ** 2)) for profile in known)


def _compare_distance(group: _Group) -> str:
    """Return a sentence about the profile as a whole if it is far from all known profiles; else nothing."""
    distance = min(profile_distance(group.found, profile) for profile in group.known)
    if not group.has_enough_genes or not all(map(group.has_shape, group.marks)) or not distance > WARN_DISTANCE:
        return ""
    return f"the marks are distributed unlike the {group.known_as} (distance {distance:.2g} from the nearest profile)"


def _compare_order(group: _Group) -> Finding | None:
    """Find out whether another order of the marks fits the known epigenomes much better than the given one.

    Only the known epigenomes that share the most marks with the features are compared.
    """
    shared = [[mark for mark in group.marks if group.has_shape(mark) and mark in each.marks] for each in group.known]
    usable = max(shared, key=len)
    if len(usable) < 2 or not group.has_enough_genes:
        return None
    trained = [profile for profile in group.known if set(usable) <= profile.marks.keys()]
    pairs = np.triu_indices(len(usable), 1)
    correlations, shapes = group.found.correlation_matrix(usable), group.found.shapes(usable)
    known_correlations = np.stack([profile.correlation_matrix(usable)[pairs] for profile in trained])
    known_shapes = np.stack([profile.shapes(usable) for profile in trained])

    def misfit(order: Sequence[int]) -> float:
        """Return the misfit of the columns in this order to the closest known epigenome."""
        of_correlations = ((correlations[np.ix_(order, order)][pairs] - known_correlations) ** 2).mean(axis=1)
        of_shapes = ((shapes[list(order)] - known_shapes) ** 2).sum(axis=2).mean(axis=1)
        return float(np.min(of_correlations + _SHAPE_WEIGHT * of_shapes))

    given = list(range(len(usable)))
    best, least = given, misfit(given)
    given_misfit = least
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
    if not moved or given_misfit < _MIN_SWAP_MISFIT:
        return None
    columns = ", ".join(f"{usable[best[i]]} looks like {usable[i]}" for i in moved)
    return Finding(
        f"the marks seem to be swapped: {columns} in the {group.known_as}",
        given_misfit > REFUSE_SWAP * least and least < MAX_SWAP_MISFIT,
    )


def _fold(values: Sequence[float | None]) -> float:
    """Return the first value over the nearest end of the range of the others: 1 inside the range, or if unknown."""
    here, *known = values
    numbers = [value for value in known if value is not None]
    if here is None or len(numbers) < len(known):
        return 1.0
    nearest = min(max(here, min(numbers)), max(numbers))
    return 1.0 if here == nearest else here / nearest if nearest else float("inf")


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


def _percent(value: float) -> str:
    return f"{100 * value:.3g}%"
