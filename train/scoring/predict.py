"""Scores for new features: which model scores which epigenome, and where it looked."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import torch

from deepchrome.common.files import atomic_write
from deepchrome.engine.features.store import Features, feature_files, read_features
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.models import build_network
from deepchrome.train.run.directory import Run

_ATTENDED_AT_ONCE = 256


def choose_model(run: Run, epigenome: str, chosen: str | None = None) -> str:
    """Choose the model of a run that scores an epigenome.

    Parameters
    ----------
    run
        A finished run.
    epigenome
        Whose features are to be scored.
    chosen
        A model asked for by name; by default the one trained on this epigenome.

    Raises
    ------
    UsageError
        The run has no such model.
    """
    wanted = chosen or epigenome
    if wanted not in run.epigenomes:
        hint = "" if chosen else "; --model-of NAME scores it with another epigenome's"
        raise UsageError(f"{run.path}: no model of {wanted}; it has {', '.join(run.epigenomes)}{hint}")
    return wanted


def predict(
    run: Run, features: Path, *, model_of: str | None = None, device: str | torch.device = "cpu"
) -> pl.DataFrame:
    """Score every gene of every epigenome of ``features``.

    Parameters
    ----------
    run
        A finished run.
    features
        A directory that ``dc featurize`` wrote, or one file of it.
    model_of
        Score with this epigenome's model; by default each with its own.
    device
        Where a network computes.

    Returns
    -------
    DataFrame
        ``gene_id``, ``epigenome``, ``score``, and ``model`` if ``model_of`` was given; a row per gene
        and epigenome, genes in the order of the features.

    Raises
    ------
    MissingInputError, BadDataError
        Features or run are damaged, or the features are not what the models were trained on:
        the message names every difference in marks, bins or windows.
    UsageError
        No model for an epigenome.
    """
    tables = []
    for read, name in _matched(run, features, model_of):
        scores = run.score(name, run.config.inputs.apply(read), device)
        if len(scores) != len(read.genes):
            raise BadDataError(f"{len(read.genes)} genes of {read.epigenome} got {len(scores)} scores")
        table = pl.DataFrame({"gene_id": read.genes.gene_id, "score": scores}).select(
            "gene_id", pl.lit(read.epigenome).alias("epigenome"), "score"
        )
        tables.append(table if model_of is None else table.with_columns(pl.lit(name).alias("model")))
    return pl.concat(tables)


def predict_attention(run: Run, features: Path, *, model_of: str | None = None) -> pl.DataFrame:
    """Return where AttentiveChrome models look.

    Parameters
    ----------
    run, features, model_of
        See :func:`predict`.

    Returns
    -------
    DataFrame
        ``gene_id``, ``epigenome``, ``marks`` (a weight per mark, summing to 1, in the order of the
        columns that follow), and per mark a column of its name (a weight per bin, summing to 1).

    Raises
    ------
    UsageError
        The run's model has no attention.
    MissingInputError, BadDataError
        See :func:`predict`.
    """
    if run.config.fit.model != "attentivechrome":
        raise UsageError(f"{run.path}: a {run.config.fit.model} run; only attentivechrome has attention weights")
    from deepchrome.train.models.attentivechrome import AttentiveChrome

    inputs = run.config.inputs
    tables = []
    for read, name in _matched(run, features, model_of):
        model = build_network("attentivechrome", 1, len(inputs.marks), inputs.n_bins)
        assert isinstance(model, AttentiveChrome)
        model.load(0, run.weights(name))
        with torch.no_grad():
            parts = [
                model.attend(part.unsqueeze(0))[1:]
                for part in torch.split(torch.from_numpy(inputs.apply(read)), _ATTENDED_AT_ONCE)
            ]
        bins, marks = (torch.cat([part[i][0] for part in parts]).numpy() for i in range(2))
        columns = {"marks": marks, **{mark: bins[:, i] for i, mark in enumerate(inputs.marks)}}
        table = pl.DataFrame({"gene_id": read.genes.gene_id, **columns})
        tables.append(table.select("gene_id", pl.lit(read.epigenome).alias("epigenome"), *columns))
    return pl.concat(tables)


def check_table_path(path: Path) -> None:
    """Refuse a table's file name whose ending does not say how to write it.

    Raises
    ------
    UsageError
        Neither ``.tsv`` nor ``.parquet``.
    """
    if path.suffix not in {".tsv", ".parquet"}:
        raise UsageError(f"{path}: name it .tsv or .parquet")


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a table as TSV or Parquet, as its name says, whole or not at all.

    Raises
    ------
    UsageError
        The name says neither.
    StorageError
        The file cannot be written.
    """
    check_table_path(path)
    with atomic_write(path) as temporary:
        if path.suffix == ".tsv":
            table.write_csv(temporary, separator="\t", quote_style="never")  # as all tables here are read
        else:
            pq.write_table(table.to_arrow(), temporary, write_page_checksum=True)


def _matched(run: Run, features: Path, model_of: str | None) -> Iterator[tuple[Features, str]]:
    """Read the features of one epigenome after another, with the model that scores it."""
    paths = feature_files(features)
    names = [choose_model(run, path.stem, model_of) for path in paths]
    for path, name in zip(paths, names, strict=True):
        yield read_features(path), name
