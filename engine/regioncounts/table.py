"""Lay out counts in regions as a table: the columns of the regions, then a column per file of reads."""

import re
from collections.abc import Sequence
from typing import Final

import polars as pl

from deepchrome.engine.annotation.regions import Regions
from deepchrome.engine.regioncounts.result import RegionCounts

PLACE_COLUMNS: Final = ("chrom", "start", "end")
# The columns of GTF and GFF3 after the place and the name. Its own columns for the place have other coordinates.
_GFF_COLUMNS: Final = ("score", "strand", "source", "feature", "frame", "attributes")
# The attributes that may name a feature, in the order of preference. GTF names features of a type by TYPE_id.
_GFF3_NAMES: Final = ("ID", "Name", "Parent")
_GTF_NAMES: Final = ("gene_id", "transcript_id")


def region_column_names(regions: Regions) -> list[str]:
    """Return the names of the columns that describe the regions in a table."""
    if regions.format == "gff":
        return [*PLACE_COLUMNS, "name", *_GFF_COLUMNS]
    return [*PLACE_COLUMNS, *(name for name in regions.columns if name not in PLACE_COLUMNS)]


def count_table(counts: RegionCounts) -> pl.DataFrame:
    """Return the regions and their counts.

    Returns
    -------
    polars.DataFrame
        One row per region, in the order of the input. Columns: ``chrom``, ``start`` and ``end`` (0-based, half-open,
        bp), the other columns of the regions as text, and one column per file of reads.
    """
    regions = counts.regions
    # Not the place, whose text TextColumns would have to make.
    texts = {name: as_series(regions.columns[name]) for name in regions.columns if name not in PLACE_COLUMNS}
    if regions.format == "gff":
        texts["name"] = feature_names(texts["feature"], texts["attributes"])
    others = {name: texts[name] for name in region_column_names(regions)[len(PLACE_COLUMNS) :]}
    return pl.DataFrame(
        {
            "chrom": chrom_column(regions),
            "start": regions.start,
            "end": regions.end,
            **others,
            **dict(zip(counts.names, counts.columns, strict=True)),
        }
    )


def source_table(counts: RegionCounts) -> pl.DataFrame:
    """Return the columns of the input, as bedtools prints them, and the counts.

    Start and end are written as plain numbers, without leading zeros; those of GTF and GFF3 are 1-based and inclusive.
    """
    regions = counts.regions
    if regions.format != "gff":
        return count_table(counts)
    columns = {name: as_series(values) for name, values in regions.columns.items()}
    columns |= {"start": pl.Series(regions.start + 1), "end": pl.Series(regions.end)}
    return pl.DataFrame({**columns, **dict(zip(counts.names, counts.columns, strict=True))})


def chrom_column(regions: Regions) -> pl.Series:
    """Return the name of the chromosome of each region."""
    return pl.Series(regions.chrom_names, dtype=pl.String).gather(regions.chrom)


def as_series(values: Sequence[str] | pl.Series) -> pl.Series:
    """Return a column of text as a series."""
    return values if isinstance(values, pl.Series) else pl.Series(values, dtype=pl.String)


def feature_names(feature: pl.Series, attributes: pl.Series) -> pl.Series:
    """Return the names of features of a GTF or GFF3 file.

    Parameters
    ----------
    feature, attributes
        Columns 3 and 9 of the file.

    Returns
    -------
    polars.Series
        In GFF3 the attribute ID, or Name or Parent if there is no ID. In GTF the attribute that belongs to the type,
        such as ``exon_id`` of an exon, or else ``gene_id``. An empty text if there is none of them.
    """
    own = [f"{name}_id" for name in feature.unique().sort() if name]
    names = pl.Series([None], dtype=pl.String).new_from_index(0, len(attributes))
    for key in (*_GFF3_NAMES, *own, *_GTF_NAMES):
        pattern = rf'(?:^|;)\s*{re.escape(key)}(?:=|\s+"?)([^";]*)'
        found = attributes.str.extract(pattern)
        if key in own:
            found = pl.select(pl.when(feature + "_id" == key).then(found)).to_series()
        names = names.zip_with(names.is_not_null(), found)
    return names.fill_null("")
