"""Downloads that are cut, killed or interrupted, and partial files."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from support.downloads import NOISE, TEXT, DownloadSetup, file_name
from support.web import Fault

from deepchrome.engine.features.samples import find_samples
from deepchrome.engine.roadmap import transfer
from deepchrome.engine.roadmap.download import DownloadObserver, download
from deepchrome.engine.roadmap.manifest import read_manifest

pytestmark = pytest.mark.campaign("network")


@pytest.mark.parametrize("how", ["same", "no etag", "changed", "no ranges", "another url"])
def test_interrupted_download_is_resumed_if_the_object_is_the_same(how: str, setup: DownloadSetup) -> None:
    """If the object is the same, only the rest is requested; otherwise the whole object."""
    options: dict[str, Any] = {"etag": None} if how == "no etag" else {}
    setup.add_reads("E001-A", NOISE, faults=[Fault(cut_after=250_000)], always=Fault(cut_after=5), **options)
    ran = setup.dc()
    assert ran.code == 74
    assert "tried 3 times" in setup.statuses(ran)[0]
    part = setup.out / f"{file_name(1)}.part"
    begun = part.stat().st_size
    assert 65_536 <= begun <= 250_000
    assert part.read_bytes() == NOISE[:begun]
    assert not (setup.out / file_name(1)).exists()
    data = gzip.compress(TEXT * 9) if how == "changed" else NOISE
    setup.web.put(file_name(1), data, **options, ranges=how != "no ranges")
    if how == "another url":
        setup.web.objects["/other/" + file_name(1)] = setup.web.objects["/" + file_name(1)]
        setup.manifest.write_text(setup.manifest.read_text().replace("/E001", "/other/E001"))
    setup.web.log.clear()
    ran = setup.dc()
    assert ran.code == 0
    resumes = how in ("same", "no etag")
    assert setup.statuses(ran) == ["resumed" if resumes else "fetched"]
    ranges = setup.web.ranges(("other/" if how == "another url" else "") + file_name(1))
    assert (ranges == [f"bytes={begun}-"]) == (resumes or how == "no ranges")
    assert (setup.out / file_name(1)).read_bytes() == data
    assert setup.files() == [file_name(1), "manifest.tsv"]


def test_complete_partial_file_is_checked_and_not_fetched_again(setup: DownloadSetup) -> None:
    """The earlier run was interrupted between the last byte and the check."""
    setup.add_reads("E001-A", NOISE)
    with patch.object(transfer, "check_file", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        download(setup.out, read_manifest(setup.manifest))
    assert (setup.out / f"{file_name(1)}.part").read_bytes() == NOISE
    setup.web.log.clear()
    assert setup.statuses(setup.dc()) == ["resumed"]
    assert setup.web.ranges(file_name(1)) == []
    assert (setup.out / file_name(1)).read_bytes() == NOISE


def test_wrong_partial_file_is_discarded(setup: DownloadSetup) -> None:
    """A partial file with wrong bytes fails its check, and the next run downloads all of the file."""
    setup.add_reads("E001-A", NOISE, faults=[Fault(cut_after=250_000)], always=Fault(cut_after=5))
    assert setup.dc().code == 74
    part, note = setup.out / f"{file_name(1)}.part", setup.out / f".{file_name(1)}.part.json"
    part.write_bytes(b"x" * part.stat().st_size)
    setup.web.put(file_name(1), NOISE)
    assert setup.dc().code == 65
    assert setup.files() == []
    for garbage in (b"{", b"[]", b"{}", b"\xff"):
        part.write_bytes(b"garbage")
        note.write_bytes(garbage)  # a file of another program
        ran = setup.dc()
        assert (ran.code, "not from a download of this program" in setup.statuses(ran)[0]) == (74, True)
        assert (part.read_bytes(), note.read_bytes()) == (b"garbage", garbage)


def test_killed_download_continues_where_it_ended(setup: DownloadSetup) -> None:
    """After each of two SIGKILLs, the next process continues."""
    data = gzip.compress(random.Random(3).randbytes(16_000_000), 1)
    setup.add_reads("E001-A", data, always=Fault(chunk=1 << 15, pause=0.01))
    part = setup.out / f"{file_name(1)}.part"
    command = [sys.executable, "-m", "deepchrome", "download", "--manifest", setup.manifest, "--out", setup.out]
    reached = [0]
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up_at = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size > reached[-1]):
            assert process.poll() is None
            assert time.monotonic() < give_up_at
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        reached.append(part.stat().st_size)
        assert not (setup.out / file_name(1)).exists()
    setup.web.put(file_name(1), data)
    assert setup.statuses(setup.dc()) == ["resumed"]
    assert setup.web.ranges(file_name(1)) == [None] + [f"bytes={n}-" for n in reached[1:]]
    assert (setup.out / file_name(1)).read_bytes() == data
    assert setup.files() == [file_name(1), "manifest.tsv"]


def test_interrupt_keeps_partial_files_and_record(setup: DownloadSetup) -> None:
    """Ctrl-C does not wait for a silent server. Downloaded bytes stay, and complete files are recorded."""
    setup.add_reads("E001-A")
    setup.add_reads("E002-A", NOISE, size=len(NOISE), always=Fault(stall_after=100_000))

    class InterruptingObserver(DownloadObserver):
        is_sent = False

        def on_progress(self, entry: Any, bytes_there: int) -> None:
            if entry.epigenome == "E002" and not self.is_sent:
                self.is_sent = True
                threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download(setup.out, read_manifest(setup.manifest), observer=InterruptingObserver())
    assert time.monotonic() - began < 10
    assert set(setup.files()) == {file_name(1), f"{file_name(2)}.part", f".{file_name(2)}.part.json", "manifest.tsv"}
    assert set(setup.record()) == {file_name(1)}


def test_full_disk_keeps_the_partial_file(setup: DownloadSetup) -> None:
    """The next run continues with the bytes that were written."""
    setup.add_reads("E001-A", NOISE)

    def fsync(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith(f"{file_name(1)}.part"):
            raise OSError(28, "No space left on device")

    with patch.object(transfer.os, "fsync", fsync):
        ran = setup.dc()
    assert ran.code == 74
    assert "No space left on device" in setup.statuses(ran)[0]
    assert setup.files() == [f".{file_name(1)}.part.json", f"{file_name(1)}.part"]
    assert setup.statuses(setup.dc()) == ["resumed"]
    assert (setup.out / file_name(1)).read_bytes() == NOISE


@pytest.fixture
def small_disk(setup: DownloadSetup) -> Iterator[DownloadSetup]:
    setup.out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", setup.out], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs a small file system of its own, which only root may mount")
    yield setup
    subprocess.run(["umount", setup.out], check=True)


def test_disk_that_fills_up_is_an_error(small_disk: DownloadSetup) -> None:
    setup = small_disk
    setup.add_reads("E001-A", NOISE, ranges=False, probes_too=True, always=Fault(no_length=True))
    setup.add_reads("E002-A")
    ran = setup.dc("--jobs", 1)
    assert ran.code == 74
    assert f"{file_name(1)}: failed: " in ran.err
    assert "No space left on device" in ran.err
    assert not (setup.out / file_name(1)).exists()


def test_featurize_ignores_partial_files(setup: DownloadSetup) -> None:
    setup.add_reads("E001-A")
    setup.add_reads("E002-A", NOISE, faults=[Fault(cut_after=250_000)], always=Fault(cut_after=5))
    assert setup.dc().code == 74
    assert f".{file_name(2)}.part.json" in setup.files()
    assert [sample.epigenome for sample in find_samples([str(setup.out)])] == ["E001"]


def test_note_of_a_partial_file_has_url_size_and_etag(setup: DownloadSetup) -> None:
    setup.add_reads("E001-A", NOISE, faults=[Fault(cut_after=250_000)], always=Fault(cut_after=5))
    assert setup.dc().code == 74
    note = json.loads((setup.out / f".{file_name(1)}.part.json").read_text())
    assert note == {"url": f"{setup.web.root}/{file_name(1)}", "size": len(NOISE), "etag": '"1"'}
