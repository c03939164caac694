"""Failures of the machine: full and read-only disks, permissions, kills, races, wrong clocks, large inputs.

All tests run the real command.
"""

import gzip
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from campaign.rows import sized
from support.cram import write_cram
from support.places import CHECKOUT, TESTS
from support.strategies import Record
from support.tiny import PACK, SIZES, counts_of, reads_text, write_genes_and_sizes

from deepchrome.engine.features.store import read_features

TEXT = {name: reads_text(2000, seed) for seed, name in enumerate(("E1-A", "E2-A"))}
COMMAND = (sys.executable, "-m", "deepchrome")
RecordProperty = Callable[[str, int], None]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory with reads and genes that any user may read; those of pytest are private."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_genes_and_sizes(folder)
        for reads, text in TEXT.items():
            (folder / f"{reads}.tagAlign.gz").write_bytes(PACK["gzip"](text))
        yield folder


def featurize_command(folder: Path, out: Path | None = None, *more: str) -> list[str]:
    given = ["--genes", f"{folder}/genes.tsv", "--genome", f"{folder}/small.sizes", "--out", str(out or folder / "out")]
    return [*COMMAND, "featurize", str(folder), *given, *more]


def run(folder: Path, out: Path | None = None, *more: str, **options: object) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(featurize_command(folder, out, *more), capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert "Traceback" not in ran.stderr
    return ran


def assert_refused(ran: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    assert ran.returncode == code, ran
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("dc: ")]
    assert message in line


def assert_counts_are_correct(out: Path) -> None:
    for name, text in TEXT.items():
        features = read_features(out / f"{name[:2]}.parquet")
        assert (features.counts[:, :, 0] == counts_of(text)).all()


def visible_files(out: Path) -> dict[str, bytes]:
    seen = [path for path in out.rglob("*") if not any(part[0] == "." for part in path.relative_to(out).parts)]
    return {path.name: path.read_bytes() for path in seen if path.is_file()}


@contextmanager
def mounted(at: Path, options: str) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", at], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("needs a file system of its own, which only root may mount")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", at], check=True)


@pytest.mark.campaign("disk", "messages")
def test_full_disk_leaves_old_output_unchanged(folder: Path) -> None:
    """The disk has space for the first run only: the files of that run are unchanged."""
    with mounted(folder / "disk", "size=512k") as disk:
        out = disk / "out"
        assert run(folder, out).returncode == 0
        before = visible_files(out)
        (disk / "ballast").write_bytes(b"x" * 1000)
        with open(disk / "ballast", "ab", buffering=0) as ballast:
            try:
                while ballast.write(os.urandom(4096)):
                    pass
            except OSError:
                pass
        assert_refused(run(folder, out, "--force"), 74, "No space left on device")
        assert visible_files(out) == before
        assert not list(out.rglob(".*.part"))
        (disk / "ballast").unlink()
        assert run(folder, out, "--force").returncode == 0
        assert_counts_are_correct(out)


