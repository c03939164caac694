"""dc download: what is fetched is whole and right, or does not take its name; what is cut is gone on with."""

import contextlib
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.tiny import PACK, Ran, bgzip, counts_of, dc, featurize, place, reads_text
from support.web import Fault, Web, serving

from deepchrome.common.files import output_lock
from deepchrome.engine.features.samples import find_samples
from deepchrome.engine.features.store import read_features
from deepchrome.engine.roadmap import download as downloads
from deepchrome.engine.roadmap import manifest as manifests
from deepchrome.engine.roadmap.download import DownloadObserver, download
from deepchrome.engine.roadmap.manifest import read_manifest, select_entries
from deepchrome.engine.streams import remote
from deepchrome.errors import BadDataError, MissingInputError, UsageError

pytestmark = pytest.mark.campaign("network")
TEXT = reads_text(2000)
READS = PACK["gzip"](TEXT)
NOISE = gzip.compress(random.Random(2).randbytes(400_000))
HEADER = "kind\tepigenome\tmark\turl\tbytes\tsha256\n"
SECRET = "X-Amz-Signature=5ec7e7"


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(remote, "BLOCK_BYTES", 100_000)
    monkeypatch.setattr(remote, "TRIES", 3)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Place:
    """A server with reads, a manifest of them, and the directory they go to."""

    def __init__(self, web: Web, folder: Path) -> None:
        self.web, self.out, self.manifest = web, folder / "out", folder / "list.tsv"
        self.rows: list[str] = []

    def reads(
        self, name: str, data: bytes = READS, size: Any = "", digest: str = "", query: str = "", **how: Any
    ) -> None:
        epigenome, mark = name.split("-")
        url = self.web.put(f"{name}.tagAlign.gz", data, **how)
        self.row(f"reads\t{epigenome}\t{mark}\t{url}{query}\t{size}\t{digest}")

    def row(self, row: str) -> None:
        self.rows.append(row)
        self.manifest.write_text(HEADER + "\n".join(self.rows) + "\n")

    def dc(self, *more: object) -> Ran:
        return dc("download", "--manifest", self.manifest, "--out", self.out, *more)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir() if path.name != ".lock")

    def statuses(self, ran: Ran) -> list[str]:
        rows = [line.split("\t") for line in ran.out.splitlines()]
        assert rows[0] == ["file", "bytes", "seconds", "status"]
        return [row[-1] for row in rows[1:]]

    def record(self) -> dict[str, list[str]]:
        lines = (self.out / "manifest.tsv").read_text().splitlines()
        assert lines[0] + "\n" == HEADER
        return {line.split("\t")[3].rpartition("/")[2]: line.split("\t") for line in lines[1:]}


@pytest.fixture
def at(web: Web, tmp_path: Path) -> Place:
    return Place(web, tmp_path)


def name(i: int) -> str:
    return f"E{i:03d}-A.tagAlign.gz"


def test_bundled_manifest() -> None:
    """635 files of reads and three tables, by Roadmap's rule; nothing published says their sizes or hashes."""
    entries = read_manifest()
    reads = [entry for entry in entries if entry.kind == "reads"]
    wanted = {f"E{i:03d}" for i in range(1, 130)} - {"E060", "E064"}
    marks = {"H3K4me1", "H3K4me3", "H3K36me3", "H3K27me3", "H3K9me3"}
    assert {(entry.epigenome, entry.mark) for entry in reads} == {(e, m) for e in wanted for m in marks}
    assert len(reads) == 635
    root = "https://egg2.wustl.edu/roadmap/data/"
    for entry in reads:
        assert entry.file == f"{entry.epigenome}-{entry.mark}.tagAlign.gz"
        assert entry.url == f"{root}byFileType/alignments/consolidated/{entry.file}"
    tables = {entry.file: entry for entry in entries if entry.kind != "reads"}
    assert set(tables) == {"57epigenomes.RPKM.pc.gz", "Ensembl_v65.Gencode_v10.ENSG.gene_info", "EG.name.txt"}
    assert all(entry.url == f"{root}byDataType/rna/expression/{file}" for file, entry in tables.items())


