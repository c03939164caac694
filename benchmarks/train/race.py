"""``dc bench train``: lockstep beside a plain PyTorch loop, time to an AUROC, and how far both are from the floor."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from deepchrome.benchmarks.common.results import Results, Row, Say
from deepchrome.benchmarks.train.speed import (
    FLOP_PER_GENE,
    GENES,
    H100_FLOOR,
    compare_on_cpu,
    measure_on_gpu,
    plain_loop,
)
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.train.datasets.dataset import load_datasets
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.run.protocols import BEST

# Side of the square matrices whose product shows what the processor can do.
_SIDE: Final = 2048


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Attributes
    ----------
    models
        Numbers of models, a comparison each.
    genes
        Training genes, and as many to validate on.
    epochs, gpu_epochs
        Of each turn on a CPU; on a GPU.
    rounds
        Turns of each side.
    plain_models
        Models that the plain loop trains in a turn, at most; its time is scaled to all.
    share
        The validation AUROC to reach: 0.5 and this share of the way to the best that the reads allow.
    most_epochs
        To reach it in.
    simulated_genes
        Of the simulated epigenome on which it is to be reached.
    """

    models: tuple[int, ...] = (1, 8, 56)
    genes: int = GENES
    epochs: int = 2
    gpu_epochs: int = 100
    rounds: int = 3
    plain_models: int = 4
    share: float = 0.95
    most_epochs: int = 30
    simulated_genes: int = 19_802


QUICK = Plan((1,), 256, 1, 2, 1, 1, share=0.5, most_epochs=15, simulated_genes=600)
_READS_PER_GENE: Final = 100


def race(plan: Plan, config: FitConfig, command: str, say: Say) -> Results:
    """Measure on the CPU, and on a GPU if PyTorch sees one.

    Parameters
    ----------
    plan
        How much.
    config
        What is trained; its epochs are the plan's.
    command
        For the record.
    say
        Told how it goes.
    """
    rows: list[Row] = []
    figures: dict[str, Any] = {}
    for models in plan.models:
        say(f"CPU: {_models(models)}, {plan.rounds} rounds in turn")
        rows += _on_cpu(models, plan, config, figures)
    say("CPU: time to a validation AUROC, on simulated reads")
    figures |= _to_auroc(plan, config)
    peak = _matmul_flops()
    figures |= {
        "flop_per_gene": FLOP_PER_GENE,
        "cpu_matmul_gflop_per_second": peak / 1e9,
        **{f"share_of_matmul, {row.name}": row.work / row.seconds * FLOP_PER_GENE / peak for row in rows},
        **{f"floor_seconds_h100_56_models_100_epochs_batch_{batch}": floor for batch, floor in H100_FLOOR.items()},
    }
    if torch.cuda.is_available():
        for models in plan.models:
            say(f"GPU: {_models(models)}, {plan.gpu_epochs} epochs")
            measured = measure_on_gpu(models, plan.genes, replace(config, epochs=plan.gpu_epochs), cpu_models=0)
            work = models * plan.genes * plan.gpu_epochs
            rows.append(Row("training", f"GPU, lockstep, {_models(models)}", work, [measured["seconds"]], [0.0], [0.0]))
            figures |= {
                f"gpu, {_models(models)}, {name}": value for name, value in measured.items() if value is not None
            }
    else:
        say("no GPU here: none measured")
        figures["gpu"] = "none here: not measured"
    settings = {**asdict(plan), **asdict(config), "batch": config.batch_size, "epochs": plan.epochs}
    settings["models"] = list(plan.models)
    return Results.here_and_now("train", command, {}, settings=settings, rows=rows, figures=figures)


def _on_cpu(models: int, plan: Plan, config: FitConfig, figures: dict[str, Any]) -> list[Row]:
    """Return a row of each side; what the plain loop takes for a few models is scaled to all."""
    plain_models = min(models, plan.plain_models)
    measured = compare_on_cpu(models, plan.genes, replace(config, epochs=plan.epochs), plan.rounds, plain_models)
    work = models * plan.genes * plan.epochs
    rows = []
    for side, speeds in measured["genes_per_second"].items():
        cpu = [micro * work / 1e6 for micro in measured["cpu_us_per_gene"][side]]
        scale = 1.0 if side == "lockstep" else models / plain_models
        name = f"CPU, {'plain loop' if side == 'plain' else side.replace('plain,', 'plain loop,')}, {_models(models)}"
        rows.append(Row("training", name, work, [work / speed for speed in speeds], cpu, [0.0] * len(cpu), scale))
    figures[f"lockstep / plain, {_models(models)}"] = measured["ratio_to_plain"]
    figures[f"lockstep / plain on 1 thread, {_models(models)}"] = measured["ratio_to_plain_1_thread"]
    return rows


class _Reached(Exception):  # noqa: N818 - no error
    pass


def _to_auroc(plan: Plan, config: FitConfig) -> dict[str, Any]:
    """Time both sides, one model, from its first step to the epoch whose validation AUROC is good enough."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (truth,) = simulate(
            folder / "data", epigenomes=1, genes=plan.simulated_genes, reads=_READS_PER_GENE * plan.simulated_genes
        )
        genes = folder / "data" / "genes.tsv"
        featurize([folder / "data"], genes=genes, genome="hg19", out=folder / "features")
        (data,), _ = load_datasets(
            folder / "features",
            folder / "data" / "expression.tsv",
            split="random",
            orient=BEST["orient"],
            transform=BEST["transform"],
        )
    attainable = truth.bayes_auroc or 0.5
    target = 0.5 + plan.share * (attainable - 0.5)
    config = replace(config, epochs=plan.most_epochs)

    def lockstep() -> bool:
        def on_epoch(epigenome: str, record: EpochRecord, checkpoint: Callable[[], Checkpoint]) -> None:  # noqa: ARG001
            if record.valid_auroc >= target:
                raise _Reached

        try:
            fit([data], config, Placement("cpu"), on_epoch=on_epoch)
        except _Reached:
            return True
        return False

    def plain() -> bool:
        return plain_loop(data, config, target) >= target

    times: dict[str, list[float]] = {"lockstep": [], "plain": []}
    reached = dict.fromkeys(times, True)
    for _ in range(plan.rounds):
        for name, task in (("lockstep", lockstep), ("plain", plain)):
            began = time.perf_counter()
            reached[name] &= task()
            times[name].append(time.perf_counter() - began)
    found = {f"seconds_to_target, {name}": _told(times[name], reached[name]) for name in times}
    return {"attainable_auroc": attainable, "target_valid_auroc": target, **found}


def _models(n: int) -> str:
    return f"{n} model{'s' if n > 1 else ''}"


def _told(seconds: Sequence[float], reached: bool) -> float | str:
    return statistics.median(seconds) if reached else "not reached"


def _matmul_flops() -> float:
    """Return the floating-point operations a second of a large product in fp32, on all threads, best of three."""
    one = torch.rand(_SIDE, _SIDE)
    best = 0.0
    for _ in range(4):
        began = time.perf_counter()
        one @ one
        best = max(best, 2 * _SIDE**3 / (time.perf_counter() - began))
    return best
