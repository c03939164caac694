"""Average the signal of a bigWig file in bins.

The value of a bin is the sum of the signal over its bases, divided by the width of the bin. Bases without data, and
bases outside the chromosome, add 0 and stay in the denominator. docs/definitions.md compares this with other programs.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.builds import matching_builds
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.counting.bigwig import BigWig, damaged, open_bigwig
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.pipeline import ProgressCallback
from deepchrome.engine.counting.signal_bins import mean_of_bins
from deepchrome.engine.streams.inputs import translate_error
from deepchrome.errors import BadDataError, UsageError

# A file with a smaller share of its bases on chromosomes with rows is probably from another genome build.
MIN_SHARE_ON_CHROMS: Final = 0.01  # guard: min-share-on-chroms
# Options that also apply to signal. All others select or change reads, and signal has none.
_SIGNAL_OPTIONS: Final = ("unknown_chrom", "allow_empty", "allow_no_eof", "allow_few", "aliases", "build_check")
# The check of the whole file asks for so many bases at a time.
_CHECKED_BASES: Final = 1 << 24


@dataclass(frozen=True)
class SignalTally:
    """The signal of one bigWig file in bins, and a summary of the file.

    Attributes
    ----------
    values
        Mean signal per row and bin over all bases of the bin: float32 (rows, bins), bins in genomic order.
    bases
        Number of bases with data in the file.
    off_genome
        Number of bases with data on each chromosome that the genome does not have, by chromosome name.
    bytes_read
        Size of the file in bytes.
    sha256
        SHA-256 of the file, or None if it was not asked for.
    seconds
        Wall-clock time.
    """

    values: npt.NDArray[np.float32] = field(repr=False)
    bases: int
    off_genome: Mapping[str, int]
    bytes_read: int
    sha256: str | None
    seconds: float


def tally_signal(
    path: str | Path,
    layout: Layout,
    options: ReadOptions | None = None,
    *,
    rename: Callable[[str], str | None] | None = None,
    build_check: bool = True,
    hashed: bool = False,
    progress: ProgressCallback | None = None,
) -> SignalTally:
    """Average the signal of a bigWig file in the bins of a layout.

    Parameters
    ----------
    path
        A bigWig file. URLs and standard input are refused, because the file is not read from its beginning to its end.
    layout
        n rows of bins.
    options
        Of these options, only ``unknown_chrom``, ``allow_empty`` and ``allow_few`` have a meaning here: bases with data
        take the place of reads. With ``bedtools``, data on unknown chromosomes are left out, as with ``skip``.
    rename
        Returns the genome's name for a chromosome that the genome does not have under this name, or None.
    build_check
        Refuse a file whose chromosomes have other lengths than those of the genome. Chromosomes without rows or data
        are not compared.
    hashed
        Whether to compute the SHA-256 of the file.
    progress
        Called from time to time with the share of the file that is done, in bytes, and 0.

    Returns
    -------
    SignalTally
        ``values`` is float32 (n, bins). Sums are computed with float64. A row of no width is taken as the two bases
        around it, as for reads.

    Raises
    ------
    MissingInputError
        The file does not exist, or is a URL or standard input.
    BadDataError
        The file is damaged or truncated, a value is not finite, the genome does not have a chromosome with data or
        has it with another length, there are no data, or too few on the chromosomes of the rows.
    UsageError
        An option that selects or changes reads is set.
    NotInstalledError
        pybigtools is not installed.
    StorageError
        The file cannot be read.
    """
    began = time.perf_counter()
    name, options = str(path), options or ReadOptions()
    options.check()
    try:
        _check_options(options)
        with open_bigwig(name) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest() if hashed else None
            track = BigWig(file)
            steps = _Steps(track, progress)
            bases = _count_bases(track, steps)
            source_of, off_genome = _match_chroms(track, bases, layout, options, rename, build_check)
            _check_amount(bases, source_of, layout, options)
            values = mean_of_bins(track, source_of, layout, steps.add)
            total = sum(bases.values())
            return SignalTally(values, total, off_genome, track.size, sha256, time.perf_counter() - began)
    except Exception as error:
        raise translate_error(error, name) from error


def _check_options(options: ReadOptions) -> None:
    changed = [
        option.name
        for option in fields(options)
        if option.name not in _SIGNAL_OPTIONS and getattr(options, option.name) != option.default
    ]
    if changed:  # guard: reads-options-on-signal
        raise UsageError(
            f"a bigWig file has signal and no reads, so {', '.join(changed)} cannot apply to it. Count this file "
            "in a call without these options"
        )


class _Steps:
    """Reports progress: half for the check of the file, half for the rows."""

    def __init__(self, track: BigWig, progress: ProgressCallback | None) -> None:
        self._bytes_per_base = track.size / 2 / max(1, sum(track.chroms.values()))
        self._size, self._progress, self._done = track.size, progress, 0.0

    def add(self, bases: int) -> None:
        self._done += bases * self._bytes_per_base
        if self._progress:
            self._progress(min(self._size, int(self._done)), 0)


def _count_bases(track: BigWig, steps: _Steps) -> dict[str, int]:
    """Read the whole file once, and return the number of bases with data on each chromosome.

    Raises
    ------
    BadDataError
        A value is NaN or infinite, or the file has fewer data than its header states.
    """
    bases = dict.fromkeys(track.chroms, 0)
    for chrom, length in track.chroms.items():
        for start in range(0, length, _CHECKED_BASES):
            end = min(start + _CHECKED_BASES, length)
            bases[chrom] += int(track.total("bases_covered", chrom, start, end))
            # A NaN or an infinity anywhere makes the sum NaN or infinite. Finite float32 values cannot.
            if not np.isfinite(track.total("sum", chrom, start, end)):  # guard: finite-signal
                raise BadDataError(
                    f"a value on {chrom}, in bases {start:,} to {end:,}, is not a finite number. Write the file "
                    "without such values"
                )
            steps.add(end - start)
    if (total := sum(bases.values())) < track.least_bases:  # guard: bases-with-data
        raise damaged(f"{total:,} bases with data, but the header states {track.least_bases:,} or more")
    return bases


def _match_chroms(
    track: BigWig,
    bases: Mapping[str, int],
    layout: Layout,
    options: ReadOptions,
    rename: Callable[[str], str | None] | None,
    build_check: bool,
) -> tuple[dict[str, str], dict[str, int]]:
    """Return the file's name of each chromosome of the genome, and the bases with data on all others."""
    genome, in_use = layout.genome, _chroms_of(layout)
    source_of: dict[str, str] = {}
    off_genome: dict[str, int] = {}
    for chrom, n_bases in bases.items():
        if not n_bases:
            continue
        target = chrom if chrom in genome.sizes else rename(chrom) if rename else None
        if target is None:
            off_genome[chrom] = n_bases
            continue
        if (other := source_of.setdefault(target, chrom)) != chrom:  # guard: signal-of-two-chromosomes
            raise BadDataError(f"{other} and {chrom} are both names of {target}. Give each chromosome one name")
        if build_check and target in in_use and track.chroms[chrom] != genome.sizes[target]:  # guard: signal-build
            builds = matching_builds(track.chroms)
            advice = (
                f"The lengths are those of {builds[0]}: use that genome" if builds else "Use the genome of this file"
            )
            raise BadDataError(
                f"{chrom} has {track.chroms[chrom]:,} bp in this file and {genome.sizes[target]:,} bp in "
                f"{genome.name}. {advice}",
                remedy="build_check",
            )
    if off_genome and options.unknown_chrom == "error":  # guard: unknown-chromosomes-of-signal
        names = sorted(off_genome, key=lambda name: (-off_genome[name], name))
        shown = ", ".join(f"{name!r} ({off_genome[name]:,} bases)" for name in names[:5])
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise BadDataError(
            f"{sum(off_genome.values()):,} of {sum(bases.values()):,} bases with data lie on chromosomes that "
            f"{genome.name} does not have: {shown}{more}. Its names are like {next(iter(genome.sizes))!r}. Use the "
            "genome of this file",
            remedy="unknown_chrom",
        )
    return source_of, off_genome


def _chroms_of(layout: Layout) -> list[str]:
    """Return the chromosomes that have rows."""
    names = [*layout.genome.sizes]
    return [names[i] for i in np.flatnonzero(layout.chroms_in_use)]


def _check_amount(bases: Mapping[str, int], source_of: Mapping[str, str], layout: Layout, options: ReadOptions) -> None:
    """Refuse a file without data, or without data near the rows: all values would be 0 without an error."""
    total = sum(bases.values())
    if total == 0 and not options.allow_empty:  # guard: no-signal
        raise BadDataError("no data in this file", remedy="allow_empty")
    used = _chroms_of(layout)
    near = sum(bases[source_of[name]] for name in used if name in source_of)
    if near < MIN_SHARE_ON_CHROMS * total and not options.allow_few and options.unknown_chrom != "bedtools":
        shown = f"{', '.join(used[:5])}{', ...' if len(used) > 5 else ''}"
        raise BadDataError(
            f"only {near:,} of {total:,} bases with data lie on the chromosomes of the {layout.what} ({shown}). Use "
            f"signal, {layout.what} and a genome of the same build",
            remedy="allow_few",
        )
