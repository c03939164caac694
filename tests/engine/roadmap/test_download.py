"""dc download fetches, checks and records files, and reports those that fail."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.downloads import CRC_WRONG, NOISE, READS, TEXT, DownloadSetup, file_name
from support.tiny import PACK, bgzip, counts_of, dc, featurize, write_genes_and_sizes
from support.web import Fault

from deepchrome.common.locks import output_lock
from deepchrome.engine.features.store import read_features
from deepchrome.engine.roadmap import download as downloads
from deepchrome.engine.roadmap import manifest as manifests
from deepchrome.engine.roadmap import transfer
from deepchrome.engine.roadmap.download import download
from deepchrome.engine.roadmap.manifest import read_manifest, select_entries

pytestmark = pytest.mark.campaign("network")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_files_are_fetched_checked_and_recorded(setup: DownloadSetup) -> None:
    """The record of a download is a manifest with sizes and hashes, which a later download checks."""
    setup.add_reads("E001-A")
    setup.add_reads("E002-A", PACK["bgzip"](TEXT), len(PACK["bgzip"](TEXT)), sha256(PACK["bgzip"](TEXT)))
    setup.add_row(f"expression\t\t\t{setup.web.put('deep/er/rpkm%2B.txt', b'gene_id')}\t\t")
    ran = setup.dc()
    assert ran.code == 0
    assert setup.statuses(ran) == ["fetched"] * 3
    assert setup.files() == [file_name(1), file_name(2), "manifest.tsv", "rpkm+.txt"]
    assert (setup.out / file_name(1)).read_bytes() == READS
    assert (setup.out / "rpkm+.txt").read_bytes() == b"gene_id"
    record = setup.record()
    assert record[file_name(1)][4:] == [str(len(READS)), sha256(READS)]
    assert record["rpkm%2B.txt"][4:] == ["7", sha256(b"gene_id")]
    assert "3 of 3 files to fetch" in ran.err
    assert f"{file_name(1)}: fetched, {len(READS):,} bytes" in ran.err

    asked = len(setup.web.log)
    ran = setup.dc("--json")
    assert [row["status"] for row in ran.json()] == ["was there"] * 3
    assert [set(row) for row in ran.json()] == [{"file", "bytes", "seconds", "status"}] * 3
    assert len(setup.web.log) == asked  # the record has sizes and hashes

    setup.web.put(file_name(1), bgzip(TEXT))  # another file at the same URL
    pinned = setup.out / "manifest.tsv"
    ran = dc("download", "--manifest", pinned, "--out", setup.out.parent / "again")
    assert ran.code == 65
    assert f"wrong size (the server has {len(bgzip(TEXT)):,} bytes; the manifest has {len(READS):,})" in ran.out
    assert not (setup.out.parent / "again" / file_name(1)).exists()
    assert (setup.out.parent / "again" / file_name(2)).exists()


def test_downloaded_reads_can_be_counted(setup: DownloadSetup, tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    setup.add_reads("E001-A", faults=[Fault(cut_after=9000)])
    assert setup.dc().code == 0
    assert featurize(tmp_path, setup.out, out="features").code == 0
    assert (read_features(tmp_path / "features" / "E001.parquet").counts[:, :, 0] == counts_of(TEXT)).all()


BAD = {
    "gzip cut at the source": (READS[:-100], {}, "the data end too early"),
    "gzip damaged at the source": (CRC_WRONG, {}, "the compressed data are damaged"),
    "bgzip without its end": (bgzip(TEXT, end=b""), {}, "the bgzip end-of-file block is missing"),
    "a page instead": (
        b"<html>Log in first</html>",
        {},
        "not gzip data, although the file name is that of a gzip",
    ),
    "another hash": (READS, {"digest": "0" * 64}, f"wrong SHA-256 ({sha256(READS)}; the manifest has {'0' * 64})"),
    "another size": (READS, {"size": 7}, f"wrong size (the server has {len(READS):,} bytes; the manifest has 7)"),
    "another size, not announced": (
        READS,
        {"size": 7, "ranges": False, "probes_too": True, "always": Fault(no_length=True)},
        f"wrong size ({len(READS):,} bytes; the manifest has 7)",
    ),
}


@pytest.mark.parametrize("how", BAD)
def test_bad_file_is_removed_and_the_others_are_fetched(how: str, setup: DownloadSetup) -> None:
    """Nothing of the bad file is left, so the next run downloads all of it."""
    data, given, message = BAD[how]
    setup.add_reads("E001-A", data, **given)
    setup.add_reads("E002-A")
    ran = setup.dc()
    assert ran.code == 65
    bad, good = setup.statuses(ran)
    assert bad.startswith(f"failed: {setup.web.root}/{file_name(1)}: ")
    assert message in bad
    assert good == "fetched"
    assert setup.files() == [file_name(2), "manifest.tsv"]
    assert set(setup.record()) == {file_name(2)}
    setup.rows.clear()
    setup.add_reads("E001-A")
    assert setup.dc().code == 0
    assert setup.web.ranges(file_name(1))[-1] is None
    assert (setup.out / file_name(1)).read_bytes() == READS
    assert set(setup.record()) == {file_name(1), file_name(2)}


def test_bgzip_without_end_block_is_accepted_if_allowed(setup: DownloadSetup) -> None:
    setup.add_reads("E001-A", bgzip(TEXT, end=b""))
    assert setup.dc("--allow-no-eof").code == 0


def test_missing_and_forbidden_files_are_reported(setup: DownloadSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads of marks that are not in the manifest are looked for at Roadmap's URLs."""
    setup.add_reads("E001-A")
    setup.add_reads("E002-A")
    setup.web.put("E001-Input.tagAlign.gz", READS)
    monkeypatch.setattr(manifests, "READS_URL", setup.web.root + "/{epigenome}-{mark}.tagAlign.gz")
    entries = select_entries(read_manifest(setup.manifest), None, ["Input"], tables=False, by_rule=True)
    results = download(setup.out, entries)
    assert [result.row()["status"] for result in results] == ["fetched", "not published"]
    assert setup.files() == ["E001-Input.tagAlign.gz", "manifest.tsv"]
    del setup.web.objects[f"/{file_name(2)}"]
    ran = setup.dc()
    assert ran.code == 66
    assert setup.statuses(ran) == ["fetched", "not published"]
    setup.add_reads("E003-A", probes_too=True, always=Fault(403))
    ran = setup.dc()
    assert ran.code == 66
    assert "the server refuses access (403)" in setup.statuses(ran)[2]


