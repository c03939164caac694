"""Compare the settings with which two feature files were counted.

Counts can be compared, or given to one model, only if they were made with the same genome, windows and read options.
A feature file records them in its metadata (see docs/format.md). Files of older versions, and files made by other
programs, may lack some of them: what is not recorded is unknown, and is not compared.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.bigwig import SIGNAL_FORMAT
from deepchrome.engine.counting.options import ReadOptions

# Increase this when a change to the code can change the counts of the same reads. Files with another number are then
# counted again.
COUNT_RULE: Final = 1
_SETTINGS: Final = ("count_rule", "genome_sha256", "flank", "bin_size")
# Recorded in place of an option that had no effect on a file: the file is the same with every value of the option.
ANY: Final = "any"
# These options only relax checks. They do not change the counts of a file that passes the checks without them.
_LENIENT_OPTIONS: Final = ("allow_empty", "allow_no_eof", "allow_few", "aliases", "build_check", "format")
# These options select records of BAM and CRAM. Text and bigWig have no such records.
_ALIGNMENT_OPTIONS: Final = ("min_mapq", "include_duplicates", "include_qc_fail", "proper_pairs")
_WITHOUT_ALIGNMENTS: Final = ("BED", "BEDPE", SIGNAL_FORMAT)
# The columns that tell whether the genes of two files are the same, at the same places and on the same strands.
_COMPARED_COLUMNS: Final = ("gene_id", "chrom", "tss", "strand")

Differences = dict[str, tuple[Any, Any]]
"""The settings that differ, by name, with both values; None for a value that is not recorded."""


def genome_sha256(genome: Genome) -> str:
    """Return the SHA-256 of the names and lengths of the chromosomes, as docs/format.md defines it."""
    sizes = "".join(f"{name}\t{size}\n" for name, size in genome.sizes.items())
    return hashlib.sha256(sizes.encode()).hexdigest()


def counting_options(windows: Windows, options: ReadOptions) -> dict[str, Any]:
    """Return the settings that determine the counts, apart from reads and genes, as a feature file stores them."""
    return {
        "count_rule": COUNT_RULE,
        "genome_sha256": genome_sha256(windows.genome),
        "gene_chromosomes": _gene_chromosomes(windows),
        "flank": windows.flank,
        "bin_size": windows.bin_size,
        "options": options.record(),
    }


def _gene_chromosomes(windows: Windows) -> dict[str, int | None]:
    """Return the length in bp of each chromosome that has genes; None if the genome does not have it."""
    ids = dict(zip(windows.genes.chrom, windows.chrom_id.tolist(), strict=True))
    sizes = [*windows.genome.sizes.values(), None]  # the id -1 takes the last one
    return {name: sizes[ids[name]] for name in sorted(ids)}


def counting_record(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run keeps about the counting of a feature file.

    Parameters
    ----------
    metadata
        The metadata of the feature file.

    Returns
    -------
    dict
        ``genome``, ``count_rule``, ``genome_sha256``, ``gene_chromosomes``, ``flank``, ``bin_size``, ``options`` and
        ``genes`` (the checksums of gene_id, chrom, tss and strand), as far as they are recorded. An option that had no
        effect on the file has the value :data:`ANY`: options for BAM and CRAM if there were only BED and bigWig, and
        ``unknown_chrom`` if no read was off the genome.
    """
    record = {name: metadata[name] for name in ("genome", *_SETTINGS) if metadata.get(name)}
    if isinstance(chromosomes := metadata.get("gene_chromosomes"), Mapping):
        record["gene_chromosomes"] = dict(chromosomes)
    options = metadata.get("options")
    if isinstance(options, Mapping):
        sources = list(metadata.get("sources", {}).values())
        no_effect = list(_LENIENT_OPTIONS)
        if sources and all(source.get("format") in _WITHOUT_ALIGNMENTS for source in sources):
            no_effect += _ALIGNMENT_OPTIONS
        if options.get("unknown_chrom") == "error" or (
            sources and all(source.get("reads_off_genome") == {} for source in sources)
        ):
            no_effect.append("unknown_chrom")
        record["options"] = {**_with_defaults(options), **dict.fromkeys(no_effect, ANY)}
    checksums = metadata.get("crc32", {})
    if all(name in checksums for name in _COMPARED_COLUMNS):
        record["genes"] = {name: checksums[name] for name in _COMPARED_COLUMNS}
    return record


