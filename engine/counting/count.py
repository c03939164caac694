"""Count the reads of one file in the windows of genes."""

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepchrome.common.cores import check_threads, threads_per_file
from deepchrome.common.urls import hide_secrets
from deepchrome.engine.annotation.layout import BinValues, Layout
from deepchrome.engine.annotation.windows import Windows, window_index
from deepchrome.engine.counting.bigwig import SIGNAL_FORMAT, is_bigwig
from deepchrome.engine.counting.formats import BadItemError, Sequences, Target
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.pipeline import FilePipeline, ProgressCallback
from deepchrome.engine.kernels import Tally
from deepchrome.engine.streams.byte_streams import MeteredStream
from deepchrome.engine.streams.cram import CramStream
from deepchrome.engine.streams.inputs import is_cram, open_stream, translate_error
from deepchrome.engine.streams.sources import open_source
from deepchrome.errors import BadDataError

# Enough for the scaffolds of an assembly. A file of another kind may have a million names.
MAX_OFF_GENOME_NAMES = 1000


@dataclass(frozen=True)
class ReadTally:
    """The counts of one file of reads, and a summary of its reads.

    Attributes
    ----------
    counts
        Reads per gene and bin: uint32 (genes, bins), bins in genomic order. For a bigWig file, the mean signal of each
        bin: float32 (genes, bins); the other numbers are then 0.
    reads
        Number of reads: lines of a BED file that are not blank, comments or headers; or records of a BAM file that
        pass the filters.
    in_windows
        Reads that overlap at least one window.
    on_gene_chroms
        Reads on a chromosome that has a window.
    off_genome
        Number of reads on each chromosome that the genome does not have, by chromosome name. If there are more than
        1,000 such chromosomes, those with the most reads; the key ``""`` has the reads on all others.
    past_end
        Reads that end beyond the end of their chromosome.
    filtered
        BAM records left out: duplicates, QC failures, low mapping quality, not placed.
    min_length, mean_length, max_length
        Lengths of the reads along the reference, in bp.
    format
        ``BED``, ``BAM``, ``CRAM`` or ``bigWig``.
    bytes_read
        Size of the file as stored, in bytes.
    sha256
        SHA-256 of the file as stored, or None if it was not asked for.
    etag
        The ETag of an object at a URL, or the time of its last modification; None for files.
    seconds
        Wall-clock time.
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


def count_reads(
    path: str | Path,
    windows: Windows,
    threads: int = 1,
    *,
    unknown_chrom: str = "error",
    allow_empty: bool = False,
    allow_no_eof: bool = False,
    strand: str | None = None,
    min_mapq: int = 0,
    include_duplicates: bool = False,
    include_qc_fail: bool = False,
) -> BinValues:
    """Count reads per gene and bin, exactly as ``bedtools multicov`` does.

    Parameters
    ----------
    path
        The reads, in any order: tagAlign or other BED with three columns or more (plain, gzip or bgzip), BAM or
        CRAM. ``-`` is standard input. The format is detected from the content.
    windows
        n windows of bins, from :func:`tss_windows`.
    threads
        Number of threads, at most 256 or the number of usable cores, whichever is more. One thread decompresses gzip
        while the others count; all threads decompress bgzip.
    unknown_chrom, allow_empty, allow_no_eof, strand, min_mapq, include_duplicates, include_qc_fail
        See :class:`deepchrome.engine.counting.options.ReadOptions`.

    Returns
    -------
    uint32 array (n, bins)
        Bins in genomic order, whatever the strand of the gene. A bin counts each read that overlaps it by 1 bp or
        more. Bins completely outside their chromosome count 0. For a bigWig file: float32 array (n, bins), the mean
        signal of each bin; see :func:`deepchrome.engine.counting.signal.tally_signal`.

    Raises
    ------
    MissingInputError
        The file does not exist.
    BadDataError
        A line or record is not a read, the data are truncated or damaged, the genome does not have a chromosome of
        the reads, or there are no reads.
    StorageError
        The file cannot be read.
    ParameterError
        An option has a value that is not valid.
    """
    options = ReadOptions(
        unknown_chrom, allow_empty, allow_no_eof, strand, min_mapq, include_duplicates, include_qc_fail
    )
    return tally_reads(path, windows, threads, options).counts


def tally_reads(
    path: str | Path,
    windows: Windows,
    threads: int = 1,
    options: ReadOptions | None = None,
    *,
    hashed: bool = False,
    progress: ProgressCallback | None = None,
) -> ReadTally:
    """Count reads as :func:`count_reads` does, and summarize them. It raises the same errors.

    Parameters
    ----------
    path, windows, threads
        As in :func:`count_reads`.
    options
        Options that select the reads to count and the unusual files to accept.
    hashed
        Whether to compute the SHA-256 of the file.
    progress
        Called after each block of the file with the bytes read and the lines or records counted so far, by one thread
        at a time.
    """
    options = options or ReadOptions()
    options.check()
    check_threads(threads)
    if is_bigwig(str(path)):
        return _tally_signal(path, windows, options, hashed, progress)
    began = time.perf_counter()
    index = window_index(windows, options.strand)
    sequences = Sequences([*windows.genome.sizes], index)
    target = Target(sequences, index, windows.n_bins, windows.bin_size, options)
    name = str(path)
    with ExitStack() as resources:
        try:
            cram = CramStream(name, options.allow_no_eof) if is_cram(name) else None
            stream = resources.enter_context(closing(cram or open_stream(name)))
            meter = resources.enter_context(closing(MeteredStream(stream, hashed and not cram)))
            pipeline = FilePipeline(open_source(meter, options.allow_no_eof), target, meter, progress)
            pipeline.run(threads_per_file(threads))
            facts: dict[str, Any] = {"bytes_read": meter.bytes_read, "sha256": meter.sha256(), "etag": meter.etag()}
            if cram:  # the decoder read the file itself, so its bytes have not passed through the meter
                records = sum(counter.total(Tally.LINES) for counter in pipeline.counters)
                stored = cram.check(records, hashed)
                facts |= {"bytes_read": stored.bytes_read, "sha256": stored.sha256}
            facts["format"] = "CRAM" if cram else pipeline.format.name if pipeline.format else ""
            return _summarize(pipeline, windows, **facts, seconds=time.perf_counter() - began)
        except BadItemError as error:
            raise BadDataError(error.message(hide_secrets(name))) from error
        except Exception as error:
            raise translate_error(error, name) from error


def _tally_signal(
    path: str | Path, windows: Windows, options: ReadOptions, hashed: bool, progress: ProgressCallback | None
) -> ReadTally:
    """Average the signal of a bigWig file. It has no reads."""
    from deepchrome.engine.counting.signal import tally_signal

    width = 2 * windows.flank
    strand = np.zeros(len(windows.start), np.int8)
    layout = Layout(
        windows.genome, windows.chrom_id, windows.start, windows.start + width, windows.n_bins, strand, "genes"
    )
    signal = tally_signal(path, layout, options, hashed=hashed, progress=progress)
    return ReadTally(
        counts=signal.values,
        reads=0,
        in_windows=0,
        on_gene_chroms=0,
        off_genome=dict.fromkeys(signal.off_genome, 0),
        past_end=0,
        filtered=0,
        min_length=0,
        mean_length=0.0,
        max_length=0,
        format=SIGNAL_FORMAT,
        bytes_read=signal.bytes_read,
        sha256=signal.sha256,
        etag=None,
        seconds=signal.seconds,
    )


def _summarize(pipeline: FilePipeline, windows: Windows, **facts: Any) -> ReadTally:
    """Add up what all threads counted. ``facts`` are the other attributes of the result."""
    options, sequences, counters = pipeline.target.options, pipeline.target.sequences, pipeline.counters
    tallies = [counter.totals.tally for counter in counters]
    sums = np.sum(tallies, axis=0) if counters else np.zeros(len(Tally), np.int64)
    reads_on = np.zeros(len(sequences.names), np.int64)
    for counter in counters:
        np.add.at(reads_on, counter.sequences, counter.totals.reads_on[: len(counter.sequences)])
    reads = int(reads_on.sum())
    if reads == 0 and not options.allow_empty:  # guard: no-reads
        raise BadDataError("no reads in this file", remedy="allow_empty")
    unknown = {
        sequences.names[i].decode("utf-8", "backslashreplace"): int(reads_on[i])
        for i in range(sequences.n_known, len(reads_on))
        if reads_on[i]
    }
    if unknown and options.unknown_chrom == "error":  # guard: unknown-chromosomes
        raise BadDataError(_describe_unknown(unknown, reads, windows), remedy="unknown_chrom")
    gene_chroms = np.unique(windows.chrom_id[windows.chrom_id >= 0])
    return ReadTally(
        counts=_add_counts(pipeline, windows),
        reads=reads,
        in_windows=int(sums[Tally.IN_WINDOWS]),
        on_gene_chroms=int(reads_on[gene_chroms].sum()),
        off_genome=_keep_largest(unknown),
        past_end=int(sums[Tally.PAST_END]),
        filtered=int(sums[Tally.FILTERED]),
        min_length=min((int(tally[Tally.MIN_LENGTH]) for tally in tallies), default=0) if reads else 0,
        mean_length=float(sums[Tally.SUM_LENGTH]) / reads if reads else 0.0,
        max_length=max((int(tally[Tally.MAX_LENGTH]) for tally in tallies), default=0),
        **facts,
    )


def _add_counts(pipeline: FilePipeline, windows: Windows) -> npt.NDArray[np.uint32]:
    counts = np.zeros((len(windows.genes), windows.n_bins), np.uint32)
    for counter in pipeline.counters:
        counter.add_to(counts)
    if len(windows.outside):
        counts[windows.outside] *= ~windows.outside_bins()
    return counts


def _keep_largest(reads_on: Mapping[str, int]) -> dict[str, int]:
    """Return the reads on the chromosomes with the most reads; the key ``""`` has those on all others, if any."""
    names = _most_reads_first(reads_on)
    kept = {name: reads_on[name] for name in names[:MAX_OFF_GENOME_NAMES]}  # guard: off-genome-names
    rest = sum(reads_on[name] for name in names[MAX_OFF_GENOME_NAMES:])
    return kept | {"": kept.get("", 0) + rest} if rest else kept


def _most_reads_first(reads_on: Mapping[str, int]) -> list[str]:
    """Sort names in an order that does not depend on which thread found them first."""
    return sorted(reads_on, key=lambda name: (-reads_on[name], name))


def _describe_unknown(unknown: Mapping[str, int], reads: int, windows: Windows) -> str:
    """Return a message about reads on chromosomes that the genome does not have."""
    names = _most_reads_first(unknown)
    shown = ", ".join(f"{name!r} ({unknown[name]:,} reads)" for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    known = list(windows.genome.sizes)
    return (
        f"{sum(unknown.values()):,} of {reads:,} reads lie on chromosomes that {windows.genome.name} does not have: "
        f"{shown}{more}. Its names are like {known[0]!r}. Use the genome of these reads"
    )
