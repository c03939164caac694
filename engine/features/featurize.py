"""Count many files of reads into one feature file per epigenome: the library call behind ``dc featurize``."""

from collections.abc import Callable, Sequence
from pathlib import Path

from deepchrome.common.cores import check_threads, usable_cores
from deepchrome.common.locks import output_lock
from deepchrome.common.paths import check_distinct
from deepchrome.common.pools import cluster_pool, local_pool
from deepchrome.common.urls import is_url
from deepchrome.engine.annotation.aliases import chromosome_ids
from deepchrome.engine.annotation.genes import Genes, drop_repeated_genes, read_genes
from deepchrome.engine.annotation.genome import Genome, read_genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.build_check import check_genes
from deepchrome.engine.counting.headers import genome_from_headers
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.multiqc import REPORT_NAMES, write_multiqc
from deepchrome.engine.features.observer import FeaturizeObserver
from deepchrome.engine.features.qc import QC_NAME
from deepchrome.engine.features.samples import Sample, find_samples, read_samples
from deepchrome.engine.features.schedule import FeaturizeRun
from deepchrome.engine.features.selection import select_marks, select_shard, sort_by_size
from deepchrome.engine.features.summary import SUMMARY_NAME, FileOutcome
from deepchrome.errors import BadDataError, UsageError


