"""Atomic output despite errors, full disks and kills, and output locks."""

import errno
import getpass
import multiprocessing
import os
import random
import resource
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from campaign.rows import sized

from deepchrome.common.files import atomic_write
from deepchrome.common.locks import output_lock
from deepchrome.engine.annotation.genes import Genes
from deepchrome.engine.features.hash_cache import HashCache, file_stamp
from deepchrome.engine.features.store import read_features, write_features
from deepchrome.errors import StorageError

GENES = Genes(
    *(tuple(f"g{i}" for i in range(400)),) * 2,
    ("chr1",) * 400,
    np.arange(400, dtype=np.int64),
    ("+",) * 400,
)


def noise(seed: int) -> dict[str, np.ndarray]:
    """Return random counts of 1.6 MB, which do not compress."""
    return {"A": np.random.default_rng(seed).integers(0, 2**32, (400, 1000), dtype=np.uint32)}


@pytest.mark.campaign("disk")
def test_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    mask = os.umask(0o027)
    try:
        with atomic_write(path):
            pass
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.campaign("disk")
@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_failure_keeps_the_existing_file(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail_midway() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("ne")
            raise error("midway")

    with pytest.raises(StorageError if error is OSError else error):
        fail_midway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.campaign("disk")
def test_paths_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory" / "inside").mkdir(parents=True)
    for path in (tmp_path / "absent" / "x", tmp_path / "file" / "x", tmp_path / "directory", Path("/proc/x")):
        wanted = rf"^{path}: cannot be written \(.*\)\. An existing file is unchanged\.$"
        with pytest.raises(StorageError, match=wanted), atomic_write(path) as temporary:
            temporary.write_text("new")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["directory", "file", "inside"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Provide a file system with room for one and a half feature files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount the small file system that this test needs")
    yield disk
    subprocess.run(["umount", disk], check=True)


def write_more_than_fits(directory: Path) -> None:
    """Replace a feature file by one that does not fit, and check that the first one remains."""
    path = directory / "E1.parquet"
    write_features(path, GENES, noise(1), {"n_bins": 1000})
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"cannot be written \(.*\)\. An existing file is unchanged"):
        write_features(path, GENES, {"A": np.repeat(noise(2)["A"], 3, axis=1)}, {"n_bins": 3000})
    assert path.read_bytes() == before
    assert list(directory.iterdir()) == [path]


@pytest.mark.campaign("disk")
def test_full_disk(small_disk: Path) -> None:
    write_more_than_fits(small_disk)


@pytest.mark.campaign("disk")
def test_file_size_limit(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, hard))
    try:
        write_more_than_fits(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_forever(path: Path) -> None:
    versions = [noise(1), noise(2)]
    with output_lock(path.parent):
        while True:
            for counts in versions:
                write_features(path, GENES, counts, {"n_bins": 1000})


@pytest.mark.campaign("kills")
def test_killed_at_random_moments(tmp_path: Path, record_property: Callable[[str, int], None]) -> None:
    """The file is always one complete version, and the next run removes temporary files."""
    path = tmp_path / "E1.parquet"
    versions = [noise(1)["A"].tobytes(), noise(2)["A"].tobytes()]
    write_features(path, GENES, noise(1), {"n_bins": 1000})
    context = multiprocessing.get_context("forkserver")  # imports once, and forks each process from that
    context.set_forkserver_preload(["deepchrome.engine.features.store", __name__])
    dice, leftovers = random.Random(5), 0
    kills = sized(24, 200)
    for _ in range(kills):
        process = context.Process(target=write_forever, args=(path,))
        before = path.stat().st_ino
        process.start()
        while path.stat().st_ino == before:
            assert process.is_alive()
            time.sleep(0.001)
        time.sleep(dice.random() / 30)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert read_features(path).counts[:, :, 0].tobytes() in versions
        leftovers += len(list(tmp_path.glob(".*.part")))
        assert len(list(tmp_path.glob(".*.part"))) <= 1
    assert leftovers > 2
    with output_lock(tmp_path):
        write_features(path, GENES, noise(2), {"n_bins": 1000})
    assert read_features(path).counts[:, :, 0].tobytes() == versions[1]
    assert {p.name for p in tmp_path.iterdir()} - {".lock"} == {"E1.parquet"}
    record_property("SIGKILLs while writing one file", kills)


@pytest.mark.campaign("races")
def test_one_writer_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    wanted = f"^{out}: process {os.getpid()} of {getpass.getuser()} on .* is writing there$"
    with output_lock(out):
        began = time.perf_counter()
        with pytest.raises(StorageError, match=wanted) as caught, output_lock(out):
            pytest.fail("two writers")
        assert caught.value.remedy == "wait_or_out"
        assert time.perf_counter() - began < 5  # it does not wait for the lock
        (out / ".lock.holder").unlink()
        with pytest.raises(StorageError, match="another process is writing there"), output_lock(out):
            pytest.fail("two writers")
    with pytest.raises(ValueError, match="x"), output_lock(out):
        raise ValueError("x")
    entered = []

    def enter() -> None:
        with output_lock(out):
            entered.append(1)

    other = threading.Thread(target=enter)  # the lock is free again, also after an error
    other.start()
    other.join()
    assert entered


@pytest.mark.campaign("kills")
def test_only_own_temporary_files_are_removed(tmp_path: Path) -> None:
    kept = ["notes.part", ".x.part", ".lock"]
    for name in [*kept, ".E1.parquet.abcd_123.part"]:
        (tmp_path / name).touch()
    (tmp_path / ".a.directory.part").mkdir()
    with output_lock(tmp_path):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*kept, ".a.directory.part"])