def test_exit_code_is_that_of_the_worst_error(setup: DownloadSetup) -> None:
    """A bad file is worse than a failing network, and that is worse than a missing file."""
    setup.add_reads("E001-A")
    setup.add_reads("E002-A")
    setup.add_reads("E003-A", NOISE, always=Fault(cut_after=10))
    setup.add_reads("E004-A", CRC_WRONG)
    del setup.web.objects[f"/{file_name(2)}"]
    ran = setup.dc()
    assert ran.code == 65
    good, missing, cut, wrong = setup.statuses(ran)
    assert (good, missing) == ("fetched", "not published")
    assert "tried 3 times" in cut
    assert "damaged" in wrong
    setup.web.put(file_name(4), READS)
    ran = setup.dc()
    assert ran.code == 74
    assert setup.statuses(ran)[0] == "was there"
    setup.web.put(file_name(3), NOISE)
    assert setup.dc().code == 66


def test_existing_files_are_checked_and_left_unchanged(setup: DownloadSetup) -> None:
    """Files are checked by hash, or by size and their compressed data, and never changed."""
    setup.add_reads("E001-A")
    setup.add_reads("E002-A", size=len(READS), digest=sha256(READS))
    setup.add_reads("E003-A")
    setup.add_reads("E004-A", ranges=False, probes_too=True, always=Fault(no_length=True))
    setup.add_reads("E005-A", digest=sha256(READS))
    setup.out.mkdir()
    there = {1: READS, 2: READS, 3: READS[:-50], 4: READS[:-50], 5: bgzip(TEXT)[: len(READS)].ljust(len(READS), b"x")}
    for i, data in there.items():
        (setup.out / file_name(i)).write_bytes(data)
    ran = setup.dc()
    assert ran.code == 65
    statuses = setup.statuses(ran)
    assert statuses[:2] == ["was there"] * 2
    short = (
        f"wrong size ({len(READS) - 50:,} bytes; the server has {len(READS):,}). Delete the file to download it again"
    )
    assert statuses[2] == f"failed: {setup.out / file_name(3)}: {short}"
    assert "the data end too early" in statuses[3]
    assert "wrong SHA-256 (" in statuses[4]
    assert {i: (setup.out / file_name(i)).read_bytes() for i in there} == there
    assert not any(setup.web.ranges(file_name(i)) for i in (1, 2, 3, 5))
    assert set(setup.record()) == {file_name(1), file_name(2)}


