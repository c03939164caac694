"""Make windows of the engine for the genes of the oracle, and set the size of its blocks."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from unittest.mock import patch

import numpy as np
from oracle.naive import Gene

from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.annotation.genome import Genome
from deepchrome.engine.annotation.windows import Windows, tss_windows
from deepchrome.engine.streams import blocks
from support.strategies import Layout


def windows(genes: Sequence[Gene], sizes: Mapping[str, int], flank: int, bin_size: int) -> Windows:
    """Return the windows of genes on a genome of the given chromosome sizes (bp)."""
    names = tuple(f"g{i}" for i in range(len(genes)))
    chroms, tss, strands = (tuple(column) for column in zip(*genes, strict=True))
    table = Genes(names, names, chroms, np.array(tss, np.int64), strands)
    return tss_windows(table, Genome("test", dict(sizes)), flank, bin_size)


def windows_of(layout: Layout) -> Windows:
    """Return the windows of a layout."""
    return windows(layout.genes, layout.sizes, layout.flank, layout.bin_size)


def blocks_of(size: int) -> AbstractContextManager[int]:
    """Make the engine read blocks of ``size`` bytes, so that lines and records cross their borders."""
    return patch.object(blocks, "BLOCK_BYTES", size)
