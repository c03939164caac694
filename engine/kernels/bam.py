"""Parse and count records of BAM (SAM specification, section 4.2)."""

import numpy as np

from deepchrome.engine.kernels.counting import add_reads
from deepchrome.engine.kernels.jit import entry_point, inlined
from deepchrome.engine.kernels.layout import (
    BATCH_COLUMNS,
    BATCH_READS,
    END,
    FAR,
    MINUS,
    PLUS,
    SIZE,
    START,
    STRAND,
    TILE,
    TILE_BITS,
    TILE_FIRST,
    TILE_LAST,
    Tally,
)
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.vectors import address_of, load8, load32

_UNMAPPED, _REVERSE = 4, 16  # flags
# CIGAR operations that span the reference: M, D, N, = and X (SAM specification, section 1.4.6).
_SPANS_REFERENCE = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], np.int64)
_FIXED_BYTES = 36  # before the name in a record, including the leading size


@entry_point
def whole_records(buffer, begin, end):
    """Return the end of the last whole record in [begin, end), or ``-1 - position`` of a damaged one."""
    text = address_of(buffer)
    at = begin
    while at + 4 <= end:
        size = load32(text, at)
        if size < _FIXED_BYTES - 4:
            return -1 - at
        if at + 4 + size > end:
            break
        at += 4 + size
    return at


@entry_point
def count_bam(buffer, begin, end, extents, windows, stranded, excluded_flags, min_mapq, totals):
    """Count the reads of whole BAM records.

    Parameters
    ----------
    buffer, begin, end, windows, stranded, totals
        As in :func:`~deepchrome.engine.kernels.text.count_text`.
    extents
        int64 (references, 3): TILE_FIRST, TILE_LAST and SIZE of each reference of the BAM header.
    excluded_flags
        Skip records with any of these flags.
    min_mapq
        Skip records with a lower mapping quality.

    Returns
    -------
    Status
        DONE, or BAD_RECORD for the record at CURSOR. LINES counts the records before it.
    """
    text, batch, n = address_of(buffer), np.empty((4, BATCH_COLUMNS), np.int32), np.uint64(0)
    # Unpack the arrays here: in the loop, each access through the tuple would cost two atomic operations.
    difference, reads_on, tally = totals
    at, status = np.int64(begin), Status.DONE
    while at < end:
        if n == BATCH_READS:
            tally[Tally.IN_WINDOWS] += add_reads(batch, n, windows, difference)
            n = np.uint64(0)
        record_end = at + 4 + load32(text, at)
        reference, start = load32(text, at + 4), load32(text, at + 8)
        name_length, mapq = load8(text, at + 12), load8(text, at + 13)
        n_operations = load8(text, at + 16) | load8(text, at + 17) << 8
        flags = load8(text, at + 18) | load8(text, at + 19) << 8
        cigar = at + _FIXED_BYTES + name_length
        is_too_long = cigar + 4 * n_operations > record_end  # guard: cigar-in-record
        if reference < -1 or reference >= len(extents) or start < -1 or is_too_long:
            status = Status.BAD_RECORD
            break
        tally[Tally.LINES] += 1
        at = record_end
        if reference < 0 or flags & excluded_flags or mapq < min_mapq:
            tally[Tally.FILTERED] += 1
            continue
        # A read that is placed but not aligned counts at one position, as in multicov.
        is_aligned = not flags & _UNMAPPED and n_operations > 0
        span = _reference_span(text, cigar, n_operations) if is_aligned else np.int64(1)
        stop = start + span
        reads_on[reference] += 1
        tally[Tally.MIN_LENGTH] = min(tally[Tally.MIN_LENGTH], span)
        tally[Tally.MAX_LENGTH] = max(tally[Tally.MAX_LENGTH], span)
        tally[Tally.SUM_LENGTH] += span
        tally[Tally.PAST_END] += stop > extents[reference, SIZE]
        if span > 0 and stop > 0:
            tile = min(max(start, 0) >> TILE_BITS, extents[reference, TILE_LAST])
            batch[TILE, n] = extents[reference, TILE_FIRST] + tile
            batch[START, n] = start
            batch[END, n] = min(stop, FAR - 1)
            batch[STRAND, n] = (MINUS if flags & _REVERSE else PLUS) if stranded else 0
            n += np.uint64(1)
    tally[Tally.IN_WINDOWS] += add_reads(batch, n, windows, difference)
    tally[Tally.CURSOR] = at
    return status


@inlined
def _reference_span(text, cigar, n_operations):
    """Return how many bp of the reference an alignment spans."""
    span = np.int64(0)
    for k in range(n_operations):
        operation = load32(text, cigar + 4 * k) & 0xFFFFFFFF
        span += (operation >> 4) * _SPANS_REFERENCE[operation & 15]
    return span
