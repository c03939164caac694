"""The inner loops: parse reads from a buffer of bytes, and count them in bins.

Everything that runs once per read is in here, compiled by numba. ``text`` parses lines of BED and ``bam`` records of
BAM, up to 1,024 reads at a time; ``counting`` adds them to the windows that they overlap. ``layout`` describes the
arrays that the kernels share with their callers.

A buffer may be read 64 bytes before ``begin`` and 64 bytes after ``end``.
"""

from deepchrome.engine.kernels.bam import count_bam, whole_records
from deepchrome.engine.kernels.counting import fold
from deepchrome.engine.kernels.layout import (
    CURSOR,
    FAR,
    FILTERED,
    IN_WINDOWS,
    LINES,
    MAX_LENGTH,
    MAX_LINE_BYTES,
    MIN_LENGTH,
    MINUS,
    N_NAME_COLUMNS,
    N_TALLY,
    PAST_END,
    PLUS,
    SUM_LENGTH,
    TILE_BITS,
    NameTable,
    Totals,
    WindowTable,
)
from deepchrome.engine.kernels.lines import count_columns, last_newline
from deepchrome.engine.kernels.names import add_name
from deepchrome.engine.kernels.status import Status
from deepchrome.engine.kernels.text import count_text
from deepchrome.engine.kernels.warm_up import warm_up
