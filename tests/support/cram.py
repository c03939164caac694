"""Write CRAM files of every version for the tests, and find where their containers begin."""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pysam

from support.bam import write_bam
from support.strategies import Record

VERSIONS = ("2.1", "3.0", "3.1")
_FILE_DEFINITION_BYTES = 26


def write_cram(
    path: Path,
    references: Mapping[str, int],
    records: Sequence[Record],
    version: str = "3.0",
    *,
    with_reference: bool = False,
    reads_per_slice: int = 10_000,
) -> None:
    """Write the records in their order. The reference, if there is one, has only the base A, and is removed again."""
    options = [f"version={version}", f"seqs_per_slice={reads_per_slice}"]
    verbosity = pysam.set_verbosity(0)  # htslib calls version 3.1 a draft
    try:
        if not with_reference:
            write_bam(path, references, records, "wc", format_options=[o.encode() for o in [*options, "no_ref=1"]])
            return
        fasta = path.with_suffix(".fa")
        fasta.write_text("".join(f">{name}\n{'A' * size}\n" for name, size in references.items()))
        write_bam(
            path,
            references,
            records,
            "wc",
            format_options=[option.encode() for option in options],
            reference_filename=str(fasta),
        )
        fasta.unlink()
        fasta.with_name(f"{fasta.name}.fai").unlink()
    finally:
        pysam.set_verbosity(verbosity)


def as_in_cram(record: Record) -> Record:
    """Return a record as CRAM can store it: with as many bases as its CIGAR has, or unmapped and without MAPQ."""
    if record.flag & 4:
        return replace(record, mapq=0, cigar=None, bases=record.bases or "ACGT")
    operations = re.findall(r"(\d+)([A-Z=])", record.cigar or "")
    return replace(record, bases="A" * sum(int(n) for n, kind in operations if kind in "MIS=X"))


def container_starts(data: bytes) -> list[int]:
    """Return the offset of every container (CRAM specification, section 7). The last one marks the end of the file."""
    starts, at = [], _FILE_DEFINITION_BYTES
    is_version_3 = data[4] >= 3
    while at < len(data):
        starts.append(at)
        (size,) = struct.unpack_from("<i", data, at)
        at += 4
        for _ in range(4):  # reference, start, span, number of records
            at += _integer(data, at)[1]
        for _ in range(2):  # record counter, bases: up to 64 bits
            at += _long_bytes(data[at])
        at += _integer(data, at)[1]  # number of blocks
        n_landmarks, width = _integer(data, at)
        at += width
        for _ in range(n_landmarks):
            at += _integer(data, at)[1]
        if not is_version_3 and len(starts) == 1:
            # htslib may state two bytes too few for the header of version 2.1, so add up the sizes of its one block.
            stored, width = _integer(data, at + 3)
            at += 3 + 2 * width + stored
        else:
            at += 4 * is_version_3 + size  # the CRC, and the blocks
    assert at == len(data)
    return starts


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Return the value of an ITF-8 integer, and the number of its bytes. Values above 2^14 do not matter here."""
    width = min(_long_bytes(data[at]), 5)
    return (data[at] if width == 1 else (data[at] & 0x3F) << 8 | data[at + 1]), width


def _long_bytes(first: int) -> int:
    """Return the number of bytes of an LTF-8 integer: one more than the leading ones of its first byte."""
    return next((n for n in range(8) if not first & 0x80 >> n), 8) + 1
