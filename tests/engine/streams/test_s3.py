"""Objects in S3: the same behaviour as over http."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.tiny import PACK, counts_of, featurize, reads_text, write_genes_and_sizes
from support.web import Fault, Web, read_url, shorten_retries

from deepchrome.engine.features.store import read_features
from deepchrome.engine.streams import remote, transports
from deepchrome.engine.streams.remote import ObjectNotFoundError, RemoteStream, fetch_identity
from deepchrome.engine.streams.transports import ObjectIdentity
from deepchrome.errors import MissingInputError, StorageError

NOISE = random.Random(1).randbytes(700_000)
TEXT = reads_text(2000)
pytestmark = pytest.mark.campaign("network")


@pytest.fixture(autouse=True)
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_retries(monkeypatch, block_bytes=200_000, tries=4)


@pytest.fixture
def s3(web: Web, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Point fsspec to the local server, remove all credentials, and return the URL of a bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/absent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/absent")
    monkeypatch.setitem(transports.fsspec.config.conf, "s3", {"endpoint_url": web.root})
    transports._filesystem.cache_clear()
    yield "s3://bucket"
    transports._filesystem.cache_clear()


def test_faults_of_an_s3_server(s3: str, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are handled as over http. Without credentials, requests are not signed."""
    web.put("bucket/a/x", NOISE, faults=[Fault(503), Fault(cut_after=250_000)])
    assert read_url(f"{s3}/a/x") == NOISE
    first, _, third = web.ranges("bucket/a/x")
    assert first is None
    assert third is not None
    assert int(third.removeprefix("bytes=").removesuffix("-")) >= 65_536
    assert not any("Authorization" in request.headers for request in web.log)
    assert fetch_identity(f"{s3}/a/x") == ObjectIdentity(700_000, '"1"')
    for status, error in ((404, ObjectNotFoundError), (403, MissingInputError), (400, StorageError)):
        web.put("bucket/y", NOISE, probes_too=True, always=Fault(status))
        with pytest.raises(error):
            read_url(f"{s3}/y")
    web.put("bucket/z", NOISE, always=Fault(cut_after=10))
    with pytest.raises(StorageError, match=r"announced 700,000 bytes and \d+ arrived; tried 4 times"):
        read_url(f"{s3}/z")
    with closing(RemoteStream(f"{s3}/a/x", 300_000, ObjectIdentity(700_000, '"1"'))) as stream:
        assert (stream.start, stream.read()) == (300_000, NOISE[300_000:])
    with pytest.raises(StorageError, match=r"^the s3 request cannot be sent \(.*\)$"):
        read_url(s3)
    monkeypatch.setattr(remote, "STALL_SECONDS", 0.4)
    web.put("bucket/stalled", NOISE, always=Fault(stall_after=10))
    with pytest.raises(StorageError, match=r"no data for 0.4 seconds; .*tried 4 times"):
        read_url(f"{s3}/stalled")


def test_requests_are_signed_with_credentials(s3: str, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    web.put("bucket/x", NOISE)
    assert read_url(f"{s3}/x") == NOISE
    assert all("AKIAEXAMPLE" in request.headers["Authorization"] for request in web.log)


def test_counts_from_s3(s3: str, web: Web, tmp_path: Path) -> None:
    write_genes_and_sizes(tmp_path)
    web.put("bucket/E1-A.tagAlign.gz", PACK["bgzip"](TEXT))
    ran = featurize(tmp_path, f"{s3}/E1-A.tagAlign.gz")
    assert ran.code == 0, ran.err
    assert (read_features(tmp_path / "out" / "E1.parquet").counts[:, :, 0] == counts_of(TEXT)).all()
