"""The fuzzer's targets: its seeds and all that it ever found, replayed; and a guided run where atheris is installed."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign.rows import sized
from fuzz.targets import TARGETS

FUZZ = Path(__file__).parents[1] / "fuzz"
CORPUS = sorted((FUZZ / "corpus").glob("*/*"))


@pytest.mark.campaign("fuzz")
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_replay(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.campaign("fuzz")
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris (Linux): pip install .[fuzz]")
@pytest.mark.parametrize("target", TARGETS)
def test_guided(target: str, tmp_path: Path, record_property: Callable[[str, int], None]) -> None:
    """Ten minutes of the three in the campaign, seconds in the suite; what falls is left in the message."""
    seconds = sized(4, 205)
    command = [sys.executable, FUZZ / "guided.py", target, str(seconds), tmp_path, FUZZ / "corpus" / target]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    tried = re.search(r"number_of_executed_units:\s*(\d+)", ran.stderr)
    assert tried
    assert int(tried[1]) > 100
    assert not list(tmp_path.glob("crash-*"))
    record_property("inputs tried", int(tried[1]))
    record_property("seconds of guided fuzzing", seconds)
