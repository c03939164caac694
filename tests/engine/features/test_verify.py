"""The independent recount agrees with correct counts, finds wrong ones, and reports unreadable files."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.bam import write_bam
from support.cram import VERSIONS, container_starts, write_cram
from support.strategies import Record
from support.tiny import PACK, SIZES, featurize, reads_text, write_genes_and_sizes

from deepchrome.common.signatures import BGZIP_END
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.store import read_features, write_features
from deepchrome.engine.features.verify import VerifyResult, verify
from deepchrome.errors import BadDataError, DeepchromeError, MissingInputError

TEXT = reads_text(1500)
# Reads of zero length, reads past the end, comments and unknown chromosomes: rules that the recount implements again.
ODD = b"# x\nchr1\t15000\t15000\tN\t0\t-\n\r\nchr1\t249990\t250100\tN\t0\t+\nchr1\t5\t200000\tN\t0\t+\n" + (
    b"chrX\t15500\t15600\tN\t0\t-\n" * 3
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_genes_and_sizes(tmp_path)
    with open(tmp_path / "genes.tsv", "a") as file:  # beyond both ends; off the genome
        file.write("first\tS\tchr1\t10\t+\nlast\tS\tchr1\t250000\t.\nlost\tS\tchrX\t15000\t+\n")
    return tmp_path


def check(folder: Path, path: Path, mark: str = "A", **options: Any) -> VerifyResult:
    (result,) = verify(folder / "out", [Sample("E1", mark, str(path))], genome=folder / "small.sizes", **options)
    return result


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("options", [("--unknown-chrom", "skip"), ("--unknown-chrom", "bedtools"), ("-s",), ("-S",)])
def test_correct_counts_agree(kind: str, options: tuple[str, ...], folder: Path) -> None:
    path = folder / "E1-A.bed"
    path.write_bytes(PACK[kind](TEXT + (ODD if "--unknown-chrom" in options else b"")))
    assert featurize(folder, path, *options).code == 0
    result = check(folder, path)
    assert result.agrees
    assert (result.genes, result.bins, result.different, result.first) == (13, 1300, 0, "")
    assert result.reads == result.reads_stored
    fewer = check(folder, path, n_genes=4)
    assert (fewer.genes, fewer.bins) == (4, 400)


@pytest.mark.parametrize("options", [(), ("-q", "20"), ("-D", "-F"), ("-s",)])
def test_correct_counts_of_bam_agree(options: tuple[str, ...], folder: Path) -> None:
    records = []
    for i, line in enumerate(TEXT.decode().splitlines()):
        chrom, start, _, _, _, strand = line.split("\t")
        flag = 16 * (strand == "-") + 0x400 * (i % 7 == 0) + 0x200 * (i % 11 == 0)
        records.append(Record(chrom, int(start), flag, i % 60, ("36M", "10M500N26M", "5S31M")[i % 3], "A" * 36))
    path = folder / "E1-A.bam"
    write_bam(path, SIZES, records)
    assert featurize(folder, path, *options).code == 0
    assert check(folder, path).agrees
    assert check(folder, path).reads > 500


def spoil(folder: Path, gene: int, bin_: int, by: int) -> None:
    path = folder / "out" / "E1.parquet"
    stored = read_features(path)
    counts = {mark: stored.counts[:, :, m].copy() for m, mark in enumerate(stored.marks)}
    counts["A"][gene, bin_] += by
    write_features(path, stored.genes, counts, {k: v for k, v in stored.metadata.items() if k != "crc32"})


def test_wrong_count_is_found(folder: Path) -> None:
    path = folder / "E1-A.bed"
    path.write_bytes(TEXT)
    featurize(folder, path)
    right = int(read_features(folder / "out" / "E1.parquet").counts[3, 17, 0])
    spoil(folder, 3, 17, 2)
    result = check(folder, path)
    assert not result.agrees
    assert result.different == 1
    assert result.first == f"g3 bin 18: {right + 2} stored, {right} recounted"
    assert result.describe() == f"DIFFERENT in 1 bins (g3 bin 18: {right + 2} stored, {right} recounted)"


def test_other_number_of_reads_is_found(folder: Path) -> None:
    """A read outside all windows changes no bin, but it changes the number of reads."""
    path = folder / "E1-A.bed"
    path.write_bytes(TEXT)
    featurize(folder, path)
    path.write_bytes(TEXT + b"chr2\t230100\t230110\tN\t0\t+\n")
    result = check(folder, path)
    assert result.different == 0
    assert (result.reads, result.reads_stored) == (1501, 1500)
    assert not result.agrees
    assert result.describe() == "DIFFERENT in the number of reads (1500 stored, 1501 recounted)"
    assert replace(result, reads=1500).agrees
    assert replace(result, reads=1500).describe() == "equal"


@pytest.mark.campaign("provenance")
def test_another_genome_than_that_of_the_counts_is_refused(folder: Path) -> None:
    """Chromosomes of another build have other lengths; their order decides where bedtools places unknown reads."""
    path, sizes = folder / "E1-A.bed", folder / "small.sizes"
    path.write_bytes(TEXT)
    featurize(folder, path)
    lines = sizes.read_text().splitlines(keepends=True)
    for wrong in ("".join(reversed(lines)), sizes.read_text().replace("0\n", "1\n"), "".join(lines[:1])):
        sizes.write_text(wrong)
        with pytest.raises(
            BadDataError, match=r"small\.sizes: not the genome that .*E1\.parquet was counted"
        ) as caught:
            check(folder, path)
        assert caught.value.remedy == "genome"
    sizes.write_text("".join(lines))
    assert check(folder, path).agrees


BAD_READS = {
    "cut": (PACK["gzip"](TEXT)[:-3], "truncated"),
    "cut bgzip": (PACK["bgzip"](TEXT)[: -len(BGZIP_END) - 3], "truncated"),
    "wrong sum": (PACK["gzip"](TEXT)[:-8] + bytes(4) + PACK["gzip"](TEXT)[-4:], "compressed data are damaged"),
    "not deflate": (PACK["gzip"](TEXT)[:10] + b"\xff" * 50, "compressed data are damaged"),
    "junk at the end": (PACK["gzip"](TEXT) + b"junk", "compressed data are damaged"),
    "two columns": (TEXT + b"chr1\t5\n", r"1501: not a read: 'chr1\\t5'"),
    "no number": (TEXT + b"# x\nchr1\t5\t9x\n", "1502: not a read: 'chr1"),
    "negative": (b"chr1\t-5\t9\n", "1: not a read"),
    "no end": (gzip.compress(b"x" * (1 << 24)), "1: not a read: 'xxx"),
}


@pytest.mark.parametrize("how", BAD_READS)
def test_unreadable_reads_are_refused(how: str, folder: Path) -> None:
    path, (data, message) = folder / "E1-A.bed", BAD_READS[how]
    path.write_bytes(TEXT)
    featurize(folder, path)
    path.write_bytes(data)
    with pytest.raises(BadDataError, match=rf"^{path}:( .*|){message}"):
        check(folder, path)


def test_inputs_that_do_not_match_are_refused(folder: Path) -> None:
    path = folder / "E1-A.bed"
    path.write_bytes(TEXT)
    featurize(folder, path)
    file = folder / "out" / "E1.parquet"
    with pytest.raises(BadDataError, match=f"^{file}: no mark B in this file; it has A"):
        check(folder, path, mark="B")
    with pytest.raises(BadDataError, match=f"^{file}: these are the features of E1, not of E2"):
        verify(file, [Sample("E2", "A", str(path))])
    with pytest.raises(MissingInputError, match=r"E2\.parquet: no such file"):
        verify(folder / "out", [Sample("E2", "A", str(path))])
    with pytest.raises(MissingInputError, match=r"recounting needs the chrom\.sizes file small\.sizes") as caught:
        verify(file, [Sample("E1", "A", str(path))])
    assert caught.value.remedy == "genome"
    with pytest.raises(MissingInputError, match=r"absent: (no|No) such file"):
        check(folder, folder / "absent")
    with pytest.raises(DeepchromeError, match="absent"):
        verify(file, [Sample("E1", "A", str(path))], genome=folder / "absent")


def test_features_without_read_metadata_are_refused(folder: Path) -> None:
    path = folder / "E1-A.bed"
    path.write_bytes(TEXT)
    featurize(folder, path)
    stored = read_features(folder / "out" / "E1.parquet")
    counts = {"A": np.ascontiguousarray(stored.counts[:, :, 0])}
    write_features(folder / "out" / "E1.parquet", stored.genes, counts, {"n_bins": 100, "flank": 5000})
    with pytest.raises(
        BadDataError,
        match=r"not counted from reads \(its metadata lacks genome, genome_sha256, bin_size, options, sources\)",
    ):
        check(folder, path)


def test_several_epigenomes_are_verified(folder: Path) -> None:
    samples = []
    for i, name in enumerate(("E2-A", "E1-B", "E1-A")):
        (folder / f"{name}.bed").write_bytes(reads_text(300, i))
        samples.append(Sample(*name.split("-"), str(folder / f"{name}.bed")))
    assert featurize(folder, *(sample.path for sample in samples)).code == 0
    results = verify(folder / "out", samples, genome=folder / "small.sizes")
    assert [(r.epigenome, r.mark, r.agrees) for r in results] == [
        ("E1", "B", True),
        ("E1", "A", True),
        ("E2", "A", True),
    ]


@pytest.mark.campaign("cram")
@pytest.mark.parametrize("version", VERSIONS)
def test_cram_is_recounted_without_its_reference(version: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that is cut at the end of a container is refused, although htslib reads it without an error."""
    path = folder / "E1-A.cram"
    records = [Record("chr1", 100 * i, 16 * (i % 2), 30, "36M", "A" * 36) for i in range(2000)]
    write_cram(path, SIZES, records, version, with_reference=True, reads_per_slice=100)
    assert featurize(folder, path).code == 0
    assert check(folder, path).agrees
    assert capfd.readouterr().err == ""
    whole = path.read_bytes()
    path.write_bytes(whole[: container_starts(whole)[5]])
    with pytest.raises(BadDataError, match=r"E1-A\.cram: the CRAM end-of-file container is missing"):
        check(folder, path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sources", {"A": {}}, "the features do not record the reads of A"),
        ("options", {"magic": 1}, "counted with magic, which this version does not know"),
    ],
)
def test_metadata_of_other_programs(key: str, value: Any, message: str, folder: Path) -> None:
    (folder / "E1-A.bed").write_bytes(TEXT)
    featurize(folder, folder / "E1-A.bed")
    path = folder / "out" / "E1.parquet"
    stored = read_features(path)
    metadata = {k: v for k, v in stored.metadata.items() if k != "crc32"} | {key: value}
    write_features(path, stored.genes, {"A": stored.counts[:, :, 0]}, metadata)
    with pytest.raises(BadDataError, match=message):
        check(folder, folder / "E1-A.bed")
