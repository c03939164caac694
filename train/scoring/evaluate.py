"""How good the models of a run are: on their own test genes, on other data, across epigenomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from deepchrome.common.tables import stable_ids
from deepchrome.engine.features.store import feature_files, read_features
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset, load_datasets
from deepchrome.train.datasets.labels import LabelRule
from deepchrome.train.models.metrics import auprc, auroc, bootstrap_interval
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.predict import choose_model

_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Scored:
    """Genes of one epigenome, with the scores of one model.

    Attributes
    ----------
    epigenome, model
        Whose genes; the epigenome that the model was trained on.
    on
        uint8 (n,), the labels.
    scores
        float64 (n,).
    """

    epigenome: str
    model: str
    on: NDArray[np.uint8]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """Areas under ROC and precision-recall curve with 95 % intervals; ``None`` if one class is absent."""

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


def score_test_genes(run: Run) -> list[Scored]:
    """Take the test genes of a run, as scored when it was trained.

    Raises
    ------
    BadDataError
        No model of the run was trained to an end, or the predictions are damaged.
    """
    if not run.epigenomes:
        raise BadDataError(f"{run.path}: no model in this run; {run.path}/summary.tsv says why")
    test = run.predictions().filter(pl.col("split") == "test")
    parts = {name: table for (name,), table in test.group_by("epigenome", maintain_order=True)}
    return [
        Scored(name, name, parts[name]["label"].to_numpy(), parts[name]["score"].to_numpy())
        for name in run.epigenomes
        if name in parts
    ]


def load_other_data(
    run: Run, features: Path, expression: Path, *, label_rule: LabelRule | None = None
) -> tuple[list[Dataset], list[str]]:
    """Load features and labels, treated as the run's own were, without the genes that the run has learnt from.

    Parameters
    ----------
    run
        A finished run.
    features, expression
        See :func:`~deepchrome.train.datasets.dataset.load_datasets`.
    label_rule
        By default that of the run.

    Returns
    -------
    datasets
        Genes that the run used for training or validation are left out, by id: also on other
        epigenomes they would flatter it, since genes keep much of their state.
    notes
        Sentences for the user, among them how many genes were left out.

    Raises
    ------
    MissingInputError, BadDataError
        Features do not fit the run, or see :func:`~deepchrome.train.datasets.dataset.load_datasets`.
    """
    inputs = run.config.inputs
    inputs.check(read_features(feature_files(features)[0]))
    datasets, report = load_datasets(
        features,
        expression,
        label_rule=label_rule or run.config.origin.get("label_rule", "numeric"),
        orient=inputs.orient,
        transform=inputs.transform,
        library_size=inputs.library_size,
        marks=inputs.marks,
    )
    learnt = _comparable(run.predictions().filter(pl.col("split") != "test")["gene_id"])
    unseen = np.flatnonzero(~_comparable(pl.Series(datasets[0].gene_id)).is_in(learnt.implode()).to_numpy())
    genes = len(datasets[0].gene_id)
    if not unseen.size:
        raise BadDataError(f"{features}: the run has learnt from all {genes} genes; none is left to test on")
    notes = [f"{genes - unseen.size} genes left out that the run has learnt from; {unseen.size} tested"]
    if report.not_in_expression:
        notes.append(f"{report.not_in_expression} genes left out: features, but no expression")
    return [_take(data, unseen) for data in datasets], notes


def score_datasets(
    run: Run, datasets: Sequence[Dataset], *, model_of: str | None = None, device: str | torch.device = "cpu"
) -> list[Scored]:
    """Score data sets, each with the model of its own epigenome or with one chosen for all.

    Raises
    ------
    UsageError
        The run has no such model.
    """
    names = [choose_model(run, data.epigenome, model_of) for data in datasets]
    return [
        Scored(data.epigenome, name, data.y, run.score(name, data.x, device))
        for data, name in zip(datasets, names, strict=True)
    ]


def evaluate(scored: Sequence[Scored], *, resamples: int = 1000, seed: int = 1) -> list[Evaluation]:
    """Compute both areas by scikit-learn, with percentile intervals from resampled genes.

    Parameters
    ----------
    scored
        Genes and scores, one entry per row wanted.
    resamples, seed
        Of the bootstrap; 0 resamples: no intervals.
    """
    evaluations = []
    for one in scored:
        intervals: list[tuple[float | None, float | None]] = [(None, None), (None, None)]
        if resamples and np.unique(one.on).size == 2:
            areas = bootstrap_interval(one.on, one.scores, resamples, seed)
            intervals = [tuple(float(v) for v in np.nanpercentile(area, _INTERVAL)) for area in areas]  # type: ignore[misc]
        evaluations.append(
            Evaluation(
                one.epigenome,
                one.model,
                one.on.size,
                int(one.on.sum()),
                auroc(one.on, one.scores),
                *intervals[0],
                auprc(one.on, one.scores),
                *intervals[1],
            )
        )
    return evaluations


def cross_evaluate(run: Run, datasets: Sequence[Dataset], *, device: str | torch.device = "cpu") -> pl.DataFrame:
    """Test every model of a run on every data set.

    Returns
    -------
    DataFrame
        ``model``, then a column per data set: test AUROC, null where one class is absent.
    """
    table: dict[str, list[Any]] = {"model": list(run.epigenomes)}
    for data in datasets:
        table[data.epigenome] = [auroc(data.y, run.score(name, data.x, device)) for name in run.epigenomes]
    return pl.DataFrame(table)


def roc_points(scored: Sequence[Scored]) -> pl.DataFrame:
    """Compute the corners of every ROC curve by scikit-learn.

    Returns
    -------
    DataFrame
        ``epigenome``, ``model``, ``false_positive_rate``, ``true_positive_rate``, ``threshold``
        (infinite at the start of a curve); no rows for an epigenome of one class.
    """
    columns = ("false_positive_rate", "true_positive_rate", "threshold")
    types: Mapping[str, Any] = {"epigenome": pl.String, "model": pl.String, **dict.fromkeys(columns, pl.Float64)}
    tables = [pl.DataFrame(schema=types)]
    for one in scored:
        if np.unique(one.on).size == 2:
            curve = dict(zip(columns, roc_curve(one.on, one.scores), strict=True))
            names = {"epigenome": one.epigenome, "model": one.model}
            tables.append(pl.DataFrame(curve).select(*(pl.lit(v).alias(k) for k, v in names.items()), *columns))
    return pl.concat(tables)


def recorded_source(run: Run) -> tuple[Path, Path]:
    """Return the features and the expression table that a run was made from.

    Raises
    ------
    UsageError
        The run was not made from features, or they have moved.
    """
    paths = [run.config.origin.get(key) for key in ("features", "expression")]
    if not all(isinstance(path, str) and Path(path).exists() for path in paths):
        raise UsageError(
            f"{run.path}: its features or expression are not where they were; give FEATURES and --expression"
        )
    return Path(str(paths[0])), Path(str(paths[1]))


def _comparable(gene_id: pl.Series) -> pl.Series:
    """Bring gene ids to one form: no version; the bare numbers of DeepChrome's text format as Ensembl ids."""
    numbers = gene_id.str.contains(r"^\d+$")
    ensembl = "ENSG" + gene_id.str.zfill(11)
    return stable_ids(ensembl.zip_with(numbers, gene_id))


def _take(data: Dataset, rows: NDArray[np.int64]) -> Dataset:
    gene_id = tuple(data.gene_id[row] for row in rows)
    return Dataset(data.epigenome, data.marks, gene_id, data.x[rows], data.y[rows], data.split[rows])
