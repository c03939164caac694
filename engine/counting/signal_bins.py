"""Add up the signal of a bigWig file in the bins of a layout.

The bases that neighbouring rows need are read once, as one value per base, and added up bin by bin. Differences of
running totals would be faster, but a large value would then change the small values after it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.counting.bigwig import BigWig

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Rows are read in stretches that span at most twice as many bases. Wider rows are added up by the library.
_STRETCH_BASES: Final = 1 << 21
_BUFFER_BASES: Final = 4 * _STRETCH_BASES
# Bases between rows that cost less to read than another query.
_GAP_BASES: Final = 5000
_MAX_BINS: Final = 1 << 20  # bins that are added up at a time


def mean_of_bins(
    track: BigWig, source_of: Mapping[str, str], layout: Layout, report: Callable[[int], None]
) -> npt.NDArray[np.float32]:
    """Average the signal in each bin of a layout.

    Parameters
    ----------
    track
        The bigWig file.
    source_of
        The name of a chromosome in the file, by its name in the genome. Chromosomes without data may be absent.
    layout
        n rows of bins. A row of no width is taken as the two bases around it.
    report
        Called with the length (bp) of each chromosome when its rows are done.

    Returns
    -------
    float32 array (n, bins)
        The sum over the bases of a bin, divided by its width. Bases without data and outside the chromosome add 0.
    """
    means = np.zeros((len(layout.start), layout.n_bins), np.float32)
    has_no_width = layout.end == layout.start
    starts, widths = layout.start - has_no_width, (layout.end - layout.start) + 2 * has_no_width
    by_place = np.lexsort((starts, layout.chrom_id))
    bounds = np.searchsorted(layout.chrom_id[by_place], np.arange(len(layout.genome.sizes) + 1))
    buffer = np.zeros(_BUFFER_BASES)
    for i, (name, size) in enumerate(layout.genome.sizes.items()):
        rows = by_place[bounds[i] : bounds[i + 1]]
        if len(rows) and name in source_of:
            chrom = source_of[name]
            # The lengths differ only if the build check is off.
            length = min(size, track.chroms[chrom])
            is_wide = widths[rows] > _STRETCH_BASES
            for row in rows[is_wide]:
                edges = _edges(starts[[row]], widths[[row]], layout.n_bins).clip(0, length)[0].tolist()
                totals = [track.total("sum", chrom, s, e) if s < e else 0.0 for s, e in pairwise(edges)]
                means[row] = np.array(totals) / (widths[row] // layout.n_bins)
            rows = rows[~is_wide]
            for batch in _batches(starts[rows], starts[rows] + widths[rows], layout.n_bins, length):
                chosen = rows[batch[0].first : batch[-1].last]
                edges = _edges(starts[chosen], widths[chosen], layout.n_bins)
                sums = _sum_bins(track, chrom, batch, edges, buffer)
                means[chosen] = sums / (widths[chosen] // layout.n_bins)[:, None]
        report(size)
    return means


def _edges(starts: Integers, widths: Integers, n_bins: int) -> Integers:
    """Return the edges of the bins of each row: int64 (rows, bins + 1)."""
    return starts[:, None] + (widths // n_bins)[:, None] * np.arange(n_bins + 1)


class _Stretch(NamedTuple):
    """Rows ``first`` to ``last`` (not included), and the part of the chromosome [begin, end) that they need."""

    first: int
    last: int
    begin: int
    end: int


def _stretches(starts: Integers, ends: Integers, n_bins: int, length: int) -> Iterator[_Stretch]:
    """Divide rows, sorted by start, into stretches that span at most 2 * _STRETCH_BASES."""
    max_rows = max(1, _MAX_BINS // n_bins)
    reached = np.maximum.accumulate(ends)
    is_gap = starts[1:] > reached[:-1] + _GAP_BASES
    for first, last in pairwise([0, *(np.flatnonzero(is_gap) + 1).tolist(), len(starts)]):
        while first < last:
            stop = first + int(np.searchsorted(starts[first:last], starts[first] + _STRETCH_BASES))
            stop = min(stop, first + max_rows)
            begin, end = np.clip([starts[first], ends[first:stop].max()], 0, length).tolist()
            yield _Stretch(first, stop, begin, end)
            first = stop


def _batches(starts: Integers, ends: Integers, n_bins: int, length: int) -> Iterator[list[_Stretch]]:
    """Collect stretches that fit together into the buffer. Many rows at a time are faster to add up than a few."""
    batch: list[_Stretch] = []
    n_bases = 0
    for stretch in _stretches(starts, ends, n_bins, length):
        n_new = stretch.end - stretch.begin
        is_full = n_bases + n_new >= _BUFFER_BASES or (batch and (stretch.last - batch[0].first) * n_bins > _MAX_BINS)
        if batch and is_full:
            yield batch
            batch, n_bases = [], 0
        batch.append(stretch)
        n_bases += n_new
    if batch:
        yield batch


def _sum_bins(track: BigWig, chrom: str, batch: Sequence[_Stretch], edges: Integers, buffer: Floats) -> Floats:
    """Return the sum of the signal in each bin of the rows of a batch: float64 (rows, bins)."""
    first_row, n_bases = batch[0].first, 0
    for first, last, begin, end in batch:
        if begin < end:
            track.fill(buffer[n_bases : n_bases + end - begin], chrom, begin)
        rows = edges[first - first_row : last - first_row]
        rows[:] = rows.clip(begin, end) + (n_bases - begin)
        n_bases += end - begin
    # reduceat adds up from each place to the next. Every second sum is that from the end of a bin to the next bin.
    # The element after the last base is there because a bin may end at it.
    bounds = np.stack([edges[:, :-1], edges[:, 1:]], axis=-1)
    sums = np.add.reduceat(buffer[: n_bases + 1], bounds.reshape(-1))[::2].reshape(bounds.shape[:2])
    # It returns the element itself where a sum has no elements.
    return np.where(bounds[..., 0] < bounds[..., 1], sums, 0.0)
