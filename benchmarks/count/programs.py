"""The programs to compare ``dc count`` with. Each starts from one file of reads, and from BED or SAF.

The script of a program is run by bash, with these variables:

- ``READS``: the file of reads; ``INSIDE_BAM``: see :class:`deepchrome.benchmarks.count.inputs.Reads`.
- ``REGIONS``: BED file of the regions that the program gets; see :attr:`Program.regions`.
- ``SAF``: all regions in the format of featureCounts.
- ``SIZES``: names and lengths of the chromosomes.
- ``WORK``: a directory for temporary files.
- ``OUT``: the file to write counts to.
- ``THREADS``: the number of threads.
- ``PEER_PYTHON``: the Python interpreter that has the Python packages to compare with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from deepchrome.benchmarks.common.tools import Tool
from deepchrome.benchmarks.count.inputs import BAM, TAGALIGN
from deepchrome.benchmarks.featurize.programs import read_deeptools


@dataclass(frozen=True, kw_only=True)
class Program(Tool):
    """A program that counts reads in regions.

    Attributes
    ----------
    reads
        The file of reads: :data:`~deepchrome.benchmarks.count.inputs.BAM` or
        :data:`~deepchrome.benchmarks.count.inputs.TAGALIGN`.
    script
        The bash script.
    parse
        Function that reads the output, given also the BED file of the regions, into two integer columns: the index of
        a region as in :class:`~deepchrome.benchmarks.count.inputs.RegionSet`, and its count.
    regions
        The regions in ``REGIONS``: ``all``, or a sample for programs that would take hours.
    is_reference
        Whether its counts must be equal to those of ``dc count``.
    quantity
        What it computes instead of counts; empty if it counts.
    """

    reads: str
    script: str
    parse: Callable[[Path, Path], pl.DataFrame]
    regions: Literal["all", "sample", "small sample"] = "all"
    is_reference: bool = False
    quantity: str = ""


def _parse_columns(index: int, count: int, skip_rows: int = 0) -> Callable[[Path, Path], pl.DataFrame]:
    """Return a function that reads the columns with the indices ``index`` and ``count``, from 0, in this order."""

    def parse(path: Path, _regions: Path) -> pl.DataFrame:
        return pl.read_csv(path, separator="\t", has_header=False, columns=[index, count], skip_rows=skip_rows)

    return parse


# Reads all BAM records, and no columns that counting does not need.
_POLARS_BIO: Final = """
import sys
import polars as pl
import polars_bio as pb
position = ["chrom", "start", "end"]
def bed(path, names):
    frame = pl.read_csv(path, separator="\\t", has_header=False, columns=list(range(len(names))))
    frame.columns = names
    frame.config_meta.set(coordinate_system_zero_based=True)
    return frame
if sys.argv[1].endswith(".bam"):
    reads = pb.scan_bam(sys.argv[1], use_zero_based=True).select(position)
else:
    reads = bed(sys.argv[1], position)
regions = bed(sys.argv[2], [*position, "region"])
counted = pb.count_overlaps(regions, reads, output_type="polars.DataFrame")
counted.select("region", "count").write_csv(sys.argv[3], separator="\\t", include_header=False)
"""


def _programs_for(reads: str) -> tuple[Program, ...]:
    """Return the programs that read both BAM and tagAlign."""
    return (
        _coverage(f"bedtools coverage -counts, {reads}", reads),
        _coverage(f"bedtools coverage -counts -sorted, {reads}", reads, '-sorted -g "$SIZES"'),
        Program(
            f"polars-bio count_overlaps, {reads}",
            packages=("polars-bio",),
            install="pip install polars-bio",
            reads=reads,
            script=f'"$PEER_PYTHON" -c \'{_POLARS_BIO}\' "$READS" "$REGIONS" "$OUT"',
            parse=_parse_columns(0, 1),
        ),
    )


def _coverage(name: str, reads: str, options: str = "") -> Program:
    return Program(
        name,
        commands=("bedtools",),
        install="apt install bedtools",
        reads=reads,
        script=f'bedtools coverage -counts {options} -a "$REGIONS" -b "$READS" > "$OUT"',
        parse=_parse_columns(3, 4),
        is_reference=True,
    )


PROGRAMS: Final = (
    Program(
        f"bedtools multicov, {BAM}",
        commands=("bedtools",),
        install="apt install bedtools",
        reads=BAM,
        script='bedtools multicov -bams "$READS" -bed "$REGIONS" > "$OUT"',
        regions="sample",
        parse=_parse_columns(3, 4),
        is_reference=True,
    ),
    *_programs_for(BAM),
    Program(
        f"samtools bedcov -c, {BAM}",
        commands=("samtools",),
        install="apt install samtools",
        reads=BAM,
        script='samtools bedcov -c "$REGIONS" "$READS" > "$OUT"',
        parse=_parse_columns(3, 5),
        regions="sample",
    ),
    Program(
        f"Subread featureCounts, {BAM}",
        commands=("featureCounts",),
        install="apt install subread",
        reads=BAM,
        script='featureCounts -T "$THREADS" -F SAF -f -O --minOverlap 1 --tmpDir "$WORK" -a "$SAF" -o "$OUT" "$READS"',
        parse=_parse_columns(0, 6, skip_rows=2),
    ),
    Program(
        f"deepTools multiBamSummary, {BAM}",
        commands=("multiBamSummary",),
        install="pip install deeptools",
        reads=BAM,
        script='PATH="$(dirname "$PEER_PYTHON"):$PATH" multiBamSummary BED-file --BED "$REGIONS" -b "$READS" '
        '-p "$THREADS" -o "$WORK/summary.npz" --outRawCounts "$OUT"',
        parse=read_deeptools,
        regions="small sample",
    ),
    Program(
        f"mosdepth, {BAM}",
        commands=("mosdepth",),
        install="apt install mosdepth libhts-dev",
        reads=BAM,
        script='mosdepth --no-per-base --by "$REGIONS" --threads "$THREADS" "$WORK/mosdepth" "$INSIDE_BAM"',
        parse=_parse_columns(3, 4),
        quantity="mean depth (bases, not reads), without reads that end past a chromosome, at which it stops",
    ),
    *_programs_for(TAGALIGN),
)
