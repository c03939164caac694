"""The script for a machine with a GPU runs with PyTorch, numpy and safetensors alone."""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from support.places import CHECKOUT

_ALLOWED = ("torch", "numpy", "safetensors")
# Run a module while some import names are not found, as if their packages were not installed.
_RUN = """
import runpy, sys
from importlib.machinery import PathFinder
_, blocked, module, *options = sys.argv
blocked, find = set(blocked.split(",")), PathFinder.find_spec
def find_spec(cls, name, *rest):
    return None if name.partition(".")[0] in blocked else find(name, *rest)
PathFinder.find_spec = classmethod(find_spec)
sys.argv = [module, *options]
runpy.run_module(module, run_name="__main__")
"""


def needed_distributions() -> set[str]:
    """Return the distributions that the allowed ones need, and themselves."""
    found: set[str] = set()
    waiting = list(_ALLOWED)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needs = [Requirement(text) for text in requires(name) or ()]
            waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return {name.lower().replace("_", "-") for name in found}


def other_imports() -> list[str]:
    """Return the import names of all other installed distributions."""
    allowed = {*needed_distributions(), "deepchrome"}
    return [
        name
        for name, distributions in packages_distributions().items()
        if allowed.isdisjoint(each.lower().replace("_", "-") for each in distributions)
    ]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    file = tmp_path_factory.mktemp("gpu") / "gpu.json"
    options = ["--device", "cpu", "--models", "2", "--genes", "192", "--epochs", "2", "--json", str(file)]
    blocked = ",".join(other_imports())
    command = [sys.executable, "-c", _RUN, blocked, "deepchrome.benchmarks.train.gpu", *options]
    environment = {"PYTHONPATH": str(CHECKOUT / "src"), "PATH": ""}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(file.read_text()), ran.stdout


def test_other_packages_are_blocked() -> None:
    blocked = other_imports()
    assert {"polars", "scipy", "sklearn", "typer", "numba", "pyarrow", "rich", "pysam"} <= set(blocked)
    assert not {"torch", "numpy", "safetensors", "deepchrome"} & set(blocked)
    command = [sys.executable, "-c", _RUN, ",".join(blocked), "polars"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "No module named polars" in ran.stderr


def test_script_reports_checks_profile_and_times(small_run) -> None:
    document, printed = small_run
    assert all(check["passed"] for check in document["checks"])
    assert "12 of 12 passed" in printed
    assert document["versions and device"]["device"] == "cpu"
    (profile,) = (value for name, value in document.items() if name.startswith("profile"))
    assert any("aten::bmm" in line for line in profile)
    trainings = {name: values for name, values in document.items() if "batch" in name and "seconds" in values}
    assert len(trainings) == 6
    for name, values in trainings.items():
        assert values["models"] == 2
        assert values["seconds"] >= values["epoch_seconds"] > 0
        # Two epochs of 192 genes.
        assert values["steps"] == (6 if "batch 64" in name else 2)
        assert values["milliseconds_per_step"] == pytest.approx(1e3 * values["epoch_seconds"] / values["steps"])
        # 4.3 s for 100 epochs of 104 steps; 1.2 s for 100 epochs of 13 steps.
        floor = 4300 / 10400 if "batch 64" in name else 1200 / 1300
        assert values["floor_milliseconds_per_step"] == pytest.approx(floor)
    parts = next(value for name, value in document.items() if name.startswith("parts of an epoch, short"))
    assert parts.keys() >= {"set up", "train", "validate", "keep all as best"}
