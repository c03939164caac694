"""One file of reads to counts: blocks of bytes, shared out to threads, through the kernels.

Blocks are taken in the order of the file, completed in any thread, cut after their last whole line or
record in the order of the file again, and counted in any thread. Each thread has its own counts, added
up at the end, so the order of counting does not matter and nothing held grows with the number of reads.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepchrome.engine import kernels
from deepchrome.engine.annotation.windows import Windows, window_index
from deepchrome.engine.counting.formats import BadPieceError, Counter, Format, Sequences, Target, detect
from deepchrome.engine.counting.options import STRANDS, UNKNOWN_CHROM, ReadOptions
from deepchrome.engine.streams.blocks import Block
from deepchrome.engine.streams.byte_streams import MeteredStream
from deepchrome.engine.streams.cram import CramStream
from deepchrome.engine.streams.inputs import is_cram, open_stream, translate_error
from deepchrome.engine.streams.sources import Source, open_source
from deepchrome.errors import BadDataError, UsageError

ProgressCallback = Callable[[int, int], None]
"""Called with the bytes read and the lines or records counted so far."""


@dataclass(frozen=True)
class ReadTally:
    """What one file of reads came to.

    Attributes
    ----------
    counts
        Reads per gene and bin: uint32 (genes, bins), bins in genomic order.
    reads
        Reads that count: all lines of a BED file, the records of a BAM file that pass the filters.
    in_windows
        Those that overlap at least one window.
    on_gene_chroms
        Those on a chromosome that has a window.
    off_genome
        Reads by the name of each chromosome that the genome lacks.
    past_end
        Reads that end beyond their chromosome's end.
    filtered
        BAM records left out: duplicates, QC failures, low mapping quality, unplaced.
    min_length, mean_length, max_length
        Of the reads, in bp along the reference.
    format
        ``BED``, ``BAM`` or ``CRAM``.
    bytes_read
        Size of the input as stored.
    sha256
        Of the input as stored, if it was asked for.
    etag
        Of the object at a URL, as its server has it: its ETag, or when it was last modified.
    seconds
        Wall-clock time.
    """

    counts: npt.NDArray[np.uint32] = field(repr=False)
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
) -> npt.NDArray[np.uint32]:
    """Count reads per gene and bin, exactly as ``bedtools multicov`` does.

    Parameters
    ----------
    path
        tagAlign or any BED of three columns or more (plain, gzip, bgzip), BAM or CRAM, in any order;
        ``-`` is standard input. What it is, its content tells.
    windows
        n windows of bins, from :func:`tss_windows`.
    threads
        Threads to use. Gzip inflates in one of them while others count; bgzip inflates in all.
    unknown_chrom, allow_empty, allow_no_eof, strand, min_mapq, include_duplicates, include_qc_fail
        See :class:`deepchrome.engine.counting.formats.ReadOptions`.

    Returns
    -------
    uint32 array (n, bins)
        Bins in genomic order, whatever the gene's strand. A bin counts each read that
        overlaps it by 1 bp or more; bins wholly outside their chromosome count 0.

    Raises
    ------
    MissingInputError
        No such file.
    BadDataError
        A line or record that is none, truncated or damaged data, a chromosome the genome lacks, no reads.
    StorageError
        Reading failed.
    UsageError
        An option has no such value.
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
    """Count reads as :func:`count_reads` does, and say what the file came to.

    Parameters
    ----------
    path, windows, threads
        As for :func:`count_reads`.
    options
        Which reads count, and what is let pass.
    hashed
        Whether to hash the bytes of the file on the way.
    progress
        Called now and then, from any thread but one at a time.
    """
    options = options or ReadOptions()
    if options.unknown_chrom not in UNKNOWN_CHROM:
        raise UsageError(f"unknown_chrom={options.unknown_chrom!r}: choose one of {', '.join(UNKNOWN_CHROM)}")
    if options.strand not in STRANDS:
        raise UsageError(f"strand={options.strand!r}: choose same or opposite, or None for both")
    if threads < 1:
        raise UsageError(f"threads={threads}: at least 1 is needed")
    began = time.perf_counter()
    index = window_index(windows, options.strand)
    sequences = Sequences([*windows.genome.sizes], index)
    target = Target(sequences, index, windows.n_bins, windows.bin_size, options)
    name = str(path)
    with ExitStack() as resources:
        try:
            cram = is_cram(name)
            stream = resources.enter_context(closing(CramStream(name) if cram else open_stream(name)))
            meter = resources.enter_context(closing(MeteredStream(stream, hashed and not cram)))
            counting = _Counting(open_source(meter, options.allow_no_eof), target, meter, progress)
            counting.run(threads)
            if cram:  # pysam reads the file by itself: its bytes did not pass here
                stream = resources.enter_context(closing(open_stream(name)))
                meter = resources.enter_context(closing(MeteredStream(stream, hashed)))
                meter.drain()
            return _tally(counting, windows, options, meter, cram, time.perf_counter() - began)
        except Exception as error:
            raise translate_error(error, name) from error


