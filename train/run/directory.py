"""RUN directories: start, finish and open training runs. See docs/training.md.

config.json                        settings, and checksums of the data
models/<epigenome>.safetensors     weights
predictions.parquet                epigenome, gene_id, split, label, score
metrics.parquet                    one row per epigenome and epoch; its document holds the summary
summary.tsv                        the summary for people; written last, so that it marks a finished run
checkpoints/                       empty when the run is finished
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepchrome.common.locks import output_lock
from deepchrome.errors import BadDataError, DeepchromeError, UsageError
from deepchrome.train.fitting.config import EpochRecord, FittedModel
from deepchrome.train.models import score_genes
from deepchrome.train.run.config import RunConfig, read_config, write_config
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.layout import (
    CONFIG,
    FILES,
    FOLDERS,
    LOCK,
    LOCK_HOLDER,
    METRICS,
    PREDICTIONS,
    SUMMARY,
    checkpoint_path,
    model_path,
)
from deepchrome.train.run.origin import check_origin, describe_origin
from deepchrome.train.run.summary import Summary, read_summary, restore_summary, write_summary
from deepchrome.train.run.weights import read_model

_SUMMARY_KEY: Final = "summary"  # in the document of metrics.parquet


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
        if not (path / SUMMARY).is_file():
            raise BadDataError(f"{path}: this run is not finished", remedy="finish_run")

    @property
    def epigenomes(self) -> tuple[str, ...]:
        """Epigenomes that have a trained model, in the order of config.json."""
        return tuple(name for name in self.config.data if model_path(self.path, name).is_file())

    def summary(self) -> list[Summary]:
        """Read the results of every epigenome from metrics.parquet; summary.tsv is only a copy for people.

        Raises
        ------
        MissingInputError, BadDataError
            The file does not exist, is damaged, or belongs to another run.
        """
        _, document = _read_table(self.path, self.config, METRICS)
        if self.config.format_version == 1:
            return read_summary(self.path, list(self.config.data))
        return restore_summary(self.path / METRICS, document.get(_SUMMARY_KEY), list(self.config.data))

    def predictions(self) -> pl.DataFrame:
        """Read predictions.parquet: epigenome, gene_id, split, label, score.

        Raises
        ------
        MissingInputError, BadDataError
            The file does not exist, is damaged, or belongs to another run.
        """
        return _read_table(self.path, self.config, PREDICTIONS)[0]

    def metrics(self) -> pl.DataFrame:
        """Read metrics.parquet: epigenome, epoch, train_loss, valid_loss, valid_auroc, seconds.

        Raises
        ------
        MissingInputError, BadDataError
            The file does not exist, is damaged, or belongs to another run.
        """
        return _read_table(self.path, self.config, METRICS)[0]

    def weights(self, epigenome: str) -> dict[str, Tensor]:
        """Read the weights of one epigenome's model.

        Raises
        ------
        MissingInputError
            The run has no model of this epigenome.
        BadDataError
            The file is damaged, belongs to another run, or its arrays do not fit the model in config.json.
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
    """Check that a run may be written to a directory, before the data are loaded.

    :func:`start_run` also checks the content of the files of a run that is resumed.

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
    _check_places(path)
    existing = _existing_paths(path)
    has_config = os.path.lexists(path / CONFIG)
    if not has_config and (foreign := _foreign_names(path)):
        raise UsageError(f"{path}: not empty, and not a run (found {foreign[0]})", remedy="out")
    if not existing or force or (resume and has_config):  # guard: files-of-others
        return
    try:
        read_config(path)
    except DeepchromeError:
        raise UsageError(
            f"{existing[0]}: this file exists, and {path} contains no valid run", remedy="out_or_force"
        ) from None
    raise UsageError(f"{path}: already contains a run", remedy="resume_or_force")


@contextmanager
def start_run(path: Path, config: RunConfig, *, force: bool = False, resume: bool = False) -> Iterator[None]:
    """Lock a run directory until the context ends, and write the config of a new run or check that of a resumed one.

    The config of a resumed run stays as it is until :func:`finish_run`.

    Parameters
    ----------
    path
        The run directory; created if it does not exist.
    config
        The config of this run.
    force
        Replace an existing run, and files of others that have a name that this run writes. No other file is removed.
    resume
        Continue an existing run; start a new one if there is none.

    Raises
    ------
    UsageError
        :func:`check_run_directory` fails, or the existing run has another config. The message names
        every difference.
    BadDataError
        The run to resume has a damaged config, or a file that is damaged or belongs to another run.
    StorageError
        Another process is writing to the directory, or the directory cannot be written.
    """
    check_run_directory(path, force=force, resume=resume)
    with output_lock(path):
        # Check again under the lock: another process may have started a run in the meantime.
        check_run_directory(path, force=force, resume=resume)
        if resume and os.path.lexists(path / CONFIG):
            stored, finished = read_config(path), (path / SUMMARY).is_file()
            _check_same_config(path, stored, config, finished=finished)
            if not finished:
                _check_unfinished_files(path, stored)
        else:
            if force:
                _clear(path, config)
            write_config(path, config)
        for folder in FOLDERS:
            (path / folder).mkdir(exist_ok=True)
            # Remove the unfinished files of a killed process.
            for part in (path / folder).glob(".*.safetensors.????????.part"):
                part.unlink()
        yield


def finish_run(
    path: Path,
    config: RunConfig,
    predictions: pl.DataFrame,
    fitted: Sequence[FittedModel],
    summary: Sequence[Summary],
) -> None:
    """Write the tables of a run, its config, and at last summary.tsv. Then remove its checkpoints.

    An earlier version may have written the config of a run that was resumed. It is replaced when all files have what
    the new config demands.

    Parameters
    ----------
    path, config
        The run directory and its config.
    predictions
        Content of predictions.parquet.
    fitted
        The trained models. Their history becomes metrics.parquet.
    summary
        The results of every epigenome.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    types = {"epigenome": pl.String} | {
        field.name: pl.Int64 if field.name == "epoch" else pl.Float64 for field in fields(EpochRecord)
    }
    rows = [{"epigenome": model.epigenome, **asdict(record)} for model in fitted for record in model.history]
    origin, results = describe_origin(config, config.data), [asdict(row) for row in summary]
    write_frame(path / PREDICTIONS, predictions, origin)
    write_frame(path / METRICS, pl.DataFrame(rows, schema=types), {**origin, _SUMMARY_KEY: results})
    write_config(path, config)  # guard: resumed-config
    write_summary(path, summary)
    for model in fitted:
        if model.history:  # baselines have no checkpoints
            checkpoint_path(path, model.epigenome).unlink(missing_ok=True)


