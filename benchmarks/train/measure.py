"""Compare the speed of deepchrome's training ("lockstep") with that of a plain PyTorch loop on the same data.

First, check that lockstep gives the models that it gives alone. Then measure: the time of a number of epochs, the time
of the default schedule for all models, and the time until models are as accurate as after a long training. Lockstep
times are those of complete calls of :func:`deepchrome.train.fitting.fit.fit`. The plain loop runs in a separate
process, once with PyTorch's default number of threads and once with one thread.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import torch

from deepchrome.benchmarks.common.processes import Usage, run_interleaved
from deepchrome.benchmarks.common.results import Results, Row
from deepchrome.benchmarks.train.accuracy import time_to_accuracy
from deepchrome.benchmarks.train.checks import run_checks
from deepchrome.benchmarks.train.data import GENES, simulate_datasets
from deepchrome.benchmarks.train.plain_loop import time_plain
from deepchrome.benchmarks.train.speed import FLOP_PER_GENE, H100_FLOOR, matmul_flop_per_second, time_training
from deepchrome.common.cores import usable_cores
from deepchrome.common.progress import OnMessage
from deepchrome.errors import BadDataError
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.run.protocols import BEST

_CPU: Final = Placement("cpu")
_EPOCHS: Final = "training"
SCHEDULE: Final = "default schedule"
"""Group and name of the row of the default schedule."""


@dataclass(frozen=True)
class Settings:
    """Size of the benchmark.

    Attributes
    ----------
    models
        Numbers of models. There is one comparison for each number.
    genes
        The number of training genes, of validation genes, and of test genes.
    epochs, gpu_epochs
        The numbers of epochs with a constant learning rate, on the CPU and on the GPU.
    rounds
        The number of runs on the CPU. The default schedule runs once.
    plain_models
        The largest number of models that the plain loop trains per run. Its time is scaled to all models.
    accurate_models, simulated_genes
        The number of models that are trained until they are accurate, and the number of genes of their simulated
        epigenomes.
    long_epochs
        The number of epochs of the long training, whose accuracy is the target.
    tolerance
        A model is accurate when its validation AUROC is no more than this below that of the long training.
    """

    models: tuple[int, ...] = (1, 8, 56)
    genes: int = GENES
    epochs: int = 2
    gpu_epochs: int = 100
    rounds: int = 3
    plain_models: int = 4
    accurate_models: int = 2
    simulated_genes: int = 19_802
    long_epochs: int = 100
    tolerance: float = 0.001


QUICK: Final = Settings((1,), 256, 1, 2, 1, 1, accurate_models=1, simulated_genes=600, long_epochs=3, tolerance=0.1)


def measure(settings: Settings, config: FitConfig, command: str, on_message: OnMessage) -> Results:
    """Measure on the CPU, and on a GPU if PyTorch finds one.

    Parameters
    ----------
    settings
        Size of the benchmark.
    config
        Training with a constant rate; its batch size and precision are also those of the default schedule. Its number
        of epochs is ignored: ``settings`` gives the numbers.
    command
        The command line that repeats the run.
    on_message
        Receives progress messages.

    Raises
    ------
    BadDataError
        Networks that train together differ from networks that train alone.
    """
    on_message("checking that networks are the same together and alone")
    figures: dict[str, Any] = {"largest difference, together and alone": _check()}
    schedule = replace(BEST.fit, min_steps=0, batch_size=config.batch_size, precision=config.precision)
    rows: list[Row] = []
    for models in settings.models:
        on_message(f"CPU: {_models_text(models)}, {settings.rounds} rounds")
        measured = _time_on_cpu(models, settings, replace(config, epochs=settings.epochs))
        rows += measured
        figures |= _ratios(models, measured)
    models = max(settings.models)
    on_message(f"CPU: {_models_text(models)}, default schedule")
    row, area = _time_schedule(models, settings.genes, schedule)
    rows.append(row)
    figures |= {f"seconds, {row.name}": row.seconds, f"mean_test_auroc, {row.name}": area}
    on_message(f"CPU: time until {_models_text(settings.accurate_models)} are as accurate as after a long training")
    accurate = (settings.accurate_models, settings.simulated_genes, settings.long_epochs, settings.tolerance)
    figures |= time_to_accuracy(*accurate, settings.rounds, schedule)
    device = torch.device("cpu")
    precision = config.resolve_precision(device)
    peak = matmul_flop_per_second(device, precision)
    figures |= {
        "flop_per_gene": FLOP_PER_GENE,
        "cpu_precision": precision,
        "cpu_matmul_gflop_per_second": peak / 1e9,
        **{f"share_of_matmul, {row.name}": row.work / row.seconds * FLOP_PER_GENE / peak for row in rows},
        **{f"floor_seconds_h100_56_models_100_epochs_batch_{batch}": floor for batch, floor in H100_FLOOR.items()},
    }
    if torch.cuda.is_available():
        for models in settings.models:
            on_message(f"GPU: {_models_text(models)}, {settings.gpu_epochs} epochs")
            row, on_gpu = _time_on_gpu(models, settings.genes, replace(config, epochs=settings.gpu_epochs))
            rows.append(row)
            figures |= {f"gpu, {_models_text(models)}, {name}": value for name, value in on_gpu.items()}
    else:
        on_message("no GPU found: not measured on a GPU")
        figures["gpu"] = "not measured: no GPU found"
    recorded = {**asdict(settings), **asdict(config), "batch": config.batch_size, "epochs": settings.epochs}
    recorded |= {"models": list(settings.models), "schedule_epochs": schedule.epochs}
    return Results.create("train", command, {}, settings=recorded, rows=rows, figures=figures)


def _check() -> float:
    """Return the largest difference between networks that train together and networks that train alone."""
    checks = list(run_checks("cpu"))
    if failed := [check for check in checks if not check.passed]:
        raise BadDataError(f"training is not reproducible ({failed[0].name}: they differ by {failed[0].difference})")
    return max(check.difference for check in checks)


def _time_on_cpu(models: int, settings: Settings, config: FitConfig) -> list[Row]:
    """Return a row for the plain loop, for the plain loop with one thread, and for lockstep."""
    datasets = simulate_datasets(models, settings.genes)
    plain_models = min(models, settings.plain_models)
    scale = models / plain_models

    def run_plain(threads: int | None) -> Usage:
        wall, cpu = time_plain(plain_models, settings.genes, config, threads)
        return Usage(wall * scale, cpu * scale, 0.0)

    def run_lockstep() -> Usage:
        began, cpu_began = time.perf_counter(), time.process_time()
        fit(plan_trainings(datasets), config, _CPU)
        return Usage(time.perf_counter() - began, time.process_time() - cpu_began, 0.0)

    # The first call starts threads and fills caches, so it is not timed.
    fit(plan_trainings(datasets[: _CPU.usable_threads()]), replace(config, epochs=1), _CPU)
    tasks = {"plain loop": lambda: run_plain(None), "plain loop, 1 thread": lambda: run_plain(1)}
    usages = run_interleaved({**tasks, "lockstep": run_lockstep}, settings.rounds)
    work = models * settings.genes * config.epochs
    rows = [Row.from_usages(_EPOCHS, _row_name(side, models), work, runs) for side, runs in usages.items()]
    return [replace(row, scale=1.0 if row.name == _row_name("lockstep", models) else scale) for row in rows]


def _time_schedule(models: int, genes: int, schedule: FitConfig) -> tuple[Row, float]:
    """Time the default schedule for all models; return a row, and the mean AUROC on the test genes."""
    datasets = simulate_datasets(models, genes)
    cpu_began = time.process_time()
    timed = time_training(datasets, schedule, _CPU)
    cpu = time.process_time() - cpu_began
    name = _row_name(SCHEDULE, models)
    return Row(SCHEDULE, name, models * genes * schedule.epochs, [timed.seconds], [cpu], [0.0]), timed.mean_test_auroc


def _ratios(models: int, rows: Sequence[Row]) -> dict[str, float]:
    """Return the speed of lockstep relative to each plain loop: the medians over rounds."""
    plain, plain_1_thread, lockstep = rows

    def ratio(slower: Row) -> float:
        return statistics.median(a / b for a, b in zip(slower.wall, lockstep.wall, strict=True))

    of_one_thread = ratio(plain_1_thread)
    return {
        f"lockstep / plain, {_models_text(models)}": ratio(plain),
        f"lockstep / plain on 1 thread, {_models_text(models)}": of_one_thread,
        # As if one process per core did not slow the others down.
        f"lockstep / plain in one process per core, at most, {_models_text(models)}": of_one_thread
        / min(models, usable_cores()),
    }


def _row_name(side: str, models: int) -> str:
    return f"CPU, {side}, {_models_text(models)}"


def _models_text(n: int) -> str:
    return f"{n} model{'s' if n > 1 else ''}"


def _time_on_gpu(models: int, genes: int, config: FitConfig) -> tuple[Row, dict[str, Any]]:
    """Time the training of all models on the GPU; return a row, and other figures by name."""
    datasets, placement = simulate_datasets(models, genes), Placement("cuda")
    fit(plan_trainings(datasets), replace(config, epochs=1), placement)
    timed = time_training(datasets, config, placement)
    work = models * genes * config.epochs
    row = Row(_EPOCHS, f"GPU, lockstep, {_models_text(models)}", work, [timed.seconds], [0.0], [0.0])
    return row, {"gpu": torch.cuda.get_device_name(), **timed.to_dict()}
