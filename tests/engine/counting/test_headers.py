"""Genomes from the headers of BAM and CRAM files."""

import gzip
from pathlib import Path

import pysam
import pytest
from support.bam import write_bam
from support.cram import write_cram
from support.strategies import Record

from deepchrome.engine.counting.headers import genome_from_headers
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError, UsageError

SIZES = {"chr2": 2000, "chr1": 1000}


def write(path: Path, sizes: dict[str, int]) -> str:
    record = Record("chr1", 10, 0, 60, "4M", "AAAA")
    (write_cram if path.suffix == ".cram" else write_bam)(path, sizes, [record])
    return str(path)


def test_the_first_header_gives_names_lengths_and_order(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.bam", SIZES),
        write(tmp_path / "b.cram", dict(reversed(SIZES.items()))),
    ]
    genome = genome_from_headers(paths)
    assert list(genome.sizes.items()) == list(SIZES.items())
    assert genome.name == "a.bam"
    assert list(genome_from_headers(paths[::-1]).sizes) == ["chr1", "chr2"]


@pytest.mark.parametrize(
    ("sizes", "difference"),
    [
        ({"chr2": 2000, "chr1": 1001}, "'chr1': 1,001 bp here, 1,000 bp there"),
        ({"chr1": 1000}, "'chr2': absent here, 2,000 bp there"),
        ({**SIZES, "chrM": 5}, "'chrM': 5 bp here, absent there"),
    ],
)
def test_headers_that_differ(tmp_path: Path, sizes: dict[str, int], difference: str) -> None:
    paths = [write(tmp_path / "a.bam", SIZES), write(tmp_path / "b.bam", sizes)]
    with pytest.raises(BadDataError) as refused:
        genome_from_headers(paths)
    assert difference in str(refused.value)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"chr1\t1\t9\n", UsageError),
        (gzip.compress(b"chr1\t1\t9\n", mtime=0), UsageError),
        (b"", UsageError),
        (b"@SQ\tSN:chr1\tLN:1000\n", UsageError),
        (b"CRAM", BadDataError),
        (gzip.compress(b"BAM\1\0\0\0", mtime=0), BadDataError),
        (b"\x1f\x8b", UsageError),
    ],
)
def test_other_and_damaged_files(
    tmp_path: Path, content: bytes, error: type[DeepchromeError], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.bam").write_bytes(content)
    verbosity = pysam.get_verbosity()
    with pytest.raises(error) as refused:
        genome_from_headers([str(tmp_path / "x.bam")])
    assert refused.value.remedy == "genome"
    assert str(refused.value).startswith(f"{tmp_path}/x.bam: ")
    assert capfd.readouterr().err == ""
    assert pysam.get_verbosity() == verbosity


def test_header_without_chromosomes(tmp_path: Path) -> None:
    with pysam.AlignmentFile(str(tmp_path / "x.bam"), "wb", header=pysam.AlignmentHeader()):
        pass
    with pytest.raises(BadDataError, match="no valid lengths of chromosomes"):
        genome_from_headers([str(tmp_path / "x.bam")])


def test_absent_files_urls_and_standard_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no such file"):
        genome_from_headers([str(tmp_path / "x.bam")])
    with pytest.raises(MissingInputError, match="a directory"):
        genome_from_headers([str(tmp_path)])
    for path in ("-", "https://user:secret@host/x.bam"):
        with pytest.raises(UsageError) as refused:
            genome_from_headers([path])
        assert "secret" not in str(refused.value)
