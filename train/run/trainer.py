"""From data sets to a finished RUN directory: training, checkpoints, predictions, summary."""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES, check_names
from deepchrome.common.pools import cluster_pool
from deepchrome.errors import StorageError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.inputs import InputSpec
from deepchrome.train.datasets.labels import published_aurocs
from deepchrome.train.datasets.splits import TEST, TRAIN, VALID
from deepchrome.train.fitting.cluster import TrainedGroup, fit_spread
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, FittedModel, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.models import BASELINES, score_genes
from deepchrome.train.models.metrics import auprc, auroc
from deepchrome.train.run.config import RunConfig, describe_datasets, software
from deepchrome.train.run.directory import (
    Run,
    Summary,
    finish_run,
    read_checkpoints,
    start_run,
    write_checkpoint,
    write_model,
)

# Checkpoints of all models on a GPU take longer to write than an epoch does to train.
GPU_CHECKPOINT_SECONDS = 60.0

EpochCallback = Callable[[str, EpochRecord], None]


def train_run(
    out: Path,
    datasets: Sequence[Dataset],
    inputs: InputSpec,
    config: FitConfig,
    placement: Placement | None = None,
    *,
    origin: Mapping[str, Any] | None = None,
    force: bool = False,
    resume: bool = False,
    checkpoint_seconds: float | None = None,
    log: Path | None = None,
    on_epoch: EpochCallback | None = None,
    scheduler: str | None = None,
) -> list[Summary]:
    """Train a model per data set, and leave a run behind.

    Parameters
    ----------
    out
        The RUN directory.
    datasets, inputs
        As :func:`~deepchrome.train.datasets.dataset.load_datasets` gives them.
    config, placement
        What is trained, and where.
    origin
        Where the data came from, for config.json; JSON values.
    force, resume
        Replace the run that is there, or go on with it; see :func:`~deepchrome.train.run.directory.start_run`.
    checkpoint_seconds
        Least time between two checkpoints of a model. By default every epoch leaves one on a CPU, and
        every :data:`GPU_CHECKPOINT_SECONDS` on a GPU. How often does not change the result.
    log
        A file to append a JSON object to for every epoch of every model.
    on_epoch
        Called with the epigenome and what happened, from the thread that trains it.
    scheduler
        Address of a running Dask scheduler, whose workers train; see
        :func:`~deepchrome.train.fitting.cluster.fit_spread`.
        A model's epochs are then told, and its checkpoint written, when it is done.

    Returns
    -------
    list of Summary
        A row per data set, in order. A model that diverged at once has no numbers and a note.

    Raises
    ------
    BadDataError
        An epigenome's name cannot be a file's; or see :func:`~deepchrome.train.fitting.fit.fit`.
    UsageError, StorageError
        See :func:`~deepchrome.train.fitting.fit.fit` and :func:`~deepchrome.train.run.directory.start_run`.
    """
    there = placement or Placement()
    # With a cluster the models are trained on its devices, and only scored here.
    placement = Placement("cpu", there.threads) if scheduler else there
    if scheduler and config.model in BASELINES:
        raise UsageError(f"--scheduler is for networks; {config.model} takes seconds on this machine")
    check_names([data.epigenome for data in datasets], "an epigenome", "the data sets")
    device = placement.resolve()
    made_with = {**software(), "device": device.type, "threads": placement.usable_threads()}
    if scheduler:
        made_with |= {"device": f"{there.device}, on a cluster", "threads": 1}
    if device.type == "cuda":
        made_with["gpu"] = torch.cuda.get_device_name(device)
    run = RunConfig(config, inputs, origin or {}, describe_datasets(datasets), made_with)
    if log is not None and log.exists() and not (force or resume):
        raise UsageError(f"{log} exists; --force replaces it, --resume adds to it")
    if checkpoint_seconds is None:
        checkpoint_seconds = GPU_CHECKPOINT_SECONDS if device.type == "cuda" else 0.0

    with start_run(out, run, force=force, resume=resume), ExitStack() as files:
        if (out / "summary.tsv").is_file():
            return Run(out).summary()
        if config.model in BASELINES:
            fitted = _fit_baselines(datasets, config, placement.usable_threads())
        else:
            watch = _Watch(out, checkpoint_seconds, on_epoch)
            if log is not None:
                watch.open_log(log, files, add=resume)
            known = read_checkpoints(out, run)
            if scheduler:
                with cluster_pool(scheduler) as pool:
                    fitted = fit_spread(
                        pool, datasets, config, there, resume=known, on_group=partial(watch.take_group, known)
                    )
            else:
                fitted = fit(datasets, config, placement, resume=known, on_epoch=watch)
        for model in fitted:
            if model.weights:
                write_model(out, run, model)
        scores = [
            score_genes(config.model, model.weights, data.x, device) if model.weights else None
            for data, model in zip(datasets, fitted, strict=True)
        ]
        summary = [_summarise(*row) for row in zip(datasets, fitted, scores, strict=True)]
        finish_run(out, _predictions(datasets, scores), fitted, summary)
    return summary