def featurize(
    reads: Sequence[str | Path] = (),
    *,
    genes: Genes | str | Path,
    genome: Genome | str | Path | None = None,
    out: str | Path,
    samples: str | Path | None = None,
    name: str | None = None,
    pool: bool = False,
    bin_size: int = 100,
    flank: int = 5000,
    marks: Sequence[str] | None = None,
    edge: str = "zero",
    unique_genes: bool = False,
    options: ReadOptions | Callable[[Genome], ReadOptions] | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    scheduler: str | None = None,
    shard: tuple[int, int] | None = None,
    force: bool = False,
    inputs: Sequence[Path] = (),
    observer: FeaturizeObserver | None = None,
) -> list[FileOutcome]:
    """Count the reads of many files and write one Parquet file per epigenome, and tables of the files.

    Existing feature files in ``out`` are kept if they are up to date, and replaced if their reads have changed.

    Parameters
    ----------
    reads
        Files or URLs named ``<epigenome>-<mark>.<anything>``, directories of such files, or ``-`` for
        standard input.
    genes
        A gene table, or a path for :func:`read_genes`.
    genome
        A genome, or a name or path for :func:`read_genome`. None if all reads are local BAM and CRAM files: their
        headers, which must agree, give it.
    out
        The directory for ``<epigenome>.parquet``, ``summary.tsv``, ``qc.tsv`` and ``*_mqc.json``.
    samples
        A table instead of ``reads``; see :func:`~deepchrome.engine.features.samples.read_samples`.
    name
        ``<epigenome>-<mark>`` of a single file or of standard input, if its file name does not give them. With
        ``pool``, of all files.
    pool
        Add up the counts of all files of the same epigenome and mark. A file that is given twice is refused.
    bin_size, flank
        Width of a bin, and of the window on each side of the TSS (bp).
    marks
        The marks to count, in the order of the output columns. By default all, sorted by name.
    edge
        What to do with genes that have a bin completely outside their chromosome; see :func:`tss_windows`.
    unique_genes
        Keep only the first row of each gene id.
    options
        Which reads to count; or a function that returns this for a genome, because a blacklist and aliases belong to
        one. The aliases also apply to the chromosomes of the genes.
    jobs
        Number of files to count at a time. The default is the number of threads.
    threads
        Total number of threads, at most 256 or the number of usable cores, whichever is more. The default is the
        number of usable cores.
    scheduler
        Address of a running Dask scheduler whose workers do the counting instead of this process. They must
        find the files of reads under the same paths.
    shard
        (i, n): process only shard i of n, with i from 1. A shard is every n-th epigenome. Several processes, on
        any machines that share the file system, may work on the shards of one ``out`` at the same time.
    force
        Count all files, and replace all feature files.
    inputs
        Further files that the caller has read, such as a blacklist. No output may replace them.
    observer
        Receives decisions, progress and outcomes.

    Returns
    -------
    list of FileOutcome
        One per file, sorted by epigenome and mark, without counts;
        :func:`~deepchrome.engine.features.summary.summary_rows` adds up files that are pooled. A file that fails does
        not stop the others, but its epigenome is not written.

    Raises
    ------
    UsageError, MissingInputError, BadDataError
        A parameter or an input is not valid, an output would replace an input, or ``out`` has a feature file that does
        not match this call, or a file of another program under the name of an output. Raised before any file is
        counted.
    StorageError
        ``out`` cannot be written, another run is writing the same files, or no scheduler answers.
    """
    observer = observer or FeaturizeObserver()
    check_threads(threads)
    notes: list[str] = []
    chosen, marks_of = select_marks(_find_samples(reads, samples, name, pool, notes), marks)
    for note in notes:
        observer.on_message(note)
    if genome is None:
        chromosomes = genome_from_headers([sample.path for sample in chosen])
    else:
        chromosomes = genome if isinstance(genome, Genome) else read_genome(genome)
    rules = options(chromosomes) if callable(options) else options or ReadOptions()
    rules.check()
    table = _read_genes(genes, chromosomes, unique_genes, rules)
    windows = tss_windows(table, chromosomes, flank, bin_size, edge, rules.aliases)
    if shard:
        marks_of = select_shard(marks_of, *shard)
        chosen = [sample for sample in chosen if sample.epigenome in marks_of]
    if not chosen:
        return []
    if scheduler and any(sample.path == "-" for sample in chosen):
        raise UsageError("-: the workers of a cluster cannot read standard input. Give a file")
    out = Path(out)
    tables_written = (SUMMARY_NAME, QC_NAME, *REPORT_NAMES)
    outputs = [*(out / name for name in tables_written), *(out / f"{epigenome}.parquet" for epigenome in marks_of)]
    tables = [Path(table) for table in (genes, genome, samples) if isinstance(table, str | Path)]
    files = [*tables, *inputs, *(Path(sample.path) for sample in chosen if not is_url(sample.path))]
    check_distinct(outputs, [file for file in files if file.is_file()])
    threads = threads or usable_cores()
    jobs = min(jobs or threads, threads, len(chosen))
    # A cluster runs a task in each thread of its workers.
    threads_per_file = 1 if scheduler else max(1, threads // jobs)
    run = FeaturizeRun(sort_by_size(chosen), marks_of, windows, rules, threads_per_file, out, observer)
    with (
        output_lock(out, [f"{epigenome}.parquet" for epigenome in marks_of]),
        cluster_pool(scheduler) if scheduler else local_pool(jobs) as workers,
    ):
        if not force:
            run.reuse_valid_outputs(threads)
        run.count_and_write(workers)
    write_multiqc(out, [*run.outcomes.values()])
    return [run.outcomes[sample] for sample in chosen]


def _find_samples(
    reads: Sequence[str | Path], samples: str | Path | None, name: str | None, pool: bool, notes: list[str]
) -> list[Sample]:
    """Return the samples in files of reads or in a table, and append messages about the table to ``notes``."""
    if bool(reads) == bool(samples):
        raise UsageError("give either files of reads or a table of samples", remedy="samples")
    if samples:
        return read_samples(samples, pool=pool, notes=notes)
    return find_samples([str(item) for item in reads], name, pool=pool)


def _read_genes(genes: Genes | str | Path, genome: Genome, unique_genes: bool, options: ReadOptions) -> Genes:
    """Read the genes, and check that they belong to the genome.

    Raises
    ------
    BadDataError
        No gene lies on a chromosome of the genome, or many lie past the ends of its chromosomes.
    """
    table = genes if isinstance(genes, Genes) else read_genes(genes)
    if unique_genes:
        table = drop_repeated_genes(table)
    if len(table) and max(chromosome_ids(table.chrom, genome, options.aliases).values()) < 0:
        raise BadDataError(
            f"{genome.name}: no gene lies on a chromosome of this genome (the genes have {table.chrom[0]!r}, "
            f"the genome {next(iter(genome.sizes))!r}). Use genes and a genome of the same build"
        )
    if options.build_check:
        try:
            check_genes(table, genome, options.aliases)
        except BadDataError as error:
            source = "genes" if isinstance(genes, Genes) else genes
            raise BadDataError(f"{source}: {error}", remedy=error.remedy) from None
    return table
