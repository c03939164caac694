"""Count the files of one call of ``featurize`` in a pool, and write each epigenome when its last file is counted."""

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepchrome.common.pools import Pool
from deepchrome.common.threads import map_in_threads, wait_for_first
from deepchrome.common.urls import is_url
from deepchrome.engine.annotation.layout import BinValues
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.count_sample import count_sample
from deepchrome.engine.features.hash_cache import HashCache, file_stamp
from deepchrome.engine.features.observer import FeaturizeObserver
from deepchrome.engine.features.pooling import SamplePool, pool_records
from deepchrome.engine.features.provenance import counting_options
from deepchrome.engine.features.qc import merge_qc
from deepchrome.engine.features.resume import ReuseDecision, decide_reuse
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.strangers import check_tables
from deepchrome.engine.features.summary import FileOutcome, write_summary
from deepchrome.errors import DeepchromeError, UsageError
from deepchrome.version import VERSION

# Part of the file format (docs/format.md): changing a word changes every feature file.
_COORDINATES = (
    "bins of [tss - flank, tss + flank), 0-based half-open, tss 1-based and used as it stands, in genomic order"
)


@dataclass
class FeaturizeRun:
    """The files of one call of ``featurize``, and their outcomes so far.

    Attributes
    ----------
    samples
        The files of reads, in the order in which to count them. Files of the same epigenome and mark are pooled.
    marks_of
        The marks of each epigenome, in the order of the output columns.
    windows
        The windows to count in.
    options
        Which reads to count.
    threads_per_file
        Number of threads that count one file.
    out
        The directory of feature files.
    observer
        Receives decisions, progress and outcomes.
    outcomes
        The outcome of each file counted or reused so far, without its counts.
    """

    samples: Sequence[Sample]
    marks_of: Mapping[str, tuple[str, ...]]
    windows: Windows
    options: ReadOptions
    threads_per_file: int
    out: Path
    observer: FeaturizeObserver
    outcomes: dict[Sample, FileOutcome] = field(default_factory=dict, init=False)
    _counted: dict[str, list[FileOutcome]] = field(default_factory=dict, init=False)  # unfinished epigenomes
    _pools: dict[tuple[str, str], SamplePool] = field(default_factory=dict, init=False)  # of these epigenomes
    _stamps: dict[Sample, list[int] | None] = field(default_factory=dict, init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)

    def __post_init__(self) -> None:
        self._hashes = {epigenome: HashCache(self.out, epigenome) for epigenome in self.marks_of}
        self._n_files = Counter(sample.epigenome for sample in self.samples)
        self._n_pooled = Counter((sample.epigenome, sample.mark) for sample in self.samples)

    def reuse_valid_outputs(self, threads: int) -> None:
        """Find the feature files that are up to date, and record the outcomes of their files of reads.

        Parameters
        ----------
        threads
            Number of epigenomes to check at a time. A check may have to hash files of reads.

        Raises
        ------
        UsageError
            A feature file does not match this call, or it or the summary is of another program. Only ``force``
            may replace it.
        """
        check_tables(self.out)
        samples_of: dict[str, list[Sample]] = {epigenome: [] for epigenome in self.marks_of}
        for sample in self.samples:
            samples_of[sample.epigenome].append(sample)

        def decide(epigenome: str) -> ReuseDecision:
            marks, hashes = self.marks_of[epigenome], self._hashes[epigenome]
            return decide_reuse(self.out, epigenome, samples_of[epigenome], marks, self.windows, self.options, hashes)

        decisions = map_in_threads(decide, list(self.marks_of), threads, cancel=self._cancel_requests)
        if refused := [decision for decision in decisions if decision.action == "refuse"]:
            count = f"; first of {len(refused)} such files" if len(refused) > 1 else ""
            raise UsageError(
                f"{self.out / refused[0].epigenome}.parquet: exists and does not match this call "
                f"({refused[0].why}{count})",
                remedy="force",
            )
        for decision in decisions:
            self.observer.on_decision(decision)
            if decision.action == "keep":
                for sample in samples_of[decision.epigenome]:
                    self.outcomes[sample] = FileOutcome(sample, None, None, decision.records[sample])
                self._hashes[decision.epigenome].save()
        if self.outcomes:
            write_summary(self.out, [*self.outcomes.values()])
            merge_qc(self.out, [*self.outcomes.values()])

    def count_and_write(self, pool: Pool) -> None:
        """Count the files that still have no outcome, and write every epigenome as soon as its last file is counted."""
        to_count = [sample for sample in self.samples if sample not in self.outcomes]
        self.observer.on_plan(to_count, self.windows)
        if to_count and not pool.slots():
            self.observer.on_message("the cluster has no worker yet; waiting for one")
        windows, options = pool.share(self.windows), pool.share(self.options)
        waiting = deque(to_count)
        running: dict[Future[Any], Sample | None] = {}  # None if the task writes an epigenome
        try:
            while waiting or running:
                # Submit only as many tasks as the pool needs: counts stay in memory until their epigenome is written.
                while waiting and len(running) < pool.max_pending():
                    sample = waiting.popleft()
                    self._stamps[sample] = file_stamp(sample.path)
                    submitted = replace(sample, path=_absolute_path(sample.path)) if pool.is_remote else sample
                    progress = None if pool.is_remote else partial(self._report_progress, sample)
                    arguments = (submitted, windows, options, self.threads_per_file, progress)
                    running[pool.submit(count_sample, *arguments)] = sample
                # Importing Arrow takes a moment: do it while the first files are being counted.
                from deepchrome.engine.features.store import write_features  # noqa: F401

                done, _ = wait_for_first(running)
                for task in done:
                    if (counted := running.pop(task)) is None:
                        pool.result(task)
                    elif outcomes := self._record_outcome(counted, pool, task):
                        counts = self._pooled_counts(counted.epigenome)
                        running[pool.submit_here(self._write_epigenome, counted.epigenome, outcomes, counts)] = None
        except BaseException:
            self._stop.set()
            for task in running:
                task.cancel()
            self._cancel_requests()
            raise

    def _cancel_requests(self) -> None:
        """Cancel pending requests to servers."""
        if any(is_url(sample.path) for sample in self.samples):
            from deepchrome.engine.streams.remote import cancel_pending

            cancel_pending()

    def _report_progress(self, sample: Sample, bytes_read: int, lines: int) -> None:
        """Pass progress on to the observer; raise KeyboardInterrupt to stop counting if the run has failed."""
        if self._stop.is_set():
            raise KeyboardInterrupt
        self.observer.on_progress(sample, bytes_read, lines)

    def _record_outcome(self, sample: Sample, pool: Pool, task: Future[ReadTally]) -> list[FileOutcome]:
        """Record the outcome of a file, and add its counts to those of its epigenome and mark.

        Returns
        -------
        list of FileOutcome
            The outcomes of all files of the epigenome, if this was the last one; else an empty list.
        """
        key = (sample.epigenome, sample.mark)
        try:
            tally = pool.result(task)
            self._hashes[sample.epigenome].remember(sample.path, self._stamps[sample], tally.sha256)
            self._pools.setdefault(key, SamplePool(self._n_pooled[key])).add(sample, tally)
            # A view, even an empty one, would keep all counts in memory.
            tally = replace(tally, counts=tally.counts[:0].copy())  # guard: counts-released
            outcome = FileOutcome(sample, tally, None)
        except DeepchromeError as error:
            outcome = FileOutcome(sample, None, error)
        self.outcomes[sample] = outcome
        self.observer.on_finish(outcome)
        outcomes = self._counted.setdefault(sample.epigenome, [])
        outcomes.append(outcome)
        return self._counted.pop(sample.epigenome) if len(outcomes) == self._n_files[sample.epigenome] else []

    def _pooled_counts(self, epigenome: str) -> dict[str, BinValues]:
        """Return the counts of each mark of an epigenome that has any, in the order of the output columns."""
        pools = {mark: self._pools.pop((epigenome, mark), None) for mark in self.marks_of[epigenome]}
        return {mark: pool.counts for mark, pool in pools.items() if pool and pool.counts is not None}

    def _write_epigenome(
        self, epigenome: str, outcomes: Sequence[FileOutcome], counts: Mapping[str, BinValues]
    ) -> None:
        """Write the rows of an epigenome in the tables and, unless a file has failed, its features.

        Parameters
        ----------
        epigenome
            Name of the epigenome.
        outcomes
            The outcomes of all its files.
        counts
            The counts of each mark, uint32 (genes, bins), in the order of the output columns.
        """
        if not any(outcome.error for outcome in outcomes):
            records: dict[str, list[Mapping[str, Any]]] = {mark: [] for mark in counts}
            for outcome in outcomes:
                records[outcome.sample.mark].append(outcome.source() or {})
            self._write_features(epigenome, counts, {mark: pool_records(found) for mark, found in records.items()})
        write_summary(self.out, outcomes)
        merge_qc(self.out, outcomes)

    def _write_features(self, epigenome: str, counts: Mapping[str, BinValues], sources: Mapping[str, Any]) -> None:
        from deepchrome.engine.features.store import write_features

        windows, genes = self.windows, self.windows.genes
        metadata = {
            "epigenome": epigenome,
            "genome": windows.genome.name,
            "coordinates": _COORDINATES,
            "n_bins": windows.n_bins,
            "genes_beyond_chromosome": [genes.gene_id[i] for i in windows.outside],
            "genes_dropped": list(windows.dropped),
            "genes_without_strand": list(windows.genes.strandless),
            "genes_off_genome": [genes.gene_id[i] for i in np.flatnonzero(windows.chrom_id < 0)],
            "sources": sources,
            "engine_version": VERSION,
            **counting_options(windows, self.options),
        }
        write_features(self.out / f"{epigenome}.parquet", genes, counts, metadata)
        self._hashes[epigenome].save()


def _absolute_path(path: str) -> str:
    """Return a path as an absolute path, and a URL unchanged."""
    return path if is_url(path) else str(Path(path).absolute())
