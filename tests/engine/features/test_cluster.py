"""featurize on a Dask cluster writes the same output, even if workers are lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from support.cluster import Cluster, cluster, count_or_kill_worker
from support.tiny import PACK, dc, reads_text, write_genes_and_sizes

pytest.importorskip("distributed", reason="needs Dask: pip install 'deepchrome[cluster]'")

pytestmark = pytest.mark.campaign("cluster")
NAMES = [f"E{e}-{mark}" for e in range(1, 5) for mark in "AB"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_genes_and_sizes(tmp_path)
    (tmp_path / "reads").mkdir()
    for seed, name in enumerate(NAMES):
        (tmp_path / "reads" / f"{name}.tagAlign.gz").write_bytes(PACK["gzip"](reads_text(500, seed)))
    return tmp_path


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path / "cluster") as started:
        yield started


def arguments(folder: Path, out: str, *options: object) -> list[object]:
    given = ["--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / out]
    return ["featurize", folder / "reads", *given, *options]


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


def rows(out: Path) -> list[list[str]]:
    """Return the rows of summary.tsv without seconds and reads_per_second."""
    lines = [line.split("\t") for line in (out / "summary.tsv").read_text().splitlines()]
    return [line[:7] + line[9:] for line in lines]


def test_cluster_writes_the_same_bytes_as_one_machine(folder: Path, two_workers: Cluster) -> None:
    assert dc(*arguments(folder, "here")).code == 0
    ran = dc(*arguments(folder, "there", "--scheduler", two_workers.file))
    assert (ran.code, "Traceback" in ran.err) == (0, False)
    assert "8 of 8 files" in ran.err
    assert tables(folder / "there") == tables(folder / "here")
    assert len(tables(folder / "there")) == 4
    assert rows(folder / "there") == rows(folder / "here")
    again = dc(*arguments(folder, "there", "--scheduler", two_workers.file))
    assert (again.code, "E4: up to date, kept" in again.err) == (0, True)


def test_file_of_a_killed_worker_is_counted_by_another(folder: Path, tmp_path: Path) -> None:
    """The worker has begun a file that it never finishes."""
    with cluster(tmp_path / "cluster", workers=0) as started:
        # The last file is a pipe that nobody writes to: the worker waits for it until it is killed.
        stuck = folder / "E9-A.bed"
        os.mkfifo(stuck)
        first = started.add_worker()
        command = [sys.executable, "-m", "deepchrome", *map(str, arguments(folder, "there"))]
        command += [str(stuck), "--scheduler", str(started.file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while len(tables(folder / "there")) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(tables(folder / "there")) == 4
        assert process.poll() is None
        first.send_signal(signal.SIGKILL)
        first.wait()
        stuck.unlink()
        stuck.write_bytes(reads_text(500, 99))
        started.add_worker()
        _, err = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in err) == (0, False), err
    assert dc(*arguments(folder, "here", stuck)).code == 0
    assert tables(folder / "there") == tables(folder / "here")


def test_bad_file_is_reported_and_the_others_are_written(folder: Path, two_workers: Cluster) -> None:
    path = folder / "reads" / "E2-A.tagAlign.gz"
    path.write_bytes(path.read_bytes()[:-9])
    ran = dc(*arguments(folder, "there", "--scheduler", two_workers.file, "--json"))
    assert ran.code == 65
    assert [row["status"][:6] for row in ran.json()].count("done") == 7
    assert next(row for row in ran.json() if "truncated" in row["status"])["epigenome"] == "E2"
    assert sorted(tables(folder / "there")) == ["E1.parquet", "E3.parquet", "E4.parquet"]
    assert "truncated" in (folder / "there" / "summary.tsv").read_text()


def test_file_that_kills_workers_fails_and_the_others_are_written(folder: Path, two_workers: Cluster) -> None:
    """A file that has killed a few workers fails; the remaining workers count the other files."""
    for _ in range(4):
        two_workers.add_worker()
    (folder / "reads" / "E5-A.bed").write_bytes(reads_text(500, 5))
    with patch("deepchrome.engine.features.schedule.count_sample", count_or_kill_worker):
        ran = dc(*arguments(folder, "there", "--scheduler", two_workers.file))
    assert (ran.code, "Traceback" in ran.err) == (65, False), ran.err
    assert "lost on the cluster at " in ran.err
    assert sorted(tables(folder / "there")) == [f"E{e}.parquet" for e in range(1, 5)]


def test_lost_scheduler_fails_the_unfinished_files(folder: Path, tmp_path: Path) -> None:
    """Each unfinished file is reported by name, without a traceback."""
    with cluster(tmp_path / "cluster", workers=1) as started:
        stuck = folder / "E9-A.bed"
        os.mkfifo(stuck)
        command = [sys.executable, "-m", "deepchrome", *map(str, arguments(folder, "there", stuck))]
        environment = os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s"}
        process = subprocess.Popen(
            [*command, "--scheduler", str(started.file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        deadline = time.monotonic() + 60
        while len(tables(folder / "there")) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        started.processes[0].send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (65, False), err
    assert "is gone, and this task with it" in err
    assert "is gone" in (folder / "there" / "summary.tsv").read_text()


def test_cluster_without_workers_is_waited_for(folder: Path, tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", workers=0) as started:
        threading.Timer(3, started.add_worker).start()
        ran = dc(*arguments(folder, "there", "--scheduler", started.file))
    assert (ran.code, "no worker yet; waiting for one" in ran.err) == (0, True)


def test_unreachable_scheduler_is_an_error(folder: Path) -> None:
    with patch("deepchrome.common.pools._CONNECT_SECONDS", 1):
        ran = dc(*arguments(folder, "there", "--scheduler", "tcp://127.0.0.1:9"))
    assert (ran.code, "no Dask scheduler answers there" in ran.err) == (74, True)
    ran = dc(*arguments(folder, "there", "--scheduler", folder / "absent.json"))
    assert (ran.code, "neither an address like" in ran.err) == (2, True)
    ran = dc(*arguments(folder, "there", "--scheduler", "tcp://127.0.0.1:9", "--jobs", "2"))
    assert (ran.code, "cannot be used with --scheduler" in ran.err) == (2, True)
    assert not tables(folder / "there")


def test_workers_of_another_version_are_refused(folder: Path, two_workers: Cluster) -> None:
    with patch("deepchrome.common.pools.VERSION", "0.0.1"):
        ran = dc(*arguments(folder, "there", "--scheduler", two_workers.file))
    assert ran.code == 65
    assert "this process has 0.0.1. Install the same version on all machines" in ran.err
    assert not tables(folder / "there")