@pytest.mark.campaign("disk", "messages")
def test_file_size_limit_leaves_old_output_unchanged(folder: Path) -> None:
    """RLIMIT_FSIZE has the effect of a quota, and needs no root."""
    assert run(folder).returncode == 0
    before = visible_files(folder / "out")
    script = 'ulimit -f 2; trap "" XFSZ; exec "$@"'
    ran = subprocess.run(
        ["sh", "-c", script, "sh", *featurize_command(folder, None, "--force")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused(ran, 74, "File too large")
    assert visible_files(folder / "out") == before
    assert not list((folder / "out").rglob(".*.part"))


@pytest.mark.campaign("disk", "messages")
def test_read_only_file_system_is_an_error(folder: Path) -> None:
    with mounted(folder / "disk", "size=4m") as disk:
        assert run(folder, disk / "out").returncode == 0
        before = visible_files(disk / "out")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert_refused(run(folder, disk / "out", "--force"), 74, "Read-only file system")
        assert_refused(run(folder, disk / "new"), 74, "Read-only file system")
        assert visible_files(disk / "out") == before


def run_unprivileged(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run as a user who is subject to permissions; root gives up its capabilities."""
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    if powerless and not shutil.which("setpriv"):
        pytest.skip("permissions do not restrict root, and setpriv is not installed")
    ran = subprocess.run(
        [*powerless, *featurize_command(folder, None, *more)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ran.stderr
    return ran


@pytest.mark.campaign("disk", "messages")
def test_missing_permissions_are_errors(folder: Path) -> None:
    assert run(folder).returncode == 0
    before = visible_files(folder / "out")
    (folder / "out").chmod(0o555)
    assert_refused(run_unprivileged(folder, "--force"), 74, "Permission denied")
    assert visible_files(folder / "out") == before
    (folder / "out").chmod(0o777)
    for path in (folder / "out").rglob("*"):
        path.chmod(0o777)
    # 65: one bad file of two. 2: the command line checks the paths of options itself.
    for name, code, message in (
        ("E1-A.tagAlign.gz", 65, "E1-A.tagAlign.gz: Permission denied"),
        ("genes.tsv", 2, "genes.tsv' is not readable"),
        ("small.sizes", 66, "small.sizes: permission denied"),
    ):
        (folder / name).chmod(0)
        ran = run_unprivileged(folder, "--force")
        assert ran.returncode == code
        assert message in ran.stderr
        (folder / name).chmod(0o644)
        assert (folder / "out" / "E1.parquet").read_bytes() == before["E1.parquet"]


@pytest.mark.campaign("install")
def test_read_only_installation_counts_correctly(folder: Path) -> None:
    """Without a writable installation or home directory the kernels are compiled in memory."""
    checkout = CHECKOUT
    environment = {"PATH": os.environ["PATH"], "HOME": "/proc/nowhere"}
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99; shift; exec "$@"'
    alone = ["unshare", "--mount", "sh", "-c", script, "sh", str(checkout)]
    probe = [*alone, "sh", "-c", f"! touch {checkout}/.touched 2>/dev/null"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs a mount of its own, which only root may make")
    ran = subprocess.run(
        [*alone, *featurize_command(folder)], capture_output=True, text=True, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert_counts_are_correct(folder / "out")


@pytest.mark.campaign("kills", "cram")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_sigkill_at_random_moments_leaves_whole_files(tmp_path: Path, record_property: RecordProperty) -> None:
    write_genes_and_sizes(tmp_path)
    for seed, version in enumerate("ab"):
        (tmp_path / version).mkdir()
        for i, name in enumerate(("E1-A", "E1-B", "E2-A")):
            text = reads_text(20_000, 10 * seed + i)
            (tmp_path / version / f"{name}.tagAlign.gz").write_bytes(PACK["gzip" if i else "bgzip"](text))
        records = [Record("chr1", 10 * start + seed, 0, 30, "36M", "A" * 36) for start in range(20_000)]
        write_cram(tmp_path / version / "E2-B.cram", SIZES, records)
    kills = sized(16, 200)
    script = TESTS / "support" / "killed_featurize.py"
    command = [sys.executable, script, tmp_path, str(kills), "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    killed, changed, leftovers = map(int, done.stdout.split())
    assert killed == kills
    assert changed >= kills // 4
    assert leftovers > kills // 16
    record_property("SIGKILLs of dc featurize", killed)
    record_property("half-written files they left, all cleared by a rerun", leftovers)


@pytest.mark.campaign("races")
def test_simultaneous_runs_on_one_output(folder: Path, record_property: RecordProperty) -> None:
    """The first run writes; the others report it and exit. The output is complete."""
    done = [
        subprocess.Popen(
            featurize_command(folder, None, "--force"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(sized(3, 12))
    ]
    ran = [(*process.communicate(), process.returncode) for process in done]
    codes = [code for *_, code in ran]
    assert set(codes) <= {0, 74}
    assert 0 in codes
    for _, err, code in ran:
        assert "Traceback" not in err
        assert ("is writing there" in err) == (code == 74)
    assert_counts_are_correct(folder / "out")
    record_property("processes at once", len(done))


TIMED = ("summary.tsv", "qc.tsv")  # these have the times of counting


@pytest.mark.campaign("clock")
def test_output_does_not_depend_on_the_clock(folder: Path) -> None:
    """File times of 1970 and 2100, and a clock that stopped in 1970, give the same bytes."""
    assert run(folder).returncode == 0
    first = visible_files(folder / "out")
    clock = (
        "import sys, time; sys.argv[0] = 'dc'; time.time = lambda: 0.0; time.time_ns = lambda: 0;"
        "from deepchrome.cli import main; main()"
    )
    for i, moment in enumerate((0, 4_102_444_800)):  # 1970 and 2100
        for path in folder.rglob("*"):
            os.utime(path, (moment, moment))
        command = [sys.executable, "-c", clock, *featurize_command(folder, None, "--force")[3:]]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, (i, ran.stderr)
        now = visible_files(folder / "out")
        assert now.keys() == first.keys()
        assert all(now[name] == data for name, data in first.items() if name not in TIMED)


@pytest.mark.campaign("clock")
def test_output_on_a_file_system_other_than_tmpdir(folder: Path) -> None:
    """Temporary files are beside the output, even if TMPDIR does not exist."""
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == folder.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=other) as name:
        out = Path(name) / "out"
        for temporary in (str(folder), "/nonexistent"):
            ran = run(folder, out, "--force", env=os.environ | {"TMPDIR": temporary})
            assert ran.returncode == 0, ran.stderr
            assert_counts_are_correct(out)


@pytest.mark.campaign("disk")
def test_output_directory_removed_during_the_run(folder: Path) -> None:
    """Exit code 74, and the directory is not created again."""
    process = subprocess.Popen(
        [*COMMAND, "featurize", "-", "--name", "E9-A", *featurize_command(folder)[5:]],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert process.stdin
    while not list(folder.glob("out/.deepchrome/*.run")):
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.1)
    shutil.rmtree(folder / "out")
    process.stdin.write(TEXT["E1-A"])
    process.stdin.close()
    process.stdin = None
    err = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 74, err
    assert "cannot be written" in err
    assert "Traceback" not in err


def test_output_has_the_permissions_of_a_new_file(folder: Path) -> None:
    assert run(folder, umask=0o027).returncode == 0
    assert stat.S_IMODE((folder / "out" / "E1.parquet").stat().st_mode) == 0o640


WITH_PEAK = """
import sys
from pathlib import Path
from deepchrome.cli import main
try:
    main()
finally:
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print("peak", int(peak) >> 10, file=sys.stderr)
"""


def members(piece: bytes, gigabytes: float) -> bytes:
    packed = gzip.compress(piece * ((1 << 20) // len(piece)), mtime=0)
    return packed * int(gigabytes * 1024)


def bam_of_zeros(*numbers: int) -> bytes:
    """Return a BAM header with these numbers, followed by two gigabytes of zeros."""
    begin = b"BAM\1" + b"".join(struct.pack("<I", number) for number in numbers)
    return gzip.compress(begin, mtime=0) + members(b"\0", 2)


BOMBS = {
    "a line without end": (lambda: members(b"\0", sized(0.3, 10)), "a line of more than 65536 bytes"),
    "blank lines": (lambda: members(b"\n", sized(0.1, 1)), "no reads in this file"),
    "comments": (lambda: members(b"#" + b"x" * 1023 + b"\n", sized(0.3, 10)), "no reads in this file"),
    "reads": (lambda: members(b"chr1\t20000\t20036\n", sized(0.3, 10)), ""),
    "a BAM header's text": (lambda: bam_of_zeros(2**31 - 1), "truncated"),
    "a BAM header beyond all bounds": (lambda: bam_of_zeros(2**31), "the BAM header is not valid"),
    "references without end": (lambda: bam_of_zeros(0, 2**20), "record 1: the size of this record"),
    "more references than there are": (lambda: bam_of_zeros(0, 2**30), "the BAM header is not valid"),
    "a reference's name": (lambda: bam_of_zeros(0, 1, 2**25), "record 1: the size of this record"),
    "a record": (lambda: bam_of_zeros(0, 0, 2**31 - 1), "a record of more than 33554432 bytes"),
}


@pytest.mark.campaign("memory", "messages")
@pytest.mark.skipif(sys.platform != "linux", reason="reads its peak memory from /proc")
@pytest.mark.parametrize("kind", BOMBS)
def test_decompression_bombs_need_little_memory(kind: str, folder: Path, record_property: RecordProperty) -> None:
    make, message = BOMBS[kind]
    for path in folder.glob("E*"):
        path.unlink()
    (folder / "E1-A.tagAlign.gz").write_bytes(make())
    command = [sys.executable, "-c", WITH_PEAK, *featurize_command(folder)[3:]]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert re.search(message, ran.stderr)
    assert ran.returncode == (65 if message else 0)
    peak = int(ran.stderr.rsplit("peak ", 1)[1])
    assert peak < 400, kind
    record_property("files that unpack to gigabytes", 1)
