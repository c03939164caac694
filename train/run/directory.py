"""RUN directories: everything a training run leaves behind, and how it is read again. See docs/training.md.

config.json                        what was asked for, and fingerprints of the data
models/<epigenome>.safetensors     weights
predictions.parquet                epigenome, gene_id, split, label, score
metrics.parquet                    a row per epigenome and epoch
summary.tsv                        a row per epigenome; written last, so it marks a finished run
checkpoints/                       while the run lasts
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepchrome.common.files import atomic_write, output_lock
from deepchrome.errors import BadDataError, MissingInputError, UsageError
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FittedModel
from deepchrome.train.models import BASELINES, build_network, score_genes
from deepchrome.train.run.config import RunConfig, read_config, write_config
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.tensors import read_tensors, write_tensors

# All that a run writes, and so all that --force removes.
_TABLES: Final = ("config.json", "metrics.parquet", "predictions.parquet", "summary.tsv")
_FOLDERS: Final = ("models", "checkpoints")


@dataclass(frozen=True)
class Summary:
    """One row of summary.tsv; ``None`` where there is no number, and ``note`` says why."""

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


_SUMMARY_TYPES: Final = {
    field.name: pl.String if field.type is str else pl.Int64 if field.type in (int, int | None) else pl.Float64
    for field in fields(Summary)
}


class Run:
    """A finished run, opened to read.

    Parameters
    ----------
    path
        The directory.

    Raises
    ------
    MissingInputError
        No run is there.
    BadDataError
        The run is not finished, or its config is damaged.

    Attributes
    ----------
    path
    config
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = read_config(path)
        if not (path / "summary.tsv").is_file():
            raise BadDataError(
                f"{path}: this run is not finished; the same dc train call with --resume goes on with it"
            )

    @property
    def epigenomes(self) -> tuple[str, ...]:
        """Epigenomes that have a trained model, in order."""
        return tuple(name for name in self.config.data if _model_path(self.path, name).is_file())

    def summary(self) -> list[Summary]:
        """Read summary.tsv.

        Raises
        ------
        BadDataError
            It is not what dc train wrote.
        """
        file = self.path / "summary.tsv"
        try:
            table = pl.read_csv(file, separator="\t", schema_overrides=_SUMMARY_TYPES)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise BadDataError(f"{file}: not the summary of a run ({' '.join(str(error).split())})") from None
        if table.columns != list(_SUMMARY_TYPES) or tuple(table["epigenome"]) != tuple(self.config.data):
            raise BadDataError(f"{file}: not the summary of this run (other columns or epigenomes)")
        return [Summary(**{**row, "note": row["note"] or ""}) for row in table.iter_rows(named=True)]

    def predictions(self) -> pl.DataFrame:
        """Read predictions.parquet: epigenome, gene_id, split, label, score."""
        return read_frame(self.path / "predictions.parquet")

    def metrics(self) -> pl.DataFrame:
        """Read metrics.parquet: epigenome, epoch, train_loss, valid_loss, valid_auroc, seconds."""
        return read_frame(self.path / "metrics.parquet")

    def weights(self, epigenome: str) -> dict[str, Tensor]:
        """Read the weights of one epigenome's model, checked against the config.

        Raises
        ------
        MissingInputError
            The run has no model of this name.
        BadDataError
            The file is damaged, or its arrays are not those of the config's model.
        """
        if epigenome not in self.config.data:
            raise MissingInputError(f"{self.path}: no model of {epigenome}; it has {', '.join(self.config.data)}")
        path = _model_path(self.path, epigenome)
        if not path.is_file():
            raise MissingInputError(f"{path}: no such file; {self.path}/summary.tsv may say why")
        tensors, document = read_tensors(path)
        if document.get("model") != self.config.fit.model or document.get("epigenome") != epigenome:
            raise BadDataError(
                f"{path}: a model {document.get('model')!r} of {document.get('epigenome')!r}, "
                f"not the {self.config.fit.model} of {epigenome} that config.json speaks of"
            )
        _check_weights(path, self.config, tensors)
        return tensors

    def score(self, epigenome: str, x: NDArray[np.float32], device: str | torch.device = "cpu") -> NDArray[np.float64]:
        """Score genes x, float32 (genes, bins, marks), with one epigenome's model: float64 (genes,)."""
        return score_genes(self.config.fit.model, self.weights(epigenome), x, device)


