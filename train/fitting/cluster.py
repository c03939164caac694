"""Train groups of models on the workers of a cluster.

A model does not depend on the worker that trains it. On CPUs, each group is a single model, trained by one thread. A
single machine with fewer cores than models also uses one thread per model, so the rounding is the same. On GPUs, each
worker trains one group, whose models take each step together.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from deepchrome.common.pools import Pool
from deepchrome.common.threads import wait_for_first
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
    """The models of one group, and the checkpoint of each after its last epoch, by epigenome."""

    fitted: list[FittedModel]
    checkpoints: Mapping[str, Checkpoint]


def fit_on_cluster(
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
        Workers with the same version of deepchrome. They need no access to the files of this machine.
    datasets, config, resume
        As in :func:`~deepchrome.train.fitting.fit.fit`.
    placement
        With ``cuda``, every worker gets an equal share of the data sets, and should have one thread and one GPU.
        Otherwise every model is a task of its own.
    on_group
        Called in this process with each group that has been trained.

    Returns
    -------
    list of FittedModel
        One model per data set, in the order of ``datasets``.

    Raises
    ------
    BadDataError, UsageError
        As in :func:`~deepchrome.train.fitting.fit.fit`.
    StorageError
        The cluster is gone, or the workers that trained a group died repeatedly.
    """
    size = -(-len(datasets) // max(1, pool.slots())) if placement.device == "cuda" else 1
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
    """Yield each group when it has been trained.

    Submit only as many groups as keep the workers busy, because every task carries its data sets.
    """
    waiting, running = list(reversed(groups)), set[Future[TrainedGroup]]()
    while waiting or running:
        while waiting and len(running) < pool.max_pending():
            group = waiting.pop()
            checkpoints = {data.epigenome: resume[data.epigenome] for data in group if data.epigenome in resume}
            running.add(pool.submit(train_on_worker, list(group), config, placement, checkpoints))
        ready, running = wait_for_first(running)
        for future in ready:
            yield pool.result(future)


# A worker process may run several tasks at once. They would share PyTorch's number of threads, which affects rounding.
_one_group_at_a_time = threading.Lock()


def train_on_worker(
    datasets: Sequence[Dataset], config: FitConfig, placement: Placement, resume: Mapping[str, Checkpoint]
) -> TrainedGroup:
    """Train all models of one group. A worker trains one group at a time."""
    checkpoints = dict(resume)
    histories: dict[str, list[EpochRecord]] = {name: list(point.history) for name, point in resume.items()}

    def on_epoch(epigenome: str, record: EpochRecord, checkpoint: Callable[[], Checkpoint]) -> None:
        history = histories.setdefault(epigenome, [])
        history.append(record)
        if record.epoch == config.epochs or training_has_ended(history, config):
            checkpoints[epigenome] = checkpoint()

    with _one_group_at_a_time:
        return TrainedGroup(fit(datasets, config, placement, resume=resume, on_epoch=on_epoch), checkpoints)
