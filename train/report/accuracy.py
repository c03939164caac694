"""Measure how well the models of a run do on test genes, for the report. See docs/report.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.train.report.evidence import Evidence
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.contrast import Contrast, contrast_genes
from deepchrome.train.scoring.evaluate import Evaluation, evaluate
from deepchrome.train.scoring.reference import find_reference
from deepchrome.train.scoring.scored import ScoredGenes, score_test_genes

# Contrasts are shown for pairs of the first epigenomes; more would make the report large.
MAX_CONTRASTED: Final = 64
_NEED_DATA: Final = "need the data of the run, and this report was made without them."


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
        Labels and scores, one entry per epigenome; with observed expression if it is known.
    evaluations
        One evaluation per epigenome, with yardsticks.
    contrasts
        Predicted and observed change of expression between every two of the first :data:`MAX_CONTRASTED` epigenomes;
        empty without regression or without data.
    transfer
        The transfer matrix; ``None`` for one epigenome, and without data.
    absent
        The reason why a section of the report is missing, in one sentence, by the name of the section.
    """

    scored: tuple[ScoredGenes, ...] = field(repr=False)
    evaluations: tuple[Evaluation, ...] = field(repr=False)
    contrasts: tuple[Contrast, ...] = field(repr=False)
    transfer: Transfer | None
    absent: Mapping[str, str]

    @property
    def has_expression(self) -> bool:
        """Whether predicted and observed expression are known."""
        return "regression" not in self.absent


def measure_accuracy(run: Run, evidence: Mapping[str, Evidence], expression: Path | None) -> Accuracy:
    """Evaluate a run on its test genes.

    Parameters
    ----------
    run
        A finished run.
    evidence
        Evidence by epigenome. If it is empty, only what is stored in the run is used.
    expression
        The expression table of the run; ``None`` if there is none.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        The run or the table is damaged, or they do not belong together.
    """
    scored, absent = score_test_genes(run), {}
    reference, notes = None, list[str]()
    if evidence:
        reference, notes = find_reference(run, expression)
        scored = scored if reference is None else [reference.observe(genes) for genes in scored]
    evaluations, names = evaluate(scored, reference), [genes.epigenome for genes in scored]
    if not evidence:
        absent["yardsticks"] = f"Yardsticks {_NEED_DATA}"
    elif all(row.gene_mean_auroc is None for row in evaluations):
        why = "; ".join(notes) or "the expression table has no other epigenome"
        absent["yardsticks"] = f"Yardsticks are what other epigenomes tell, and here {why}."
    if reason := _missing_expression(run, evidence, scored):
        absent["regression"] = reason
    if len(names) < 2:
        absent["contrast"] = "A contrast needs two epigenomes, and this run has one."
        absent["transfer"] = "The run has one epigenome, so no model was tested on another one."
    elif reason:
        absent["contrast"] = reason
    contrasts = (
        []
        if "contrast" in absent
        else [contrast_genes(scored, a, b) for a, b in combinations(names[:MAX_CONTRASTED], 2)]
    )
    transfer = None if "transfer" in absent else _transfer(run, evidence, evaluations)
    if len(names) > 1 and transfer is None:
        absent["transfer"] = f"Scores by the models of other epigenomes {_NEED_DATA}"
    return Accuracy(tuple(scored), tuple(evaluations), tuple(contrasts), transfer, absent)


def _missing_expression(run: Run, evidence: Mapping[str, Evidence], scored: Sequence[ScoredGenes]) -> str:
    """Return why predicted and observed expression cannot be compared; empty if they can."""
    if any(genes.log2_rpkm is None for genes in scored):
        return f"The models of this run tell on from off and predict no expression (task {run.config.fit.task})."
    if not evidence:
        return f"Observed expression values {_NEED_DATA}"
    if any(genes.rpkm is None for genes in scored):
        return "The data of this run have labels, but no expression values to compare with."
    return ""


def _transfer(run: Run, evidence: Mapping[str, Evidence], evaluations: Sequence[Evaluation]) -> Transfer | None:
    """Return the transfer matrix. Its only row for a pooled model is known from the evaluation."""
    names, models = run.epigenomes, run.models
    if len(models) == 1:
        areas = [[row.auroc for row in evaluations]]
        return Transfer(models, names, evaluations[0].n_test, np.array(areas, np.float64))
    if not evidence:
        return None
    areas = [[evidence[name].transfer[model] for name in names] for model in models]
    return Transfer(models, names, evidence[names[0]].transfer_genes, np.array(areas, np.float64))
