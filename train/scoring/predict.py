"""Score the genes of new samples with the models of a run, and compare two samples."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from deepchrome.common.tables import comparable_ids
from deepchrome.engine.features.provenance import counting_record
from deepchrome.engine.features.store import Features, feature_files, read_features, read_header
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.load import find_depth_genes, same_genes
from deepchrome.train.datasets.profile import profile_features
from deepchrome.train.fitting.training import POOLED
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.checks import STRICT, FeatureChecks

THRESHOLD: Final = 0.5
"""A gene is called on if its score is above this probability."""
# Genes per batch. Batches limit the memory that attention weights need.
_ATTENTION_BATCH: Final = 256


def choose_model(run: Run, epigenome: str, chosen: str | None = None) -> str:
    """Return the name of the model that scores an epigenome.

    Parameters
    ----------
    run
        A finished run.
    epigenome
        The epigenome to score.
    chosen
        Name of the model to use. Default: the model trained on ``epigenome``, or the pooled model.

    Raises
    ------
    UsageError
        The run has no such model.
    """
    name = POOLED if run.config.fit.pooled else chosen or epigenome
    if name not in run.models or (run.config.fit.pooled and chosen):
        raise UsageError(
            f"{run.path}: no model of {chosen or name} (found {', '.join(run.models)})",
            remedy="" if chosen else "model_of",
        )
    return name


def choose_models(
    run: Run, features: Path, *, model_of: str | None = None, epigenomes: Sequence[str] | None = None
) -> dict[Path, str]:
    """Return the feature files to score, each with the name of its model.

    Parameters
    ----------
    run, features, model_of
        See :func:`predict`.
    epigenomes
        The epigenomes to score, in this order. Default: all, sorted by name.

    Raises
    ------
    MissingInputError
        The features do not exist.
    UsageError
        ``features`` lack an epigenome, or an epigenome has no model.
    """
    paths = {path.stem: path for path in feature_files(features)}
    if absent := [name for name in epigenomes or () if name not in paths]:
        raise UsageError(f"{features}: no epigenome {', '.join(absent)} (it has {', '.join(paths)})")
    return {paths[name]: choose_model(run, name, model_of) for name in epigenomes or paths}


def predict(
    run: Run,
    features: Path,
    *,
    model_of: str | None = None,
    device: str | torch.device = "cpu",
    checks: FeatureChecks = STRICT,
) -> pl.DataFrame:
    """Score every gene of every epigenome of ``features``.

    Parameters
    ----------
    run
        A finished run. A pooled model scores any sample, which may lack marks.
    features
        A directory written by :func:`~deepchrome.engine.features.featurize.featurize`, or one Parquet file from it.
    model_of
        Use the model of this epigenome for all features. Default: each epigenome's own model.
    device
        Device to compute on.
    checks
        What to accept in features that are unlike those of the training.

    Returns
    -------
    DataFrame
        One row per gene and epigenome, genes in the order of the features:

        - ``gene_id``, ``symbol``, ``epigenome``.
        - ``split``: the part of the gene in the run (``train``, ``valid`` or ``test``); null for other genes.
        - ``score``: probability that the gene is on.
        - ``percentile``: percentage of the genes of the sample with a lower score; those with an equal score, the gene
          included, count half.
        - ``call``: ``on`` if the score is above :data:`THRESHOLD`, else ``off``.
        - ``log2_rpkm``: predicted log2(RPKM + 1), if the models predict it.
        - ``model``: name of the model, if ``model_of`` is given.

    Raises
    ------
    MissingInputError
        The features or a model do not exist.
    BadDataError
        The features or the run are damaged, or the features do not fit the models: the message names every
        difference in marks, bins or windows. Or the features are unlike those of the training; see
        :class:`FeatureChecks`.
    UsageError
        An epigenome has no model.
    """
    model, tables = functools.cache(run.model), []
    for sample in _prepare_samples(run, choose_models(run, features, model_of=model_of), checks):
        scores = model(sample.model).score(sample.x, device)
        tables.append(_tabulate(sample, scores.score, scores.log2_rpkm))
    return pl.concat(tables if model_of else [table.drop("model") for table in tables])


def predict_with_attention(
    run: Run,
    features: Path,
    *,
    model_of: str | None = None,
    device: str | torch.device = "cpu",
    checks: FeatureChecks = STRICT,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score every gene like :func:`predict`, and return the attention weights of AttentiveChrome models too.

    Parameters
    ----------
    run, features, model_of, device, checks
        See :func:`predict`.

    Returns
    -------
    scores
        See :func:`predict`.
    weights
        ``gene_id``; ``epigenome``; ``marks``, one weight per mark, in the order of the following
        columns; then a column named after each mark, with one weight per bin. Each list sums to 1. The weights are
        those of the first network of a model.

    Raises
    ------
    UsageError
        The models have no attention, or an epigenome has no model.
    MissingInputError, BadDataError
        See :func:`predict`.
    """
    if run.config.fit.model != "attentivechrome" or run.config.fit.pooled:
        kind = "pooled" if run.config.fit.pooled else run.config.fit.model
        raise UsageError(
            f"{run.path}: {kind} models have no attention weights. "
            "Use an attentivechrome run with one model per epigenome."
        )
    tables, weights = [], []
    for sample in _prepare_samples(run, choose_models(run, features, model_of=model_of), checks):
        scores = run.model(sample.model).score(sample.x, device)
        tables.append(_tabulate(sample, scores.score, scores.log2_rpkm))
        weights.append(_attend(run, sample, device))
    return pl.concat(tables if model_of else [table.drop("model") for table in tables]), pl.concat(weights)


