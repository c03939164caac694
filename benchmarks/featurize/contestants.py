"""Who runs: the reference path, the programs a user would choose instead, and the floors. All begin with one gzip file.

A step is a line of bash. It finds its files in variables: ``READS`` (gzip), ``BINS``, ``ORDERED_BINS``,
``SAF``, ``SIZES`` (see :class:`deepchrome.benchmarks.featurize.inputs.Bins`), ``SUBSET`` (the bins this step is given),
``WORK`` (a directory shared by all steps), ``OUT`` (where its counts go), ``THREADS`` and ``PEER_PYTHON``.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from deepchrome.benchmarks.common.processes import Usage, shell
from deepchrome.benchmarks.common.results import Missing
from deepchrome.benchmarks.featurize.inputs import Bins, Counts, Inputs
from deepchrome.errors import BadDataError, MissingInputError, StorageError

BinsGiven = Literal["every", "some", "few"]


@dataclass(frozen=True)
class Step:
    """One thing a contestant does, and the bins it is given: fewer than all only where all would take hours."""

    script: str
    bins: BinsGiven = "every"


@dataclass(frozen=True)
class Contestant:
    """A way to get the counts.

    Attributes
    ----------
    name
        Shown in tables.
    steps
        Names in :data:`STEPS`; the last one writes the counts.
    programs, packages
        What must be installed; packages for the peers' Python.
    how
        How to install it.
    parse
        Reads what the last step wrote: cell and count, two columns of integers.
    reason
        Why it counts otherwise than multicov; empty if it must count the same.
    """

    name: str
    steps: tuple[str, ...]
    programs: tuple[str, ...]
    packages: tuple[str, ...]
    how: str
    parse: Callable[[Path, Bins], pl.DataFrame]
    reason: str = ""


def _table(path: Path, cell: int, count: int, skip_rows: int = 0) -> pl.DataFrame:
    """Read two columns by their place, the first being 0 and ``cell`` the former of the two."""
    return pl.read_csv(path, separator="\t", has_header=False, columns=[cell, count], skip_rows=skip_rows)


def _bed6(path: Path, bins: Bins) -> pl.DataFrame:  # noqa: ARG001 - the others need them
    return _table(path, 3, 6)


def _two_columns(path: Path, bins: Bins) -> pl.DataFrame:  # noqa: ARG001 - the others need them
    return _table(path, 0, 1)


def _feature_counts(path: Path, bins: Bins) -> pl.DataFrame:  # noqa: ARG001 - the others need them
    return _table(path, 0, 6, skip_rows=2)


def _deeptools(path: Path, bins: Bins) -> pl.DataFrame:
    """Find each region's cells by its place: deepTools does not keep names."""
    place = ["chrom", "start", "end"]

    def read(file: Path, names: list[str], skip_rows: int) -> pl.DataFrame:
        frame = pl.read_csv(file, separator="\t", has_header=False, skip_rows=skip_rows, infer_schema=False)
        frame = frame.select(frame.columns[:4])
        frame.columns = names
        # Some of its positions have a decimal point.
        return frame.with_columns(pl.col(name).cast(pl.Float64).cast(pl.Int64) for name in names[1:])

    counted = read(path, [*place, "count"], 1).unique(place)
    return read(bins.few, [*place, "cell"], 0).join(counted, on=place).select("cell", "count")


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
bins = bed(sys.argv[2], ["chrom", "start", "end", "cell"])
counted = pb.count_overlaps(bins, reads, output_type="polars.DataFrame")
counted.select("cell", "count").write_csv(sys.argv[3], separator="\\t", include_header=False)
"""
_PYRANGES = """
import sys
import pandas as pd
import pyranges as pr
def bed(path, names):
    return pr.PyRanges(pd.read_csv(path, sep="\\t", header=None, usecols=range(len(names)), names=names))
reads = bed(sys.argv[1], ["Chromosome", "Start", "End"])
bins = bed(sys.argv[2], ["Chromosome", "Start", "End", "cell"])
counted = bins.count_overlaps(reads, strand_behavior="ignore", overlap_col="count")
pd.DataFrame(counted)[["cell", "count"]].to_csv(sys.argv[3], sep="\\t", header=False, index=False)
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
bins = bed(sys.argv[2], ["chrom", "start", "end", "cell"])
parts = []
for (chrom,), of_chrom in bins.group_by("chrom"):
    starts = np.sort(reads[chrom,]["start"].to_numpy()) if (chrom,) in reads else np.empty(0, np.int64)
    count = np.searchsorted(starts, of_chrom["end"].to_numpy()) - np.searchsorted(starts, of_chrom["start"].to_numpy())
    parts.append(pl.DataFrame({"cell": of_chrom["cell"], "count": count}))
