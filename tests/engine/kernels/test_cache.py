"""The cache of machine code: it never returns outdated code, and the kernels run without it."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from campaign.rows import sized
from support.places import CHECKOUT

# Files may grow to 32 KiB, as on a full disk or with a quota. The code of some kernels is larger.
WITH_LITTLE_SPACE = ("sh", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "sh")
# How the kernels count a read, and how the kernels of another version do.
ADD_ONE, ADD_THREE = (f"builder.add(load(builder, numbers, at, INT32), constant(INT32, {n}))" for n in (1, 3))
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


def run(
    package: Path, *arguments: str, prefix: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python on a copy of the package."""
    environment = os.environ | {"PYTHONPATH": str(package.parent)} | variables
    command = [*prefix, sys.executable, *arguments]
    folder = package.parent.parent
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def count(package: Path, cache: Path, prefix: Sequence[str] = ()) -> list[int]:
    """Return the sum of the counts and the number of kernels loaded from ``cache``, of a new process."""
    arguments = ("-W", "error", "-c", textwrap.dedent(COUNT))
    ran = run(package, *arguments, prefix=prefix, NUMBA_CACHE_DIR=str(cache))
    assert ran.returncode == 0, ran.stderr
    return [int(word) for word in ran.stdout.split()]


@pytest.mark.campaign("kernel-cache")
def test_cache_never_returns_outdated_code(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert count(package, cache) == [20, 0]
    assert count(package, cache) == [20, 1]  # the second process loads the code of the first
    # ``count_text`` in text.py calls ``increment`` in vectors.py.
    callee = package / "engine" / "kernels" / "vectors.py"
    source = callee.read_text()
    assert source.count(ADD_ONE) == 1
    callee.write_text(source.replace(ADD_ONE, ADD_THREE))
    assert count(package, cache, WITH_LITTLE_SPACE) == [60, 0]  # saves only some of the kernels
    assert count(package, cache) == [60, 0]
    assert count(package, cache) == [60, 1]


@pytest.mark.campaign("kernel-cache")
def test_sources_replaced_while_a_program_runs(package: Path, tmp_path: Path) -> None:
    """A program that imported the kernels before an upgrade must not save their code for the version after it."""
    callee = package / "engine" / "kernels" / "vectors.py"
    upgrade = f"""
    from deepchrome.engine import kernels
    from pathlib import Path
    callee = Path({str(callee)!r})
    callee.write_text(callee.read_text().replace({ADD_ONE!r}, {ADD_THREE!r}))
    """
    script = textwrap.dedent(upgrade) + textwrap.dedent(COUNT)
    ran = run(package, "-W", "error", "-c", script, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert ran.stdout == "20 0\n", ran.stderr
    assert count(package, tmp_path / "cache") == [60, 0]


@pytest.mark.campaign("kernel-cache")
def test_processes_that_compile_at_once(package: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        counted = list(pool.map(lambda _: count(package, tmp_path / "cache"), range(sized(2, 8))))
    assert [number for number, _ in counted] == [20] * len(counted)
    assert count(package, tmp_path / "cache") == [20, 1]


def test_kernels_import_only_files_whose_source_is_part_of_the_key() -> None:
    other_imports = re.compile(r"^ *(from|import) deepchrome\.(?!engine\.kernels)", re.MULTILINE)
    for path in (CHECKOUT / "engine" / "kernels").glob("*.py"):
        assert path.name == "cache.py" or not other_imports.search(path.read_text()), path


@pytest.fixture
def no_directory(tmp_path: Path) -> dict[str, str]:
    """Return environment variables with which there is no directory for the cache."""
    (tmp_path / "file").touch()
    return dict.fromkeys(("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), str(tmp_path / "file" / "x"))


@pytest.mark.campaign("install")
def test_kernels_without_a_cache_directory(package: Path, no_directory: dict[str, str]) -> None:
    ran = run(package, "-W", "error", "-c", textwrap.dedent(COUNT), **no_directory)
    assert (ran.stdout, ran.returncode) == ("20 0\n", 0), ran.stderr


@pytest.mark.campaign("install")
def test_simulator_without_a_cache_directory(package: Path, no_directory: dict[str, str]) -> None:
    arguments = ["simulate", "--out", "simulated", "--genes", "10", "--reads", "100", "--epigenomes", "1"]
    ran = run(package, "-W", "error", "-m", "deepchrome", *arguments, **no_directory)
    assert ran.returncode == 0, ran.stderr
    assert (package.parent.parent / "simulated" / "genes.tsv").exists()
