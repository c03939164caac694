"""Many files of reads to one feature file per epigenome: what ``dc featurize`` does."""

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepchrome.common.cores import usable_cores
from deepchrome.common.files import output_lock
from deepchrome.common.names import check_name
from deepchrome.common.pools import Pool, cluster_pool, local_pool
from deepchrome.common.urls import is_url
from deepchrome.engine.annotation.genes import Genes, drop_repeated_genes, read_genes
from deepchrome.engine.annotation.genome import Genome, read_genome
from deepchrome.engine.annotation.windows import Windows, tss_windows
from deepchrome.engine.counting.count import ProgressCallback, ReadTally, tally_reads
from deepchrome.engine.counting.options import UNKNOWN_CHROM, ReadOptions
from deepchrome.engine.features.resume import HashCache, ReuseDecision, counting_options, decide_reuse, file_stamp
from deepchrome.engine.features.samples import Sample, find_samples, read_samples
from deepchrome.engine.features.summary import FileOutcome, write_summary
from deepchrome.errors import BadDataError, DeepchromeError, UsageError
from deepchrome.version import VERSION

# Fewer reads than this share on the genes' chromosomes means the wrong genome, or the wrong genes.
LEAST_ON_GENE_CHROMS = 0.01
COORDINATES = (
    "bins of [tss - flank, tss + flank), 0-based half-open, tss 1-based and used as it stands, in genomic order"
)


class FeaturizeObserver:
    """Told how the work goes; override what is of interest. Calls come from many threads."""

    def planned(self, samples: Sequence[Sample], windows: Windows) -> None:
        """Take note of the samples that work begins on."""

    def advanced(self, sample: Sample, bytes_read: int, lines: int) -> None:
        """Take note of the bytes of a file read, and its lines or records counted, so far."""

    def finished(self, outcome: FileOutcome) -> None:
        """Take note that a file is done, or has failed."""

    def judged(self, verdict: ReuseDecision) -> None:
        """Take note of what is to be done about an epigenome, and why."""

    def told(self, line: str) -> None:
        """Take note of what else is worth telling."""


