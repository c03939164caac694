"""Run ``dc featurize`` and ``dc verify``: exit codes, one-line errors without traceback, complete outputs only."""

import contextlib
import getpass
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.tiny import PACK, counts_of, dc, featurize, reads_text, write_genes_and_sizes

from deepchrome.common.locks import output_lock
from deepchrome.engine.features.multiqc import REPORT_NAMES
from deepchrome.engine.features.store import read_features
from deepchrome.engine.features.summary import SUMMARY_COLUMNS

TEXT = reads_text(1000)  # tagAlign lines
COMMAND = (sys.executable, "-m", "deepchrome")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_genes_and_sizes(tmp_path)
    for mark, kind in (("A", "gzip"), ("B", "bgzip")):
        (tmp_path / f"E1-{mark}.tagAlign.gz").write_bytes(PACK[kind](TEXT))
    return tmp_path


def required_options(folder: Path, out: str = "out") -> list[str]:
    return ["--genes", f"{folder}/genes.tsv", "--genome", f"{folder}/small.sizes", "--out", f"{folder}/{out}"]


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def one_line(err: str) -> str:
    """Return the only line that begins with ``dc:``; check that there is no traceback."""
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("dc: ")]
    return line


def test_table_is_on_stdout_and_messages_on_stderr(folder: Path) -> None:
    ran = featurize(folder, folder)
    assert ran.code == 0
    rows = [line.split("\t") for line in ran.out.splitlines()]
    assert tuple(rows[0]) == SUMMARY_COLUMNS
    assert [row[:3] + row[-1:] for row in rows[1:]] == [["E1", "A", "1000", "done"], ["E1", "B", "1000", "done"]]
    messages = [line for line in ran.err.splitlines() if not line.startswith("compiling")]  # only in the first run
    assert messages.pop() == f"{folder / 'out'}: 1 of 1 epigenomes written. See summary.tsv."
    assert len(messages) == 2
    for i, line in enumerate(messages, 1):
        assert re.match(rf"E1 [AB]: 1,000 reads in \d+\.\d s; {i} of 2 files, \d+\.\d million reads/s", line)
    counts = read_features(folder / "out" / "E1.parquet").counts
    assert (counts[:, :, 0] == counts_of(TEXT)).all()
    assert (counts[:, :, 1] == counts_of(TEXT)).all()


def test_json_tables(folder: Path) -> None:
    (folder / "E2-A.bed").write_bytes(b"")
    ran = featurize(folder, folder, "--json")
    assert ran.code == 65
    rows = ran.json()
    assert [tuple(row) for row in rows] == [SUMMARY_COLUMNS] * 3
    assert rows[0].items() >= {"epigenome": "E1", "mark": "A", "reads": 1000, "status": "done"}.items()
    assert rows[2]["reads"] is None
    assert rows[2]["status"].startswith("failed: ")
    ran = dc("verify", folder / "out", folder / "E1-A.tagAlign.gz", "--genome", folder / "small.sizes", "--json")
    assert ran.code == 0
    (result,) = ran.json()
    assert result.items() >= {"epigenome": "E1", "mark": "A", "genes": 10, "different": 0, "agrees": True}.items()


def test_unusual_genes_are_reported(folder: Path) -> None:
    with open(folder / "genes.tsv", "a") as file:
        file.write("edge\tS\tchr1\t100\t+\nlost\tS\tchrX\t100\t+\ng0\tS\tchr2\t70000\t-\n")
    err = featurize(folder, folder).err
    assert "genes on chromosomes that small.sizes lacks (all bins are 0): 1 (lost)\n" in err
    assert "genes with bins outside their chromosome (these bins are 0): 1 (edge)\n" in err
    assert "rows that repeat a gene ID: 1. Use --unique-genes to keep only the first row of each.\n" in err
    err = featurize(folder, folder, "--force", "--edge", "drop", "--unique-genes").err
    assert "genes dropped because they have bins outside their chromosome: 1 (edge)\n" in err
    assert "repeat" not in err


