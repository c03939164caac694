"""One case of every failure, run as the real command: exit code, one error line, no output files."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.epigenomes import write_random_features
from support.tiny import PACK, dc, featurize, reads_text, write_genes_and_sizes

from deepchrome.engine.features.multiqc import REPORT_NAMES

TEXT = reads_text(1000)
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def valid_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of valid reads, features, expression and a run."""
    folder = tmp_path_factory.mktemp("made")
    write_genes_and_sizes(folder)
    (folder / "E1-A.tagAlign.gz").write_bytes(PACK["gzip"](TEXT))
    (folder / "E1-B.tagAlign.gz").write_bytes(PACK["bgzip"](TEXT))
    assert featurize(folder, folder).code == 0
    write_random_features(folder / "features", ("E001",))
    given = (folder / "features", "--expression", folder / "expression.tsv", "--epochs", 1, "--device", "cpu")
    assert dc("train", *given, "--out", folder / "run").code == 0
    return folder


def change_reads(change: Callable[[bytes], bytes], name: str = "E1-A.tagAlign.gz") -> Damage:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def change_text(change: Callable[[bytes], bytes]) -> Damage:
    return lambda folder: (folder / "E1-A.tagAlign.gz").write_bytes(change(TEXT))


def insert_line(bad: bytes) -> Damage:
    return change_text(lambda valid: valid + bad + b"\n" + valid)


def flip_bit(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]


def flip_bit_in(name: str, at: int) -> Damage:
    return change_reads(lambda data: flip_bit(data, at), name)


def replace_model_by_pickle(folder: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(folder / "it-ran"),)

    (folder / "run" / "models" / "E001.safetensors").write_bytes(pickle.dumps(Payload()))


def change_format_version(folder: Path) -> None:
    path = folder / "out" / "E1.parquet"
    table = pq.read_table(path)
    document = json.loads(table.schema.metadata[b"deepchrome"]) | {"format_version": 99}
    pq.write_table(table.replace_schema_metadata({b"deepchrome": json.dumps(document).encode()}), path)


def write_foreign_parquet(folder: Path) -> None:
    pq.write_table(pa.table({"gene_id": ["g"], "x": [1.0]}), folder / "out" / "E1.parquet")


def change_expression(value: str) -> Damage:
    def change(folder: Path) -> None:
        lines = (folder / "expression.tsv").read_text().splitlines()
        lines[5] = f"{lines[5].split(chr(9))[0]}\t{value}"
        (folder / "expression.tsv").write_text("\n".join(lines) + "\n")

    return change


FEATURIZE = "featurize E1-A.tagAlign.gz E1-B.tagAlign.gz --genes genes.tsv --genome small.sizes --out new"
ONE = "featurize E1-A.tagAlign.gz --genes genes.tsv --genome small.sizes --out new"
VERIFY = "verify out E1-A.tagAlign.gz --genome small.sizes"
TRAIN = "train features --expression expression.tsv --epochs 1 --device cpu --out new"
PREDICT = "predict run features --device cpu --out new.tsv"
EVALUATE = "evaluate run"

