"""Disable one guard at a time, and check that its tests fail.

Usage: mutations.py [NAME...]. Works on a copy of the checkout, where the tests must pass with all guards. If the tests
of a guard pass without it, the guard is not tested, and the exit code is 1. See guards.py for the guards.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from campaign.guards import GUARDS, ROOT, Guard, guard_file

KERNELS = Path("engine/kernels")
NOT_COPIED = shutil.ignore_patterns(
    ".venv", ".git", "build", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "results"
)


def run_tests(copy: Path, tests: Sequence[str], cache: Path, seconds: int = 1200) -> subprocess.CompletedProcess[str]:
    """Run tests in the copy, on the code of the copy."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "NUMBA_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=seconds
    )


def try_without(copy: Path, guard: Guard) -> tuple[bool, str]:
    """Run the tests of a guard without it; return whether they failed, and a description of the result."""
    path = copy / guard_file(guard, copy)
    original = path.read_text(encoding="utf-8")
    path.write_text(guard.disable_in(original), encoding="utf-8")
    # Changed kernels must be compiled anew.
    is_kernel = path.is_relative_to(copy / KERNELS)
    cache = Path(tempfile.mkdtemp(dir=copy)) if is_kernel else copy / "compiled"
    try:
        ran = run_tests(copy, guard.tests, cache, guard.seconds)
    except subprocess.TimeoutExpired:
        return True, "tested (time limit reached)"
    finally:
        path.write_text(original, encoding="utf-8")
    if ran.returncode == 1:
        return True, "tested"
    return False, f"NOT TESTED (pytest exits with {ran.returncode}): {' '.join(ran.stdout.split()[-12:])}"


def main() -> int:
    """Test the named guards, or all; return the exit code."""
    names = sys.argv[1:]
    if unknown := set(names) - {guard.name for guard in GUARDS}:
        sys.stderr.write(f"no such guard: {', '.join(sorted(unknown))}\n")
        return 2
    guards = [guard for guard in GUARDS if not names or guard.name in names]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=NOT_COPIED)
        tests = list(dict.fromkeys(test for guard in guards for test in guard.tests))
        unchanged = run_tests(copy, tests, copy / "compiled")
        if unchanged.returncode:
            sys.stdout.write(f"{unchanged.stdout[-3000:]}The tests fail with all guards in place.\n")
            return 1
        n_tested = 0
        for guard in guards:
            is_tested, result = try_without(copy, guard)
            n_tested += is_tested
            sys.stdout.write(f"{guard.name:<28} {guard_file(guard, copy)!s:<34} {result}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{n_tested} of {len(guards)} guards are tested\n")
    return int(n_tested < len(guards))


if __name__ == "__main__":
    sys.exit(main())
