"""The programs to compare with the engine, and the steps that each one runs. All programs start from one gzip file.

A step is a bash script with these variables:

- ``READS``: the reads, as gzip.
- ``BINS``, ``SORTED_BINS``, ``SAF``, ``SIZES``: the files of :class:`deepchrome.benchmarks.featurize.inputs.Bins`.
- ``SUBSET``: BED file of the bins that the step gets; see :attr:`Step.bins`.
- ``WORK``: a directory shared by all steps.
- ``OUT``: the file to write counts to.
- ``THREADS``: the number of threads.
- ``PEER_PYTHON``: the Python interpreter that has the Python packages to compare with.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from deepchrome.benchmarks.common.tools import Tool
from deepchrome.benchmarks.featurize.inputs import Bins


@dataclass(frozen=True)
class Step:
    """One step of a program.

    Attributes
    ----------
    script
        The bash script.
    bins
        The bins in ``SUBSET``: ``all``, or the smaller sets for ``multicov`` and ``deeptools``, which would take
        hours with all bins.
    """

    script: str
    bins: Literal["all", "multicov", "deeptools"] = "all"


@dataclass(frozen=True, kw_only=True)
class Program(Tool):
    """A program, or a pipeline of programs, that counts reads in bins.

    Attributes
    ----------
    steps
        Names in :data:`STEPS`; the last step writes the counts.
    parse
        Function that reads the output of the last step into two integer columns: bin, the index of a bin as in
        :class:`~deepchrome.benchmarks.featurize.inputs.Bins`, and count.
    reason
        Why its counts differ from multicov's; empty if they must be equal.
    """

    steps: tuple[str, ...]
    parse: Callable[[Path, Bins], pl.DataFrame]
    reason: str = ""


def _read_columns(path: Path, index: int, count: int, skip_rows: int = 0) -> pl.DataFrame:
    """Read the columns with the indices ``index`` and ``count``, from 0; ``index`` must be the smaller one."""
    return pl.read_csv(path, separator="\t", has_header=False, columns=[index, count], skip_rows=skip_rows)


def _parse_bed6(path: Path, _bins: Bins) -> pl.DataFrame:
    return _read_columns(path, 3, 6)


def _parse_two_columns(path: Path, _bins: Bins) -> pl.DataFrame:
    return _read_columns(path, 0, 1)


def _parse_feature_counts(path: Path, _bins: Bins) -> pl.DataFrame:
    return _read_columns(path, 0, 6, skip_rows=2)


def _parse_deeptools(path: Path, bins: Bins) -> pl.DataFrame:
    return read_deeptools(path, bins.deeptools.path)


def read_deeptools(path: Path, bed: Path) -> pl.DataFrame:
    """Read the counts of multiBamSummary; find bins by their position, because deepTools does not keep names.

    Parameters
    ----------
    path
        The counts that multiBamSummary wrote.
    bed
        The BED file that it got. The fourth column is the index of the bin.

    Returns
    -------
    DataFrame
        Two columns: bin, count.
    """
    position = ["chrom", "start", "end"]

    def read(file: Path, names: list[str], skip_rows: int) -> pl.DataFrame:
        frame = pl.read_csv(file, separator="\t", has_header=False, skip_rows=skip_rows, infer_schema=False)
        frame = frame.select(frame.columns[:4])
        frame.columns = names
        # deepTools writes some positions with a decimal point.
        return frame.with_columns(pl.col(name).cast(pl.Float64).cast(pl.Int64) for name in names[1:])

    counted = read(path, [*position, "count"], 1).unique(position)
    return read(bed, [*position, "bin"], 0).join(counted, on=position).select("bin", "count")


_POLARS_BIO = """
import sys
import polars as pl
import polars_bio as pb
def bed(path, names):
    frame = pl.read_csv(path, separator="\\t", has_header=False, columns=list(range(len(names))))
    frame.columns = names
    frame.config_meta.set(coordinate_system_zero_based=True)
    return frame
reads = bed(sys.argv[1], ["chrom", "start", "end"])
bins = bed(sys.argv[2], ["chrom", "start", "end", "bin"])
counted = pb.count_overlaps(bins, reads, output_type="polars.DataFrame")
counted.select("bin", "count").write_csv(sys.argv[3], separator="\\t", include_header=False)
"""
_PYRANGES = """
import sys
import pandas as pd
import pyranges as pr
def bed(path, names):
    return pr.PyRanges(pd.read_csv(path, sep="\\t", header=None, usecols=range(len(names)), names=names))
reads = bed(sys.argv[1], ["Chromosome", "Start", "End"])
bins = bed(sys.argv[2], ["Chromosome", "Start", "End", "bin"])
counted = bins.count_overlaps(reads, strand_behavior="ignore", overlap_col="count")
pd.DataFrame(counted)[["bin", "count"]].to_csv(sys.argv[3], sep="\\t", header=False, index=False)
"""
_STARTS_ONLY = """
import sys
import numpy as np
import polars as pl
def bed(path, names):
    frame = pl.read_csv(path, separator="\\t", has_header=False, columns=list(range(len(names))))
    frame.columns = names
    return frame
