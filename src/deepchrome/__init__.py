"""deepchrome: gene expression from histone marks, from the raw reads up.

The engine counts reads exactly as ``bedtools multicov`` does; the trainer is in ``deepchrome.train``.
Names are imported on first use, so that ``import deepchrome`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepchrome.version import VERSION

if TYPE_CHECKING:
    from deepchrome.engine.annotation.genes import Genes as Genes
    from deepchrome.engine.annotation.genes import read_genes as read_genes
    from deepchrome.engine.annotation.genome import Genome as Genome
    from deepchrome.engine.annotation.genome import read_genome as read_genome
    from deepchrome.engine.annotation.windows import Windows as Windows
    from deepchrome.engine.annotation.windows import tss_windows as tss_windows
    from deepchrome.engine.counting.count import ReadTally as ReadTally
    from deepchrome.engine.counting.count import count_reads as count_reads
    from deepchrome.engine.features.featurize import featurize as featurize
    from deepchrome.engine.features.store import Features as Features
    from deepchrome.engine.features.store import read_features as read_features

_HOME = {
    "Features": "deepchrome.engine.features.store",
    "Genes": "deepchrome.engine.annotation.genes",
    "Genome": "deepchrome.engine.annotation.genome",
    "ReadTally": "deepchrome.engine.counting.count",
    "Windows": "deepchrome.engine.annotation.windows",
    "count_reads": "deepchrome.engine.counting.count",
    "featurize": "deepchrome.engine.features.featurize",
    "read_features": "deepchrome.engine.features.store",
    "read_genes": "deepchrome.engine.annotation.genes",
    "read_genome": "deepchrome.engine.annotation.genome",
    "tss_windows": "deepchrome.engine.annotation.windows",
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
