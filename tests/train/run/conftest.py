import shutil
from pathlib import Path

import pytest
from support.runs import train


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """A finished run that no test may change."""
    out = tmp_path_factory.mktemp("finished") / "run"
    train(out)
    return out


@pytest.fixture
def run_copy(finished_run, tmp_path) -> Path:
    """A copy of the finished run, for tests that damage it."""
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"
