"""Measure how well the models of a run do on test genes, for the report. See docs/report.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.train.models.metrics import pearson
from deepchrome.train.report.evidence import Evidence
from deepchrome.train.run.directory import Run
from deepchrome.train.report.standin import Evaluation, evaluate_run
from deepchrome.train.scoring.evaluate import ScoredGenes, score_test_genes

# Pairs of these epigenomes are compared; more would make the report large.
MAX_CONTRASTED: Final = 64
# Genes whose log2 fold change is larger have changed more than twofold.
_TWOFOLD: Final = 1.0


@dataclass(frozen=True)
class ContrastRow:
    """How well the predicted change of expression between two epigenomes agrees with the observed one.

    Attributes
    ----------
    a, b
        The epigenomes. A gene with higher expression in ``a`` has a positive log2 fold change.
    pearson
        Correlation of predicted and observed log2 fold change over the test genes; ``None`` if one is constant.
    changed
        Number of test genes whose observed expression differs more than twofold, in RPKM + 1.
    direction
        Share of these genes whose predicted change has the same sign; ``None`` if there are none.
    """

    a: str
    b: str
    pearson: float | None
    changed: int
    direction: float | None


@dataclass(frozen=True)
class ExpressionTable:
    """Predicted and observed log2(RPKM + 1) of the n test genes of a run.

    Attributes
    ----------
    epigenomes, gene_id
        Names of the rows and of the columns.
    predicted, observed
        float64 (epigenomes, n).
    """

    epigenomes: tuple[str, ...]
    gene_id: tuple[str, ...] = field(repr=False)
    predicted: NDArray[np.float64] = field(repr=False)
    observed: NDArray[np.float64] = field(repr=False)

    def contrasts(self) -> list[ContrastRow]:
        """Compare every two of the first :data:`MAX_CONTRASTED` epigenomes."""
        rows = []
        for i, j in combinations(range(min(len(self.epigenomes), MAX_CONTRASTED)), 2):
            predicted, observed = (values[i] - values[j] for values in (self.predicted, self.observed))
            changed = np.abs(observed) > _TWOFOLD
            agree = np.sign(predicted[changed]) == np.sign(observed[changed])
            direction = float(agree.mean()) if agree.size else None
            r = pearson(predicted, observed)
            rows.append(ContrastRow(self.epigenomes[i], self.epigenomes[j], r, agree.size, direction))
        return rows


@dataclass(frozen=True)
class Transfer:
    """AUROC of every model on test genes of every epigenome.

    Attributes
    ----------
    models, epigenomes
        Names of the rows and of the columns.
    genes
        Number of test genes of each epigenome.
    auroc
        float64 (models, epigenomes). NaN where the genes are all of one class.
    """

    models: tuple[str, ...]
    epigenomes: tuple[str, ...]
    genes: int
    auroc: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Accuracy:
    """What a report shows about the test genes of a run.

    Attributes
    ----------
    scored
        Labels and scores by epigenome.
    evaluations
        One evaluation per epigenome, with yardsticks.
    expression
        Predicted and observed expression; ``None`` without regression or without data.
    transfer
        The transfer matrix; ``None`` for one model of one epigenome, and without data.
    absent
        The reason why a section of the report is missing, in one sentence, by the name of the section.
    """

    scored: tuple[ScoredGenes, ...] = field(repr=False)
    evaluations: tuple[Evaluation, ...] = field(repr=False)
    expression: ExpressionTable | None
    transfer: Transfer | None
    absent: Mapping[str, str]


def measure_accuracy(run: Run, evidence: Mapping[str, Evidence], expression: Path | None) -> Accuracy:
    """Evaluate a run on its test genes.

    Parameters
    ----------
    run
        A finished run.
    evidence
        Evidence by epigenome; empty without data.
    expression
        Current path of the run's expression table. Default: the path in its config.

    Raises
    ------
    MissingInputError, BadDataError
        The run or its data are damaged.
    """
    evaluations, notes = evaluate_run(run, expression)
    absent = {}
    table = transfer = None
    if reason := _missing_expression(run, evidence):
        absent["regression"] = reason
    else:
        table = _expression_table(run, evidence)
    if len(run.epigenomes) < 2:
        absent["contrast"] = "A contrast needs two epigenomes, and this run has one."
        absent["transfer"] = "The run has one epigenome, so no model was tested on another one."
    else:
        transfer = _transfer(run, evidence, evaluations)
        if table is None:
            absent["contrast"] = absent["regression"]
        if transfer is None:
            absent["transfer"] = "The transfer matrix needs the data of the run, and this report was made without them."
    if all(row.gene_mean_auroc is None for row in evaluations):
        absent["yardsticks"] = " ".join(
            ("There are no yardsticks: they need the expression of other epigenomes.", *map(_sentence, notes))
        )
    return Accuracy(tuple(score_test_genes(run)), tuple(evaluations), table, transfer, absent)


def _sentence(note: str) -> str:
    """Return a note as a sentence."""
    return f"{note[:1].upper()}{note[1:].rstrip('.')}."


def _missing_expression(run: Run, evidence: Mapping[str, Evidence]) -> str:
    """Return why predicted and observed expression cannot be compared; empty if they can."""
    if run.config.fit.task == "classify":
        return "The models of this run tell on from off and predict no expression (task classify)."
    if not evidence:
        return "Observed expression is in the data of the run, and this report was made without them."
    if any(item.test_log2_rpkm is None for item in evidence.values()):
        return "The data of this run have labels but no expression."
    return ""


def _expression_table(run: Run, evidence: Mapping[str, Evidence]) -> ExpressionTable:
    """Return predicted and observed expression of the test genes, which are the same in all epigenomes."""
    test = run.predictions().filter(pl.col("split") == "test").partition_by("epigenome", as_dict=True)
    names = tuple(evidence)
    parts = [test[(name,)] for name in names]
    predicted = np.stack([part["log2_rpkm"].to_numpy() for part in parts])
    observed = np.stack([item.test_log2_rpkm for item in evidence.values() if item.test_log2_rpkm is not None])
    return ExpressionTable(names, tuple(parts[0]["gene_id"]), predicted, observed)


def _transfer(run: Run, evidence: Mapping[str, Evidence], evaluations: "list[Evaluation]") -> Transfer | None:
    """Return the transfer matrix. Its only row for a pooled model is known from the evaluation."""
    names, models = run.epigenomes, run.models
    if len(models) == 1:
        areas = [[row.auroc for row in evaluations]]
        return Transfer(models, names, evaluations[0].n_test, np.array(areas, np.float64))
    if not evidence:
        return None
    areas = [[evidence[name].transfer[model] for name in names] for model in models]
    return Transfer(models, names, evidence[names[0]].transfer_genes, np.array(areas, np.float64))
