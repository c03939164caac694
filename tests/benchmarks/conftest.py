"""A quick run of ``dc bench featurize`` that several tests look at."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.tiny import dc

from deepchrome.benchmarks.common.results import Results, read_results


@dataclass(frozen=True)
class QuickRun:
    """The results of the run, the directory they were saved in, and the folder of its data."""

    results: Results
    saved: Path
    data: Path


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> QuickRun:
    folder = tmp_path_factory.mktemp("bench")
    options = ("--quick", "--data", folder / "data", "--save", folder / "results", "--peer-python", sys.executable)
    ran = dc("bench", "featurize", *options, "--json")
    assert ran.code == 0, ran.err
    (saved,) = (folder / "results").iterdir()
    assert json.loads((saved / "featurize.json").read_text()) == ran.json()
    return QuickRun(read_results(saved), saved, folder / "data")