pl.concat(parts).write_csv(sys.argv[3], separator="\\t", include_header=False)
"""

STEPS: Mapping[str, Step] = {
    "gunzip": Step('gunzip -c "$READS" > "$WORK/reads.bed"'),
    "bedtools bedtobam": Step('bedtools bedtobam -i "$WORK/reads.bed" -g "$SIZES" > "$WORK/reads.bam"'),
    "samtools sort": Step('samtools sort -o "$WORK/sorted.bam" "$WORK/reads.bam"'),
    "samtools index": Step('samtools index "$WORK/sorted.bam"'),
    "bedtools multicov": Step('bedtools multicov -bams "$WORK/sorted.bam" -bed "$SUBSET" > "$OUT"', "some"),
    "gunzip | sort": Step('gunzip -c "$READS" | LC_ALL=C sort -k1,1 -k2,2n -T "$WORK" > "$WORK/sorted.bed"'),
    "bedtools intersect -c -sorted": Step(
        'bedtools intersect -c -sorted -a "$ORDERED_BINS" -b "$WORK/sorted.bed" > "$OUT"'
    ),
    "gunzip | sort-bed": Step('gunzip -c "$READS" | sort-bed --max-mem 4G --tmpdir "$WORK" - > "$WORK/sort-bed.bed"'),
    "bedmap --count": Step('bedmap --echo --count --delim "\t" "$ORDERED_BINS" "$WORK/sort-bed.bed" > "$OUT"'),
    "bedtools coverage -counts": Step('bedtools coverage -counts -a "$BINS" -b "$READS" > "$OUT"'),
    "featureCounts": Step(
        'featureCounts -T "$THREADS" -F SAF -f -O --minOverlap 1 --tmpDir "$WORK" -a "$SAF" -o "$OUT" "$WORK/reads.bam"'
    ),
    "multiBamSummary BED-file": Step(
        'PATH="$(dirname "$PEER_PYTHON"):$PATH" multiBamSummary BED-file --BED "$SUBSET" -b "$WORK/sorted.bam" '
        '-p "$THREADS" -o "$WORK/summary.npz" --outRawCounts "$OUT"',
        "few",
    ),
    "polars-bio": Step(f'"$PEER_PYTHON" -c \'{_POLARS_BIO}\' "$READS" "$BINS" "$OUT"'),
    "pyranges1": Step(f'"$PEER_PYTHON" -c \'{_PYRANGES}\' "$READS" "$BINS" "$OUT"'),
    "polars + numpy": Step(f'"{sys.executable}" -c \'{_STARTS_ONLY}\' "$READS" "$BINS" "$OUT"'),
}

_TO_BAM = ("gunzip", "bedtools bedtobam")
_TO_SORTED_BAM = (*_TO_BAM, "samtools sort", "samtools index")
_BEDTOOLS = "apt install bedtools"
REFERENCE = Contestant(
    "reference path: bedtobam, sort, index, multicov",
    (*_TO_SORTED_BAM, "bedtools multicov"),
    ("gunzip", "bedtools", "samtools"),
    (),
    "apt install bedtools samtools",
    _bed6,
)
PEERS = (
    Contestant(
        "bedtools intersect -c -sorted",
        ("gunzip | sort", "bedtools intersect -c -sorted"),
        ("gunzip", "bedtools"),
        (),
        _BEDTOOLS,
        _bed6,
    ),
    Contestant("bedtools coverage -counts", ("bedtools coverage -counts",), ("bedtools",), (), _BEDTOOLS, _bed6),
    Contestant(
        "BEDOPS bedmap --count",
        ("gunzip | sort-bed", "bedmap --count"),
        ("gunzip", "sort-bed", "bedmap"),
        (),
        "apt install bedops",
        _bed6,
    ),
    Contestant(
        "Subread featureCounts",
        (*_TO_BAM, "featureCounts"),
        ("gunzip", "bedtools", "featureCounts"),
        (),
        "apt install subread bedtools",
        _feature_counts,
    ),
    Contestant(
        "deepTools multiBamSummary",
        (*_TO_SORTED_BAM, "multiBamSummary BED-file"),
        ("gunzip", "bedtools", "samtools", "multiBamSummary"),
        (),
        "pip install deeptools, and --peer-python for the Python that has it",
        _deeptools,
    ),
    Contestant(
        "polars-bio count_overlaps",
        ("polars-bio",),
        (),
        ("polars-bio",),
        "pip install polars-bio, and --peer-python for the Python that has it",
        _two_columns,
    ),
    Contestant(
        "pyranges1 count_overlaps",
        ("pyranges1",),
        (),
        ("pyranges1",),
        "pip install pyranges1 (Python 3.12 or later), and --peer-python for the Python that has it",
        _two_columns,
    ),
    Contestant(
        "polars + numpy, starts only",
        ("polars + numpy",),
        (),
        (),
        "",
        _two_columns,
        "a read counts in the one bin where it starts, not in all that it overlaps",
    ),
)


class Track:
    """The contestants' files, and what it takes to run their steps."""

    def __init__(self, inputs: Inputs, bins: Bins, peer_python: str, threads: int, full_reference: bool) -> None:
        self.bins = bins
        self._full_reference = full_reference
        self._work = inputs.folder / "work"
        self._work.mkdir(exist_ok=True)
        self._cells = inputs.cells
        self._variables = {
            "READS": str(inputs.reads_file),
            "BINS": str(bins.every),
            "ORDERED_BINS": str(bins.ordered),
            "SAF": str(bins.saf),
            "SIZES": str(bins.sizes),
            "WORK": str(self._work),
            "THREADS": str(threads),
            "PEER_PYTHON": peer_python,
        }

    def bins_of(self, step: str) -> tuple[Path, int]:
        """Return the bins that a step is given: the file, and their number."""
        which = STEPS[step].bins
        if which == "some" and not self._full_reference:
            return self.bins.some, self.bins.n_some
        return (self.bins.few, self.bins.n_few) if which == "few" else (self.bins.every, self.bins.n_every)

    def scale(self, step: str) -> float:
        """Return how many times more the bins cost if it is all of them, not those a step is given; 1 if it is."""
        given = self.bins_of(step)[1]
        if given == self.bins.n_every:
            return 1.0
        return (self.bins.n_every - self.bins.n_one) / max(given - self.bins.n_one, 1)

    def run(self, step: str) -> Usage:
        """Run one step."""
        return self._run(step, self.bins_of(step)[0], self._out(step))

    def run_for_one_gene(self, step: str) -> Usage:
        """Run one step on the bins of one gene; its counts go nowhere."""
        return self._run(step, self.bins.one, self._work / "one-gene.counts")

    def _run(self, step: str, bins: Path, out: Path) -> Usage:
        variables = {**self._variables, "SUBSET": str(bins), "OUT": str(out)}
        return shell(STEPS[step].script, variables, name=step)

    def sorted_bam(self) -> Path:
        """Return where the reference path leaves its BAM."""
        return self._work / "sorted.bam"

    def counts(self, contestant: Contestant) -> Counts:
        """Read what a contestant counted: int64 (cells,), -1 where it was not asked.

        Raises
        ------
        StorageError
            It did not write what it should.
        BadDataError
            It did not count every bin it was given, or counted one twice.
        """
        step = contestant.steps[-1]
        try:
            cell, count = contestant.parse(self._out(step), self.bins).cast(pl.Int64).to_numpy().T
        except (OSError, pl.exceptions.PolarsError, ValueError) as error:
            said = str(error).splitlines()[0]
            raise StorageError(f"{contestant.name}: its output cannot be read ({said})") from error
        asked = self.bins_of(step)[1]
        if len(cell) != asked or len(np.unique(cell)) != asked or cell.min() < 0 or cell.max() >= self._cells:
            raise BadDataError(f"{contestant.name}: {len(cell):,} rows of counts for {asked:,} bins")
        counts = np.full(self._cells, -1, np.int64)
        counts[cell] = count
        return counts

    def _out(self, step: str) -> Path:
        return self._work / f"{list(STEPS).index(step)}.counts"


