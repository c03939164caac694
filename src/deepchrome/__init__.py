"""deepchrome: predict gene expression from histone marks, starting from raw reads.

The engine (``deepchrome.engine``) counts reads exactly as ``bedtools multicov`` does. The trainer
(``deepchrome.train``) fits DeepChrome models to the counts. Public names are imported on first use,
so that ``import deepchrome`` is fast.
"""

from deepchrome.version import VERSION

# The imports here are those of the program, too: none of them may take time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from deepchrome.engine.annotation.genes import Genes as Genes
    from deepchrome.engine.annotation.genes import read_genes as read_genes
    from deepchrome.engine.annotation.genome import Genome as Genome
    from deepchrome.engine.annotation.genome import read_genome as read_genome
    from deepchrome.engine.annotation.regions import Regions as Regions
    from deepchrome.engine.annotation.regions import genome_bins as genome_bins
    from deepchrome.engine.annotation.regions import read_regions as read_regions
    from deepchrome.engine.annotation.windows import Windows as Windows
    from deepchrome.engine.annotation.windows import tss_windows as tss_windows
    from deepchrome.engine.counting.count import count_reads as count_reads
    from deepchrome.engine.counting.tally import ReadTally as ReadTally
    from deepchrome.engine.features.featurize import featurize as featurize
    from deepchrome.engine.features.store import Features as Features
    from deepchrome.engine.features.store import read_features as read_features
    from deepchrome.engine.regioncounts.count import count_files as count_files
    from deepchrome.engine.regioncounts.count import count_regions as count_regions
    from deepchrome.engine.regioncounts.result import RegionCounts as RegionCounts
    from deepchrome.train.datasets.expression import Expression as Expression
    from deepchrome.train.datasets.expression import read_expression as read_expression
    from deepchrome.train.datasets.inputs import InputOptions as InputOptions
    from deepchrome.train.datasets.labels import LabelAudit as LabelAudit
    from deepchrome.train.datasets.labels import audit_labels as audit_labels
    from deepchrome.train.datasets.labels import label_genes as label_genes
    from deepchrome.train.datasets.source import FeatureSource as FeatureSource
    from deepchrome.train.datasets.source import TextSource as TextSource
    from deepchrome.train.fitting.config import FitConfig as FitConfig
    from deepchrome.train.fitting.config import Placement as Placement
    from deepchrome.train.run.directory import Run as Run
    from deepchrome.train.run.directory import load_run as load_run
    from deepchrome.train.run.summary import Summary as Summary
    from deepchrome.train.run.train import RunOptions as RunOptions
    from deepchrome.train.run.train import train_models as train_models
    from deepchrome.train.scoring.checks import FeatureChecks as FeatureChecks
    from deepchrome.train.scoring.contrast import Contrast as Contrast
    from deepchrome.train.scoring.contrast import contrast_genes as contrast_genes
    from deepchrome.train.scoring.contrast import evaluate_contrast as evaluate_contrast
    from deepchrome.train.scoring.evaluate import Evaluation as Evaluation
    from deepchrome.train.scoring.evaluate import compare_with_gene_mean as compare_with_gene_mean
    from deepchrome.train.scoring.evaluate import evaluate as evaluate
    from deepchrome.train.scoring.evaluate import evaluate_run as evaluate_run
    from deepchrome.train.scoring.predict import predict as predict
    from deepchrome.train.scoring.predict import predict_contrast as predict_contrast
    from deepchrome.train.scoring.reference import Reference as Reference
    from deepchrome.train.scoring.reference import find_reference as find_reference
    from deepchrome.train.scoring.reference import read_reference as read_reference
    from deepchrome.train.scoring.scored import ScoredGenes as ScoredGenes
    from deepchrome.train.scoring.scored import score_datasets as score_datasets
    from deepchrome.train.scoring.scored import score_test_genes as score_test_genes
    from deepchrome.train.scoring.unseen import load_unseen_genes as load_unseen_genes

