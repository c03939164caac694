"""RUN directories: start, finish and open training runs. See docs/training.md.

config.json                        settings, and checksums of the data
models/<epigenome>.safetensors     weights
predictions.parquet                epigenome, gene_id, split, label, score
metrics.parquet                    one row per epigenome and epoch
summary.tsv                        one row per epigenome; written last, so that it marks a finished run
checkpoints/                       empty when the run is finished
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepchrome.common.locks import output_lock
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.fitting.config import EpochRecord, FittedModel
from deepchrome.train.models import score_genes
from deepchrome.train.run.config import RunConfig, read_config, write_config
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.summary import Summary, read_summary, write_summary
from deepchrome.train.run.weights import checkpoint_path, model_path, read_model

# Everything that a run writes. Replacing a run removes these files and the models and checkpoints, nothing else.
_FILES: Final = ("config.json", "metrics.parquet", "predictions.parquet", "summary.tsv")
_FOLDERS: Final = ("models", "checkpoints")


class Run:
    """A finished run, open for reading.

    Parameters
    ----------
    path
        The run directory.

    Attributes
    ----------
    path
        The run directory.
    config
        Content of config.json.

    Raises
    ------
    MissingInputError
        The directory holds no run.
    BadDataError
        The run is not finished, or its config is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = read_config(path)
        if not (path / "summary.tsv").is_file():
            raise BadDataError(f"{path}: this run is not finished", remedy="finish_run")

    @property
    def epigenomes(self) -> tuple[str, ...]:
        """Epigenomes that have a trained model, in the order of config.json."""
        return tuple(name for name in self.config.data if model_path(self.path, name).is_file())

    def summary(self) -> list[Summary]:
        """Read summary.tsv: the results of every epigenome.

        Raises
        ------
        BadDataError
            The file is damaged.
        """
        return read_summary(self.path, list(self.config.data))

    def predictions(self) -> pl.DataFrame:
        """Read predictions.parquet: epigenome, gene_id, split, label, score.

        Raises
        ------
        MissingInputError, BadDataError
            The file does not exist, or is damaged.
        """
        return read_frame(self.path / "predictions.parquet")

    def metrics(self) -> pl.DataFrame:
        """Read metrics.parquet: epigenome, epoch, train_loss, valid_loss, valid_auroc, seconds.

        Raises
        ------
        MissingInputError, BadDataError
            The file does not exist, or is damaged.
        """
        return read_frame(self.path / "metrics.parquet")

    def weights(self, epigenome: str) -> dict[str, Tensor]:
        """Read the weights of one epigenome's model.

        Raises
        ------
        MissingInputError
            The run has no model of this epigenome.
        BadDataError
            The file is damaged, or its arrays do not fit the model in config.json.
        """
        return read_model(self.path, self.config, epigenome)

    def score(self, epigenome: str, x: NDArray[np.float32], device: str | torch.device = "cpu") -> NDArray[np.float64]:
        """Score genes with one epigenome's model.

        Parameters
        ----------
        epigenome
            The epigenome of the model.
        x
            float32 (genes, bins, marks), prepared by :meth:`~deepchrome.train.datasets.inputs.InputSpec.apply`
            of ``config.inputs``.
        device
            Device to compute on.

        Returns
        -------
        float64 (genes,)
            See :func:`deepchrome.train.models.score_genes`.

        Raises
        ------
        MissingInputError, BadDataError
            See :meth:`weights`.
        """
        return score_genes(self.config.fit.model, self.weights(epigenome), x, device)


def load_run(path: str | Path) -> Run:
    """Open a finished run.

    Parameters
    ----------
    path
        The run directory.

    Raises
    ------
    MissingInputError
        The directory holds no run.
    BadDataError
        The run is not finished, or its config is damaged.
    """
    return Run(Path(path))