def test_files_are_fetched_checked_and_recorded(at: Place) -> None:
    """Reads of all kinds and tables; what was fetched pins the next time."""
    at.reads("E001-A")
    at.reads("E002-A", PACK["bgzip"](TEXT), len(PACK["bgzip"](TEXT)), sha256(PACK["bgzip"](TEXT)))
    at.row(f"expression\t\t\t{at.web.put('deep/er/rpkm%2B.txt', b'gene_id')}\t\t")
    ran = at.dc()
    assert ran.code == 0
    assert at.statuses(ran) == ["fetched"] * 3
    assert at.files() == [name(1), name(2), "manifest.tsv", "rpkm+.txt"]
    assert (at.out / name(1)).read_bytes() == READS
    assert (at.out / "rpkm+.txt").read_bytes() == b"gene_id"
    record = at.record()
    assert record[name(1)][4:] == [str(len(READS)), sha256(READS)]
    assert record["rpkm%2B.txt"][4:] == ["7", sha256(b"gene_id")]
    assert "3 of 3 files to fetch" in ran.err
    assert f"{name(1)}: fetched, {len(READS):,} bytes" in ran.err

    asked = len(at.web.log)
    ran = at.dc("--json")
    assert [row["status"] for row in ran.json()] == ["was there"] * 3
    assert [set(row) for row in ran.json()] == [{"file", "bytes", "seconds", "status"}] * 3
    assert len(at.web.log) == asked  # sizes and hashes are on record

    at.web.put(name(1), bgzip(TEXT))  # another file under the same URL
    pinned = at.out / "manifest.tsv"
    ran = dc("download", "--manifest", pinned, "--out", at.out.parent / "again")
    assert ran.code == 65
    assert f"the server has {len(bgzip(TEXT)):,} bytes where the manifest says {len(READS):,}" in ran.out
    assert not (at.out.parent / "again" / name(1)).exists()
    assert (at.out.parent / "again" / name(2)).exists()


def test_downloaded_reads_can_be_counted(at: Place, tmp_path: Path) -> None:
    place(tmp_path)
    at.reads("E001-A", faults=[Fault(cut_after=9000)])
    assert at.dc().code == 0
    assert featurize(tmp_path, at.out, out="features").code == 0
    assert (read_features(tmp_path / "features" / "E001.parquet").counts[:, :, 0] == counts_of(TEXT)).all()


CRC_WRONG = READS[:-8] + bytes([READS[-8] ^ 1]) + READS[-7:]
BAD = {
    "gzip cut at the source": (READS[:-100], {}, "the data end too early"),
    "gzip damaged at the source": (CRC_WRONG, {}, "the compressed data are damaged"),
    "bgzip without its end": (bgzip(TEXT, end=b""), {}, "the bgzip end-of-file block is missing"),
    "a page instead": (b"<html>Log in first</html>", {}, "not gzip, as its name says it is"),
    "another hash": (READS, {"digest": "0" * 64}, f"its SHA-256 is {sha256(READS)} where the manifest says {'0' * 64}"),
    "another size": (READS, {"size": 7}, f"the server has {len(READS):,} bytes where the manifest says 7"),
    "another size, unsaid": (
        READS,
        {"size": 7, "ranges": False, "probes_too": True, "always": Fault(no_length=True)},
        f"{len(READS):,} bytes where the manifest says 7",
    ),
}


@pytest.mark.parametrize("how", BAD)
def test_bad_file_is_removed_and_the_others_are_fetched(how: str, at: Place) -> None:
    """And nothing is left of it, so that the next run starts anew; the others are fetched."""
    data, given, message = BAD[how]
    at.reads("E001-A", data, **given)
    at.reads("E002-A")
    ran = at.dc()
    assert ran.code == 65
    bad, good = at.statuses(ran)
    assert bad.startswith(f"failed: {at.web.root}/{name(1)}: ")
    assert message in bad
    assert good == "fetched"
    assert at.files() == [name(2), "manifest.tsv"]
    assert set(at.record()) == {name(2)}
    at.rows.clear()
    at.reads("E001-A")
    assert at.dc().code == 0
    assert at.web.ranges(name(1))[-1] is None
    assert (at.out / name(1)).read_bytes() == READS
    assert set(at.record()) == {name(1), name(2)}


