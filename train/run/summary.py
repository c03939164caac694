"""RUN/summary.tsv: one row of results per epigenome."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.files import atomic_write, check_regular_file
from deepchrome.common.names import SPLIT_NAMES
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.labels import published_aurocs
from deepchrome.train.datasets.splits import TEST, TRAIN, VALID
from deepchrome.train.fitting.config import FittedModel
from deepchrome.train.models.metrics import auprc, auroc
from deepchrome.train.run.layout import METRICS, SUMMARY


@dataclass(frozen=True)
class Summary:
    """Results of one epigenome. A number that cannot be computed is ``None``, and ``note`` gives the reason.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    best_epoch
        Epoch with the best validation AUROC, whose weights were kept; ``None`` for baselines, and if training diverged
        in the first epoch.
    valid_auroc, test_auroc, test_auprc
        AUROC of the validation genes, AUROC of the test genes, and average precision of the test genes.
    n_train, n_valid, n_test
        Number of genes in each part of the split.
    published_auroc
        DeepChrome's test AUROC in the 2016 paper; ``None`` if the paper lacks the epigenome.
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
    note: str = ""


_COLUMN_TYPES: Final = {
    field.name: pl.String if field.type is str else pl.Int64 if field.type in (int, int | None) else pl.Float64
    for field in fields(Summary)
}


def summarize_model(data: Dataset, model: FittedModel, scores: NDArray[np.float64] | None) -> Summary:
    """Return the results of one trained model.

    Parameters
    ----------
    data
        The data set of the model, with n genes.
    model
        The trained model.
    scores
        float64 (n,): the model's scores of all genes; ``None`` if training diverged in the first epoch.
    """
    notes = []
    if model.history and model.history[-1].diverged:
        kept = f", and the model of epoch {model.best_epoch} was kept" if model.best_epoch else ""
        notes.append(
            f"diverged in epoch {model.history[-1].epoch}{kept}. Try a smaller learning rate, or the log1p transform"
        )
    in_part = [data.split == part for part in range(len(SPLIT_NAMES))]
    sizes = [int(part.sum()) for part in in_part]
    if np.unique(data.y[in_part[TEST]]).size < 2:
        notes.append(f"no test AUROC: the {sizes[TEST]} test genes do not include both classes")

    def area(metric: Callable[[NDArray[Any], NDArray[np.float64]], float | None], part: int) -> float | None:
        return None if scores is None else metric(data.y[in_part[part]], scores[in_part[part]])

    return Summary(
        epigenome=data.epigenome,
        best_epoch=model.best_epoch,
        valid_auroc=area(auroc, VALID),
        test_auroc=area(auroc, TEST),
        test_auprc=area(auprc, TEST),
        n_train=sizes[TRAIN],
        n_valid=sizes[VALID],
        n_test=sizes[TEST],
        published_auroc=published_aurocs().get(data.epigenome),
        note="; ".join(notes),
    )


def format_summary(summary: Sequence[Summary]) -> bytes:
    """Return the content of summary.tsv."""
    columns = [field.name for field in fields(Summary)]
    table = pl.DataFrame([asdict(row) for row in summary], schema=columns, infer_schema_length=None)
    return table.write_csv(separator="\t").encode()


def write_summary(run: Path, content: bytes) -> None:
    """Write the result of :func:`format_summary` to summary.tsv in the run directory.

    Raises
    ------
    StorageError
        The file cannot be written. An existing file is left as it was.
    """
    with atomic_write(run / SUMMARY) as temporary:
        temporary.write_bytes(content)


def summary_checksum(content: bytes) -> str:
    """Return the SHA-256 of the content of summary.tsv. A run stores it in metrics.parquet."""
    return hashlib.sha256(content).hexdigest()


def read_summary(run: Path, epigenomes: Sequence[str], checksum: str | None) -> list[Summary]:
    """Read summary.tsv of the run directory.

    It must have one row per epigenome, in the order of ``epigenomes``.

    Parameters
    ----------
    run
        The run directory.
    epigenomes
        The epigenomes of the run.
    checksum
        Result of :func:`summary_checksum` when the run was finished; ``None`` for a run of an earlier version.

    Raises
    ------
    BadDataError
        The file cannot be read, was changed, or has other columns or epigenomes.
    """
    file = run / SUMMARY
    check_regular_file(file)
    try:
        content = file.read_bytes()
        if checksum is not None and summary_checksum(content) != checksum:  # guard: summary-checksum
            raise BadDataError(
                f"{file}: changed since the run was finished (the content does not match its checksum in {METRICS}). "
                "Restore the file; dc evaluate computes the test results again"
            )
        table = pl.read_csv(io.BytesIO(content), separator="\t", schema_overrides=_COLUMN_TYPES)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadDataError(f"{file}: not the summary of a run ({' '.join(str(error).split())})") from None
    if table.columns != list(_COLUMN_TYPES) or list(table["epigenome"]) != list(epigenomes):
        raise BadDataError(f"{file}: not the summary of this run (columns or epigenomes differ)")
    return [Summary(**{**row, "note": row["note"] or ""}) for row in table.iter_rows(named=True)]
