"""Recount some genes without the kernels: read by read, with Python's gzip module or pysam."""

import gzip
import hashlib
import io
import tempfile
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepchrome.common.signatures import BAM_MAGIC, CRAM_MAGIC, GZIP_MAGIC
from deepchrome.common.urls import is_url
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import BUNDLED_GENOMES, read_genome
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.pooling import records_of
from deepchrome.engine.features.provenance import genome_sha256
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.store import Features, read_features
from deepchrome.engine.kernels import MAX_LINE_BYTES
from deepchrome.engine.streams.byte_streams import COMPRESSED_BYTES
from deepchrome.engine.streams.cram import REQUIRED_FIELDS
from deepchrome.engine.streams.cram_blocks import check_cram_blocks, check_cram_end
from deepchrome.engine.streams.inputs import is_cram, open_stream, translate_error
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError

Read = tuple[str, int, int, str]
"""Chromosome, start and end (0-based half-open, zero-length reads widened to 2 bp as in bedtools), and strand."""

_REQUIRED_METADATA = ("genome", "genome_sha256", "flank", "bin_size", "options", "sources")


class _BadLineError(Exception):
    """A line that is not a read. The message starts with its number."""


@dataclass(frozen=True)
class VerifyResult:
    """Comparison of the stored counts of one epigenome and mark with a recount.

    Attributes
    ----------
    epigenome, mark
        Names of the epigenome and the mark.
    genes, bins
        Number of genes and bins that were recounted.
    different
        Number of bins whose stored count differs from the recount.
    first
        Text that names the first of these bins and both counts; empty if there is none.
    reads, reads_stored
        Number of reads found by the recount, and number of reads stored in the feature file.
    """

    epigenome: str
    mark: str
    genes: int
    bins: int
    different: int
    first: str
    reads: int
    reads_stored: int

    @property
    def agrees(self) -> bool:
        """Whether all counts and the number of reads are equal."""
        return self.different == 0 and self.reads == self.reads_stored

    def describe(self) -> str:
        """Return ``equal``, or what differs between the stored counts and the recount."""
        differences = [f"in {self.different} bins ({self.first})"] * bool(self.different)
        if self.reads != self.reads_stored:
            differences.append(f"in the number of reads ({self.reads_stored} stored, {self.reads} recounted)")
        return f"DIFFERENT {' and '.join(differences)}" if differences else "equal"


def verify(
    features: str | Path,
    samples: Sequence[Sample],
    *,
    n_genes: int = 100,
    seed: int = 1,
    genome: str | Path | None = None,
    on_read: Callable[[int], None] | None = None,
) -> list[VerifyResult]:
    """Recount some genes of feature files from the reads, and compare every bin.

    Parameters
    ----------
    features
        A directory that ``dc featurize`` wrote, or one file of it.
    samples
        The files of reads; all files of a mark that was pooled.
    n_genes
        Number of genes to recount, drawn at random. All genes if there are fewer.
    seed
        Seed of the random draw.
    genome
        The chrom.sizes file that the reads were counted with. Not needed for a bundled genome. It must have the
        chromosomes, in order, and the lengths that the feature file records.
    on_read
        Called after every 100,000 reads with the number of reads of this file so far.

    Returns
    -------
    list of VerifyResult
        One per epigenome and mark, sorted by epigenome.

    Raises
    ------
    MissingInputError, BadDataError, StorageError
        An input does not exist, does not belong to the features, or cannot be read.
    DeepchromeError
        BAM or CRAM is given on standard input.
    """
    results = []
    for epigenome in sorted({sample.epigenome for sample in samples}):
        path = Path(features)
        path = path / f"{epigenome}.parquet" if path.is_dir() else path
        stored = read_features(path)
        if stored.epigenome != epigenome:
            raise BadDataError(f"{path}: these are the features of {stored.epigenome}, not of {epigenome}")
        if absent := [key for key in _REQUIRED_METADATA if key not in stored.metadata]:
            raise BadDataError(f"{path}: not counted from reads (its metadata lacks {', '.join(absent)})")
        sizes = _chromosome_sizes(path, stored, genome)
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.permutation(len(stored.genes))[:n_genes])
        files: dict[str, list[Sample]] = {}
        for sample in (sample for sample in samples if sample.epigenome == epigenome):
            if sample.mark not in stored.marks:
                raise BadDataError(f"{path}: no mark {sample.mark} in this file; it has {', '.join(stored.marks)}")
            if sample.mark in stored.signal:
                raise BadDataError(f"{path}: {sample.mark} is signal of a bigWig file, and has no reads to count again")
            files.setdefault(sample.mark, []).append(sample)
        for mark, found in files.items():
            # Without the signal of other marks, which would make the counts float32.
            counted = read_features(path, [mark]) if stored.signal else stored
            results.append(_verify_mark(counted, found, rows, sizes, on_read))
    return results


