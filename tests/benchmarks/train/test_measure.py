"""dc bench train: a small run."""

from dataclasses import replace
from pathlib import Path

import pytest

from deepchrome.benchmarks.common.results import read_results
from deepchrome.benchmarks.maintain.sections import train_section
from deepchrome.benchmarks.train import measure as module
from deepchrome.benchmarks.train.accuracy import time_to_accuracy
from deepchrome.benchmarks.train.checks import Check
from deepchrome.benchmarks.train.measure import QUICK, Settings, measure
from deepchrome.errors import BadDataError
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.run.protocols import BEST


def test_small_run_times_lockstep_and_plain_loop(tmp_path: Path) -> None:
    settings = Settings(
        (2,), 64, 1, 1, 1, plain_models=1, accurate_models=1, simulated_genes=300, long_epochs=2, tolerance=0.3
    )
    results = measure(settings, FitConfig(batch_size=32), "dc bench train --small", lambda line: None)
    saved = results.save(tmp_path / "results")
    assert read_results(saved) == results
    rows, figures = {row.name: row for row in results.rows}, results.figures
    lockstep, plain = rows["CPU, lockstep, 2 models"], rows["CPU, plain loop, 2 models"]
    assert lockstep.work == plain.work == 2 * 64
    assert (lockstep.scale, plain.scale) == (1, 2)
    assert figures["lockstep / plain, 2 models"] == pytest.approx(plain.wall[0] / lockstep.wall[0])
    schedule = rows["CPU, default schedule, 2 models"]
    assert schedule.work == 2 * 64 * BEST.fit.epochs
    assert figures["seconds, CPU, default schedule, 2 models"] == schedule.seconds
    # 4.76 MFLOP per gene.
    rate = schedule.work / schedule.seconds * 4.76e6 / (figures["cpu_matmul_gflop_per_second"] * 1e9)
    assert figures["share_of_matmul, CPU, default schedule, 2 models"] == pytest.approx(rate)
    assert figures["cpu_precision"] == FitConfig().resolve_precision(module.torch.device("cpu"))
    assert 0 <= figures["largest difference, together and alone"] < 1e-3
    text = train_section(results, "there")
    assert f"| CPU, lockstep, 2 models | {lockstep.work / lockstep.seconds:,.0f} |" in text
    assert "CPU, plain loop, 2 models \\*" in text
    assert "default schedule, 2 models" in text


def test_nothing_is_timed_if_networks_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run_checks", lambda device: [Check("sgd: together and alone", 0.5, 1.0)])
    with pytest.raises(BadDataError, match=r"not reproducible \(sgd: together and alone: they differ by 0.5\)"):
        measure(QUICK, FitConfig(), "dc bench train --quick", lambda line: None)


def test_accuracy_that_is_not_reached_is_said() -> None:
    config = replace(BEST.fit, epochs=1, min_steps=0, lr=1e-6, batch_size=32)
    figures = time_to_accuracy(1, 300, 5, 0.0, 1, config)
    assert figures["seconds_to_accuracy, lockstep"] == figures["seconds_to_accuracy, plain"] == "not reached"
    assert "speed to accuracy, lockstep / plain" not in figures
    assert 0.5 < figures["test_auroc, long training"] < figures["attainable_auroc"] + 0.1


def test_accuracy_that_is_reached_is_timed() -> None:
    figures = time_to_accuracy(2, 450, 3, 0.2, 1, replace(BEST.fit, min_steps=0, batch_size=32))
    assert figures["seconds_to_accuracy, lockstep"] > 0
    ratio = figures["seconds_to_accuracy, plain"] / figures["seconds_to_accuracy, lockstep"]
    assert figures["speed to accuracy, lockstep / plain"] == pytest.approx(ratio)
