"""Reads straight from URLs: the same bytes as from a file, whatever the connection does, or an error; never fewer."""

import gzip
import io
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.bam import write_bam
from support.strategies import Record
from support.tiny import PACK, counts_of, dc, featurize, place, reads_text, windows
from support.web import Fault, Web, serving

from deepchrome.common.urls import hide_secrets, is_url, url_file_name
from deepchrome.engine.counting.count import count_reads
from deepchrome.engine.features.samples import Sample, find_samples, read_samples
from deepchrome.engine.features.store import read_features
from deepchrome.engine.streams import remote, transports
from deepchrome.engine.streams.blocks import open_stream, translate_error
from deepchrome.engine.streams.remote import ObjectNotFoundError, RemoteStream, fetch_identity
from deepchrome.engine.streams.transports import ObjectIdentity
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError, StorageError, UsageError

NOISE = random.Random(1).randbytes(700_000)
TEXT = reads_text(2000)
pytestmark = pytest.mark.campaign("network")
SECRET = "X-Amz-Signature=5ec7e7"


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults of a network, in the time a test has."""
    monkeypatch.setattr(remote, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(remote, "BLOCK_BYTES", 200_000)
    monkeypatch.setattr(remote, "TRIES", 4)


def read(url: str, **options: Any) -> bytes:
    with closing(RemoteStream(url, **options)) as stream:
        return io.BufferedReader(stream, 10_000).read()


def test_what_a_url_is() -> None:
    for path in ("http://h/x", "HTTPS://h/x", "s3://bucket/key"):
        assert is_url(path)
    for path in ("x", "-", "/http://x", "ftp://h/x", "http:/h/x", "C:\\x", "gs://b/k"):
        assert not is_url(path)
        assert hide_secrets(path) == path
    assert (
        hide_secrets("https://me:pw@host:8/a%20b/E1-A.bed.gz?X-Amz-Signature=abc#part")
        == "https://host:8/a%20b/E1-A.bed.gz"
    )
    assert hide_secrets("ftp://me:pw@host/x") == "ftp://host/x"
    assert hide_secrets("https://host?token=abc") == "https://host"
    assert url_file_name("https://host/a/E1-A%2Bb.bed.gz?x=/y-z.bed#/w-v.bed") == "E1-A+b.bed.gz"
    assert url_file_name("s3://bucket/a/E1-A.bed.gz") == "E1-A.bed.gz"
    assert url_file_name("https://host") == "host"


@pytest.mark.parametrize("size", [0, 1, 199_999, 200_000, 200_001, 400_000, 700_000])
def test_every_byte(size: int, web: Web) -> None:
    """In one request, and one at the end; whatever the borders of blocks."""
    assert read(web.put("x", NOISE[:size])) == NOISE[:size]
    assert web.ranges("x") == [None]
    assert web.probes("x") == 1
    assert {asked.headers["Accept-Encoding"] for asked in web.log} == {"identity"}


def test_a_connection_cut_once(web: Web) -> None:
    """Another request asks for the rest, from where the first ended."""
    url = web.put("x", NOISE, faults=[Fault(cut_after=250_000)])
    assert read(url) == NOISE
    first, second = web.ranges("x")
    assert first is None
    assert second is not None
    assert 65_536 <= int(second.removeprefix("bytes=").removesuffix("-")) <= 250_000


def test_a_connection_cut_again_and_again(web: Web) -> None:
    """It goes on while there is progress, and ends after so many tries without."""
    assert read(web.put("x", NOISE, always=Fault(cut_after=150_000))) == NOISE
    assert len(web.ranges("x")) >= 5
    began = time.monotonic()
    with pytest.raises(
        StorageError, match=r"^.*; the server announced 700,000 bytes and [0-9,]+ arrived; tried 4 times$"
    ):
        read(web.put("y", NOISE, faults=[Fault(cut_after=300_000)], always=Fault(cut_after=10)))
    assert time.monotonic() - began < 20
    assert len(web.ranges("y")) in (4, 5)


def test_a_server_that_knows_no_ranges(web: Web) -> None:
    """It is read from; only a cut cannot be mended."""
    assert read(web.put("x", NOISE, ranges=False)) == NOISE
    url = web.put("y", NOISE, ranges=False, faults=[Fault(cut_after=250_000)])
    with pytest.raises(
        StorageError, match="the connection was cut, and the server cannot resume: the server announced"
    ):
        read(url)


def test_lengths_that_lie(web: Web) -> None:
    for announced in (700_100, 699_900):
        url = web.put("x", NOISE, always=Fault(announce=announced))
        with pytest.raises(
            StorageError, match=f"^the server announced {announced:,} bytes, and later 700,000; read it"
        ):
            read(url)
    with pytest.raises(StorageError, match=r"the server announced 700,100 bytes and [0-9,]+ arrived"):
        read(web.put("y", NOISE, ranges=False, probes_too=True, always=Fault(announce=700_100)))
    gone = web.put("z", NOISE[:100], faults=[Fault(announce=300), Fault(416)])
    with pytest.raises(StorageError, match=r"announced 300 bytes and \d+ arrived, and says now that there are no more"):
        read(gone)


def test_no_length_at_all(web: Web) -> None:
    """Then only gzip, which tells its own end, is read."""
    packed = gzip.compress(NOISE)
    assert read(web.put("x", packed, ranges=False, probes_too=True, always=Fault(no_length=True))) == packed
    with pytest.raises(StorageError, match="does not say how long it is"):
        read(web.put("y", NOISE, ranges=False, probes_too=True, always=Fault(no_length=True)))


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, ObjectNotFoundError, r"^the server has no such file \(404\)$"),
        (410, ObjectNotFoundError, "no such file"),
        (401, MissingInputError, r"^the server refuses access \(401\); it needs credentials"),
        (403, MissingInputError, r"^the server refuses access \(403\)"),
        (400, StorageError, "^the server answers 400 Bad Request$"),
        (501, StorageError, "^the server answers 501 Not Implemented$"),
    ],
)
def test_a_server_that_refuses(status: int, error: type[Exception], message: str, web: Web) -> None:
    """There is no use in asking again."""
    url = web.put("x", NOISE, probes_too=True, always=Fault(status))
    for ask in (read, fetch_identity):
        web.log.clear()
        with pytest.raises(error, match=message):
            ask(url)
        assert len(web.log) == 1


def test_a_busy_server(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again, not before it wants to be, and not for ever."""
    url = web.put("x", NOISE, faults=[Fault(503, {"Retry-After": "1"}), Fault(429), Fault(500)])
    began = time.monotonic()
    assert read(url) == NOISE
    assert time.monotonic() - began >= 1
    assert len(web.ranges("x")) == 4
    monkeypatch.setattr(remote, "LONGEST_PAUSE_SECONDS", 0.05)
    later = {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}
    url = web.put("y", NOISE, probes_too=True, always=Fault(503, later))
    for ask in (read, fetch_identity):
        with pytest.raises(StorageError, match=r"^the server answers 503 Service Unavailable; tried 4 times$"):
            ask(url)
    assert len(web.log) == 5 + 8


