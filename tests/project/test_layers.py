"""The import order of pyproject.toml holds, and import-linter sees all code, although src/deepchrome has symlinks."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import CHECKOUT

FOLDERS = ("engine", "train", "benchmarks", "src")
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"


def check_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the import contracts of the checkout at ``root``."""
    search_path = os.pathsep.join([str(root / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", LINT],
        cwd=root,
        env=os.environ | {"PYTHONPATH": search_path, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied_checkout(tmp_path: Path) -> Path:
    """Return a copy of the code and pyproject.toml, with the symlinks kept as symlinks."""
    for folder in FOLDERS:
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("*.nb?"))
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_follow_the_layers_without_cycles() -> None:
    checked = check_imports(CHECKOUT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_module_is_checked() -> None:
    modules = {path.resolve() for folder in FOLDERS for path in (CHECKOUT / folder).rglob("*.py")}
    analyzed = re.search(r"Analyzed (\d+) files", check_imports(CHECKOUT).stdout)
    assert analyzed
    assert int(analyzed[1]) == len(modules)


PLANTED = {
    "engine imports train": ("engine/kernels/planted.py", "deepchrome.train.models"),
    "train imports benchmarks": ("train/datasets/planted.py", "deepchrome.benchmarks.common"),
    "benchmarks imports cli": ("benchmarks/common/planted.py", "deepchrome.cli.tables"),
    "streams imports counting": ("engine/streams/planted.py", "deepchrome.engine.counting.count"),
    "models imports fitting": ("train/models/planted.py", "deepchrome.train.fitting.fit"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_lazy_import_against_the_order_is_found(name: str, copied_checkout: Path) -> None:
    path, imported = PLANTED[name]
    (copied_checkout / path).write_text(f"def lazy():\n    import {imported}\n    return {imported}\n")
    checked = check_imports(copied_checkout)
    assert checked.returncode == 1
    assert re.search(rf"planted -> {re.escape(imported)}", checked.stdout), checked.stdout


def test_import_cycle_is_found(copied_checkout: Path) -> None:
    folder = copied_checkout / "engine" / "streams"
    (folder / "planted_a.py").write_text("import deepchrome.engine.streams.planted_b\n")
    (folder / "planted_b.py").write_text("def lazy():\n    import deepchrome.engine.streams.planted_a\n")
    checked = check_imports(copied_checkout)
    assert checked.returncode == 1
    assert "No cycles are allowed in deepchrome.engine.streams" in checked.stdout
