"""The kernels never access memory outside their arrays.

Compiled kernels access some arrays by index, which numba can check, and others by address, which it cannot. In plain
Python, the same code indexes all arrays and checks all bounds.
"""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from campaign.rows import FULL, sized
from support.places import TESTS

VARIABLES = {"compiled": "NUMBA_BOUNDSCHECK", "plain": "NUMBA_DISABLE_JIT"}
# Products of 64 bits are meant to overflow; only plain Python warns about it.
OVERFLOW = "ignore:overflow encountered in scalar:RuntimeWarning"
PARITY = (
    "engine/counting/test_parity.py::test_engine_equals_naive_counter",
    "engine/counting/test_parity.py::test_order_does_not_matter_and_strand_does",
    "engine/counting/test_parity.py::test_counts_by_hand",
    "engine/counting/test_parity_bam.py::test_engine_equals_naive_counter",
    "engine/counting/test_fuzz.py::test_replay",
)


def run(how: str, folder: Path, *words: str, cases: float = 1) -> subprocess.CompletedProcess[str]:
    """Run Python with bounds checks, and with an empty cache, which has no code compiled without checks."""
    environment = os.environ | {VARIABLES[how]: "1", "NUMBA_CACHE_DIR": str(folder), "DEEPCHROME_CASES": str(cases)}
    command = [sys.executable, "-W", "error", "-W", OVERFLOW, *words]
    return subprocess.run(command, env=environment, cwd=TESTS, capture_output=True, text=True, check=False)


@pytest.mark.campaign("bounds")
@pytest.mark.parametrize(
    ("how", "cases"),
    [
        # Compiling the kernels with checks of all indices takes minutes.
        pytest.param("compiled", 1, marks=pytest.mark.skipif(not FULL, reason="only in the campaign")),
        ("plain", sized(0.03, 0.1)),
    ],
)
def test_parity_with_bounds_checked(
    how: str, cases: float, tmp_path: Path, record_property: Callable[[str, int], None]
) -> None:
    ran = run(how, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", OVERFLOW, *PARITY, cases=cases)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed
    assert int(passed[1]) > 30
    record_property(f"random files, {how}", round((2000 + 300 + 600) * cases))


OUT_OF_BOUNDS = {
    "compiled": """
        import numpy as np
        from deepchrome.engine.kernels import SegmentTable, cut_segments
        one, table = np.zeros(1, np.int32), np.zeros((2, 2), np.int32)
        points, accepts = np.zeros(8, np.int32), np.zeros(1, np.int8)
        segments = SegmentTable(table, np.zeros(1, np.uint32), one, 0, one, one, points, accepts)
        cut_segments(np.zeros(1, np.int64), np.array([0, 5]), np.zeros((1, 3), np.int64), segments)
    """,
    "plain": """
        import numpy as np
        from deepchrome.engine.kernels import count_columns
        line = np.frombuffer(b"chr1\\t1\\t2\\n", np.uint8)
        count_columns(line, 0, len(line))
    """,
}


@pytest.mark.parametrize("how", OUT_OF_BOUNDS)
def test_access_out_of_bounds_is_detected(how: str, tmp_path: Path) -> None:
    ran = run(how, tmp_path, "-c", textwrap.dedent(OUT_OF_BOUNDS[how]))
    assert ran.returncode == 1
    assert "IndexError" in ran.stderr