def installed(peer_python: str, without: tuple[str, ...]) -> tuple[list[Contestant], list[Missing], dict[str, str]]:
    """Tell which contestants can run, how to get the others, and the versions of the peers' packages.

    Contestants whose name holds a word of ``without`` stay out. A package that is there but cannot be
    imported counts as installed: it fails when it runs.
    """
    packages = _packages(peer_python)
    path = f"{Path(peer_python).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    there, missing = [], []
    for contestant in (REFERENCE, *PEERS):
        if any(word.lower() in contestant.name.lower() for word in without):
            continue
        absent = [program for program in contestant.programs if shutil.which(program, path=path) is None]
        if absent or not packages.keys() >= set(contestant.packages):
            missing.append(Missing(contestant.name, contestant.how))
        else:
            there.append(contestant)
    return there, missing, packages


def _packages(python: str) -> dict[str, str]:
    ask = """
import platform
from importlib import metadata
print("peers' Python", platform.python_version(), sep="\\t")
for name in ("deeptools", "polars-bio", "pyranges1"):
    try:
        print(name, metadata.version(name), sep="\\t")
    except metadata.PackageNotFoundError:
        pass
"""
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingInputError(f"--peer-python {python}: does not run as a Python ({error})") from error
    return dict(line.split("\t") for line in done.stdout.splitlines())