def check_run_directory(path: Path, *, force: bool = False, resume: bool = False) -> None:
    """Refuse a directory that a run must not be written to.

    Raises
    ------
    UsageError
        A run is there and neither ``force`` nor ``resume`` was given, or files that are no run's.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path}: not a directory")
    if (path / "config.json").is_file():
        if not (force or resume):
            raise UsageError(f"{path}: a run is here; --resume goes on with it, --force replaces it")
    elif strangers := sorted(
        entry.name
        for entry in path.iterdir()
        if entry.name not in {*_TABLES, *_FOLDERS} and not entry.name.startswith(".")
    ):
        raise UsageError(f"{path}: not empty ({strangers[0]}), and no run; choose another directory")


@contextmanager
def start_run(path: Path, config: RunConfig, *, force: bool = False, resume: bool = False) -> Iterator[None]:
    """Hold a RUN directory while it is written, with its config in place.

    Parameters
    ----------
    path
        The directory; made if it does not exist.
    config
        Of this run.
    force
        Replace a run that is there. Only files that a run writes are removed.
    resume
        Go on with a run that is there; start one if none is.

    Raises
    ------
    UsageError
        See :func:`check_run_directory`; or the run there was of another config: the message names every difference.
    StorageError
        Another process holds the directory, or it cannot be written.
    """
    check_run_directory(path, force=force, resume=resume)
    with output_lock(path):
        # Again, now that nobody else can write: another run may have come first.
        check_run_directory(path, force=force, resume=resume)
        if resume and (path / "config.json").is_file():
            _check_same(path, read_config(path), config)
        else:
            _clear(path)
            write_config(path, config)
        for folder in _FOLDERS:
            (path / folder).mkdir(exist_ok=True)
            # Left by a process that was killed while it wrote.
            for part in (path / folder).glob(".*.part"):
                part.unlink()
        yield


def write_checkpoint(path: Path, epigenome: str, checkpoint: Checkpoint) -> None:
    """Write RUN/checkpoints/<epigenome>.safetensors, whole or not at all.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    parts = {"weights": checkpoint.weights, "best": checkpoint.best, "optimizer": checkpoint.optimizer}
    tensors = {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    history = [asdict(record) for record in checkpoint.history]
    write_tensors(_checkpoint_path(path, epigenome), tensors, {"epigenome": epigenome, "history": history})


def read_checkpoints(path: Path, config: RunConfig) -> dict[str, Checkpoint]:
    """Read the checkpoints of a run that was cut off, by epigenome.

    Raises
    ------
    BadDataError
        A checkpoint is damaged or of another model.
    """
    found = {}
    for epigenome in config.data:
        file = _checkpoint_path(path, epigenome)
        if not file.is_file():
            continue
        tensors, document = read_tensors(file)
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
        try:
            history = tuple(EpochRecord(**record) for record in document["history"])
            for name, tensor in tensors.items():
                part, _, own = name.partition("/")
                parts[part][own] = tensor
        except (KeyError, TypeError):
            raise BadDataError(f"{file}: not a checkpoint; remove it to train {epigenome} from the beginning") from None
        for part in ("weights", "best"):
            _check_weights(file, config, parts[part], finite=False)
        found[epigenome] = Checkpoint(history, **parts)
    return found


def write_model(path: Path, config: RunConfig, fitted: FittedModel) -> None:
    """Write RUN/models/<epigenome>.safetensors, whole or not at all.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    document = {"epigenome": fitted.epigenome, "model": config.fit.model, "best_epoch": fitted.best_epoch}
    write_tensors(_model_path(path, fitted.epigenome), fitted.weights, document)


def finish_run(
    path: Path, predictions: pl.DataFrame, fitted: Sequence[FittedModel], summary: Sequence[Summary]
) -> None:
    """Write the tables of a run, the summary last, and remove its checkpoints.

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
    with atomic_write(path / "summary.tsv") as temporary:
        columns = [field.name for field in fields(Summary)]
        pl.DataFrame([asdict(row) for row in summary], schema=columns, infer_schema_length=None).write_csv(
            temporary, separator="\t"
        )
    for model in fitted:
        _checkpoint_path(path, model.epigenome).unlink(missing_ok=True)


def _model_path(path: Path, epigenome: str) -> Path:
    return path / "models" / f"{epigenome}.safetensors"


def _checkpoint_path(path: Path, epigenome: str) -> Path:
    return path / "checkpoints" / f"{epigenome}.safetensors"


def _check_weights(file: Path, config: RunConfig, tensors: Mapping[str, Tensor], *, finite: bool = True) -> None:
    """Refuse tensors that are not the weights of the config's model."""
    name, marks, bins = config.fit.model, len(config.inputs.marks), config.inputs.n_bins
    if name in BASELINES:
        from deepchrome.train.models.baselines import check_baseline

        problem = check_baseline(name, {key: value.numpy() for key, value in tensors.items()}, marks, bins)
    else:
        problem = None
        expected = build_network(name, 1, marks, bins).shapes()
        found = {key: tuple(value.shape) for key, value in tensors.items()}
        if found != expected:
            wrong = sorted(key for key in expected.keys() | found if expected.get(key) != found.get(key))
            problem = f"{wrong[0]} is {found.get(wrong[0])} where {expected.get(wrong[0])} must be"
        elif any(value.dtype != torch.float32 for value in tensors.values()):
            problem = "weights that are not float32"
        elif finite and not all(value.isfinite().all() for value in tensors.values()):
            problem = "weights that are not finite"
    if problem:
        raise BadDataError(f"{file}: not the {name} for {marks} marks and {bins} bins of config.json: {problem}")


def _check_same(path: Path, there: RunConfig, here: RunConfig) -> None:
    """Refuse to go on with a run of another config or on other data, naming the differences."""
    one, other = there.to_dict(), here.to_dict()
    differences = [
        f"{section}.{key} was {one[section].get(key)}, is {other[section].get(key)}"
        for section in ("fit", "inputs")
        for key in one[section].keys() | other[section]
        if one[section].get(key) != other[section].get(key)
    ]
    if list(there.data) != list(here.data):
        differences.append(f"epigenomes were {', '.join(there.data)}, are {', '.join(here.data)}")
    elif changed := [name for name in there.data if there.data[name]["sha256"] != here.data[name]["sha256"]]:
        differences.append(f"the data of {', '.join(changed)} changed (features, labels or split)")
    if differences:
        raise UsageError(f"{path}: cannot resume, this call differs from the run: {'; '.join(sorted(differences))}")


def _clear(path: Path) -> None:
    """Remove what an earlier run wrote; the config first, so that no half of a run looks like one."""
    for name in _TABLES:
        (path / name).unlink(missing_ok=True)
    for folder in _FOLDERS:
        for file in (path / folder).glob("*.safetensors"):
            file.unlink()
