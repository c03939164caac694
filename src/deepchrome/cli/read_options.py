"""Options of ``dc featurize`` and ``dc count`` that decide which reads count, and what a read is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deepchrome.errors import UsageError

if TYPE_CHECKING:
    from deepchrome.engine.annotation.genome import Genome
    from deepchrome.engine.counting.options import ReadOptions

AUTO_ALIASES = "auto"
UnknownChrom = Literal["error", "skip", "bedtools"]

# Which records of a BAM or CRAM file count.
MinMapqOption = Annotated[
    int, typer.Option("-q", "--min-mapq", min=0, max=255, help="BAM: minimum mapping quality of counted reads.")
]
IncludeDuplicatesOption = Annotated[
    bool, typer.Option("-D", "--include-duplicates", help="BAM: also count duplicates.")
]
IncludeQcFailOption = Annotated[
    bool, typer.Option("-F", "--include-qc-fail", help="BAM: also count reads that failed quality control.")
]
ProperPairsOption = Annotated[bool, typer.Option("-p", "--proper-pairs", help="BAM: count only properly paired reads.")]

# Which reads count in a region.
SameStrandOption = Annotated[
    bool, typer.Option("-s", "--same-strand", help="Count only reads on the strand of the gene or region.")
]
OppositeStrandOption = Annotated[
    bool, typer.Option("-S", "--opposite-strand", help="Count only reads that are not on that strand.")
]
OverlapFractionOption = Annotated[
    float | None,
    typer.Option(
        "-f",
        "--overlap-fraction",
        help="Minimum overlap, as a fraction of the bin or region. With --split: of the read, and more than that.",
        show_default="1 bp",
    ),
]
ReciprocalOption = Annotated[
    bool, typer.Option("-r", "--reciprocal", help="With -f: also require that fraction of the other one.")
]
SplitOption = Annotated[
    bool, typer.Option("--split", help="BAM: count spliced reads only where they align, not in their gaps (N).")
]

# What a read is.
FragmentsOption = Annotated[
    bool, typer.Option("--fragments", help="Count fragments: pairs in BAM, BEDPE, or 10x fragments.tsv.gz.")
]
ExtendOption = Annotated[int, typer.Option(min=0, help="Extend shorter reads from their 5' end to this length (bp).")]
ShiftOption = Annotated[int, typer.Option(help="Shift reads towards their 3' end (bp; negative: towards 5').")]
FivePrimeOption = Annotated[bool, typer.Option("--five-prime", help="Count only the 5' base of each read.")]
CenterOption = Annotated[bool, typer.Option("--center", help="Count only the middle base of each read or fragment.")]
BlacklistOption = Annotated[
    Path | None, typer.Option(help="BED file of regions. Reads that overlap one of them do not count.")
]

# What to accept.
ChromAliasOption = Annotated[
    str | None,
    typer.Option(
        metavar="auto|FILE",
        help="Other names of chromosomes: auto (chr1 and 1, chrM and MT), or a chromAlias file of UCSC.",
    ),
]
NoBuildCheckOption = Annotated[
    bool, typer.Option("--no-build-check", help="Accept reads that seem to be of another genome build.")
]
UnknownChromOption = Annotated[
    UnknownChrom,
    typer.Option(
        help="Reads on chromosomes that the genome lacks: stop, skip them, "
        "or place them on its first chromosome, as bedtools does."
    ),
]
ReadsFormatOption = Annotated[
    Literal["bed"] | None,
    typer.Option("--format", help="Take the reads for BED even if numbers in their columns look like another format."),
]
AllowEmptyOption = Annotated[bool, typer.Option("--allow-empty", help="Accept files without reads.")]


def make_read_options(
    genome: "Genome",
    *,
    same_strand: bool = False,
    opposite_strand: bool = False,
    five_prime: bool = False,
    center: bool = False,
    blacklist: Path | None = None,
    chrom_alias: str | None = None,
    no_build_check: bool = False,
    **others: Any,
) -> "ReadOptions":
    """Return the options for the library.

    Parameters
    ----------
    genome
        The genome that the reads are counted on.
    same_strand, opposite_strand, five_prime, center, blacklist, chrom_alias, no_build_check
        Values of the options of these names.
    others
        Attributes of :class:`~deepchrome.engine.counting.options.ReadOptions`.

    Raises
    ------
    UsageError
        Two options exclude each other, or a value is not valid.
    MissingInputError, BadDataError, StorageError
        The blacklist or the table of names cannot be read or is not valid.
    """
    from deepchrome.engine.counting.options import ReadOptions

    for pair, both in {
        "-s and -S": same_strand and opposite_strand,
        "--five-prime and --center": five_prime and center,
    }.items():
        if both:
            raise UsageError(f"{pair} cannot be used together")
    values = dict(others)
    if chrom_alias is not None:
        from deepchrome.engine.annotation.aliases import auto_aliases, read_aliases

        is_auto = chrom_alias == AUTO_ALIASES
        values["aliases"] = auto_aliases(genome) if is_auto else read_aliases(chrom_alias, genome)
    if blacklist is not None:
        from deepchrome.engine.counting.blacklist import read_blacklist

        values["blacklist"] = read_blacklist(blacklist, genome, values.get("aliases"))
    options = ReadOptions(
        strand="same" if same_strand else "opposite" if opposite_strand else None,
        point="five-prime" if five_prime else "center" if center else None,
        build_check=not no_build_check,
        **values,
    )
    options.check()
    return options


def alias_file(chrom_alias: str | None) -> list[Path]:
    """Return the file that ``--chrom-alias`` names, if any."""
    return [Path(chrom_alias)] if chrom_alias and chrom_alias != AUTO_ALIASES else []
