"""Train models and write a finished run directory."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from deepchrome.common.names import check_names, first_names
from deepchrome.common.paths import check_distinct, data_files
from deepchrome.common.threads import map_in_threads
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.inputs import InputOptions, InputSpec
from deepchrome.train.datasets.load import LoadReport
from deepchrome.train.datasets.source import DataSource
from deepchrome.train.fitting.config import FitConfig, FittedModel, Placement
from deepchrome.train.fitting.fit import check_datasets, count_workers, fit
from deepchrome.train.fitting.threads import torch_threads
from deepchrome.train.fitting.training import Training, plan_trainings
from deepchrome.train.models import BASELINES, check_network
from deepchrome.train.run.collector import Collector, ModelCallback
from deepchrome.train.run.config import RunConfig, describe_datasets, software_versions
from deepchrome.train.run.directory import (
    Run,
    check_run_directory,
    in_stored_order,
    is_finished,
    read_finished_models,
    start_run,
)
from deepchrome.train.run.layout import checkpoint_path, places
from deepchrome.train.run.protocols import BEST
from deepchrome.train.run.recorder import EpochCallback, EpochRecorder, check_log, open_log
from deepchrome.train.run.summary import Summary
from deepchrome.train.run.weights import read_checkpoints

# On a GPU, checkpoints of all models take longer to write than an epoch takes to train.
GPU_CHECKPOINT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class RunOptions:
    """Settings for writing a run directory. They do not change the result.

    Attributes
    ----------
    force
        Replace an existing run.
    resume
        Continue an existing run, or add epigenomes to it; start a new one if there is none.
    checkpoint_seconds
        Minimum time between two checkpoints of one model. Default: 0 on a CPU, so that every epoch
        writes one, and :data:`GPU_CHECKPOINT_SECONDS` on a GPU.
    log
        File that receives one JSON object for every epoch of every model.

    Raises
    ------
    UsageError
        Both ``force`` and ``resume`` are set.
    """

    force: bool = False
    resume: bool = False
    checkpoint_seconds: float | None = None
    log: Path | None = None

    def __post_init__(self) -> None:
        """Refuse options that contradict each other."""
        if self.force and self.resume:  # guard: force-or-resume
            raise UsageError("force and resume contradict each other: replace the run, or continue it")


def train_models(
    source: DataSource,
    out: str | Path,
    *,
    epigenomes: Sequence[str] | None = None,
    held_out: Sequence[str] = (),
    shard: tuple[int, int] | None = None,
    inputs: InputOptions = BEST.inputs,
    config: FitConfig = BEST.fit,
    placement: Placement | None = None,
    options: RunOptions | None = None,
    on_loaded: Callable[[Sequence[Dataset], LoadReport], None] | None = None,
    on_epoch: EpochCallback | None = None,
    on_model: ModelCallback | None = None,
) -> list[Summary]:
    """Train one model per epigenome, or a pooled model, and write a run directory.

    Parameters
    ----------
    source
        Where the data are, and how labels and split are made.
    out
        The run directory.
    epigenomes
        Names of the epigenomes to train on. Default: all.
    held_out
        Epigenomes that a pooled model is only tested on, with its test genes: neither was seen in training. They need
        not be among ``epigenomes``.
    shard
        (i, n): train only the i-th of every n epigenomes, from 1 to n. A pooled model cannot be divided.
    inputs
        Options that turn counts into model inputs. For a pooled model, marks may be missing.
    config
        The model and its training.
    placement
        The device and the number of threads.
    options
        Settings for writing the run directory, such as ``force`` and ``resume``.
    on_loaded
        Called once with the data sets and the report on loading them, before training starts.
    on_epoch
        Called with the key and the metrics of every epoch of every network, from the thread that trains it.
    on_model
        Called with the results of every model when it is finished, from the thread that trained it; see
        :data:`~deepchrome.train.run.collector.ModelCallback`.

    Returns
    -------
    list of Summary
        One row per epigenome, in order. A model that diverged in its first epoch has a note instead of numbers.

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
        A file cannot be read or written, or another process writes to the directory.
    """
    out, options = Path(out), options or RunOptions()
    _check_outputs(out, options, source)
    if config.pooled and shard is not None:
        raise UsageError("a pooled model is one model, so it cannot be trained in parts")
    if config.pooled:
        inputs = replace(inputs, missing_marks=True)
    names = None if epigenomes is None else list(dict.fromkeys((*epigenomes, *held_out)))
    datasets, report = source.load(inputs, names, shard)
    if on_loaded is not None:
        on_loaded(datasets, report)
    return train_datasets(
        datasets,
        report.inputs,
        out,
        config,
        placement,
        source=source,
        held_out=held_out,
        options=options,
        on_epoch=on_epoch,
        on_model=on_model,
    )


def train_datasets(
    datasets: Sequence[Dataset],
    inputs: InputSpec,
    out: Path,
    config: FitConfig,
    placement: Placement | None = None,
    *,
    source: DataSource | None = None,
    held_out: Collection[str] = (),
    options: RunOptions | None = None,
    on_epoch: EpochCallback | None = None,
    on_model: ModelCallback | None = None,
) -> list[Summary]:
    """Train models on loaded data sets, and write a run directory.

    Parameters
    ----------
    datasets, inputs
        The data, and the description of their inputs.
    source
        Where the data came from, for config.json.
    out, config, placement, held_out, options, on_epoch, on_model
        See :func:`train_models`, also for the result and the errors.
    """
    options, placement = options or RunOptions(), placement or Placement()
    if options.resume:
        datasets = in_stored_order(out, datasets)
    check_names([data.epigenome for data in datasets], "an epigenome", "the data sets")
    _check_settings(datasets, config, held_out)
    device = placement.resolve()
    described = describe_datasets(datasets, held_out, with_expression=config.task != "classify")
    made_with = {**software_versions(), "device": device.type, "threads": placement.usable_threads()}
    run_config = RunConfig(config, inputs, source, described, made_with)
    trained_on = [data for data in datasets if data.epigenome not in held_out]
    trainings = plan_trainings(trained_on, pooled=config.pooled, members=config.members)
    if config.model not in BASELINES:
        check_network(run_config.spec)
        check_datasets(trained_on, config)
    _check_outputs(out, options, source)
    with start_run(out, run_config, force=options.force, resume=options.resume):
        if is_finished(out, run_config):
            return _read_finished(out)
        collector = Collector(out, run_config, datasets, device, on_model)
        threads = placement.usable_threads()
        # Score with as many threads as the training does, because rounding depends on their number.
        workers = threads if config.model in BASELINES else count_workers(config, placement, len(trainings))
        with torch_threads(threads // workers):
            collector.reuse(read_finished_models(out, run_config) if options.resume else {})
        if config.model in BASELINES:
            _fit_baselines(trainings, config, threads, collector)
        else:
            _fit_networks(trainings, out, run_config, placement, device, options, on_epoch, collector)
        return collector.finish()


def _check_settings(datasets: Sequence[Dataset], config: FitConfig, held_out: Collection[str]) -> None:
    """Check that the settings of a run fit together and fit the data."""
    names = [data.epigenome for data in datasets]
    if config.model in BASELINES and (config.pooled or config.members > 1 or config.task != "classify"):
        raise UsageError(f"{config.model} is one classifier per epigenome: no pooled model, no regression, no members")
    if held_out and not config.pooled:
        raise UsageError("only a pooled model can be tested on an epigenome that it was not trained on")
    if absent := [name for name in held_out if name not in names]:
        raise BadDataError(f"no epigenome {', '.join(absent)} to hold out (found {first_names(names)})")
    if len(set(held_out)) == len(names):
        raise UsageError("all epigenomes are held out, so none is left to train on")


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
    for name in dict.fromkeys(run.config.model_of(row.epigenome) for row in summary if row.valid_auroc is not None):
        run.model(name)
    run.predictions()
    return summary


def _fit_networks(
    trainings: Sequence[Training],
    out: Path,
    run_config: RunConfig,
    placement: Placement,
    device: torch.device,
    options: RunOptions,
    on_epoch: EpochCallback | None,
    collector: Collector,
) -> None:
    """Train the networks of all unfinished models. Continue from checkpoints if there are any."""
    seconds = options.checkpoint_seconds
    if seconds is None:
        seconds = GPU_CHECKPOINT_SECONDS if device.type == "cuda" else 0.0
    # Also those of finished models, which a killed process may have left: a file of others must not be removed.
    resumed = read_checkpoints(out, run_config, trainings)
    waiting = {training.key: training for training in trainings if training.model not in collector.models}
    for key in resumed.keys() - waiting:
        checkpoint_path(out, key).unlink()
    with open_log(options.log, append=options.resume) as log:
        recorder = EpochRecorder(out, run_config, seconds, log, on_epoch, trainings)
        if waiting:
            fit(
                list(waiting.values()),
                run_config.fit,
                placement,
                resume=resumed,
                on_epoch=recorder,
                on_fitted=lambda fitted: collector.add(waiting[fitted.key], fitted),
                of=len(trainings),
            )


def _fit_baselines(trainings: Sequence[Training], config: FitConfig, threads: int, collector: Collector) -> None:
    """Train the baselines of all unfinished models, one per thread at a time."""
    from deepchrome.train.models.baselines import fit_baseline

    def fit_one(training: Training) -> None:
        arrays = fit_baseline(config.model, training.datasets[0], config.seed)
        weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
        collector.add(training, FittedModel(training.key, (), None, weights))

    with torch_threads(1):
        map_in_threads(fit_one, [each for each in trainings if each.model not in collector.models], threads)
