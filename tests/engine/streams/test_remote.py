"""RemoteStream: all bytes of the object at a URL, or an error, whatever the server and the connection do."""

import gzip
import os
import random
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from support.web import SECRET, Fault, Web, read_url, shorten_retries

from deepchrome.engine.streams import remote
from deepchrome.engine.streams.remote import ObjectNotFoundError, RemoteStream, fetch_identity
from deepchrome.engine.streams.transports import ObjectIdentity
from deepchrome.errors import MissingInputError, StorageError

NOISE = random.Random(1).randbytes(700_000)
pytestmark = pytest.mark.campaign("network")


@pytest.fixture(autouse=True)
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_retries(monkeypatch, block_bytes=200_000, tries=4)


@pytest.mark.parametrize("size", [0, 1, 199_999, 200_000, 200_001, 400_000, 700_000])
def test_all_bytes_arrive(size: int, web: Web) -> None:
    """One request and one probe at the end are enough, for any size relative to the blocks."""
    assert read_url(web.put("x", NOISE[:size])) == NOISE[:size]
    assert web.ranges("x") == [None]
    assert web.probes("x") == 1
    assert {request.headers["Accept-Encoding"] for request in web.log} == {"identity"}


def test_cut_connection_is_resumed(web: Web) -> None:
    """A second request asks for the rest, from where the first one ended."""
    url = web.put("x", NOISE, faults=[Fault(cut_after=250_000)])
    assert read_url(url) == NOISE
    first, second = web.ranges("x")
    assert first is None
    assert second is not None
    assert 65_536 <= int(second.removeprefix("bytes=").removesuffix("-")) <= 250_000


def test_repeated_cuts(web: Web) -> None:
    """Reading continues while there is progress, and fails after TRIES tries without progress."""
    assert read_url(web.put("x", NOISE, always=Fault(cut_after=150_000))) == NOISE
    assert len(web.ranges("x")) >= 5
    began = time.monotonic()
    with pytest.raises(
        StorageError, match=r"^.*; the server announced 700,000 bytes and [0-9,]+ arrived; tried 4 times$"
    ):
        read_url(web.put("y", NOISE, faults=[Fault(cut_after=300_000)], always=Fault(cut_after=10)))
    assert time.monotonic() - began < 20
    assert len(web.ranges("y")) in (4, 5)


def test_server_without_ranges(web: Web) -> None:
    """Reading works, but cannot be resumed after a cut."""
    assert read_url(web.put("x", NOISE, ranges=False)) == NOISE
    url = web.put("y", NOISE, ranges=False, faults=[Fault(cut_after=250_000)])
    with pytest.raises(
        StorageError, match="the connection was cut, and the server cannot resume: the server announced"
    ):
        read_url(url)


def test_wrong_lengths_are_detected(web: Web) -> None:
    for announced in (700_100, 699_900):
        url = web.put("x", NOISE, always=Fault(announce=announced))
        with pytest.raises(
            StorageError, match=f"^the server announced {announced:,} bytes, and later 700,000. Read the file again"
        ):
            read_url(url)
    with pytest.raises(StorageError, match=r"the server announced 700,100 bytes and [0-9,]+ arrived"):
        read_url(web.put("y", NOISE, ranges=False, probes_too=True, always=Fault(announce=700_100)))
    gone = web.put("z", NOISE[:100], faults=[Fault(announce=300), Fault(416)])
    with pytest.raises(
        StorageError, match=r"announced 300 bytes and \d+ arrived, but the server now reports that there are no more"
    ):
        read_url(gone)
    shorter = web.put("s", NOISE[:100], faults=[Fault(announce=300), Fault(416, {"Content-Range": "bytes */100"})])
    with pytest.raises(StorageError, match=r"^the server announced 300 bytes, and later 100\. Read the file again"):
        read_url(shorter)


def test_without_a_length_only_gzip_is_read(web: Web) -> None:
    """Gzip data mark their own end."""
    packed = gzip.compress(NOISE)
    assert read_url(web.put("x", packed, ranges=False, probes_too=True, always=Fault(no_length=True))) == packed
    with pytest.raises(StorageError, match="does not announce a size"):
        read_url(web.put("y", NOISE, ranges=False, probes_too=True, always=Fault(no_length=True)))


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, ObjectNotFoundError, r"^the server has no such file \(404\)$"),
        (410, ObjectNotFoundError, "no such file"),
        (401, MissingInputError, r"^the server refuses access \(401\)\. Check the credentials"),
        (403, MissingInputError, r"^the server refuses access \(403\)"),
        (400, StorageError, "^the server answers 400 Bad Request$"),
        (501, StorageError, "^the server answers 501 Not Implemented$"),
    ],
)
def test_permanent_errors_are_not_retried(status: int, error: type[Exception], message: str, web: Web) -> None:
    url = web.put("x", NOISE, probes_too=True, always=Fault(status))
    for request in (read_url, fetch_identity):
        web.log.clear()
        with pytest.raises(error, match=message):
            request(url)
        assert len(web.log) == 1


