"""Options that decide which reads count."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from deepchrome.errors import BadDataError, ParameterError, UsageError

UNKNOWN_CHROM: Final = ("error", "skip", "bedtools")
STRANDS: Final = (None, "same", "opposite")


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
    """

    unknown_chrom: str = "error"
    allow_empty: bool = False
    allow_no_eof: bool = False
    strand: str | None = None
    min_mapq: int = 0
    include_duplicates: bool = False
    include_qc_fail: bool = False
    allow_few: bool = False

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Restore options that a feature file records. Options that it does not have get their default.

        Raises
        ------
        BadDataError
            This version does not know an option.
        """
        if unknown := sorted(options.keys() - {field.name for field in fields(cls)}):
            raise BadDataError(f"counted with {', '.join(unknown)}, which this version does not know. Use a later one")
        return cls(**options)

    def check(self) -> None:
        """Raise a ``UsageError`` if an option has a value that is not valid."""
        if self.unknown_chrom not in UNKNOWN_CHROM:
            raise ParameterError(
                "unknown_chrom", f"must be one of {', '.join(UNKNOWN_CHROM)}, got {self.unknown_chrom!r}"
            )
        if self.strand not in STRANDS:
            raise UsageError(f"strand must be same, opposite or None, got {self.strand!r}")