def test_reads_on_standard_input(folder: Path) -> None:
    for text in (TEXT, *(PACK[kind](TEXT) for kind in ("gzip", "bgzip"))):
        assert featurize(folder, "-", "--name", "E9-A", "--force", stdin=text).code == 0
        assert (read_features(folder / "out" / "E9.parquet").counts[:, :, 0] == counts_of(TEXT)).all()
    ran = featurize(folder, "-", stdin=TEXT)
    assert ran.code == 2
    assert "-: standard input has no file name" in one_line(ran.err)
    assert one_line(ran.err).endswith("Use --name <epigenome>-<mark> to give them.")
    ran = dc(
        "verify", folder / "out", "-", "--name", "E9-A", "--genome", folder / "small.sizes", stdin=PACK["gzip"](TEXT)
    )
    assert ran.code == 0


def truncate(folder: Path) -> None:
    path = folder / "E1-A.tagAlign.gz"
    path.write_bytes(path.read_bytes()[:-1])


def add_bad_line(folder: Path) -> None:
    (folder / "E1-A.tagAlign.gz").write_bytes(TEXT + b"chr1\t5\t4\tN\t0\t+\n")


def remove_end_of_file_block(folder: Path) -> None:
    path = folder / "E1-B.tagAlign.gz"
    path.write_bytes(path.read_bytes()[:-28])


def rename_chromosomes(folder: Path) -> None:
    (folder / "E1-A.tagAlign.gz").write_bytes(TEXT.replace(b"chr", b""))


def remove_all_reads(folder: Path) -> None:
    (folder / "E1-A.tagAlign.gz").write_bytes(b"")


BAD_READS = {
    "cut": (truncate, "the file is truncated", None),
    "bad line": (add_bad_line, ":1001: the end lies before the start. The line is 'chr1\\t5\\t4\\tN\\t0\\t+'", None),
    "no end": (remove_end_of_file_block, "the bgzip end-of-file block is missing", "--allow-no-eof"),
    "other names": (
        rename_chromosomes,
        "1,000 of 1,000 reads lie on chromosomes that small.sizes does not have: '",
        None,
    ),
    "empty": (remove_all_reads, "no reads in this file", "--allow-empty"),
}


@pytest.mark.campaign("messages")
@pytest.mark.parametrize("how", BAD_READS)
def test_bad_reads_are_refused_and_an_old_output_is_kept(how: str, folder: Path) -> None:
    damage, message, option = BAD_READS[how]
    featurize(folder, folder, out="old")
    old = (folder / "old" / "E1.parquet").read_bytes()
    damage(folder)
    ran = featurize(folder, folder)
    assert ran.code == 65
    line = one_line(ran.err)
    assert re.match(rf"dc: {folder}/E1-[AB].tagAlign.gz:(1001:)? ", line)
    assert message in line
    assert {path.name for path in (folder / "out").glob("[!.]*")} <= {"summary.tsv", "qc.tsv", *REPORT_NAMES}
    assert featurize(folder, folder, "--force", out="old").code == 65
    assert (folder / "old" / "E1.parquet").read_bytes() == old
    if option:
        assert featurize(folder, folder, option).code == 0


@pytest.mark.campaign("messages")
def test_exit_codes_of_wrong_calls_and_missing_inputs(folder: Path) -> None:
    out = folder / "out"
    genes, genome = ("--genes", folder / "genes.tsv"), ("--genome", folder / "small.sizes")
    cases = [
        (66, featurize(folder, folder / "absent-A.bed"), "absent-A.bed: no such file"),
        (66, featurize(folder, folder / "absent.bed", "--name", "E1-A"), "absent.bed: no such file"),
        (66, featurize(folder, "--samples", folder / "absent.tsv"), "absent.tsv: no such file"),
        (66, dc("featurize", folder, "--genes", folder / "x", *genome, "--out", out), "x: no such file"),
        (
            66,
            dc("featurize", folder, *genes, "--genome", folder / "x", "--out", out),
            "x: no such file or directory. Give one of hg19",
        ),
        (66, dc("verify", folder / "absent", folder / "E1-A.tagAlign.gz"), "absent: no such file"),
        (2, featurize(folder), "Use --samples TABLE to list the files in a table."),
        (2, featurize(folder, folder, "-s", "-S"), "-s and -S cannot be used together"),
        (2, featurize(folder, folder, "--marks", "A,C"), "E1: no reads of C"),
        (2, featurize(folder, folder, "--bin-size", "300"), "must divide"),
        (2, dc("verify", folder), "or --samples TABLE"),
        (65, featurize(folder, folder, "--marks", "../A"), "'../A' is not a valid name for a mark"),
        (65, featurize(folder, folder, "--edge", "error", "--flank", "30000"), "bins wholly outside their chromosome"),
        (74, featurize(folder, folder, out="genes.tsv"), "genes.tsv: cannot be written"),
        (74, dc("featurize", folder, *genes, *genome, "--out", "/proc/x"), "/proc/x: cannot be written"),
    ]
    for code, ran, message in cases:
        assert ran.code == code, (ran, message)
        assert message in one_line(ran.err)
        assert ran.out == ""
    for bad in (
        ("--edge", "cut"),
        ("-q", "256"),
        ("-q", "-1"),
        ("--threads", "0"),
        ("--jobs", "0"),
        ("--bin-size", "x"),
    ):
        ran = featurize(folder, folder, *bad)
        assert (ran.code, "Traceback" in ran.err) == (2, False)
    assert not out.exists()
    assert featurize(folder, folder).code == 0
    ran = featurize(folder, folder, "--bin-size", "50")
    assert ran.code == 2
    assert "E1.parquet: exists and does not match this call (bin_size was 100, is now 50)" in one_line(ran.err)
    assert one_line(ran.err).endswith("Use --force to replace it.")