def _chromosome_sizes(path: Path, stored: Features, genome: str | Path | None) -> Mapping[str, int]:
    name = genome or stored.metadata["genome"]
    if genome is None and name not in BUNDLED_GENOMES:
        raise MissingInputError(f"{path}: recounting needs the chrom.sizes file {name}", remedy="genome")
    read = read_genome(name)
    if genome_sha256(read) != stored.metadata["genome_sha256"]:  # guard: verify-genome
        raise BadDataError(
            f"{name}: not the genome that {path} was counted with ({stored.metadata['genome']}): names, lengths or "
            "order of the chromosomes differ",
            remedy="genome",
        )
    return read.sizes


def _verify_mark(
    stored: Features,
    samples: Sequence[Sample],
    rows: npt.NDArray[np.int64],
    sizes: Mapping[str, int],
    on_read: Callable[[int], None] | None,
) -> VerifyResult:
    """Recount the files of one mark in some genes, and compare the sums of their counts."""
    mark = samples[0].mark
    records = _match_records(samples, stored.metadata["sources"].get(mark, {}))
    genes = stored.genes.take(rows)
    recount, n_reads = np.zeros((len(genes), stored.metadata["n_bins"]), np.int64), 0
    for sample, record in zip(samples, records, strict=True):
        try:
            counts, reads = _recount(sample, genes, stored.metadata, record["format"], sizes, on_read)
        except _BadLineError as error:
            raise BadDataError(f"{sample.shown_path}:{error}") from None
        except Exception as error:
            raise translate_error(error, sample.path) from error
        recount += counts
        n_reads += reads
    counts = stored.counts[rows, :, stored.marks.index(mark)].astype(np.int64)
    different = np.argwhere(counts != recount)
    first = ""
    if len(different):
        gene, b = different[0]
        first = f"{genes.gene_id[gene]} bin {b + 1}: {counts[gene, b]} stored, {recount[gene, b]} recounted"
    reads_stored = sum(record["reads"] for record in records)
    return VerifyResult(stored.epigenome, mark, len(genes), recount.size, len(different), first, n_reads, reads_stored)


