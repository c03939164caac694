"""The blocks of regions of 12 columns, such as the exons of a gene in BED12."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from deepchrome.engine.annotation.layout import Integers, RowBlocks
from deepchrome.errors import BadDataError

BED12_COLUMNS: Final = 12


def read_blocks(source: str, columns: Mapping[str, Sequence[str]], start: Integers) -> RowBlocks:
    """Return the blocks of regions.

    Parameters
    ----------
    source
        Name of the file, for messages.
    columns
        The 12 columns of the file as text, n strings each. The last three have the number of blocks, their lengths and
        their starts relative to the region (bp), separated by commas.
    start
        int64 (n,): the position that the starts of blocks are relative to.

    Raises
    ------
    BadDataError
        A region has no block, other numbers of lengths or starts than blocks, or a number that is not valid.
    """
    import polars as pl

    texts = [pl.Series(column, dtype=pl.String) for column in list(columns.values())[-3:]]
    n_blocks = texts[0].cast(pl.Int64, strict=False).fill_null(0)
    lists = [text.str.strip_suffix(",").str.split(",").cast(pl.List(pl.Int64), strict=False) for text in texts[1:]]
    is_valid = n_blocks >= 1
    for numbers in lists:
        is_valid &= (
            (numbers.list.len() == n_blocks)
            & (numbers.list.min() >= 0)
            & ~numbers.list.eval(pl.element().is_null()).list.any()
        )
    if not (valid := is_valid.fill_null(False)).all():
        row = int(valid.arg_min() or 0)
        found = ", ".join(repr(text[row][:40]) for text in texts)
        raise BadDataError(
            f"{source}: region {row + 1}: the blocks in columns 10 to 12 are not valid (number, lengths and starts are "
            f"{found}). Correct them, or cut the file to its first six columns"
        )
    counts = n_blocks.to_numpy().astype(np.int64)
    lengths, offsets = (numbers.explode().to_numpy().astype(np.int64) for numbers in lists)
    starts = np.repeat(start, counts) + offsets
    return RowBlocks(np.append(0, np.cumsum(counts)), np.stack([starts, starts + lengths], axis=1))
