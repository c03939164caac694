"""The genes that models are tested on, with their labels and scores."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES, TEST, first_names
from deepchrome.engine.features.provenance import merge_counting
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.checks import STRICT, FeatureChecks
from deepchrome.train.scoring.predict import choose_model


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
    gene_id
        n gene ids, spelled as in the features; empty if unknown.
    log2_rpkm
        float64 (n,): predicted log2(RPKM + 1); ``None`` without regression.
    rpkm
        float64 (n,): observed expression; ``None`` if unknown.
    held_out
        Whether the model was not trained on this epigenome.
    """

    epigenome: str
    model: str
    on: NDArray[np.uint8] = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False)
    gene_id: tuple[str, ...] = field(default=(), repr=False)
    log2_rpkm: NDArray[np.float64] | None = field(default=None, repr=False)
    rpkm: NDArray[np.float64] | None = field(default=None, repr=False)
    held_out: bool = False


def score_test_genes(run: Run) -> list[ScoredGenes]:
    """Return the test genes of a run with the scores in its predictions.parquet, one entry per epigenome.

    Their observed expression is not in the run; see :meth:`~deepchrome.train.scoring.reference.Reference.observe`.

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
    test = predictions.filter(pl.col("split") == SPLIT_NAMES[TEST])
    if "log2_rpkm" not in test.columns:  # runs of earlier versions
        test = test.with_columns(log2_rpkm=pl.lit(None, pl.Float64))
    return [
        ScoredGenes(
            name,
            run.config.model_of(name),
            table["label"].to_numpy(),
            table["score"].to_numpy(),
            tuple(table["gene_id"]),
            None if table["log2_rpkm"].has_nulls() else table["log2_rpkm"].to_numpy(),
            held_out=run.config.held_out(name),
        )
        for (name,), table in test.group_by("epigenome", maintain_order=True)
    ]


def score_datasets(
    run: Run,
    datasets: Sequence[Dataset],
    *,
    model_of: str | None = None,
    device: str | torch.device = "cpu",
    checks: FeatureChecks = STRICT,
) -> list[ScoredGenes]:
    """Score data sets with the model of their own epigenome, or all with the model of ``model_of``.

    A pooled model scores all of them.

    Raises
    ------
    UsageError
        The run has no such model.
    BadDataError
        The features are unlike those of the training; see :class:`FeatureChecks`.
    """
    names = [choose_model(run, data.epigenome, model_of) for data in datasets]
    check_datasets(run, datasets, [[name] for name in names], checks)
    scored = []
    for data, name in zip(datasets, names, strict=True):
        found, held_out = run.model(name).score(data.x, device), data.epigenome not in run.config.trained_on(name)
        scored.append(
            ScoredGenes(
                data.epigenome, name, data.y, found.score, data.gene_id, found.log2_rpkm, data.rpkm, held_out=held_out
            )
        )
    return scored


def check_datasets(
    run: Run, datasets: Sequence[Dataset], models: Sequence[Sequence[str]], checks: FeatureChecks
) -> None:
    """Compare data sets with the training of the models that score each of them.

    Raises
    ------
    BadDataError
        The features are unlike those of the training; see :class:`FeatureChecks`.
    """
    used = [*dict.fromkeys(itertools.chain(*models))]
    checks.check_record(run, used)
    # All were counted in the same way, as load_datasets checks.
    counting = reduce(merge_counting, [data.counting for data in datasets])
    checks.check_counting(run, used, f"features of {first_names([data.epigenome for data in datasets])}", counting)
    for data, names in zip(datasets, models, strict=True):
        checks.check_profile(run, names, f"features of {data.epigenome}", data.profile)
