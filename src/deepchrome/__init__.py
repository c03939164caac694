"""deepchrome: gene expression from histone marks, from the raw reads up.

The engine counts reads exactly as ``bedtools multicov`` does; the trainer is in ``deepchrome.train``.
Names are imported on first use, so that ``import deepchrome`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepchrome.version import VERSION

if TYPE_CHECKING:
    from deepchrome.engine.count import ReadTally as ReadTally
    from deepchrome.engine.count import count_reads as count_reads
    from deepchrome.engine.featurize import featurize as featurize
    from deepchrome.engine.genes import Genes as Genes
    from deepchrome.engine.genes import read_genes as read_genes
    from deepchrome.engine.genome import Genome as Genome
    from deepchrome.engine.genome import read_genome as read_genome
    from deepchrome.engine.store import Features as Features
    from deepchrome.engine.store import read_features as read_features
    from deepchrome.engine.windows import Windows as Windows
    from deepchrome.engine.windows import tss_windows as tss_windows

_HOME = {
    "Features": "deepchrome.engine.store",
    "Genes": "deepchrome.engine.genes",
    "Genome": "deepchrome.engine.genome",
    "ReadTally": "deepchrome.engine.count",
    "Windows": "deepchrome.engine.windows",
    "count_reads": "deepchrome.engine.count",
    "featurize": "deepchrome.engine.featurize",
    "read_features": "deepchrome.engine.store",
    "read_genes": "deepchrome.engine.genes",
    "read_genome": "deepchrome.engine.genome",
    "tss_windows": "deepchrome.engine.windows",
}

__version__ = VERSION
__all__ = [
    "Features",
    "Genes",
    "Genome",
    "ReadTally",
    "Windows",
    "count_reads",
    "featurize",
    "read_features",
    "read_genes",
    "read_genome",
    "tss_windows",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'deepchrome' has no attribute {name!r}")
