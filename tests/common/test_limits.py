"""Bounded use of the system: threads, file descriptors."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from campaign.rows import sized
from support import tiny
from support.tiny import featurize, reads_text, write_genes_and_sizes

from deepchrome.common import cores
from deepchrome.common.locks import output_lock
from deepchrome.engine.counting import count
from deepchrome.engine.counting.count import count_reads
from deepchrome.errors import ParameterError, StorageError

pytestmark = pytest.mark.campaign("limits")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_any_number_of_outputs_needs_one_descriptor(
    tmp_path: Path, record_property: Callable[[str, int], None]
) -> None:
    names = [f"E{i}.parquet" for i in range(sized(5000, 100_000))]
    before, soft = open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)
    with output_lock(tmp_path, names):
        assert open_files() == before + 1
        began = time.monotonic()
        with pytest.raises(StorageError, match="is writing there"), output_lock(tmp_path, ["E9.parquet", "other"]):
            pytest.fail("two writers")
        with output_lock(tmp_path, ["other"]):
            pass
        assert time.monotonic() - began < 10
    assert (open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)) == (before, soft)
    assert [path.name for path in (tmp_path / ".deepchrome").iterdir()] == ["lock"]
    record_property("outputs locked at once", len(names))


def test_too_many_threads_are_refused(tmp_path: Path) -> None:
    windows = tiny.windows(tmp_path)
    (tmp_path / "E1-A.bed").write_bytes(reads_text(100))
    most = max(256, cores.usable_cores())
    ran = featurize(tmp_path, tmp_path / "E1-A.bed", "-t", 2000)
    assert (ran.code, ran.err) == (2, f"dc: --threads must be at most {most}, got 2000\n")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ParameterError, match=r"^threads must be at most"):
        count_reads(tmp_path / "E1-A.bed", windows, threads=2000)
    with pytest.raises(ParameterError, match=r"^threads must be at least 1, got 0"):
        cores.check_threads(0)
    cores.check_threads(most)


def test_threads_without_work_are_not_started(tmp_path: Path) -> None:
    windows = tiny.windows(tmp_path)
    (tmp_path / "E1-A.bed").write_bytes(reads_text(100))
    started = []

    class Pipeline(count.FilePipeline):
        def run(self, threads: int) -> None:
            started.append(threads)
            super().run(threads)

    with patch.object(count, "FilePipeline", Pipeline), patch.object(cores, "usable_cores", lambda: 2):
        one = count_reads(tmp_path / "E1-A.bed", windows, threads=1)
        assert (count_reads(tmp_path / "E1-A.bed", windows, threads=200) == one).all()
    assert started == [1, 32]


MEMORY = """
import re, sys
from pathlib import Path
sys.argv = ["dc", *sys.argv[1:]]
from deepchrome.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
# Not getrusage, which counts the memory of the parent process too.
print(int(re.search("VmHWM: *\\t *([0-9]+)", Path("/proc/self/status").read_text())[1]) // 1024, file=sys.stderr)
"""


def test_memory_of_many_threads(tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    (tmp_path / "E1-A.bed").write_bytes(reads_text(sized(200_000, 2_000_000)))
    given = ["--genes", "genes.tsv", "--genome", "small.sizes", "--out", "out", "-t", "256"]
    command = [sys.executable, "-c", MEMORY, "featurize", "E1-A.bed", *given]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(ran.stderr.split()[-1]) < 700


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense\n"}, None),
        ({}, None),
    ],
)
def test_limits_of_control_groups(files: dict[str, str], expected: int | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with patch.object(cores, "_CGROUPS", tmp_path), patch("os.sched_getaffinity", lambda _: range(64)):
        assert cores.usable_cores() == (expected or 64)
