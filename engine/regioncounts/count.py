"""Count many files of reads in the same regions."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepchrome.common.cores import check_threads, usable_cores
from deepchrome.common.progress import Observer
from deepchrome.common.threads import map_in_threads
from deepchrome.common.urls import hide_secrets, is_url
from deepchrome.engine.annotation.genome import Genome, read_genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.annotation.regions import Regions, read_regions
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.regioncounts.columns import column_names
from deepchrome.engine.regioncounts.result import Column, RegionCounts
from deepchrome.engine.regioncounts.table import region_column_names
from deepchrome.errors import BadDataError, MissingInputError, UsageError


class CountObserver(Observer):
    """Receive progress events of :func:`count_files`. Override the methods you need; any thread may call them."""

    def on_progress(self, path: str, bytes_read: int, lines: int) -> None:
        """Receive the number of bytes read from a file so far, and the number of lines or records counted."""

    def on_finish(self, path: str, tally: ReadTally) -> None:
        """Receive the summary of a file that is counted."""


def count_files(
    paths: Sequence[str | Path],
    regions: Regions,
    genome: Genome,
    options: ReadOptions | None = None,
    *,
    threads: int | None = None,
    jobs: int | None = None,
    hashed: bool = True,
    observer: CountObserver | None = None,
) -> RegionCounts:
    """Count the reads of several files in the same regions. One file that fails ends the whole count.

    Parameters
    ----------
    paths
        Files of reads, URLs (http, https, s3), or ``-`` for standard input. See
        :func:`deepchrome.engine.counting.count.count_reads` for the formats.
    regions
        The n regions. They may overlap, repeat, and come in any order.
    genome
        Names and lengths of the chromosomes.
    options
        Which reads count.
    threads
        Total number of threads. The default is the number of usable cores.
    jobs
        Number of files to count at a time. The default is the number of threads.
    hashed
        Whether to compute the SHA-256 of each file.
    observer
        Receives progress and summaries.

    Raises
    ------
    UsageError
        No file is given, a file is given twice, or an option is not valid.
    MissingInputError, BadDataError, StorageError
        A file cannot be read or is not valid (see :func:`~deepchrome.engine.counting.count.count_reads`); or no region
        lies on a chromosome of the genome.
    """
    options, observer = options or ReadOptions(), observer or CountObserver()
    options.check()
    check_threads(threads)
    names_of_files = [str(path) for path in paths]
    check_read_files(names_of_files)
    layout = place_regions(regions, genome, options)
    threads = threads or usable_cores()
    jobs = min(jobs or threads, threads, len(paths))
    stop = threading.Event()

    def report(path: str, bytes_read: int, lines: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        observer.on_progress(path, bytes_read, lines)

    def count_one(path: str) -> tuple[Column, ReadTally]:
        progress = partial(report, path)
        tally = tally_reads(path, layout, max(1, threads // jobs), options, hashed=hashed, progress=progress)
        column = tally.counts[:, 0]
        return column, replace(tally, counts=tally.counts[:0].copy())

    def cancel() -> None:
        stop.set()
        _cancel_requests(names_of_files)

    # The largest first, so that no thread ends long after the others.
    ordered = sorted(names_of_files, key=_size, reverse=True)
    values = map_in_threads(
        count_one, ordered, jobs, on_value=lambda path, value: observer.on_finish(path, value[1]), cancel=cancel
    )
    counted = dict(zip(ordered, values, strict=True))
    columns, tallies = zip(*(counted[path] for path in names_of_files), strict=True)
    names = column_names(names_of_files, region_column_names(regions))
    off_genome = np.flatnonzero(layout.chrom_id < 0)
    return RegionCounts(regions, genome, options, tuple(names_of_files), names, columns, tallies, off_genome)


def count_regions(
    paths: Sequence[str | Path] | str | Path,
    regions: Regions | str | Path,
    genome: Genome | str | Path,
    *,
    feature: str | None = None,
    threads: int | None = None,
    **options: Any,
) -> npt.NDArray[Any]:
    """Count the reads of one or more files in regions, exactly as ``bedtools multicov`` does.

    Parameters
    ----------
    paths
        Files of reads: BED, BAM, CRAM or bigWig, in any order; URLs; or ``-`` for standard input.
    regions
        n regions, or a BED, GTF or GFF3 file for :func:`deepchrome.read_regions`. Regions may overlap, repeat, and
        come in any order. Coordinates are 0-based and half-open, in bp.
    genome
        A genome, or a name or path for :func:`deepchrome.read_genome`.
    feature
        The feature type to count in, such as ``exon``, if ``regions`` is a GTF or GFF3 file.
    threads
        Total number of threads. The default is the number of usable cores.
    options
        Attributes of :class:`deepchrome.engine.counting.options.ReadOptions`, such as ``min_mapq=30``.

    Returns
    -------
    uint32 array (n, files)
        The reads in each region. For bigWig files float32: the mean signal over all bases of the region. If there are
        both kinds of files, float64.

    Raises
    ------
    DeepchromeError
        See :func:`count_files`, :func:`deepchrome.read_regions` and :func:`deepchrome.read_genome`.
    """
    files = [paths] if isinstance(paths, str | Path) else paths
    genome = genome if isinstance(genome, Genome) else read_genome(genome)
    regions = regions if isinstance(regions, Regions) else read_regions(regions, feature)
    return count_files(files, regions, genome, ReadOptions(**options), threads=threads, hashed=False).counts


def check_read_files(paths: Sequence[str]) -> None:
    """Check files of reads before work starts.

    Raises
    ------
    UsageError
        There is none, one is a directory, or a file is given twice.
    MissingInputError
        A file does not exist.
    """
    if not paths:
        raise UsageError("no files of reads are given. Give at least one")
    seen: dict[object, str] = {}
    for path in paths:
        shown = hide_secrets(path)
        if path != "-" and not is_url(path) and not Path(path).exists():
            raise MissingInputError(f"{shown}: no such file")
        if path != "-" and Path(path).is_dir():
            raise UsageError(f"{shown}: is a directory. Give the files in it, such as {Path(path) / '*.bam'}")
        identity = _identity(path)
        if identity in seen:  # guard: same-reads-twice
            raise UsageError(f"{shown}: the same reads are given twice (also by {seen[identity]}). Give each file once")
        seen[identity] = shown


def place_regions(regions: Regions, genome: Genome, options: ReadOptions) -> Layout:
    """Return the layout of the regions on the genome.

    Raises
    ------
    BadDataError
        No region lies on a chromosome of the genome, or ``options.split`` is used and the blocks of a region are not
        valid.
    """
    layout = regions.layout(genome, options.aliases, in_blocks=options.split)
    if not (layout.chrom_id >= 0).any():  # guard: regions-off-genome
        raise BadDataError(
            f"{regions.source}: no region lies on a chromosome of {genome.name} (the regions have "
            f"{regions.chrom_names[0]!r}, the genome {next(iter(genome.sizes))!r}). Use regions and a genome of the "
            "same build"
        )
    return layout


def _identity(path: str) -> object:
    """Return what is equal for two paths of the same file."""
    if path == "-" or is_url(path):
        return path
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _size(path: str) -> int:
    """Return the size of a file in bytes; 0 if it is unknown."""
    return Path(path).stat().st_size if path != "-" and not is_url(path) else 0


def _cancel_requests(paths: Sequence[str]) -> None:
    """Cancel pending requests to servers."""
    if any(map(is_url, paths)):
        from deepchrome.engine.streams.remote import cancel_pending

        cancel_pending()
