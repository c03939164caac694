"""dc bench train: a small run."""

from pathlib import Path

import pytest

from deepchrome.benchmarks.common.results import read_results
from deepchrome.benchmarks.maintain.sections import train_section
from deepchrome.benchmarks.train.measure import Settings, measure
from deepchrome.train.fitting.config import FitConfig


def test_small_run_times_lockstep_and_plain_loop(tmp_path: Path) -> None:
    settings = Settings((2,), 64, 1, 1, rounds=1, plain_models=1, share=0.3, max_epochs=20, simulated_genes=300)
    results = measure(settings, FitConfig(batch_size=32), "dc bench train --small", lambda line: None)
    saved = results.save(tmp_path / "results")
    assert read_results(saved) == results
    rows = {row.name: row for row in results.rows}
    lockstep, plain = rows["CPU, lockstep, 2 models"], rows["CPU, plain loop, 2 models"]
    assert lockstep.work == plain.work == 2 * 64
    assert (lockstep.scale, plain.scale) == (1, 2)
    assert results.figures["lockstep / plain, 2 models"] == pytest.approx(plain.wall[0] / lockstep.wall[0])
    text = train_section(results, "there")
    assert f"| CPU, lockstep, 2 models | {lockstep.work / lockstep.seconds:,.0f} |" in text
    assert "CPU, plain loop, 2 models \\*" in text
    assert 0.5 < results.figures["target_valid_auroc"] < results.figures["attainable_auroc"] < 1
