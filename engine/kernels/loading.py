"""Load all kernels at once."""

import numpy as np

from deepchrome.engine.kernels.bam import Records, count_bam, whole_records
from deepchrome.engine.kernels.layout import FAR, NameTable, Rule, SegmentTable, SpanTable, Totals
from deepchrome.engine.kernels.lines import count_columns
from deepchrome.engine.kernels.names import add_names
from deepchrome.engine.kernels.pairs import count_pairs
from deepchrome.engine.kernels.segments import cut_segments, fill_cells, fold, mark_segments
from deepchrome.engine.kernels.shapes import SHAPE_TABLE_BYTES
from deepchrome.engine.kernels.text import count_text


def warm_up(*, fragments: bool = False) -> None:
    """Compile every kernel, or load it from the cache, before threads need it.

    Parameters
    ----------
    fragments
        Whether also the kernel for fragments in BEDPE is needed.
    """
    line = b"c\t1\t2\n"
    text = np.zeros(192, np.uint8)
    begin, end = 64, 64 + len(line)
    text[begin:end] = np.frombuffer(line, np.uint8)
    names = NameTable.empty(2, 16)
    names.text[0] = line[0]
    add_names(names, 0, np.ones(1, np.int64), 0)
    shapes = np.zeros(SHAPE_TABLE_BYTES, np.uint8)
    extents = np.zeros((1, 3), np.int64)
    one = np.zeros(1, np.int32)
    no_intervals, no_bytes = np.zeros((0, 2), np.int32), np.zeros(1, np.int8)
    tiles, inverse = np.zeros((2, 2), np.int32), np.ones(1, np.uint32)
    segments = SegmentTable(tiles, inverse, one, 0, one, one, np.array([FAR], np.int32), no_bytes)
    spans = SpanTable(one, one, one, one, no_bytes, one, one, no_intervals)
    no_targets = np.zeros((0, 5), np.int64)
    rule = Rule(False, 0, 1, False, 0.0, False, False, False, 0, 0, 0, no_intervals, no_targets)
    totals = Totals.empty(1, n_sequences=1)
    tables = (segments, spans, rule, totals)
    count_text(text, begin, end, count_columns(text, begin, end), names, shapes, extents, *tables)
    if fragments:
        count_pairs(text, begin, begin, 6, names, extents, *tables)
    whole_records(text, begin, begin)
    count_bam(text, begin, begin, extents, Records(0, 0, False, False), *tables)
    rows = (np.full(1, -1), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int8))
    cut_segments(np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros((0, 3), np.int64), segments)
    mark_segments(segments, extents, *rows)
    fill_cells(segments, np.zeros((0, 3), np.int64))
    for kind in (np.int32, np.int64):
        fold(totals.hits.astype(kind), segments, extents, *rows, np.zeros((1, 1), np.uint32))
