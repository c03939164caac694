"""Files of the kernel cache that are damaged, unreadable or not private: the kernels are compiled anew."""

import importlib.util
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from campaign.rows import sized
from support.tiny import counts_of, reads_text, write_genes_and_sizes

from deepchrome.engine.features.store import read_features
from deepchrome.engine.kernels import cache
from deepchrome.errors import StorageError

# Files may grow to 32 KiB, as on a full disk or with a quota. The code of some kernels is larger.
WITH_LITTLE_SPACE = ("sh", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "sh")
KERNEL = """
from deepchrome.engine.kernels.jit import entry_point

@entry_point
def add(number):
    return number + {number}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory for caches, which this process uses."""
    monkeypatch.setattr(cache.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def kernel(folder: Path, number: int = 1) -> Any:
    """Return a kernel that adds ``number``, as a new process would see it: neither compiled nor loaded."""
    source = folder / f"{number}" / "kernel_for_tests.py"
    source.parent.mkdir(exist_ok=True)
    source.write_text(KERNEL.format(number=number))
    spec = importlib.util.spec_from_file_location("kernel_for_tests", source)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.add


def result_and_hits(function: Any) -> tuple[int, int]:
    return function(10), sum(function.stats.cache_hits.values())


def files_of(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("deepchrome-*/*"))


def test_second_process_loads_the_code_of_the_first(folder: Path) -> None:
    assert result_and_hits(kernel(folder)) == (11, 0)
    (file,) = files_of(folder)
    assert result_and_hits(kernel(folder)) == (11, 1)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.campaign("kernel-cache")
def test_every_changed_byte_and_every_cut_is_detected(
    folder: Path, record_property: Callable[[str, int], None]
) -> None:
    function = kernel(folder)
    function(10)
    (file,) = files_of(folder)
    whole = file.read_bytes()
    arguments = (function.signatures[0], function.targetctx)
    assert function._cache.load_overload(*arguments)
    offsets = sized(random.Random(1).sample(range(len(whole)), 300), range(len(whole)))
    for i in offsets:
        for damaged in (whole[:i], whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :]):
            file.write_bytes(damaged)
            assert function._cache.load_overload(*arguments) is None
    record_property("bytes of a compiled kernel changed, and as many cuts", len(offsets))


@pytest.mark.campaign("kernel-cache")
def test_file_of_another_version_under_the_name_of_this_one(folder: Path) -> None:
    assert kernel(folder, 1)(10) == 11
    (first,) = files_of(folder)
    assert kernel(folder, 2)(10) == 12
    (second,) = set(files_of(folder)) - {first}
    second.write_bytes(first.read_bytes())
    assert result_and_hits(kernel(folder, 2)) == (12, 0)
    assert result_and_hits(kernel(folder, 2)) == (12, 1)


def make_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def make_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def make_link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_bytes(b""),
    "halved": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "zeroed": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "replaced by a directory": make_directory,
    "replaced by a FIFO": make_fifo,
    "replaced by a link": make_link,
    "writable by others": lambda file: file.chmod(0o606),
    "writable by the group": lambda file: file.chmod(0o660),
}
if os.geteuid():  # root may read every file
    DAMAGE["unreadable"] = lambda file: file.chmod(0)


@pytest.mark.campaign("kernel-cache")
@pytest.mark.parametrize("damage", DAMAGE)
def test_kernel_is_compiled_anew_if_its_file_is(damage: str, folder: Path) -> None:
    kernel(folder)(10)
    (file,) = files_of(folder)
    DAMAGE[damage](file)
    assert result_and_hits(kernel(folder)) == (11, 0)
    assert result_and_hits(kernel(folder)) == (11, int(damage != "replaced by a directory"))


@pytest.mark.campaign("kernel-cache", "messages")
@pytest.mark.parametrize("first_damage", range(sized(1, len(DAMAGE))))
def test_featurize_with_a_damaged_cache_on_a_full_disk(first_damage: int, tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    text = reads_text()
    (tmp_path / "E1-A.bed").write_bytes(text)
    tables = ("--genes", tmp_path / "genes.tsv", "--genome", tmp_path / "small.sizes", "--out", tmp_path / "out")
    command = [sys.executable, "-m", "deepchrome", "featurize", tmp_path / "E1-A.bed", *tables, "--force"]

    def featurize(*prefix: str) -> None:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        ran = subprocess.run([*prefix, *command], env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert (read_features(tmp_path / "out" / "E1.parquet").counts[:, :, 0] == counts_of(text)).all()

    featurize()
    files = files_of(tmp_path)
    assert len(files) >= 6
    damages = [*DAMAGE.values()]
    for i, file in enumerate(files):
        damages[(first_damage + i) % len(damages)](file)
    featurize(*WITH_LITTLE_SPACE)


@pytest.mark.campaign("kernel-cache")
@pytest.mark.parametrize("mode", [0o701, 0o770, 0o707, 0o777])
def test_directory_that_others_can_write_is_not_used(mode: int, folder: Path) -> None:
    kernel(folder)(10)
    directory = cache.private_directory()
    directory.chmod(mode)
    is_private = mode == 0o701
    assert result_and_hits(kernel(folder)) == (11, int(is_private))
    if not is_private:
        with pytest.raises(StorageError, match=f"{directory}: not a directory that only you can write"):
            cache.private_directory()


@pytest.mark.campaign("kernel-cache")
def test_directory_of_another_user_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user has made the directory that this user would use."""
    us = os.geteuid()
    (folder / "cache").mkdir()
    (folder / "cache" / f"deepchrome-{us + 1}").mkdir(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    assert result_and_hits(kernel(folder)) == (11, 0)
    assert files_of(folder) == []


@pytest.mark.campaign("kernel-cache")
def test_link_in_place_of_the_directory_is_not_followed(folder: Path) -> None:
    directory = cache.private_directory()
    directory.rename(folder / "elsewhere")
    directory.symlink_to(folder / "elsewhere")
    assert result_and_hits(kernel(folder)) == (11, 0)
    assert list((folder / "elsewhere").iterdir()) == []


@pytest.mark.campaign("kernel-cache")
def test_failed_save_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        assert result_and_hits(kernel(folder)) == (11, 0)
    assert files_of(folder) == []
    assert result_and_hits(kernel(folder)) == (11, 0)
    assert result_and_hits(kernel(folder)) == (11, 1)


def test_only_the_newest_files_are_kept(folder: Path) -> None:
    directory = cache.private_directory()
    for i in range(100):
        (directory / f"old{i}").touch()
        os.utime(directory / f"old{i}", (i, i))
    assert kernel(folder)(10) == 11
    assert len(files_of(folder)) == 64
    assert not (directory / "old36").exists()
    assert (directory / "old37").exists()
    assert result_and_hits(kernel(folder)) == (11, 1)


def test_cache_is_below_the_directory_that_the_user_chose(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"deepchrome-{os.geteuid()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "xdg"))
    monkeypatch.setenv("HOME", str(folder / "home"))
    assert cache.private_directory() == folder / "cache" / name
    monkeypatch.setattr(cache.config, "CACHE_DIR", "")
    assert cache.private_directory() == folder / "xdg" / name
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.private_directory() == folder / "home" / ".cache" / name


def test_kernel_without_its_source_is_compiled_in_every_process(folder: Path) -> None:
    with patch.object(cache, "_file_digest", side_effect=FileNotFoundError):
        function = kernel(folder, 3)
    assert function(10) == 13
    assert files_of(folder) == []
