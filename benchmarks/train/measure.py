"""Compare the speed of deepchrome's training ("lockstep") with that of a plain PyTorch loop on the same data.

Also measure the time until each reaches a target validation AUROC. Lockstep times are the times of complete calls of
:func:`deepchrome.train.fitting.fit.fit`. The plain loop runs in a separate process, once with PyTorch's default number
of threads and once with one thread.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

import torch

from deepchrome.benchmarks.common.processes import Usage, run_interleaved
from deepchrome.benchmarks.common.results import Results, Row
from deepchrome.benchmarks.train.data import GENES, score_network, simulate_dataset
from deepchrome.benchmarks.train.plain_loop import time_plain
from deepchrome.benchmarks.train.time_to_auroc import time_to_auroc
from deepchrome.common.names import TEST
from deepchrome.common.progress import OnMessage
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, FittedModel, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.models.metrics import auroc

# Lower bound in seconds for 56 models and 100 epochs on one H100, by batch size. It covers arithmetic, reading and
# writing of weights, and kernel launches.
H100_FLOOR: Final = {64: 4.3, 512: 1.2}
FLOP_PER_GENE: Final = 4.76e6  # floating-point operations to train on one gene once
# Number of rows and columns of the matrices whose product measures the speed of the processor.
_MATMUL_SIDE: Final = 2048


@dataclass(frozen=True)
class Settings:
    """Size of the benchmark.

    Attributes
    ----------
    models
        Numbers of models. There is one comparison for each number.
    genes
        The number of training genes, and of validation genes.
    epochs, gpu_epochs
        The numbers of epochs on the CPU and on the GPU.
    rounds
        The number of runs on the CPU.
    plain_models
        The largest number of models that the plain loop trains per run. Its time is scaled to all models.
    share
        Sets the target AUROC: 0.5 + ``share`` * (the best AUROC that the data allow - 0.5).
    max_epochs
        The largest number of epochs in which to reach the target.
    simulated_genes
        The number of genes of the simulated epigenome for the time to reach the target.
    """

    models: tuple[int, ...] = (1, 8, 56)
    genes: int = GENES
    epochs: int = 2
    gpu_epochs: int = 100
    rounds: int = 3
    plain_models: int = 4
    share: float = 0.95
    max_epochs: int = 30
    simulated_genes: int = 19_802


QUICK: Final = Settings((1,), 256, 1, 2, 1, 1, share=0.5, max_epochs=15, simulated_genes=600)


def measure(settings: Settings, config: FitConfig, command: str, on_message: OnMessage) -> Results:
    """Measure on the CPU, and on a GPU if PyTorch finds one.

    Parameters
    ----------
    settings
        Size of the benchmark.
    config
        Training configuration. Its number of epochs is ignored: ``settings`` gives the numbers.
    command
        The command line that repeats the run.
    on_message
        Receives progress messages.
    """
    rows: list[Row] = []
    figures: dict[str, Any] = {}
    for models in settings.models:
        on_message(f"CPU: {_models_text(models)}, {settings.rounds} rounds")
        measured = _time_on_cpu(models, settings, replace(config, epochs=settings.epochs))
        rows += measured
        figures |= _ratios(models, measured)
    on_message("CPU: time to reach a target validation AUROC on simulated reads")
    max_config = replace(config, epochs=settings.max_epochs)
    figures |= time_to_auroc(settings.simulated_genes, settings.share, settings.rounds, max_config)
    peak = _matmul_flops()
    figures |= {
        "flop_per_gene": FLOP_PER_GENE,
        "cpu_matmul_gflop_per_second": peak / 1e9,
        **{f"share_of_matmul, {row.name}": row.work / row.seconds * FLOP_PER_GENE / peak for row in rows},
        **{f"floor_seconds_h100_56_models_100_epochs_batch_{batch}": floor for batch, floor in H100_FLOOR.items()},
    }
    if torch.cuda.is_available():
        for models in settings.models:
            on_message(f"GPU: {_models_text(models)}, {settings.gpu_epochs} epochs")
            row, measured_on_gpu = _time_on_gpu(models, settings.genes, replace(config, epochs=settings.gpu_epochs))
            rows.append(row)
            figures |= {f"gpu, {_models_text(models)}, {name}": value for name, value in measured_on_gpu.items()}
    else:
        on_message("no GPU found: not measured on a GPU")
        figures["gpu"] = "not measured: no GPU found"
    recorded = {**asdict(settings), **asdict(config), "batch": config.batch_size, "epochs": settings.epochs}
    recorded["models"] = list(settings.models)
    return Results.create("train", command, {}, settings=recorded, rows=rows, figures=figures)


def _time_on_cpu(models: int, settings: Settings, config: FitConfig) -> list[Row]:
    """Return a row for the plain loop, for the plain loop with one thread, and for lockstep."""
    datasets = [simulate_dataset(f"E{i:03d}", i, settings.genes) for i in range(models)]
    plain_models = min(models, settings.plain_models)
    scale = models / plain_models

    def run_plain(threads: int | None) -> Usage:
        wall, cpu = time_plain(plain_models, settings.genes, config, threads)
        return Usage(wall * scale, cpu * scale, 0.0)

    def run_lockstep() -> Usage:
        began, cpu_began = time.perf_counter(), time.process_time()
        fit(plan_trainings(datasets), config, Placement("cpu"))
        return Usage(time.perf_counter() - began, time.process_time() - cpu_began, 0.0)

    # The first call starts threads and fills caches, so it is not timed.
    fit(plan_trainings(datasets[: Placement("cpu").usable_threads()]), replace(config, epochs=1), Placement("cpu"))
    tasks = {"plain loop": lambda: run_plain(None), "plain loop, 1 thread": lambda: run_plain(1)}
    usages = run_interleaved({**tasks, "lockstep": run_lockstep}, settings.rounds)
    work = models * settings.genes * config.epochs
    rows = [Row.from_usages("training", _row_name(side, models), work, runs) for side, runs in usages.items()]
    return [replace(row, scale=1.0 if row.name == _row_name("lockstep", models) else scale) for row in rows]


def _ratios(models: int, rows: Sequence[Row]) -> dict[str, float]:
    """Return the speed of lockstep relative to each plain loop: the medians over rounds."""
    plain, plain_1_thread, lockstep = rows

    def ratio(slower: Row) -> float:
        return statistics.median(a / b for a, b in zip(slower.wall, lockstep.wall, strict=True))

    return {
        f"lockstep / plain, {_models_text(models)}": ratio(plain),
        f"lockstep / plain on 1 thread, {_models_text(models)}": ratio(plain_1_thread),
    }


def _row_name(side: str, models: int) -> str:
    return f"CPU, {side}, {_models_text(models)}"


def _models_text(n: int) -> str:
    return f"{n} model{'s' if n > 1 else ''}"


def _time_on_gpu(models: int, genes: int, config: FitConfig) -> tuple[Row, dict[str, Any]]:
    """Time the training of all models on the GPU; return a row, and other figures by name."""
    datasets = [simulate_dataset(f"E{i:03d}", i, genes) for i in range(models)]
    device = torch.device("cuda")
    fit(plan_trainings(datasets), replace(config, epochs=1), Placement("cuda"))
    torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    fitted = fit(plan_trainings(datasets), config, Placement("cuda"))
    seconds = time.perf_counter() - began
    work = models * genes * config.epochs
    figures = {
        "gpu": torch.cuda.get_device_name(device),
        "seconds": seconds,
        "genes_per_second": work / seconds,
        "tflop_per_second": work * FLOP_PER_GENE / seconds / 1e12,
        "peak_memory_mb": torch.cuda.max_memory_allocated(device) / 1e6,
        "mean_test_auroc": statistics.fmean(map(partial(_auroc_of_test_genes, config), datasets, fitted)),
    }
    if config.batch_size in H100_FLOOR:
        figures["floor_seconds_h100"] = H100_FLOOR[config.batch_size]
    return Row("training", f"GPU, lockstep, {_models_text(models)}", work, [seconds], [0.0], [0.0]), figures


def _auroc_of_test_genes(config: FitConfig, data: Dataset, model: FittedModel) -> float:
    test = data.split == TEST
    area = auroc(data.y[test], score_network(config, model, data)[test])
    return float("nan") if area is None else area


def _matmul_flops() -> float:
    """Return the floating-point operations per second of an fp32 matrix product on all threads, best of four."""
    matrix = torch.rand(_MATMUL_SIDE, _MATMUL_SIDE)
    best = 0.0
    for _ in range(4):
        began = time.perf_counter()
        matrix @ matrix
        best = max(best, 2 * _MATMUL_SIDE**3 / (time.perf_counter() - began))
    return best
