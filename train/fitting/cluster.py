"""Train on the workers of a cluster: groups of models, each on a worker that is free.

A model does not depend on where it is trained. On CPUs every group is one model on one thread, as on one machine
with fewer cores than models. On GPUs every worker trains one group in lockstep.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace

from deepchrome.common.pools import Pool
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import (
    Checkpoint,
    EpochRecord,
    FitConfig,
    FittedModel,
    Placement,
    training_has_ended,
)
from deepchrome.train.fitting.fit import fit


@dataclass(frozen=True)
class TrainedGroup:
    """The models that a worker trained, and the checkpoint of each after its last epoch."""

    fitted: list[FittedModel]
    checkpoints: Mapping[str, Checkpoint]


def fit_spread(
    pool: Pool,
    datasets: Sequence[Dataset],
    config: FitConfig,
    placement: Placement,
    *,
    resume: Mapping[str, Checkpoint],
    on_group: Callable[[TrainedGroup], None],
) -> list[FittedModel]:
    """Train one model per data set on the workers of a pool.

    Parameters
    ----------
    pool
        Workers with the same version of deepchrome. They read no files of this machine.
    datasets, config, resume
        As in :func:`~deepchrome.train.fitting.fit.fit`.
    placement
        With ``cuda``, every worker gets an equal share of the data sets, and should have one thread and one GPU.
        Otherwise every model is a task of its own.
    on_group
        Called with each group when it is done.

    Returns
    -------
    list of FittedModel
        In the order of ``datasets``.

    Raises
    ------
    BadDataError, UsageError
        As in :func:`~deepchrome.train.fitting.fit.fit`.
    StorageError
        The cluster or too many of its workers are lost.
    """
    size = -(-len(datasets) // max(1, pool.workers())) if placement.device == "cuda" else 1
    groups = [datasets[i : i + size] for i in range(0, len(datasets), size)]
    fitted: dict[str, FittedModel] = {}
    for group in _run_groups(pool, groups, config, replace(placement, threads=1), resume):
        on_group(group)
        fitted |= {model.epigenome: model for model in group.fitted}
    return [fitted[data.epigenome] for data in datasets]


def _run_groups(
    pool: Pool,
    groups: Sequence[Sequence[Dataset]],
    config: FitConfig,
    placement: Placement,
    resume: Mapping[str, Checkpoint],
) -> Iterator[TrainedGroup]:
    """Yield groups as they finish. Submit no more than keep the workers busy: data sets travel with their tasks."""
    waiting, running = list(reversed(groups)), set[Future[TrainedGroup]]()
    while waiting or running:
        while waiting and len(running) < pool.room():
            group = waiting.pop()
            checkpoints = {data.epigenome: resume[data.epigenome] for data in group if data.epigenome in resume}
            running.add(pool.submit(train_on_worker, list(group), config, placement, checkpoints))
        ready, running = wait(running, return_when=FIRST_COMPLETED)
        for future in ready:
            yield pool.result(future)


# PyTorch has one number of threads for the whole process, and it affects the rounding of products.
_one_group_at_a_time = threading.Lock()


def train_on_worker(
    datasets: Sequence[Dataset], config: FitConfig, placement: Placement, resume: Mapping[str, Checkpoint]
) -> TrainedGroup:
    """Train one group to its end. A worker trains one group at a time."""
    checkpoints = dict(resume)
    histories: dict[str, list[EpochRecord]] = {name: list(point.history) for name, point in resume.items()}

    def on_epoch(epigenome: str, record: EpochRecord, checkpoint: Callable[[], Checkpoint]) -> None:
        history = histories.setdefault(epigenome, [])
        history.append(record)
        if record.epoch == config.epochs or training_has_ended(history, config):
            checkpoints[epigenome] = checkpoint()

    with _one_group_at_a_time:
        return TrainedGroup(fit(datasets, config, placement, resume=resume, on_epoch=on_epoch), checkpoints)
