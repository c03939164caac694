"""The result of counting one file of reads."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.layout import BinValues
from deepchrome.engine.counting.build_check import check_positions
from deepchrome.engine.counting.formats import Counter, Integers, Sequences
from deepchrome.engine.counting.pipeline import FilePipeline
from deepchrome.engine.counting.positions import PositionSampler
from deepchrome.engine.counting.quality import ReadQuality
from deepchrome.engine.kernels import MAX_LENGTH, Tally
from deepchrome.errors import BadDataError

# Why records and lines are left out, by their names in ``ReadQuality.filtered``.
_REASONS: Final = {
    "unplaced": Tally.UNPLACED,
    "improper_pair": Tally.IMPROPER,
    "duplicate": Tally.DUPLICATE,
    "qc_fail": Tally.QC_FAIL,
    "low_mapq": Tally.LOW_MAPQ,
    "not_fragment": Tally.NOT_FRAGMENT,
    "shifted_off": Tally.OFF_END,
    "blacklisted": Tally.BLACKLISTED,
}
# These were reads of the file, and are among ``ReadTally.reads``.
_STILL_READS: Final = (Tally.OFF_END, Tally.BLACKLISTED)
# Enough for the scaffolds of an assembly. A file of another kind may have a million names.
MAX_OFF_GENOME_NAMES = 1000


@dataclass(frozen=True)
class ReadTally:
    """The counts of one file of reads, and a summary of its reads.

    Attributes
    ----------
    counts
        Reads per row and bin: uint32 (rows, bins), bins in genomic order. A row is a gene or a region. For a bigWig
        file, the mean signal of each bin: float32 (rows, bins); the other numbers are then 0.
    reads
        Number of reads: lines of a BED file that are not blank, comments or headers; or records of a BAM file that
        pass the filters. With ``fragments``, the number of fragments.
    in_windows
        Reads that count in at least one window or region.
    on_gene_chroms
        Reads on a chromosome that has a window or region.
    off_genome
        Number of reads on each chromosome that the genome does not have, by chromosome name. If there are more than
        1,000 such chromosomes, those with the most reads; the key ``""`` has the reads on all others.
    past_end
        Reads that end beyond the end of their chromosome.
    filtered
        BAM records left out: duplicates, QC failures, low mapping quality, not placed, and others.
    min_length, mean_length, max_length
        Lengths of the reads along the reference, in bp.
    format
        ``BED``, ``BEDPE``, ``BAM``, ``CRAM`` or ``bigWig``.
    bytes_read
        Size of the file as stored, in bytes.
    sha256
        SHA-256 of the file as stored, or None if it was not asked for.
    etag
        The ETag of an object at a URL, or the time of its last modification; None for files.
    seconds
        Wall-clock time.
    renamed
        Other names of chromosomes that reads have, and the genome's name for each of them.
    quality
        What was left out and why, strands, lengths, chromosomes, and the complexity of the library.
    """

    counts: BinValues = field(repr=False)
    reads: int
    in_windows: int
    on_gene_chroms: int
    off_genome: Mapping[str, int]
    past_end: int
    filtered: int
    min_length: int
    mean_length: float
    max_length: int
    format: str
    bytes_read: int
    sha256: str | None
    etag: str | None
    seconds: float
    renamed: Mapping[str, str] = field(default_factory=dict, repr=False)
    quality: ReadQuality | None = field(default=None, repr=False)


def summarize(pipeline: FilePipeline, **facts: Any) -> ReadTally:
    """Add up what all threads counted. ``facts`` are the other attributes of the result."""
    options, sequences, counters = pipeline.target.options, pipeline.target.sequences, pipeline.counters
    layout = pipeline.target.index.layout
    sums, lengths = np.zeros(len(Tally), np.int64), np.zeros(MAX_LENGTH + 1, np.int64)
    for counter in counters:
        sums += counter.totals.tally
        lengths += counter.totals.lengths
    by_name, reads_on = _add_sequences(sequences, counters)
    reads = int(by_name.sum())
    if reads == 0 and not options.allow_empty:  # guard: no-reads
        raise BadDataError(_describe_empty(sums), remedy="allow_empty")
    _check_aliases(sequences, by_name)
    unknown = {
        sequences.names[i].decode("utf-8", "backslashreplace"): int(by_name[i])
        for i in range(sequences.n_known, len(by_name))
        if by_name[i] and sequences.known_id(i) is None
    }
    if unknown and options.unknown_chrom == "error":  # guard: unknown-chromosomes
        raise BadDataError(_describe_unknown(unknown, reads, layout.genome), remedy="unknown_chrom")
    # The header of a BAM file has been checked, and says more than positions.
    is_text = pipeline.format is None or pipeline.format.name != "BAM"
    if is_text and options.build_check and options.unknown_chrom != "bedtools":
        check_positions(pipeline.target, reads_on)
    found, n_long = np.flatnonzero(lengths[:-1]), int(lengths[-1])
    sum_length = int(lengths[:-1] @ np.arange(MAX_LENGTH)) + int(sums[Tally.LONG_SUM])
    longest = max((counter.total(Tally.LONG_MAX) for counter in counters), default=0)
    shortest_long = min((counter.total(Tally.LONG_MIN) for counter in counters), default=0)
    return ReadTally(
        counts=Counter.counts(counters, pipeline.target.index),
        reads=reads,
        in_windows=int(sums[Tally.IN_REGIONS]),
        on_gene_chroms=int(reads_on[layout.chroms_in_use, 0].sum()),
        off_genome=_keep_largest(unknown),
        past_end=int(reads_on[:, 1].sum()),
        filtered=sum(int(sums[kind]) for kind in _REASONS.values() if kind not in _STILL_READS),
        min_length=int(found[0]) if len(found) else shortest_long if n_long else 0,
        mean_length=sum_length / reads if reads else 0.0,
        max_length=longest if n_long else int(found[-1]) if len(found) else 0,
        renamed=_renamed(sequences, by_name),
        quality=_quality(pipeline, sums, lengths, reads_on),
        **facts,
    )


def _add_sequences(sequences: Sequences, counters: Collection[Counter]) -> tuple[Integers, Integers]:
    """Add up the reads on each sequence over all threads.

    Returns
    -------
    by_name : int64 array (names,)
        Reads on each name.
    on_genome : int64 array (chromosomes, 4)
        Reads on each chromosome of the genome, under all its names; those that end past its end; those that start past
        its end; and the furthest end of these.
    """
    by_name, on_genome = np.zeros(len(sequences.names), np.int64), np.zeros((sequences.n_known, 4), np.int64)
    for counter in counters:
        ids = np.array(counter.sequences, np.int64)
        np.add.at(by_name, ids, counter.totals.reads_on[: len(ids)])
        for local in np.flatnonzero(counter.totals.past_end[: len(ids), 0]):
            known = sequences.known_id(int(ids[local]))
            if known is not None:
                past, beyond, furthest = counter.totals.past_end[local]
                on_genome[known, 1:] += past, beyond, 0
                on_genome[known, 3] = max(on_genome[known, 3], furthest)
    on_genome[:, 0] = by_name[: sequences.n_known]
    for alias, known in sequences.alias_of.items():
        on_genome[known, 0] += by_name[alias]
    return by_name, on_genome


def _renamed(sequences: Sequences, reads_on: Integers) -> dict[str, str]:
    """Return the genome's name for each other name with reads, in the order of the genome."""
    found = sorted((known, alias) for alias, known in sequences.alias_of.items() if reads_on[alias])
    names = [name.decode("utf-8", "backslashreplace") for name in sequences.names]
    return {names[alias]: names[known] for known, alias in found}


