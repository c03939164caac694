"""CRAM files give the counts of bedtools, whatever their size and version; damaged ones give an error."""

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from campaign.rows import sized
from oracle import bedtools
from support.cram import VERSIONS, container_starts, write_cram
from support.strategies import Record
from support.tiny import GENES, SIZES, windows

from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.counting.count import count_reads
from deepchrome.engine.roadmap.manifest import ManifestEntry
from deepchrome.engine.roadmap.transfer import check_file
from deepchrome.engine.streams import cram
from deepchrome.engine.streams.cram import CramStream
from deepchrome.engine.streams.cram_blocks import CramSummary, check_cram_blocks
from deepchrome.errors import BadDataError, DeepchromeError, StorageError

RecordProperty = Callable[[str, int], None]
each_version = pytest.mark.parametrize("version", VERSIONS)
CIGARS = ("36M", "10M5N26M", "5S31M", "20M2D16M", "10M3I23M")


@pytest.fixture
def small_windows(tmp_path: Path) -> Windows:
    return windows(tmp_path)


def drawn_records(n: int) -> list[Record]:
    """Return ``n`` records, sorted by position, on the two chromosomes of ``SIZES``."""
    dice = random.Random(n)
    places = sorted((dice.choice(list(SIZES)), dice.randrange(220_000)) for _ in range(n))
    return [
        Record(chrom, start, dice.choice([0, 16, 1024]), dice.randrange(60), dice.choice(CIGARS), "A" * 36)
        for chrom, start in places
    ]


def multicov(path: Path, folder: Path) -> list[list[int]]:
    """Return the counts of bedtools in the file as samtools converts it to BAM."""
    bam = bedtools.run("samtools", "view", "-b", "--input-fmt-option", "required_fields=0x3e", path)
    return bedtools.multicov(bedtools.sorted_bam(bam, folder / "o.bam"), GENES, SIZES, 5000, 100, folder)


@pytest.mark.campaign("cram")
@pytest.mark.bedtools
@pytest.mark.parametrize("with_reference", [False, True])
@each_version
def test_file_of_many_containers_has_the_counts_of_bedtools(
    version: str, with_reference: bool, tmp_path: Path, small_windows: Windows
) -> None:
    path = tmp_path / "many.cram"
    write_cram(path, SIZES, drawn_records(5000), version, with_reference=with_reference, reads_per_slice=100)
    assert len(container_starts(path.read_bytes())) > 50
    expected = multicov(path, tmp_path)
    for threads in (1, 2, 3):
        assert count_reads(path, small_windows, threads).tolist() == expected


@pytest.mark.campaign("cram")
@pytest.mark.parametrize("reads", sized([1500, 40_000], [1000 * n for n in range(1, 41)]))
def test_streams_of_any_size_end(reads: int, tmp_path: Path, record_property: RecordProperty) -> None:
    """A record takes some 50 bytes of BAM. A pipe holds 64 KiB, and a block 3 MB. The time limit catches a deadlock."""
    windows(tmp_path)  # writes genes and genome
    write_cram(tmp_path / "E1-A.cram", SIZES, drawn_records(reads))
    given = ["--genes", tmp_path / "genes.tsv", "--genome", tmp_path / "small.sizes", "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "deepchrome", "featurize", tmp_path / "E1-A.cram", *given]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert f"E1\tA\t{sum(r.flag != 1024 for r in drawn_records(reads))}\t" in ran.stdout
    record_property("CRAM files of 50 kB to 2 MB of BAM", 1)


@pytest.mark.campaign("truncation", "cram")
@each_version
def test_file_cut_at_any_container_is_an_error(
    version: str, tmp_path: Path, small_windows: Windows, record_property: RecordProperty
) -> None:
    write_cram(tmp_path / "whole.cram", SIZES, drawn_records(2000), version, reads_per_slice=50)
    whole, path = (tmp_path / "whole.cram").read_bytes(), tmp_path / "cut.cram"
    starts = container_starts(whole)
    assert len(starts) > 40
    dice = random.Random(version)
    last = range(starts[-1], len(whole))
    inside = [dice.randrange(6, len(whole)) for _ in range(sized(40, 1000))]
    for cut in (*starts, *last, *inside):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadDataError, match=r"cut\.cram: the CRAM end-of-file container is missing") as refused:
            count_reads(path, small_windows)
        assert refused.value.remedy == "allow_no_eof"
    record_property("files cut", len(starts) + len(last) + len(inside))