CASES: dict[str, tuple[Damage, str, int, str]] = {
    "truncated": (change_reads(lambda data: data[:-9]), FEATURIZE, 65, "the file is truncated. Get the file again"),
    "truncated by one byte": (
        change_text(lambda data: PACK["gzip"](data)[:-1]),
        FEATURIZE,
        65,
        "the file is truncated",
    ),
    "flipped": (flip_bit_in("E1-B.tagAlign.gz", 5000), FEATURIZE, 65, "the compressed data are damaged"),
    "no EOF block": (change_reads(lambda data: data[:-28], "E1-B.tagAlign.gz"), FEATURIZE, 65, "Use --allow-no-eof"),
    "junk at the end": (change_reads(lambda data: data + b"junk"), FEATURIZE, 65, "damaged|truncated"),
    "ragged": (insert_line(b"chr1\t1\t2"), ONE, 65, ":1001: 3 columns where the lines before have 6"),
    "spaces": (insert_line(b"chr1 1 2"), ONE, 65, ":1001: fewer than three tab-separated columns"),
    "negative": (insert_line(b"chr1\t-1\t2\tN\t0\t+"), ONE, 65, ":1001: the start is not a whole number"),
    "15x": (insert_line(b"chr1\t1\t15x\tN\t0\t+"), ONE, 65, ":1001: the end is not a whole number"),
    "1e2": (insert_line(b"chr1\t1e2\t200\tN\t0\t+"), ONE, 65, ":1001: the start is not a whole number"),
    "NUL": (insert_line(b"chr1\t1\0\t2\tN\t0\t+"), ONE, 65, "'chr1\\\\t1\\\\x00\\\\t2"),
    "end before start": (insert_line(b"chr1\t5\t4\tN\t0\t+"), ONE, 65, ":1001: the end lies before the start"),
    "beyond 2^29": (insert_line(b"chr1\t5\t536870912\tN\t0\t+"), ONE, 65, ":1001: a position beyond 2"),
    "beyond 2^64": (insert_line(b"chr1\t5\t" + b"9" * 30 + b"\tN\t0\t+"), ONE, 65, ":1001: a position beyond 2"),
    "no name": (insert_line(b"\t5\t6\tN\t0\t+"), ONE, 65, ":1001: no chromosome name"),
    "endless line": (
        change_text(lambda data: data + b"x" * 70_000),
        ONE,
        65,
        ":1001: a line of more than 65536 bytes",
    ),
    "one column": (change_text(lambda data: b"abc\r\nab\r\nabc\r\n"), ONE, 65, ":1: fewer than three"),
    "old Mac newlines": (change_text(lambda data: data.replace(b"\n", b"\r")), ONE, 65, "lone carriage return"),
    "empty": (change_text(lambda data: b""), ONE, 65, "no reads in this file. Use --allow-empty"),
    "1 for chr1": (change_text(lambda data: data.replace(b"chr", b"")), ONE, 65, "Its names are like 'chr1'"),
    "absent": (lambda folder: (folder / "E1-A.tagAlign.gz").unlink(), ONE, 66, "no such file"),
    "malformed genes": (lambda folder: (folder / "genes.tsv").write_text("x\n"), ONE, 65, "genes.tsv:1: not a gene"),
    "malformed genome": (lambda folder: (folder / "small.sizes").write_text("x\n"), ONE, 65, "small.sizes:1: exp"),
    "bins that do not divide": (lambda folder: None, ONE + " --bin-size 300", 2, "must divide"),
    "a hostile mark": (lambda folder: None, ONE + " --marks ../A", 65, "is not a valid name for a mark"),
    "features flipped": (flip_bit_in("out/E1.parquet", 900), VERIFY, 65, "E1.parquet: (damaged|not a readable|its)"),
    "features of another version": (
        change_format_version,
        VERIFY,
        65,
        "format version 99; this deepchrome reads versions 1 and 2",
    ),
    "features of another program": (write_foreign_parquet, VERIFY, 65, "E1.parquet: not written by dc featurize"),
    "other reads than stored": (
        change_text(lambda data: data[: data.rindex(b"\n", 0, -1) + 1]),
        VERIFY,
        65,
        "differs from the stored counts",
    ),
    "features cut": (
        change_reads(lambda data: data[:-5], "features/E001.parquet"),
        TRAIN,
        65,
        "not a readable Parquet file",
    ),
    "NaN": (change_expression("NaN"), TRAIN, 65, "1 NaN \\(first: line 6"),
    "negative RPKM": (change_expression("-1"), TRAIN, 65, "1 negative \\(first: line 6"),
    "missing RPKM": (change_expression("NA"), TRAIN, 65, "1 missing \\(first: line 6"),
    "ragged RPKM": (change_expression("1\t2"), TRAIN, 65, "expression.tsv:6: 3 fields where line 1 has 2"),
    "no run": (lambda folder: shutil.rmtree(folder / "run"), EVALUATE, 66, "run: not a run directory"),
    "config flipped": (flip_bit_in("run/config.json", 150), EVALUATE, 65, "config.json: "),
    "predictions flipped": (flip_bit_in("run/predictions.parquet", 300), EVALUATE, 65, "predictions.parquet: "),
    "model flipped": (flip_bit_in("run/models/E001.safetensors", 4000), PREDICT, 65, "does not match its checksum"),
    "pickle as model": (replace_model_by_pickle, PREDICT, 65, "E001.safetensors: damaged, or not written by dc train"),
    "existing run": (lambda folder: None, TRAIN.replace("--out new", "--out run"), 2, "already contains a run"),
}


def visible_files(folder: Path) -> set[Path]:
    """Return all files except locks and the hidden records of earlier runs."""
    return {path for path in folder.rglob("*") if ".lock" not in path.name and ".deepchrome" not in path.parts}


@pytest.mark.campaign("messages")
@pytest.mark.parametrize("case", CASES)
def test_failure_is_one_line_with_the_right_exit_code(case: str, valid_folder: Path, tmp_path: Path) -> None:
    damage, words, code, message = CASES[case]
    folder = tmp_path / "here"
    shutil.copytree(valid_folder, folder)
    damage(folder)
    before = visible_files(folder)
    command = [sys.executable, "-m", "deepchrome", *words.split()]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == code, ran
    assert "Traceback" not in ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("dc: ")]
    assert len(lines) == 1, ran.stderr
    assert re.search(message, lines[0]), lines[0]
    new = {path.name for path in visible_files(folder) - before}
    assert new <= {"new", "summary.tsv", "qc.tsv", *REPORT_NAMES}, "a failed command wrote an output file"
