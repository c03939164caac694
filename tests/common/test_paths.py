"""Paths that name the same file are found, however they are written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deepchrome.common.paths import check_distinct, data_files
from deepchrome.errors import UsageError


def hard_link(folder: Path) -> Path:
    os.link(folder / "a", folder / "hard")
    return folder / "hard"


def link(folder: Path) -> Path:
    (folder / "link").symlink_to("a")
    return folder / "link"


def linked_folder(folder: Path) -> Path:
    (folder / "linked").symlink_to(folder)
    return folder / "linked" / "a"


def inside(folder: Path) -> Path:
    (folder / "a").unlink()  # nothing lies in a file
    return folder / "a" / "b"


SPELLINGS: dict[str, Callable[[Path], Path]] = {
    "the same": lambda folder: folder / "a",
    "relative": lambda folder: Path(os.path.relpath(folder / "a")),
    "dots": lambda folder: Path(f"{folder}/./b/../a"),
    "slashes": lambda folder: Path(f"{folder}//a"),
    "hard link": hard_link,
    "link": link,
    "linked folder": linked_folder,
    "inside": inside,
    "outside": lambda folder: folder,
}


@pytest.mark.campaign("strangers")
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_same_path_is_found_in_every_spelling(spelling, tmp_path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    path = SPELLINGS[spelling](tmp_path)
    with pytest.raises(UsageError, match="another output has the same path"):
        check_distinct([tmp_path / "a", path])
    for output, other in ((tmp_path / "a", path), (path, tmp_path / "a")):
        with pytest.raises(UsageError, match="this output would replace an input"):
            check_distinct([output], [other])


def test_different_paths_are_accepted(tmp_path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "c").write_bytes(b"")
    check_distinct([tmp_path / "a", tmp_path / "c", tmp_path / "ab"], [tmp_path / "b", Path("-")])
    check_distinct([], [tmp_path])


def test_the_data_files_of_a_directory(tmp_path) -> None:
    for name in ("train.csv", "test.csv.gz", "notes.txt"):
        (tmp_path / name).touch()
    found = data_files(tmp_path, None, tmp_path / "table.tsv")
    assert [path.name for path in found] == ["train.csv", "test.csv.gz", "table.tsv"]
    (tmp_path / "E001.parquet").touch()
    assert data_files(tmp_path) == [tmp_path / "E001.parquet"]
