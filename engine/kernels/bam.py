"""Parse and count records of BAM (SAM specification, section 4.2)."""

from typing import NamedTuple

import numpy as np

from deepchrome.engine.kernels.counting import add_lengths, add_past_end, add_reads, count_batch, open_ledger
from deepchrome.engine.kernels.jit import entry_point, helper, inlined
from deepchrome.engine.kernels.layout import (
    BATCH_COLUMNS,
    BATCH_READS,
    BATCH_ROWS,
    BLOCKS,
    END,
    MAX_POSITION,
    SIZE,
    START,
    STRAND_AT,
    TILE,
    TILE_BITS,
    TILE_FIRST,
    TILE_LAST,
    Tally,
)
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.vectors import address_of, load8, load32

DUPLICATE_FLAG, QC_FAIL_FLAG = 1024, 512
_PROPER, _UNMAPPED, _SECONDARY, _SUPPLEMENTARY = 2, 4, 256, 2048  # other flags
_NOT_FRAGMENT = _UNMAPPED | _SECONDARY | _SUPPLEMENTARY
# By CIGAR operation (MIDNSHP=X): whether it spans the reference, and whether it uses up bases of the read (SAM
# specification, section 1.4.6).
_SPANS_REFERENCE = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], np.int64)
_USES_BASES = np.array([1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0], np.int64)
_SKIP, _SOFT_CLIP = 3, 4  # the CIGAR operations N and S
_FLAGS_AT = 18
_MAX_BLOCKS = 1 << 15  # in one record: blocks and the gaps between them share 65,535 operations
_FIXED_BYTES = 36  # before the name in a record, including the leading size


class Records(NamedTuple):
    """Which records of a BAM file count."""

    excluded_flags: int
    """Leave out records with any of these flags: of ``DUPLICATE_FLAG`` and ``QC_FAIL_FLAG``."""
    min_mapq: int
    """Leave out records with a lower mapping quality."""
    proper_only: bool
    """Leave out records that are not properly paired."""
    fragments: bool
    """Count fragments: of each proper pair the record with a positive template length, which is the fragment's."""


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
def count_bam(buffer, begin, end, extents, records, segments, spans, rule, totals):
    """Count the reads of whole BAM records.

    Parameters
    ----------
    buffer, begin, end, segments, spans, rule, totals
        As in :func:`~deepchrome.engine.kernels.text.count_text`.
    extents
        int64 (references, 3): as in :func:`~deepchrome.engine.kernels.text.count_text`, by reference of the BAM header.
    records
        The :class:`Records` to count.

    Returns
    -------
    Status
        DONE; BAD_RECORD for the record at CURSOR: one that htslib refuses, too, or one that starts before the sequence;
        or BAD_CIGAR. LINES counts the records before it.
    """
    n_columns = BATCH_COLUMNS + (_MAX_BLOCKS if rule.split else 0)
    text, batch, n = address_of(buffer), np.zeros((BATCH_ROWS, n_columns), np.int32), np.uint64(0)
    # Unpack the arrays here: in the loop, each access through the tuple would cost two atomic operations.
    ledger, tally = open_ledger(totals), totals.tally
    excluded, min_mapq = records.excluded_flags, records.min_mapq
    at, status, n_references = np.int64(begin), Status.DONE, len(extents)
    while at < end:
        if n >= BATCH_READS:
            count_batch(batch, n, text, segments, spans, rule, totals)
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
            if rule.split and _is_placeholder(text, cigar, n_operations, n_bases):  # guard: long-cigar
                status = Status.BAD_CIGAR
                break
        tally[Tally.LINES] += 1
        record, at = at, record_end
        tally[Tally.DUPLICATES] += (flags & DUPLICATE_FLAG) != 0
        reason = _reason_to_skip(reference, flags, mapq, excluded, min_mapq, records.proper_only)
        if reason != Tally.LINES:
            tally[reason] += 1
            continue
        if records.fragments:
            span = load32(text, record + 32)  # the template length
            if not flags & _PROPER or flags & _NOT_FRAGMENT or mate_reference != reference or span <= 0:
                tally[Tally.NOT_FRAGMENT] += 1
                continue
        stop = start + span
        add_reads(ledger, reference, 1)
        if stop > extents[reference, SIZE]:
            add_past_end(ledger, reference, start, stop, extents[reference, SIZE])
        add_lengths(ledger, span, 1)
        if span > 0 and stop > 0:
            first, n = n, n + np.uint64(1)
            batch[START, first], batch[END, first] = start, min(stop, MAX_POSITION)
            if rule.split:
                n = _put_blocks(text, cigar, n_operations, start, flags & _UNMAPPED, batch, first)
            for k in range(first, n):
                tile = min(max(np.int64(batch[START, k]), 0) >> TILE_BITS, extents[reference, TILE_LAST])
                batch[TILE, k] = extents[reference, TILE_FIRST] + tile
                batch[STRAND_AT, k] = record + _FLAGS_AT
    count_batch(batch, n, text, segments, spans, rule, totals)
    tally[Tally.CURSOR] = at
    return status


@inlined
def _reason_to_skip(reference, flags, mapq, excluded, min_mapq, proper_only):
    """Return why a record does not count, as an element of ``Tally``; LINES if it counts."""
    if reference < 0:
        return Tally.UNPLACED
    if proper_only and not flags & _PROPER:
        return Tally.IMPROPER
    if flags & excluded:
        return Tally.DUPLICATE if flags & excluded & DUPLICATE_FLAG else Tally.QC_FAIL
    return Tally.LOW_MAPQ if mapq < min_mapq else Tally.LINES


@helper
def _put_blocks(text, cigar, n_operations, start, is_unmapped, batch, first):
    """Put the blocks of a read into a batch from column ``first``: its alignment cut at each N, as in multicov -split.

    Empty blocks are left out. multicov demands that an unmapped read also covers its position; an empty block there,
    which no other read has, marks it.

    Returns
    -------
    int
        The column after the last block.
    """
    n = first
    if is_unmapped:
        batch[START, n] = batch[END, n] = start
        n += np.uint64(1)
    end = cigar + 4 * n_operations
    block = stop = start
    while cigar <= end:
        operation = load32(text, cigar) & 0xFFFFFFFF if cigar < end else _SKIP
        if operation & 15 == _SKIP:
            if block < stop and block < MAX_POSITION:
                batch[START, n], batch[END, n] = block, min(stop, MAX_POSITION)
                n += np.uint64(1)
            block = stop + (operation >> 4)
            stop = block
        else:
            stop += (operation >> 4) * _SPANS_REFERENCE[operation & 15]
        cigar += 4
    for k in range(first, n):
        batch[BLOCKS, k] = np.int64(n - k) - 1
    return n


@inlined
def _is_placeholder(text, cigar, n_operations, n_bases):
    """Return whether a CIGAR stands for one of more than 65,535 operations: it clips all bases, and skips the span.

    The operations are in the tag CG (SAM specification, section 4.2.2).
    """
    clip, skip = load32(text, cigar) & 0xFFFFFFFF, load32(text, cigar + 4)
    return n_operations == 2 and clip == (n_bases << 4 | _SOFT_CLIP) and skip & 15 == _SKIP


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
