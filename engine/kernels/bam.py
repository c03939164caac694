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
# By CIGAR operation (MIDNSHP=X): whether it spans the reference, and whether it uses up bases of the read (SAM
# specification, section 1.4.6).
_SPANS_REFERENCE = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], np.int64)
_USES_BASES = np.array([1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], np.int64)
_FIXED_BYTES = 36  # before the name in a record, including the leading size


@entry_point
def whole_records(buffer, begin, end):
    """Return the end of the last whole record in [begin, end).

    From a record of impossible size on, all bytes are taken as one record. :func:`count_bam` refuses it.
    """
    text = address_of(buffer)
    at = begin
    while at + 4 <= end:
        size = load32(text, at)
        if size < _FIXED_BYTES - 4:
            return end
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
        DONE, or BAD_RECORD for the record at CURSOR: one that htslib refuses, too, or one that starts before the
        sequence. LINES counts the records before it.
    """
    text, batch, n = address_of(buffer), np.empty((4, BATCH_COLUMNS), np.int32), np.uint64(0)
    # Unpack the arrays here: in the loop, each access through the tuple would cost two atomic operations.
    difference, reads_on, tally = totals
    at, status, n_references = np.int64(begin), Status.DONE, len(extents)
    while at < end:
        if n == BATCH_READS:
            tally[Tally.IN_WINDOWS] += add_reads(batch, n, windows, difference)
            n = np.uint64(0)
        record_end = at + 4 + load32(text, at)
        reference, start = load32(text, at + 4), load32(text, at + 8)
        name_length, mapq = load8(text, at + 12), load8(text, at + 13)
        n_operations = load8(text, at + 16) | load8(text, at + 17) << 8
        flags = load8(text, at + 18) | load8(text, at + 19) << 8
        n_bases, mate_reference = load32(text, at + 20), load32(text, at + 24)
        cigar = at + _FIXED_BYTES + name_length
        # The bases of the read take half a byte each, and their qualities a byte each.
        data_end = cigar + 4 * n_operations + ((n_bases + 1) >> 1) + n_bases
        is_negative = (reference + 1 | mate_reference + 1 | start + 1 | n_bases) < 0  # -1 stands for none
        # htslib makes the same checks in bam_read1 and sam_read1, except that of the start.
        if (
            is_negative
            or data_end > record_end  # guard: fields-in-record
            or name_length < 1  # guard: bam-name-length
            or reference >= n_references
            or mate_reference >= n_references  # guard: bam-mate
        ):
            status = Status.BAD_RECORD
            break
        # A read that is placed but not aligned counts at one position, as in multicov.
        span = np.int64(1)
        if not flags & _UNMAPPED and n_operations > 0:
            span, n_used = _measure(text, cigar, n_operations)
            if n_bases and n_used != n_bases:  # guard: cigar-and-bases
                status = Status.BAD_RECORD
                break
        tally[Tally.LINES] += 1
        at = record_end
        if reference < 0 or flags & excluded_flags or mapq < min_mapq:
            tally[Tally.FILTERED] += 1
            continue
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
def _measure(text, cigar, n_operations):
    """Return how many bp of the reference an alignment spans, and how many bases of the read it uses."""
    span = n_used = np.int64(0)
    end = cigar + 4 * n_operations
    while cigar < end:
        operation = load32(text, cigar) & 0xFFFFFFFF
        span += (operation >> 4) * _SPANS_REFERENCE[operation & 15]
        n_used += (operation >> 4) * _USES_BASES[operation & 15]
        cigar += 4
    return span, n_used
