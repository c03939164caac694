"""The whole main job on simulated data, whose truth is known: what ``dc demo`` runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.features.summary import FileOutcome
from deepchrome.engine.simulation.simulate import SimulatedEpigenome, simulate
from deepchrome.train.datasets.dataset import load_datasets
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.labels import LabelAudit, audit_labels
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.report.visualize import VisualizeResult, visualize
from deepchrome.train.run.directory import Run
from deepchrome.train.run.protocols import BEST
from deepchrome.train.run.trainer import train_run
from deepchrome.train.scoring.evaluate import Evaluation, evaluate, score_test_genes

EPIGENOMES, GENES, READS, EPOCHS = 3, 3000, 300_000, 25


@dataclass(frozen=True)
class Demo:
    """What the demo made and found.

    Attributes
    ----------
    data, features, run
        The directories of the simulated reads, the features, and the trained models.
    simulated
        Per epigenome, what can at best be known from its reads.
    outcomes
        Per file of reads, its tally.
    audits
        Per epigenome, its labels.
    evaluations
        Per epigenome, how its model does on test genes.
    seen
        The report, and what is in it.
    """

    data: Path
    features: Path
    run: Path
    simulated: Sequence[SimulatedEpigenome]
    outcomes: Sequence[FileOutcome]
    audits: Sequence[LabelAudit]
    evaluations: Sequence[Evaluation]
    seen: VisualizeResult


def run_demo(out: Path, say: Callable[[str], None]) -> Demo:
    """Simulate, featurize, label, train, evaluate and visualize.

    Parameters
    ----------
    out
        Directory for everything; what an earlier demo left there is replaced.
    say
        Told, in a line each, what is being done.
    """
    data, features, run = out / "data", out / "features", out / "run"
    say(f"simulating reads: {EPIGENOMES} epigenomes, 5 marks, {READS:,} reads each, {GENES:,} genes on hg19")
    simulated = simulate(data, epigenomes=EPIGENOMES, genes=GENES, reads=READS, force=True)
    say("counting them in bins around every TSS")
    outcomes = featurize([data], genes=data / "genes.tsv", genome="hg19", out=features, force=True)
    expression = data / "expression.tsv"
    audits = audit_labels(read_expression(expression))
    say(f"training {EPIGENOMES} models, {EPOCHS} epochs")
    choices: dict[str, Any] = {"label_rule": "numeric", "split": "random", "seed": 1, "n_train": None}
    datasets, report = load_datasets(
        features, expression, orient=BEST["orient"], transform=BEST["transform"], **choices
    )
    config = FitConfig(epochs=EPOCHS)
    origin = {"features": str(features.resolve()), "expression": str(expression.resolve()), **choices}
    train_run(run, datasets, report.inputs, config, origin=origin, force=True)
    say("testing them on genes they have not seen")
    evaluations = evaluate(score_test_genes(Run(run)))
    say("asking the models which patterns of marks say on and off")
    seen = visualize(run, out / "report", force=True)
    return Demo(data, features, run, simulated, outcomes, audits, evaluations, seen)