@pytest.mark.campaign("truncation", "cram")
@each_version
def test_option_accepts_whole_containers_only(version: str, tmp_path: Path, small_windows: Windows) -> None:
    write_cram(tmp_path / "whole.cram", SIZES, drawn_records(500), version, reads_per_slice=100)
    whole, path = (tmp_path / "whole.cram").read_bytes(), tmp_path / "cut.cram"
    starts = container_starts(whole)
    path.write_bytes(whole[: starts[-1]])
    expected = count_reads(tmp_path / "whole.cram", small_windows)
    assert (count_reads(path, small_windows, allow_no_eof=True) == expected).all()
    for cut in (starts[2] + 3, starts[2] + 15, (starts[2] + starts[3]) // 2, starts[3] - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(BadDataError, match=r"cut\.cram: (not a readable CRAM file|the data end too early)"):
            count_reads(path, small_windows, allow_no_eof=True)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_version_without_end_container_is_refused(
    version: tuple[int, int], tmp_path: Path, small_windows: Windows
) -> None:
    write_cram(tmp_path / "old.cram", SIZES, drawn_records(10), "2.1")
    data = bytearray((tmp_path / "old.cram").read_bytes())
    data[4:6] = bytes(version)
    (tmp_path / "old.cram").write_bytes(data)
    with pytest.raises(BadDataError, match=r"CRAM \d\.0 does not mark the end of a file"):
        count_reads(tmp_path / "old.cram", small_windows)


def flip(whole: bytes, at: int, bit: int) -> bytes:
    """Return ``whole`` with one bit flipped."""
    data = bytearray(whole)
    data[at] ^= 1 << bit
    return bytes(data)


def open_bytes(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.campaign("flips", "cram")
@pytest.mark.parametrize("version", ["3.0", "3.1"])  # version 2.1 has no checksums
def test_flipped_bit_is_an_error_or_changes_nothing(
    version: str, tmp_path: Path, small_windows: Windows, record_property: RecordProperty
) -> None:
    write_cram(tmp_path / "whole.cram", SIZES, drawn_records(1000), version, reads_per_slice=200)
    whole, path = (tmp_path / "whole.cram").read_bytes(), tmp_path / "flipped.cram"
    expected = count_reads(tmp_path / "whole.cram", small_windows)
    dice, caught = random.Random(version), 0
    places = [dice.randrange(4, len(whole)) for _ in range(sized(30, 1000))]
    # The headers of containers and slices, which htslib does not check.
    places += [start + dice.randrange(150) for start in container_starts(whole)[1:-1] for _ in range(sized(4, 50))]
    for i, at in enumerate(places):
        path.write_bytes(flip(whole, at, i % 8))
        try:
            counts = count_reads(path, small_windows, 1 + i % 3)
        except BadDataError:
            caught += 1
        else:
            assert (counts == expected).all(), (at, i % 8)
    assert caught > len(places) // 2
    record_property("files with a bit flipped", len(places))
    record_property("refused", caught)


@pytest.mark.campaign("flips", "cram")
@each_version
def test_every_flipped_bit_is_found_if_there_are_checksums(version: str, tmp_path: Path) -> None:
    """Also in bytes that htslib never reads. The id of the file, before the containers, does not matter."""
    write_cram(tmp_path / "whole.cram", SIZES, drawn_records(60), version, reads_per_slice=20)
    whole = (tmp_path / "whole.cram").read_bytes()
    assert check_cram_blocks(open_bytes(whole), hashed=True) == CramSummary(60, len(whole), sha256_of(whole))
    if version == "2.1":
        return
    for at in range(container_starts(whole)[0], len(whole)):
        with pytest.raises((BadDataError, EOFError)):
            check_cram_blocks(open_bytes(flip(whole, at, at % 8)))


@pytest.mark.campaign("cram")
@each_version
def test_missing_records_are_an_error(version: str, tmp_path: Path, small_windows: Windows) -> None:
    """htslib may decode a part of a damaged file and report success."""
    write_cram(tmp_path / "a.cram", SIZES, drawn_records(300), version, reads_per_slice=100)
    check = CramStream.check
    with (
        patch.object(CramStream, "check", lambda stream, records, hashed: check(stream, records - 1, hashed)),
        pytest.raises(BadDataError, match=r"a\.cram: 299 records could be decoded of 300: the file is damaged"),
    ):
        count_reads(tmp_path / "a.cram", small_windows)


@pytest.mark.campaign("cram")
@pytest.mark.bedtools
def test_header_with_many_faults_does_not_stop_the_decoder(tmp_path: Path) -> None:
    """htslib warns about every repeated read group: more text than a pipe holds."""
    windows(tmp_path)
    groups = "".join("@RG\tID:x\tSM:y\n" for _ in range(5000))
    text = "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:250000\n" + groups + "r\t0\tchr1\t20000\t9\t36M\t*\t0\t0\t*\t*\n"
    path = tmp_path / "E1-A.cram"
    bedtools.run("samtools", "view", "-C", "-O", "cram,no_ref=1", "-o", path, "-", stdin=text.encode())
    given = ["--genes", tmp_path / "genes.tsv", "--genome", tmp_path / "small.sizes", "--out", tmp_path / "out"]
    command = [sys.executable, "-m", "deepchrome", "featurize", path, *given]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.campaign("cram")
def test_file_without_references(tmp_path: Path, small_windows: Windows) -> None:
    """It has no reads on any chromosome, as an empty file."""
    write_cram(tmp_path / "unplaced.cram", {}, [Record(None, -1, 4, 0, None, "ACGT")])
    with pytest.raises(BadDataError, match="no reads in this file"):
        count_reads(tmp_path / "unplaced.cram", small_windows)
    assert not count_reads(tmp_path / "unplaced.cram", small_windows, allow_empty=True).any()


@pytest.mark.campaign("cram", "kills")
@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", BadDataError, "not a readable CRAM file (exit code -11)"),
        ("import os; os.kill(os.getpid(), 9)", StorageError, "the process that decodes CRAM failed (exit code -9)"),
        ("import no_such_module", StorageError, "No module named 'no_such_module'"),
        ("import sys; sys.stdout.write('BAM\\1')", BadDataError, "truncated"),
    ],
)
def test_decoder_that_dies_is_an_error(
    script: str, error: type[DeepchromeError], message: str, tmp_path: Path, small_windows: Windows
) -> None:
    write_cram(tmp_path / "a.cram", SIZES, drawn_records(100))
    (tmp_path / "decoder.py").write_text(script)
    with patch.object(cram, "_SCRIPT", tmp_path / "decoder.py"), pytest.raises(error) as raised:
        count_reads(tmp_path / "a.cram", small_windows, allow_empty=True)
    assert str(raised.value).startswith(f"{tmp_path}/a.cram: ")
    assert message in str(raised.value)


