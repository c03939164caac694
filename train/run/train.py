"""Train models and write a finished run directory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES, check_names
from deepchrome.common.paths import check_distinct, data_files
from deepchrome.common.pools import cluster_pool
from deepchrome.common.threads import map_in_threads
from deepchrome.errors import ParameterError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.inputs import InputOptions, InputSpec
from deepchrome.train.datasets.load import LoadReport
from deepchrome.train.datasets.source import DataSource
from deepchrome.train.fitting.cluster import fit_on_cluster
from deepchrome.train.fitting.config import FitConfig, FittedModel, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.models import BASELINES, check_network
from deepchrome.train.run.config import RunConfig, describe_datasets, software_versions
from deepchrome.train.run.directory import Run, check_run_directory, finish_run, start_run
from deepchrome.train.run.layout import SUMMARY, places
from deepchrome.train.run.protocols import BEST
from deepchrome.train.run.recorder import EpochCallback, EpochRecorder, check_log, open_log
from deepchrome.train.run.summary import Summary, summarize_model
from deepchrome.train.run.verify import save_and_score, score_rounding
from deepchrome.train.run.weights import read_checkpoints

# On a GPU, checkpoints of all models take longer to write than an epoch takes to train.
GPU_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class RunOptions:
    """Settings for writing a run directory and for training on a cluster. They do not change the result.

    Attributes
    ----------
    force
        Replace an existing run.
    resume
        Continue an existing run; start a new one if there is none.
    checkpoint_seconds
        Minimum time between two checkpoints of one model. Default: 0 on a CPU, so that every epoch
        writes one, and :data:`GPU_CHECKPOINT_SECONDS` on a GPU.
    log
        File that receives one JSON object for every epoch of every model.
    scheduler
        Address of a running Dask scheduler whose workers train the models; see
        :func:`~deepchrome.train.fitting.cluster.fit_on_cluster`. Checkpoints and epochs of a model are
        then recorded when the model is finished.

    Raises
    ------
    UsageError
        Both ``force`` and ``resume`` are set.
    """

    force: bool = False
    resume: bool = False
    checkpoint_seconds: float | None = None
    log: Path | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if self.force and self.resume:  # guard: force-or-resume
            raise UsageError("force and resume contradict each other: replace the run, or continue it")


def train_models(
    source: DataSource,
    out: str | Path,
    *,
    epigenomes: Sequence[str] | None = None,
    inputs: InputOptions = BEST.inputs,
    config: FitConfig = BEST.fit,
    placement: Placement | None = None,
    options: RunOptions | None = None,
    on_loaded: Callable[[Sequence[Dataset], LoadReport], None] | None = None,
    on_epoch: EpochCallback | None = None,
) -> list[Summary]:
    """Train one model per epigenome, and write a run directory.

    Parameters
    ----------
    source
        Where the data are, and how labels and split are made.
    out
        The run directory.
    epigenomes
        Names of the epigenomes to train on. Default: all.
    inputs
        Options that turn counts into model inputs.
    config
        The model and its training.
    placement
        The device and the number of threads.
    options
        Settings for writing the run directory, such as ``force`` and ``resume``.
    on_loaded
        Called once with the data sets and the report on loading them, before training starts.
    on_epoch
        Called with the epigenome and the metrics of every epoch of every model, from the thread that trains
        the model. On a cluster, called for all epochs of a model when it is finished.

    Returns
    -------
    list of Summary
        One row per epigenome, in order. A model that diverged in its first epoch has a note
        instead of numbers.

    Raises
    ------
    MissingInputError
        The data do not exist.
    BadDataError
        The data are damaged or not sufficient for training; see also
        :func:`~deepchrome.train.fitting.fit.fit`.
    UsageError
        The directory holds another run or other files; the run to resume has other settings or data;
        or options contradict each other.
    StorageError
        A file cannot be read or written, another process writes to the directory, or the cluster is lost.
    """
    out, options = Path(out), options or RunOptions()
    _check_outputs(out, options, source)
    datasets, report = source.load(inputs, epigenomes)
    if on_loaded is not None:
        on_loaded(datasets, report)
    return train_datasets(
        datasets, report.inputs, out, config, placement, source=source, options=options, on_epoch=on_epoch
    )


def train_datasets(
    datasets: Sequence[Dataset],
    inputs: InputSpec,
    out: Path,
    config: FitConfig,
    placement: Placement | None = None,
    *,
    source: DataSource | None = None,
    options: RunOptions | None = None,
    on_epoch: EpochCallback | None = None,
) -> list[Summary]:
    """Train one model per loaded data set, and write a run directory.

    Parameters
    ----------
    datasets, inputs
        The data, and the description of their inputs.
    source
        Where the data came from, for config.json.
    out, config, placement, options, on_epoch
        See :func:`train_models`, also for the result and the errors.
    """
    options, requested = options or RunOptions(), placement or Placement()
    if options.scheduler and config.model in BASELINES:
        raise ParameterError("scheduler", f"is for networks, but {config.model} trains in seconds on one machine")
    # On a cluster, the workers train the models, and this process only scores genes with them.
    placement = Placement("cpu", requested.threads) if options.scheduler else requested
    check_names([data.epigenome for data in datasets], "an epigenome", "the data sets")
    device = placement.resolve()
    # Workers of a cluster may have GPUs even if this machine has none.
    uses_gpu = device.type == "cuda" or (bool(options.scheduler) and requested.device != "cpu")
    if config.model not in BASELINES:
        check_network(config.model, len(inputs.marks), inputs.n_bins)
    made_with = {**software_versions(), "device": device.type, "threads": placement.usable_threads()}
    if options.scheduler:
        made_with |= {"device": f"{requested.device}, on a cluster", "threads": 1}
    if device.type == "cuda":
        made_with["gpu"] = torch.cuda.get_device_name(device)
    run_config = RunConfig(config, inputs, source, describe_datasets(datasets), made_with)
    _check_outputs(out, options, source)

    with start_run(out, run_config, force=options.force, resume=options.resume):
        if (out / SUMMARY).is_file():
            return _read_finished(out)
        if config.model in BASELINES:
            fitted = _fit_baselines(datasets, config, placement.usable_threads())
        else:
            fitted = _fit_networks(datasets, out, run_config, requested, device, options, on_epoch)
        rounding = score_rounding(config.precision, on_gpu=uses_gpu)
        scores = [
            save_and_score(out, run_config, data, model, device, rounding) if model.weights else None
            for data, model in zip(datasets, fitted, strict=True)
        ]
        summary = [summarize_model(*row) for row in zip(datasets, fitted, scores, strict=True)]
        finish_run(out, run_config, _predictions(datasets, scores), fitted, summary)
    return summary


def _check_outputs(out: Path, options: RunOptions, source: DataSource | None) -> None:
    """Check that the run directory and the log may be written, and that they do not replace each other or the data."""
    check_run_directory(out, force=options.force, resume=options.resume)
    log = [] if options.log is None else [options.log]
    check_distinct([*places(out), *log], data_files(*source.paths()) if source else ())
    check_log(options.log, force=options.force, resume=options.resume)


def _read_finished(out: Path) -> list[Summary]:
    """Return the summary of a finished run whose files are all intact."""
    run = Run(out)
    summary = run.summary()
    for row in summary:
        if row.valid_auroc is not None:
            run.weights(row.epigenome)
    run.predictions()
    return summary


def _fit_networks(
    datasets: Sequence[Dataset],
    out: Path,
    run_config: RunConfig,
    placement: Placement,
    device: torch.device,
    options: RunOptions,
    on_epoch: EpochCallback | None,
) -> list[FittedModel]:
    """Train networks on a cluster or on this machine. Continue from checkpoints if there are any."""
    seconds = options.checkpoint_seconds
    if seconds is None:
        seconds = GPU_CHECKPOINT_SECONDS if device.type == "cuda" else 0.0
    with open_log(options.log, append=options.resume) as log:
        recorder = EpochRecorder(out, run_config, seconds, log, on_epoch)
        resumed = read_checkpoints(out, run_config)
        if not options.scheduler:
            return fit(datasets, run_config.fit, placement, resume=resumed, on_epoch=recorder)
        on_group = partial(recorder.record_group, resumed)
        with cluster_pool(options.scheduler) as pool:
            return fit_on_cluster(pool, datasets, run_config.fit, placement, resume=resumed, on_group=on_group)


def _fit_baselines(datasets: Sequence[Dataset], config: FitConfig, threads: int) -> list[FittedModel]:
    """Train baselines, one per thread at a time."""
    from deepchrome.train.models.baselines import fit_baseline

    def fit_one(data: Dataset) -> FittedModel:
        arrays = fit_baseline(config.model, data, config.seed)
        return FittedModel(data.epigenome, (), None, {name: torch.from_numpy(array) for name, array in arrays.items()})

    return map_in_threads(fit_one, datasets, threads)


def _predictions(datasets: Sequence[Dataset], scores: Sequence[NDArray[np.float64] | None]) -> pl.DataFrame:
    """Return the table for predictions.parquet: one row per gene of every epigenome that has a model."""
    types = {"epigenome": pl.String, "gene_id": pl.String, "split": pl.String, "label": pl.UInt8, "score": pl.Float64}
    tables = [pl.DataFrame(schema=types)]
    for data, gene_scores in zip(datasets, scores, strict=True):
        if gene_scores is not None:
            split = np.array(SPLIT_NAMES)[data.split]
            columns = ([data.epigenome] * len(gene_scores), data.gene_id, split, data.y, gene_scores)
            tables.append(pl.DataFrame(dict(zip(types, columns, strict=True)), schema=types))
    return pl.concat(tables)
