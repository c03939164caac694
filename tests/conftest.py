"""Set up all tests: hypothesis profiles, shared fixtures, and the conditions under which marked tests run."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from campaign.rows import ROWS
from hypothesis import settings
from support.places import SHARED
from support.web import web_fixture  # noqa: F401 - a fixture for all tests

CI = bool(os.environ.get("CI"))
PROGRAMS = ("bedtools", "samtools")

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if CI else "local")

# Under a shell that runs them in the background, the tests and the programs they start would ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# CI compiles the kernels anew instead of using cached code. Set this before anything imports numba.
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
            pytest.fail(f"{' and '.join(missing)} not found. CI must install them: apt install bedtools samtools")
        if missing:
            pytest.skip(f"{' and '.join(missing)} not found. Install them: apt install bedtools samtools")
    if item.get_closest_marker("realdata") and not SHARED.is_dir():
        pytest.skip(
            f"the real data are not in {SHARED}. Set DEEPCHROME_SHARED to the folder above their folder 'data'."
        )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data. Mark tests that use it with ``realdata``."""
    return SHARED