reads = bed(sys.argv[1], ["chrom", "start"]).partition_by("chrom", as_dict=True)
bins = bed(sys.argv[2], ["chrom", "start", "end", "bin"])
parts = []
for (chrom,), of_chrom in bins.group_by("chrom"):
    starts = np.sort(reads[chrom,]["start"].to_numpy()) if (chrom,) in reads else np.empty(0, np.int64)
    count = np.searchsorted(starts, of_chrom["end"].to_numpy()) - np.searchsorted(starts, of_chrom["start"].to_numpy())
    parts.append(pl.DataFrame({"bin": of_chrom["bin"], "count": count}))
pl.concat(parts).write_csv(sys.argv[3], separator="\\t", include_header=False)
"""

STEPS: Mapping[str, Step] = {
    "gunzip": Step('gunzip -c "$READS" > "$WORK/reads.bed"'),
    "bedtools bedtobam": Step('bedtools bedtobam -i "$WORK/reads.bed" -g "$SIZES" > "$WORK/reads.bam"'),
    "samtools sort": Step('samtools sort -o "$WORK/sorted.bam" "$WORK/reads.bam"'),
    "samtools index": Step('samtools index "$WORK/sorted.bam"'),
    "bedtools multicov": Step('bedtools multicov -bams "$WORK/sorted.bam" -bed "$SUBSET" > "$OUT"', "multicov"),
    "gunzip | sort": Step('gunzip -c "$READS" | LC_ALL=C sort -k1,1 -k2,2n -T "$WORK" > "$WORK/sorted.bed"'),
    "bedtools intersect -c -sorted": Step(
        'bedtools intersect -c -sorted -a "$SORTED_BINS" -b "$WORK/sorted.bed" > "$OUT"'
    ),
    "gunzip | sort-bed": Step('gunzip -c "$READS" | sort-bed --max-mem 4G --tmpdir "$WORK" - > "$WORK/sort-bed.bed"'),
    "bedmap --count": Step('bedmap --echo --count --delim "\t" "$SORTED_BINS" "$WORK/sort-bed.bed" > "$OUT"'),
    "bedtools coverage -counts": Step('bedtools coverage -counts -a "$BINS" -b "$READS" > "$OUT"'),
    "featureCounts": Step(
        'featureCounts -T "$THREADS" -F SAF -f -O --minOverlap 1 --tmpDir "$WORK" -a "$SAF" -o "$OUT" "$WORK/reads.bam"'
    ),
    "multiBamSummary BED-file": Step(
        'PATH="$(dirname "$PEER_PYTHON"):$PATH" multiBamSummary BED-file --BED "$SUBSET" -b "$WORK/sorted.bam" '
        '-p "$THREADS" -o "$WORK/summary.npz" --outRawCounts "$OUT"',
        "deeptools",
    ),
    "polars-bio": Step(f'"$PEER_PYTHON" -c \'{_POLARS_BIO}\' "$READS" "$BINS" "$OUT"'),
    "pyranges1": Step(f'"$PEER_PYTHON" -c \'{_PYRANGES}\' "$READS" "$BINS" "$OUT"'),
    "polars + numpy": Step(f'"{sys.executable}" -c \'{_STARTS_ONLY}\' "$READS" "$BINS" "$OUT"'),
}

_TO_BAM = ("gunzip", "bedtools bedtobam")
_TO_SORTED_BAM = (*_TO_BAM, "samtools sort", "samtools index")
REFERENCE = Program(
    "reference path: bedtobam, sort, index, multicov",
    steps=(*_TO_SORTED_BAM, "bedtools multicov"),
    parse=_parse_bed6,
    commands=("gunzip", "bedtools", "samtools"),
    install="apt install bedtools samtools",
)
PEERS = (
    Program(
        "bedtools intersect -c -sorted",
        steps=("gunzip | sort", "bedtools intersect -c -sorted"),
        parse=_parse_bed6,
        commands=("gunzip", "bedtools"),
        install="apt install bedtools",
    ),
    Program(
        "bedtools coverage -counts",
        steps=("bedtools coverage -counts",),
        parse=_parse_bed6,
        commands=("bedtools",),
        install="apt install bedtools",
    ),
    Program(
        "BEDOPS bedmap --count",
        steps=("gunzip | sort-bed", "bedmap --count"),
        parse=_parse_bed6,
        commands=("gunzip", "sort-bed", "bedmap"),
        install="apt install bedops",
    ),
    Program(
        "Subread featureCounts",
        steps=(*_TO_BAM, "featureCounts"),
        parse=_parse_feature_counts,
        commands=("gunzip", "bedtools", "featureCounts"),
        install="apt install subread bedtools",
    ),
    Program(
        "deepTools multiBamSummary",
        steps=(*_TO_SORTED_BAM, "multiBamSummary BED-file"),
        parse=_parse_deeptools,
        commands=("gunzip", "bedtools", "samtools", "multiBamSummary"),
        install="pip install deeptools",
    ),
    Program(
        "polars-bio count_overlaps",
        steps=("polars-bio",),
        parse=_parse_two_columns,
        packages=("polars-bio",),
        install="pip install polars-bio",
    ),
    Program(
        "pyranges1 count_overlaps",
        steps=("pyranges1",),
        parse=_parse_two_columns,
        packages=("pyranges1",),
        install="pip install pyranges1 (needs Python 3.12)",
    ),
    Program(
        "polars + numpy, starts only",
        steps=("polars + numpy",),
        parse=_parse_two_columns,
        reason="it counts a read only in the bin where the read starts",
    ),
)
