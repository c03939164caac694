"""Choose which files of reads to count, and in which order."""

from collections import Counter
from collections.abc import Mapping, Sequence

from deepchrome.common.names import check_names
from deepchrome.engine.features.hash_cache import file_stamp
from deepchrome.engine.features.samples import Sample
from deepchrome.errors import ParameterError, UsageError


def select_marks(
    samples: Sequence[Sample], marks: Sequence[str] | None = None
) -> tuple[list[Sample], dict[str, tuple[str, ...]]]:
    """Select the samples of some marks.

    Parameters
    ----------
    samples
        The files of reads.
    marks
        The marks to select, in the order of the output columns. By default all marks, sorted by name.

    Returns
    -------
    selected : list of Sample
        The selected samples, sorted by epigenome, then by mark in the order of the output columns.
    marks_of : dict of str to tuple of str
        The marks of each epigenome, in the order of the output columns.

    Raises
    ------
    BadDataError
        A mark is not safe as a file name.
    ParameterError
        ``marks`` names a mark twice.
    UsageError
        An epigenome has no reads of one of ``marks``.
    """
    order = list(marks) if marks else sorted({sample.mark for sample in samples})
    check_names(order, "a mark", "marks")
    if len(set(order)) != len(order):
        raise ParameterError("marks", f"must name each mark once, got {','.join(order)}")
    selected = [sample for sample in samples if sample.mark in order]
    present_in: dict[str, set[str]] = {epigenome: set() for epigenome in sorted({s.epigenome for s in samples})}
    for sample in selected:
        present_in[sample.epigenome].add(sample.mark)
    marks_of: dict[str, tuple[str, ...]] = {}
    for epigenome, present in present_in.items():
        if marks and (missing := [mark for mark in order if mark not in present]):
            raise UsageError(f"{epigenome}: no reads of {', '.join(missing)}")
        marks_of[epigenome] = tuple(mark for mark in order if mark in present)
    return sorted(selected, key=lambda s: (s.epigenome, order.index(s.mark))), marks_of


def select_shard(marks_of: Mapping[str, tuple[str, ...]], i: int, n: int) -> dict[str, tuple[str, ...]]:
    """Select shard ``i`` of ``n``: every n-th epigenome, starting with the i-th.

    Parameters
    ----------
    marks_of
        The marks of each epigenome.
    i, n
        Number of the shard, counted from 1, and total number of shards.

    Raises
    ------
    ParameterError
        ``i`` is not between 1 and ``n``.
    """
    if not 1 <= i <= n:
        raise ParameterError("shard", f"must be i/n with i from 1 to n, got {i}/{n}")
    return {epigenome: marks_of[epigenome] for epigenome in [*marks_of][i - 1 :: n]}


def sort_by_size(samples: Sequence[Sample]) -> list[Sample]:
    """Sort files of reads: the largest epigenomes first, and within each epigenome the largest files first.

    Files of unknown size, such as URLs, count as empty.

    Small files at the end keep all threads busy until the work is nearly done. The files of an epigenome stay
    together, because its counts are held in memory until its last file is counted.
    """
    sizes = {sample: stamp[0] if (stamp := file_stamp(sample.path)) else 0 for sample in samples}
    totals: Counter[str] = Counter()
    for sample in samples:
        totals[sample.epigenome] += sizes[sample]
    return sorted(samples, key=lambda s: (-totals[s.epigenome], s.epigenome, -sizes[s]))
