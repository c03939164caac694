"""Time complete trainings, with libraries for arrays only."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch

from deepchrome.common.names import TEST, TRAIN
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.auroc import stacked_auroc
from deepchrome.train.fitting.config import FitConfig, FittedModel, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import network_spec, plan_trainings
from deepchrome.train.models.trained import TrainedModel

# Lower bound in seconds for 56 models of 6,601 genes and 100 epochs on one H100, by batch size. It covers arithmetic,
# reading and writing of weights, and kernel launches.
H100_FLOOR: Final = {64: 4.3, 512: 1.2}
_FLOOR_EPOCHS, _FLOOR_GENES = 100, 6601
FLOP_PER_GENE: Final = 4.76e6  # floating-point operations to train on one gene once
# Number of rows and columns of the matrices whose product measures the speed of a device.
_MATMUL_SIDE: Final = {"cpu": 2048, "cuda": 8192}


@dataclass(frozen=True)
class TimedTraining:
    """One training of several models.

    Attributes
    ----------
    models, steps
        Number of models, and of steps of each of them.
    seconds
        Time of the whole call of :func:`~deepchrome.train.fitting.fit.fit`.
    epoch_seconds
        Time of the epochs of the first model. On a GPU, all models that fit in its memory train in them.
    milliseconds_per_step
        ``epoch_seconds`` over ``steps``.
    floor_milliseconds_per_step
        Lower bound for 56 models on one H100; ``None`` for other batch sizes.
    tflop_per_second
        Useful arithmetic, over ``seconds``.
    peak_memory_gb
        Largest amount of GPU memory in use; ``None`` on a CPU.
    mean_test_auroc, lowest_test_auroc
        AUROC on the test genes: mean and minimum over the models.
    """

    models: int
    steps: int
    seconds: float
    epoch_seconds: float
    milliseconds_per_step: float
    floor_milliseconds_per_step: float | None
    tflop_per_second: float
    peak_memory_gb: float | None
    mean_test_auroc: float
    lowest_test_auroc: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


def time_training(datasets: Sequence[Dataset], config: FitConfig, placement: Placement) -> TimedTraining:
    """Train one model per data set, and return its time, its memory and the AUROC on test genes."""
    device, trainings = placement.resolve(), plan_trainings(datasets)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    fitted = fit(trainings, config, placement)
    seconds = time.perf_counter() - began
    # The trainer resets the peak once, after measuring the memory of one model.
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    epochs_per_network = trainings[0].epochs(config)
    steps = epochs_per_network * trainings[0].steps(config)
    epochs = sum(record.seconds for record in fitted[0].history)
    floor = H100_FLOOR.get(config.batch_size)
    floor_steps = _FLOOR_EPOCHS * -(-_FLOOR_GENES // config.batch_size)
    genes = sum(int(np.sum(data.split == TRAIN)) for data in datasets)
    areas = aurocs_of_test_genes(datasets, config, fitted, device)
    return TimedTraining(
        len(datasets),
        steps,
        seconds,
        epochs,
        1e3 * epochs / steps,
        None if floor is None else 1e3 * floor / floor_steps,
        genes * epochs_per_network * FLOP_PER_GENE / seconds / 1e12,
        peak,
        statistics.fmean(areas),
        min(areas),
    )


def aurocs_of_test_genes(
    datasets: Sequence[Dataset], config: FitConfig, fitted: Sequence[FittedModel], device: torch.device
) -> list[float]:
    """Return the AUROC of each model on the test genes of its own data set; their numbers of genes must be equal."""
    scores, on = [], []
    for data, model in zip(datasets, fitted, strict=True):
        test = data.split == TEST
        on.append(data.y[test] == 1)
        if model.weights:
            weights = {name: value.unsqueeze(0) for name, value in model.weights.items()}
            scores.append(TrainedModel(network_spec(config, data), weights).score(data.x[test], device).log_odds)
        else:  # it diverged
            scores.append(np.full(on[-1].shape, np.nan))
    stacked = torch.from_numpy(np.stack(scores)), torch.from_numpy(np.stack(on))
    areas: list[float] = stacked_auroc(*stacked, torch.ones(stacked[0].shape, dtype=torch.bool)).tolist()
    return areas


def matmul_flop_per_second(device: torch.device, precision: str) -> float:
    """Return the floating-point operations per second of a large matrix product on a device, the best of five.

    Parameters
    ----------
    device
        The device.
    precision
        ``fp32``, ``tf32`` or ``bf16``.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        side = _MATMUL_SIDE[device.type]
        matrix = torch.rand(side, side, device=device).to(torch.bfloat16 if precision == "bf16" else torch.float32)
        product = torch.empty_like(matrix)

        def multiply() -> None:
            torch.mm(matrix, matrix, out=product)

        return 2 * side**3 / min(time_on_device(multiply, device) for _ in range(5))
    finally:
        torch.set_float32_matmul_precision(before)


def time_on_device(task: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of a task until the device has finished."""
    synchronize(device)
    began = time.perf_counter()
    task()
    synchronize(device)
    return time.perf_counter() - began


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished; a CPU already has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