def predict_contrast(
    run: Run,
    features: Path,
    epigenomes: tuple[str, str],
    *,
    model_of: str | None = None,
    device: str | torch.device = "cpu",
    checks: FeatureChecks = STRICT,
) -> pl.DataFrame:
    """Predict how the expression of every gene differs between two epigenomes of ``features``.

    Parameters
    ----------
    run, features, model_of, device, checks
        See :func:`predict`. The models must predict expression.
    epigenomes
        (A, B): the result is A - B.

    Returns
    -------
    DataFrame
        ``gene_id``, ``symbol``, and ``log2_fold_change``, the difference of the predicted log2(RPKM + 1). One row per
        gene, in the order of the features.

    Raises
    ------
    UsageError
        The models predict no expression; A and B are the same; or the features lack one, or it has no model.
    BadDataError
        A and B differ in genes, or see :func:`predict`.
    MissingInputError
        See :func:`predict`.
    """
    if run.config.fit.task == "classify":
        raise UsageError(f"{run.path}: the models of this run predict no expression", remedy="regression")
    if epigenomes[0] == epigenomes[1]:
        raise UsageError(f"a contrast of {epigenomes[0]} with itself. Give two epigenomes")
    chosen = choose_models(run, features, model_of=model_of, epigenomes=epigenomes)
    values, genes = [], []
    for sample in _prepare_samples(run, chosen, checks):
        scores = run.model(sample.model).score(sample.x, device)
        assert scores.log2_rpkm is not None
        values.append(scores.log2_rpkm)
        genes.append(sample.features.genes)
    if not same_genes(*genes):
        raise BadDataError(
            f"{features}: the genes of {epigenomes[0]} differ from those of {epigenomes[1]}. "
            "Featurize all epigenomes with one gene table"
        )
    table = {"gene_id": genes[0].gene_id, "symbol": genes[0].symbol, "log2_fold_change": values[0] - values[1]}
    return pl.DataFrame(table)


def prepare_inputs(run: Run, features: Features) -> NDArray[np.float32]:
    """Turn the counts of a sample into the inputs of the models of a run: float32 (genes, bins, marks).

    The correction for depth uses the genes that the models know, if there are enough of them.
    """
    return _apply_inputs(run, features, find_depth_genes(features.genes.gene_id, run.gene_splits()))


@dataclass(frozen=True)
class _Sample:
    """The features of one epigenome, the name of its model, and the inputs and the parts of the split of its genes."""

    features: Features
    model: str
    x: NDArray[np.float32] = field(repr=False)
    split: pl.Series = field(repr=False)