def test_busy_server_is_retried(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause is at least as long as Retry-After, and the number of tries is limited."""
    url = web.put("x", NOISE, faults=[Fault(503, {"Retry-After": "1"}), Fault(429), Fault(500)])
    began = time.monotonic()
    assert read_url(url) == NOISE
    assert time.monotonic() - began >= 1
    assert len(web.ranges("x")) == 4
    monkeypatch.setattr(remote, "LONGEST_PAUSE_SECONDS", 0.05)
    later = {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}
    url = web.put("y", NOISE, probes_too=True, always=Fault(503, later))
    for request in (read_url, fetch_identity):
        with pytest.raises(StorageError, match=r"^the server answers 503 Service Unavailable; tried 4 times$"):
            request(url)
    assert len(web.log) == 5 + 8


def test_stalled_connection_is_retried(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without data, or with very little, is treated like a cut one."""
    monkeypatch.setattr(remote, "STALL_SECONDS", 0.4)
    for slow in (Fault(stall_after=250_000), Fault(stall_after=0), Fault(chunk=1000, pause=0.05)):
        url = web.put("x", NOISE, faults=[slow])
        assert read_url(url) == NOISE
    with pytest.raises(StorageError, match=r"^no data for 0.4 seconds; .*; tried 4 times$"):
        read_url(web.put("y", NOISE, always=Fault(chunk=100, pause=0.05)))


def test_unreachable_server_and_invalid_urls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for request in (read_url, fetch_identity):
        with pytest.raises(StorageError, match=r"^connect call failed .*; tried 4 times$"):
            request(f"http://user:{SECRET}@127.0.0.1:{port}/x?{SECRET}")
    for invalid in ("http://", "http://127.0.0.1:port/x", "http://[::1/x"):
        with pytest.raises(StorageError, match=r"^not a valid URL$"):
            read_url(invalid)


def test_changed_object_is_detected(web: Web) -> None:
    """The ETag or the modification time changes between two requests, or after the last byte."""
    for before, after in (('"1"', '"2"'), (None, None)):
        for cut_after in (250_000, None):
            fault = Fault(cut_after=cut_after, then=(after, "later"))
            url = web.put("x", NOISE, etag=before, modified="earlier", faults=[fault])
            with pytest.raises(StorageError, match=r"^the file changed while it was read. Read it again.$"):
                read_url(url)


def test_reading_from_an_offset(web: Web) -> None:
    """Reading starts at the offset only if the object is unchanged and the server supports ranges."""
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
    assert read_url(f"{web.root}/old") == NOISE
    web.put("circle", b"", probes_too=True, always=Fault(302, {"Location": f"{web.root}/circle"}))
    with pytest.raises(StorageError, match="redirects too many times"):
        read_url(f"{web.root}/circle")


def test_close_does_not_wait_for_the_server(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "STALL_SECONDS", 60.0)
    stream = RemoteStream(web.put("x", NOISE, always=Fault(stall_after=300_000)))
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 5
    with pytest.raises(ValueError, match="closed"):
        stream.read(1)


def test_close_ends_the_wait_of_another_thread(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "STALL_SECONDS", 60.0)
    for end in (RemoteStream.close, lambda _: remote.cancel_pending()):
        stream = RemoteStream(web.put("x", NOISE, always=Fault(stall_after=300_000)))
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(stream.read)
            time.sleep(0.1)
            assert not reading.done()
            end(stream)
            with pytest.raises(StorageError, match="canceled before the server answered"):
                reading.result(5)
        stream.close()


def test_content_encoding_is_ignored(web: Web) -> None:
    """Some servers declare the gzip of a .gz file as a content encoding."""
    packed = gzip.compress(NOISE)
    url = web.put("x", packed, always=Fault(headers={"Content-Encoding": "gzip"}))
    assert read_url(url) == packed


def test_slow_server_gives_incomplete_blocks(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BLOCK_SECONDS", 0.1)
    monkeypatch.setattr(remote, "BLOCK_BYTES", 10**6)
    url = web.put("x", NOISE, faults=[Fault(chunk=1 << 16, pause=0.05)])
    with closing(RemoteStream(url)) as stream:
        first = stream.read(10**6)
        assert 65_536 <= len(first) < 400_000
        assert first + stream.read() == NOISE


def test_settings_of_the_environment_apply(web: Web, tmp_path: Path) -> None:
    """fsspec configures headers and the s3 endpoint, and the environment configures proxies."""
    web.put("x", NOISE)
    web.put("bucket/x", NOISE)
    web.objects[f"http://far.example:{web.port}/x"] = web.objects["/x"]
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
    http, s3, proxied = (request for request in web.log if request.range is None)
    assert http.headers["X-Token"] == "t"
    assert s3.path == "/bucket/x"
    assert proxied.path == f"http://far.example:{web.port}/x"


def test_credentials_in_a_url_are_used(web: Web) -> None:
    url = web.put("x", NOISE)
    assert read_url(url.replace("//", "//me:p%40w@")) == NOISE
    assert {request.headers["Authorization"] for request in web.log} == {"Basic bWU6cEB3"}
    assert read_url(f"{url}?a=%2Fb&{SECRET}%3D") == NOISE
    assert web.log[-1].path == f"/x?a=%2Fb&{SECRET}%3D"
