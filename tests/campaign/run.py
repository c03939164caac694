"""Run the fault campaign and keep its figures: every test marked ``campaign``, in full.

Usage: run.py [--small | --row ROW ...]. Writes tests/campaign/results/<date>-<commit>.json, and from it the tables of
docs/reliability.md (report.py). With --row, only those rows are run again, and replace what the newest full results
say of them, with the commit they were run at. Exits non-zero if anything fell.
"""

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
if "--small" not in sys.argv:
    # Before anything of the tests is imported: ten thousand cases where the suite tries two thousand.
    os.environ |= {"DEEPCHROME_CAMPAIGN": "full", "DEEPCHROME_CASES": "5"}

from campaign.report import newest
from campaign.rows import ROWS

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Recorder:
    """A pytest plugin: what became of each row's tests, and the figures they gave."""

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


def commit() -> str:
    """Name the commit that is tested; a tree with changes says so."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=9"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


# Files that take long, apart; each part is a process, as many at a time as there are cores.
PARTS: dict[str, tuple[str, ...]] = {
    "fuzzing": ("engine/counting/test_fuzz.py",),
    "parity": ("engine/counting/test_parity.py", "engine/counting/test_parity_bam.py"),
    "kernels": ("engine/kernels/test_checked.py", "common/test_files.py"),
    "machine": ("engine/features/test_faults.py", "engine/streams/test_reads.py"),
    "rest": (),
}


def record(part: str | None, only: Collection[str] = ROWS) -> tuple[int, dict[str, Any]]:
    """Run one part of the campaign, or all of it, in this process."""
    import pytest

    apart = [f"--ignore={TESTS / file}" for files in PARTS.values() for file in files]
    where = [str(TESTS)] if part is None else [str(TESTS / file) for file in PARTS[part]] or [*apart, str(TESTS)]
    recorder = Recorder(only)
    status = pytest.main(
        ["-m", "campaign", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *where], plugins=[recorder]
    )
    return int(status), recorder.rows


def run_part(part: str, small: bool, folder: Path) -> tuple[int, dict[str, Any]]:
    """Run one part in a process of its own; what it printed follows when it has ended."""
    to = folder / f"{part}.json"
    command = [sys.executable, __file__, "--part", part, "--to", str(to), *["--small"] * small]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    sys.stdout.write(f"== {part}\n{ran.stdout}{ran.stderr}")
    sys.stdout.flush()
    return ran.returncode, json.loads(to.read_bytes()) if to.exists() else {}


def merge(rows: dict[str, Any], more: dict[str, Any]) -> None:
    for name, row in more.items():
        for key, value in row.items():
            into = rows[name]
            if isinstance(value, dict):
                for inner, number in value.items():
                    into[key][inner] = into[key].get(inner, 0) + number
            else:
                into[key] += value


def again(names: list[str]) -> int:
    """Run some rows again and put them into the newest full results, with their commit."""
    path, of = newest(), commit()
    status, rows = record(None, names)
    results = json.loads(path.read_bytes())
    results["rows"] |= {name: rows[name] | {"commit": of} for name in names}
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if not status:
        report(path)
    return int(status)


def report(path: Path) -> None:
    subprocess.run([sys.executable, str(Path(__file__).with_name("report.py")), str(path)], check=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true", help="as much as the suite tries")
    parser.add_argument("--part", choices=PARTS, help="only this; its rows as JSON to --to")
    parser.add_argument("--to", type=Path)
    parser.add_argument("--row", action="append", choices=ROWS, help="only this one, again; repeatable")
    asked = parser.parse_args()
    if asked.part:
        status, rows = record(asked.part)
        asked.to.write_text(json.dumps(rows), encoding="utf-8")
        return status
    if asked.row:
        return again(asked.row)
    began, of = dt.datetime.now(dt.UTC), commit()
    rows, status = Recorder().rows, 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(CORES) as pool:
        for ended, found in pool.map(lambda part: run_part(part, asked.small, Path(folder)), PARTS):
            merge(rows, found)
            status = status or ended
    seconds = (dt.datetime.now(dt.UTC) - began).total_seconds()
    document = {
        "date": f"{began:%Y-%m-%d}",
        "commit": of,
        "full": not asked.small,
        "minutes": round(seconds / 60, 1),
        "cores": CORES,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "rows": {name: rows[name] for name in sorted(rows)},
    }
    results = Path(__file__).with_name("results")
    results.mkdir(exist_ok=True)
    path = results / f"{began:%Y-%m-%d}-{of}{'-small' if asked.small else ''}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    if not status and not asked.small:
        report(path)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
