"""Options that decide which reads count."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from deepchrome.engine.annotation.aliases import ChromAliases
from deepchrome.engine.counting.blacklist import Blacklist
from deepchrome.errors import BadDataError, ParameterError, UsageError

UNKNOWN_CHROM: Final = ("error", "skip", "bedtools")
STRANDS: Final = (None, "same", "opposite")
POINTS: Final = (None, "five-prime", "center")
MAX_CHANGE_BP: Final = 1 << 30
# Files of version 1.0 record these options, whatever their values; others are recorded only if they were used.
_ALWAYS_RECORDED: Final = (
    "unknown_chrom", "allow_empty", "allow_no_eof", "strand", "min_mapq", "include_duplicates", "include_qc_fail",
    "allow_few",
)  # fmt: skip


@dataclass(frozen=True)
class ReadOptions:
    """Options that select the reads to count and the unusual files to accept.

    Attributes
    ----------
    unknown_chrom
        What to do with reads on a chromosome that the genome does not have. ``error`` refuses the file. ``skip``
        leaves the reads out. ``bedtools`` counts reads of BED files on the first chromosome of the genome, where
        ``bedtools bedtobam`` places them, and leaves reads of BAM and CRAM files out, as ``bedtools multicov`` does.
    allow_empty
        Accept a file without reads.
    allow_no_eof
        Accept bgzip, BAM and CRAM files without the block that marks their end. Such a file may have been cut between
        two blocks.
    allow_few
        Accept a file of which fewer than 1 % of the reads lie on chromosomes of the genes.
    strand
        ``same`` or ``opposite`` to count only reads on that strand relative to the gene (multicov -s and -S); None
        to count all.
    min_mapq
        Leave out BAM and CRAM records with a lower mapping quality (multicov -q).
    include_duplicates, include_qc_fail
        Count BAM and CRAM records flagged as duplicates or as failing quality control (multicov -D and -F).
    proper_pairs
        Count only BAM and CRAM records that are properly paired (multicov -p).
    overlap_fraction, reciprocal
        The fraction of a region that a read must cover, above 0 and up to 1 (multicov -f); and whether the region must
        also cover this fraction of the read (multicov -r). None counts any overlap.
    split
        Count the blocks of spliced reads, cut at each N of the CIGAR, instead of their whole span (multicov -split).
    fragments
        Count fragments instead of reads: properly paired BAM and CRAM records, BEDPE, or the fragments of 10x.
    shift
        Move reads by this many bp towards their 3' end; negative towards their 5' end.
    extend
        Extend shorter reads to this length (bp) from their 5' end, within their chromosome; 0 leaves them.
    point
        ``five-prime`` or ``center`` to count one position of each read instead of all; None to count all.
    blacklist
        Leave out reads that overlap these intervals, after ``shift``, ``extend`` and ``point``.
    aliases
        Other names of the chromosomes of the genome, for reads.
    build_check
        Refuse reads whose positions or chromosome lengths do not fit the genome.
    format
        ``bed`` to read a file as BED although its columns look like another format; None to find out.
    """

    unknown_chrom: str = "error"
    allow_empty: bool = False
    allow_no_eof: bool = False
    strand: str | None = None
    min_mapq: int = 0
    include_duplicates: bool = False
    include_qc_fail: bool = False
    allow_few: bool = False
    proper_pairs: bool = False
    overlap_fraction: float | None = None
    reciprocal: bool = False
    split: bool = False
    fragments: bool = False
    shift: int = 0
    extend: int = 0
    point: str | None = None
    blacklist: Blacklist | None = None
    aliases: ChromAliases | None = None
    build_check: bool = True
    format: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the options as values that JSON can hold: what a feature file stores.

        Options that are not used are left out, unless the first version of the format had them. A blacklist and a file
        of aliases are recorded as their SHA-256.
        """
        defaults = type(self)()
        values = {
            name: value
            for name, value in vars(self).items()
            if name in _ALWAYS_RECORDED or value != getattr(defaults, name)
        }
        if self.blacklist:
            values["blacklist"] = self.blacklist.sha256
        if self.aliases:
            values["aliases"] = self.aliases.record
        return values

    @classmethod
    def from_dict(
        cls, options: Mapping[str, Any], blacklist: Blacklist | None = None, aliases: ChromAliases | None = None
    ) -> Self:
        """Restore options that a feature file records. Options that it does not have get their default.

        Parameters
        ----------
        options
            The record.
        blacklist, aliases
            The blacklist and the aliases with which the file was counted.

        Raises
        ------
        BadDataError
            This version does not know an option.
        UsageError
            The file was counted with another blacklist or other aliases, or with some that are not given.
        """
        if unknown := sorted(options.keys() - {field.name for field in fields(cls)}):
            raise BadDataError(f"counted with {', '.join(unknown)}, which this version does not know. Use a later one")
        if options.get("blacklist") != (blacklist and blacklist.sha256):  # guard: same-blacklist
            raise _other_file("a blacklist", options.get("blacklist"), blacklist, remedy="blacklist")
        if options.get("aliases") != (aliases and aliases.record):  # guard: same-aliases
            raise _other_file("other names of chromosomes", options.get("aliases"), aliases, remedy="aliases_file")
        return cls(**{**options, "blacklist": blacklist, "aliases": aliases})

    def check(self) -> None:
        """Raise a ``UsageError`` if an option has a value that is not valid."""
        if self.unknown_chrom not in UNKNOWN_CHROM:
            raise ParameterError(
                "unknown_chrom", f"must be one of {', '.join(UNKNOWN_CHROM)}, got {self.unknown_chrom!r}"
            )
        if self.strand not in STRANDS:
            raise UsageError(f"strand must be same, opposite or None, got {self.strand!r}")
        if self.point not in POINTS:
            raise UsageError(f"point must be five-prime, center or None, got {self.point!r}")
        if self.format not in (None, "bed"):
            raise ParameterError("format", f"must be bed or None, got {self.format!r}")
        fraction = self.overlap_fraction
        if fraction is not None and not 0 < fraction <= 1:
            raise ParameterError("overlap_fraction", f"must be above 0 and at most 1, got {fraction}")
        if self.extend < 0:
            raise ParameterError("extend", f"must not be negative, got {self.extend}")
        if max(abs(self.shift), self.extend) > MAX_CHANGE_BP:
            raise UsageError(f"shift and extend must not exceed {MAX_CHANGE_BP} bp")
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Raise a ``UsageError`` if two options contradict each other."""
        changes = {"shift": self.shift, "extend": self.extend, "point": self.point}
        used = [name for name, value in changes.items() if value]
        if self.extend and self.point:
            raise UsageError("extend and point cannot be used together: a point has no length")
        if self.split and used:
            raise UsageError(f"split cannot be used together with {used[0]}: blocks stay where they are")
        if self.fragments:
            taken = ["split"] if self.split else []
            taken += ["strand"] if self.strand else []
            taken += [name for name in used if self.point != "center" or name != "point"]
            if taken:
                raise UsageError(
                    f"fragments cannot be used together with {taken[0]}: a fragment has no strand or blocks"
                )
        if self.unknown_chrom == "bedtools" and (used or self.blacklist or self.aliases):
            raise UsageError("unknown_chrom bedtools cannot be used with options that bedtools bedtobam does not have")


def _other_file(what: str, recorded: object, given: Blacklist | ChromAliases | None, *, remedy: str) -> UsageError:
    """Return the error for a file that is not the one that was used to count."""
    if not recorded:
        return UsageError(f"counted without {what}, so {given.name if given else what} must not be given")
    shown = f"{what} ({str(recorded)[:12]})"  # the start of a SHA-256, or "auto"
    if given:
        return UsageError(f"counted with {shown}, not with {given.name}. Give the file that was used to count")
    return UsageError(f"counted with {shown}, and no file is given", remedy=remedy)
