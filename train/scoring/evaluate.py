"""Evaluate the models of a run on their own test genes, on other data, and across epigenomes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from sklearn.metrics import roc_curve

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.models.metrics import (
    auprc,
    auroc,
    bootstrap_areas,
    brier_score,
    expected_calibration_error,
    pearson,
    r_squared,
    spearman,
)
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.checks import STRICT, FeatureChecks
from deepchrome.train.scoring.reference import Reference, find_reference
from deepchrome.train.scoring.scored import ScoredGenes, check_datasets, score_test_genes
from deepchrome.train.scoring.yardsticks import Yardsticks

_INTERVAL_PERCENTILES: Final = (2.5, 97.5)


@dataclass(frozen=True)
class Evaluation:
    """How well a model predicts the genes of one epigenome, and what predicts them without histone marks.

    A number is ``None`` where it does not apply. Areas need genes of both classes; their 95 % intervals also need
    bootstrap samples. The numbers from ``gene_mean_auroc`` to ``variable_nearest_auroc`` need an expression table with
    other epigenomes; see :class:`~deepchrome.train.scoring.yardsticks.Yardsticks`.

    Attributes
    ----------
    epigenome
        The epigenome of the genes.
    model
        The epigenome that the model was trained on, or ``pooled``.
    n_test, n_on
        Number of genes, and number of genes that are on.
    auroc, auroc_low, auroc_high
        Area under the ROC curve, and its interval.
    auprc, auprc_low, auprc_high
        Area under the precision-recall curve, and its interval.
    brier, ece
        Brier score and expected calibration error of the scores as probabilities: 0 to 1, lower is better.
    gene_mean_auroc
        AUROC of the mean log2(RPKM + 1) of each gene in the other epigenomes, which uses no histone marks.
    nearest, nearest_auroc
        The epigenome with the most similar expression on training and validation genes, and the AUROC of its
        expression. ``None`` for an epigenome that is held out, because its expression must not be used.
    fused_auroc
        AUROC of model and gene mean together, weighted on validation genes of the epigenomes trained on.
    variable_genes
        Number of variable genes: on in 20 % to 80 % of the other epigenomes.
    variable_auroc, variable_gene_mean_auroc, variable_nearest_auroc
        AUROC of the model, the gene mean and the nearest epigenome over the variable genes.
    pearson, spearman, r2
        Correlations and share of explained variance of predicted and observed log2(RPKM + 1).
    held_out
        1 if the model was not trained on the epigenome, else 0.
    """

    epigenome: str
    model: str
    n_test: int
    n_on: int
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    auprc: float | None
    auprc_low: float | None
    auprc_high: float | None
    brier: float | None
    ece: float | None
    gene_mean_auroc: float | None
    nearest: str | None
    nearest_auroc: float | None
    fused_auroc: float | None
    variable_genes: int | None
    variable_auroc: float | None
    variable_gene_mean_auroc: float | None
    variable_nearest_auroc: float | None
    pearson: float | None
    spearman: float | None
    r2: float | None
    held_out: int


def evaluate_run(
    run: Run, expression: Path | None = None, *, resamples: int = 1000, seed: int = 1
) -> tuple[list[Evaluation], list[str]]:
    """Evaluate the models of a run on their own test genes.

    Parameters
    ----------
    run
        A finished run.
    expression
        Current path of the expression table that the run was trained with. Default: the path in config.json.
    resamples, seed
        See :func:`evaluate`.

    Returns
    -------
    rows
        One per epigenome. If the recorded table is gone or does not fit any more, they lack yardsticks and
        correlations.
    notes
        Sentences about what is missing.

    Raises
    ------
    MissingInputError, StorageError, BadDataError
        The run or the given table is incomplete or damaged, or the table gives other labels than those of the run.
    """
    scored = score_test_genes(run)
    reference, notes = find_reference(run, expression)
    return evaluate(scored, reference, resamples=resamples, seed=seed), notes


def evaluate(
    scored: Sequence[ScoredGenes], reference: Reference | None = None, *, resamples: int = 1000, seed: int = 1
) -> list[Evaluation]:
    """Compute measures with scikit-learn and SciPy, with bootstrap percentile intervals over genes.

    Parameters
    ----------
    scored
        Genes and scores. Each entry gives one row of the result.
    reference
        The expression table to compare with. Default: no comparison.
    resamples
        Number of bootstrap samples; 0 for no intervals.
    seed
        Seed of the bootstrap.
    """
    return [_evaluate_epigenome(genes, reference, resamples, seed) for genes in scored]


def _evaluate_epigenome(genes: ScoredGenes, reference: Reference | None, resamples: int, seed: int) -> Evaluation:
    yardsticks = Yardsticks()
    if reference is not None:
        genes, yardsticks = reference.observe(genes), reference.yardsticks(genes)
    intervals: list[list[float | None]] = [[None, None], [None, None]]
    if resamples and np.unique(genes.on).size == 2:
        areas = bootstrap_areas(genes.on, genes.scores, resamples, seed)
        intervals = [np.nanpercentile(area, _INTERVAL_PERCENTILES).tolist() for area in areas]
    correlations: tuple[float | None, float | None, float | None] = (None, None, None)
    if genes.log2_rpkm is not None and genes.rpkm is not None:
        predicted, observed = genes.log2_rpkm, np.log2(genes.rpkm + 1)
        correlations = pearson(observed, predicted), spearman(observed, predicted), r_squared(observed, predicted)
    return Evaluation(
        epigenome=genes.epigenome,
        model=genes.model,
        n_test=genes.on.size,
        n_on=int(genes.on.sum()),
        auroc=auroc(genes.on, genes.scores),
        auroc_low=intervals[0][0],
        auroc_high=intervals[0][1],
        auprc=auprc(genes.on, genes.scores),
        auprc_low=intervals[1][0],
        auprc_high=intervals[1][1],
        brier=brier_score(genes.on, genes.scores),
        ece=expected_calibration_error(genes.on, genes.scores),
        **asdict(yardsticks),
        pearson=correlations[0],
        spearman=correlations[1],
        r2=correlations[2],
        held_out=int(genes.held_out),
    )


def compare_with_gene_mean(rows: Sequence[Evaluation]) -> str | None:
    """Return a sentence that puts AUROCs in perspective.

    Parameters
    ----------
    rows
        Results of some epigenomes.

    Returns
    -------
    str
        ``None`` if the models are better than the gene mean in all epigenomes, or nothing is known about it.
    """
    known = [row for row in rows if row.auroc is not None and row.gene_mean_auroc is not None]
    no_better = [row for row in known if (row.gene_mean_auroc or 0) >= (row.auroc or 0)]
    if not no_better:
        return None

    def mean_areas(gene_mean: str, model: str) -> str:
        pairs = [(getattr(row, gene_mean), getattr(row, model)) for row in no_better]
        pairs = [pair for pair in pairs if None not in pair]
        return "AUROC {:.3f}, model {:.3f}".format(*np.mean(pairs, 0)) if pairs else ""

    where = known[0].epigenome if len(known) == 1 else f"{len(no_better)} of {len(known)} epigenomes"
    text = (
        f"in {where}, the mean expression of a gene in the other epigenomes predicts its state at least as well as the "
        f"marks do ({mean_areas('gene_mean_auroc', 'auroc')})"
    )
    if variable := mean_areas("variable_gene_mean_auroc", "variable_auroc"):
        text += f"; what is specific to a cell type shows in the genes whose state varies ({variable})"
    return text


def cross_evaluate(
    run: Run,
    datasets: Sequence[Dataset],
    *,
    device: str | torch.device = "cpu",
    checks: FeatureChecks = STRICT,
) -> pl.DataFrame:
    """Test every model of a run on every data set.

    Each data set is compared with the range over all epigenomes of the run.

    Returns
    -------
    DataFrame
        One row per model: ``model``, then its AUROC on each data set, null where one class is absent.

    Raises
    ------
    BadDataError
        The features are unlike those of the training; see :class:`FeatureChecks`.
    """
    check_datasets(run, datasets, [run.models] * len(datasets), checks)
    models = {name: run.model(name) for name in run.models}
    table: dict[str, list[Any]] = {"model": list(models)}
    for data in datasets:
        table[data.epigenome] = [auroc(data.y, model.score(data.x, device).log_odds) for model in models.values()]
    return pl.DataFrame(table)


def roc_points(scored: Sequence[ScoredGenes]) -> pl.DataFrame:
    """Compute the points of every ROC curve with scikit-learn.

    Returns
    -------
    DataFrame
        ``epigenome``, ``model``, ``false_positive_rate``, ``true_positive_rate``, ``threshold``
        (infinite at the start of a curve). Epigenomes with one class have no rows.
    """
    columns = ("false_positive_rate", "true_positive_rate", "threshold")
    types: Mapping[str, Any] = {"epigenome": pl.String, "model": pl.String, **dict.fromkeys(columns, pl.Float64)}
    tables = [pl.DataFrame(schema=types)]
    for genes in scored:
        if np.unique(genes.on).size == 2:
            curve = dict(zip(columns, roc_curve(genes.on, genes.scores), strict=True))
            names = {"epigenome": genes.epigenome, "model": genes.model}
            tables.append(pl.DataFrame(curve).select(*(pl.lit(v).alias(k) for k, v in names.items()), *columns))
    return pl.concat(tables)
