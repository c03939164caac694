"""Turn the bins of a mark into a genome track: one value per base, for genome browsers.

The windows of neighbouring genes overlap, and their bins are out of step. A base gets the value of its bin in the
window of the nearest TSS. If two TSSs are equally near, the gene that comes first in the table decides.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepchrome.engine.features.store import Features
from deepchrome.errors import BadDataError


class Track(NamedTuple):
    """The runs of equal values on one chromosome, sorted; they do not overlap.

    Attributes
    ----------
    chrom, length
        Name and length (bp) of the chromosome.
    start, end
        int64 (n,): the runs are [start, end), 0-based half-open.
    gene, bin
        int64 (n,): the row of the gene and the bin that give each run its value.
    """

    chrom: str
    length: int
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    gene: NDArray[np.int64]
    bin: NDArray[np.int64]


def make_tracks(features: Features) -> Iterator[Track]:
    """Yield the track of each chromosome of the genome that has genes, sorted by name.

    Every base of a window has a value, also if it is 0. Bases outside all windows or the chromosome have none.

    Raises
    ------
    BadDataError
        The feature file does not record the lengths of the chromosomes.
    """
    lengths = features.metadata.get("gene_chromosomes")
    if not isinstance(lengths, dict) or not {*features.genes.chrom} <= lengths.keys():
        raise BadDataError(
            f"{features.epigenome}: the features do not record the lengths of the chromosomes. Count them again with "
            "dc featurize"
        )
    flank, bin_size = features.metadata["flank"], features.metadata["bin_size"]
    chroms = np.array(features.genes.chrom, object)
    for chrom, length in sorted(lengths.items()):
        rows = np.flatnonzero(chroms == chrom)
        if length is None or not rows.size:
            continue
        # The first gene in the table at each TSS; np.unique returns the first occurrences.
        tss, first = np.unique(features.genes.tss[rows], return_index=True)
        rows = rows[first]
        # Base p has its middle at p + 1/2, and the window around TSS t its middle at t, in 0-based coordinates. Between
        # TSSs a < b, the bases with 2 p + 1 < a + b are nearer to a. At equality, the first gene in the table decides.
        both = tss[:-1] + tss[1:]
        is_tie, left_wins = both % 2 == 1, rows[:-1] < rows[1:]
        border = both // 2 + (is_tie & left_wins)
        begin = np.maximum(np.append(0, border), tss - flank)
        stop = np.minimum(np.append(border, length), tss + flank)
        edges = (tss - flank)[:, None] + bin_size * np.arange(2 * flank // bin_size + 1)
        edges = np.clip(edges, begin[:, None], np.maximum(begin, np.minimum(stop, length))[:, None])
        gene, column = np.nonzero(edges[:, :-1] < edges[:, 1:])
        yield Track(chrom, length, edges[gene, column], edges[gene, column + 1], rows[gene], column)
