"""The script for a machine with a GPU runs with PyTorch, numpy and safetensors alone."""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from support.places import CHECKOUT

_ALLOWED = ("torch", "numpy", "safetensors")
# Run a module while the imports of some names fail, as if their packages were not installed.
_RUN = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"not on the machine with the GPU: {name}")
blocked, sys.argv = set(sys.argv[1].split(",")), [sys.argv[0], *sys.argv[2:]]
sys.meta_path.insert(0, Refuse())
runpy.run_module("deepchrome.benchmarks.train.gpu", run_name="__main__")
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
    command = [sys.executable, "-c", _RUN, blocked, *options]
    environment = {"PYTHONPATH": str(CHECKOUT / "src"), "PATH": ""}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(file.read_text()), ran.stdout


def test_other_packages_are_blocked() -> None:
    blocked = other_imports()
    assert {"polars", "scipy", "sklearn", "typer", "numba", "pyarrow", "rich", "pysam"} <= set(blocked)
    assert not {"torch", "numpy", "safetensors", "deepchrome"} & set(blocked)
    code = "import polars"
    command = [sys.executable, "-c", _RUN.replace('runpy.run_module("', f'{code}; ("'), ",".join(blocked)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "not on the machine with the GPU: polars" in ran.stderr


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
    floors = {values["floor_milliseconds_per_step"] for values in trainings.values()}
    # 4.3 s for 100 epochs of 104 steps; 1.2 s for 100 epochs of 13 steps.
    assert floors == {pytest.approx(4300 / 10400), pytest.approx(1200 / 1300)}
    parts = next(value for name, value in document.items() if name.startswith("parts of an epoch, short"))
    assert parts.keys() >= {"set up", "train", "validate", "keep all as best"}
