"""Train many models in lockstep: one per epigenome, stacked, with the same result as training each alone.

The seed, the name of the epigenome and the epoch determine all random choices of a model (initial weights, order of
genes, dropout). Therefore they depend neither on the other models nor on the device, and an interrupted run can
continue from any epoch without the state of a random generator.

On a GPU, all models of a stack take each step together, as one CUDA graph that is replayed. On a CPU, wide stacks are
slow because their weights do not fit in the caches, so each core trains one model at a time.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Final

import numpy as np
import torch

from deepchrome.common.threads import map_in_threads
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.splits import TRAIN
from deepchrome.train.fitting.config import (
    Checkpoint,
    EpochRecord,
    FitConfig,
    FittedModel,
    Placement,
    best_epoch,
    training_has_ended,
)
from deepchrome.train.fitting.stack import TrainingStack
from deepchrome.train.fitting.threads import torch_threads
from deepchrome.train.models import check_network

# Fraction of the free memory of a GPU that a stack may use.
_MEMORY_SHARE: Final = 0.8

# A function that is called after every epoch of every model, from the thread that trains the model. Its arguments are
# the epigenome, the record of the epoch, and a function that returns a checkpoint.
OnEpoch = Callable[[str, EpochRecord, Callable[[], Checkpoint]], None]


def fit(
    datasets: Sequence[Dataset],
    config: FitConfig,
    placement: Placement | None = None,
    *,
    resume: Mapping[str, Checkpoint] | None = None,
    on_epoch: OnEpoch | None = None,
) -> list[FittedModel]:
    """Train one model per data set.

    Parameters
    ----------
    datasets
        Data sets with the same bins and marks. Their genes may differ.
    config
        Model and training settings.
    placement
        Hardware to train on.
    resume
        Checkpoints to continue from, by epigenome.
    on_epoch
        See :data:`OnEpoch`.

    Returns
    -------
    list of FittedModel
        The models, in the order of ``datasets``.

    Raises
    ------
    BadDataError
        The training or validation genes of a data set lack one class or both; data sets differ in marks or bins, or
        have the same name; an input is not finite; or there are fewer bins than the network needs.
    UsageError
        There is no data set; the network is unknown or not a stack of models; or a GPU is required and PyTorch finds
        none.
    """
    placement = placement or Placement()
    resume = resume or {}
    _check_datasets(datasets)
    check_network(config.model, len(datasets[0].marks), datasets[0].x.shape[1])
    device = placement.resolve()
    threads = placement.usable_threads()
    size = placement.group_size or (1 if device.type == "cpu" else _largest_group(datasets[0], config, device))
    groups = list(_form_groups(datasets, config, resume, size))
    # The rounding of a matrix product depends on its number of threads. Derive that number from all data sets, not from
    # the unfinished ones only, so that a resumed run gives identical results.
    workers = 1 if device.type == "cuda" else min(threads, -(-len(datasets) // size))
    stop = Event()

    def train_group(group: Sequence[Dataset]) -> dict[str, FittedModel]:
        return _train_group(group, config, device, resume, on_epoch, stop)

    fitted: dict[str, FittedModel] = {}
    with torch_threads(threads // workers), _matmul_precision(config, device):
        for trained in map_in_threads(train_group, groups, workers, cancel=stop.set):
            fitted.update(trained)
    return [fitted[data.epigenome] for data in datasets]


def _check_datasets(datasets: Sequence[Dataset]) -> None:
    if not datasets:
        raise UsageError("no data set to train on")
    names = [data.epigenome for data in datasets]
    if len(set(names)) < len(names):
        raise BadDataError("two data sets have the same epigenome name")
    first = datasets[0]
    for data in datasets:
        if data.x.shape[1:] != first.x.shape[1:] or data.marks != first.marks:
            raise BadDataError(
                f"{data.epigenome}: {data.x.shape[1]} bins of {', '.join(data.marks)}, but {first.epigenome} has "
                f"{first.x.shape[1]} bins of {', '.join(first.marks)}. Train them in separate runs."
            )
        data.check_classes()
        if not np.isfinite(data.x).all():
            raise BadDataError(f"{data.epigenome}: an input value is not a finite number")


def _largest_group(data: Dataset, config: FitConfig, device: torch.device) -> int:
    """Measure the GPU memory that one model needs, and return how many models fit."""
    torch.cuda.reset_peak_memory_stats(device)
    with torch_threads(1), _matmul_precision(config, device):
        TrainingStack([data], config, device).validate()
    needed = torch.cuda.max_memory_allocated(device)
    torch.cuda.empty_cache()
    return max(1, int(_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0] / needed))


def _form_groups(
    datasets: Sequence[Dataset], config: FitConfig, resume: Mapping[str, Checkpoint], size: int
) -> Iterator[list[Dataset]]:
    """Yield groups of at most ``size`` data sets with the same numbers of steps per epoch and of finished epochs."""
    compatible: dict[tuple[int, int], list[Dataset]] = {}
    for data in datasets:
        steps = -(-int(np.sum(data.split == TRAIN)) // config.batch_size)
        finished = len(resume[data.epigenome].history) if data.epigenome in resume else 0
        compatible.setdefault((steps, finished), []).append(data)
    for group in compatible.values():
        yield from (group[i : i + size] for i in range(0, len(group), size))


def _train_group(
    datasets: Sequence[Dataset],
    config: FitConfig,
    device: torch.device,
    resume: Mapping[str, Checkpoint],
    on_epoch: OnEpoch | None,
    stop: Event,
) -> dict[str, FittedModel]:
    """Train one stack to its end, or until ``stop`` is set."""
    stack = TrainingStack(datasets, config, device)
    for i, data in enumerate(datasets):
        stack.start(i, resume.get(data.epigenome))
    first = len(stack.history[0]) + 1
    plan = stack.plan(first)
    for epoch in range(first, config.epochs + 1):
        if stop.is_set() or all(training_has_ended(history, config) for history in stack.history):
            break
        started = time.perf_counter()
        metrics = (stack.train(plan), *stack.validate())
        # The GPU is still computing these metrics while the CPU prepares the next epoch.
        plan = stack.plan(epoch + 1)
        train_loss, valid_loss, valid_auroc = (values.tolist() for values in metrics)
        seconds = time.perf_counter() - started
        for i, data in enumerate(datasets):
            if training_has_ended(stack.history[i], config):
                continue
            record = EpochRecord(epoch, train_loss[i], valid_loss[i], valid_auroc[i], seconds)
            stack.history[i].append(record)
            if best_epoch(stack.history[i]) == epoch:
                stack.keep_as_best(i)
            if on_epoch:
                on_epoch(data.epigenome, record, lambda i=i: stack.checkpoint(i))  # type: ignore[misc]
    return {data.epigenome: stack.fitted(i) for i, data in enumerate(datasets)}


@contextmanager
def _matmul_precision(config: FitConfig, device: torch.device) -> Iterator[None]:
    """Set the precision of PyTorch's matrix products on a GPU, and restore it at the end."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if config.precision in ("auto", "tf32") else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