def _check_places(path: Path) -> None:
    """Raise a UsageError if an entry of the directory is not of the type that a run needs at this place.

    A link in place of a folder or a lock would let a run write or remove files outside its directory. Links in place
    of other files are harmless, because these files are replaced as a whole.
    """
    for name in (*FOLDERS, LOCK, LOCK_HOLDER):
        if (path / name).is_symlink():  # guard: linked-folders
            raise UsageError(f"{path / name}: a link, and a run writes only below its own directory", remedy="out")
    holder = path / LOCK_HOLDER
    if holder.is_file() and holder.read_bytes()[:8] not in (b"", b"process "):
        raise UsageError(f"{holder}: not written by a run, which needs a file of this name", remedy="out")
    for name in FOLDERS:
        if (path / name).exists() and not (path / name).is_dir():
            raise UsageError(f"{path / name}: not a directory, but a run needs one of this name", remedy="out")
    for file in _existing_paths(path):
        if file.is_dir() and not file.is_symlink():
            raise UsageError(f"{file}: a directory, but a run writes a file of this name", remedy="out")


def _existing_paths(path: Path) -> list[Path]:
    """Return the existing files, links and other entries at the places where a run writes, except locks.

    Everything in a folder of models or checkpoints counts, whatever its name, except hidden files.
    """
    files = [path / name for name in FILES if os.path.lexists(path / name)]
    return files + [file for folder in FOLDERS for file in sorted((path / folder).glob("[!.]*"))]


def _foreign_names(path: Path) -> list[str]:
    """Return the names in a directory that a run does not use, except hidden ones."""
    names = sorted(entry.name for entry in path.iterdir())
    return [name for name in names if name not in {*FILES, *FOLDERS} and not name.startswith(".")]


def _check_unfinished_files(path: Path, config: RunConfig) -> None:
    """Raise an error if resuming would replace a file that is not part of this run.

    A killed run may have left models and tables. Checkpoints are checked when they are read.
    """
    try:
        for epigenome in config.data:
            if os.path.lexists(model_path(path, epigenome)):
                read_model(path, config, epigenome)
        for name in (PREDICTIONS, METRICS):
            if os.path.lexists(path / name):
                _read_table(path, config, name)
    except BadDataError as error:
        raise BadDataError(f"{error}. Resuming would replace this file", remedy="start_again") from None


def _read_table(path: Path, config: RunConfig, name: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read a table of a run and its document."""
    table, document = read_frame(path / name)
    advice = "Restore the file, or train again"
    check_origin(path / name, document, config, config.data, advice)  # guard: table-origin
    return table, document


def _check_same_config(path: Path, stored: RunConfig, requested: RunConfig, *, finished: bool) -> None:
    """Raise a UsageError that names every difference, if the requested config is not the stored one.

    Other random numbers make no difference to a finished run, because it is not trained any more.
    """
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
    elif not finished and (
        changed := [name for name in stored.data if stored.seed_name(name) != requested.seed_name(name)]
    ):
        differences.append(f"an earlier version used other random numbers for {', '.join(changed)}")
    if differences:
        text = "; ".join(sorted(differences))
        raise UsageError(f"{path}: cannot resume with other settings or data ({text})", remedy="start_again")


def _clear(path: Path, config: RunConfig) -> None:
    """Remove the files of an earlier run, and the files at the places where the new run writes. Remove no others."""
    try:
        earlier = set(read_config(path).data)
    except DeepchromeError:
        earlier = set()
    names = sorted(earlier | set(config.data))
    in_folders = [place(path, name) for name in names for place in (model_path, checkpoint_path)]
    # summary.tsv first: a run without it is not finished. config.json last: it lists the models, so that a second
    # attempt can remove what an interrupt has left.
    for file in (path / SUMMARY, *in_folders, path / PREDICTIONS, path / METRICS, path / CONFIG):
        file.unlink(missing_ok=True)
