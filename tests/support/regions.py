"""Count reads in regions with the engine, from the same values as the oracle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.regions import Regions, read_regions
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.regioncounts.count import count_files
from deepchrome.engine.regioncounts.result import RegionCounts


def regions_of(bed: str, folder: Path) -> Regions:
    """Return the regions in the text of a BED file."""
    (folder / "regions.bed").write_text(bed, newline="")
    return read_regions(folder / "regions.bed")


def count_bed(
    paths: Sequence[Path], bed: str, sizes: Mapping[str, int], threads: int = 1, **options: Any
) -> RegionCounts:
    """Count files in the regions of a BED text. The options are attributes of ReadOptions."""
    regions = regions_of(bed, paths[0].parent)
    genome = Genome("drawn", dict(sizes))
    return count_files(
        paths, regions, genome, ReadOptions(**{"allow_empty": True, "build_check": False, **options}), threads=threads
    )


def engine_options(counting: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of :func:`oracle.regions.count` as attributes of ReadOptions."""
    return {("overlap_fraction" if name == "fraction" else name): value for name, value in counting.items()}
