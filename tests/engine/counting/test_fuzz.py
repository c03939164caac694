"""Replay the seeds and all inputs that once failed; try random inputs, and guided ones if atheris is installed."""

import importlib.util
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign.rows import sized
from fuzz.targets import TARGETS
from support.places import TESTS

FUZZ = TESTS / "fuzz"
CORPUS = sorted((FUZZ / "corpus").glob("*/*"))


@pytest.mark.campaign("fuzz")
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_replay(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def mutate(data: bytes, other: bytes, dice: random.Random) -> bytes:
    """Return ``data`` with some bytes changed, removed or repeated, or with its end replaced by that of ``other``."""
    new = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        at, n = dice.randrange(len(new) + 1), dice.choice((1, 1, 2, 4, 8, 40))
        change = dice.randrange(5)
        if change == 0 and at < len(new):
            new[at] ^= 1 << dice.randrange(8)
        elif change == 1:
            del new[at : at + n]
        elif change == 2:
            new[at:at] = new[at : at + n] * dice.randrange(4)
        elif change == 3:
            new[at : at + n] = dice.randbytes(n)
        else:
            new[at:] = other[dice.randrange(len(other) + 1) :]
    return bytes(new)


@pytest.mark.campaign("fuzz")
@pytest.mark.parametrize("target", TARGETS)
def test_random_inputs(target: str, record_property: Callable[[str, int], None]) -> None:
    """Run the compiled kernels, whose branches the guided fuzzer cannot see, on randomly changed seeds."""
    seeds = [path.read_bytes() for path in CORPUS if path.parent.name == target]
    dice, n = random.Random(target), sized(1000, 50_000)
    for _ in range(n):
        data = mutate(dice.choice(seeds), dice.choice(seeds), dice)
        try:
            TARGETS[target](data)
        except Exception as error:
            raise AssertionError(f"on {data!r}") from error
    record_property("inputs tried on the compiled kernels", n)


@pytest.mark.campaign("fuzz")
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris (Linux): pip install .[fuzz]")
@pytest.mark.parametrize("target", TARGETS)
def test_guided(target: str, tmp_path: Path, record_property: Callable[[str, int], None]) -> None:
    """Run each target for 4 seconds, or for 205 in the campaign. The message shows an input that fails."""
    seconds = sized(4, 205)
    command = [sys.executable, FUZZ / "guided.py", target, str(seconds), tmp_path, FUZZ / "corpus" / target]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    tried = re.search(r"number_of_executed_units:\s*(\d+)", ran.stderr)
    assert tried
    assert int(tried[1]) > 100
    assert not list(tmp_path.glob("crash-*"))
    record_property("guided inputs, plain", int(tried[1]))
    record_property("seconds of guided fuzzing", seconds)
