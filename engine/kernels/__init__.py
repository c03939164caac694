"""The inner loops of counting: parse reads from a buffer of bytes, and count them in bins.

All code that runs once per read is in this package, compiled by numba. ``text`` parses lines of BED, ``pairs`` lines of
BEDPE, and ``bam`` records of BAM. All collect reads in batches. ``changes`` shifts or extends them, and ``counting``
counts them in the regions that they overlap. ``segments`` finds positions among the edges of the regions, and turns
hits into counts.
``layout`` describes the arrays that the kernels share with their callers.

Kernels may read 64 bytes before ``begin`` and 64 bytes after ``end`` of a buffer.
"""

from deepchrome.engine.kernels.bam import DUPLICATE_FLAG, QC_FAIL_FLAG, Records, count_bam, whole_records
from deepchrome.engine.kernels.layout import (
    BAI_LIMIT,
    CENTER,
    FAR,
    FIVE_PRIME,
    MAX_LENGTH,
    MAX_LINE_BYTES,
    MINUS,
    PLUS,
    SPAN_GROUP,
    TILE_BITS,
    NameTable,
    Rule,
    SegmentTable,
    SpanTable,
    Tally,
    Totals,
)
from deepchrome.engine.kernels.lines import count_columns
from deepchrome.engine.kernels.loading import warm_up
from deepchrome.engine.kernels.names import add_names
from deepchrome.engine.kernels.pairs import count_pairs
from deepchrome.engine.kernels.segments import cut_segments, fill_cells, fold, mark_segments
from deepchrome.engine.kernels.shapes import SHAPE_TABLE_BYTES
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.text import count_text

__all__ = [
    "BAI_LIMIT",
    "CENTER",
    "DUPLICATE_FLAG",
    "FAR",
    "FIVE_PRIME",
    "MAX_LENGTH",
    "MAX_LINE_BYTES",
    "MINUS",
    "PLUS",
    "QC_FAIL_FLAG",
    "SHAPE_TABLE_BYTES",
    "SPAN_GROUP",
    "TILE_BITS",
    "NameTable",
    "Records",
    "Rule",
    "SegmentTable",
    "SpanTable",
    "Status",
    "Tally",
    "Totals",
    "add_names",
    "count_bam",
    "count_columns",
    "count_pairs",
    "count_text",
    "cut_segments",
    "fill_cells",
    "fold",
    "mark_segments",
    "warm_up",
    "whole_records",
]