class _Counting:
    """The passage of one file: what its threads share.

    A thread either takes the next block, one thread at a time, or counts one that was taken. Who has taken a
    block goes on taking while there are blocks to fill: the stream never waits for a thread to wake up.
    """

    def __init__(self, source: Source, target: Target, meter: MeteredStream, progress: ProgressCallback | None) -> None:
        self.target = target
        self.counters: list[Counter] = []
        self.format: Format | None = None
        self._source = source
        self._meter = meter
        self._progress = progress
        self._carry = b""
        self._changed = threading.Condition()
        self._free: list[Block] = []
        self._taken: deque[tuple[int, Block, memoryview]] = deque()
        self._is_taking = False
        self._n_taken = 0
        self._n_cut = 0
        self._ended = False
        # What went wrong, by the block it went wrong in: the earliest is the one to tell.
        self._failures: dict[int, BaseException] = {}
        # Lines of the blocks before the first that is not counted yet; beyond, by block.
        self._n_counted = 0
        self._lines_before = 0
        self._lines: dict[int, int] = {}

    def run(self, threads: int) -> None:
        """Count everything, in this thread and ``threads - 1`` others."""
        self._free = [Block() for _ in range(1 if threads == 1 else threads + 1)]
        others = [threading.Thread(target=self._work) for _ in range(threads - 1)]
        for thread in others:
            thread.start()
        self._work()
        try:
            for thread in others:
                thread.join()
        except BaseException as error:  # an interrupt: let the others end before it goes on
            self._fail(-1, error)
            for thread in others:
                thread.join()
        if self._failures:
            failure = self._failures[min(self._failures)]
            if isinstance(failure, BadPieceError):
                raise BadDataError(f"{failure.unit} {self._lines_before + failure.before + 1}: {failure}")
            raise failure

    def _work(self) -> None:
        counter: Counter | None = None
        number = -1
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._may_take() or self._may_count() or self._is_over())
                    if take := self._may_take():
                        block = self._free.pop()
                        self._is_taking = True
                        number, self._n_taken = self._n_taken, self._n_taken + 1
                    elif self._may_count():
                        number, block, members = self._taken.popleft()
                    else:
                        return
                if take:
                    self._take(number, block)
                    continue
                self._source.finish(members, block)
                first, last = self._cut(number, block)
                lines = 0
                if first < last:
                    if counter is None:  # not before: a BAM header may be longer than a block
                        assert self.format
                        counter = self.format.counter()
                        self.counters.append(counter)
                    lines = counter.count(block.buffer, first, last)
                self._report(number, lines, block)
        except BaseException as error:  # an interrupt too: no thread may wait for this one's block
            self._fail(number if isinstance(error, Exception) else -1, error)

    def _may_take(self) -> bool:
        return bool(self._free) and not self._is_taking and not self._is_over()

    def _may_count(self) -> bool:
        # Blocks before the one that failed are counted still: what is wrong in them is to be told first.
        return bool(self._taken) and not self._failed_before(self._taken[0][0])

    def _is_over(self) -> bool:
        return self._ended or bool(self._failures)

    def _take(self, number: int, block: Block) -> None:
        members = self._source.take(block)
        with self._changed:
            self._is_taking = False
            self._ended = block.is_last
            self._taken.append((number, block, members))
            self._changed.notify_all()

    def _cut(self, number: int, block: Block) -> tuple[int, int]:
        """Say what of the block can be counted, and keep the rest for the next one; in the order of the file."""
        with self._changed:
            self._changed.wait_for(partial(self._may_cut, number))
            if self._failed_before(number):
                return 0, 0
            begin = block.put_before(self._carry)
            if self.format is None:
                self.format = detect(block.buffer[begin : begin + 8].tobytes(), self.target)
            first, last = self.format.cut(block.buffer, begin, block.end, block.is_last)
            self._carry = block.buffer[last : block.end].tobytes()
            self._n_cut += 1
            self._changed.notify_all()
        return first, last

    def _may_cut(self, number: int) -> bool:
        return self._n_cut == number or self._failed_before(number)

    def _failed_before(self, number: int) -> bool:
        return any(failed < number for failed in self._failures)

    def _report(self, number: int, lines: int, block: Block) -> None:
        with self._changed:
            self._free.append(block)
            self._lines[number] = lines
            while self._n_counted in self._lines:
                self._lines_before += self._lines.pop(self._n_counted)
                self._n_counted += 1
            if self._progress:
                self._progress(self._meter.bytes_read, self._lines_before)
            self._changed.notify_all()

    def _fail(self, number: int, error: BaseException) -> None:
        with self._changed:
            self._failures[number] = error
            self._changed.notify_all()


