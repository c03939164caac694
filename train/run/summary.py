"""The summary of a run: one row of results per epigenome. Stored in metrics.parquet, and for people in summary.tsv."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write, check_regular_file
from deepchrome.common.names import SPLIT_NAMES, TEST, TRAIN, VALID
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.labels import published_aurocs
from deepchrome.train.fitting.config import FitConfig, FittedModel
from deepchrome.train.fitting.training import log2_rpkm
from deepchrome.train.models.metrics import auprc, auroc, pearson, spearman
from deepchrome.train.models.trained import GeneScores
from deepchrome.train.run.layout import SUMMARY


@dataclass(frozen=True)
class Summary:
    """Results of one epigenome. A number that cannot be computed is ``None``, and ``note`` gives the reason.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    best_epoch
        Epoch with the best validation AUROC, whose weights were kept, of the first member of the model; ``None`` for
        baselines, and if training diverged in the first epoch.
    valid_auroc, test_auroc, test_auprc
        AUROC of the validation genes, AUROC of the test genes, and average precision of the test genes.
    n_train, n_valid, n_test
        Number of genes in each part of the split.
    published_auroc
        DeepChrome's test AUROC in the 2016 paper; ``None`` if the paper lacks the epigenome.
    pearson, spearman
        Correlations of predicted and observed log2(RPKM + 1) over the test genes; ``None`` without regression.
    held_out
        1 if no model was trained on the epigenome, else 0.
    note
        What the user should know about the model, such as a missing AUROC; empty if there is nothing to report.
    """

    epigenome: str
    best_epoch: int | None
    valid_auroc: float | None
    test_auroc: float | None
    test_auprc: float | None
    n_train: int
    n_valid: int
    n_test: int
    published_auroc: float | None
    pearson: float | None = None
    spearman: float | None = None
    held_out: int = 0
    note: str = ""


# Validation AUROC that the last epoch of one cycle gains at most if there were enough epochs.
_LARGE_GAIN: Final = 0.002

_COLUMN_TYPES: Final = {
    field.name: pl.String if field.type is str else pl.Int64 if field.type in (int, int | None) else pl.Float64
    for field in fields(Summary)
}


def summarize_model(
    data: Dataset,
    members: Sequence[FittedModel],
    scores: GeneScores | None,
    config: FitConfig,
    *,
    held_out: bool = False,
) -> Summary:
    """Return the results on one epigenome.

    Parameters
    ----------
    data
        The data set of the epigenome, with n genes.
    members
        The networks of its model.
    scores
        Scores of the n genes; ``None`` if training diverged in the first epoch.
    config
        Settings of the training.
    held_out
        Whether the model was not trained on this epigenome.
    """
    in_part = [data.split == part for part in range(len(SPLIT_NAMES))]
    sizes = [int(part.sum()) for part in in_part]
    notes = [note for member in members if (note := _describe_training(member, config))][:1]
    if np.unique(data.y[in_part[TEST]]).size < 2:
        notes.append(f"no test AUROC: the {sizes[TEST]} test genes do not include both classes")

    def area(metric: Callable[[NDArray[Any], NDArray[np.float64]], float | None], part: int) -> float | None:
        return None if scores is None else metric(data.y[in_part[part]], scores.log_odds[in_part[part]])

    def correlation(metric: Callable[[NDArray[np.float64], NDArray[np.float64]], float | None]) -> float | None:
        if scores is None or scores.log2_rpkm is None or data.rpkm is None:
            return None
        return metric(log2_rpkm(data)[in_part[TEST]], scores.log2_rpkm[in_part[TEST]])

    return Summary(
        epigenome=data.epigenome,
        best_epoch=members[0].best_epoch,
        valid_auroc=None if held_out else area(auroc, VALID),
        test_auroc=area(auroc, TEST),
        test_auprc=area(auprc, TEST),
        n_train=0 if held_out else sizes[TRAIN],
        n_valid=0 if held_out else sizes[VALID],
        n_test=sizes[TEST],
        published_auroc=published_aurocs().get(data.epigenome),
        pearson=correlation(pearson),
        spearman=correlation(spearman),
        held_out=int(held_out),
        note="; ".join(notes),
    )


def _describe_training(model: FittedModel, config: FitConfig) -> str:
    """Return a sentence about a training that did not end well; empty if there is nothing to report."""
    if not model.history:
        return ""
    last = model.history[-1]
    if last.diverged:
        kept = f", and the model of epoch {model.best_epoch} was kept" if model.best_epoch else ""
        return f"diverged in epoch {last.epoch}{kept}. Try a smaller learning rate, or the log1p transform"
    if model.best_epoch != last.epoch:
        return ""
    # One cycle ends with a learning rate of 0, so the last epoch is usually the best. It should gain little.
    gain = last.valid_auroc - max((record.valid_auroc for record in model.history[:-1]), default=0.5)
    if config.schedule == "one-cycle" and gain < _LARGE_GAIN:
        return ""
    return f"the best epoch is the last ({last.epoch}): more epochs may score higher"


def write_summary(run: Path, summary: Sequence[Summary]) -> None:
    """Write summary.tsv in the run directory.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    table = pl.DataFrame([asdict(row) for row in summary], schema=_COLUMN_TYPES)
    with atomic_write(run / SUMMARY) as temporary:
        temporary.write_bytes(table.write_csv(separator="\t").encode())


def restore_summary(file: Path, rows: Any, epigenomes: Sequence[str]) -> list[Summary]:
    """Restore rows from their JSON values, which are those of :func:`dataclasses.asdict`.

    Parameters
    ----------
    file
        The file that the rows come from.
    rows
        The JSON values.
    epigenomes
        The epigenomes of the run. There must be one row for each, in this order.

    Raises
    ------
    BadDataError
        The rows have other columns, types or epigenomes.
    """
    try:
        summary = [Summary(**row) for row in rows]
    except TypeError:
        summary = []
    types: list[Any] = [field.type for field in fields(Summary)]
    has_types = all(isinstance(*pair) for row in summary for pair in zip(astuple(row), types, strict=True))
    if [row.epigenome for row in summary] != list(epigenomes) or not has_types:
        raise BadDataError(f"{file}: not the summary of this run (columns, types or epigenomes differ)")
    return summary


def read_summary(run: Path, epigenomes: Sequence[str]) -> list[Summary]:
    """Read summary.tsv of a run of format version 1. In later runs, nothing reads this file.

    Raises
    ------
    BadDataError
        The file cannot be read, or has other columns or epigenomes.
    """
    file = run / SUMMARY
    check_regular_file(file)
    try:
        table = pl.read_csv(file.read_bytes(), separator="\t", schema_overrides=_COLUMN_TYPES)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadDataError(f"{file}: not the summary of a run ({' '.join(str(error).split())})") from None
    rows = [{**row, "note": row.get("note") or ""} for row in table.iter_rows(named=True)]
    return restore_summary(file, rows, epigenomes)
