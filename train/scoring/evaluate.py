"""Evaluate the models of a run on their own test genes, on other data, and across epigenomes."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from deepchrome.common.names import first_names
from deepchrome.common.tables import comparable_ids
from deepchrome.engine.features.provenance import merge_counting
from deepchrome.engine.features.store import feature_files, read_header
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.labels import LabelGenes, LabelRule
from deepchrome.train.datasets.load import LoadReport
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.models.metrics import auprc, auroc, bootstrap_areas
from deepchrome.train.run.data import check_unchanged, find_source
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.checks import STRICT, FeatureChecks
from deepchrome.train.scoring.predict import choose_model

_INTERVAL_PERCENTILES: Final = (2.5, 97.5)


@dataclass(frozen=True)
class ScoredGenes:
    """Labels and scores of the n genes of one epigenome.

    Attributes
    ----------
    epigenome
        The epigenome of the genes.
    model
        The name of the model: the epigenome that it was trained on, or ``pooled``.
    on
        uint8 (n,): 1 if the gene is on, else 0.
    scores
        float64 (n,): see :class:`~deepchrome.train.models.trained.GeneScores`.
    """

    epigenome: str
    model: str
    on: NDArray[np.uint8]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Areas under the ROC and the precision-recall curve, with 95 % intervals.

    Areas are ``None`` if one class is absent. Intervals are ``None`` in this case too, and without bootstrap samples.

    Attributes
    ----------
    epigenome
        The epigenome of the genes.
    model
        The epigenome that the model was trained on.
    genes, on
        Number of genes, and number of genes that are on.
    auroc, auroc_low, auroc_high
        Area under the ROC curve, and its interval.
    auprc, auprc_low, auprc_high
        Area under the precision-recall curve, and its interval.
    """

    epigenome: str
    model: str
    genes: int
    on: int
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    auprc: float | None
    auprc_low: float | None
    auprc_high: float | None


def score_test_genes(run: Run) -> list[ScoredGenes]:
    """Return the test genes of a run with the scores in its predictions.parquet, one entry per epigenome.

    Raises
    ------
    MissingInputError
        The run has no predictions.parquet, or a model is missing.
    BadDataError
        The run has no model, or its predictions or models are damaged or belong to another run.
    """
    if not run.epigenomes:
        raise BadDataError(f"{run.path}: no model in this run. See the notes in {run.path}/summary.tsv")
    predictions = run.predictions()
    for name in dict.fromkeys(map(run.config.model_of, predictions["epigenome"].unique(maintain_order=True))):
        run.model(name)  # the scores in the table are those of a model in the directory  # guard: evaluated-models
    test = predictions.filter(pl.col("split") == "test")
    tables = {name: table for (name,), table in test.group_by("epigenome", maintain_order=True)}
    return [
        ScoredGenes(name, run.config.model_of(name), table["label"].to_numpy(), table["score"].to_numpy())
        for name, table in tables.items()
    ]


def load_unseen_genes(
    run: Run,
    features: Path | None = None,
    expression: Path | None = None,
    *,
    label_rule: LabelRule | None = None,
    label_threshold: float | None = None,
    label_genes: LabelGenes | None = None,
) -> tuple[list[Dataset], LoadReport]:
    """Load genes that a run was neither trained nor validated on, with the input options of the run.

    Genes are left out by id. Seen genes would inflate the scores on other epigenomes too, because most
    genes have the same state in many epigenomes.

    Parameters
    ----------
    run
        A finished run.
    features, expression
        See :class:`~deepchrome.train.datasets.source.FeatureSource`. Give both or neither.
        Default: the paths in the run's config.json.
    label_rule, label_threshold, label_genes
        See :class:`~deepchrome.train.datasets.source.FeatureSource`. Default: as in the run, or the defaults of
        FeatureSource if the run was trained on DeepChrome's text format.

    Returns
    -------
    datasets
        One data set per epigenome.
    report
        Facts for the user about these genes.

    Raises
    ------
    MissingInputError
        A given path does not exist.
    BadDataError
        The features do not fit the run, no gene is left, the data are damaged, or those of the run have changed since
        training.
    UsageError
        Only one of ``features`` and ``expression`` is given; or none, and the run was trained on DeepChrome's text
        format, or its data are missing.
    """
    if (features is None) != (expression is None):
        raise UsageError("features and an expression table must be given together")
    source = _find_source(run, features, expression)
    labels = source
    if label_threshold is not None or label_genes is not None:  # Either takes the place of the run's threshold.
        labels = replace(labels, label_threshold=label_threshold, label_genes=label_genes or "table")
    if label_rule is not None:
        labels = replace(labels, label_rule=label_rule)
    run.config.inputs.check(read_header(feature_files(labels.features)[0]))
    datasets, report = labels.load(run.config.inputs.options(), known_genes=run.gene_splits())
    if features is None:
        if absent := set(run.epigenomes).difference(data.epigenome for data in datasets):
            raise BadDataError(
                f"{source.features}: no epigenome {', '.join(sorted(absent))}, which the run was trained on"
            )
        if labels == source:
            check_unchanged(run, datasets)

    seen = comparable_ids(run.predictions().filter(pl.col("split") != "test")["gene_id"])
    is_seen = comparable_ids(pl.Series(datasets[0].gene_id)).is_in(seen.implode()).to_numpy()
    unseen = np.flatnonzero(~is_seen)
    if not unseen.size:
        raise BadDataError(
            f"{source.features}: no gene is left to test on (the run used all {is_seen.size} in training)"
        )
    notes = [
        f"{is_seen.sum()} genes left out because the run was trained or validated on them; {unseen.size} genes tested"
    ]
    if report.not_in_expression:
        notes.append(f"{report.not_in_expression} genes left out because they have no expression")
    if note := report.inputs.describe_unknown_strands(report.unknown_strand):
        notes.append(note)
    report = replace(report, genes=unseen.size, window_overlaps=None, notes=tuple(notes), split_warnings=())
    return [_take_genes(data, unseen) for data in datasets], report


