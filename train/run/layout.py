"""Names of the files in a run directory; see :mod:`deepchrome.train.run.directory` for their content."""

from pathlib import Path
from typing import Final

CONFIG: Final = "config.json"
METRICS: Final = "metrics.parquet"
PREDICTIONS: Final = "predictions.parquet"
SUMMARY: Final = "summary.tsv"
SCORES_REPORT: Final = "deepchrome_mqc.json"
EPOCHS_REPORT: Final = "deepchrome_epochs_mqc.json"
FILES: Final = (CONFIG, METRICS, PREDICTIONS, SUMMARY, SCORES_REPORT, EPOCHS_REPORT)
MODELS: Final = "models"
CHECKPOINTS: Final = "checkpoints"
FOLDERS: Final = (MODELS, CHECKPOINTS)
# Files that :func:`deepchrome.common.locks.output_lock` writes.
LOCK: Final = ".lock"
LOCK_HOLDER: Final = ".lock.holder"


def model_path(run: Path, model: str) -> Path:
    """Return RUN/models/<model>.safetensors; a model has the name of its epigenome, or is the pooled one."""
    return run / MODELS / f"{model}.safetensors"


def checkpoint_path(run: Path, key: str) -> Path:
    """Return RUN/checkpoints/<key>.safetensors; see :class:`~deepchrome.train.fitting.training.Training`."""
    return run / CHECKPOINTS / f"{key}.safetensors"


def places(run: Path) -> list[Path]:
    """Return the files and folders that a run writes."""
    return [run / name for name in (*FILES, *FOLDERS, LOCK, LOCK_HOLDER)]
