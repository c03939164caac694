"""Many files of reads to one feature file per epigenome: what ``dc featurize`` does."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepchrome.engine.count import ReadTally, tally_reads
from deepchrome.engine.formats import UNKNOWN_CHROM, ReadOptions
from deepchrome.engine.genes import Genes, read_genes, unique
from deepchrome.engine.genome import Genome, read_genome
from deepchrome.engine.machine import usable_cores
from deepchrome.engine.outputs import exclusive, replacing
from deepchrome.engine.samples import Sample, check_name, find_samples, read_samples
from deepchrome.engine.windows import Windows, tss_windows
from deepchrome.errors import BadDataError, DeepchromeError, UsageError
from deepchrome.version import VERSION

# Fewer reads than this share on the genes' chromosomes means the wrong genome, or the wrong genes.
LEAST_ON_GENE_CHROMS = 0.01
COORDINATES = (
    "bins of [tss - flank, tss + flank), 0-based half-open, tss 1-based and used as it stands, in genomic order"
)
SUMMARY_COLUMNS = (
    "epigenome",
    "mark",
    "reads",
    "reads_in_windows",
    "fraction_in_windows",
    "reads_off_genome",
    "reads_past_end",
    "seconds",
    "reads_per_second",
    "status",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one file of reads: its tally, or the error that ended it."""

    sample: Sample
    tally: ReadTally | None
    error: DeepchromeError | None

    def row(self) -> dict[str, Any]:
        """Return the row of summary.tsv; numbers are None where the file failed."""
        row: dict[str, Any] = dict.fromkeys(SUMMARY_COLUMNS)
        row |= {"epigenome": self.sample.epigenome, "mark": self.sample.mark, "status": "done"}
        if self.error:
            # The name of a file need not be text.
            row["status"] = f"failed: {self.error}".encode("utf-8", "backslashreplace").decode()
        if self.tally:
            row |= {
                "reads": self.tally.reads,
                "reads_in_windows": self.tally.in_windows,
                "fraction_in_windows": round(self.tally.in_windows / max(self.tally.reads, 1), 6),
                "reads_off_genome": sum(self.tally.off_genome.values()),
                "reads_past_end": self.tally.past_end,
                "seconds": round(self.tally.seconds, 3),
                "reads_per_second": round(self.tally.reads / self.tally.seconds),
            }
        return row


