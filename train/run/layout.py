"""Names of the files in a run directory; see :mod:`deepchrome.train.run.directory` for their content."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

CONFIG: Final = "config.json"
METRICS: Final = "metrics.parquet"
PREDICTIONS: Final = "predictions.parquet"
SUMMARY: Final = "summary.tsv"
FILES: Final = (CONFIG, METRICS, PREDICTIONS, SUMMARY)
FOLDERS: Final = ("models", "checkpoints")
# Files that :func:`deepchrome.common.files.output_lock` writes.
LOCKS: Final = (".lock", ".lock.holder")


def model_path(run: Path, epigenome: str) -> Path:
    """Return RUN/models/<epigenome>.safetensors."""
    return run / "models" / f"{epigenome}.safetensors"


def checkpoint_path(run: Path, epigenome: str) -> Path:
    """Return RUN/checkpoints/<epigenome>.safetensors."""
    return run / "checkpoints" / f"{epigenome}.safetensors"


def places(run: Path) -> list[Path]:
    """Return the files and folders that a run writes."""
    return [run / name for name in (*FILES, *FOLDERS, *LOCKS)]


def written_paths(run: Path, epigenomes: Iterable[str]) -> list[Path]:
    """Return every file that a run with these epigenomes writes, except locks. summary.tsv is the first.

    A run without summary.tsv is not finished. Thus removing the files in this order never leaves a run that looks
    finished and is not.
    """
    of_epigenomes = [path(run, name) for name in epigenomes for path in (model_path, checkpoint_path)]
    return [run / SUMMARY, run / PREDICTIONS, run / METRICS, *of_epigenomes, run / CONFIG]


def existing_paths(run: Path) -> list[Path]:
    """Return the existing files, links and other entries at the places where a run writes, except locks.

    Everything in a folder of models or checkpoints counts, whatever its name, except hidden files.
    """
    files = [run / name for name in FILES]
    in_folders = [path for folder in FOLDERS for path in sorted((run / folder).glob("[!.]*"))]
    return [path for path in (*files, *in_folders) if path.is_symlink() or path.exists()]