_MODULES = {
    "Contrast": "deepchrome.train.scoring.contrast",
    "Evaluation": "deepchrome.train.scoring.evaluate",
    "Expression": "deepchrome.train.datasets.expression",
    "FeatureChecks": "deepchrome.train.scoring.checks",
    "FeatureSource": "deepchrome.train.datasets.source",
    "Features": "deepchrome.engine.features.store",
    "FitConfig": "deepchrome.train.fitting.config",
    "Genes": "deepchrome.engine.annotation.genes",
    "Genome": "deepchrome.engine.annotation.genome",
    "InputOptions": "deepchrome.train.datasets.inputs",
    "LabelAudit": "deepchrome.train.datasets.labels",
    "Placement": "deepchrome.train.fitting.config",
    "ReadTally": "deepchrome.engine.counting.tally",
    "Reference": "deepchrome.train.scoring.reference",
    "RegionCounts": "deepchrome.engine.regioncounts.result",
    "Regions": "deepchrome.engine.annotation.regions",
    "Run": "deepchrome.train.run.directory",
    "RunOptions": "deepchrome.train.run.train",
    "ScoredGenes": "deepchrome.train.scoring.scored",
    "Summary": "deepchrome.train.run.summary",
    "TextSource": "deepchrome.train.datasets.source",
    "Windows": "deepchrome.engine.annotation.windows",
    "audit_labels": "deepchrome.train.datasets.labels",
    "compare_with_gene_mean": "deepchrome.train.scoring.evaluate",
    "contrast_genes": "deepchrome.train.scoring.contrast",
    "count_files": "deepchrome.engine.regioncounts.count",
    "count_reads": "deepchrome.engine.counting.count",
    "count_regions": "deepchrome.engine.regioncounts.count",
    "evaluate": "deepchrome.train.scoring.evaluate",
    "evaluate_contrast": "deepchrome.train.scoring.contrast",
    "evaluate_run": "deepchrome.train.scoring.evaluate",
    "featurize": "deepchrome.engine.features.featurize",
    "find_reference": "deepchrome.train.scoring.reference",
    "genome_bins": "deepchrome.engine.annotation.regions",
    "label_genes": "deepchrome.train.datasets.labels",
    "load_run": "deepchrome.train.run.directory",
    "load_unseen_genes": "deepchrome.train.scoring.unseen",
    "predict": "deepchrome.train.scoring.predict",
    "predict_contrast": "deepchrome.train.scoring.predict",
    "read_expression": "deepchrome.train.datasets.expression",
    "read_features": "deepchrome.engine.features.store",
    "read_genes": "deepchrome.engine.annotation.genes",
    "read_genome": "deepchrome.engine.annotation.genome",
    "read_reference": "deepchrome.train.scoring.reference",
    "read_regions": "deepchrome.engine.annotation.regions",
    "score_datasets": "deepchrome.train.scoring.scored",
    "score_test_genes": "deepchrome.train.scoring.scored",
    "train_models": "deepchrome.train.run.train",
    "tss_windows": "deepchrome.engine.annotation.windows",
}

__version__ = VERSION
__all__ = [
    "Contrast",
    "Evaluation",
    "Expression",
    "FeatureChecks",
    "FeatureSource",
    "Features",
    "FitConfig",
    "Genes",
    "Genome",
    "InputOptions",
    "LabelAudit",
    "Placement",
    "ReadTally",
    "Reference",
    "RegionCounts",
    "Regions",
    "Run",
    "RunOptions",
    "ScoredGenes",
    "Summary",
    "TextSource",
    "Windows",
    "audit_labels",
    "compare_with_gene_mean",
    "contrast_genes",
    "count_files",
    "count_reads",
    "count_regions",
    "evaluate",
    "evaluate_contrast",
    "evaluate_run",
    "featurize",
    "find_reference",
    "genome_bins",
    "label_genes",
    "load_run",
    "load_unseen_genes",
    "predict",
    "predict_contrast",
    "read_expression",
    "read_features",
    "read_genes",
    "read_genome",
    "read_reference",
    "read_regions",
    "score_datasets",
    "score_test_genes",
    "train_models",
    "tss_windows",
]


def __getattr__(name: str) -> "Any":
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'deepchrome' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
