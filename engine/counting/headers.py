"""Take a genome from the headers of BAM and CRAM files."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from isal import isal_zlib
from isal.isal_zlib import IsalError

from deepchrome.common.files import check_regular_file
from deepchrome.common.signatures import BAM_MAGIC, CRAM_MAGIC
from deepchrome.common.urls import hide_secrets, is_url
from deepchrome.engine.annotation.genome import MAX_POSITION_BP, Genome
from deepchrome.errors import BadDataError, MissingInputError, UsageError

# The type stub of isal declares this class as an instance.
_IsalError = cast("type[Exception]", IsalError)


def genome_from_headers(paths: Sequence[str]) -> Genome:
    """Return the genome that the headers of BAM and CRAM files describe.

    Parameters
    ----------
    paths
        Local BAM and CRAM files.

    Returns
    -------
    Genome
        The chromosomes in the order of the first header. Its name is that of the first file.

    Raises
    ------
    UsageError
        A path is a URL or standard input, or a file is neither BAM nor CRAM: it does not name its genome.
    MissingInputError
        A file does not exist or is not a regular file.
    BadDataError
        A header is damaged or lists no chromosome, or two headers differ in names or lengths.
    """
    first, *others = [(path, _header_sizes(path)) for path in paths]
    for path, sizes in others:
        if sizes != first[1]:  # guard: same-headers
            raise BadDataError(
                f"{path}: has other chromosomes than {first[0]} ({_difference(first[1], sizes)}). "
                "Give the genome that all files share, or count them separately",
                remedy="genome",
            )
    return Genome(Path(first[0]).name, first[1])


def _header_sizes(path: str) -> dict[str, int]:
    """Return the lengths of the reference sequences in bp, by name."""
    import pysam  # takes time, and is needed only without a genome

    if path == "-" or is_url(path):
        raise UsageError(
            f"{hide_secrets(path)}: the genome is needed, because only local BAM and CRAM files can give it",
            remedy="genome",
        )
    if not Path(path).exists():
        raise MissingInputError(f"{path}: no such file")
    check_regular_file(Path(path))
    verbosity = pysam.set_verbosity(0)  # htslib would print messages of its own
    try:
        with pysam.AlignmentFile(path, "r", check_sq=False) as file:
            is_alignment, header = file.is_bam or file.is_cram, file.header
            sizes = dict(zip(header.references, header.lengths, strict=True))
    except (ValueError, OSError):
        is_alignment, sizes = _has_magic(path), {}
    finally:
        pysam.set_verbosity(verbosity)
    if not is_alignment:
        raise UsageError(
            f"{path}: the genome is needed, because only BAM and CRAM files can give it",
            remedy="genome",
        )
    if not sizes or not all(0 < size <= MAX_POSITION_BP for size in sizes.values()):
        raise BadDataError(
            f"{path}: the genome is needed, because the header has no valid lengths of chromosomes", remedy="genome"
        )
    return sizes


def _has_magic(path: str) -> bool:
    """Return whether a file begins like BAM or CRAM, even if the rest is damaged."""
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
        return head.startswith(CRAM_MAGIC) or isal_zlib.decompressobj(31).decompress(head, 4) == BAM_MAGIC
    except (OSError, _IsalError):
        return False


def _difference(one: dict[str, int], two: dict[str, int]) -> str:
    """Describe the first difference between two genomes."""
    for name in dict.fromkeys((*one, *two)):
        lengths = [f"{sizes[name]:,} bp" if name in sizes else "absent" for sizes in (two, one)]
        if lengths[0] != lengths[1]:
            return f"{name!r}: {lengths[0]} here, {lengths[1]} there"
    return ""