def _check_aliases(sequences: Sequences, reads_on: Integers) -> None:
    """Refuse reads of which some have a name of the genome and others another name that was only guessed."""
    if not sequences.guesses_aliases:
        return
    direct = [i for i in range(sequences.n_known) if reads_on[i]]
    guessed = [i for i in sequences.alias_of if reads_on[i]]
    if direct and guessed:  # guard: mixed-names
        one, other = (sequences.names[found[0]].decode("utf-8", "replace") for found in (direct, guessed))
        raise BadDataError(
            f"names of chromosomes of two kinds: {one!r} and {other!r}. Rename them, or use a table of names",
            remedy="aliases_file",
        )


def _quality(pipeline: FilePipeline, sums: Integers, lengths: Integers, reads_on: Integers) -> ReadQuality:
    counters, names = pipeline.counters, [*pipeline.target.index.layout.genome.sizes]
    is_alignment = pipeline.format is not None and pipeline.format.name == "BAM"
    has_strands = any(counter.has_strands for counter in counters)
    in_regions, reverse = int(sums[Tally.IN_REGIONS]), int(sums[Tally.REVERSE])
    for counter in counters:
        counter.finish()
    sampler = PositionSampler.joined(counter.positions for counter in counters)
    is_complete = not any(counter.lost_positions for counter in counters)
    return ReadQuality(
        filtered={name: int(sums[kind]) for name, kind in _REASONS.items() if sums[kind]},
        duplicates=int(sums[Tally.DUPLICATES]) if is_alignment else None,
        forward=in_regions - reverse if has_strands else 0,
        reverse=reverse if has_strands else 0,
        lengths=lengths,
        reads_on={name: int(n) for name, n in zip(names, reads_on[:, 0], strict=True) if n},
        positions=sampler.sample(in_regions) if is_complete else None,
    )


def _describe_empty(sums: Integers) -> str:
    """Return a message about a file without reads."""
    if left_out := int(sums[Tally.NOT_FRAGMENT]):
        return f"no fragments in this file: none of its {left_out:,} reads or pairs stands for one"
    return "no reads in this file"


def _keep_largest(reads_on: Mapping[str, int]) -> dict[str, int]:
    """Return the reads on the chromosomes with the most reads; the key ``""`` has those on all others, if any."""
    names = _most_reads_first(reads_on)
    kept = {name: reads_on[name] for name in names[:MAX_OFF_GENOME_NAMES]}  # guard: off-genome-names
    rest = sum(reads_on[name] for name in names[MAX_OFF_GENOME_NAMES:])
    return kept | {"": kept.get("", 0) + rest} if rest else kept


def _most_reads_first(reads_on: Mapping[str, int]) -> list[str]:
    """Sort names in an order that does not depend on which thread found them first."""
    return sorted(reads_on, key=lambda name: (-reads_on[name], name))


def _describe_unknown(unknown: Mapping[str, int], reads: int, genome: Genome) -> str:
    """Return a message about reads on chromosomes that the genome does not have."""
    names = _most_reads_first(unknown)
    shown = ", ".join(f"{name!r} ({unknown[name]:,} reads)" for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    known = list(genome.sizes)
    return (
        f"{sum(unknown.values()):,} of {reads:,} reads lie on chromosomes that {genome.name} does not have: "
        f"{shown}{more}. Its names are like {known[0]!r}. Use the genome of these reads"
    )
