"""Run the whole analysis on simulated data with known truth. ``dc demo`` calls this."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deepchrome.common.progress import OnMessage
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.features.summary import FileOutcome
from deepchrome.engine.simulation.simulate import SimulatedEpigenome, simulate
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.labels import LabelAudit, audit_labels
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.report.visualize import VisualizeResult, visualize
from deepchrome.train.run.directory import load_run
from deepchrome.train.run.protocols import BEST
from deepchrome.train.run.train import RunOptions, train_models
from deepchrome.train.scoring.evaluate import Evaluation, evaluate, score_test_genes

EPIGENOMES: Final = 3
GENES: Final = 3000
READS: Final = 300_000  # per file, that is, per epigenome and mark
EPOCHS: Final = 25


@dataclass(frozen=True)
class Demo:
    """Directories and results of a demo.

    Attributes
    ----------
    data, features, run
        The directories of the simulated data, the features, and the trained models.
    simulated
        For each epigenome, how well its reads can predict expression.
    outcomes
        For each file of reads, a summary of the counting.
    audits
        For each epigenome, an audit of its labels.
    evaluations
        For each epigenome, the evaluation of its model on test genes.
    report
        The files of the report, and a summary of its maps.
    """

    data: Path
    features: Path
    run: Path
    simulated: Sequence[SimulatedEpigenome]
    outcomes: Sequence[FileOutcome]
    audits: Sequence[LabelAudit]
    evaluations: Sequence[Evaluation]
    report: VisualizeResult


def run_demo(out: Path, on_message: OnMessage) -> Demo:
    """Simulate, featurize, label, train, evaluate and visualize.

    Parameters
    ----------
    out
        Directory for all output. Files of an earlier demo are replaced.
    on_message
        Called with a one-line message before each step starts.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    data, features, run = out / "data", out / "features", out / "run"
    on_message(f"simulating reads: {EPIGENOMES} epigenomes, 5 marks, {READS:,} reads each, {GENES:,} genes on hg19")
    simulated = simulate(data, epigenomes=EPIGENOMES, genes=GENES, reads=READS, force=True)
    on_message("counting reads in bins around every TSS")
    outcomes = featurize([data], genes=data / "genes.tsv", genome="hg19", out=features, force=True)
    expression = data / "expression.tsv"
    audits = audit_labels(read_expression(expression))
    on_message(f"training {EPIGENOMES} models for {EPOCHS} epochs")
    source = FeatureSource(features, expression, split="random")
    train_models(source, run, config=replace(BEST.fit, epochs=EPOCHS), options=RunOptions(force=True))
    on_message("testing the models on unseen genes")
    evaluations = evaluate(score_test_genes(load_run(run)))
    on_message("computing the patterns of marks that the models associate with on and off")
    report = visualize(run, out / "report", force=True)
    return Demo(data, features, run, simulated, outcomes, audits, evaluations, report)
