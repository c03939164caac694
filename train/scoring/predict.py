"""Score new features with the models of a run, and compute the attention weights of AttentiveChrome models."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write
from deepchrome.common.tables import stable_ids
from deepchrome.engine.features.provenance import counting_record
from deepchrome.engine.features.store import Features, feature_files, read_features, read_header
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.load import find_depth_genes
from deepchrome.train.datasets.profile import profile_features
from deepchrome.train.fitting.training import POOLED
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.checks import STRICT, FeatureChecks

# Genes per batch. Batches limit the memory that attention weights need.
_ATTENTION_BATCH = 256


def choose_model(run: Run, epigenome: str, chosen: str | None = None) -> str:
    """Return the name of the model that scores an epigenome.

    Parameters
    ----------
    run
        A finished run.
    epigenome
        The epigenome to score.
    chosen
        Name of the model to use. Default: the model trained on ``epigenome``.

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
        A finished run.
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
        ``gene_id``, ``epigenome``, ``score``, and ``model`` if ``model_of`` is given. One row per gene
        and epigenome, genes in the order of the features.

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
    pairs = _features_with_models(run, features, model_of, checks)
    tables = [_score(run, counted, name, device) for counted, name in pairs]
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
        columns; then a column named after each mark, with one weight per bin. Each list sums to 1.

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
    scores, weights = [], []
    for counted, name in _features_with_models(run, features, model_of, checks):
        scores.append(_score(run, counted, name, device))
        weights.append(_attend(run, counted, name, device))
    return pl.concat(scores if model_of else [table.drop("model") for table in scores]), pl.concat(weights)


def _score(run: Run, counted: Features, name: str, device: str | torch.device) -> pl.DataFrame:
    """Score the genes of one epigenome with one model."""
    scores = run.model(name).score(prepare_inputs(run, counted), device).score
    if len(scores) != len(counted.genes):
        raise BadDataError(f"{len(counted.genes)} genes of {counted.epigenome} got {len(scores)} scores")
    return pl.DataFrame({"gene_id": counted.genes.gene_id, "score": scores}).select(
        "gene_id", pl.lit(counted.epigenome).alias("epigenome"), "score", pl.lit(name).alias("model")
    )


def prepare_inputs(run: Run, features: Features) -> NDArray[np.float32]:
    """Turn the counts of a sample into the inputs of the models of a run: float32 (genes, bins, marks).

    The correction for depth uses the genes that the models know, if there are enough of them.
    """
    genes = find_depth_genes(stable_ids(pl.Series(features.genes.gene_id)), run.gene_splits())
    return run.config.inputs.apply(features, run.config.inputs.scales(features, genes))


def _attend(run: Run, counted: Features, name: str, device: str | torch.device) -> pl.DataFrame:
    """Return the attention weights of one model on the genes of one epigenome."""
    from deepchrome.train.models.attentivechrome import AttentiveChrome

    inputs = run.config.inputs
    model = run.model(name).member(0)
    assert isinstance(model, AttentiveChrome)
    model.to(device)
    with torch.no_grad():
        batches = [
            model.attend(batch.to(device).unsqueeze(0))[1:]
            for batch in torch.split(torch.from_numpy(prepare_inputs(run, counted)), _ATTENTION_BATCH)
        ]
    bins, marks = (torch.cat([batch[i][0] for batch in batches]).cpu().numpy() for i in range(2))
    columns = {"marks": marks, **{mark: bins[:, i] for i, mark in enumerate(inputs.marks)}}
    table = pl.DataFrame({"gene_id": counted.genes.gene_id, **columns})
    return table.select("gene_id", pl.lit(counted.epigenome).alias("epigenome"), *columns)


def check_table_path(path: Path) -> None:
    """Check that a file name ends in .tsv or .parquet.

    Raises
    ------
    UsageError
        The suffix is neither ``.tsv`` nor ``.parquet``.
    """
    if path.suffix not in {".tsv", ".parquet"}:
        raise UsageError(f"{path}: unknown table format. Use the suffix .tsv or .parquet.")


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a table as TSV or Parquet, according to the suffix of ``path``.

    Raises
    ------
    UsageError
        The suffix is neither ``.tsv`` nor ``.parquet``.
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    check_table_path(path)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".tsv":
            # Do not quote values, because our own table readers do not remove quotes.
            table.write_csv(file, separator="\t", quote_style="never")
        else:
            pq.write_table(table.to_arrow(), file, write_page_checksum=True)


def _features_with_models(
    run: Run, features: Path, model_of: str | None, checks: FeatureChecks
) -> Iterator[tuple[Features, str]]:
    """Read the features of one epigenome at a time, each with the name of its model."""
    inputs, paths = run.config.inputs, feature_files(features)
    names = [choose_model(run, path.stem, model_of) for path in paths]
    for path in paths:
        inputs.check(read_header(path))  # guard: header-first
    checks.check_record(run, [*dict.fromkeys(names)])
    for path, name in zip(paths, names, strict=True):
        counted = read_features(path, inputs.marks)
        checks.check_counting(run, [name], str(path), counting_record(counted.metadata))
        checks.check_profile(run, [name], str(path), profile_features(counted))
        if note := inputs.describe_unknown_strands(counted.genes.strand.count(".")):
            checks.on_warning(f"{path}: {note}")
        yield counted, name
