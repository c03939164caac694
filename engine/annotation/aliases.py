"""Other names of chromosomes: ``1`` and ``chr1``, ``MT`` and ``chrM``, and those of a chromAlias file of UCSC."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from deepchrome.common.text import read_bytes, split_lines
from deepchrome.engine.annotation.genome import Genome
from deepchrome.errors import BadDataError

_PREFIX = "chr"
_MITOCHONDRIA = ("chrM", "MT", "chrMT", "M")
_OLD_HEADER = ["alias", "chrom"]
_WHAT = "a table of chromosome names"


@dataclass(frozen=True)
class ChromAliases:
    """Other names of the chromosomes of one genome.

    Attributes
    ----------
    name
        ``auto``, or the name of the file.
    pairs
        Pairs of another name and the genome's name, sorted. No other name is a name of the genome.
    sha256
        SHA-256 of the text of the file, decompressed; None for ``auto``.
    """

    name: str
    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    sha256: str | None = None

    def target(self, name: str) -> str | None:
        """Return the genome's name for another name of a chromosome, or None if there is none."""
        return self._targets.get(name)

    @property
    def record(self) -> str:
        """What a feature file stores about them: the checksum of the file, or ``auto``."""
        return self.sha256 or self.name

    @cached_property
    def _targets(self) -> dict[str, str]:
        return dict(self.pairs)


def chromosome_ids(names: Iterable[str], genome: Genome, aliases: ChromAliases | None = None) -> dict[str, int]:
    """Return the index in the genome of each chromosome name; -1 if the genome does not have it.

    Parameters
    ----------
    names
        Names of chromosomes.
    genome
        Its own names come first.
    aliases
        Other names of its chromosomes.
    """
    own = {name: i for i, name in enumerate(genome.sizes)}
    others = {name: own[target] for name, target in aliases.pairs} if aliases else {}
    return {name: own.get(name, others.get(name, -1)) for name in names}


def auto_aliases(genome: Genome) -> ChromAliases:
    """Return the usual other names: with or without ``chr``, and MT, M, chrM and chrMT for each other.

    The names of mitochondrial DNA are exchanged only if the genome has one of the four. The lengths are not compared:
    chrM of hg19 has 16,571 bp, and MT of GRCh37 has 16,569 bp.
    """
    pairs = {_other_name(name): name for name in genome.sizes}
    mitochondria = [name for name in _MITOCHONDRIA if name in genome.sizes]
    if len(mitochondria) == 1:  # guard: one-mitochondrion
        pairs.update(dict.fromkeys(_MITOCHONDRIA, mitochondria[0]))
    return ChromAliases("auto", _sorted_pairs(pairs.items(), genome))


def read_aliases(path: str | Path, genome: Genome) -> ChromAliases:
    """Read other names of chromosomes from a chromAlias file of UCSC.

    Parameters
    ----------
    path
        A tab-separated table, plain or compressed; ``-`` is standard input. Two forms are accepted:

        - with a header that begins with ``#``, such as ``# ucsc``, ``assembly``, ``genbank``, ``refseq``: each line
          has all names of one sequence. Empty fields are skipped, and lines may differ in length.
        - without a header, or with the header ``#alias``, ``chrom``, ``source``: each line has another name, the name
          that UCSC uses, and in most files the source of the other name.

        Either way a line only says which names are equal. The genome may use any of them.
    genome
        The genome whose names are the targets. Lines on sequences that it lacks are ignored.

    Raises
    ------
    MissingInputError, StorageError
        The file cannot be opened or read.
    BadDataError
        A line has too few or too many fields, makes two chromosomes of the genome equal, or gives a name to two of
        them; or the file names no chromosome of the genome, is damaged, or is not text.
    """
    path = Path(path)
    data = read_bytes(path)
    pairs: dict[str, str] = {}
    for number, names in _groups(path, split_lines(path, data, _WHAT)):
        known = [name for name in names if name in genome.sizes]
        if len(set(known)) > 1:  # guard: alias-of-two
            raise BadDataError(
                f"{path}:{number}: {known[0]!r} and {known[1]!r} are names of one sequence here, but {genome.name} has "
                "both. Use the file that belongs to this genome."
            )
        for name in names if known else ():
            if pairs.setdefault(name, known[0]) != known[0]:  # guard: ambiguous-alias
                raise BadDataError(
                    f"{path}:{number}: {name!r} is a name of {pairs[name]!r} and of {known[0]!r}. Remove one of them."
                )
    if not pairs:
        first = next(iter(genome.sizes))
        raise BadDataError(
            f"{path}: has no name of a chromosome of {genome.name}, such as {first!r}. Use the file that belongs to "
            "this genome."
        )
    return ChromAliases(path.name, _sorted_pairs(pairs.items(), genome), hashlib.sha256(data).hexdigest())


def _other_name(name: str) -> str:
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else _PREFIX + name


def _sorted_pairs(pairs: Iterable[tuple[str, str]], genome: Genome) -> tuple[tuple[str, str], ...]:
    """Sort the pairs, without those whose first name the genome uses itself."""
    return tuple(sorted((alias, name) for alias, name in pairs if alias and alias not in genome.sizes))


def _groups(path: Path, lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of a line, and all names known so far of the sequence on it."""
    is_wide = False
    by_chrom: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fields = [text.strip() for text in line.split("\t")]
        if line.startswith("#"):
            header = [line.removeprefix("#").split("\t")[0].strip(), *fields[1:]]
            if len(header) > 1:
                is_wide = header[:2] != _OLD_HEADER
            continue
        if is_wide:
            yield number, list(dict.fromkeys(filter(None, fields)))
            continue
        if not 2 <= len(fields) <= 3 or not all(fields[:2]):
            raise BadDataError(
                f"{path}:{number}: expected another name, a chromosome and a source, tab-separated, or a header that "
                f"begins with '#' above lines with all names of one sequence (got {line[:80]!r})"
            )
        names = by_chrom.setdefault(fields[1], [fields[1]])
        if fields[0] not in names:
            names.append(fields[0])
        yield number, names
