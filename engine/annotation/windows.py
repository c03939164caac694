"""Windows of bins around transcription start sites, and an index to find the windows that contain a position.

docs/definitions.md defines windows and bins.
"""

import weakref
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import MAX_POSITION_BP, Genome
from deepchrome.engine.kernels import FAR, MINUS, PLUS, TILE_BITS
from deepchrome.errors import BadDataError, ParameterError, UsageError

Integers = npt.NDArray[np.int64]

EDGES = ("zero", "drop", "error")


@dataclass(frozen=True)
class Windows:
    """One window of equal bins per gene.

    Attributes
    ----------
    genes
        The n genes, without those that ``edge="drop"`` removed.
    genome
        Names and lengths of the chromosomes.
    flank, bin_size
        Half the width of a window, and the width of a bin (bp). A window is [tss - flank, tss + flank) in 0-based
        half-open coordinates, with the 1-based TSS used unchanged, as in the published DeepChrome data.
    start
        int64 (n,): first position of each window, 0-based; may be negative near the start of a chromosome.
    chrom_id
        int64 (n,): index of the gene's chromosome in the genome, or -1 if the genome does not have it.
    outside
        int64 (k,): rows of the genes with at least one bin completely outside their chromosome.
    dropped
        Ids of the genes that ``edge="drop"`` removed.
    """

    genes: Genes = field(repr=False)
    genome: Genome
    flank: int
    bin_size: int
    start: npt.NDArray[np.int64] = field(repr=False)
    chrom_id: npt.NDArray[np.int64] = field(repr=False)
    outside: npt.NDArray[np.int64] = field(repr=False)
    dropped: tuple[str, ...] = ()

    @property
    def n_bins(self) -> int:
        """Number of bins per window."""
        return 2 * self.flank // self.bin_size

    def outside_bins(self) -> npt.NDArray[np.bool_]:
        """Return which bins of the genes in ``outside`` lie completely outside their chromosome.

        Returns
        -------
        bool array (k, bins)
        """
        sizes = np.array([*self.genome.sizes.values()], np.int64)[self.chrom_id[self.outside]]
        bin_start = self.start[self.outside, None] + self.bin_size * np.arange(self.n_bins)
        return (bin_start + self.bin_size <= 0) | (bin_start >= sizes[:, None])


def tss_windows(genes: Genes, genome: Genome, flank: int = 5000, bin_size: int = 100, edge: str = "zero") -> Windows:
    """Place a window of bins around the TSS of every gene.

    Parameters
    ----------
    genes
        n genes; ``tss`` is 1-based.
    genome
        Names and lengths of the chromosomes.
    flank
        Half the width of a window (bp). A window is [tss - flank, tss + flank).
    bin_size
        Width of a bin (bp). It must divide ``2 * flank``.
    edge
        What to do with a gene that has a bin completely outside its chromosome: ``zero`` keeps the gene and
        counts 0 reads in such bins, ``drop`` removes the gene, and ``error`` raises an error.

    Raises
    ------
    UsageError
        ``flank``, ``bin_size`` or ``edge`` is not valid.
    BadDataError
        ``edge`` is ``error`` and a bin lies completely outside its chromosome, or no gene is left.
    """
    if edge not in EDGES:
        raise ParameterError("edge", f"must be one of {', '.join(EDGES)}, got {edge!r}")
    if not 0 < bin_size <= 2 * flank <= MAX_POSITION_BP or 2 * flank % bin_size:
        raise UsageError(
            f"a window of 2 x {flank} bp cannot be cut into bins of {bin_size} bp. The bin size must divide 2 x flank."
        )
    id_of_chrom = {name: i for i, name in enumerate(genome.sizes)}
    chrom_id = np.array([id_of_chrom.get(name, -1) for name in genes.chrom], np.int64)
    start = np.asarray(genes.tss, np.int64) - flank
    sizes = np.append(np.array([*genome.sizes.values()], np.int64), FAR)[chrom_id]
    first_bin_end, last_bin_start = start + bin_size, start + 2 * flank - bin_size
    has_outside_bin = (chrom_id >= 0) & ((first_bin_end <= 0) | (last_bin_start >= sizes))
    dropped: tuple[str, ...] = ()
    if edge != "zero" and has_outside_bin.any():
        names = tuple(genes.gene_id[i] for i in np.flatnonzero(has_outside_bin))
        if edge == "error":
            i = int(np.flatnonzero(has_outside_bin)[0])
            raise BadDataError(
                f"genes with bins wholly outside their chromosome: {len(names)} (first: {names[0]} at {genes.chrom[i]}:"
                f"{genes.tss[i]}, chromosome length {sizes[i]} bp)",
                remedy="edge",
            )
        keep = np.flatnonzero(~has_outside_bin)
        genes, start, chrom_id, dropped = genes.take(keep), start[keep], chrom_id[keep], names
        has_outside_bin = np.zeros(len(keep), np.bool_)
    if not len(genes):
        raise BadDataError("no gene is left to count reads for")
    return Windows(genes, genome, flank, bin_size, start, chrom_id, np.flatnonzero(has_outside_bin), dropped)


