"""Train many networks in lockstep, stacked, with the same result as training each alone.

The seed, the name of the model and the epoch determine all random choices of a network (initial weights, order of
genes, dropout, changes of the inputs). Therefore they depend neither on the other networks nor on the device, and an
interrupted run can continue from any epoch without the state of a random generator.

On a GPU, all networks of a stack take each step together, as one CUDA graph that is replayed. On a CPU, wide stacks are
slow because their weights do not fit in the caches, so each core trains one network at a time.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Final

import numpy as np
import torch

from deepchrome.common.threads import map_in_threads, wait_for_result
from deepchrome.errors import BadDataError, ParameterError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import (
    Checkpoint,
    EpochRecord,
    FitConfig,
    FittedModel,
    Placement,
    best_epoch,
    training_has_ended,
)
from deepchrome.train.fitting.stack import EpochPlan, TrainingStack
from deepchrome.train.fitting.threads import torch_threads
from deepchrome.train.fitting.training import Training, network_spec
from deepchrome.train.models import check_network, is_custom

# Fraction of the free memory of a GPU that a stack may use.
_MEMORY_SHARE: Final = 0.8

# A function that is called after every epoch of every network, from the thread that trains it. Its arguments are the
# key of the training, the record of the epoch, and a function that returns a checkpoint.
OnEpoch = Callable[[str, EpochRecord, Callable[[], Checkpoint]], None]


def fit(
    trainings: Sequence[Training],
    config: FitConfig,
    placement: Placement | None = None,
    *,
    resume: Mapping[str, Checkpoint] | None = None,
    on_epoch: OnEpoch | None = None,
    on_fitted: Callable[[FittedModel], None] | None = None,
    of: int | None = None,
) -> list[FittedModel]:
    """Train one network per training.

    Parameters
    ----------
    trainings
        What to train; see :func:`~deepchrome.train.fitting.training.plan_trainings`. All data sets have the same bins
        and marks. Their genes may differ.
    config
        Model and training settings.
    placement
        Hardware to train on.
    resume
        Checkpoints to continue from, by key of the training.
    on_epoch
        See :data:`OnEpoch`.
    on_fitted
        Called with each network when it is finished, from the thread that trained it.
    of
        Number of networks of the whole run, if some of them are finished already; see :func:`count_workers`.

    Returns
    -------
    list of FittedModel
        The networks, in the order of ``trainings``.

    Raises
    ------
    BadDataError
        The training or validation genes of a data set lack one class or both; data sets differ in marks or bins; an
        input is not finite; or there are fewer bins than the network needs.
    ParameterError
        The data have no expression to regress on, or no counts to thin.
    UsageError
        There is no data set; the network is unknown or not a stack of models; or a GPU is required and PyTorch finds
        none.
    """
    placement = placement or Placement()
    resume = resume or {}
    check_datasets([data for training in trainings for data in training.datasets], config)
    check_network(network_spec(config, trainings[0].datasets[0]))
    device = placement.resolve()
    threads = placement.usable_threads()
    size = placement.group_size or (1 if device.type == "cpu" else _largest_group(trainings[0], config, device))
    groups = list(_form_groups(trainings, config, resume, size))
    workers = count_workers(config, placement, of or len(trainings))
    stop = Event()

    def train_group(group: Sequence[Training]) -> dict[str, FittedModel]:
        trained = _train_group(group, config, device, resume, on_epoch, stop)
        if on_fitted and not stop.is_set():
            for model in trained.values():
                on_fitted(model)
        return trained

    fitted: dict[str, FittedModel] = {}
    with torch_threads(threads // workers), matmul_precision(config, device):
        for each in map_in_threads(train_group, groups, workers, cancel=stop.set):
            fitted.update(each)
    return [fitted[training.key] for training in trainings]


def count_workers(config: FitConfig, placement: Placement, trainings: int) -> int:
    """Return how many stacks are trained at the same time, given the number of networks of the whole run.

    The rounding of a matrix product depends on its number of threads. Count all networks, not the unfinished ones only,
    so that a resumed run gives identical results.
    """
    # A class of the user may draw from the random numbers of the process. The genes of a pooled model need much memory.
    if placement.resolve().type == "cuda" or is_custom(config.model) or config.pooled:
        return 1
    return min(placement.usable_threads(), -(-trainings // (placement.group_size or 1)))


def check_datasets(datasets: Sequence[Dataset], config: FitConfig) -> None:
    """Check that networks can be trained on data sets; see :func:`fit` for the errors."""
    if not datasets:
        raise UsageError("no data set to train on")
    first = datasets[0]
    for data in datasets:
        if data.x.shape[1:] != first.x.shape[1:] or data.marks != first.marks:
            raise BadDataError(
                f"{data.epigenome}: {data.x.shape[1]} bins of {', '.join(data.marks)}, but {first.epigenome} has "
                f"{first.x.shape[1]} bins of {', '.join(first.marks)}. Train them in separate runs."
            )
        data.check_classes()
        is_finite = np.isfinite(data.x)
        if not is_finite.all() and not (config.pooled and is_finite[:, :, data.present].all()):
            raise BadDataError(f"{data.epigenome}: an input value is not a finite number")
        if config.task != "classify" and data.rpkm is None:
            raise ParameterError("task", f"is {config.task}, but the expression of {data.epigenome} is unknown")
        if config.augment_depth and data.scales is None:
            raise ParameterError("augment_depth", f"needs whole counts, which {data.epigenome} does not have")


def _largest_group(training: Training, config: FitConfig, device: torch.device) -> int:
    """Measure the GPU memory that one network needs, and return how many networks fit."""
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)  # by the rest of the process
    with matmul_precision(config, device):
        TrainingStack([training], config, device).validate()
    needed = torch.cuda.max_memory_allocated(device) - before
    torch.cuda.empty_cache()
    return max(1, int(_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0] / needed))


def _form_groups(
    trainings: Sequence[Training], config: FitConfig, resume: Mapping[str, Checkpoint], size: int
) -> Iterator[list[Training]]:
    """Yield groups of at most ``size`` trainings with equal numbers of steps per epoch, finished epochs and data sets.

    The longest trainings come first, so that no core is idle at the end.
    """
    compatible: dict[tuple[int, int, int], list[Training]] = {}
    for training in trainings:
        finished = len(resume[training.key].history) if training.key in resume else 0
        kind = (-training.steps(config), finished, len(training.datasets))
        compatible.setdefault(kind, []).append(training)
    for _, group in sorted(compatible.items(), key=lambda item: item[0]):
        yield from (group[i : i + size] for i in range(0, len(group), size))


def _train_group(
    trainings: Sequence[Training],
    config: FitConfig,
    device: torch.device,
    resume: Mapping[str, Checkpoint],
    on_epoch: OnEpoch | None,
    stop: Event,
) -> dict[str, FittedModel]:
    """Train one stack to its end, or until ``stop`` is set."""
    stack = TrainingStack(trainings, config, device)
    for i, training in enumerate(trainings):
        stack.start(i, resume.get(training.key))
    started = time.perf_counter()
    for plan in _plan_epochs(stack, range(len(stack.history[0]) + 1, stack.epochs + 1), device):
        if stop.is_set() or all(training_has_ended(history, config) for history in stack.history):
            break
        metrics = (stack.train(plan), *stack.validate())
        train_loss, valid_loss, valid_auroc = (values.tolist() for values in metrics)
        seconds = time.perf_counter() - started
        for i, training in enumerate(trainings):
            if training_has_ended(stack.history[i], config):
                continue
            record = EpochRecord(plan.epoch, train_loss[i], valid_loss[i], valid_auroc[i], seconds)
            stack.history[i].append(record)
            if best_epoch(stack.history[i]) == plan.epoch:
                stack.keep_as_best(i)
            if on_epoch:
                on_epoch(training.key, record, lambda i=i: stack.checkpoint(i))  # type: ignore[misc]
        started = time.perf_counter()
    return {training.key: stack.fitted(i) for i, training in enumerate(trainings)}


def _plan_epochs(stack: TrainingStack, epochs: Sequence[int], device: torch.device) -> Iterator[EpochPlan]:
    """Yield the plans of some epochs. For a GPU, another thread draws the next plan while the GPU trains."""
    if device.type == "cpu":
        yield from map(stack.plan, epochs)
        return
    with ThreadPoolExecutor(1) as pool:
        drawn = [pool.submit(stack.plan, epoch) for epoch in epochs[:1]]
        for epoch in epochs:
            plan = wait_for_result(drawn.pop())
            if epoch != epochs[-1]:
                drawn.append(pool.submit(stack.plan, epoch + 1))
            yield plan


@contextmanager
def matmul_precision(config: FitConfig, device: torch.device) -> Iterator[None]:
    """Set the precision of PyTorch's matrix products on a GPU, and restore it at the end."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if config.resolve_precision(device) == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
