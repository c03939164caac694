"""Genomes: the names and lengths of the chromosomes of a genome build."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from deepchrome.common.text import read_lines
from deepchrome.errors import BadDataError, MissingInputError

BUNDLED_GENOMES = ("hg19", "hg38", "hs1", "mm10", "mm39", "GRCh37", "GRCh38", "GRCm38", "GRCm39")
# Further names, in lower case. UCSC and the authors of T2T-CHM13 name its chromosomes alike.
_SYNONYMS = dict.fromkeys(("chm13", "chm13v2.0", "t2t-chm13", "t2t-chm13v2.0"), "hs1")
_BUILD_OF_NAME = {name.lower(): name for name in BUNDLED_GENOMES} | _SYNONYMS
# The longest chromosome on which bedtools multicov, which defines the counts, finds reads (with a CSI index).
MAX_POSITION_BP = (1 << 31) - 2
_WHOLE_NUMBER = re.compile("[0-9]{1,18}")


@dataclass(frozen=True)
class Genome:
    """The chromosomes of one genome build.

    Attributes
    ----------
    name
        One of :data:`BUNDLED_GENOMES`, or the name of the chrom.sizes file.
    sizes
        Length in bp by chromosome name, in the order of the file.
    """

    name: str
    sizes: Mapping[str, int] = field(repr=False)


def read_genome(source: str | Path) -> Genome:
    """Read a bundled genome build or a chrom.sizes file.

    Parameters
    ----------
    source
        The name of a bundled build, in upper or lower case: hg19, hg38, hs1 (or T2T-CHM13), mm10 and mm39 with the
        names of UCSC (chr1, chrM), or GRCh37, GRCh38, GRCm38 and GRCm39 with the names of Ensembl (1, MT).
        Otherwise the path of a file whose first two tab-separated columns are the name and the length in bp of a
        chromosome, such as a chrom.sizes or ``.fai`` file, plain or compressed.

    Raises
    ------
    MissingInputError
        The file does not exist or cannot be opened.
    StorageError
        Reading failed.
    BadDataError
        The file is truncated, damaged or not text, a line lacks a name or a valid length, a chromosome is
        listed with two lengths, or the file lists no chromosome.
    """
    build = _BUILD_OF_NAME.get(str(source).lower())
    data = files("deepchrome.engine.annotation").joinpath("data")
    path = data.joinpath(f"{build}.chrom.sizes") if build else Path(source)
    try:
        lines = read_lines(path, "a chrom.sizes file")
    except MissingInputError as error:
        known = ", ".join(BUNDLED_GENOMES)
        raise MissingInputError(f"{error}. Give one of {known}, or the path of a chrom.sizes file.") from None
    sizes: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) < 2 or not fields[0] or not _WHOLE_NUMBER.fullmatch(fields[1]):
            raise BadDataError(f"{source}:{number}: expected a name, a tab and a length in bp (got {line[:80]!r})")
        name, size = fields[0], int(fields[1])
        if not 0 < size <= MAX_POSITION_BP:
            raise BadDataError(f"{source}:{number}: the length of {name} must be 1 to {MAX_POSITION_BP} bp, got {size}")
        if sizes.setdefault(name, size) != size:
            raise BadDataError(f"{source}:{number}: {name} is given twice, with {sizes[name]} and {size} bp")
    if not sizes:
        raise BadDataError(f"{source}: no chromosomes in this file")
    return Genome(build or Path(source).name, sizes)
