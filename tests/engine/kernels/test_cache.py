"""The cache of machine code: it never returns outdated code, and the kernels run without it."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.places import CHECKOUT

COUNT = """
    import sys
    from pathlib import Path
    import numpy as np
    from deepchrome.engine import kernels
    from deepchrome.engine.annotation.genes import Genes
    from deepchrome.engine.annotation.genome import Genome
    from deepchrome.engine.annotation.windows import tss_windows
    from deepchrome.engine.counting.count import count_reads

    Path("reads").write_text("c\\t100\\t101\\n" * 20)
    genes = Genes(("g",), ("g",), ("c",), np.array([100]), ("+",))
    counts = count_reads("reads", tss_windows(genes, Genome("test", {"c": 1000}), flank=5, bin_size=10))
    print(counts.sum(), sum(kernels.count_text.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of the package, without caches."""
    copy = tmp_path / "src" / "deepchrome"
    ignored = shutil.ignore_patterns("__pycache__", "results")
    shutil.copytree(CHECKOUT / "src" / "deepchrome", copy, ignore=ignored)
    return copy


def run(package: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python on a copy of the package."""
    environment = os.environ | {"PYTHONPATH": str(package.parent)} | variables
    folder = package.parent.parent
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


def test_edit_of_a_callee_in_another_file_recompiles_the_caller(package: Path, tmp_path: Path) -> None:
    def count() -> list[int]:
        ran = run(package, "-c", textwrap.dedent(COUNT), NUMBA_CACHE_DIR=str(tmp_path / "cache"))
        assert ran.returncode == 0, ran.stderr
        return [int(word) for word in ran.stdout.split()]

    assert count() == [20, 0]
    assert count() == [20, 1]  # the second process loads the code of the first
    # ``count_text`` in text.py calls ``add_reads`` in counting.py.
    callee = package / "engine" / "kernels" / "counting.py"
    source = callee.read_text()
    assert source.count("] += 1\n") == 1
    callee.write_text(source.replace("] += 1\n", "] += 3\n"))
    assert count() == [60, 0]


@pytest.fixture
def package_without_cache(package: Path) -> tuple[Path, dict[str, str]]:
    """Return a copy of the package and environment variables with which numba finds no directory for its cache."""
    for folder in ("kernels", "simulation"):
        (package / "engine" / folder / "__pycache__").touch()  # a file, so it cannot be a directory
    below_a_file = str(package / "engine" / "kernels" / "__pycache__" / "x")
    return package, dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), below_a_file)


@pytest.mark.campaign("install")
def test_kernels_without_a_cache_directory(package_without_cache: tuple[Path, dict[str, str]]) -> None:
    package, variables = package_without_cache
    ran = run(package, "-W", "error", "-c", textwrap.dedent(COUNT), **variables)
    assert (ran.stdout, ran.returncode) == ("20 0\n", 0), ran.stderr


@pytest.mark.campaign("install")
def test_simulator_without_a_cache_directory(package_without_cache: tuple[Path, dict[str, str]]) -> None:
    package, variables = package_without_cache
    arguments = ["simulate", "--out", "simulated", "--genes", "10", "--reads", "100", "--epigenomes", "1"]
    ran = run(package, "-W", "error", "-m", "deepchrome", *arguments, **variables)
    assert ran.returncode == 0, ran.stderr
    assert (package.parent.parent / "simulated" / "genes.tsv").exists()
