"""Count one file of reads: the task that runs in a thread of this process or on a worker of a cluster."""

from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.pipeline import ProgressCallback
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.engine.features.samples import Sample
from deepchrome.errors import BadDataError

# A file with a smaller fraction of its reads on the genes' chromosomes is probably from another genome build.
MIN_FRACTION_ON_GENE_CHROMS = 0.01  # guard: min-fraction-on-gene-chroms


def count_sample(
    sample: Sample, windows: Windows, options: ReadOptions, threads: int, progress: ProgressCallback | None = None
) -> ReadTally:
    """Count one file of reads and hash it.

    Parameters
    ----------
    sample
        The file of reads.
    windows
        The n windows to count in.
    options
        Which reads count.
    threads
        Threads to use.
    progress
        Called with the bytes read and the lines or records counted so far.

    Returns
    -------
    ReadTally
        ``counts`` is uint32 (n, bins), bins in genomic order.

    Raises
    ------
    DeepchromeError
        See :func:`~deepchrome.engine.counting.count.count_reads`.
    BadDataError
        Fewer than 1 % of the reads lie on chromosomes of the genes. Not checked with ``options.allow_few``, or if
        ``options.unknown_chrom`` is ``bedtools``.
    """
    tally = tally_reads(sample.path, windows, threads, options, hashed=True, progress=progress)
    _check_gene_chromosomes(sample, tally, windows, options)
    return tally


def _check_gene_chromosomes(sample: Sample, tally: ReadTally, windows: Windows, options: ReadOptions) -> None:
    """Refuse reads from another genome, which would otherwise give counts of 0 without an error."""
    is_accepted = options.allow_few or options.unknown_chrom == "bedtools"
    if is_accepted or tally.on_gene_chroms >= MIN_FRACTION_ON_GENE_CHROMS * tally.reads:
        return
    chroms = sorted({c for c, i in zip(windows.genes.chrom, windows.chrom_id, strict=True) if i >= 0})
    names = f"{', '.join(chroms[:5])}{', ...' if len(chroms) > 5 else ''}"
    raise BadDataError(
        f"{sample.shown_path}: only {tally.on_gene_chroms:,} of {tally.reads:,} reads lie on the genes' "
        f"chromosomes ({names}). Use reads, genes and a genome of the same build",
        remedy="allow_few",
    )
