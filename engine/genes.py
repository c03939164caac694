"""Gene tables: which genes, and where their transcription starts."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Genes:
    """n genes, in the order of their table.

    Attributes
    ----------
    gene_id, symbol, chrom
        n strings each; ``symbol`` may be empty.
    tss
        Transcription start sites, int64 (n,), **1-based** as Ensembl and GTF give them: a gene's
        start on ``+``, its end on ``-``.
    strand
        n of ``+``, ``-`` and ``.`` (unknown).
    """

    gene_id: tuple[str, ...] = field(repr=False)
    symbol: tuple[str, ...] = field(repr=False)
    chrom: tuple[str, ...] = field(repr=False)
    tss: npt.NDArray[np.int64] = field(repr=False)
    strand: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.gene_id)
