"""Fixtures of the download tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.downloads import DownloadSetup
from support.web import Web, serving

from deepchrome.engine.streams import remote


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use short pauses, few tries and small blocks."""
    monkeypatch.setattr(remote, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(remote, "BLOCK_BYTES", 100_000)
    monkeypatch.setattr(remote, "TRIES", 3)


@pytest.fixture
def setup(web: Web, tmp_path: Path) -> DownloadSetup:
    return DownloadSetup(web, tmp_path)
