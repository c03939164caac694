"""Names of the columns of a BED file: those of BED, narrowPeak or broadPeak where the values fit."""

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

Integers = npt.NDArray[np.int64]

_BED: Final = ("chrom", "start", "end", "name", "score", "strand")
_BED12: Final = ("thick_start", "thick_end", "item_rgb", "block_count", "block_sizes", "block_starts")
_BROAD_PEAK: Final = ("signal_value", "p_value", "q_value")
_NARROW_PEAK: Final = (*_BROAD_PEAK, "peak")
_BED_WIDTHS: Final = (7, 8, 9, 12)
_N_POSITIONS: Final = 3
_STRAND_PLACE: Final = _BED.index("strand")
# What the values of columns 7 to 12 of BED look like.
_BED12_PATTERNS: Final = (r"^\d+$", r"^\d+$", r"^(\d+(,\d+,\d+)?|\.)$", r"^\d+$", r"^(\d+,?)+$", r"^(\d+,?)+$")
_FLOAT: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_PEAK: Final = r"^(-1|\d+)$"


def bed_column_names(start: Integers, end: Integers, others: "pl.DataFrame") -> list[str]:
    """Return the names of all columns; a column whose meaning is not known is called ``column_7`` or the like.

    Parameters
    ----------
    start, end
        The second and the third column.
    others
        Column 4 and later as text.
    """
    width = _N_POSITIONS + others.width
    numbered = [f"column_{place}" for place in range(1, width + 1)]
    names = [*_BED, *numbered[len(_BED) :]][:width]
    if width <= _STRAND_PLACE:
        return names
    if not others.to_series(_STRAND_PLACE - _N_POSITIONS).is_in(["+", "-", "."]).all():
        names[_STRAND_PLACE] = numbered[_STRAND_PLACE]
    extra = others.select(others.columns[len(_BED) - _N_POSITIONS :])
    if width in _BED_WIDTHS and _fit(extra, _BED12_PATTERNS) and _is_thick_inside(start, end, extra):
        names[len(_BED) :] = _BED12[: extra.width]
    elif extra.width == len(_BROAD_PEAK) and _fit(extra, (_FLOAT,) * 3):
        names[len(_BED) :] = _BROAD_PEAK
    elif extra.width == len(_NARROW_PEAK) and _fit(extra, (_FLOAT, _FLOAT, _FLOAT, _PEAK)):
        names[len(_BED) :] = _NARROW_PEAK
    return names


def _fit(extra: "pl.DataFrame", patterns: tuple[str, ...]) -> bool:
    """Return whether all values in each column have its pattern."""
    columns = zip(extra.get_columns(), patterns, strict=False)
    return all(column.str.contains(pattern).all() for column, pattern in columns)


def _is_thick_inside(start: Integers, end: Integers, extra: "pl.DataFrame") -> bool:
    """Return whether the thick part in columns 7 and 8 of BED lies within the intervals."""
    import polars as pl

    thick = [column.cast(pl.Int64, strict=False) for column in extra.get_columns()[:2]]
    bounds = [pl.Series(start), *thick, pl.Series(end)]
    return all(bool((a <= b).fill_null(False).all()) for a, b in pairwise(bounds))