def test_a_server_that_stalls(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, and a trickle, are as good as a cut."""
    monkeypatch.setattr(remote, "STALL_SECONDS", 0.4)
    for slow in (Fault(stall_after=250_000), Fault(stall_after=0), Fault(chunk=1000, pause=0.05)):
        url = web.put("x", NOISE, faults=[slow])
        assert read(url) == NOISE
    with pytest.raises(StorageError, match=r"^no data for 0.4 seconds; .*; tried 4 times$"):
        read(web.put("y", NOISE, always=Fault(chunk=100, pause=0.05)))


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for ask in (read, fetch_identity):
        with pytest.raises(StorageError, match=r"^connect call failed .*; tried 4 times$"):
            ask(f"http://user:{SECRET}@127.0.0.1:{port}/x?{SECRET}")
    for odd in ("http://", "http://127.0.0.1:port/x", "http://[::1/x"):
        with pytest.raises(StorageError, match=r"^this is not a proper URL$"):
            read(odd)


def test_an_object_that_changes(web: Web) -> None:
    """Between two requests, or after the last byte; told by its ETag, or the time it was modified."""
    for before, after in (('"1"', '"2"'), (None, None)):
        for cut_after in (250_000, None):
            fault = Fault(cut_after=cut_after, then=(after, "later"))
            url = web.put("x", NOISE, etag=before, modified="earlier", faults=[fault])
            with pytest.raises(StorageError, match=r"^it has changed while it was read; read it again$"):
                read(url)


def test_going_on_where_another_left_off(web: Web) -> None:
    """Only if it is the same object still, and the server can; else from the first byte."""
    url = web.put("x", NOISE)
    same = ObjectIdentity(700_000, '"1"')
    for known, start in (
        (same, 300_000),
        (ObjectIdentity(None, '"1"'), 300_000),
        (ObjectIdentity(700_000, None), 300_000),
        (ObjectIdentity(700_000, '"0"'), 0),
        (ObjectIdentity(700_001, '"1"'), 0),
        (ObjectIdentity(None, None), 0),
    ):
        with closing(RemoteStream(url, 300_000, known)) as stream:
            assert (stream.start, stream.identity) == (start, same)
            assert stream.read() == NOISE[start:]
    with closing(RemoteStream(url, 900_000, same)) as stream:
        assert (stream.start, stream.read()) == (0, NOISE)
    with closing(RemoteStream(web.put("y", NOISE, ranges=False), 300_000, same)) as stream:
        assert (stream.start, stream.read()) == (0, NOISE)


def test_identity(web: Web) -> None:
    assert fetch_identity(web.put("a", NOISE)) == ObjectIdentity(700_000, '"1"')
    assert fetch_identity(web.put("b", NOISE, etag=None, modified="then")) == ObjectIdentity(700_000, "then")
    assert fetch_identity(web.put("c", NOISE, etag=None, ranges=False)) == ObjectIdentity(700_000, None)
    assert fetch_identity(web.put("d", b"")).size == 0


def test_redirects(web: Web) -> None:
    url = web.put("x", NOISE)
    web.put("old", b"", probes_too=True, always=Fault(302, {"Location": url}))
    assert read(f"{web.root}/old") == NOISE
    web.put("circle", b"", probes_too=True, always=Fault(302, {"Location": f"{web.root}/circle"}))
    with pytest.raises(StorageError, match="redirects without end"):
        read(f"{web.root}/circle")


def test_who_gives_up_is_not_kept_waiting(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "STALL_SECONDS", 60.0)
    stream = RemoteStream(web.put("x", NOISE, always=Fault(stall_after=300_000)))
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 5
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


def test_closed_while_another_thread_waits(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "STALL_SECONDS", 60.0)
    for end in (RemoteStream.close, lambda _: remote.cancel_pending()):
        stream = RemoteStream(web.put("x", NOISE, always=Fault(stall_after=300_000)))
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(stream.read)
            time.sleep(0.1)
            assert not reading.done()
            end(stream)
            with pytest.raises(StorageError, match="given up"):
                reading.result(5)
        stream.close()


def test_packed_is_not_unpacked(web: Web) -> None:
    """Servers take the .gz for an encoding of theirs: it is the file's."""
    packed = gzip.compress(NOISE)
    url = web.put("x", packed, always=Fault(headers={"Content-Encoding": "gzip"}))
    assert read(url) == packed


def test_a_slow_server_is_read_as_it_sends(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BLOCK_SECONDS", 0.1)
    monkeypatch.setattr(remote, "BLOCK_BYTES", 10**6)
    url = web.put("x", NOISE, faults=[Fault(chunk=1 << 16, pause=0.05)])
    with closing(RemoteStream(url)) as stream:
        first = stream.read(10**6)
        assert 65_536 <= len(first) < 400_000
        assert first + stream.read() == NOISE


def test_settings_from_outside(web: Web, tmp_path: Path) -> None:
    """fsspec's for headers and the place of s3; the environment's for proxies."""
    web.put("x", NOISE)
    web.put("bucket/x", NOISE)
    web.things[f"http://far.example:{web.port}/x"] = web.things["/x"]
    code = (
        "from deepchrome.engine.streams.remote import RemoteStream\n"
        f"for url in ('{web.root}/x', 's3://bucket/x', 'http://far.example:{web.port}/x'):\n"
        "    print(len(RemoteStream(url).read()))"
    )
    settings = {
        "FSSPEC_HTTP": '{"headers": {"X-Token": "t"}}',
        "FSSPEC_S3_ENDPOINT_URL": web.root,
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
        "http_proxy": web.root,
        "no_proxy": "127.0.0.1",
    }
    kept = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("proxy") and "AWS" not in name
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=kept | settings)
    assert (done.stdout, done.stderr) == ("700000\n" * 3, "")
    http, s3, proxied = (asked for asked in web.log if asked.range is None)
    assert http.headers["X-Token"] == "t"
    assert s3.path == "/bucket/x"
    assert proxied.path == f"http://far.example:{web.port}/x"


def test_urls_as_samples(tmp_path: Path) -> None:
    url = f"https://me:pw@host/a/E003-H3K4me3.tagAlign.gz?{SECRET}"
    (sample,) = find_samples([url])
    assert sample == Sample("E003", "H3K4me3", url)
    assert sample.shown_path == "https://host/a/E003-H3K4me3.tagAlign.gz"
    assert sample.file_name == "E003-H3K4me3.tagAlign.gz"
    assert find_samples(["s3://bucket/E1%2DB.bed"]) == [Sample("E1", "B", "s3://bucket/E1%2DB.bed")]
    assert find_samples(["https://host/x?id=7"], "E1-A") == [Sample("E1", "A", "https://host/x?id=7")]
    (tmp_path / "E1-A.bed").touch()
    table = tmp_path / "samples.tsv"
    table.write_text(f"epigenome\tmark\tpath\nE1\tA\tE1-A.bed\nE3\tA\t{url}\n")
    assert read_samples(table) == [Sample("E1", "A", str(tmp_path / "E1-A.bed")), Sample("E3", "A", url)]
    for odd in (lambda: find_samples([url, url]), lambda: find_samples([f"https://host/reads.bed?{SECRET}"])):
        with pytest.raises(UsageError) as caught:
            odd()
        assert SECRET not in str(caught.value)
        assert "pw@" not in str(caught.value)
    for reads in ("ftp://host/E1-A.bed", "gs://bucket/E1-A.bed"):
        table.write_text(f"epigenome\tmark\tpath\nE1\tA\t{reads}\n")
        refused = pytest.raises(UsageError, match=r"^(ftp|gs):// cannot be read from; http://, https:// and s3:// can$")
        for name in (None, "E1-A"):
            with refused:
                find_samples([reads], name)
        with refused:
            read_samples(table)


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("threads", [1, 2])
def test_counts_from_a_url(kind: str, threads: int, web: Web, tmp_path: Path) -> None:
    url = web.put("x", PACK[kind](TEXT), faults=[Fault(cut_after=9000)])
    assert (count_reads(url, windows(tmp_path), threads) == counts_of(TEXT)).all()


def test_counts_of_a_bam_and_no_cram(web: Web, tmp_path: Path) -> None:
    records = [Record("chr1", 20_000 + i, 0, 30, "36M", "A" * 36) for i in range(500)]
    for mode, name in (("wb", "E1-A.bam"), ("wc", "E1-B.cram")):
        options = {"format_options": [b"no_ref=1"]} if mode == "wc" else {}
        write_bam(tmp_path / name, {"chr1": 250_000, "chr2": 240_000}, records, mode, **options)
        web.put(name, (tmp_path / name).read_bytes())
    here, there = (count_reads(place, windows(tmp_path)) for place in (tmp_path / "E1-A.bam", f"{web.root}/E1-A.bam"))
    assert here.sum() > 500
    assert (here == there).all()
    with pytest.raises(BadDataError, match=r"E1-B\.cram: CRAM can only be read from a file"):
        count_reads(f"{web.root}/E1-B.cram", windows(tmp_path))
    assert featurize(tmp_path, tmp_path).code == 0
    ran = dc("verify", tmp_path / "out", f"{web.root}/E1-A.bam", "--genome", tmp_path / "small.sizes")
    assert (ran.code, ran.out.split("\t")[-1]) == (0, "equal\n")
    ran = dc("verify", tmp_path / "out", f"{web.root}/E1-B.cram", "--genome", tmp_path / "small.sizes")
    assert ran.code == 65
    assert "CRAM can only be read from a file" in ran.err


def test_featurize_and_verify(web: Web, tmp_path: Path) -> None:
    """The command, from URLs and from files, to the same counts."""
    place(tmp_path)
    urls = []
    for mark, kind in (("A", "gzip"), ("B", "bgzip"), ("C", "plain")):
        name = f"E1-{mark}.tagAlign{'' if kind == 'plain' else '.gz'}"
        (tmp_path / name).write_bytes(PACK[kind](TEXT))
        urls.append(web.put(name, PACK[kind](TEXT), faults=[Fault(cut_after=8000)]) + f"?{SECRET}")
    assert featurize(tmp_path, tmp_path, out="files").code == 0
    ran = featurize(tmp_path, *urls, out="urls")
    assert ran.code == 0, ran.err
    here, there = (read_features(tmp_path / out / "E1.parquet") for out in ("files", "urls"))
    assert (here.counts == there.counts).all()
    for mark in "ABC":
        assert here.metadata["sources"][mark]["sha256"] == there.metadata["sources"][mark]["sha256"]
    ran = dc("verify", tmp_path / "urls", *urls, "--genome", tmp_path / "small.sizes")
    assert ran.code == 0, ran.err
    assert ran.out.count("equal") == 3


def test_one_bad_url_among_others(web: Web, tmp_path: Path) -> None:
    """Named in the summary, without its secrets, and nothing written for its epigenome."""
    place(tmp_path)
    good = web.put("E1-A.tagAlign.gz", PACK["gzip"](TEXT))
    cases = {
        "E2": (Fault(404), "the server has no such file (404)"),
        "E3": (Fault(announce=10**6), "announced 1,000,000 bytes"),
        "E4": (Fault(cut_after=100), "tried 4 times"),
    }
    urls = [good]
    for name, (fault, _) in cases.items():
        url = web.put(f"{name}-A.tagAlign.gz", PACK["gzip"](TEXT), probes_too=True, always=fault)
        urls.append(url.replace("//", "//me:pw@") + f"?{SECRET}")
    ran = featurize(tmp_path, *urls)
    assert ran.code == 65
    summary = (tmp_path / "out" / "summary.tsv").read_text()
    for name, (_, message) in cases.items():
        assert f"failed: {web.root}/{name}-A.tagAlign.gz: " in summary
        assert message in summary
        assert not (tmp_path / "out" / f"{name}.parquet").exists()
    assert (tmp_path / "out" / "E1.parquet").exists()
    for text in (ran.out, ran.err, summary):
        assert SECRET not in text
        assert "pw@" not in text
    assert featurize(tmp_path, urls[1], out="missing").code == 66
    assert featurize(tmp_path, urls[3], out="cut").code == 74


def test_credentials_in_a_url_are_used(web: Web) -> None:
    url = web.put("x", NOISE)
    assert read(url.replace("//", "//me:p%40w@")) == NOISE
    assert {asked.headers["Authorization"] for asked in web.log} == {"Basic bWU6cEB3"}
    assert read(f"{url}?a=%2Fb&{SECRET}%3D") == NOISE
    assert web.log[-1].path == f"/x?a=%2Fb&{SECRET}%3D"


def test_what_takes_more_packages(web: Web) -> None:
    """A plain installation says how to get them, and opens nothing."""
    code = (
        "import sys; sys.modules['aiohttp'] = None; from deepchrome.engine.counting.count import count_reads;"
        "from deepchrome.engine.streams.blocks import explain, open_stream\n"
        "assert 'deepchrome.engine.streams.remote' not in sys.modules\n"
        "try: open_stream('https://host/x')\n"
        "except Exception as error: print(type(explain(error, 'https://host/x')).__name__, explain(error, 'https://host/x'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "UsageError https://host/x: reading from a URL takes more packages (aiohttp is missing): "
        "pip install 'deepchrome[remote]'\n"
    )


@pytest.fixture
def s3(web: Web, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """fsspec's own setting points to the server; there are no credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/absent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/absent")
    monkeypatch.setitem(transports.fsspec.config.conf, "s3", {"endpoint_url": web.root})
    transports._filesystem.cache_clear()
    yield "s3://bucket"
    transports._filesystem.cache_clear()


def test_s3(s3: str, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same faults, the same answers; without credentials nothing is signed."""
    web.put("bucket/a/x", NOISE, faults=[Fault(503), Fault(cut_after=250_000)])
    assert read(f"{s3}/a/x") == NOISE
    first, _, third = web.ranges("bucket/a/x")
    assert first is None
    assert third is not None
    assert int(third.removeprefix("bytes=").removesuffix("-")) >= 65_536
    assert not any("Authorization" in asked.headers for asked in web.log)
    assert fetch_identity(f"{s3}/a/x") == ObjectIdentity(700_000, '"1"')
    for status, error in ((404, ObjectNotFoundError), (403, MissingInputError), (400, StorageError)):
        web.put("bucket/y", NOISE, probes_too=True, always=Fault(status))
        with pytest.raises(error):
            read(f"{s3}/y")
    web.put("bucket/z", NOISE, always=Fault(cut_after=10))
    with pytest.raises(StorageError, match=r"announced 700,000 bytes and \d+ arrived; tried 4 times"):
        read(f"{s3}/z")
    with closing(RemoteStream(f"{s3}/a/x", 300_000, ObjectIdentity(700_000, '"1"'))) as stream:
        assert (stream.start, stream.read()) == (300_000, NOISE[300_000:])
    with pytest.raises(StorageError, match=r"^s3 cannot be asked \(.*\)$"):
        read(s3)
    monkeypatch.setattr(remote, "STALL_SECONDS", 0.4)
    web.put("bucket/stalled", NOISE, always=Fault(stall_after=10))
    with pytest.raises(StorageError, match=r"no data for 0.4 seconds; .*tried 4 times"):
        read(f"{s3}/stalled")


def test_s3_with_credentials(s3: str, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    web.put("bucket/x", NOISE)
    assert read(f"{s3}/x") == NOISE
    assert all("AKIAEXAMPLE" in asked.headers["Authorization"] for asked in web.log)


def test_counts_from_s3(s3: str, web: Web, tmp_path: Path) -> None:
    place(tmp_path)
    web.put("bucket/E1-A.tagAlign.gz", PACK["bgzip"](TEXT))
    ran = featurize(tmp_path, f"{s3}/E1-A.tagAlign.gz")
    assert ran.code == 0, ran.err
    assert (read_features(tmp_path / "out" / "E1.parquet").counts[:, :, 0] == counts_of(TEXT)).all()


def test_explained_without_secrets() -> None:
    url = f"https://me:pw@host/x?{SECRET}"
    for error in (
        EOFError(),
        OSError(5, "Input/output error"),
        MemoryError(),
        BadDataError("x"),
        gzip.BadGzipFile("x"),
    ):
        explained = translate_error(error, url)
        assert isinstance(explained, DeepchromeError)
        assert str(explained).startswith("https://host/x: ")
    with patch("deepchrome.engine.streams.remote.RemoteStream", side_effect=StorageError("down")) as opened:
        with pytest.raises(StorageError, match=r"^down$"):
            open_stream(url)
        opened.assert_called_once_with(url)
