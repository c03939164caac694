"""Measure how long training takes until all models are as accurate as after a long training.

The long training has a constant learning rate. Its best validation AUROC is the target of each model. Lockstep, with
the default schedule, and a plain PyTorch loop, with the same learning rates, are timed until all models have come
within a tolerance of their targets. The data are counted from simulated reads.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from deepchrome.benchmarks.train.plain_loop import PlainDeepChrome, score_plain, train_plain
from deepchrome.benchmarks.train.speed import aurocs_of_test_genes
from deepchrome.common.names import TEST
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.load import load_datasets
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.run.protocols import BEST

_READS_PER_GENE: Final = 100
_CPU: Final = Placement("cpu")


def time_to_accuracy(
    models: int, genes: int, long_epochs: int, tolerance: float, rounds: int, config: FitConfig
) -> dict[str, Any]:
    """Time lockstep and a plain loop until all models are as accurate as after a long training.

    Parameters
    ----------
    models
        Number of models, each with an epigenome of its own.
    genes
        Number of simulated genes. A third is trained on.
    long_epochs
        Number of epochs of the long training, which has the defaults of
        :class:`~deepchrome.train.fitting.config.FitConfig`.
    tolerance
        A model has the accuracy when its validation AUROC is no more than this below its target.
    rounds
        The number of runs of lockstep and of the plain loop.
    config
        The default schedule.

    Returns
    -------
    dict
        Test AUROCs (means over models); ``seconds_to_accuracy, lockstep`` and ``seconds_to_accuracy, plain``, medians
        over the runs, or ``not reached`` if a model missed its target in any run; and the ratio of the two.
    """
    datasets, attainable = _simulate(models, genes)
    trainings = plan_trainings(datasets)
    long = FitConfig(epochs=long_epochs, batch_size=config.batch_size, precision=config.precision)
    fitted = fit(trainings, long, _CPU)
    best = [max(record.valid_auroc for record in model.history) for model in fitted]
    targets = dict(zip([training.key for training in trainings], [area - tolerance for area in best], strict=True))
    tests = {"long training": statistics.fmean(aurocs_of_test_genes(datasets, long, fitted, torch.device("cpu")))}

    def run_lockstep() -> dict[str, float]:
        reached: dict[str, float] = {}
        began = time.perf_counter()

        def on_epoch(key: str, record: EpochRecord, _checkpoint: Callable[[], Checkpoint]) -> None:
            if record.valid_auroc >= targets[key]:
                reached.setdefault(key, time.perf_counter() - began)

        short = fit(trainings, config, _CPU, on_epoch=on_epoch)
        tests["lockstep"] = statistics.fmean(aurocs_of_test_genes(datasets, config, short, torch.device("cpu")))
        return reached

    def run_plain() -> dict[str, float]:
        reached: dict[str, float] = {}
        areas = []
        began = time.perf_counter()
        for key, data in zip(targets, datasets, strict=True):

            def on_epoch(area: float, key: str = key) -> None:
                if area >= targets[key]:
                    reached.setdefault(key, time.perf_counter() - began)

            model = train_plain(data, config, on_epoch)
            areas.append(_test_area(model, data))
        tests["plain loop"] = statistics.fmean(areas)
        return reached

    seconds: dict[str, list[float]] = {"lockstep": [], "plain": []}
    for _ in range(rounds):
        for name, run in (("lockstep", run_lockstep), ("plain", run_plain)):
            reached = run()
            seconds[name].append(max(reached.values()) if len(reached) == models else float("inf"))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    figures: dict[str, Any] = {
        "attainable_auroc": attainable,
        "target_valid_auroc": statistics.fmean(targets.values()),
        **{f"test_auroc, {name}": area for name, area in tests.items()},
        **{f"seconds_to_accuracy, {name}": _finite(value) for name, value in medians.items()},
    }
    if all(map(np.isfinite, medians.values())):
        figures["speed to accuracy, lockstep / plain"] = medians["plain"] / medians["lockstep"]
    return figures


def _finite(seconds: float) -> float | str:
    return seconds if np.isfinite(seconds) else "not reached"


def _test_area(model: PlainDeepChrome, data: Dataset) -> float:
    test = data.split == TEST
    x = torch.from_numpy(np.ascontiguousarray(data.x[test].transpose(0, 2, 1)))
    return float(roc_auc_score(data.y[test], score_plain(model, x)))


def _simulate(models: int, genes: int) -> tuple[list[Dataset], float]:
    """Return data sets counted from simulated reads, and the mean AUROC of the best possible classifiers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truths = simulate(folder / "data", epigenomes=models, genes=genes, reads=_READS_PER_GENE * genes)
        gene_table = folder / "data" / "genes.tsv"
        featurize([folder / "data"], genes=gene_table, genome="hg19", out=folder / "features")
        expression = folder / "data" / "expression.tsv"
        datasets, _ = load_datasets(folder / "features", expression, split="random", inputs=BEST.inputs)
    return datasets, statistics.fmean(truth.bayes_auroc or 0.5 for truth in truths)
