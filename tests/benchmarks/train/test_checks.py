"""Networks are the same alone and together, on a CPU and on a GPU, and after an interruption."""

import itertools

import numpy as np
import pytest
import torch

from deepchrome.benchmarks.train import checks
from deepchrome.benchmarks.train.checks import (
    CONFIGS,
    LIMIT,
    check_against_cpu,
    check_lockstep,
    check_resume,
    run_checks,
)
from deepchrome.benchmarks.train.data import simulate_dataset
from deepchrome.train.fitting import stack
from deepchrome.train.fitting.training import Training

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
on_every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=gpu)])
with_all_settings = pytest.mark.parametrize("name", CONFIGS)


@on_every_device
@with_all_settings
def test_stacked_networks_equal_those_trained_alone(name, device) -> None:
    check = check_lockstep(name, CONFIGS[name], device)
    assert check.passed, check


@on_every_device
@with_all_settings
def test_training_continues_from_checkpoints(name, device) -> None:
    check = check_resume(name, CONFIGS[name], device)
    assert check.passed, check
    if device == "cpu":
        assert check.difference == 0


@gpu
@with_all_settings
def test_gpu_trains_the_same_networks_as_cpu(name) -> None:
    check = check_against_cpu(name, CONFIGS[name], "cuda")
    assert check.passed, check


def test_checks_find_random_choices_that_depend_on_other_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()
    monkeypatch.setattr(stack, "random_generator", lambda *_: np.random.default_rng(next(calls)))
    assert not check_lockstep("sgd", CONFIGS["sgd"], "cpu").passed
    assert not check_resume("sgd", CONFIGS["sgd"], "cpu").passed


def test_checks_find_networks_that_are_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "simulate_dataset", lambda name, seed, genes: simulate_dataset("E000", 0, 50))
    monkeypatch.setattr(
        checks, "plan_trainings", lambda datasets: [Training(f"E{i}", (datasets[i],)) for i in range(3)]
    )
    check = check_lockstep("sgd", CONFIGS["sgd"], "cpu")
    assert check.difference <= LIMIT
    assert not check.passed


def test_all_checks_run_on_a_cpu() -> None:
    found = list(run_checks("cpu"))
    assert len({check.name for check in found}) == 2 * len(CONFIGS)
    assert all(check.passed for check in found)
