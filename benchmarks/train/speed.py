"""Training speed: many models in lockstep beside a plain PyTorch loop, on simulated data of the paper's size.

The plain loop is what one would write for one model: Conv1d, MaxPool1d, Linear and Dropout modules, a
loop over mini-batches, an optimizer, a validation pass and scikit-learn's AUROC after every epoch;
in a process of its own with PyTorch's own choice of threads, then with one. Both sides do the same work
on the same data. Lockstep figures hold all that ``fit`` does.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.splits import TEST, TRAIN, VALID
from deepchrome.train.fitting.config import FitConfig, FittedModel, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.models import score_genes

MARKS, BINS, GENES = 5, 100, 6601
# Compute, weight traffic and launches of all 56 models and 100 epochs on one H100, in seconds, by batch size.
H100_FLOOR = {64: 4.3, 512: 1.2}
FLOP_PER_GENE = 4.76e6
_PLAIN = "import sys; from deepchrome.benchmarks.train.speed import time_plain; time_plain(sys.argv[1])"


def simulated(name: str, seed: int, genes: int = GENES) -> Dataset:
    """Simulate an epigenome: ``genes`` genes a part, of which one mark tells with errors which are on."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 3 * genes).astype(np.uint8)
    x = rng.integers(0, 6, (3 * genes, BINS, MARKS), dtype=np.uint8).astype(np.float32)
    x[:, 45:55, 3] += rng.poisson(0.25 + 0.25 * y[:, None], (3 * genes, 10))
    split = np.repeat(np.arange(3, dtype=np.int8), genes)
    gene_id = tuple(map(str, range(3 * genes)))
    return Dataset(name, tuple(f"mark{i}" for i in range(MARKS)), gene_id, np.log1p(x, out=x), y, split)


class PlainDeepChrome(nn.Module):
    """The layers of 2016 as PyTorch has them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv1d(MARKS, 50, 10), nn.ReLU(), nn.MaxPool1d(5), nn.Flatten())
        self.classifier = nn.Sequential(
            *(nn.Dropout(0.5), nn.Linear(900, 625), nn.ReLU(), nn.Linear(625, 125), nn.ReLU(), nn.Linear(125, 2))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (genes, marks, bins) to logits (genes, 2)."""
        logits: torch.Tensor = self.classifier(self.features(x))
        return logits


def plain_loop(data: Dataset, config: FitConfig, enough: float = 1.0) -> float:
    """Train one model for ``config.epochs`` epochs the ordinary way, or until its validation AUROC is ``enough``.

    Returns
    -------
    The last validation AUROC.
    """
    x = torch.from_numpy(np.ascontiguousarray(data.x.transpose(0, 2, 1)))
    y = torch.from_numpy(data.y.astype(np.int64))
    train, valid = np.flatnonzero(data.split == TRAIN), np.flatnonzero(data.split == VALID)
    rows, valid_x = torch.from_numpy(train), x[torch.from_numpy(valid)]
    model = PlainDeepChrome()
    if config.optimizer == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), config.lr, config.momentum)
    else:
        optimizer = torch.optim.Adam(model.parameters(), config.lr)
    auroc = 0.0
    for _ in range(config.epochs):
        model.train()
        order = rows[torch.randperm(rows.numel())]
        for start in range(0, order.numel(), config.batch_size):
            genes = order[start : start + config.batch_size]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[genes]), y[genes])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        model.eval()
        with torch.no_grad():
            scores = torch.cat([model(part)[:, 1] for part in torch.split(valid_x, 1024)])
        auroc = float(roc_auc_score(data.y[valid], scores.numpy()))
        if auroc >= enough:
            break
    return auroc


def plain_side(models: int, genes: int, config: FitConfig, threads: int | None) -> tuple[float, float]:
    """Time the plain loop on ``models`` models in a process of its own, under PyTorch's own defaults.

    Returns
    -------
    seconds, cpu_seconds
    """
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    given = json.dumps([models, genes, asdict(config), threads])
    command = [sys.executable, "-c", _PLAIN, given]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    wall, cpu = json.loads(done.stdout)
    return wall, cpu


