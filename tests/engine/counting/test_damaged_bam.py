"""BAM records that samtools refuses are refused, with the number of the record."""

import random
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest
from campaign.rows import sized
from oracle import bedtools
from oracle.naive import Gene
from support.engine import blocks_of, windows
from support.tiny import bgzip

from deepchrome.engine.counting.count import count_reads
from deepchrome.errors import BadDataError

SIZES = {"chr1": 10_000, "chr2": 10_000}
GENES = [Gene("chr1", 5000, "+"), Gene("chr2", 5000, "-")]
WINDOWS = windows(GENES, SIZES, flank=2000, bin_size=100)


def header() -> bytes:
    names = b"".join(struct.pack("<i", len(n) + 1) + n.encode() + b"\0" + struct.pack("<i", SIZES[n]) for n in SIZES)
    return b"BAM\1" + struct.pack("<ii", 0, len(SIZES)) + names


def record(
    start: int = 4000,
    reference: int = 0,
    mate: int = -1,
    name: bytes = b"read\0",
    name_length: int | None = None,
    cigar: tuple[int, ...] = (30 << 4, 2 << 4 | 2, 6 << 4),
    n_operations: int | None = None,
    n_bases: int = 36,
    stored_bases: int = 36,
    size: int | None = None,
    flags: int = 0,
) -> bytes:
    """Return a record of 30M2D6M; the arguments may contradict each other."""
    data = name + b"".join(struct.pack("<I", operation) for operation in cigar)
    data += b"\x11" * ((stored_bases + 1) // 2) + b"\xff" * stored_bases
    body = struct.pack(
        "<iiBBHHHiiii",
        reference,
        start,
        len(name) if name_length is None else name_length,
        60,
        4681,
        len(cigar) if n_operations is None else n_operations,
        flags,
        n_bases,
        mate,
        -1,
        0,
    )
    return struct.pack("<i", len(body + data) if size is None else size) + body + data


GOOD = [record(start) for start in (3500, 4000, 4500)]
DAMAGED = {
    "no room for the name": record(name_length=0),
    "no name": record(name=b"", name_length=0),
    "a name beyond the record": record(name_length=255, n_operations=0, cigar=()),
    "a CIGAR beyond the record": record(n_operations=60),
    "a negative number of bases": record(n_bases=-1),
    "bases beyond the record": record(n_bases=40, cigar=(40 << 4,)),
    "bases without qualities": record(n_bases=36, stored_bases=23, cigar=(36 << 4,)),
    "a CIGAR of fewer bases": record(cigar=(35 << 4,)),
    "a CIGAR of more bases": record(cigar=(37 << 4,)),
    "a long CIGAR of more bases": record(cigar=(1 << 4,) * 37),
    "a CIGAR of more bases, in a duplicate": record(cigar=(37 << 4,), flags=0x400),
    "a reference that is not in the header": record(reference=2),
    "a reference below -1": record(reference=-2),
    "a mate's reference that is not in the header": record(mate=2),
    "a mate's reference below -1": record(mate=-2),
    "a size below that of the fixed fields": record(size=31),
    "a negative size": record(size=-5),
}


def samtools_accepts(path: Path) -> bool:
    return not subprocess.run(["samtools", "view", "-c", path], capture_output=True, check=False).returncode


def counts_or_error(path: Path, threads: int = 1) -> np.ndarray | str:
    try:
        return count_reads(path, WINDOWS, threads)
    except BadDataError as error:
        return str(error)


@pytest.mark.bedtools
@pytest.mark.campaign("fuzz", "parity")
@pytest.mark.parametrize("kind", DAMAGED)
def test_what_samtools_refuses_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "reads.bam"
    path.write_bytes(bgzip(header() + b"".join([*GOOD, DAMAGED[kind], *GOOD])))
    assert not samtools_accepts(path)
    message = counts_or_error(path)
    assert isinstance(message, str)
    assert message.startswith(f"{path}: record 4: the size of this record, or its name, ")
    path.write_bytes(bgzip(header() + b"".join([*GOOD, record(), *GOOD])))
    assert samtools_accepts(path)
    assert not isinstance(counts_or_error(path), str)


@pytest.mark.bedtools
@pytest.mark.campaign("fuzz", "parity")
def test_mutated_records(tmp_path: Path, record_property: Callable[[str, int], None]) -> None:
    """Change one field or bit. What samtools refuses is refused; the rest is counted, or starts before its sequence."""
    dice, path, refused, n = random.Random(7), tmp_path / "reads.bam", 0, sized(150, 3000)
    for _ in range(n):
        good = bytearray(dice.choice([record(), record(cigar=(36 << 4,), name=b"x" * 20 + b"\0"), record(flags=4)]))
        at, width = dice.choice([(4, 4), (8, 4), (12, 1), (16, 2), (18, 2), (20, 4), (24, 4), (36 + good[12], 4)])
        if dice.randrange(2):
            good[at + dice.randrange(width)] ^= 1 << dice.randrange(8)
        else:
            value = dice.choice([0, 1, 2, 3, 35, 36, 37, 255, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1])
            good[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
        path.write_bytes(bgzip(header() + b"".join([*GOOD, bytes(good), *GOOD])))
        counted = counts_or_error(path)
        if not samtools_accepts(path):
            refused += 1
            assert isinstance(counted, str), bytes(good)
            assert "record 4: " in counted
        elif isinstance(counted, str):
            (start,) = struct.unpack_from("<i", good, 8)
            assert start < -1, (counted, bytes(good))
    assert refused > n // 10
    record_property("mutated BAM records that samtools refuses", refused)


@pytest.mark.campaign("lines")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", ["a negative size", "no name"])
def test_the_number_of_a_damaged_record_is_right(kind: str, threads: int, tmp_path: Path) -> None:
    path = tmp_path / "reads.bam"
    good = b"".join(record(start) for start in range(3000, 6000))
    path.write_bytes(bgzip(header() + good + DAMAGED[kind] + good, 5000))
    with blocks_of(20_000):
        assert f"{path}: record 3001: " in str(counts_or_error(path, threads))
    path.write_bytes(bgzip(header() + good + record(mate=9) + record() + DAMAGED[kind] + good, 5000))
    with blocks_of(20_000):
        assert f"{path}: record 3001: " in str(counts_or_error(path, threads))


@pytest.mark.bedtools
@pytest.mark.campaign("odd-files")
def test_longest_names(tmp_path: Path) -> None:
    """A BAM record holds names of up to 254 characters; bedtools 2.30.0 loses reads with names of 252 or more."""
    lengths = (1, 2, 3, 4, 251, 252, 253, 254)
    for name in ("long.bam", "short.bam"):
        longest = 255 if name == "long.bam" else 4
        records = [record(4000 + n, name=b"x" * min(n, longest) + b"\0") for n in lengths]
        (tmp_path / name).write_bytes(bgzip(header() + b"".join(records)))
    with pysam.AlignmentFile(str(tmp_path / "long.bam"), check_sq=False) as file:
        assert [len(read.query_name or "") for read in file] == [*lengths]
    sorted_path = bedtools.sorted_bam((tmp_path / "short.bam").read_bytes(), tmp_path / "sorted.bam")
    expected = bedtools.multicov(sorted_path, GENES, SIZES, 2000, 100, tmp_path)
    assert count_reads(tmp_path / "long.bam", WINDOWS).tolist() == expected
    assert sum(map(sum, expected)) >= len(lengths)