def test_a_single_unreadable_file_exits_with_its_own_code(folder: Path) -> None:
    (folder / "samples.tsv").write_text(f"epigenome\tmark\tpath\nE1\tA\t{folder}\n")
    ran = featurize(folder, "--samples", folder / "samples.tsv")
    assert ran.code == 66
    assert "Is a directory" in one_line(ran.err)


def test_verify_finds_a_wrong_count(folder: Path) -> None:
    featurize(folder, folder, "--marks", "A,B")
    (folder / "other.bed").write_bytes(TEXT[: TEXT.rindex(b"\n", 0, -1) + 1] + b"chr1\t20000\t20050\tN\t0\t+\n")
    command = ("verify", folder / "out", "--genome", folder / "small.sizes")
    ran = dc(*command, folder / "E1-A.tagAlign.gz", folder / "E1-B.tagAlign.gz")
    assert ran.code == 0
    assert ran.out.count("\tequal\n") == 2
    ran = dc(*command, folder / "other.bed", "--name", "E1-A")
    assert ran.code == 65
    assert "DIFFERENT in " in ran.out
    assert "the recount differs from the stored counts in 1 of 1 marks" in one_line(ran.err)


@pytest.mark.campaign("messages")
@pytest.mark.parametrize(
    "error",
    [RuntimeError("odd\n\x1b[2J"), KeyError("x"), RecursionError(), AssertionError()],
    ids=lambda e: type(e).__name__,
)
def test_traceback_is_shown_only_with_debug(error: Exception, folder: Path) -> None:
    with patch("deepchrome.engine.features.count_sample.tally_reads", side_effect=error):
        ran = featurize(folder, folder)
        assert ran.code == 70
        assert f"internal error ({type(error).__name__}" in one_line(ran.err)
        assert "--debug" in one_line(ran.err)
        assert "\x1b" not in ran.err
        debugged = featurize(folder, folder, "--debug")
        assert debugged.code == 70
        assert "Traceback (most recent call last)" in debugged.err


@pytest.mark.campaign("races")
def test_output_locked_by_another_process_is_refused(folder: Path) -> None:
    with output_lock(folder / "out", ["E1.parquet"]):
        process = start("featurize", folder, *required_options(folder))
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (74, "")
    assert f"process {os.getpid()} of {getpass.getuser()} on " in one_line(err)
    assert "is writing there. Wait for it to finish" in err


@pytest.mark.campaign("interrupt")
def test_interrupt_keeps_the_old_output_and_leaves_nothing_incomplete(folder: Path) -> None:
    featurize(folder, folder)
    old = (folder / "out" / "E1.parquet").read_bytes()
    process = start("featurize", "-", "--name", "E1-A", *required_options(folder), "--force", stdin=subprocess.PIPE)
    assert process.stdin
    with contextlib.suppress(BrokenPipeError):
        while not list(folder.glob("out/.deepchrome/*.run")):
            process.stdin.write(TEXT.decode())
            process.stdin.flush()
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.stdin.write(TEXT.decode())
        process.kill()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.stdin = None
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert (folder / "out" / "E1.parquet").read_bytes() == old
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {".deepchrome", "E1.parquet", "summary.tsv", "qc.tsv", *REPORT_NAMES}
    assert featurize(folder, folder, "--force").code == 0