def check_run_directory(path: Path, *, force: bool = False, resume: bool = False) -> None:
    """Check that a run may be written to a directory.

    Raises
    ------
    UsageError
        The directory holds a run and neither ``force`` nor ``resume`` is set; it holds files that do not
        belong to a run; or it is not a directory.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path}: not a directory", remedy="out")
    if (path / "config.json").is_file():
        if not (force or resume):
            raise UsageError(f"{path}: already contains a run", remedy="resume_or_force")
    elif foreign_files := sorted(
        entry.name
        for entry in path.iterdir()
        if entry.name not in {*_FILES, *_FOLDERS} and not entry.name.startswith(".")
    ):
        raise UsageError(f"{path}: not empty, and not a run (found {foreign_files[0]})", remedy="out")


@contextmanager
def start_run(path: Path, config: RunConfig, *, force: bool = False, resume: bool = False) -> Iterator[None]:
    """Lock a run directory until the context ends, and write the config of a new run or check that of a resumed one.

    Parameters
    ----------
    path
        The run directory; created if it does not exist.
    config
        The config of this run.
    force
        Replace an existing run. Only files that a run writes are removed.
    resume
        Continue an existing run; start a new one if there is none.

    Raises
    ------
    UsageError
        :func:`check_run_directory` fails, or the existing run has another config. The message names
        every difference.
    BadDataError
        The run to resume has a damaged config.
    StorageError
        Another process is writing to the directory, or the directory cannot be written.
    """
    check_run_directory(path, force=force, resume=resume)
    with output_lock(path):
        # Check again under the lock: another process may have started a run in the meantime.
        check_run_directory(path, force=force, resume=resume)
        if resume and (path / "config.json").is_file():
            _check_same_config(path, read_config(path), config)
        else:
            _clear(path)
            write_config(path, config)
        for folder in _FOLDERS:
            (path / folder).mkdir(exist_ok=True)
            # Remove the unfinished files of a killed process.
            for part in (path / folder).glob(".*.part"):
                part.unlink()
        yield


def finish_run(
    path: Path, predictions: pl.DataFrame, fitted: Sequence[FittedModel], summary: Sequence[Summary]
) -> None:
    """Write the tables of a run, summary.tsv last, and remove its checkpoints.

    Parameters
    ----------
    path
        The run directory.
    predictions
        Content of predictions.parquet.
    fitted
        The trained models. Their history becomes metrics.parquet.
    summary
        Rows of summary.tsv.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    types = {"epigenome": pl.String} | {
        field.name: pl.Int64 if field.name == "epoch" else pl.Float64 for field in fields(EpochRecord)
    }
    rows = [{"epigenome": model.epigenome, **asdict(record)} for model in fitted for record in model.history]
    write_frame(path / "predictions.parquet", predictions)
    write_frame(path / "metrics.parquet", pl.DataFrame(rows, schema=types))
    write_summary(path, summary)
    for model in fitted:
        checkpoint_path(path, model.epigenome).unlink(missing_ok=True)


def _check_same_config(path: Path, stored: RunConfig, requested: RunConfig) -> None:
    """Raise a UsageError that names every difference, if the requested config is not the stored one."""
    old, new = stored.to_dict(), requested.to_dict()
    differences = [
        f"{section}.{key} was {old[section].get(key)}, is now {new[section].get(key)}"
        for section in ("fit", "inputs")
        for key in old[section].keys() | new[section]
        if old[section].get(key) != new[section].get(key)
    ]
    if list(stored.data) != list(requested.data):
        differences.append(f"epigenomes were {', '.join(stored.data)}, are {', '.join(requested.data)}")
    elif changed := [name for name in stored.data if stored.data[name]["sha256"] != requested.data[name]["sha256"]]:
        differences.append(f"the data of {', '.join(changed)} changed (features, labels or split)")
    if differences:
        raise UsageError(f"{path}: cannot resume with other settings or data ({'; '.join(sorted(differences))})")


def _clear(path: Path) -> None:
    """Remove all files of an earlier run, config.json first, so that a partial run never looks complete."""
    for name in _FILES:
        (path / name).unlink(missing_ok=True)
    for folder in _FOLDERS:
        for file in (path / folder).glob("*.safetensors"):
            file.unlink()