def test_dry_run_writes_nothing(setup: DownloadSetup) -> None:
    setup.add_reads("E001-A", NOISE)
    setup.add_reads("E002-A", size=1000)
    setup.add_reads("E003-A")
    setup.add_reads("E004-A", ranges=False, probes_too=True, always=Fault(no_length=True))
    setup.add_reads("E005-A", probes_too=True, always=Fault(503))
    del setup.web.objects[f"/{file_name(3)}"]
    ran = setup.dc("--dry-run")
    assert ran.code == 74
    assert not setup.out.exists()
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert rows[:5] == [
        ["file", "bytes", "status"],
        [file_name(1), str(len(NOISE)), "to fetch"],
        [file_name(2), "1000", "to fetch"],
        [file_name(3), "", "not published"],
        [file_name(4), "", "to fetch"],
    ]
    assert rows[5][2].startswith("failed: ")
    assert f"3 of 5 files to fetch, {len(NOISE) + 1000:,} bytes; unknown size: 1; not available: 2" in ran.err
    setup.out.mkdir()
    (setup.out / file_name(1)).write_bytes(NOISE)
    ran = setup.dc("--dry-run", "--json", "--epigenomes", "E001")
    assert ran.json() == [{"file": file_name(1), "bytes": len(NOISE), "status": "is there"}]
    assert setup.files() == [file_name(1)]


def test_too_little_space_is_refused(setup: DownloadSetup) -> None:
    setup.add_reads("E001-A")
    setup.add_reads("E002-A", size=10**17)
    ran = setup.dc()
    assert ran.code == 74
    assert f"{setup.out}: not enough space ({10**17 + len(READS):,} bytes to download, " in ran.err
    assert setup.files() == []


def test_second_run_on_one_directory_is_refused(setup: DownloadSetup) -> None:
    setup.add_reads("E001-A")
    with output_lock(setup.out):
        ran = setup.dc()
    assert ran.code == 74
    assert "is writing there" in ran.err
    assert setup.web.log == []


def test_number_of_simultaneous_requests_is_limited(setup: DownloadSetup) -> None:
    """The limit applies to requests of sizes and to downloads."""
    lock, now, most = threading.Lock(), 0, 0
    for i in range(1, 10):
        setup.add_reads(f"E{i:03d}-A")
    receive, fetch_identity = transfer._receive, downloads.fetch_identity

    @contextlib.contextmanager
    def counted() -> Iterator[None]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        yield
        with lock:
            now -= 1

    def counted_receive(*given: Any) -> bool:
        with counted():
            return receive(*given)

    def counted_identity(url: str) -> Any:
        with counted():
            return fetch_identity(url)

    with (
        patch.object(transfer, "_receive", counted_receive),
        patch.object(downloads, "fetch_identity", counted_identity),
    ):
        download(setup.out, read_manifest(setup.manifest), jobs=3)
    assert most == 3
    assert len(setup.record()) == 9