def test_bgzip_without_end_block_is_accepted_if_allowed(at: Place) -> None:
    at.reads("E001-A", bgzip(TEXT, end=b""))
    assert at.dc("--allow-no-eof").code == 0


def test_missing_and_forbidden_files_are_reported(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marks beyond the manifest are looked for by Roadmap's rule."""
    at.reads("E001-A")
    at.reads("E002-A")
    at.web.put("E001-Input.tagAlign.gz", READS)
    monkeypatch.setattr(manifests, "READS_URL", at.web.root + "/{epigenome}-{mark}.tagAlign.gz")
    entries = select_entries(read_manifest(at.manifest), None, ["Input"], tables=False, by_rule=True)
    done = download(at.out, entries)
    assert [fetched.row()["status"] for fetched in done] == ["fetched", "not published"]
    assert at.files() == ["E001-Input.tagAlign.gz", "manifest.tsv"]
    del at.web.things[f"/{name(2)}"]
    ran = at.dc()
    assert ran.code == 66
    assert at.statuses(ran) == ["fetched", "not published"]
    at.reads("E003-A", probes_too=True, always=Fault(403))
    ran = at.dc()
    assert ran.code == 66
    assert "the server refuses access (403)" in at.statuses(ran)[2]


def test_exit_code_is_that_of_the_worst_error(at: Place) -> None:
    """A file that is wrong before a network that fails before one that is missing."""
    at.reads("E001-A")
    at.reads("E002-A")
    at.reads("E003-A", NOISE, always=Fault(cut_after=10))
    at.reads("E004-A", CRC_WRONG)
    del at.web.things[f"/{name(2)}"]
    ran = at.dc()
    assert ran.code == 65
    good, missing, cut, wrong = at.statuses(ran)
    assert (good, missing) == ("fetched", "not published")
    assert "tried 3 times" in cut
    assert "damaged" in wrong
    at.web.put(name(4), READS)
    ran = at.dc()
    assert ran.code == 74
    assert at.statuses(ran)[0] == "was there"
    at.web.put(name(3), NOISE)
    assert at.dc().code == 66


@pytest.mark.parametrize("how", ["same", "no etag", "changed", "no ranges", "another url"])
def test_interrupted_download_is_resumed_if_the_object_is_the_same(how: str, at: Place) -> None:
    """The rest is asked for if the object is what it was, else all of it."""
    options: dict[str, Any] = {"etag": None} if how == "no etag" else {}
    at.reads("E001-A", NOISE, faults=[Fault(cut_after=250_000)], always=Fault(cut_after=5), **options)
    ran = at.dc()
    assert ran.code == 74
    assert "tried 3 times" in at.statuses(ran)[0]
    part = at.out / f"{name(1)}.part"
    begun = part.stat().st_size
    assert 65_536 <= begun <= 250_000
    assert part.read_bytes() == NOISE[:begun]
    assert not (at.out / name(1)).exists()
    data = gzip.compress(TEXT * 9) if how == "changed" else NOISE
    at.web.put(name(1), data, **options, ranges=how != "no ranges")
    if how == "another url":
        at.web.things["/other/" + name(1)] = at.web.things["/" + name(1)]
        at.manifest.write_text(at.manifest.read_text().replace("/E001", "/other/E001"))
    at.web.log.clear()
    ran = at.dc()
    assert ran.code == 0
    goes_on = how in ("same", "no etag")
    assert at.statuses(ran) == ["resumed" if goes_on else "fetched"]
    ranges = at.web.ranges(("other/" if how == "another url" else "") + name(1))
    assert (ranges == [f"bytes={begun}-"]) == (goes_on or how == "no ranges")
    assert (at.out / name(1)).read_bytes() == data
    assert at.files() == [name(1), "manifest.tsv"]


def test_complete_partial_file_is_checked_and_not_fetched_again(at: Place) -> None:
    """All bytes are there: they are checked, not fetched again."""
    at.reads("E001-A", NOISE)
    with patch.object(downloads, "_checked", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        download(at.out, read_manifest(at.manifest))
    assert (at.out / f"{name(1)}.part").read_bytes() == NOISE
    at.web.log.clear()
    assert at.statuses(at.dc()) == ["resumed"]
    assert at.web.ranges(name(1)) == []
    assert (at.out / name(1)).read_bytes() == NOISE


def test_wrong_partial_file_is_discarded(at: Place) -> None:
    """A part whose bytes are others than the object's is found out, and the next run starts anew."""
    at.reads("E001-A", NOISE, faults=[Fault(cut_after=250_000)], always=Fault(cut_after=5))
    assert at.dc().code == 74
    part, note = at.out / f"{name(1)}.part", at.out / f".{name(1)}.part.json"
    part.write_bytes(b"x" * part.stat().st_size)
    at.web.put(name(1), NOISE)
    assert at.dc().code == 65
    assert at.files() == []
    for garbage in (b"{", b"[]", b"{}", b"\xff"):
        part.write_bytes(b"garbage")
        note.write_bytes(garbage)
        assert at.statuses(at.dc()) == ["fetched"]
        assert at.files() == [name(1), "manifest.tsv"]
        (at.out / name(1)).unlink()


def test_killed_download_continues_where_it_ended(at: Place) -> None:
    """By SIGKILL, several times; each process goes on where the one before was."""
    data = gzip.compress(random.Random(3).randbytes(16_000_000), 1)
    at.reads("E001-A", data, always=Fault(chunk=1 << 15, pause=0.01))
    part = at.out / f"{name(1)}.part"
    command = [sys.executable, "-m", "deepchrome", "download", "--manifest", at.manifest, "--out", at.out]
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
        assert not (at.out / name(1)).exists()
    at.web.put(name(1), data)
    assert at.statuses(at.dc()) == ["resumed"]
    assert at.web.ranges(name(1)) == [None] + [f"bytes={n}-" for n in reached[1:]]
    assert (at.out / name(1)).read_bytes() == data
    assert at.files() == [name(1), "manifest.tsv"]


def test_interrupt_keeps_partial_files_and_record(at: Place) -> None:
    """Ctrl-C does not wait for a server that says nothing; what has arrived is kept, and recorded."""
    at.reads("E001-A")
    at.reads("E002-A", NOISE, size=len(NOISE), always=Fault(stall_after=100_000))

    class Impatient(DownloadObserver):
        is_sent = False

        def advanced(self, entry: Any, bytes_there: int) -> None:
            if entry.epigenome == "E002" and not self.is_sent:
                self.is_sent = True
                threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        download(at.out, read_manifest(at.manifest), observer=Impatient())
    assert time.monotonic() - began < 10
    assert set(at.files()) == {name(1), f"{name(2)}.part", f".{name(2)}.part.json", "manifest.tsv"}
    assert set(at.record()) == {name(1)}


def test_existing_files_are_checked_and_left_unchanged(at: Place) -> None:
    """They are checked as well as can be, and left alone whatever comes of it."""
    at.reads("E001-A")
    at.reads("E002-A", size=len(READS), digest=sha256(READS))
    at.reads("E003-A")
    at.reads("E004-A", ranges=False, probes_too=True, always=Fault(no_length=True))
    at.reads("E005-A", digest=sha256(READS))
    at.out.mkdir()
    there = {1: READS, 2: READS, 3: READS[:-50], 4: READS[:-50], 5: bgzip(TEXT)[: len(READS)].ljust(len(READS), b"x")}
    for i, data in there.items():
        (at.out / name(i)).write_bytes(data)
    ran = at.dc()
    assert ran.code == 65
    statuses = at.statuses(ran)
    assert statuses[:2] == ["was there"] * 2
    short = f"{len(READS) - 50:,} bytes where the server has {len(READS):,}; delete it to have it fetched"
    assert statuses[2] == f"failed: {at.out / name(3)}: {short}"
    assert "the data end too early" in statuses[3]
    assert "its SHA-256 is" in statuses[4]
    assert {i: (at.out / name(i)).read_bytes() for i in there} == there
    assert not any(at.web.ranges(name(i)) for i in (1, 2, 3, 5))
    assert set(at.record()) == {name(1), name(2)}


def test_dry_run_writes_nothing(at: Place) -> None:
    at.reads("E001-A", NOISE)
    at.reads("E002-A", size=1000)
    at.reads("E003-A")
    at.reads("E004-A", ranges=False, probes_too=True, always=Fault(no_length=True))
    at.reads("E005-A", probes_too=True, always=Fault(503))
    del at.web.things[f"/{name(3)}"]
    ran = at.dc("--dry-run")
    assert ran.code == 74
    assert not at.out.exists()
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert rows[:5] == [
        ["file", "bytes", "status"],
        [name(1), str(len(NOISE)), "to fetch"],
        [name(2), "1000", "to fetch"],
        [name(3), "", "not published"],
        [name(4), "", "to fetch"],
    ]
    assert rows[5][2].startswith("failed: ")
    assert f"3 of 5 files to fetch, {len(NOISE) + 1000:,} bytes and what is in 1 of unknown size; 2 cannot" in ran.err
    at.out.mkdir()
    (at.out / name(1)).write_bytes(NOISE)
    ran = at.dc("--dry-run", "--json", "--epigenomes", "E001")
    assert ran.json() == [{"file": name(1), "bytes": len(NOISE), "status": "is there"}]
    assert at.files() == [name(1)]


def test_too_little_space_is_refused(at: Place) -> None:
    at.reads("E001-A")
    at.reads("E002-A", size=10**17)
    ran = at.dc()
    assert ran.code == 74
    assert f"{at.out}: {10**17 + len(READS):,} bytes are to be fetched, and only " in ran.err
    assert at.files() == []


def test_full_disk_keeps_the_partial_file(at: Place) -> None:
    """What has arrived stays for the next run."""
    at.reads("E001-A", NOISE)

    def fsync(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith(f"{name(1)}.part"):
            raise OSError(28, "No space left on device")

    with patch.object(downloads.os, "fsync", fsync):
        ran = at.dc()
    assert ran.code == 74
    assert "No space left on device" in at.statuses(ran)[0]
    assert at.files() == [f".{name(1)}.part.json", f"{name(1)}.part"]
    assert at.statuses(at.dc()) == ["resumed"]
    assert (at.out / name(1)).read_bytes() == NOISE


@pytest.fixture
def small_disk(at: Place) -> Iterator[Place]:
    at.out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", at.out], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs a small file system of its own, which only root may mount")
    yield at
    subprocess.run(["umount", at.out], check=True)


def test_disk_that_fills_up_is_an_error(small_disk: Place) -> None:
    at = small_disk
    at.reads("E001-A", NOISE, ranges=False, probes_too=True, always=Fault(no_length=True))
    at.reads("E002-A")
    ran = at.dc("--jobs", 1)
    assert ran.code == 74
    assert f"{name(1)}: failed: " in ran.err
    assert "No space left on device" in ran.err
    assert not (at.out / name(1)).exists()


def test_second_run_on_one_directory_is_refused(at: Place) -> None:
    at.reads("E001-A")
    with output_lock(at.out):
        ran = at.dc()
    assert ran.code == 74
    assert "is writing there" in ran.err
    assert at.web.log == []


def test_secrets_in_urls_are_never_shown_or_written(at: Place) -> None:
    """A signed URL is used and never shown: not on the screen, not in a file."""
    at.reads("E001-A", query=f"?{SECRET}")
    at.reads("E002-A", CRC_WRONG, query=f"?{SECRET}")
    at.reads("E003-A", NOISE, query=f"?{SECRET}", always=Fault(cut_after=70_000))
    at.manifest.write_text(at.manifest.read_text().replace("//", "//me:pw@"))
    ran = at.dc()
    assert ran.code == 65
    assert any(SECRET in asked.path for asked in at.web.log)
    assert any("Authorization" in asked.headers for asked in at.web.log)
    texts = [ran.out, ran.err, at.dc("--dry-run").out, *(path.read_text("latin-1") for path in at.out.iterdir())]
    for text in texts:
        assert "5ec7e7" not in text
        assert "pw@" not in text
    pinned = at.out / "manifest.tsv"
    pinned.write_text(at.manifest.read_text())
    ran = dc("download", "--manifest", pinned, "--out", at.out)
    assert ran.code == 2
    assert "would be written anew without the passwords and queries" in ran.err


def test_manifest_can_be_its_own_record(at: Place) -> None:
    """Rows of files that are not there now stay."""
    at.out.mkdir()
    at.manifest = at.out / "manifest.tsv"
    at.reads("E001-A")
    at.reads("E002-A", NOISE, always=Fault(cut_after=5))
    assert at.dc().code == 74
    assert at.record()[name(1)][4:] == [str(len(READS)), sha256(READS)]
    assert at.record()[name(2)][4:] == ["", ""]


BAD_ROWS = {
    "kind": ("tracks\tE1\tA\thttp://h/E1-A.bed.gz\t\t", "the kind 'tracks' is none of reads"),
    "epigenome": ("reads\t../E1\tA\thttp://h/E1-A.bed.gz\t\t", "'../E1' cannot name an epigenome"),
    "mark": ("reads\tE1\t/A\thttp://h/E1-A.bed.gz\t\t", "'/A' cannot name a mark"),
    "no mark": ("reads\tE1\t\thttp://h/E1-A.bed.gz\t\t", "'' cannot name a mark"),
    "url": ("reads\tE1\tA\t/etc/passwd\t\t", "'/etc/passwd' is not a URL"),
    "scheme": ("reads\tE1\tA\tfile:///E1-A.bed.gz\t\t", "is not a URL; http://, https:// and s3:// are"),
    "secret": ("genes\t\t\tftp://me:pw@h/genes.tsv\t\t", "'ftp://h/genes.tsv' is not a URL"),
    "suffix": ("reads\tE1\tA\thttp://h/page.html?x=.bed\t\t", "ends in .tagAlign.gz, .bed.gz, .bam or the like, not"),
    "bytes": ("reads\tE1\tA\thttp://h/E1-A.bed.gz\t-1\t", "'-1' is not a number of bytes"),
    "digits": ("reads\tE1\tA\thttp://h/E1-A.bed.gz\t٣\t", "is not a number of bytes"),
    "hash": ("reads\tE1\tA\thttp://h/E1-A.bed.gz\t\tabc", "'abc' is not a SHA-256"),
    "table of an epigenome": ("genes\tE1\t\thttp://h/genes.tsv\t\t", "only reads have an epigenome and a mark"),
    "path": ("genes\t\t\thttp://h/..%2F..%2Fgenes.tsv\t\t", "cannot name a file"),
    "dots": ("genes\t\t\thttp://h/..\t\t", "cannot name a file"),
    "hidden": ("genes\t\t\thttp://h/.lock\t\t", "'.lock' cannot name a file here"),
    "record": ("genes\t\t\thttp://h/manifest.tsv\t\t", "'manifest.tsv' cannot name a file here"),
    "part": ("genes\t\t\thttp://h/E1-A.bed.part\t\t", "cannot name a file here"),
    "columns": ("reads\tE1\tA", "3 columns where the header has 6"),
    "twice": (
        "genes\t\t\thttp://h/a/X\t\t\nepigenomes\t\t\thttp://h/b/x\t\t",
        ":3: x is also what",
    ),
}


@pytest.mark.parametrize("how", BAD_ROWS)
def test_bad_row_is_refused(how: str, at: Place) -> None:
    row, message = BAD_ROWS[how]
    at.row(row)
    with pytest.raises(BadDataError) as caught:
        read_manifest(at.manifest)
    assert str(caught.value).startswith(f"{at.manifest}:")
    assert message in str(caught.value)
    assert at.dc().code == 65
    assert not at.out.exists()


def test_file_name_comes_from_epigenome_and_mark(at: Place) -> None:
    """The URL's own name gives the suffix, and no more."""
    at.row(f"reads\tE1\tA\t{at.web.put('a/b/whatever%2F..%2Fx.BED.gz', READS)}\t\t")
    assert at.dc().code == 0
    assert at.files() == ["E1-A.BED.gz", "manifest.tsv"]


def test_selection_of_epigenomes_marks_and_tables(at: Place, tmp_path: Path) -> None:
    for i in (1, 2):
        for mark in ("A", "B"):
            at.reads(f"E00{i}-{mark}")
    at.row(f"genes\t\t\t{at.web.put('genes.txt', b'x')}\t\t")

    def chosen(*options: str) -> list[str]:
        return [row["file"].split(".")[0] for row in at.dc("--dry-run", "--json", *options).json()]

    assert chosen() == ["E001-A", "E001-B", "E002-A", "E002-B", "genes"]
    assert chosen("--marks", "all", "--no-tables") == ["E001-A", "E001-B", "E002-A", "E002-B"]
    assert chosen("--epigenomes", "E002", "--marks", "B") == ["E002-B", "genes"]
    for options, message in (
        (("--epigenomes", "E003"), "E003: not in the manifest; it has E001, E002"),
        (("--marks", "A,C"), "C: not in the manifest; it has A, B"),
        (("--marks", "core"), "not in the manifest; it has A, B"),
        (("--jobs", "17"), "less than or equal to 16"),
    ):
        ran = at.dc(*options)
        assert ran.code == 2
        assert message in ran.err
    entries = read_manifest()
    assert len(select_entries(entries, ["E003"], ["H3K27ac", "H3K4me3"], tables=False, by_rule=True)) == 2
    with pytest.raises(UsageError, match=r"^E060: not in the manifest; it has E001, E002, E003, E004, \.\.\., E129$"):
        select_entries(entries, ["E060"], None, tables=True, by_rule=True)
    with pytest.raises(BadDataError, match="cannot name a mark"):
        select_entries(entries, ["E003"], ["../x"], tables=True, by_rule=True)
    only_tables = [entry for entry in entries if entry.kind != "reads"]
    with pytest.raises(UsageError, match="nothing in the manifest is asked for"):
        select_entries(only_tables, None, None, tables=False, by_rule=False)
    with pytest.raises(MissingInputError, match="no such file"):
        read_manifest(tmp_path / "absent")


def test_featurize_ignores_partial_files(at: Place) -> None:
    """What an interrupted download leaves is not taken for reads by dc featurize."""
    at.reads("E001-A")
    at.reads("E002-A", NOISE, faults=[Fault(cut_after=250_000)], always=Fault(cut_after=5))
    assert at.dc().code == 74
    assert f".{name(2)}.part.json" in at.files()
    assert [sample.epigenome for sample in find_samples([str(at.out)])] == ["E001"]


def test_number_of_simultaneous_requests_is_limited(at: Place) -> None:
    """And not more, whether sizes are asked for or bytes."""
    lock, now, most = threading.Lock(), 0, 0
    for i in range(1, 10):
        at.reads(f"E{i:03d}-A")
    fetch, ask = downloads._receive, downloads.identity

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

    def receive(*given: Any) -> bool:
        with counted():
            return fetch(*given)

    def identity(url: str) -> Any:
        with counted():
            return ask(url)

    with patch.object(downloads, "_receive", receive), patch.object(downloads, "fetch_identity", identity):
        download(at.out, read_manifest(at.manifest), jobs=3)
    assert most == 3
    assert len(at.record()) == 9


def test_note_beside_a_partial_file(at: Place) -> None:
    at.reads("E001-A", NOISE, faults=[Fault(cut_after=250_000)], always=Fault(cut_after=5))
    assert at.dc().code == 74
    note = json.loads((at.out / f".{name(1)}.part.json").read_text())
    assert note == {"url": f"{at.web.root}/{name(1)}", "size": len(NOISE), "etag": '"1"'}