def test_locks_of_files_and_of_directories(tmp_path: Path) -> None:
    """Locking the directory does not remove temporary files of a run that holds the lock of a file."""
    with output_lock(tmp_path, ["E1.parquet"]), atomic_write(tmp_path / "E1.parquet") as temporary:
        temporary.write_text("new")
        with output_lock(tmp_path):
            pass
    assert (tmp_path / "E1.parquet").read_text() == "new"
    names = [f"E{i}.parquet" for i in range(1, 4)]
    (tmp_path / ".E2.parquet.abcd_123.part").touch()
    (tmp_path / ".E2.x.parquet.abcd_123.part").touch()  # belongs to another file
    with output_lock(tmp_path, names):
        assert [path.name for path in tmp_path.glob(".*.part")] == [".E2.x.parquet.abcd_123.part"]


def test_user_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers, a user may have a number but no name."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with output_lock(tmp_path):
        assert " of an unnamed user on " in (tmp_path / ".lock.holder").read_text()


def test_directory_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/x")):
        with pytest.raises(StorageError, match=f"^{out}: cannot be written"), output_lock(out):
            pytest.fail("written")


@pytest.mark.campaign("edges")
@pytest.mark.parametrize(
    "name", [".lock", ".lock.holder", ".deepchrome", ".deepchrome/lock", ".deepchrome/E1.inputs.json"]
)
def test_links_at_predictable_names_are_not_followed(name: str, tmp_path: Path) -> None:
    """Otherwise who may write into a shared directory could make us overwrite a file elsewhere."""
    victim, out = tmp_path / "victim", tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    if name == ".deepchrome":
        victim.mkdir()
    else:
        victim.write_text("precious")
    (out / name).symlink_to(victim)
    cache = None
    try:
        with output_lock(out, ["E1.parquet"]), output_lock(out):
            cache = HashCache(out, "E1")
            cache.remember(__file__, file_stamp(__file__), "0" * 64)
            cache.save()
    except StorageError as error:
        assert str(error).startswith(str(out))  # noqa: PT017 - some names are refused, others are replaced
    if name == ".deepchrome":
        assert list(victim.iterdir()) == []
    else:
        assert victim.read_text() == "precious"
    assert (cache is None) == (name in {".lock", ".deepchrome", ".deepchrome/lock"})


@pytest.mark.campaign("edges")
def test_links_and_special_files_at_outputs(tmp_path: Path) -> None:
    """A link is replaced itself; a pipe and a device are refused."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with atomic_write(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "victim").read_text() == "precious"
    assert ((tmp_path / "link").read_text(), (tmp_path / "link").is_symlink()) == ("new", False)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for name in ("pipe", "device"):
        wanted = rf"{name}: cannot be written \(it is a {name}\)"
        with pytest.raises(StorageError, match=wanted), atomic_write(tmp_path / name):
            pytest.fail("written")


def test_errors_of_other_files_keep_their_names(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), atomic_write(tmp_path / "out"):
        (tmp_path / "absent").read_text()
    assert list(tmp_path.iterdir()) == []


def test_permissions_of_other_threads_do_not_change(tmp_path: Path) -> None:
    """The mask of permissions belongs to the whole process, so it must not be changed for a moment."""
    with patch("os.umask", side_effect=AssertionError), atomic_write(tmp_path / "out"):
        pass


@pytest.mark.campaign("races")
def test_locks_of_killed_runs_are_free(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with output_lock(tmp_path, ["E1.parquet"]):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list((tmp_path / ".deepchrome").glob("*.run"))
    with output_lock(tmp_path, ["E1.parquet"]):
        assert len(list((tmp_path / ".deepchrome").glob("*.run"))) == 1


@pytest.mark.campaign("races")
def test_waiting_for_a_lock(tmp_path: Path) -> None:
    entered = []

    def enter() -> None:
        with output_lock(tmp_path, ["a"], wait=30):
            entered.append(1)

    with output_lock(tmp_path, ["a", "b"]):
        other = threading.Thread(target=enter)
        other.start()
        time.sleep(0.2)
        assert not entered
    other.join()
    assert entered


@pytest.mark.campaign("disk", "races")
def test_lock_that_cannot_be_recorded_is_released(tmp_path: Path) -> None:
    """On a full disk, nobody could read who holds the lock. A long program must not keep it."""
    with (
        patch("deepchrome.common.locks.json.dump", side_effect=OSError(errno.ENOSPC, "No space left on device")),
        pytest.raises(StorageError, match="No space left on device"),
        output_lock(tmp_path, ["E1.parquet"]),
    ):
        pass
    assert not list(tmp_path.glob(".deepchrome/*.run"))
    with output_lock(tmp_path, ["E1.parquet"]):
        pass