class Observer:
    """Told how the work goes; override what is of interest. Calls come from many threads."""

    def planned(self, samples: Sequence[Sample], windows: Windows) -> None:
        """Take note of the samples that work begins on."""

    def advanced(self, sample: Sample, bytes_read: int, lines: int) -> None:
        """Take note of the bytes of a file read, and its lines or records counted, so far."""

    def finished(self, outcome: Outcome) -> None:
        """Take note that a file is done, or has failed."""


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
    force: bool = False,
    observer: Observer | None = None,
) -> list[Outcome]:
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
    force
        Replace feature files that exist.
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
        What is asked for cannot be done; found before any work starts.
    StorageError
        ``out`` cannot be written, or another run is writing there.
    """
    options, observer = options or ReadOptions(), observer or Observer()
    if options.unknown_chrom not in UNKNOWN_CHROM:
        raise UsageError(f"unknown_chrom={options.unknown_chrom!r}: choose one of {', '.join(UNKNOWN_CHROM)}")
    if bool(reads) == bool(samples):
        raise UsageError("give READS (files or directories), or --samples TABLE; one of the two")
    chosen = read_samples(samples) if samples else find_samples([str(item) for item in reads], name)
    chosen, columns = _choose_marks(chosen, marks)
    table = genes if isinstance(genes, Genes) else read_genes(genes)
    if unique_genes:
        table = unique(table)
    where = genome if isinstance(genome, Genome) else read_genome(genome)
    windows = tss_windows(table, where, flank, bin_size, edge)
    if not (windows.chrom_id >= 0).any():
        raise BadDataError(
            f"no gene lies on a chromosome of {where.name}: the genes have {table.chrom[0]!r}, "
            f"the genome {next(iter(where.sizes))!r}"
        )
    out = Path(out)
    threads = threads or usable_cores()
    jobs = min(jobs or threads, len(chosen))
    with exclusive(out):  # from here on, or another run could write them after this one has looked
        existing = [path for epigenome in columns if (path := out / f"{epigenome}.parquet").exists()]
        if existing and not force:
            raise UsageError(f"{existing[0]} exists already; say --force to replace it")
        observer.planned(chosen, windows)
        outcomes = _count_all(chosen, columns, windows, options, jobs, max(1, threads // jobs), out, observer)
        _write_summary(out / "summary.tsv", outcomes)
    return outcomes


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


def _count_all(
    samples: Sequence[Sample],
    columns: Mapping[str, tuple[str, ...]],
    windows: Windows,
    options: ReadOptions,
    jobs: int,
    threads: int,
    out: Path,
    observer: Observer,
) -> list[Outcome]:
    done: dict[Sample, Outcome] = {}
    stop = threading.Event()

    def count(sample: Sample) -> Outcome:
        def advanced(bytes_read: int, lines: int) -> None:
            if stop.is_set():
                raise KeyboardInterrupt
            observer.advanced(sample, bytes_read, lines)

        try:
            tally = tally_reads(sample.path, windows, threads, options, hashed=True, progress=advanced)
            _check_place(sample, tally, windows, options)
        except DeepchromeError as error:
            return Outcome(sample, None, error)
        return Outcome(sample, tally, None)

    with ThreadPoolExecutor(jobs) as pool:
        waiting: set[Future[Outcome]] = set()
        try:
            for sample in samples:
                waiting.add(pool.submit(count, sample))
            # Arrow takes a moment to import; by now there is something else to do meanwhile.
            from deepchrome.engine.store import write_features  # noqa: F401

            while waiting:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for outcome in (future.result() for future in ready):
                    done[outcome.sample] = outcome
                    observer.finished(outcome)
                    _write_if_complete(outcome.sample.epigenome, columns, done, windows, options, out)
        except BaseException:
            stop.set()
            for future in waiting:
                future.cancel()
            raise
    return [done[sample] for sample in samples]


def _check_place(sample: Sample, tally: ReadTally, windows: Windows, options: ReadOptions) -> None:
    """Refuse reads that have next to nothing to do with the genes: a wrong genome gives zeros, not an error."""
    if options.unknown_chrom != "bedtools" and tally.on_gene_chroms < LEAST_ON_GENE_CHROMS * tally.reads:
        chroms = sorted({c for c, i in zip(windows.genes.chrom, windows.chrom_id, strict=True) if i >= 0})
        raise BadDataError(
            f"{sample.path}: only {tally.on_gene_chroms:,} of {tally.reads:,} reads lie on the genes' chromosomes "
            f"({', '.join(chroms[:5])}{', ...' if len(chroms) > 5 else ''}); are reads, genes and genome of one build?"
        )


def _write_if_complete(
    epigenome: str,
    columns: Mapping[str, tuple[str, ...]],
    done: dict[Sample, Outcome],
    windows: Windows,
    options: ReadOptions,
    out: Path,
) -> None:
    """Write an epigenome if its last mark is done and none has failed, and let go of its counts."""
    of_mark = {s.mark: outcome for s, outcome in done.items() if s.epigenome == epigenome}
    if len(of_mark) < len(columns[epigenome]):
        return
    from deepchrome.engine.store import write_features

    tallies = {mark: tally for mark in columns[epigenome] if (tally := of_mark[mark].tally)}
    for mark, tally in tallies.items():
        light = replace(tally, counts=tally.counts[:0])
        done[of_mark[mark].sample] = replace(of_mark[mark], tally=light)
    if len(tallies) < len(of_mark):
        return
    genes = windows.genes
    metadata = {
        "epigenome": epigenome,
        "genome": windows.genome.name,
        "coordinates": COORDINATES,
        "flank": windows.flank,
        "bin_size": windows.bin_size,
        "n_bins": windows.n_bins,
        "genes_beyond_chromosome": [genes.gene_id[i] for i in windows.outside],
        "genes_dropped": list(windows.dropped),
        "genes_off_genome": [genes.gene_id[i] for i in np.flatnonzero(windows.chrom_id < 0)],
        "options": vars(options),
        "sources": {mark: _source(of_mark[mark].sample, tally) for mark, tally in tallies.items()},
        "engine_version": VERSION,
    }
    write_features(
        out / f"{epigenome}.parquet", genes, {mark: tally.counts for mark, tally in tallies.items()}, metadata
    )


def _source(sample: Sample, tally: ReadTally) -> dict[str, Any]:
    return {
        "name": Path(sample.path).name,
        "format": tally.format,
        "bytes": tally.bytes_read,
        "sha256": tally.sha256,
        "reads": tally.reads,
        "reads_in_windows": tally.in_windows,
        "reads_off_genome": dict(tally.off_genome),
        "reads_past_end": tally.past_end,
        "reads_filtered": tally.filtered,
        "read_length_bp": {"min": tally.min_length, "mean": tally.mean_length, "max": tally.max_length},
    }


def _write_summary(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write summary.tsv; rows of epigenomes that an earlier run wrote, and this one did not touch, stay."""
    header = "\t".join(SUMMARY_COLUMNS)
    lines = [header]
    for outcome in outcomes:
        cells = ("" if value is None else str(value) for value in outcome.row().values())
        lines.append("\t".join(" ".join(cell.split()) for cell in cells))
    earlier = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if earlier[:1] == [header]:
        ours = {outcome.sample.epigenome for outcome in outcomes}
        lines += [line for line in earlier[1:] if line.split("\t", 1)[0] not in ours]
    with replacing(path) as temporary:
        temporary.write_text("\n".join([header, *sorted(lines[1:])]) + "\n", encoding="utf-8")
