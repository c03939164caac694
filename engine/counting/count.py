"""Count the reads of one file in the windows of genes, or in other regions."""

import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from deepchrome.common.cores import check_threads, threads_per_file
from deepchrome.common.urls import hide_secrets
from deepchrome.engine.annotation.layout import BinValues, Layout
from deepchrome.engine.annotation.region_index import region_index
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.bigwig import SIGNAL_FORMAT, is_bigwig
from deepchrome.engine.counting.formats import BadItemError, Sequences, Target
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.pipeline import FilePipeline, ProgressCallback
from deepchrome.engine.counting.tally import ReadTally, summarize
from deepchrome.engine.kernels import Tally
from deepchrome.engine.streams.byte_streams import MeteredStream
from deepchrome.engine.streams.cram import CramStream
from deepchrome.engine.streams.inputs import is_cram, open_stream, translate_error
from deepchrome.engine.streams.sources import open_source
from deepchrome.errors import BadDataError


def count_reads(
    path: str | Path, windows: Windows, threads: int = 1, options: ReadOptions | None = None, **settings: Any
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
    options
        Which reads to count. By default all that multicov counts.
    settings
        Single options instead of ``options``, such as ``min_mapq=30``; see
        :class:`deepchrome.engine.counting.options.ReadOptions`.

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
    return tally_reads(path, windows, threads, options or ReadOptions(**settings)).counts


def tally_reads(
    path: str | Path,
    regions: Layout | Windows,
    threads: int = 1,
    options: ReadOptions | None = None,
    *,
    hashed: bool = False,
    progress: ProgressCallback | None = None,
) -> ReadTally:
    """Count reads as :func:`count_reads` does, and summarize them. It raises the same errors.

    Parameters
    ----------
    path, threads
        As in :func:`count_reads`.
    regions
        The windows of n genes, or the layout of n regions.
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
    began = time.perf_counter()
    layout = regions.layout if isinstance(regions, Windows) else regions
    if is_bigwig(str(path)):
        return _tally_signal(path, layout, options, hashed, progress)
    index = region_index(layout, options.strand)
    target = Target(Sequences(index, options.aliases), index, options)
    name = str(path)
    with ExitStack() as resources:
        try:
            cram = CramStream(name, options.allow_no_eof, options.fragments) if is_cram(name) else None
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
            return summarize(pipeline, **facts, seconds=time.perf_counter() - began)
        except BadItemError as error:
            raise BadDataError(error.message(hide_secrets(name))) from error
        except Exception as error:
            raise translate_error(error, name) from error


def _tally_signal(
    path: str | Path, layout: Layout, options: ReadOptions, hashed: bool, progress: ProgressCallback | None
) -> ReadTally:
    """Average the signal of a bigWig file. It has no reads."""
    from deepchrome.engine.counting.signal import tally_signal

    rename = options.aliases.target if options.aliases else None
    signal = tally_signal(
        path, layout, options, rename=rename, build_check=options.build_check, hashed=hashed, progress=progress
    )
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
