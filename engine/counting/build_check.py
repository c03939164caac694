"""Find reads that were aligned to another genome build than the one to count in.

Reads of another build have the same chromosome names, so their counts look like counts. Lengths of chromosomes differ
between builds: a BAM header states them, and a text file has reads beyond the end of a chromosome.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.builds import builds_that_hold, matching_builds
from deepchrome.engine.counting.formats import Target
from deepchrome.errors import BadDataError

# With the right genome, 3 of 300,000 reads of Roadmap end past a chromosome, all on the circular chrM. Reads of hg19
# counted on hg38 are 18 to 66 of 300,000.
MAX_FRACTION_PAST_END: Final = 1e-5
MAX_PAST_END: Final = 10  # reads that were extended without regard to the chromosome, for example
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
    in_use = np.zeros(target.sequences.n_known, np.bool_)
    in_use[layout.chrom_id[layout.chrom_id >= 0]] = True
    names, expected = [*layout.genome.sizes], [*layout.genome.sizes.values()]
    stated = {
        known: length
        for sequence, length in zip(references, lengths, strict=True)
        if (known := target.sequences.known_id(sequence)) is not None
    }
    wrong = [known for known, length in stated.items() if in_use[known] and length != expected[known]]
    if wrong:  # guard: header-lengths
        first = wrong[0]
        raise BadDataError(
            f"the header gives {names[first]} {stated[first]:,} bp, and {layout.genome.name} gives it "
            f"{expected[first]:,} bp{_describe_fit({names[known]: length for known, length in stated.items()})}",
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
    verb = f"{beyond:,} reads start" if beyond else f"{past:,} of {total:,} reads end"
    genome = target.index.layout.genome.name
    furthest = {name: int(end) for name, end in zip(names, reads_on[:, 3], strict=True) if end}
    builds = [build for build in builds_that_hold(furthest) if build != genome]
    advice = f"They fit {builds[0]}" if builds else "Use the genome of these reads"
    raise BadDataError(
        f"{verb} past the end of their chromosome (most of them on {names[worst]}), so they are not of {genome}. "
        f"{advice}",
        remedy="build_check",
    )


def _describe_fit(sizes: Mapping[str, int]) -> str:
    builds = matching_builds(sizes)
    return f". The lengths are those of {builds[0]}: use that genome" if builds else ". Use the genome of these reads"
