"""Recount a sample of genes by another route: Python's own gzip (or pysam), one read at a time, no kernel."""

import gzip
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

from deepchrome.common.signatures import GZIP_MAGIC
from deepchrome.common.urls import is_url
from deepchrome.engine.annotation.genome import BUNDLED_GENOMES, read_genome
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.store import Features, read_features
from deepchrome.engine.kernels import MAX_LINE_BYTES
from deepchrome.engine.streams.byte_streams import COMPRESSED_BYTES
from deepchrome.engine.streams.inputs import open_stream, translate_error
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError

Read = tuple[str, int, int, str]
"""Chromosome, start, end (0-based half-open, the zero-length rule applied) and strand."""

_NEEDED = ("genome", "flank", "bin_size", "options", "sources")


@dataclass(frozen=True)
class VerifyResult:
    """How one file of reads compares with what is stored for it.

    Attributes
    ----------
    epigenome, mark
        What was compared.
    genes, bins
        How many were recounted.
    different
        Bins whose stored count is another than the recount.
    first
        Where the first of them is, and both counts; empty if there is none.
    reads, reads_stored
        Reads seen on this route, and those that the features file says were counted.
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
        """Whether nothing differs."""
        return self.different == 0 and self.reads == self.reads_stored


def verify(
    features: str | Path,
    samples: Sequence[Sample],
    *,
    n_genes: int = 100,
    seed: int = 1,
    genome: str | Path | None = None,
    on_read: Callable[[int], None] | None = None,
) -> list[VerifyResult]:
    """Recount some genes of a features file from its reads and compare every bin.

    Parameters
    ----------
    features
        What ``dc featurize`` wrote: the directory, or one file of it.
    samples
        The files of reads, with what they are.
    n_genes
        Genes to recount, drawn at random; all if there are fewer.
    seed
        Of the draw.
    genome
        The chrom.sizes file that ``dc featurize`` was given; not needed for a bundled genome.
    on_read
        Called now and then with the number of reads seen in the file.

    Raises
    ------
    MissingInputError, BadDataError, StorageError
        An input does not exist, or cannot be read.
    """
    results = []
    for epigenome in sorted({sample.epigenome for sample in samples}):
        path = Path(features)
        path = path / f"{epigenome}.parquet" if path.is_dir() else path
        stored = read_features(path)
        if stored.epigenome != epigenome:
            raise BadDataError(f"{path}: these are the features of {stored.epigenome}, not of {epigenome}")
        if absent := [key for key in _NEEDED if key not in stored.metadata]:
            raise BadDataError(f"{path}: does not say how it was counted ({', '.join(absent)}): not from reads")
        sizes = _sizes(stored, genome)
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.permutation(len(stored.genes))[:n_genes])
        for sample in (sample for sample in samples if sample.epigenome == epigenome):
            if sample.mark not in stored.marks:
                raise BadDataError(f"{path}: no mark {sample.mark} in this file; it has {', '.join(stored.marks)}")
            try:
                results.append(_verify_one(stored, sample, rows, sizes, on_read))
            except Exception as error:
                raise translate_error(error, sample.path) from error
    return results


def _sizes(stored: Features, genome: str | Path | None) -> Mapping[str, int]:
    name = genome or stored.metadata["genome"]
    if genome is None and name not in BUNDLED_GENOMES:
        raise MissingInputError(f"these features were counted on {name}: give that file as --genome")
    return read_genome(name).sizes


def _verify_one(
    stored: Features,
    sample: Sample,
    rows: npt.NDArray[np.int64],
    sizes: Mapping[str, int],
    on_read: Callable[[int], None] | None,
) -> VerifyResult:
    document = stored.metadata
    options = ReadOptions(**document["options"])
    flank, bin_size, n_bins = document["flank"], document["bin_size"], document["n_bins"]
    genes = stored.genes
    # For each chromosome the windows looked for, by start: (start, row in the recount, accepted strands).
    places: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for i, row in enumerate(rows):
        places[genes.chrom[row]].append((int(genes.tss[row]) - flank, i, _accepted(genes.strand[row], options.strand)))
    starts = {}
    for chrom, windows in places.items():
        windows.sort()
        starts[chrom] = [start for start, _, _ in windows]
    recount = np.zeros((len(rows), n_bins), np.int64)
    first_chrom = next(iter(sizes))
    seen = 0
    for chrom, start, end, strand in _reads(sample.path, options):
        seen += 1
        if on_read and seen % 100_000 == 0:
            on_read(seen)
        if chrom not in sizes:
            if options.unknown_chrom != "bedtools" or document["sources"][sample.mark]["format"] != "BED":
                continue
            chrom = first_chrom
        if chrom not in starts:
            continue
        # Windows that can overlap: those that start before the read ends, and after it starts less their width.
        low = bisect_left(starts[chrom], start - 2 * flank)
        high = bisect_right(starts[chrom], end)
        for window_start, i, accepted in places[chrom][low:high]:
            if strand not in accepted:
                continue
            for b in range(n_bins):
                bin_start = window_start + b * bin_size
                if max(start, bin_start) < min(end, bin_start + bin_size):
                    recount[i, b] += 1
    for i, row in enumerate(rows):  # bins wholly outside their chromosome count 0
        bin_start = int(genes.tss[row]) - flank + bin_size * np.arange(n_bins)
        recount[i, (bin_start + bin_size <= 0) | (bin_start >= sizes.get(genes.chrom[row], 0))] = 0
    counted = stored.counts[rows, :, stored.marks.index(sample.mark)].astype(np.int64)
    wrong = np.argwhere(counted != recount)
    first = ""
    if len(wrong):
        i, b = wrong[0]
        first = f"{genes.gene_id[rows[i]]} bin {b + 1}: {counted[i, b]} stored, {recount[i, b]} recounted"
    reads_stored = document["sources"][sample.mark]["reads"]
    return VerifyResult(sample.epigenome, sample.mark, len(rows), recount.size, len(wrong), first, seen, reads_stored)


def _accepted(gene_strand: str, wanted: str | None) -> str:
    if wanted == "same":
        return gene_strand if gene_strand in "+-" else ""
    if wanted == "opposite":
        return {"+": "-", "-": "+"}.get(gene_strand, "+-")
    return "+-"


def _reads(path: str, options: ReadOptions) -> Iterator[Read]:
    """Yield the reads that count, one by one."""
    stream: Any = open_stream(path)
    with stream:
        buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)
        packed = buffered.peek(2)[:2] == GZIP_MAGIC
        with gzip.open(buffered) if packed else buffered as lines:
            head = lines.peek(4)[:4]
            if head == b"CRAM" and is_url(path):
                raise BadDataError("CRAM can only be read from a file; get it first")
            if head in (b"BAM\1", b"CRAM"):
                if path == "-":
                    raise DeepchromeError("BAM and CRAM can only be verified from a file")
                with _as_file(path) as local:
                    yield from _alignments(local, options)
            else:
                yield from _lines(lines)


def _lines(lines: Any) -> Iterator[Read]:
    for number in count(1):
        raw = lines.readline(MAX_LINE_BYTES + 3)
        line = raw.rstrip(b"\r\n")
        if not raw:
            return
        if not line or line.startswith((b"#", b"track", b"browser")):
            continue
        fields = line.split(b"\t", 6)
        if len(line) > MAX_LINE_BYTES or len(fields) < 3 or not (fields[1].isdigit() and fields[2].isdigit()):
            raise BadDataError(f"line {number}: not a read: {line[:100].decode('utf-8', 'backslashreplace')!r}")
        start, end = int(fields[1]), int(fields[2])
        if start == end:
            start, end = start - 1, end + 1
        strand = "-" if len(fields) > 5 and fields[5] == b"-" else "+"
        yield fields[0].decode("utf-8", "backslashreplace"), start, end, strand


@contextmanager
def _as_file(path: str) -> Iterator[str]:
    """Give the path of a file with the same bytes: pysam would read a URL in a way of its own."""
    if not is_url(path):
        yield path
        return
    with tempfile.NamedTemporaryFile() as copy:
        with closing(open_stream(path)) as stream:
            room = memoryview(bytearray(COMPRESSED_BYTES))
            while n := stream.readinto(room):
                copy.write(room[:n])
        copy.flush()
        yield copy.name


def _alignments(path: str, options: ReadOptions) -> Iterator[Read]:
    import pysam

    with pysam.AlignmentFile(path, check_sq=False) as file:
        for read in file.fetch(until_eof=True):
            if (
                read.reference_id < 0
                or (read.is_duplicate and not options.include_duplicates)
                or (read.is_qcfail and not options.include_qc_fail)
                or read.mapping_quality < options.min_mapq
            ):
                continue
            start = read.reference_start
            # multicov's rule: what is placed but not aligned takes one position.
            aligned = not read.is_unmapped and read.cigartuples
            end = (read.reference_end or start) if aligned else start + 1
            yield str(read.reference_name), start, max(end, 0), "-" if read.is_reverse else "+"
