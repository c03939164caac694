"""Run the fault campaign: all tests marked ``campaign``, with many cases, and save their figures.

Usage: run.py [--small | --row ROW ... | --list]

Writes tests/campaign/results/<date>-<commit>.json, and updates the table in docs/reliability.md. ``--row`` runs some
rows again and replaces them in the newest results. ``--list`` prints the tests of every row. The exit code is not 0 if
a test fails.
"""

import argparse
import datetime as dt
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
if not {"--small", "--list"} & set(sys.argv):
    # Set before the tests are imported. DEEPCHROME_CASES multiplies the number of random files.
    os.environ |= {"DEEPCHROME_CAMPAIGN": "full", "DEEPCHROME_CASES": "8"}

from campaign.report import newest_results, update_document
from campaign.rows import ROWS

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Slow test files, and all other tests. Each part runs in a process of its own, as many at a time as there are cores.
PARTS: dict[str, tuple[str, ...]] = {
    "fuzzing": ("engine/counting/test_fuzz.py",),
    "edges": ("cli/test_edges.py",),
    "rest": (),
    "bam": ("engine/counting/test_parity_bam.py",),
    "parity": ("engine/counting/test_parity.py", "engine/streams/test_cram.py"),
    "faults": ("engine/features/test_faults.py", "engine/streams/test_reads.py"),
    "kernels": ("engine/kernels/test_checked.py", "common/test_files.py"),
}


class Recorder:
    """A pytest plugin that records the outcome and the figures of the tests of each row."""

    def __init__(self, only: Collection[str] = ROWS) -> None:
        self.only = only
        self.rows_of: dict[str, list[str]] = {}
        self.cases_of: dict[str, int] = {}
        self.rows: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"passed": 0, "failed": 0, "skipped": 0, "seconds": 0.0, "tests": {}, "figures": defaultdict(int)}
        )

    def pytest_itemcollected(self, item: Any) -> None:
        self.rows_of[item.nodeid] = [row for mark in item.iter_markers("campaign") for row in mark.args]
        self.cases_of[item.nodeid] = getattr(item.function, "cases", 0)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        if len(self.only) < len(ROWS):
            items[:] = [item for item in items if set(self.rows_of[item.nodeid]) & set(self.only)]

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        test = report.nodeid.partition("[")[0]
        for row in (self.rows[name] for name in self.rows_of[report.nodeid] if name in self.only):
            row[report.outcome] += 1
            row["seconds"] = round(row["seconds"] + report.duration, 1)
            row["tests"][test] = row["tests"].get(test, 0) + 1
            if report.outcome == "passed":
                if cases := self.cases_of[report.nodeid]:
                    row["figures"]["random files"] += cases
                for name, value in report.user_properties:
                    row["figures"][name] += value


def run_here(part: str | None = None, only: Collection[str] = ROWS) -> tuple[int, dict[str, Any]]:
    """Run one part of the campaign, or all of it, in this process; return the exit code and the rows."""
    import pytest

    ignored = [f"--ignore={TESTS / file}" for files in PARTS.values() for file in files]
    where = [str(TESTS)] if part is None else [str(TESTS / file) for file in PARTS[part]] or [*ignored, str(TESTS)]
    recorder = Recorder(only)
    code = pytest.main(
        ["-m", "campaign", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *where], plugins=[recorder]
    )
    return int(code), recorder.rows


def run_in_process(part: str, small: bool, folder: Path) -> tuple[int, dict[str, Any]]:
    """Run one part in a process of its own, and print its output at the end."""
    saved = folder / f"{part}.json"
    command = [sys.executable, __file__, "--part", part, "--to", str(saved), *["--small"] * small]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    sys.stdout.write(f"== {part}\n{ran.stdout}{ran.stderr}")
    sys.stdout.flush()
    return ran.returncode, json.loads(saved.read_bytes()) if saved.exists() else {}


def run_all(small: bool) -> int:
    """Run all parts, save the results, and update the document after a full campaign without failures."""
    began, commit = dt.datetime.now(dt.UTC), current_commit()
    rows, code = Recorder().rows, 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(CORES) as pool:
        for part_code, part_rows in pool.map(lambda part: run_in_process(part, small, Path(folder)), PARTS):
            add_rows(rows, part_rows)
            code = code or part_code
    seconds = (dt.datetime.now(dt.UTC) - began).total_seconds()
    document = {
        "date": f"{began:%Y-%m-%d}",
        "commit": commit,
        "full": not small,
        "minutes": round(seconds / 60, 1),
        "cores": CORES,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "rows": {name: rows[name] for name in sorted(rows)},
    }
    results = Path(__file__).with_name("results")
    results.mkdir(exist_ok=True)
    path = results / f"{began:%Y-%m-%d}-{commit}{'-small' if small else ''}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    if not code and not small:
        update_document(path)
    return code


def current_commit() -> str:
    """Return the short commit of the checkout, with ``-dirty`` if it has changes."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=9"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def add_rows(rows: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the outcomes of a part to those of the others."""
    for name, row in more.items():
        for key, value in row.items():
            total = rows[name]
            if isinstance(value, dict):
                for inner, number in value.items():
                    total[key][inner] = total[key].get(inner, 0) + number
            else:
                total[key] += value


def run_rows(names: list[str]) -> int:
    """Run some rows again, and replace them in the newest full results, with their commit."""
    path, commit = newest_results(), current_commit()
    code, rows = run_here(only=names)
    results = json.loads(path.read_bytes())
    results["rows"] |= {name: rows[name] | {"commit": commit} for name in names}
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if not code:
        update_document(path)
    return code


def list_tests() -> int:
    """Print every row with its tests, without running them."""
    import pytest

    recorder, output = Recorder(), io.StringIO()
    options = ["--collect-only", "-q", "-s", "-m", "campaign", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    with redirect_stdout(output):
        code = pytest.main([*options, str(TESTS)], plugins=[recorder])
    if code:
        sys.stdout.write(output.getvalue())
        return int(code)
    tests: dict[str, dict[str, None]] = {name: {} for name in ROWS}
    for test, rows in recorder.rows_of.items():
        for row in rows:
            tests[row][test.partition("[")[0]] = None
    for name, row in ROWS.items():
        sys.stdout.write(f"{name}: {row.failure}\n" + "".join(f"  {test}\n" for test in tests[name]))
    return 0


def main() -> int:
    """Do what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(description="Run the fault campaign.")
    parser.add_argument("--small", action="store_true", help="try as few cases as the normal suite")
    parser.add_argument("--row", action="append", choices=ROWS, help="run only this row again; repeatable")
    parser.add_argument("--list", action="store_true", help="print the tests of every row, and run none")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        return list_tests()
    if options.part:
        code, rows = run_here(options.part)
        options.to.write_text(json.dumps(rows), encoding="utf-8")
        return code
    if options.row:
        return run_rows(options.row)
    return run_all(options.small)


if __name__ == "__main__":
    sys.exit(main())
