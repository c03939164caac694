"""Options that say which reads count."""

from dataclasses import dataclass

UNKNOWN_CHROM = ("error", "skip", "bedtools")
STRANDS = (None, "same", "opposite")


@dataclass(frozen=True)
class ReadOptions:
    """Which reads count, and what is let pass.

    Attributes
    ----------
    unknown_chrom
        Reads on a chromosome that the genome lacks: ``error`` refuses the file, ``skip`` leaves them out,
        ``bedtools`` counts tagAlign reads on the genome's first chromosome, as ``bedtools bedtobam`` places
        them (and leaves BAM reads out, as ``multicov`` does).
    allow_empty
        Accept a file without a single read.
    allow_no_eof
        Accept bgzip and BAM without the block that marks their end.
    strand
        ``same`` or ``opposite``: count only reads on that strand of the gene (multicov's -s and -S).
    min_mapq
        BAM: leave out reads of lower mapping quality (multicov's -q).
    include_duplicates, include_qc_fail
        BAM: count reads so flagged too (multicov's -D and -F).
    """

    unknown_chrom: str = "error"
    allow_empty: bool = False
    allow_no_eof: bool = False
    strand: str | None = None
    min_mapq: int = 0
    include_duplicates: bool = False
    include_qc_fail: bool = False