def _tally(
    counting: _Counting, windows: Windows, options: ReadOptions, meter: MeteredStream, cram: bool, seconds: float
) -> ReadTally:
    """Add up what the threads counted."""
    target, counters = counting.target, counting.counters
    sums = np.sum([counter.tally for counter in counters], axis=0) if counters else np.zeros(kernels.N_TALLY, np.int64)
    reads_on = np.zeros(len(target.sequences.names), np.int64)
    for counter in counters:
        np.add.at(reads_on, counter.identities, counter.reads_on[: len(counter.identities)])
    reads = int(reads_on.sum())
    if reads == 0 and not options.allow_empty:
        raise BadDataError("not a single read in it; say --allow-empty if that is right")
    unknown = {
        target.sequences.names[i].decode("utf-8", "backslashreplace"): int(reads_on[i])
        for i in range(target.sequences.n_known, len(reads_on))
        if reads_on[i]
    }
    if unknown and options.unknown_chrom == "error":
        raise BadDataError(_say_unknown(unknown, reads, windows))
    gene_chroms = np.unique(windows.chrom_id[windows.chrom_id >= 0])
    return ReadTally(
        counts=_counts(counting, windows),
        reads=reads,
        in_windows=int(sums[kernels.IN_WINDOWS]),
        on_gene_chroms=int(reads_on[gene_chroms].sum()),
        off_genome=unknown,
        past_end=int(sums[kernels.PAST_END]),
        filtered=int(sums[kernels.FILTERED]),
        min_length=min((int(c.tally[kernels.MIN_LENGTH]) for c in counters), default=0) if reads else 0,
        mean_length=float(sums[kernels.SUM_LENGTH]) / reads if reads else 0.0,
        max_length=max((int(c.tally[kernels.MAX_LENGTH]) for c in counters), default=0),
        format="CRAM" if cram else counting.format.name if counting.format else "",
        bytes_read=meter.bytes_read,
        sha256=meter.sha256(),
        etag=meter.etag(),
        seconds=seconds,
    )


def _counts(counting: _Counting, windows: Windows) -> npt.NDArray[np.uint32]:
    counts = np.zeros((len(windows.genes), windows.n_bins), np.uint32)
    for counter in counting.counters:
        counter.add_to(counts)
    if len(windows.outside):
        counts[windows.outside] *= ~windows.outside_bins()
    return counts


def _say_unknown(unknown: Mapping[str, int], reads: int, windows: Windows) -> str:
    most = sorted(unknown, key=lambda name: -unknown[name])
    shown = ", ".join(f"{name!r} ({unknown[name]:,} reads)" for name in most[:5])
    more = f" and {len(most) - 5} more" if len(most) > 5 else ""
    known = list(windows.genome.sizes)
    return (
        f"{sum(unknown.values()):,} of {reads:,} reads lie on chromosomes that {windows.genome.name} does not have: "
        f"{shown}{more}; its names are like {known[0]!r}. Give the genome of these reads, or --unknown-chrom skip "
        "to leave them out"
    )
