"""Train DeepChrome with an ordinary PyTorch loop, as the baseline for the speed of lockstep training.

The loop trains one model at a time, built from Conv1d, MaxPool1d, Linear and Dropout modules. It has what pays without
a change of the model: a fused optimizer, the same learning rates, and bf16 where the CPU has instructions for it. After
every epoch, it scores the validation genes and computes scikit-learn's AUROC.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn

from deepchrome.benchmarks.train.data import BINS, MARKS, simulate_dataset
from deepchrome.common.names import TRAIN, VALID
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig

_SCORING_BATCH = 1024
_CPU = torch.device("cpu")
_SCRIPT = "import sys; from deepchrome.benchmarks.train.plain_loop import time_here; time_here(sys.argv[1])"


class PlainDeepChrome(nn.Module):
    """The layers of Singh et al. 2016 as PyTorch modules."""

    def __init__(self) -> None:
        super().__init__()
        channels, kernel, pool = 50, 10, 5
        pooled = channels * ((BINS - kernel + 1) // pool)
        self.features = nn.Sequential(nn.Conv1d(MARKS, channels, kernel), nn.ReLU(), nn.MaxPool1d(pool), nn.Flatten())
        self.classifier = nn.Sequential(
            *(nn.Dropout(0.5), nn.Linear(pooled, 625), nn.ReLU(), nn.Linear(625, 125), nn.ReLU(), nn.Linear(125, 2))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of inputs float32 (genes, marks, bins): float32 (genes, 2)."""
        logits: torch.Tensor = self.classifier(self.features(x))
        return logits


def train_plain(data: Dataset, config: FitConfig, on_epoch: Callable[[float], object] | None = None) -> PlainDeepChrome:
    """Train one classifier.

    Parameters
    ----------
    data
        The data set.
    config
        The settings of the optimizer, the schedule and the precision; others are not used.
    on_epoch
        Called with the validation AUROC of every epoch.
    """
    x = torch.from_numpy(np.ascontiguousarray(data.x.transpose(0, 2, 1)))
    y = torch.from_numpy(data.y.astype(np.int64))
    train, valid = np.flatnonzero(data.split == TRAIN), np.flatnonzero(data.split == VALID)
    rows, valid_x = torch.from_numpy(train), x[torch.from_numpy(valid)]
    model = PlainDeepChrome()
    weights, lr, decay = model.parameters(), config.lr, config.weight_decay
    optimizer: torch.optim.Optimizer
    if config.optimizer == "sgd":
        momentum, nesterov = config.momentum, config.nesterov
        optimizer = torch.optim.SGD(weights, lr, momentum, weight_decay=decay, nesterov=nesterov, fused=True)
    else:
        optimizer_class = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
        optimizer = optimizer_class(weights, lr, weight_decay=decay, fused=True)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=config.resolve_precision(_CPU) == "bf16")
    steps, step = config.epochs * -(-rows.numel() // config.batch_size), 0
    for _ in range(config.epochs):
        model.train()
        for genes in torch.split(rows[torch.randperm(rows.numel())], config.batch_size):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate(step, steps)
            step += 1
            optimizer.zero_grad()
            with autocast:
                logits = model(x[genes])
            nn.functional.cross_entropy(logits.float(), y[genes]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with autocast:
            area = float(roc_auc_score(data.y[valid], score_plain(model, valid_x)))
        if on_epoch is not None:
            on_epoch(area)
    return model


@torch.no_grad()
def score_plain(model: PlainDeepChrome, x: torch.Tensor) -> NDArray[np.float64]:
    """Return the log odds of genes, float64 (genes,), from inputs float32 (genes, marks, bins)."""
    model.eval()
    logits = torch.cat([model(part).double() for part in torch.split(x, _SCORING_BATCH)])
    return np.asarray((logits[:, 1] - logits[:, 0]).numpy())


def time_plain(models: int, genes: int, config: FitConfig, threads: int | None) -> tuple[float, float]:
    """Measure the time to train ``models`` models, one after another, in a new process.

    Parameters
    ----------
    models
        The number of models.
    genes
        The number of training genes per model.
    config
        The training settings.
    threads
        The number of threads. None keeps PyTorch's default.

    Returns
    -------
    wall, cpu
        Wall-clock and CPU time, in seconds.
    """
    # deepchrome.train sets this variable, but the plain loop must run with PyTorch's defaults.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    arguments = json.dumps([models, genes, asdict(config), threads])
    command = [sys.executable, "-c", _SCRIPT, arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    wall, cpu = json.loads(done.stdout)
    return wall, cpu


def time_here(arguments: str) -> None:
    """Do the work of :func:`time_plain`, in the process that it starts, and print the two times as JSON."""
    models, genes, config, threads = json.loads(arguments)
    if threads:
        torch.set_num_threads(threads)
    datasets = [simulate_dataset(f"E{i:03d}", i, genes) for i in range(models)]
    train_plain(datasets[0], FitConfig(**{**config, "epochs": 1}))
    wall, cpu = time.perf_counter(), time.process_time()
    for data in datasets:
        train_plain(data, FitConfig(**config))
    sys.stdout.write(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
