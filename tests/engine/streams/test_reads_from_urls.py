"""Reads at URLs: the same counts as from files, and messages without secrets."""

import gzip
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from support.bam import write_bam
from support.strategies import Record
from support.tiny import PACK, counts_of, dc, featurize, reads_text, windows, write_genes_and_sizes
from support.web import SECRET, Fault, Web, shorten_retries

from deepchrome.engine.counting.count import count_reads
from deepchrome.engine.features.samples import Sample, find_samples, read_samples
from deepchrome.engine.features.store import read_features
from deepchrome.engine.streams.inputs import open_stream, translate_error
from deepchrome.errors import BadDataError, DeepchromeError, StorageError, UsageError

TEXT = reads_text(2000)
pytestmark = pytest.mark.campaign("network")


@pytest.fixture(autouse=True)
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_retries(monkeypatch, block_bytes=200_000, tries=4)


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
    for find in (lambda: find_samples([url, url]), lambda: find_samples([f"https://host/reads.bed?{SECRET}"])):
        with pytest.raises(UsageError) as caught:
            find()
        assert SECRET not in str(caught.value)
        assert "pw@" not in str(caught.value)
    for reads in ("ftp://host/E1-A.bed", "gs://bucket/E1-A.bed"):
        table.write_text(f"epigenome\tmark\tpath\nE1\tA\t{reads}\n")
        refused = pytest.raises(
            UsageError, match=r"^(ftp|gs)://.*: unknown kind of URL. Use http://, https:// or s3://$"
        )
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


def test_bam_is_counted_and_cram_is_refused(web: Web, tmp_path: Path) -> None:
    records = [Record("chr1", 20_000 + i, 0, 30, "36M", "A" * 36) for i in range(500)]
    for mode, name in (("wb", "E1-A.bam"), ("wc", "E1-B.cram")):
        options = {"format_options": [b"no_ref=1"]} if mode == "wc" else {}
        write_bam(tmp_path / name, {"chr1": 250_000, "chr2": 240_000}, records, mode, **options)
        web.put(name, (tmp_path / name).read_bytes())
    here, there = (count_reads(reads, windows(tmp_path)) for reads in (tmp_path / "E1-A.bam", f"{web.root}/E1-A.bam"))
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
    """The commands give the same counts for URLs and for files."""
    write_genes_and_sizes(tmp_path)
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


def test_bad_urls_among_others(web: Web, tmp_path: Path) -> None:
    """The summary names bad URLs without their secrets, and their epigenomes get no output."""
    write_genes_and_sizes(tmp_path)
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


def test_missing_packages_are_named(web: Web) -> None:
    """Without the optional packages, the error says how to install them."""
    code = (
        "import sys; sys.modules['aiohttp'] = None; from deepchrome.engine.counting.count import count_reads;"
        "from deepchrome.engine.streams.inputs import open_stream, translate_error\n"
        "assert 'deepchrome.engine.streams.remote' not in sys.modules\n"
        "try: open_stream('https://host/x')\n"
        "except Exception as error:\n"
        "    error = translate_error(error, 'https://host/x')\n"
        "    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "NotInstalledError https://host/x: reading from a URL needs more packages (aiohttp is missing). "
        "Install them: pip install 'deepchrome[remote]'\n"
    )


def test_errors_do_not_show_secrets() -> None:
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
