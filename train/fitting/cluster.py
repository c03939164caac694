"""Training on the workers of a cluster: groups of models, each on whichever worker is free.

A model is the same wherever it is trained: on CPUs every group is one model on one thread, as on one machine
that has fewer cores than models; on GPUs a group is what one worker gets to train in lockstep.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace

from deepchrome.common.pools import Pool
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, FittedModel, Placement
from deepchrome.train.fitting.fit import ended, fit


@dataclass(frozen=True)
class TrainedGroup:
    """What a worker sends back: the models, and where each of them stopped."""

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
    """Train one model per data set on the workers of ``pool``.

    Parameters
    ----------
    pool
        Its workers need the same deepchrome, and nothing of this machine's files.
    datasets, config, resume
        As for :func:`~deepchrome.train.fitting.fit.fit`.
    placement
        On ``cuda`` the data sets are divided among the workers, which should have one thread and one GPU each;
        else every model is a task.
    on_group
        Called with each group as it is done.

    Returns
    -------
    list of Fitted
        In the order of ``datasets``.

    Raises
    ------
    DeepchromeError
        As :func:`~deepchrome.train.fitting.fit.fit`;
        StorageError where the cluster or too many of its workers are lost.
    """
    size = -(-len(datasets) // max(1, pool.workers())) if placement.device == "cuda" else 1
    there = replace(placement, threads=1)
    groups = [datasets[i : i + size] for i in range(0, len(datasets), size)]
    fitted: dict[str, FittedModel] = {}
    for done in _in_turn(pool, groups, config, there, resume):
        on_group(done)
        fitted |= {model.epigenome: model for model in done.fitted}
    return [fitted[data.epigenome] for data in datasets]


def _in_turn(
    pool: Pool,
    groups: Sequence[Sequence[Dataset]],
    config: FitConfig,
    placement: Placement,
    resume: Mapping[str, Checkpoint],
) -> Iterator[TrainedGroup]:
    # Data sets are sent with their tasks: no more of them at a time than keep every worker busy.
    waiting, running = list(reversed(groups)), set[Future[TrainedGroup]]()
    while waiting or running:
        while waiting and len(running) < pool.room():
            group = waiting.pop()
            known = {data.epigenome: resume[data.epigenome] for data in group if data.epigenome in resume}
            running.add(pool.submit(train_there, list(group), config, placement, known))
        ready, running = wait(running, return_when=FIRST_COMPLETED)
        for future in ready:
            yield pool.result(future)


# PyTorch's number of threads is one for the whole process, and part of how a product is rounded.
_alone = threading.Lock()


def train_there(
    datasets: Sequence[Dataset], config: FitConfig, placement: Placement, resume: Mapping[str, Checkpoint]
) -> TrainedGroup:
    """Train a group to its end; what every worker does, one group at a time."""
    checkpoints = dict(resume)
    histories: dict[str, list[EpochRecord]] = {name: list(point.history) for name, point in resume.items()}

    def on_epoch(epigenome: str, record: EpochRecord, checkpoint: Callable[[], Checkpoint]) -> None:
        history = histories.setdefault(epigenome, [])
        history.append(record)
        if record.epoch == config.epochs or ended(history, config):
            checkpoints[epigenome] = checkpoint()

    with _alone:
        return TrainedGroup(fit(datasets, config, placement, resume=resume, on_epoch=on_epoch), checkpoints)
