"""Windows of bins around transcription start sites. docs/definitions.md defines windows and bins."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.aliases import ChromAliases, chromosome_ids
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import MAX_POSITION_BP, Genome
from deepchrome.engine.annotation.layout import Layout
from deepchrome.engine.kernels import FAR, MINUS, PLUS
from deepchrome.errors import BadDataError, ParameterError, UsageError

_STRANDS = {"+": PLUS, "-": MINUS, ".": 0}
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

    @cached_property
    def layout(self) -> Layout:
        """The windows as rows of bins. Bins completely outside their chromosome count 0."""
        strand = np.array([_STRANDS[strand] for strand in self.genes.strand], np.int8)
        end = self.start + 2 * self.flank
        return Layout(self.genome, self.chrom_id, self.start, end, self.n_bins, strand, "genes", self.outside)


def tss_windows(
    genes: Genes,
    genome: Genome,
    flank: int = 5000,
    bin_size: int = 100,
    edge: str = "zero",
    aliases: ChromAliases | None = None,
) -> Windows:
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
    aliases
        Other names of the chromosomes of the genome, for genes on a chromosome that it does not have by name.

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
    id_of_chrom = chromosome_ids(dict.fromkeys(genes.chrom), genome, aliases)
    chrom_id = np.array([id_of_chrom[name] for name in genes.chrom], np.int64)
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
