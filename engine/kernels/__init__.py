"""The inner loops of counting: parse reads from a buffer of bytes, and count them in bins.

All code that runs once per read is in this package, compiled by numba. ``text`` parses lines of BED and ``bam`` parses
records of BAM. Both collect reads in batches, which ``counting`` adds to the windows that the reads overlap.
``layout`` describes the arrays that the kernels share with their callers.

Kernels may read 64 bytes before ``begin`` and 64 bytes after ``end`` of a buffer.
"""

from deepchrome.engine.kernels.bam import count_bam, whole_records
from deepchrome.engine.kernels.counting import fold
from deepchrome.engine.kernels.layout import (
    BAI_LIMIT,
    FAR,
    MAX_LINE_BYTES,
    MINUS,
    PLUS,
    TILE_BITS,
    NameTable,
    Tally,
    Totals,
    WindowTable,
)
from deepchrome.engine.kernels.lines import count_columns
from deepchrome.engine.kernels.loading import warm_up
from deepchrome.engine.kernels.names import add_names
from deepchrome.engine.kernels.shapes import SHAPE_TABLE_BYTES
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.text import count_text

__all__ = [
    "BAI_LIMIT",
    "FAR",
    "MAX_LINE_BYTES",
    "MINUS",
    "PLUS",
    "SHAPE_TABLE_BYTES",
    "TILE_BITS",
    "NameTable",
    "Status",
    "Tally",
    "Totals",
    "WindowTable",
    "add_names",
    "count_bam",
    "count_columns",
    "count_text",
    "fold",
    "warm_up",
    "whole_records",
]
