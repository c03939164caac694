"""Find reads and genes of another genome build than the one to count in.

Another build has the same chromosome names, so counts in the wrong one look like counts. Lengths of chromosomes differ
between builds: a BAM header states them, and a text file has positions beyond the end of a chromosome.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.aliases import ChromAliases, chromosome_ids
from deepchrome.engine.annotation.builds import builds_that_hold, matching_builds
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import MAX_POSITION_BP, Genome
from deepchrome.engine.counting.formats import Target
from deepchrome.errors import BadDataError

# With the right genome, 3 of 300,000 reads of Roadmap end past a chromosome, all on the circular chrM. Reads of hg19
# counted on hg38 are 18 to 66 of 300,000.
MAX_FRACTION_PAST_END: Final = 1e-5
MAX_PAST_END: Final = 10  # reads that were extended without regard to the chromosome, for example
# Of the 19,802 genes of Roadmap, which are of hg19, 275 lie past the end of their chromosome in hg38.
MAX_FRACTION_OF_GENES: Final = 1e-3
MAX_GENES: Final = 10
_MITOCHONDRIA: Final = frozenset({"chrm", "m", "mt", "chrmt"})


def check_header(target: Target, references: Sequence[int], lengths: Sequence[int]) -> None:
    """Check that the chromosomes in use are as long in the header of a BAM file as in the genome.

    Parameters
    ----------
    target
        The regions in which to count. A chromosome is in use if it has a region.
    references
        Sequence id of each reference of the header.
    lengths
        Their lengths (bp).

    Raises
    ------
    BadDataError
        A length differs.
    """
    layout = target.index.layout
    names, expected = [*layout.genome.sizes], [*layout.genome.sizes.values()]
    # A chromosome may have two names in the header, so this is no dictionary.
    stated = [
        (known, length)
        for sequence, length in zip(references, lengths, strict=True)
        if (known := target.sequences.known_id(sequence)) is not None
    ]
    wrong = [(known, length) for known, length in stated if layout.chroms_in_use[known] and length != expected[known]]
    if wrong:  # guard: header-lengths
        first, length = wrong[0]
        raise BadDataError(
            f"the header gives {names[first]} {length:,} bp, and {layout.genome.name} gives it "
            f"{expected[first]:,} bp{_describe_fit({names[known]: length for known, length in stated})}",
            remedy="build_check",
        )


def check_positions(target: Target, reads_on: npt.NDArray[np.int64]) -> None:
    """Check that the reads of a text file end within their chromosomes.

    Parameters
    ----------
    target
        The regions in which the reads were counted.
    reads_on
        int64 (chromosomes of the genome, 4): reads; those that end past the end; those that start past the end; and the
        furthest end of these.

    Raises
    ------
    BadDataError
        More than 10 reads, and more than 1 in 100,000, end past the end of a chromosome other than the mitochondrial
        one; or a read starts past the end of a chromosome.
    """
    names = [*target.index.layout.genome.sizes]
    is_main = np.array([name.lower() not in _MITOCHONDRIA for name in names], np.bool_)
    total, past = int(reads_on[is_main, 0].sum()), int(reads_on[is_main, 1].sum())
    beyond = int(reads_on[:, 2].sum())
    if past <= max(MAX_PAST_END, MAX_FRACTION_PAST_END * total) and not beyond:  # guard: reads-past-end
        return
    worst = int(np.argmax(reads_on[:, 2] if beyond else reads_on[:, 1] * is_main))
    starts = "1 read starts" if beyond == 1 else f"{beyond:,} reads start"
    verb = starts if beyond else f"{past:,} of {total:,} reads end"
    genome = target.index.layout.genome
    furthest = {name: int(end) for name, end in zip(names, reads_on[:, 3], strict=True) if end}
    raise BadDataError(
        f"{verb} past the end of their chromosome (most of them on {names[worst]}), so they are not of "
        f"{genome.name}. {_describe_builds(furthest, genome)}",
        remedy="build_check",
    )


def check_genes(genes: Genes, genome: Genome, aliases: ChromAliases | None = None) -> None:
    """Check that the TSSs of genes lie within their chromosomes.

    Parameters
    ----------
    genes
        n genes; ``tss`` is 1-based.
    genome
        Names and lengths of the chromosomes.
    aliases
        Other names of its chromosomes.

    Raises
    ------
    BadDataError
        More than 10 genes, and more than 1 in 1,000, lie past the end of their chromosome.
    """
    ids = chromosome_ids(dict.fromkeys(genes.chrom), genome, aliases)
    chrom_id = np.array([ids[name] for name in genes.chrom], np.int64)
    sizes = np.append(np.array([*genome.sizes.values()], np.int64), MAX_POSITION_BP)[chrom_id]
    past = np.flatnonzero(genes.tss > sizes)
    if len(past) <= max(MAX_GENES, MAX_FRACTION_OF_GENES * len(genes)):  # guard: genes-past-end
        return
    chroms = Counter(genes.chrom[i] for i in past)
    furthest: dict[str, int] = {}
    for name, tss in zip(genes.chrom, genes.tss.tolist(), strict=True):
        if ids[name] >= 0:
            furthest[name] = max(furthest.get(name, 0), tss)
    raise BadDataError(
        f"{len(past):,} of {len(genes):,} genes lie past the end of their chromosome (most of them on "
        f"{chroms.most_common(1)[0][0]}), so they are not of {genome.name}. {_describe_builds(furthest, genome)}",
        remedy="build_check",
    )


def _describe_builds(furthest: Mapping[str, int], genome: Genome) -> str:
    """Return what to do about positions that the genome does not have: use the build that has them."""
    builds = [build for build in builds_that_hold(furthest) if build != genome.name]
    return f"They fit {builds[0]}: use that genome" if builds else "Use their genome"


def _describe_fit(sizes: Mapping[str, int]) -> str:
    builds = matching_builds(sizes)
    return f". The lengths are those of {builds[0]}: use that genome" if builds else ". Use the genome of these reads"
