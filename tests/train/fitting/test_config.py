"""Settings of training: their limits, learning rates, and precision."""

import re

import numpy as np
import pytest
import torch

from deepchrome.errors import ParameterError
from deepchrome.train.fitting.config import FitConfig, has_bf16_instructions


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 832])
def test_one_cycle_rises_and_falls_linearly(steps) -> None:
    config = FitConfig(lr=0.05, schedule="one-cycle")
    rates = [config.learning_rate(step, steps) for step in range(steps)]
    corners = [-1, steps / 4, steps], [0, 0.05, 0]
    np.testing.assert_allclose(rates, np.interp(np.arange(steps), *corners))
    assert min(rates) > 0
    assert max(rates) <= 0.05


def test_one_cycle_of_many_steps_begins_and_ends_near_0() -> None:
    config = FitConfig(lr=0.05, schedule="one-cycle")
    rates = [config.learning_rate(step, 832) for step in range(832)]
    assert (rates[0], rates[-1]) == (pytest.approx(0.05 / 209), pytest.approx(0.05 / 624))
    assert rates.index(max(rates)) == 208
    assert rates[208] == 0.05


def test_constant_rate_decays_as_in_torch7() -> None:
    assert {FitConfig(lr=0.3).learning_rate(step, 10) for step in range(10)} == {0.3}
    decaying = FitConfig(lr=0.3, lr_decay=0.01)
    np.testing.assert_allclose([decaying.learning_rate(t, 9) for t in range(3)], [0.3, 0.3 / 1.01, 0.3 / 1.02])


def test_decay_has_no_meaning_in_one_cycle() -> None:
    with pytest.raises(ParameterError, match="lr_decay has no meaning with the schedule one-cycle"):
        FitConfig(lr_decay=0.1, schedule="one-cycle")


def test_precision_follows_the_device() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert FitConfig().resolve_precision(cpu) == ("bf16" if has_bf16_instructions() else "fp32")
    assert FitConfig().resolve_precision(gpu) == "tf32"
    for precision in ("fp32", "bf16"):
        assert {FitConfig(precision=precision).resolve_precision(device) for device in (cpu, gpu)} == {precision}


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({}, False), ({"avx2": True}, False), ({"amx_bf16": True}, True), ({"avx512_bf16": True}, True)],
)
def test_bf16_needs_its_instructions(capabilities, expected, monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_bf16_instructions() == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # versions of PyTorch that do not tell
    assert not has_bf16_instructions()


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("epochs", 0, "must be at least 1, got 0"),
        ("batch_size", 0, "must be at least 1, got 0"),
        ("lr", 0.0, "must be finite and above 0, got 0.0"),
        ("lr", float("nan"), "must be finite and above 0, got nan"),
        ("momentum", 1.0, "must be at least 0 and below 1, got 1.0"),
        ("weight_decay", -0.1, "must be finite and at least 0, got -0.1"),
        ("lr_decay", float("inf"), "must be finite and at least 0, got inf"),
        ("members", 0, "must be at least 1, got 0"),
        ("shift_bins", -1, "must be at least 0, got -1"),
        ("mark_dropout", 1.0, "must be at least 0 and below 1, got 1.0"),
        ("task", "rank", "must be one of classify, regress, both, got 'rank'"),
        ("optimizer", "rmsprop", "must be one of sgd, adam, adamw, got 'rmsprop'"),
        ("schedule", "cosine", "must be one of constant, one-cycle, got 'cosine'"),
        ("precision", "fp16", "must be one of auto, fp32, tf32, bf16, got 'fp16'"),
        ("patience", -1, "must be at least 0, got -1"),
        ("seed", -1, "must be at least 0, got -1"),
    ],
)
def test_settings_out_of_range_are_refused(name, value, problem) -> None:
    with pytest.raises(ParameterError, match=f"^{re.escape(f'{name} {problem}')}$"):
        FitConfig(**{name: value})