@dataclass(frozen=True)
class WindowIndex:
    """Tables that the kernels use to find the windows that contain a position.

    The windows are sorted by chromosome and start. A sentinel, which no read reaches, closes each chromosome. A
    place in this order, sentinels included, is called a slot. Chromosomes are divided into tiles of
    2 ** TILE_BITS bp; for each tile, the index gives the first slot whose window can reach into the tile.

    Attributes
    ----------
    order
        int64 (slots,): row of the gene in each slot, -1 for a sentinel.
    starts
        int32 (slots,): start of the window in each slot (bp, 0-based), FAR for a sentinel.
    accepts
        int8 (slots,): the strands of the reads that the window counts, as bits PLUS and MINUS.
    tiles
        int32 (tiles,): for each tile, the first slot whose window can reach into it.
    extents
        int64 (chromosomes, 3): index of the first tile, number of tiles after it, and length of the chromosome (bp).
    """

    order: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int32]
    accepts: npt.NDArray[np.int8]
    tiles: npt.NDArray[np.int32]
    extents: npt.NDArray[np.int64]

    @property
    def unknown_extent(self) -> npt.NDArray[np.int64]:
        """Row of ``extents`` for chromosomes that the genome does not have; no window lies on them."""
        return np.array([len(self.tiles) - 1, 0, MAX_POSITION_BP], np.int64)


# The strands of the reads that a window counts, by the strand of its gene. In multicov, -S means "not the same
# strand", so with "opposite" the windows of genes on "." count all reads.
_ACCEPTED_STRANDS = {
    None: {"+": PLUS | MINUS, "-": PLUS | MINUS, ".": PLUS | MINUS},
    "same": {"+": PLUS, "-": MINUS, ".": 0},
    "opposite": {"+": MINUS, "-": PLUS, ".": PLUS | MINUS},
}


def build_window_index(windows: Windows, strand: str | None = None) -> WindowIndex:
    """Sort the windows and build the tables of the index.

    Parameters
    ----------
    windows
        The windows to index.
    strand
        ``same`` or ``opposite`` to count only reads on that strand relative to the gene; None to count all.
    """
    width = 2 * windows.flank
    accepted = _ACCEPTED_STRANDS[strand]
    accepts_of_gene = np.array([*map(accepted.__getitem__, windows.genes.strand), 0], np.int8)
    by_chrom = np.lexsort((windows.start, windows.chrom_id))
    bounds = np.searchsorted(windows.chrom_id[by_chrom], np.arange(len(windows.genome.sizes) + 1))
    orders: list[Integers] = []
    starts: list[Integers] = []
    tiles: list[Integers] = []
    extents = np.empty((len(windows.genome.sizes), 3), np.int64)
    n_slots = n_tiles = 0
    for chrom, size in enumerate(windows.genome.sizes.values()):
        rows = by_chrom[bounds[chrom] : bounds[chrom + 1]]
        first = windows.start[rows]
        # The first tile that begins at or after the end of a window, and all later tiles, can skip the window.
        # The last tile begins after all windows and points to the sentinel.
        not_needed_from = np.maximum(first + width + (1 << TILE_BITS) - 1, 0) >> TILE_BITS
        n_ended = np.cumsum(np.bincount(not_needed_from, minlength=1))
        tiles.append(n_slots + n_ended)
        extents[chrom] = n_tiles, len(n_ended) - 1, size
        orders += [rows, np.array([-1])]
        starts += [first, np.array([FAR])]
        n_slots += len(rows) + 1
        n_tiles += len(n_ended)
    # One more tile and sentinel, for chromosomes that the genome does not have.
    tiles.append(np.array([n_slots]))
    orders.append(np.array([-1]))
    starts.append(np.array([FAR]))
    order = np.concatenate(orders)
    return WindowIndex(
        order,
        np.concatenate(starts).astype(np.int32),
        accepts_of_gene[order],
        np.concatenate(tiles).astype(np.int32),
        extents,
    )


# By the id of the windows, and the strand. An index is kept as long as its windows exist, because many files are
# counted in the same windows.
_indexes: dict[tuple[int, str | None], WindowIndex] = {}


def window_index(windows: Windows, strand: str | None = None) -> WindowIndex:
    """Return the result of :func:`build_window_index`, cached while the windows exist. Thread-safe."""
    key = id(windows), strand
    index = _indexes.get(key)
    if index is None:
        index = _indexes[key] = build_window_index(windows, strand)
        weakref.finalize(windows, _indexes.pop, key, None)
    return index
