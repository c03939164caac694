"""Windows of bins around transcription start sites, and the index that finds them. See docs/definitions.md."""

import weakref
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import MAX_POSITION_BP, Genome
from deepchrome.engine.kernels import FAR, MINUS, PLUS, TILE_BITS
from deepchrome.errors import BadDataError, UsageError

Integers = npt.NDArray[np.int64]

EDGES = ("zero", "drop", "error")


@dataclass(frozen=True)
class Windows:
    """One window of equal bins per gene.

    Attributes
    ----------
    genes
        n genes: those asked for, less what ``edge="drop"`` left out.
    genome
        The genome they lie on.
    flank, bin_size
        In bp. A window is [tss - flank, tss + flank), 0-based half-open, with tss the 1-based TSS
        used as it stands: the published convention.
    start
        int64 (n,): first position of each window, 0-based; negative near a chromosome's start.
    chrom_id
        int64 (n,): place of the gene's chromosome in the genome, -1 if the genome lacks it.
    outside
        int64 (k,): rows of the genes that have a bin wholly outside their chromosome.
    dropped
        Ids of the genes that ``edge="drop"`` left out.
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
        """Bins per window."""
        return 2 * self.flank // self.bin_size

    def outside_bins(self) -> npt.NDArray[np.bool_]:
        """Return, for the genes in ``outside``, which bins share no position with their chromosome.

        Returns
        -------
        bool array (k, bins)
        """
        sizes = np.array([*self.genome.sizes.values()], np.int64)[self.chrom_id[self.outside]]
        bin_start = self.start[self.outside, None] + self.bin_size * np.arange(self.n_bins)
        return (bin_start + self.bin_size <= 0) | (bin_start >= sizes[:, None])


def tss_windows(genes: Genes, genome: Genome, flank: int = 5000, bin_size: int = 100, edge: str = "zero") -> Windows:
    """Lay a window of bins around every gene's TSS.

    Parameters
    ----------
    genes
        n genes; ``tss`` is 1-based.
    genome
        Chromosome lengths.
    flank
        bp on either side of the TSS; the window is [tss - flank, tss + flank).
    bin_size
        bp per bin; must divide ``2 * flank``.
    edge
        What to do with a window that has a bin wholly outside its chromosome: ``zero`` keeps the gene, and
        such bins count 0; ``drop`` leaves the gene out; ``error`` refuses.

    Raises
    ------
    UsageError
        ``flank``, ``bin_size`` or ``edge`` make no sense.
    BadDataError
        ``edge="error"`` and a window reaches outside, or no gene is left.
    """
    if edge not in EDGES:
        raise UsageError(f"edge={edge!r}: choose one of {', '.join(EDGES)}")
    if not 0 < bin_size <= 2 * flank <= MAX_POSITION_BP or 2 * flank % bin_size:
        raise UsageError(
            f"a window of 2 x {flank} bp cannot be cut into bins of {bin_size} bp; the bin size must divide 2 x flank"
        )
    place = {name: i for i, name in enumerate(genome.sizes)}
    chrom_id = np.array([place.get(name, -1) for name in genes.chrom], np.int64)
    start = np.asarray(genes.tss, np.int64) - flank
    sizes = np.append(np.array([*genome.sizes.values()], np.int64), FAR)[chrom_id]
    first_end, last_start = start + bin_size, start + 2 * flank - bin_size
    reaches_out = (chrom_id >= 0) & ((first_end <= 0) | (last_start >= sizes))
    dropped: tuple[str, ...] = ()
    if edge != "zero" and reaches_out.any():
        names = tuple(genes.gene_id[i] for i in np.flatnonzero(reaches_out))
        if edge == "error":
            i = int(np.flatnonzero(reaches_out)[0])
            raise BadDataError(
                f"{len(names)} windows reach beyond their chromosome, first {names[0]} at {genes.chrom[i]}:"
                f"{genes.tss[i]} (length {sizes[i]}); use --edge zero or drop, or a smaller flank"
            )
        keep = np.flatnonzero(~reaches_out)
        genes, start, chrom_id, dropped = genes.take(keep), start[keep], chrom_id[keep], names
        reaches_out = np.zeros(len(keep), np.bool_)
    if not len(genes):
        raise BadDataError("no gene is left to count reads for")
    return Windows(genes, genome, flank, bin_size, start, chrom_id, np.flatnonzero(reaches_out), dropped)


@dataclass(frozen=True)
class WindowIndex:
    """The windows as the kernels want them; see ``kernels.count_text`` for shapes and meaning."""

    order: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int32]
    accepts: npt.NDArray[np.int8]
    tiles: npt.NDArray[np.int32]
    sites: npt.NDArray[np.int64]

    @property
    def nowhere(self) -> npt.NDArray[np.int64]:
        """The site of a sequence without windows."""
        return np.array([len(self.tiles) - 1, 0, MAX_POSITION_BP], np.int64)


# Which reads a window takes, by the strand of its gene; multicov's -S means "not the same", so "." takes all.
_ACCEPTS = {
    None: {"+": PLUS | MINUS, "-": PLUS | MINUS, ".": PLUS | MINUS},
    "same": {"+": PLUS, "-": MINUS, ".": 0},
    "opposite": {"+": MINUS, "-": PLUS, ".": PLUS | MINUS},
}


def build_window_index(windows: Windows, strand: str | None = None) -> WindowIndex:
    """Sort the windows and lay out the table of tiles.

    Parameters
    ----------
    windows
        What to index.
    strand
        ``same`` or ``opposite``: only reads on that strand of the gene are meant; None: all.

    Returns
    -------
    WindowIndex
        ``order[k]`` is the gene of the k-th slot, -1 for the sentinel that closes each chromosome.
    """
    width = 2 * windows.flank
    by_strand = _ACCEPTS[strand]
    of_gene = np.array([*map(by_strand.__getitem__, windows.genes.strand), 0], np.int8)
    by_chrom = np.lexsort((windows.start, windows.chrom_id))
    bounds = np.searchsorted(windows.chrom_id[by_chrom], np.arange(len(windows.genome.sizes) + 1))
    orders: list[Integers] = []
    starts: list[Integers] = []
    tiles: list[Integers] = []
    sites = np.empty((len(windows.genome.sizes), 3), np.int64)
    n_slots = n_tiles = 0
    for chrom, size in enumerate(windows.genome.sizes.values()):
        rows = by_chrom[bounds[chrom] : bounds[chrom + 1]]
        first = windows.start[rows]
        # The first tile that begins at or after a window's end can do without it, and so can all that follow.
        # One tile more than the last window needs: from there on it is the sentinel.
        free_from = np.maximum(first + width + (1 << TILE_BITS) - 1, 0) >> TILE_BITS
        over = np.cumsum(np.bincount(free_from, minlength=1))
        tiles.append(n_slots + over)
        sites[chrom] = n_tiles, len(over) - 1, size
        orders += [rows, np.array([-1])]
        starts += [first, np.array([FAR])]
        n_slots += len(rows) + 1
        n_tiles += len(over)
    # And one sequence of no windows at all, for names the genome does not know.
    tiles.append(np.array([n_slots]))
    orders.append(np.array([-1]))
    starts.append(np.array([FAR]))
    order = np.concatenate(orders)
    return WindowIndex(
        order,
        np.concatenate(starts).astype(np.int32),
        of_gene[order],
        np.concatenate(tiles).astype(np.int32),
        sites,
    )


# By the windows' identity, as long as they live: many files are counted in the same windows.
_indexes: dict[tuple[int, str | None], WindowIndex] = {}


def window_index(windows: Windows, strand: str | None = None) -> WindowIndex:
    """Return what :func:`build_window_index` makes, made once; from any thread."""
    key = id(windows), strand
    index = _indexes.get(key)
    if index is None:
        index = _indexes[key] = build_window_index(windows, strand)
        weakref.finalize(windows, _indexes.pop, key, None)
    return index