def _prepare_samples(run: Run, chosen: dict[Path, str], checks: FeatureChecks) -> Iterator[_Sample]:
    """Read the features of one epigenome at a time, compare them with the training, and make the model's inputs."""
    inputs = run.config.inputs
    for path in chosen:
        inputs.check(read_header(path))  # guard: header-first
    checks.check_record(run, [*dict.fromkeys(chosen.values())])
    genes_of_run = _known_genes(run)
    for path, name in chosen.items():
        present = [mark for mark in inputs.marks if mark in read_header(path).marks]
        counted = inputs.leave_out_empty_marks(read_features(path, present))
        profile = profile_features(counted)
        checks.check_counting(run, [name], str(path), counting_record(counted.metadata))
        checks.check_profile(run, [name], str(path), profile)
        checks.describe_sample(run, name, counted.epigenome, profile)
        if note := inputs.describe_unknown_strands(counted.genes.strand.count(".")):
            checks.on_warning(f"{path}: {note}")
        ids = comparable_ids(pl.Series(counted.genes.gene_id)).to_frame("gene")
        known = ids.join(genes_of_run, on="gene", how="left", maintain_order="left")
        depth_genes = find_depth_genes(counted.genes.gene_id, genes_of_run["gene"])
        if inputs.depth == "ranks":
            checks.check_depth_genes(str(path), known["on"], genes_of_run["on"], is_used=depth_genes is not None)
        yield _Sample(counted, name, _apply_inputs(run, counted, depth_genes), known["split"])


def _known_genes(run: Run) -> pl.DataFrame:
    """Return the genes of a run: ``gene`` (comparable id), ``split``, ``on`` (fraction of its epigenomes)."""
    table = run.predictions()
    table = table.with_columns(comparable_ids(table["gene_id"]).alias("gene"))
    return table.group_by("gene", maintain_order=True).agg(pl.col("split").first(), pl.col("label").mean().alias("on"))


def _apply_inputs(run: Run, features: Features, depth_genes: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    return run.config.inputs.apply(features, run.config.inputs.scales(features, depth_genes))


def _tabulate(sample: _Sample, score: NDArray[np.float64], log2_rpkm: NDArray[np.float64] | None) -> pl.DataFrame:
    """Return the columns of :func:`predict`, and ``model``."""
    genes, n = sample.features.genes, len(sample.features.genes)
    if len(score) != n:
        raise BadDataError(f"{n} genes of {sample.features.epigenome} got {len(score)} scores")
    values = {} if log2_rpkm is None else {"log2_rpkm": log2_rpkm}
    return pl.DataFrame(
        {
            "gene_id": genes.gene_id,
            "symbol": genes.symbol,
            "epigenome": [sample.features.epigenome] * n,
            "split": sample.split,
            "score": score,
            "percentile": 100 * (rankdata(score) - 0.5) / max(n, 1),
            "call": np.where(score > THRESHOLD, "on", "off"),
            **values,
            "model": [sample.model] * n,
        },
        schema_overrides={"call": pl.String, "split": pl.String},
    )


def _attend(run: Run, sample: _Sample, device: str | torch.device) -> pl.DataFrame:
    """Return the attention weights of the first network of a model on the genes of one epigenome."""
    from deepchrome.train.models.attentivechrome import AttentiveChrome

    model = run.model(sample.model).member(0)
    assert isinstance(model, AttentiveChrome)
    model.to(device)
    with torch.no_grad():
        batches = [
            model.attend(batch.to(device).unsqueeze(0))[1:]
            for batch in torch.split(torch.from_numpy(sample.x), _ATTENTION_BATCH)
        ]
    bins, marks = (torch.cat([batch[i][0] for batch in batches]).cpu().numpy() for i in range(2))
    columns = {"marks": marks, **{mark: bins[:, i] for i, mark in enumerate(run.config.inputs.marks)}}
    table = pl.DataFrame({"gene_id": sample.features.genes.gene_id, **columns})
    return table.select("gene_id", pl.lit(sample.features.epigenome).alias("epigenome"), *columns)