def merge_counting(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Return what at least one of two records knows; they must not differ.

    Parameters
    ----------
    one, two
        Results of :func:`counting_record` or of this function.
    """
    merged = {**two, **one}
    for name in ("options", "gene_chromosomes"):
        if name in one and name in two:
            merged[name] = {**one[name], **{key: value for key, value in two[name].items() if value != ANY}}
    return merged


def compare_counting(before: Mapping[str, Any], after: Mapping[str, Any], *, known_only: bool = False) -> Differences:
    """Compare the settings of two feature files, or of a file and a request.

    Parameters
    ----------
    before, after
        Metadata of feature files, or results of :func:`counting_options` or :func:`counting_record`.
    known_only
        Leave out settings that one side does not record. Otherwise they differ.

    Returns
    -------
    dict
        The differences in counting rule, genome, windows and read options. ``unknown_chrom`` does not differ if
        ``before`` has the value ``error``: no read was on an unknown chromosome, so the value of ``after`` changes
        nothing. ``count_rule`` is compared with ``known_only`` alone, because a file with another rule is counted
        again. ``aliases`` are compared only without ``known_only``: they may change the counts of one file, but files
        that name the chromosomes differently need different ones. With ``known_only``, ``genome_sha256`` does not
        differ if the genomes differ only in what cannot change a count: the order of the chromosomes, and chromosomes
        without genes.
    """
    one, two = _settings(before), _settings(after)
    names = [name for name in dict.fromkeys((*one, *two)) if not known_only or (name in one and name in two)]
    differences = {name: (one.get(name), two.get(name)) for name in names if one.get(name) != two.get(name)}
    if one.get("unknown_chrom") == "error":
        differences.pop("unknown_chrom", None)
    if not known_only:
        differences.pop("count_rule", None)
        differences |= _different_aliases(before, after)
    if known_only and _have_same_gene_chromosomes(before, after):
        differences.pop("genome_sha256", None)
    return {name: pair for name, pair in differences.items() if ANY not in pair}


def describe_settings(here: Mapping[str, Any], there: Mapping[str, Any], differences: Differences) -> str:
    """Describe differences between two records, each with the value here and the value there.

    Parameters
    ----------
    here, there
        Results of :func:`counting_record`.
    differences
        What :func:`compare_counting` found; the order of its arguments does not matter.
    """
    texts = []
    for name in differences:
        one, two = (_show_setting(record, name) for record in (here, there))
        texts.append(f"{name.removesuffix('_sha256')} {one}, not {two}")
    return "; ".join(texts)


def _show_setting(record: Mapping[str, Any], name: str) -> str:
    """Return the value of a setting as text. A genome is shown with the start of its checksum: names can be equal."""
    if name == "genome_sha256":
        return f"{record.get('genome', 'unknown')} ({str(record[name])[:8]})"
    return str(record[name] if name in record else record["options"][name])


def _have_same_gene_chromosomes(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether the chromosomes with genes in both files are known to be the same."""
    # Reads on unknown chromosomes were moved to the first chromosome of the genome, so its order matters.
    unknown_chrom = [record.get("options", {}).get("unknown_chrom") for record in (before, after)]
    if "bedtools" in unknown_chrom:  # guard: moved-reads
        return False
    one, two = (record.get("gene_chromosomes", {}) for record in (before, after))
    shared = one.keys() & two.keys()
    return bool(shared) and all(one[name] == two[name] for name in shared)


def _different_aliases(before: Mapping[str, Any], after: Mapping[str, Any]) -> Differences:
    """Return the difference in aliases of a file and a request, if it can change a count.

    If no read of the file was on an unknown chromosome, further aliases find no more reads; and without its aliases, a
    file with other names is refused, not counted differently. For genes, the record says which chromosomes were found.
    """
    options = [_with_defaults(document.get("options") or {}) for document in (before, after)]
    one, two = (option["aliases"] for option in options)
    places, requested = (document.get("gene_chromosomes") or {} for document in (before, after))
    genes_differ = any(places[name] != requested[name] for name in places.keys() & requested.keys())
    is_same_genome = before.get("genome_sha256") == after.get("genome_sha256")
    reads_may_differ = options[0]["unknown_chrom"] != "error" or None not in (one, two)
    if one != two and (reads_may_differ or (genes_differ and is_same_genome)):  # guard: aliases-differ
        return {"aliases": (one, two)}
    return {}


def _settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded genome, windows and options as one flat dictionary."""
    settings = {name: document[name] for name in _SETTINGS if name in document}
    options = document.get("options")
    if isinstance(options, Mapping):
        settings |= {name: value for name, value in _with_defaults(options).items() if name not in _LENIENT_OPTIONS}
    return settings


def _with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Add the default of every option that is not recorded: a file of an older version was counted with it."""
    return {**vars(ReadOptions()), **options}