def featurize(
    reads: Sequence[str | Path] = (),
    *,
    genes: Genes | str | Path,
    genome: Genome | str | Path,
    out: str | Path,
    samples: str | Path | None = None,
    name: str | None = None,
    bin_size: int = 100,
    flank: int = 5000,
    marks: Sequence[str] | None = None,
    edge: str = "zero",
    unique_genes: bool = False,
    options: ReadOptions | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    scheduler: str | None = None,
    shard: tuple[int, int] | None = None,
    force: bool = False,
    observer: FeaturizeObserver | None = None,
) -> list[FileOutcome]:
    """Count the reads of many files and write one Parquet file per epigenome, and summary.tsv.

    Parameters
    ----------
    reads
        Files named ``<epigenome>-<mark>.<anything>``, directories of such, or ``-``.
    genes, genome
        As read, or what :func:`read_genes` and :func:`read_genome` take.
    out
        Directory for ``<epigenome>.parquet`` and ``summary.tsv``.
    samples
        Table with columns epigenome, mark, path, instead of ``reads``.
    name
        ``<epigenome>-<mark>`` of a single file, or of standard input.
    bin_size, flank, edge
        As for :func:`tss_windows`, in bp.
    marks
        Which marks, in the order of the columns; by default all, by name.
    unique_genes
        Keep only the first row of each gene id.
    options
        Which reads count.
    jobs
        Files at a time; by default as many as there are threads.
    threads
        Threads in all; by default the usable cores.
    scheduler
        Address of a running Dask scheduler, whose workers count instead of this process; they must see the
        files of reads under the same paths.
    shard
        (i, n): do the i-th of n parts of the epigenomes, i from 1 on; every part may be done by a process of
        its own, on any machine that shares the file system.
    force
        Count all again and replace the feature files that exist. Otherwise those that still hold are kept, and
        those made from reads that have changed since are made anew.
    observer
        Told how it goes.

    Returns
    -------
    list of Outcome
        One per file, by epigenome and mark, without its counts. A bad file does not stop the others; its
        epigenome is not written.

    Raises
    ------
    UsageError, MissingInputError, BadDataError
        What is asked for cannot be done, or a file in ``out`` is no product of this call; found before any work
        starts.
    StorageError
        ``out`` cannot be written, another run is writing the same there, or no scheduler answers.
    """
    options, observer = options or ReadOptions(), observer or FeaturizeObserver()
    if options.unknown_chrom not in UNKNOWN_CHROM:
        raise UsageError(f"unknown_chrom={options.unknown_chrom!r}: choose one of {', '.join(UNKNOWN_CHROM)}")
    if bool(reads) == bool(samples):
        raise UsageError("give READS (files or directories), or --samples TABLE; one of the two")
    chosen = read_samples(samples) if samples else find_samples([str(item) for item in reads], name)
    chosen, columns = _choose_marks(chosen, marks)
    table = genes if isinstance(genes, Genes) else read_genes(genes)
    if unique_genes:
        table = drop_repeated_genes(table)
    where = genome if isinstance(genome, Genome) else read_genome(genome)
    windows = tss_windows(table, where, flank, bin_size, edge)
    if not (windows.chrom_id >= 0).any():
        raise BadDataError(
            f"no gene lies on a chromosome of {where.name}: the genes have {table.chrom[0]!r}, "
            f"the genome {next(iter(where.sizes))!r}"
        )
    if shard:
        columns = _part(columns, *shard)
        chosen = [sample for sample in chosen if sample.epigenome in columns]
    if not chosen:
        return []
    if scheduler and any(sample.path == "-" for sample in chosen):
        raise UsageError("the workers of a cluster cannot read this process's standard input; give files")
    out = Path(out)
    threads = threads or usable_cores()
    jobs = min(jobs or threads, threads, len(chosen))
    # A worker of a cluster has tasks enough for all its threads.
    each = 1 if scheduler else max(1, threads // jobs)
    work = _Work(_by_size(chosen), columns, windows, options, each, out, observer)
    with (
        output_lock(out, [f"{epigenome}.parquet" for epigenome in columns]),
        cluster_pool(scheduler) if scheduler else local_pool(jobs) as pool,
    ):
        if not force:
            work.keep_what_holds(threads)
        outcomes = work.run(pool)
    return [outcomes[sample] for sample in chosen]


def _part(columns: dict[str, tuple[str, ...]], i: int, n: int) -> dict[str, tuple[str, ...]]:
    """Take every n-th epigenome, from the i-th on: the same parts for whoever sees the same files."""
    if not 1 <= i <= n:
        raise UsageError(f"--shard {i}/{n} makes no sense: the parts of 8, say, are 1/8, 2/8, ..., 8/8")
    return {epigenome: columns[epigenome] for epigenome in [*columns][i - 1 :: n]}


def _by_size(samples: Sequence[Sample]) -> list[Sample]:
    """Put the largest epigenomes first, and in each its largest files: little is left to wait for at the end.

    An epigenome's files stay together, or the counts of many would have to be held at a time.
    """
    sizes = {sample: found[0] if (found := file_stamp(sample.path)) else 0 for sample in samples}
    totals: Counter[str] = Counter()
    for sample in samples:
        totals[sample.epigenome] += sizes[sample]
    return sorted(samples, key=lambda s: (-totals[s.epigenome], s.epigenome, -sizes[s]))


def _choose_marks(
    samples: list[Sample], marks: Sequence[str] | None
) -> tuple[list[Sample], dict[str, tuple[str, ...]]]:
    """Return the samples wanted, by epigenome and mark, and the columns of each epigenome."""
    order = list(marks) if marks else sorted({sample.mark for sample in samples})
    for mark in order:
        check_name(mark, "a mark", "--marks")
    if len(set(order)) != len(order):
        raise UsageError("--marks names a mark twice")
    wanted = [sample for sample in samples if sample.mark in order]
    columns: dict[str, tuple[str, ...]] = {}
    for epigenome in sorted({sample.epigenome for sample in samples}):
        has = {sample.mark for sample in wanted if sample.epigenome == epigenome}
        if marks and (missing := [mark for mark in order if mark not in has]):
            raise UsageError(f"{epigenome}: no reads of {', '.join(missing)}")
        columns[epigenome] = tuple(mark for mark in order if mark in has)
    return sorted(wanted, key=lambda s: (s.epigenome, order.index(s.mark))), columns


class _Work:
    """The files of one call, and what has become of them so far."""

    def __init__(
        self,
        samples: Sequence[Sample],
        columns: Mapping[str, tuple[str, ...]],
        windows: Windows,
        options: ReadOptions,
        threads: int,
        out: Path,
        observer: FeaturizeObserver,
    ) -> None:
        self.samples, self.columns, self.windows, self.options = samples, columns, windows, options
        self.threads, self.out, self.observer = threads, out, observer
        self.hashes = {epigenome: HashCache(out, epigenome) for epigenome in columns}
        self.outcomes: dict[Sample, FileOutcome] = {}
        self._stamps: dict[Sample, list[int] | None] = {}
        self._stop = threading.Event()

    def keep_what_holds(self, threads: int) -> None:
        """Judge what an earlier run has left, and keep what was made from what is to be counted now."""
        of = {e: [sample for sample in self.samples if sample.epigenome == e] for e in self.columns}

        def judged(epigenome: str) -> ReuseDecision:
            columns, hashes = self.columns[epigenome], self.hashes[epigenome]
            return decide_reuse(self.out, epigenome, of[epigenome], columns, self.windows, self.options, hashes)

        with ThreadPoolExecutor(threads) as pool:  # files may have to be hashed
            try:
                verdicts = list(pool.map(judged, self.columns))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._give_up()
                raise
        if refused := [verdict for verdict in verdicts if verdict.action == "refuse"]:
            more = f" (nor {len(refused) - 1} more)" if len(refused) > 1 else ""
            raise UsageError(
                f"{self.out / refused[0].epigenome}.parquet exists already and was not made by this call{more}: "
                f"{refused[0].why}; say --force to replace it, or choose another --out"
            )
        for verdict in verdicts:
            self.observer.judged(verdict)
            if verdict.action == "keep":
                kept = [FileOutcome(s, None, None, verdict.sources[s.mark]) for s in of[verdict.epigenome]]
                self.outcomes |= {outcome.sample: outcome for outcome in kept}
                self.hashes[verdict.epigenome].save()
        if self.outcomes:
            write_summary(self.out, [*self.outcomes.values()])

    def run(self, pool: Pool) -> dict[Sample, FileOutcome]:
        """Count what is not kept, and write every epigenome as soon as its last mark is done."""
        to_count = [sample for sample in self.samples if sample not in self.outcomes]
        self.observer.planned(to_count, self.windows)
        if to_count and not pool.workers():
            self.observer.told("the cluster has no worker yet: waiting for one")
        windows, options = pool.share(self.windows), pool.share(self.options)
        waiting = deque(to_count)
        running: dict[Future[Any], Sample | None] = {}  # None: an epigenome is being written
        try:
            while waiting or running:
                # No more than keeps everyone busy: what is counted and not yet written is held in memory.
                while waiting and len(running) < pool.room():
                    sample = waiting.popleft()
                    self._stamps[sample] = file_stamp(sample.path)
                    there = replace(sample, path=_anywhere(sample.path)) if pool.is_remote else sample
                    progress = None if pool.is_remote else partial(self._advanced, sample)
                    running[pool.submit(count_sample, there, windows, options, self.threads, progress)] = sample
                # Arrow takes a moment to import; by now there is something else to do meanwhile.
                from deepchrome.engine.features.store import write_features  # noqa: F401

                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    if (counted := running.pop(future)) is None:
                        self.outcomes |= pool.result(future)
                    elif last := self._take(counted, pool, future):
                        running[pool.submit_here(self._write, counted.epigenome, last)] = None
        except BaseException:
            self._stop.set()
            for future in running:
                future.cancel()
            self._give_up()
            raise
        return self.outcomes

    def _give_up(self) -> None:
        """Wait for no server any more."""
        if any(is_url(sample.path) for sample in self.samples):
            from deepchrome.engine.streams.remote import cancel_pending

            cancel_pending()

    def _advanced(self, sample: Sample, bytes_read: int, lines: int) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt
        self.observer.advanced(sample, bytes_read, lines)

    def _take(self, sample: Sample, pool: Pool, future: Future[ReadTally]) -> dict[str, FileOutcome]:
        """Take note of what became of a file; if it was the last of its epigenome, return the outcomes by mark."""
        try:
            tally = pool.result(future)
            outcome = FileOutcome(sample, tally, None)
            self.hashes[sample.epigenome].remember(sample.path, self._stamps[sample], tally.sha256)
        except DeepchromeError as error:
            outcome = FileOutcome(sample, None, error)
        self.outcomes[sample] = outcome
        self.observer.finished(outcome)
        of_mark = {s.mark: done for s, done in self.outcomes.items() if s.epigenome == sample.epigenome}
        return of_mark if len(of_mark) == len(self.columns[sample.epigenome]) else {}

    def _write(self, epigenome: str, of_mark: Mapping[str, FileOutcome]) -> dict[Sample, FileOutcome]:
        """Write an epigenome if none of its files has failed, and its summary; return the outcomes without counts."""
        tallies = {mark: tally for mark in self.columns[epigenome] if (tally := of_mark[mark].tally)}
        if len(tallies) == len(of_mark):
            self._write_features(epigenome, tallies, {mark: done.source() for mark, done in of_mark.items()})
        write_summary(self.out, [*of_mark.values()])
        # A copy: what is only a view of the counts would hold on to them.
        light = {mark: replace(tally, counts=tally.counts[:0].copy()) for mark, tally in tallies.items()}
        return {done.sample: replace(done, tally=light.get(mark)) for mark, done in of_mark.items()}

    def _write_features(self, epigenome: str, tallies: Mapping[str, ReadTally], sources: Mapping[str, Any]) -> None:
        from deepchrome.engine.features.store import write_features

        windows, genes = self.windows, self.windows.genes
        metadata = {
            "epigenome": epigenome,
            "genome": windows.genome.name,
            "coordinates": COORDINATES,
            "n_bins": windows.n_bins,
            "genes_beyond_chromosome": [genes.gene_id[i] for i in windows.outside],
            "genes_dropped": list(windows.dropped),
            "genes_off_genome": [genes.gene_id[i] for i in np.flatnonzero(windows.chrom_id < 0)],
            "sources": sources,
            "engine_version": VERSION,
            **counting_options(windows, self.options),
        }
        counts = {mark: tally.counts for mark, tally in tallies.items()}
        write_features(self.out / f"{epigenome}.parquet", genes, counts, metadata)
        self.hashes[epigenome].save()


def count_sample(
    sample: Sample, windows: Windows, options: ReadOptions, threads: int, progress: ProgressCallback | None = None
) -> ReadTally:
    """Count one file of reads; what every worker does.

    Raises
    ------
    DeepchromeError
        As :func:`~deepchrome.engine.counting.count.count_reads`;
        also where next to no read lies on the genes' chromosomes.
    """
    tally = tally_reads(sample.path, windows, threads, options, hashed=True, progress=progress)
    _check_place(sample, tally, windows, options)
    return tally


def _anywhere(path: str) -> str:
    """Return a path that means the same wherever a worker runs."""
    return path if is_url(path) else str(Path(path).absolute())


def _check_place(sample: Sample, tally: ReadTally, windows: Windows, options: ReadOptions) -> None:
    """Refuse reads that have next to nothing to do with the genes: a wrong genome gives zeros, not an error."""
    if options.unknown_chrom != "bedtools" and tally.on_gene_chroms < LEAST_ON_GENE_CHROMS * tally.reads:
        chroms = sorted({c for c, i in zip(windows.genes.chrom, windows.chrom_id, strict=True) if i >= 0})
        names = f"{', '.join(chroms[:5])}{', ...' if len(chroms) > 5 else ''}"
        raise BadDataError(
            f"{sample.shown_path}: only {tally.on_gene_chroms:,} of {tally.reads:,} reads lie on the genes' "
            f"chromosomes ({names}); are reads, genes and genome of one build?"
        )
