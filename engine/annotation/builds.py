"""Find the bundled genome builds that fit the chromosomes of a file."""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from deepchrome.engine.annotation.aliases import ChromAliases, auto_aliases
from deepchrome.engine.annotation.genome import BUNDLED_GENOMES, Genome, read_genome


class _Known(NamedTuple):
    """A chromosome of a file that a build knows: the build's length of it, and whether their names are equal."""

    size: int
    is_same_name: bool


def matching_builds(sizes: Mapping[str, int]) -> list[str]:
    """Return the bundled builds that have the chromosomes of a file.

    Parameters
    ----------
    sizes
        Lengths in bp by chromosome name, such as those in the header of a BAM file.

    Returns
    -------
    list of str
        Names of builds in which every chromosome that they know, by name or by a usual other name (see
        :func:`~deepchrome.engine.annotation.aliases.auto_aliases`), has this length. They must know chromosomes that
        make up at least half of all bp, so that decoy and viral sequences do not matter. The builds that know the
        most chromosomes, and by the same name, come first. Empty if there is none.
    """
    ranks: dict[str, tuple[int, int]] = {}
    for build in BUNDLED_GENOMES:
        known = _known_chromosomes(build, sizes)
        fits = all(chrom.size == sizes[name] for name, chrom in known.items())
        if fits and known and 2 * sum(sizes[name] for name in known) >= sum(sizes.values()):
            ranks[build] = sum(chrom.is_same_name for chrom in known.values()), len(known)
    return sorted(ranks, key=lambda build: ranks[build], reverse=True)


def builds_that_hold(ends: Mapping[str, int]) -> list[str]:
    """Return the bundled builds in which positions lie within their chromosomes.

    Parameters
    ----------
    ends
        The highest position in use by chromosome name (bp), such as the end of the last read.

    Returns
    -------
    list of str
        Names of builds that know all chromosomes, by name or by a usual other name, none of which ends before its
        position. Builds with the same names come first, then those with the least bp left after the positions. Empty
        if there is none.
    """
    ranks: dict[str, tuple[int, int]] = {}
    for build in BUNDLED_GENOMES:
        known = _known_chromosomes(build, ends)
        if ends and len(known) == len(ends) and all(chrom.size >= ends[name] for name, chrom in known.items()):
            n_renamed = sum(not chrom.is_same_name for chrom in known.values())
            ranks[build] = n_renamed, sum(chrom.size - ends[name] for name, chrom in known.items())
    return sorted(ranks, key=lambda build: ranks[build])


def _known_chromosomes(build: str, names: Mapping[str, int]) -> dict[str, _Known]:
    genome, aliases = _bundled(build)
    targets = {name: name if name in genome.sizes else aliases.target(name) for name in names}
    return {name: _Known(genome.sizes[target], name == target) for name, target in targets.items() if target}


@cache
def _bundled(build: str) -> tuple[Genome, ChromAliases]:
    genome = read_genome(build)
    return genome, auto_aliases(genome)