def time_plain(given: str) -> None:
    """Print what :func:`plain_side` returns; runs in its process."""
    models, genes, config, threads = json.loads(given)
    if threads:
        torch.set_num_threads(threads)
    datasets = [simulated(f"E{i:03d}", i, genes) for i in range(models)]
    plain_loop(datasets[0], FitConfig(**{**config, "epochs": 1}))
    wall, cpu = time.perf_counter(), time.process_time()
    for data in datasets:
        plain_loop(data, FitConfig(**config))
    sys.stdout.write(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))


def compare_on_cpu(models: int, genes: int, config: FitConfig, rounds: int, plain_models: int) -> dict[str, Any]:
    """Time lockstep and plain training in turns; a list of turns per side.

    ``genes_per_second`` is of wall time. ``cpu_us_per_gene`` is what all threads together took: on a
    machine that does other work too it is the steadier figure.
    """
    datasets = [simulated(f"E{i:03d}", i, genes) for i in range(models)]
    threads = Placement("cpu").usable_threads()
    speeds: dict[str, list[float]] = {"plain": [], "plain, 1 thread": [], "lockstep": []}
    cpu: dict[str, list[float]] = {name: [] for name in speeds}
    fit(datasets[:threads], replace(config, epochs=1), Placement("cpu"))
    for _ in range(rounds):
        for name in speeds:
            trained = models if name == "lockstep" else plain_models
            if name == "lockstep":
                began, cpu_began = time.perf_counter(), time.process_time()
                fit(datasets, config, Placement("cpu"))
                seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
            else:
                seconds, cpu_seconds = plain_side(plain_models, genes, config, None if name == "plain" else 1)
            work = trained * genes * config.epochs
            speeds[name].append(work / seconds)
            cpu[name].append(cpu_seconds / work * 1e6)
    return {
        "genes_per_second": speeds,
        "cpu_us_per_gene": cpu,
        "threads": threads,
        "ratio_to_plain": _median_ratio(speeds["lockstep"], speeds["plain"]),
        "ratio_to_plain_1_thread": _median_ratio(speeds["lockstep"], speeds["plain, 1 thread"]),
    }


def test_auroc(data: Dataset, model: FittedModel) -> float:
    """Score the test genes, on the CPU."""
    test = data.split == TEST
    return float(roc_auc_score(data.y[test], score_genes("deepchrome", model.weights, data.x[test])))


def measure_on_gpu(models: int, genes: int, config: FitConfig, cpu_models: int) -> dict[str, Any]:
    """Time all models on the GPU, whole, and compare some of them with the CPU's."""
    datasets = [simulated(f"E{i:03d}", i, genes) for i in range(models)]
    device = torch.device("cuda")
    fit(datasets, replace(config, epochs=1), Placement("cuda"))
    torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    on_gpu = fit(datasets, config, Placement("cuda"))
    seconds = time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(device)
    few = datasets[:cpu_models]
    on_cpu = fit(few, config, Placement("cpu")) if few else []
    differences = [
        abs(test_auroc(data, one) - test_auroc(data, other))
        for data, one, other in zip(few, on_gpu, on_cpu, strict=False)
    ]
    trained = models * genes * config.epochs
    return {
        "gpu": torch.cuda.get_device_name(device),
        "seconds": seconds,
        "genes_per_second": trained / seconds,
        "tflop_per_second": trained * FLOP_PER_GENE / seconds / 1e12,
        "peak_memory_mb": peak / 1e6,
        "floor_seconds_h100": H100_FLOOR.get(config.batch_size),
        "test_auroc_difference_to_cpu": max(differences, default=None),
        "mean_test_auroc": statistics.fmean(map(test_auroc, datasets, on_gpu)),
    }


def _median_ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
