"""Measure how long lockstep and a plain PyTorch loop take to reach a validation AUROC on simulated reads."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from deepchrome.benchmarks.train.plain_loop import train_plain
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.train.datasets.dataset import Dataset, load_datasets
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.run.protocols import BEST

_READS_PER_GENE: Final = 100


class _TargetReachedError(Exception):
    """Ends a training run."""


def time_to_auroc(genes: int, share: float, rounds: int, config: FitConfig) -> dict[str, Any]:
    """Time both, one model, from the first step to the end of the first epoch that reaches the target.

    Parameters
    ----------
    genes
        The number of simulated genes.
    share
        The target is a validation AUROC of 0.5 plus this share of the distance to the best that the data allow.
    rounds
        The number of runs of each.
    config
        How to train, for at most ``config.epochs`` epochs.

    Returns
    -------
    dict
        ``attainable_auroc``, ``target_valid_auroc``, and median seconds, or ``not reached``, by name.
    """
    data, attainable = _simulate(genes)
    target = 0.5 + share * (attainable - 0.5)

    def run_lockstep() -> bool:
        def on_epoch(_epigenome: str, record: EpochRecord, _checkpoint: Callable[[], Checkpoint]) -> None:
            if record.valid_auroc >= target:
                raise _TargetReachedError

        try:
            fit([data], config, Placement("cpu"), on_epoch=on_epoch)
        except _TargetReachedError:
            return True
        return False

    def run_plain() -> bool:
        return train_plain(data, config, target) >= target

    tasks = {"lockstep": run_lockstep, "plain": run_plain}
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    reached = dict.fromkeys(tasks, True)
    for _ in range(rounds):
        for name, task in tasks.items():
            began = time.perf_counter()
            reached[name] &= task()
            seconds[name].append(time.perf_counter() - began)
    return {
        "attainable_auroc": attainable,
        "target_valid_auroc": target,
        **{
            f"seconds_to_target, {name}": statistics.median(seconds[name]) if reached[name] else "not reached"
            for name in tasks
        },
    }


def _simulate(genes: int) -> tuple[Dataset, float]:
    """Return a dataset counted from simulated reads, and the AUROC of the best possible classifier."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (truth,) = simulate(folder / "data", epigenomes=1, genes=genes, reads=_READS_PER_GENE * genes)
        gene_table = folder / "data" / "genes.tsv"
        featurize([folder / "data"], genes=gene_table, genome="hg19", out=folder / "features")
        (data,), _ = load_datasets(
            folder / "features",
            folder / "data" / "expression.tsv",
            split="random",
            orient=BEST.inputs.orient,
            transform=BEST.inputs.transform,
        )
    return data, truth.bayes_auroc or 0.5
