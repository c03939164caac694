"""RUN directories: start, finish and open training runs. See docs/training.md.

config.json                        settings, and checksums of the data
models/<model>.safetensors         weights; a model has the name of its epigenome, or is "pooled"
predictions.parquet                epigenome, gene_id, split, label, score, log2_rpkm
metrics.parquet                    one row per network and epoch; its document holds the summary
*_mqc.json                         sections for reports of MultiQC
summary.tsv                        the summary for people; written last, so that it marks a finished run
checkpoints/                       empty when the run is finished
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from deepchrome.common.locks import output_lock
from deepchrome.common.tables import comparable_ids
from deepchrome.errors import BadDataError, DeepchromeError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import EpochRecord, FittedModel
from deepchrome.train.fitting.training import POOLED
from deepchrome.train.models.trained import TrainedModel
from deepchrome.train.run.config import RunConfig, read_config, write_config
from deepchrome.train.run.frames import read_frame, write_frame
from deepchrome.train.run.layout import (
    CHECKPOINTS,
    CONFIG,
    EPOCHS_REPORT,
    FILES,
    FOLDERS,
    LOCK,
    LOCK_HOLDER,
    METRICS,
    PREDICTIONS,
    SCORES_REPORT,
    SUMMARY,
    checkpoint_path,
    model_path,
)
from deepchrome.train.run.multiqc import check_report, write_report
from deepchrome.train.run.origin import check_origin, describe_origin
from deepchrome.train.run.summary import Summary, read_summary, restore_summary, write_summary
from deepchrome.train.run.weights import MEMBERS_VERSION, StoredModel, read_model

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
        return tuple(name for name in self.config.data if model_path(self.path, self.config.model_of(name)).is_file())

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the trained models: those of their epigenomes, or ``pooled``."""
        return tuple(name for name in self.config.models if model_path(self.path, name).is_file())

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
        """Read predictions.parquet: epigenome, gene_id, split, label, score, log2_rpkm.

        The last column is null without regression, and missing in runs of earlier versions.

        Raises
        ------
        MissingInputError, BadDataError
            The file does not exist, is damaged, or belongs to another run.
        """
        return _read_table(self.path, self.config, PREDICTIONS)[0]

    def gene_splits(self) -> dict[str, str]:
        """Return the part of the split (``train``, ``valid`` or ``test``) of every gene, by comparable id.

        All epigenomes share one split. See :func:`~deepchrome.common.tables.comparable_ids`.

        Raises
        ------
        MissingInputError, BadDataError
            See :meth:`predictions`.
        """
        table = self.predictions().unique("gene_id", maintain_order=True)
        return dict(zip(comparable_ids(table["gene_id"]), table["split"], strict=True))

    def metrics(self) -> pl.DataFrame:
        """Read metrics.parquet: epigenome, member, epoch, train_loss, valid_loss, valid_auroc, seconds.

        For a pooled model, the epigenome is ``pooled``. Runs of earlier versions have no members.

        Raises
        ------
        MissingInputError, BadDataError
            The file does not exist, is damaged, or belongs to another run.
        """
        return _read_table(self.path, self.config, METRICS)[0]

    def model(self, name: str) -> TrainedModel:
        """Read a model of the run.

        Parameters
        ----------
        name
            Name of the model: its epigenome, or ``pooled``.

        Raises
        ------
        MissingInputError
            The run has no such model.
        BadDataError
            The file is damaged, belongs to another run, or its arrays do not fit the model in config.json.
        """
        return read_model(self.path, self.config, name).trained


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
            if not is_finished(path, config):
                _check_unfinished_files(path, stored, config)
                check_report(path)
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


def in_stored_order(path: Path, datasets: Sequence[Dataset]) -> list[Dataset]:
    """Sort data sets as the run in a directory has them, with new ones last, unless their order is that of the run."""
    try:
        order = list(read_config(path).data) if os.path.lexists(path / CONFIG) else []
    except DeepchromeError:  # start_run says what is wrong
        order = []
    if [data.epigenome for data in datasets if data.epigenome in order] == order:
        return list(datasets)
    return sorted(datasets, key=lambda data: order.index(data.epigenome) if data.epigenome in order else len(order))


def is_finished(path: Path, config: RunConfig) -> bool:
    """Return whether a run directory holds a finished run with the epigenomes of a config.

    The run is known to have the settings of the config; see :func:`start_run`.
    """
    return (path / SUMMARY).is_file() and list(read_config(path).data) == list(config.data)


def read_finished_models(path: Path, config: RunConfig) -> dict[str, StoredModel]:
    """Read the models of a run that need no more training, by name.

    They are those of a run to which epigenomes are added, and those that an interrupted run has finished.

    Raises
    ------
    BadDataError
        A model is damaged or belongs to another run.
    """
    if read_config(path).format_version < MEMBERS_VERSION:  # these do not hold their history
        return {}
    return {name: read_model(path, config, name) for name in config.models if model_path(path, name).is_file()}


