"""Say which names of chromosomes were taken for others."""

from collections.abc import Mapping, Sequence
from typing import Final

from deepchrome.cli.messages import print_note
from deepchrome.engine.annotation.genome import Genome

_SHOWN: Final = 3


def note_renamed(what: str, renamed: Mapping[str, str], genome: Genome) -> None:
    """Print one line about the names of chromosomes that were taken for those of the genome; nothing if there are none.

    Parameters
    ----------
    what
        What has these names, such as ``reads``.
    renamed
        The genome's name for each other name.
    genome
        The genome.
    """
    if not renamed:
        return
    # Names that differ by more than a prefix come first, because they say most: MT for chrM.
    pairs = sorted(renamed.items(), key=lambda pair: pair[0].endswith(pair[1]) or pair[1].endswith(pair[0]))
    shown = ", ".join(f"{name} for {target}" for name, target in pairs[:_SHOWN])
    more = f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    print_note(f"chromosome names in the {what}, taken for those of {genome.name}: {shown}{more}")


def renamed_chromosomes(names: Sequence[str], chrom_id: Sequence[int], genome: Genome) -> dict[str, str]:
    """Return the genome's name for each name that is another one.

    Parameters
    ----------
    names
        n names.
    chrom_id
        n indexes in the genome; -1 for names that it does not have.
    genome
        The genome.
    """
    own = [*genome.sizes]
    pairs = dict(zip(names, chrom_id, strict=True)).items()
    return {name: own[index] for name, index in pairs if index >= 0 and own[index] != name}