def read_terminal(process: subprocess.Popen[str], terminal: int) -> str:
    shown = b""
    while process.poll() is None or select.select([terminal], [], [], 0)[0]:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:  # on Linux: the other end is closed
                break
    return shown.decode()


def test_progress_bars_are_shown_only_on_a_terminal(folder: Path) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "featurize", folder, *required_options(folder), "--force"],
        stdout=subprocess.PIPE,
        stderr=end,
        text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(end)
    shown = read_terminal(process, terminal)
    os.close(terminal)
    out = process.communicate()[0]
    assert process.returncode == 0
    assert "\x1b[" in shown
    assert "counting" in shown or "million reads/s" in shown
    assert "\x1b[" not in out
    assert out.startswith("epigenome\tmark\t")
    ran = featurize(folder, folder, "--force")
    assert "\x1b[" not in ran.out + ran.err


def test_featurize_imports_only_what_it_needs(folder: Path) -> None:
    """Some libraries import others if these are installed, which takes longer than the run itself."""
    featurize(folder, folder)  # compiles the kernels, which imports more
    script = """
        import sys
        from deepchrome.cli import main
        sys.argv += ["--force"]
        try:
            main()
        except SystemExit as end:
            assert not end.code, end.code
        slow = ("torch", "pandas", "polars", "pysam", "rich", "scipy.linalg", "pyarrow.compute", "deepchrome.train")
        print([name for name in slow if name in sys.modules])
    """
    command = [sys.executable, "-c", textwrap.dedent(script), "featurize", folder, *required_options(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.campaign("install")
def test_no_place_for_compiled_code(folder: Path) -> None:
    """If there is no place for a cache directory, as in some containers, the kernels are compiled with a message."""
    (folder / "file").touch()
    below = str(folder / "file" / "x")
    environment = os.environ | {"HOME": below, "XDG_CACHE_HOME": below, "NUMBA_CACHE_DIR": below}
    script = """
        from deepchrome.cli import main, startup
        startup._SLOW_SECONDS = 0.0
        main()
    """
    code = ["-W", "error", "-c", textwrap.dedent(script)]
    command = [sys.executable, *code, "featurize", folder, *required_options(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert (read_features(folder / "out" / "E1.parquet").counts[:, :, 0] == counts_of(TEXT)).all()
    assert "compiling the kernels for this processor; every run does this: " in ran.stderr
    assert f"Not a directory: '{below}" in ran.stderr


@pytest.mark.campaign("disk")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_behind_stdout_is_a_storage_error(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [*COMMAND, "featurize", folder, *required_options(folder), "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ran.returncode == 74
    assert "No space left on device" in one_line(ran.stderr)


def test_closed_standard_input_is_one_error_line(folder: Path) -> None:
    command = [*COMMAND, "featurize", "-", "--name", "E1-A", *required_options(folder)]
    ran = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *command], capture_output=True, text=True)
    assert ran.returncode in (65, 66)
    one_line(ran.stderr)


def test_stdout_contains_only_the_json(folder: Path) -> None:
    ran = subprocess.run(
        [*COMMAND, "featurize", folder, *required_options(folder), "--json"], capture_output=True, text=True
    )
    assert len(json.loads(ran.stdout)) == 2


def test_accepted_reads_past_the_chromosome_end_cause_a_warning(folder: Path) -> None:
    chrom, size = (folder / "small.sizes").read_text().splitlines()[0].split("\t")
    beyond = "".join(f"{chrom}\t{int(size) - 10}\t{int(size) + 26}\tN\t0\t+\n" for _ in range(50)).encode()
    (folder / "E9-A.bed").write_bytes(TEXT + beyond)
    assert dc("featurize", folder / "E9-A.bed", *required_options(folder)).code == 65
    ran = dc("featurize", folder / "E9-A.bed", *required_options(folder), "--no-build-check")
    assert ran.code == 0
    assert (
        "50 of 1,050 reads end past the end of their chromosome. Is small.sizes the genome they were aligned to?"
        in ran.err
    )
    assert "aligned to" not in dc("featurize", folder / "E1-A.tagAlign.gz", *required_options(folder, "other")).err
