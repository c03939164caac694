"""Names of the files in a run directory; see :mod:`deepchrome.train.run.directory` for their content."""

from pathlib import Path
from typing import Final

CONFIG: Final = "config.json"
METRICS: Final = "metrics.parquet"
PREDICTIONS: Final = "predictions.parquet"
SUMMARY: Final = "summary.tsv"
FILES: Final = (CONFIG, METRICS, PREDICTIONS, SUMMARY)
MODELS: Final = "models"
CHECKPOINTS: Final = "checkpoints"
FOLDERS: Final = (MODELS, CHECKPOINTS)
# Files that :func:`deepchrome.common.locks.output_lock` writes.
LOCK: Final = ".lock"
LOCK_HOLDER: Final = ".lock.holder"


def model_path(run: Path, epigenome: str) -> Path:
    """Return RUN/models/<epigenome>.safetensors."""
    return run / MODELS / f"{epigenome}.safetensors"


def checkpoint_path(run: Path, epigenome: str) -> Path:
    """Return RUN/checkpoints/<epigenome>.safetensors."""
    return run / CHECKPOINTS / f"{epigenome}.safetensors"


def places(run: Path) -> list[Path]:
    """Return the files and folders that a run writes."""
    return [run / name for name in (*FILES, *FOLDERS, LOCK, LOCK_HOLDER)]
