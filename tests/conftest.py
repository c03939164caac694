"""What all tests share: hypothesis profiles, where the real data lie, and which tests can run here."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from campaign.rows import ROWS
from hypothesis import settings
from support.places import SHARED

CI = bool(os.environ.get("CI"))
PROGRAMS = ("bedtools", "samtools")

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if CI else "local")

# numba's cache does not see every edit, so CI compiles afresh; set before anything imports numba.
_cache = tempfile.mkdtemp(prefix="deepchrome-numba-") if CI else None
if _cache:
    os.environ["NUMBA_CACHE_DIR"] = _cache


def pytest_unconfigure() -> None:
    if _cache:
        shutil.rmtree(_cache, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("campaign"):
            if unknown := set(mark.args) - set(ROWS):
                raise pytest.UsageError(f"{item.nodeid}: no row {unknown} in tests/campaign/rows.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("bedtools"):
        missing = [program for program in PROGRAMS if not shutil.which(program)]
        if missing and CI:
            pytest.fail(f"{' and '.join(missing)} must be installed in CI (apt install bedtools samtools)")
        if missing:
            pytest.skip(f"compares with {' and '.join(missing)}, not installed here (apt install bedtools samtools)")
    if item.get_closest_marker("realdata") and not SHARED.is_dir():
        pytest.skip(f"needs the real data, not found in {SHARED}; DEEPCHROME_SHARED says where its folder is")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that use it are marked ``realdata``."""
    return SHARED