def _match_records(samples: Sequence[Sample], source: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the stored record of each file of a mark. Pooled files are found by name, or else by content.

    Raises
    ------
    BadDataError
        The features record no reads for the mark, or those of other files.
    """
    mark, records = samples[0].mark, records_of(source)
    if not all({"reads", "format"} <= record.keys() for record in records):
        raise BadDataError(
            f"{samples[0].shown_path}: the features do not record the reads of {mark}. Count them again with dc "
            "featurize"
        )
    if len(samples) == len(records) == 1:
        return records
    found: dict[Sample, Mapping[str, Any]] = {}
    for find in (_has_name, _has_content):
        for sample in (sample for sample in samples if sample not in found):
            matching = [i for i, record in enumerate(records) if find(sample, record)]
            if matching:
                found[sample] = records.pop(matching[0])
    if len(found) < len(samples):
        strange = next(sample for sample in samples if sample not in found)
        raise BadDataError(f"{strange.shown_path}: not one of the files of which {mark} was pooled")
    if records:  # guard: verify-all-pooled
        names = ", ".join(str(record.get("name")) for record in records)
        raise BadDataError(
            f"{samples[0].shown_path}: {mark} was pooled from {len(samples) + len(records)} files. Give the others, "
            f"too ({names})"
        )
    return [found[sample] for sample in samples]


def _has_name(sample: Sample, record: Mapping[str, Any]) -> bool:
    return bool(record.get("name") == sample.file_name)


def _has_content(sample: Sample, record: Mapping[str, Any]) -> bool:
    if not Path(sample.path).is_file():
        return False
    with open(sample.path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == record.get("sha256")


def _recount(
    sample: Sample,
    genes: Genes,
    metadata: Mapping[str, Any],
    file_format: str,
    sizes: Mapping[str, int],
    on_read: Callable[[int], None] | None,
) -> tuple[npt.NDArray[np.int64], int]:
    """Count the reads of one file in the windows of some genes.

    Returns
    -------
    counts
        int64 (genes, bins), bins in genomic order.
    n_reads
        Number of reads in the file.
    """
    options = ReadOptions.from_dict(metadata["options"])
    flank, bin_size, n_bins = metadata["flank"], metadata["bin_size"], metadata["n_bins"]
    # With ``unknown_chrom="bedtools"``, BED reads on unknown chromosomes are placed on the first one, as bedtools does.
    as_bedtools = options.unknown_chrom == "bedtools" and file_format == "BED"
    unknown_chrom = next(iter(sizes)) if as_bedtools else None
    # For each chromosome, its windows sorted by start, as (start, row of the gene, strands that count).
    windows: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for row, (chrom, tss, strand) in enumerate(zip(genes.chrom, genes.tss, genes.strand, strict=True)):
        windows[chrom].append((int(tss) - flank, row, _accepted_strands(strand, options.strand)))
    starts = {}
    for chrom, windows_here in windows.items():
        windows_here.sort()
        starts[chrom] = [start for start, _, _ in windows_here]
    counts = np.zeros((len(genes), n_bins), np.int64)
    n_reads = 0
    for name, start, end, strand in _iterate_reads(sample.path, options):
        n_reads += 1
        if on_read and n_reads % 100_000 == 0:
            on_read(n_reads)
        counted_on = name if name in sizes else unknown_chrom
        if counted_on is None or counted_on not in starts:
            continue
        # Only these windows can overlap: they start before the read ends, and end after it starts.
        low = bisect_left(starts[counted_on], start - 2 * flank)
        high = bisect_right(starts[counted_on], end)
        for window_start, row, strands in windows[counted_on][low:high]:
            if strand not in strands:
                continue
            for b in range(n_bins):
                bin_start = window_start + b * bin_size
                if max(start, bin_start) < min(end, bin_start + bin_size):
                    counts[row, b] += 1
    for row in range(len(genes)):  # bins completely outside their chromosome count 0
        bin_starts = int(genes.tss[row]) - flank + bin_size * np.arange(n_bins)
        counts[row, (bin_starts + bin_size <= 0) | (bin_starts >= sizes.get(genes.chrom[row], 0))] = 0
    return counts, n_reads


def _accepted_strands(gene_strand: str, option: str | None) -> str:
    """Return the strands of the reads that count for a gene."""
    if option == "same":
        return gene_strand if gene_strand in "+-" else ""
    if option == "opposite":
        return {"+": "-", "-": "+"}.get(gene_strand, "+-")
    return "+-"


def _iterate_reads(path: str, options: ReadOptions) -> Iterator[Read]:
    """Yield the reads of a file that the options select."""
    stream: Any = open_stream(path)
    with stream:
        buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)
        is_gzip = buffered.peek(2)[:2] == GZIP_MAGIC
        with gzip.open(buffered) if is_gzip else buffered as text:
            magic = text.peek(4)[:4]
            if magic == CRAM_MAGIC and is_url(path):
                raise BadDataError("CRAM can only be read from a file. Download it first")
            if magic in (BAM_MAGIC, CRAM_MAGIC):
                if path == "-":
                    raise DeepchromeError("BAM and CRAM can only be verified from a file")
                with _local_copy(path) as local:
                    yield from _iterate_alignments(local, options)
            else:
                yield from _iterate_bed_lines(text)


def _iterate_bed_lines(text: Any) -> Iterator[Read]:
    for number in count(1):
        raw = text.readline(MAX_LINE_BYTES + 3)  # room for "\r\n", and a byte to detect a longer line
        line = raw.rstrip(b"\r\n")
        if not raw:
            return
        if not line or line.startswith((b"#", b"track", b"browser")):
            continue
        fields = line.split(b"\t", 6)
        if len(line) > MAX_LINE_BYTES or len(fields) < 3 or not (fields[1].isdigit() and fields[2].isdigit()):
            raise _BadLineError(f"{number}: not a read: {line[:100].decode('utf-8', 'backslashreplace')!r}")
        start, end = int(fields[1]), int(fields[2])
        if start == end:
            start, end = start - 1, end + 1
        strand = "-" if len(fields) > 5 and fields[5] == b"-" else "+"
        yield fields[0].decode("utf-8", "backslashreplace"), start, end, strand


def _iterate_alignments(path: str, options: ReadOptions) -> Iterator[Read]:
    import pysam

    format_options = None
    if is_cram(path):
        format_options = [REQUIRED_FIELDS]
        with open(path, "rb") as cram:
            if not options.allow_no_eof:
                check_cram_end(cram)
            check_cram_blocks(cram)
    with _quiet_htslib(), pysam.AlignmentFile(path, check_sq=False, format_options=format_options) as file:
        for read in file.fetch(until_eof=True):
            if (
                read.reference_id < 0
                or (read.is_duplicate and not options.include_duplicates)
                or (read.is_qcfail and not options.include_qc_fail)
                or read.mapping_quality < options.min_mapq
            ):
                continue
            start = read.reference_start
            # As in bedtools multicov, a read with a position but without an alignment is 1 bp long.
            is_aligned = not read.is_unmapped and read.cigartuples
            end = (read.reference_end or start) if is_aligned else start + 1
            yield str(read.reference_name), start, max(end, 0), "-" if read.is_reverse else "+"


@contextmanager
def _quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing to standard error, for example that a CRAM file has no index."""
    import pysam

    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)


@contextmanager
def _local_copy(path: str) -> Iterator[str]:
    """Yield the path of a local file, or of a temporary copy if ``path`` is a URL.

    pysam would open a URL by itself, without the retries and checks of :func:`open_stream`.
    """
    if not is_url(path):
        yield path
        return
    with tempfile.NamedTemporaryFile() as copy:
        with closing(open_stream(path)) as stream:
            buffer = memoryview(bytearray(COMPRESSED_BYTES))
            while n := stream.readinto(buffer):
                copy.write(buffer[:n])
        copy.flush()
        yield copy.name
