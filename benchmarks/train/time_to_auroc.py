"""Measure how long lockstep and a plain PyTorch loop take to reach a target validation AUROC on simulated reads."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from deepchrome.benchmarks.train.plain_loop import train_plain
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.load import load_datasets
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.run.protocols import BEST

_READS_PER_GENE: Final = 100


class _TargetReachedError(Exception):
    """Raised to end a training run that has reached the target AUROC."""


def time_to_auroc(genes: int, share: float, rounds: int, config: FitConfig) -> dict[str, Any]:
    """Time lockstep and a plain loop on one model, until the end of the first epoch that reaches the target.

    Parameters
    ----------
    genes
        The number of simulated genes.
    share
        How close the target is to the best validation AUROC that the data allow: 0 is an AUROC of 0.5, 1 is the best.
    rounds
        The number of runs of lockstep and of the plain loop.
    config
        Training settings. A run ends after ``config.epochs`` epochs even if it has not reached the target.

    Returns
    -------
    dict
        ``attainable_auroc`` and ``target_valid_auroc``. ``seconds_to_target, lockstep`` and
        ``seconds_to_target, plain``: the median over the runs, or ``not reached`` if any run missed the target.
    """
    data, attainable = _simulate(genes)
    target = 0.5 + share * (attainable - 0.5)

    def run_lockstep() -> bool:
        def on_epoch(_epigenome: str, record: EpochRecord, _checkpoint: Callable[[], Checkpoint]) -> None:
            if record.valid_auroc >= target:
                raise _TargetReachedError

        try:
            fit(plan_trainings([data]), config, Placement("cpu"), on_epoch=on_epoch)
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
            inputs=BEST.inputs,
        )
    return data, truth.bayes_auroc or 0.5
