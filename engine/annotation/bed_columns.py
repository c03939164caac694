"""Names of the columns of a BED file: those of BED, narrowPeak or broadPeak where the values fit."""

from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

_BED: Final = ("chrom", "start", "end", "name", "score", "strand")
_BED12: Final = ("thick_start", "thick_end", "item_rgb", "block_count", "block_sizes", "block_starts")
_BROAD_PEAK: Final = ("signal_value", "p_value", "q_value")
_NARROW_PEAK: Final = (*_BROAD_PEAK, "peak")
_BED_WIDTHS: Final = (7, 8, 9, 12)
_STRAND_PLACE: Final = _BED.index("strand")
# What the values of columns 7 to 12 of BED look like.
_BED12_PATTERNS: Final = (r"^\d+$", r"^\d+$", r"^(\d+(,\d+,\d+)?|\.)$", r"^\d+$", r"^(\d+,?)+$", r"^(\d+,?)+$")
_FLOAT: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_PEAK: Final = r"^(-1|\d+)$"


def bed_column_names(table: "pl.DataFrame") -> list[str]:
    """Return the names of the columns; a column whose meaning is not known is called ``column_7`` or the like.

    Parameters
    ----------
    table
        All columns of the file as text, at least three.
    """
    width = table.width
    numbered = [f"column_{place}" for place in range(1, width + 1)]
    names = [*_BED, *numbered[len(_BED) :]][:width]
    if width > _STRAND_PLACE and not table.to_series(_STRAND_PLACE).is_in(["+", "-", "."]).all():
        names[_STRAND_PLACE] = numbered[_STRAND_PLACE]
    if width in _BED_WIDTHS and _is_bed(table):
        known: tuple[str, ...] = _BED12[: width - len(_BED)]
    elif width == 9 and _fit(table, (_FLOAT,) * 3):
        known = _BROAD_PEAK
    elif width == 10 and _fit(table, (*(_FLOAT,) * 3, _PEAK)):
        known = _NARROW_PEAK
    else:
        return names
    return [*names[: len(_BED)], *known]


def _is_bed(table: "pl.DataFrame") -> bool:
    """Return whether columns 7 to 12 are those of BED, with the thick part inside the interval."""
    import polars as pl

    if not _fit(table, _BED12_PATTERNS[: table.width - len(_BED)]):
        return False
    places = (1, *range(len(_BED), min(table.width, len(_BED) + 2)), 2)  # start, thick start, thick end, end
    columns = [table.to_series(place).cast(pl.Int64, strict=False) for place in places]
    return all(bool((a <= b).fill_null(False).all()) for a, b in pairwise(columns))


def _fit(table: "pl.DataFrame", patterns: tuple[str, ...]) -> bool:
    """Return whether all values in column 7 and later have these patterns."""
    return all(table.to_series(len(_BED) + i).str.contains(pattern).all() for i, pattern in enumerate(patterns))