class _Watch:
    """What happens after every epoch: a checkpoint if it is due, a line in the log, word to the caller."""

    def __init__(self, out: Path, checkpoint_seconds: float, on_epoch: EpochCallback | None) -> None:
        self.out, self.checkpoint_seconds, self.on_epoch = out, checkpoint_seconds, on_epoch
        self.log: TextIO | None = None
        self.lock = threading.Lock()
        self.written: dict[str, float] = {}

    def open_log(self, path: Path, files: ExitStack, *, add: bool) -> None:
        try:
            self.log = files.enter_context(path.open("a" if add else "w", encoding="utf-8"))
        except OSError as error:
            raise StorageError(f"{path}: cannot be written ({error.strerror or error})") from None

    def __call__(self, epigenome: str, record: EpochRecord, checkpoint: Callable[[], Checkpoint]) -> None:
        now = time.monotonic()
        if now - self.written.setdefault(epigenome, now) >= self.checkpoint_seconds:
            write_checkpoint(self.out, epigenome, checkpoint())
            self.written[epigenome] = now
        self._tell(epigenome, record)

    def take_group(self, known: Mapping[str, Checkpoint], done: TrainedGroup) -> None:
        """Take what a worker of a cluster has trained; epochs that were known before are not told again."""
        for model in done.fitted:
            write_checkpoint(self.out, model.epigenome, done.checkpoints[model.epigenome])
            told = len(known[model.epigenome].history) if model.epigenome in known else 0
            for record in model.history[told:]:
                self._tell(model.epigenome, record)

    def _tell(self, epigenome: str, record: EpochRecord) -> None:
        if self.log is not None:
            # JSON has no NaN.
            values = {key: value if math.isfinite(value) else None for key, value in asdict(record).items()}
            try:
                with self.lock:
                    self.log.write(json.dumps({"epigenome": epigenome, **values}) + "\n")
                    self.log.flush()
            except OSError as error:
                raise StorageError(f"{self.log.name}: cannot be written ({error.strerror or error})") from None
        if self.on_epoch is not None:
            self.on_epoch(epigenome, record)


def _fit_baselines(datasets: Sequence[Dataset], config: FitConfig, threads: int) -> list[FittedModel]:
    from deepchrome.train.models.baselines import fit_baseline

    def one(data: Dataset) -> FittedModel:
        arrays = fit_baseline(config.model, data, config.seed)
        return FittedModel(data.epigenome, (), None, {name: torch.from_numpy(array) for name, array in arrays.items()})

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, datasets))


def _summarise(data: Dataset, model: FittedModel, scores: NDArray[np.float64] | None) -> Summary:
    notes = []
    if model.history and model.history[-1].diverged:
        kept = f"; the model is that of epoch {model.best_epoch}" if model.best_epoch else ""
        notes.append(f"diverged in epoch {model.history[-1].epoch}{kept}: try a smaller --lr, or --transform log1p")
    in_part = [data.split == part for part in range(len(SPLIT_NAMES))]
    sizes = [int(part.sum()) for part in in_part]
    if np.unique(data.y[in_part[TEST]]).size < 2:
        notes.append(f"no test AUROC: {sizes[TEST]} test genes, not of both classes")

    def area(of: Callable[[NDArray[Any], NDArray[np.float64]], float | None], part: int) -> float | None:
        return None if scores is None else of(data.y[in_part[part]], scores[in_part[part]])

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


def _predictions(datasets: Sequence[Dataset], scores: Sequence[NDArray[np.float64] | None]) -> pl.DataFrame:
    """Make predictions.parquet: a row per gene of every epigenome that has a model."""
    types = {"epigenome": pl.String, "gene_id": pl.String, "split": pl.String, "label": pl.UInt8, "score": pl.Float64}
    tables = [pl.DataFrame(schema=types)]
    for data, of_genes in zip(datasets, scores, strict=True):
        if of_genes is not None:
            split = np.array(SPLIT_NAMES)[data.split]
            columns = ([data.epigenome] * len(of_genes), data.gene_id, split, data.y, of_genes)
            tables.append(pl.DataFrame(dict(zip(types, columns, strict=True)), schema=types))
    return pl.concat(tables)
