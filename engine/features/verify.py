"""Recount some genes of feature files by another route, and compare every bin."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.aliases import auto_aliases, read_aliases
from deepchrome.engine.annotation.genome import BUNDLED_GENOMES, Genome, read_genome
from deepchrome.engine.counting.blacklist import read_blacklist
from deepchrome.engine.counting.headers import genome_from_headers
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.features.naive_reads import BadLineError
from deepchrome.engine.features.pooling import records_of
from deepchrome.engine.features.provenance import genome_sha256
from deepchrome.engine.features.recount import Rule, read_intervals, recount
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.store import Features, read_features
from deepchrome.engine.streams.inputs import translate_error
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError

_AUTO = "auto"  # recorded in place of a checksum
_REQUIRED_METADATA = ("genome", "genome_sha256", "flank", "bin_size", "options", "sources")


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
    blacklist: str | Path | None = None,
    aliases: str | Path | None = None,
    on_read: Callable[[int], None] | None = None,
) -> list[VerifyResult]:
    """Recount some genes of feature files from the reads, without the kernels, and compare every bin.

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
        The chrom.sizes file that the reads were counted with. Not needed for a bundled genome, nor if the header of a
        BAM or CRAM file gave the genome. It must have the chromosomes, in order, and the lengths that the feature file
        records.
    blacklist, aliases
        The blacklist and the table of chromosome names that the reads were counted with, if there were any.
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
    UsageError
        The blacklist or the table of names is not the one that the reads were counted with.
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
        own_samples = [sample for sample in samples if sample.epigenome == epigenome]
        rule = _make_rule(path, stored, _find_genome(path, stored, genome, own_samples), blacklist, aliases)
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.permutation(len(stored.genes))[:n_genes])
        files: dict[str, list[Sample]] = {}
        for sample in own_samples:
            if sample.mark not in stored.marks:
                raise BadDataError(f"{path}: no mark {sample.mark} in this file; it has {', '.join(stored.marks)}")
            if sample.mark in stored.signal:
                raise BadDataError(f"{path}: {sample.mark} is signal of a bigWig file, and has no reads to count again")
            files.setdefault(sample.mark, []).append(sample)
        for mark, found in files.items():
            # Without the signal of other marks, which would make the counts float32.
            counted = read_features(path, [mark]) if stored.signal else stored
            results.append(_verify_mark(counted, found, rows, rule, on_read))
    return results


def _find_genome(path: Path, stored: Features, genome: str | Path | None, samples: Sequence[Sample]) -> Genome:
    """Return the genome that the features were counted with: the given one, a bundled one, or that of a header."""
    name = stored.metadata["genome"]
    if genome is not None or name in BUNDLED_GENOMES:
        read = read_genome(genome or name)
        if genome_sha256(read) != stored.metadata["genome_sha256"]:  # guard: verify-genome
            raise BadDataError(
                f"{genome or name}: not the genome that {path} was counted with ({name}): names, lengths or order of "
                "the chromosomes differ",
                remedy="genome",
            )
        return read
    for sample in samples:
        try:
            read = genome_from_headers([sample.path])
        except DeepchromeError:  # not a local BAM or CRAM file
            continue
        if genome_sha256(read) == stored.metadata["genome_sha256"]:
            return read
    raise MissingInputError(f"{path}: recounting needs the chrom.sizes file {name}", remedy="genome")


def _make_rule(
    path: Path, stored: Features, genome: Genome, blacklist: str | Path | None, aliases: str | Path | None
) -> Rule:
    """Return the rule by which the reads of a feature file were counted."""
    metadata, names = stored.metadata, None
    if aliases is not None:
        names = read_aliases(aliases, genome)
    elif metadata["options"].get("aliases") == _AUTO:
        names = auto_aliases(genome)
    masked = None if blacklist is None else read_blacklist(blacklist, genome, names)
    try:
        options = ReadOptions.from_dict(metadata["options"], masked, names)
    except DeepchromeError as error:
        raise type(error)(f"{path}: {error}", remedy=error.remedy) from None
    intervals = {} if blacklist is None else read_intervals(blacklist, genome, names)
    return Rule(genome, options, metadata["flank"], metadata["bin_size"], intervals)


def _verify_mark(
    stored: Features,
    samples: Sequence[Sample],
    rows: npt.NDArray[np.int64],
    rule: Rule,
    on_read: Callable[[int], None] | None,
) -> VerifyResult:
    """Recount the files of one mark in some genes, and compare the sums of their counts."""
    mark = samples[0].mark
    records = _match_records(samples, stored.metadata["sources"].get(mark, {}))
    genes = stored.genes.take(rows)
    recounted, n_reads = np.zeros((len(genes), stored.metadata["n_bins"]), np.int64), 0
    for sample, record in zip(samples, records, strict=True):
        try:
            counts, reads = recount(sample.path, record["format"], genes, rule, on_read)
        except BadLineError as error:
            raise BadDataError(f"{sample.shown_path}:{error}") from None
        except Exception as error:
            raise translate_error(error, sample.path) from error
        recounted += counts
        n_reads += reads
    counts = stored.counts[rows, :, stored.marks.index(mark)].astype(np.int64)
    different = np.argwhere(counts != recounted)
    first = ""
    if len(different):
        gene, b = different[0]
        first = f"{genes.gene_id[gene]} bin {b + 1}: {counts[gene, b]} stored, {recounted[gene, b]} recounted"
    reads_stored = sum(record["reads"] for record in records)
    return VerifyResult(
        stored.epigenome, mark, len(genes), recounted.size, len(different), first, n_reads, reads_stored
    )


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
