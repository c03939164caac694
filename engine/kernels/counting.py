"""Count reads in the bins of the windows they overlap."""

import numpy as np

from deepchrome.engine.kernels.jit import entry_point, helper
from deepchrome.engine.kernels.layout import BATCH_COLUMNS, END, START, STRAND, TILE


@helper
def add_reads(batch, n, windows, difference):
    """Add the first ``n`` reads of a batch to all windows that they overlap.

    A read adds 1 at its first bin and subtracts 1 after its last bin, so its cost depends neither on its length nor on
    the bin size. :func:`fold` sums up the differences of each window.

    Parameters
    ----------
    batch, n
        int32 (4, BATCH_COLUMNS), rows as in ``layout``; the number of its reads.
    windows
        A :class:`~deepchrome.engine.kernels.layout.WindowTable`.
    difference
        int32 (windows, bins + 1), added to.

    Returns
    -------
    int
        How many of the reads overlap a window.
    """
    tiles, starts, accepts = windows.tiles, windows.starts, windows.accepts
    bin_size = windows.bin_size
    width = np.int64((difference.shape[1] - 1) * bin_size)
    # All indices are unsigned: for a signed one, numba would test whether it is negative, to count from the end.
    near = np.empty(BATCH_COLUMNS, np.uint32)
    first_window = np.empty(BATCH_COLUMNS, np.uint32)
    # First select the reads that can overlap a window, without a branch. The processor could not predict a branch for
    # reads in random order; without one, it looks up many reads at the same time.
    n_near = np.uint64(0)
    for k in range(np.uint64(n)):
        window = np.uint32(tiles[np.uint32(batch[TILE, k])])
        near[n_near] = k
        first_window[n_near] = window
        n_near += np.uint64(starts[window] < batch[END, k])
    in_windows = np.int64(0)
    for i in range(n_near):
        k, window = np.uint64(near[i]), np.uint64(first_window[i])
        start, end = np.int64(batch[START, k]), np.int64(batch[END, k])
        strand = batch[STRAND, k]
        is_in_window = False
        while starts[window] < end:
            first = start - starts[window]
            if first < width and (strand == 0 or strand & accepts[window]):
                last = min(end - starts[window], width) - 1  # guard: bin-edge
                difference[window, np.uint64(np.uint32(max(first, 0)) // np.uint32(bin_size))] += 1
                difference[window, np.uint64(np.uint32(last) // np.uint32(bin_size)) + np.uint64(1)] -= 1
                is_in_window = True
            window += np.uint64(1)
        in_windows += is_in_window
    return in_windows


@entry_point
def fold(difference, order, counts):
    """Turn differences into counts, and add these to the counts of the genes.

    Parameters
    ----------
    difference
        int32 (windows, bins + 1).
    order
        int64 (windows,): the gene of each window, -1 for a sentinel.
    counts
        uint32 (genes, bins), added to.

    Returns
    -------
    int
        The largest count. If it exceeds 32 bits, ``counts`` is wrong.
    """
    largest = np.int64(0)
    for window in range(len(order)):
        if order[window] < 0:
            continue
        gene, running = np.uint64(order[window]), np.int64(0)
        for b in range(counts.shape[1]):
            running += difference[window, b]
            count = counts[gene, b] + running
            largest = max(largest, count)
            counts[gene, b] = count
    return largest
