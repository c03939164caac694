"""Time and memory of processes, and the order of repeated tasks."""

from pathlib import Path

import pytest

from deepchrome.benchmarks.common.processes import Usage, run, run_interleaved, run_shell
from deepchrome.errors import MissingInputError, StorageError


def test_usage_covers_the_whole_pipeline(tmp_path: Path) -> None:
    """CPU time of both sides of a pipe, and memory of the larger one."""
    burn = "import time\\nwhile time.process_time() < 0.3: pass"
    eat = "b = bytearray(200 << 20); b[::4096] = b[::4096]"
    usage = run_shell(f"python3 -c $'{burn}' | python3 -c '{eat}'; python3 -c $'{burn}'", {}, "burning")
    assert usage.cpu > 0.6
    assert usage.rss_mib > 200
    with pytest.raises(StorageError, match="burning: failed: bad input"):
        run_shell("(echo bad input >&2; false) | true", {}, "burning")
    with pytest.raises(MissingInputError, match="no-such-program: program is not installed"):
        run(["no-such-program"])
    run(["grep", "Cpus_allowed_list", "/proc/self/status"], stdout=tmp_path / "out", cores=[0])
    assert (tmp_path / "out").read_text().split() == ["Cpus_allowed_list:", "0"]


def test_slow_tasks_are_left_out_of_later_rounds() -> None:
    order: list[str] = []

    def task(name: str, seconds: float):
        def run_task():
            order.append(name)
            return Usage(seconds, 0.0, 0.0)

        return run_task

    usages = run_interleaved({"slow": task("slow", 6.0), "fast": task("fast", 1.0)}, 4, budget=10.0)
    assert order == ["slow", "fast", "slow", "fast", "fast", "fast"]
    assert {name: len(runs) for name, runs in usages.items()} == {"slow": 2, "fast": 4}