@pytest.mark.campaign("cram")
def test_closing_the_stream_stops_the_decoder(tmp_path: Path) -> None:
    """The decoder has more to write than a pipe holds, so it does not end by itself."""
    write_cram(tmp_path / "a.cram", SIZES, drawn_records(20_000))
    stream = CramStream(str(tmp_path / "a.cram"))
    decoder = stream._decoder
    stream.close()
    assert decoder.returncode == -signal.SIGKILL
    assert stream._file.closed


@pytest.mark.campaign("cram")
def test_decoder_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    write_cram(tmp_path / "a.cram", SIZES, drawn_records(20_000))
    script = (
        "import sys; from deepchrome.engine.streams.cram import CramStream\n"
        "print(CramStream(sys.argv[1])._decoder.pid, flush=True)\n"
        "import os; os.kill(os.getpid(), 9)"
    )
    ran = subprocess.run([sys.executable, "-c", script, tmp_path / "a.cram"], capture_output=True, check=False)
    decoder = int(ran.stdout)
    for _ in range(200):
        try:
            os.kill(decoder, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{decoder}/stat").read_text().split(")")[1].split()[0] == "Z":  # nobody waits for it
            return
        time.sleep(0.05)
    raise AssertionError("the decoder still runs")


@pytest.mark.campaign("cram")
def test_content_is_that_of_one_file(tmp_path: Path, small_windows: Windows) -> None:
    """If another file takes the name while the first is decoded, counts and hash are both of the first."""
    write_cram(tmp_path / "a.cram", SIZES, drawn_records(300))
    write_cram(tmp_path / "b.cram", SIZES, drawn_records(400))
    first = (tmp_path / "a.cram").read_bytes()
    stream = CramStream(str(tmp_path / "a.cram"))
    (tmp_path / "b.cram").replace(tmp_path / "a.cram")
    while stream.readinto(memoryview(bytearray(1 << 16))):
        pass
    assert stream.check(300, True).sha256 == sha256_of(first)
    stream.close()


@pytest.mark.campaign("truncation", "cram")
def test_download_checks_the_end_of_the_file(tmp_path: Path) -> None:
    write_cram(tmp_path / "a.cram", SIZES, drawn_records(300), reads_per_slice=100)
    entry = ManifestEntry("reads", "E1", "A", "http://127.0.0.1/a.cram", None, None, "a.cram")
    assert check_file(entry, tmp_path / "a.cram", True, False).bytes
    whole = (tmp_path / "a.cram").read_bytes()
    (tmp_path / "a.cram").write_bytes(whole[: container_starts(whole)[2]])
    with pytest.raises(BadDataError, match="the CRAM end-of-file container is missing"):
        check_file(entry, tmp_path / "a.cram", True, False)
    assert check_file(entry, tmp_path / "a.cram", True, True).bytes