def finish_run(
    path: Path,
    config: RunConfig,
    predictions: pl.DataFrame,
    networks: Mapping[str, Sequence[FittedModel]],
    summary: Sequence[Summary],
) -> None:
    """Write the tables of a run, its config, and at last summary.tsv.

    The config on disk may be that of an earlier version, or lack epigenomes that were added. It is replaced when all
    files have what the new config demands.

    Parameters
    ----------
    path, config
        The run directory and its config.
    predictions
        Content of predictions.parquet.
    networks
        The networks of every model, by its name. Their history becomes metrics.parquet.
    summary
        The results of every epigenome.

    Raises
    ------
    StorageError
        A file cannot be written.
    """
    types = {"epigenome": pl.String, "member": pl.Int64} | {
        field.name: pl.Int64 if field.name == "epoch" else pl.Float64 for field in fields(EpochRecord)
    }
    rows = [
        {"epigenome": name, "member": number, **asdict(record)}
        for name, members in networks.items()
        for number, member in enumerate(members, 1)
        for record in member.history
    ]
    metrics = _add_known_times(path, pl.DataFrame(rows, schema=types))
    origin, results = describe_origin(config, config.data), [asdict(row) for row in summary]
    (path / SUMMARY).unlink(missing_ok=True)  # until the end, the run is not finished
    write_frame(path / PREDICTIONS, predictions, origin)
    write_frame(path / METRICS, metrics, {**origin, _SUMMARY_KEY: results})
    write_config(path, config)  # guard: resumed-config
    write_report(path, summary, networks)
    write_summary(path, summary)


def _add_known_times(path: Path, metrics: pl.DataFrame) -> pl.DataFrame:
    """Add the times of epochs that an earlier process has trained, if a table has them. Unknown times become null."""
    metrics = metrics.with_columns(pl.col("seconds").fill_nan(None))
    if not (path / METRICS).is_file():
        return metrics
    earlier = read_frame(path / METRICS)[0]
    keys = ("epigenome", "member", "epoch")
    if not {*keys, "seconds"} <= set(earlier.columns):  # of an earlier version
        return metrics
    joined = metrics.join(earlier.select(*keys, known="seconds"), on=keys, how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce("seconds", "known").alias("seconds")).drop("known")


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


def _check_unfinished_files(path: Path, stored: RunConfig, requested: RunConfig) -> None:
    """Raise an error if resuming would replace a file that is not part of this run.

    A killed run may have left models and tables. Checkpoints are checked when they are read.
    """
    known = replace(requested, format_version=stored.format_version)
    try:
        for name in known.models:
            if os.path.lexists(model_path(path, name)):
                read_model(path, known, name)
        for name in (PREDICTIONS, METRICS):
            if os.path.lexists(path / name):
                # A run that was killed while epigenomes were added has tables with or without them.
                document = read_frame(path / name)[1]
                written = document.get("data")
                names = list(known.data)
                if isinstance(written, dict):
                    if added := [each for each in written if each not in map(known.seed_name, names)]:
                        every = ",".join((*names, *added))
                        raise UsageError(f"{path}: {', '.join(added)} were being added. To continue, request {every}")
                    names = [each for each in names if known.seed_name(each) in written]
                check_origin(path / name, document, known, names, "Restore the file, or train again")
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
    if not differences and (absent := [name for name in stored.data if name not in requested.data]):
        names = ",".join(dict.fromkeys((*stored.data, *requested.data)))
        raise UsageError(f"{path}: the run also has {', '.join(absent)}. To continue it, request {names}")
    if problem := _describe_other_epigenomes(stored, requested):
        differences.append(problem)
    common = [name for name in stored.data if name in requested.data]
    differences += [
        f"{name} was {'held out' if stored.held_out(name) else 'trained on'}, "
        f"is now {'held out' if requested.held_out(name) else 'trained on'}"
        for name in common
        if stored.held_out(name) != requested.held_out(name)
    ]
    # Other inputs, and another task, change the hashes of the same data.
    is_comparable = old["inputs"] == new["inputs"] and stored.fit.task == requested.fit.task
    changed = [name for name in common if stored.data[name]["sha256"] != requested.data[name]["sha256"]]
    if changed and is_comparable:
        differences.append(f"the data of {', '.join(changed)} changed (features, labels or split)")
    elif (
        not changed
        and not finished
        and (changed := [name for name in common if stored.seed_name(name) != requested.seed_name(name)])
    ):
        differences.append(f"an earlier version used other random numbers for {', '.join(changed)}")
    if differences:
        text = "; ".join(sorted(differences))
        raise UsageError(f"{path}: cannot resume with other settings or data ({text})", remedy="start_again")


def _describe_other_epigenomes(stored: RunConfig, requested: RunConfig) -> str:
    """Describe why a run cannot be continued with other epigenomes; empty if it can."""
    before, now = list(stored.data), list(requested.data)
    if absent := [name for name in before if name not in now]:
        return f"the run also has {', '.join(absent)}"
    added = ", ".join(name for name in now if name not in before)
    if added and stored.fit.pooled:
        return f"{added} cannot be added, because a pooled model is trained on all its epigenomes at once"
    if added and stored.format_version < MEMBERS_VERSION:  # its models do not hold what the tables need
        return f"{added} cannot be added to a run of the earlier format version {stored.format_version}"
    return ""


def _clear(path: Path, config: RunConfig) -> None:
    """Remove the files of an earlier run, and the files at the places where the new run writes. Remove no others."""
    try:
        earlier = set(read_config(path).data)
    except DeepchromeError:
        earlier = set()
    names = sorted(earlier | set(config.data))
    models = [*names, POOLED]
    in_folders = [place(path, name) for name in models for place in (model_path, checkpoint_path)]
    # Several networks may have been in training for one model.
    in_folders += [file for name in models for file in (path / CHECKPOINTS).glob(f"{name}~*.safetensors")]
    reports = (path / SCORES_REPORT, path / EPOCHS_REPORT)
    # summary.tsv first: a run without it is not finished. config.json last: it lists the models, so that a second
    # attempt can remove what an interrupt has left.
    for file in (path / SUMMARY, *in_folders, path / PREDICTIONS, path / METRICS, *reports, path / CONFIG):
        file.unlink(missing_ok=True)