def _find_source(run: Run, features: Path | None, expression: Path | None) -> FeatureSource:
    """Return the source of the given data, with labels as in the run, or the source of the run's own data."""
    trained = run.config.source
    if features is None or expression is None:
        source = find_source(run)
        if not isinstance(source, FeatureSource):
            raise UsageError(f"{run.path}: this run was not trained on features", remedy="run_data")
        return source
    # The parts of the split have no meaning here. This split needs no chromosomes.
    source = FeatureSource(features, expression, split="published")
    if isinstance(trained, FeatureSource):
        return replace(
            source,
            label_rule=trained.label_rule,
            label_threshold=trained.label_threshold,
            label_genes=trained.label_genes,
        )
    return source


def score_datasets(
    run: Run,
    datasets: Sequence[Dataset],
    *,
    model_of: str | None = None,
    device: str | torch.device = "cpu",
    checks: FeatureChecks = STRICT,
) -> list[ScoredGenes]:
    """Score data sets with the model of their own epigenome, or all with the model of ``model_of``.

    Raises
    ------
    UsageError
        The run has no such model.
    BadDataError
        The features are unlike those of the training; see :class:`FeatureChecks`.
    """
    names = [choose_model(run, data.epigenome, model_of) for data in datasets]
    _check_datasets(run, datasets, [[name] for name in names], checks)
    return [
        ScoredGenes(data.epigenome, name, data.y, run.model(name).score(data.x, device).score)
        for data, name in zip(datasets, names, strict=True)
    ]


def evaluate(scored: Sequence[ScoredGenes], *, resamples: int = 1000, seed: int = 1) -> list[Evaluation]:
    """Compute AUROC and AUPRC with scikit-learn, with bootstrap percentile intervals over genes.

    Parameters
    ----------
    scored
        Genes and scores. Each entry gives one row of the result.
    resamples
        Number of bootstrap samples; 0 for no intervals.
    seed
        Seed of the bootstrap.
    """
    evaluations = []
    for genes in scored:
        intervals: list[tuple[float | None, float | None]] = [(None, None), (None, None)]
        if resamples and np.unique(genes.on).size == 2:
            areas = bootstrap_areas(genes.on, genes.scores, resamples, seed)
            intervals = [tuple(float(v) for v in np.nanpercentile(area, _INTERVAL_PERCENTILES)) for area in areas]  # type: ignore[misc]
        evaluations.append(
            Evaluation(
                genes.epigenome,
                genes.model,
                genes.on.size,
                int(genes.on.sum()),
                auroc(genes.on, genes.scores),
                *intervals[0],
                auprc(genes.on, genes.scores),
                *intervals[1],
            )
        )
    return evaluations


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
    _check_datasets(run, datasets, [run.models] * len(datasets), checks)
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


def _check_datasets(
    run: Run, datasets: Sequence[Dataset], models: Sequence[Sequence[str]], checks: FeatureChecks
) -> None:
    """Compare data sets with the training of the models that score each of them."""
    used = [*dict.fromkeys(itertools.chain(*models))]
    checks.check_record(run, used)
    # All were counted in the same way, as load_datasets checks.
    counting = reduce(merge_counting, [data.counting for data in datasets])
    checks.check_counting(run, used, f"features of {first_names([data.epigenome for data in datasets])}", counting)
    for data, names in zip(datasets, models, strict=True):
        checks.check_profile(run, names, f"features of {data.epigenome}", data.profile)


def _take_genes(data: Dataset, rows: NDArray[np.int64]) -> Dataset:
    gene_id = tuple(data.gene_id[row] for row in rows)
    return replace(data, gene_id=gene_id, x=data.x[rows], y=data.y[rows], split=data.split[rows])
