"""Files that are not reads, as real programs write them, and what the error about each of them must say."""

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pysam
from oracle import bedtools

from support.tiny import SIZES, reads_text

N_READS = 300
BED = reads_text(N_READS)


@dataclass(frozen=True)
class WrongFile:
    """A file that is not reads.

    Attributes
    ----------
    name
        The name of the case.
    write
        Writes the file.
    kind
        What ``identify`` calls it.
    says
        Parts of the error message: the format, and what to do.
    remedy
        The key of the advice of the error.
    package
        A package that writes the file; the case can only be tried where it is installed.
    """

    name: str
    write: Callable[[Path], object]
    kind: str
    says: tuple[str, ...]
    remedy: str = ""
    package: str = ""

    def __str__(self) -> str:
        return self.name


def _text(text: str | bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode())


def _lines(columns: Callable[[random.Random, int], str], n: int = 200, head: str = "") -> Callable[[Path], object]:
    """Write ``n`` lines: chromosome, start and end, then what ``columns`` returns for each of them."""

    def write(path: Path) -> None:
        dice, lines = random.Random(1), []
        for i in range(n):
            start = 1000 + 1000 * i
            lines.append(f"chr{1 + i % 2}\t{start}\t{start + dice.randint(100, 400)}\t{columns(dice, i)}\n")
        path.write_text(head + "".join(lines))

    return write


def _bam(folder: Path) -> Path:
    """Write the reads as a sorted and indexed BAM file."""
    return bedtools.bed_to_bam(BED, SIZES, folder)


def _from_bam(*command: str) -> Callable[[Path], object]:
    """Write what a program prints about the BAM file ``{}``."""
    return lambda path: path.write_bytes(bedtools.run(*(part.format(_bam(path.parent)) for part in command)))


def _from_pairs(*command: str) -> Callable[[Path], object]:
    """Write what a program prints about the BAM file ``{}``, which has pairs with their sequences."""
    return lambda path: path.write_bytes(bedtools.run(*(part.format(_pairs(path.parent)) for part in command)))


def _pairs(folder: Path) -> Path:
    rows = ["@HD\tVN:1.6\tSO:queryname", *(f"@SQ\tSN:{name}\tLN:{size}" for name, size in SIZES.items())]
    for i in range(50):
        start = 100 + 900 * i
        for flag, here, mate, length in ((99, start, start + 150, 186), (147, start + 150, start, -186)):
            rows.append(f"p{i:02}\t{flag}\tchr1\t{here}\t30\t36M\t=\t{mate}\t{length}\t{'A' * 36}\t{'I' * 36}")
    bam = folder / "pairs.bam"
    bam.write_bytes(bedtools.run("samtools", "view", "-b", "-", stdin="\n".join([*rows, ""]).encode()))
    return bam


def _index(kind: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        source = _bam(path.parent)
        if kind == "bai":
            index = source.with_suffix(".bam.bai")
        elif kind == "csi":
            bedtools.run("samtools", "index", "-c", source)
            index = source.with_suffix(".bam.csi")
        elif kind == "crai":
            cram = source.with_suffix(".cram")
            bedtools.run("samtools", "view", "-C", "--output-fmt-option", "no_ref=1", "-o", cram, source)
            bedtools.run("samtools", "index", cram)
            index = source.with_suffix(".cram.crai")
        else:
            text = source.with_suffix(".sorted.bed")
            text.write_bytes(bedtools.run("bedtools", "bamtobed", "-i", source))
            index = Path(pysam.tabix_index(str(text), preset="bed", force=True) + ".tbi")
        path.write_bytes(index.read_bytes())

    return write


def _variants(mode: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        header = pysam.VariantHeader()
        header.add_line("##contig=<ID=chr1,length=250000>")
        with pysam.VariantFile(str(path), mode, header=header) as file:
            file.write(header.new_record("chr1", 100, 101, ("A", "C")))

    return write


def _signal(path: Path) -> None:
    import pybigtools

    made = path.with_suffix(".bw")
    file: Any = pybigtools.open(str(made), "w")
    file.write(SIZES, [("chr1", 100 * i, 100 * i + 100, float(i)) for i in range(1, 100)])
    made.rename(path)


def _features(path: Path) -> None:
    import pybigtools

    made = path.with_suffix(".bb")
    file: Any = pybigtools.open(str(made), "w")
    file.write(SIZES, [("chr1", 100 * i, 100 * i + 100, f"r{i}\t0\t+") for i in range(1, 100)])
    made.rename(path)


def _hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["x"] = np.arange(5)


def _tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("reads.bed")
        member.size = len(BED)
        archive.addfile(member, io.BytesIO(BED))


def _zip(*names: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, BED)

    return write


def _numpy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.arange(5))


def _packed_by_arrow(codec: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with pa.CompressedOutputStream(str(path), codec) as file:
            file.write(BED)

    return write


def _wiggle(kind: str) -> Iterator[str]:
    yield "browser position chr1:1-1000\ntrack type=wiggle_0 name=x\n" if kind == "track" else ""
    yield (
        "variableStep chrom=chr1 span=10\n" if kind == "variable" else "fixedStep chrom=chr1 start=1 step=10 span=10\n"
    )
    yield from (f"{10 * i} {i / 7:.3f}\n" if kind == "variable" else f"{i / 7:.3f}\n" for i in range(1, 50))


def _peak(dice: random.Random, n_values: int) -> str:
    values = "\t".join(f"{dice.expovariate(0.1):.5f}" for _ in range(n_values))
    return f"peak_{dice.randrange(10**4)}\t{dice.randrange(1000)}\t.\t{values}"


def _gapped_peak(dice: random.Random, i: int) -> str:
    start = 1000 + 1000 * i
    blocks = f"p{i}\t{dice.randrange(1000)}\t.\t{start}\t{start + 90}\t0\t2\t40,30\t0,60"
    return f"{blocks}\t{dice.random() * 9:.4f}\t{dice.random() * 9:.4f}\t{dice.random() * 9:.4f}"


def _barcode(dice: random.Random) -> str:
    return "".join(dice.choices("ACGT", k=16))


_CELL_RANGER = (
    "# id=sample\n# description=\n#\n# pipeline_name=cellranger-atac\n# pipeline_version=cellranger-atac-2.1.0\n#\n"
    "# reference_path=/ref/GRCh38\n# reference_version=2020-A\n#\n# primary_contig=chr1\n# primary_contig=chr2\n"
)
_SIGNAL = ("signal, not reads", "Give the aligned reads (BAM, CRAM, tagAlign or BED) that the signal was made from")
_PEAKS = ("peaks, not reads", "Peaks are regions in which to count")
_BAM_ADVICE = "Convert it to BAM with samtools sort"
_GET_AGAIN = "Get the file again."
_GTF = (
    'chr1\thavana\tgene\t11869\t14409\t.\t+\t.\tgene_id "ENSG1";\nchr1\thavana\texon\t1\t9\t.\t-\t0\tgene_id "ENSG1";\n'
)
_ODD_VALUES = ("1e-3", "-2.5", "NaN", "+7.", ".5", "inf", "NA", "3E+2")


def _bedgraph(kind: str = "bedgraph", *, remedy: str = "format_bed") -> tuple[str, tuple[str, ...], str]:
    return kind, ("a bedGraph file", *_SIGNAL), remedy


WRONG_FILES: tuple[WrongFile, ...] = (
    WrongFile("bigWig", _signal, "bigwig", ("a bigWig file", *_SIGNAL), package="pybigtools"),
    WrongFile("bigBed", _features, "bigbed", ("a bigBed file", "convert it with bigBedToBed"), package="pybigtools"),
    WrongFile("bedGraph", _from_bam("bedtools", "genomecov", "-bg", "-ibam", "{}"), *_bedgraph()),
    WrongFile(
        "bedGraph with a track line",
        _from_bam("bedtools", "genomecov", "-bg", "-trackline", "-ibam", "{}"),
        *_bedgraph(remedy=""),
    ),
    WrongFile(
        "bedGraph of other values",
        _lines(lambda dice, i: _ODD_VALUES[i % 8], head='#bedGraph section\ntrack name="x"\n'),
        *_bedgraph(),
    ),
    WrongFile("bedGraph of Ensembl", _text("1\t0\t100\t5\n1\t100\t200\t7\nMT\t0\t50\t1\n"), *_bedgraph()),
    WrongFile("bedGraph of one line", _text("chr1\t0\t100\t0.25"), *_bedgraph()),
    WrongFile("bedGraph with spaces", _text("chr1 0 100 0.25\nchr1 100 200 4\n"), *_bedgraph()),
    WrongFile("bedGraph of Windows", _text("chr1\t0\t100\t0\r\nchr1\t100\t200\t4\r\n"), *_bedgraph()),
    WrongFile("BED with numbers as names", _lines(lambda dice, i: f"{i}"), *_bedgraph()),
    WrongFile("wiggle, fixed", _text("".join(_wiggle("fixed"))), "wiggle", ("a wiggle file", *_SIGNAL)),
    WrongFile("wiggle, variable", _text("".join(_wiggle("variable"))), "wiggle", ("a wiggle file", *_SIGNAL)),
    WrongFile("wiggle, track", _text("".join(_wiggle("track"))), "wiggle", ("a wiggle file", *_SIGNAL)),
    WrongFile(
        "narrowPeak",
        _lines(lambda dice, i: f"{_peak(dice, 3)}\t{dice.randrange(100)}"),
        "narrowpeak",
        ("a narrowPeak file", *_PEAKS),
    ),
    WrongFile(
        "narrowPeak of whole numbers",
        _lines(lambda dice, i: f".\t{i}\t.\t{i}\t{i + 1}\t-1\t-1"),
        "narrowpeak",
        ("a narrowPeak file", *_PEAKS),
    ),
    WrongFile("broadPeak", _lines(lambda dice, i: _peak(dice, 3)), "broadpeak", ("a broadPeak file", *_PEAKS)),
    WrongFile(
        "broadPeak without p-values",
        _lines(lambda dice, i: f"p{i}\t{i}\t.\t{i}\t-1\t-1"),
        "broadpeak",
        ("a broadPeak file", *_PEAKS),
    ),
    WrongFile("gappedPeak", _lines(_gapped_peak), "gappedpeak", ("a gappedPeak file", *_PEAKS)),
    WrongFile(
        "bedMethyl",
        _text("chr1\t100\t101\t.\t9\t+\t100\t101\t255,0,0\t9\t88\nchr1\t200\t201\t.\t1\t-\t200\t201\t0,255,0\t1\t0\n"),
        "bedmethyl",
        ("a bedMethyl file", "Give aligned reads"),
    ),
    WrongFile(
        "BEDPE",
        _from_pairs("bedtools", "bamtobed", "-bedpe", "-i", "{}"),
        "bedpe",
        ("a BEDPE file", "would lose the second read of each pair"),
        "fragments",
    ),
    WrongFile(
        "10x fragments",
        _lines(lambda dice, i: f"{_barcode(dice)}-1\t{dice.randint(1, 9)}", head=_CELL_RANGER),
        "10x",
        ("a fragments file of 10x", "Each line is one fragment", "does not multiply the count"),
        "fragments",
    ),
    WrongFile(
        "10x fragments without header",
        _lines(lambda dice, i: f"{_barcode(dice)}-1\t{dice.randint(1, 9)}"),
        "10x",
        ("a fragments file of 10x", "Each line is one fragment", "does not multiply the count"),
        "fragments",
    ),
    WrongFile(
        "10x peaks",
        _text(_CELL_RANGER + "chr1\t100\t900\nchr2\t5\t700\n"),
        "10x-peaks",
        ("a file of Cell Ranger ATAC", *_PEAKS),
    ),
    WrongFile("SAM", _from_bam("samtools", "view", "-h", "{}"), "sam", ("a SAM file", _BAM_ADVICE)),
    WrongFile("SAM without header", _from_bam("samtools", "view", "{}"), "sam", ("a SAM file", _BAM_ADVICE)),
    WrongFile(
        "pairs",
        _text("## pairs format v1.0\n#columns: readID chr1 pos1\n.\tchr1\t1\tchr1\t9\t+\t-\n"),
        "pairs",
        ("a pairs file",),
    ),
    WrongFile("VCF", _variants("w"), "vcf", ("a VCF file", "Give aligned reads")),
    WrongFile("BCF", _variants("wb"), "bcf", ("a BCF file", "Give aligned reads")),
    WrongFile("GTF", _text(_GTF), "gff", ("a GTF or GFF file", "Give it as the genes or the regions")),
    WrongFile("GFF3", _text("##gff-version 3\n" + _GTF), "gff", ("a GTF or GFF file", "Give it as the genes")),
    WrongFile(
        "FASTQ", _from_pairs("samtools", "fastq", "{}"), "fastq", ("a FASTQ file", "Align the reads to the genome")
    ),
    WrongFile(
        "FASTQ of a long read",
        _text(f"@r1 runid=1\n{'ACGT' * 30_000}\n+\n{'I' * 120_000}\n"),
        "fastq",
        ("a FASTQ file",),
    ),
    WrongFile("FASTA", _text(">chr1\nACGTNNNN\nAC\n"), "fasta", ("a FASTA file", "Give aligned reads")),
    WrongFile(
        "CSV", _text("chr1,100,200,r,0,+\nchr1,300,400,r,0,+\n"), "csv", ("commas between its columns", "Convert")
    ),
    WrongFile("zstd", _packed_by_arrow("zstd"), "zstd", ("a zstd file", "Unpack it with unzstd")),
    WrongFile("lz4", _packed_by_arrow("lz4"), "lz4", ("an lz4 file", "Unpack it with unlz4")),
    WrongFile("xz", _text(lzma.compress(BED)), "xz", ("an xz file", "Unpack it with unxz")),
    WrongFile("bzip2", _text(bz2.compress(BED)), "bzip2", ("a bzip2 file", "Unpack it with bunzip2")),
    WrongFile("zip", _zip("reads.bed"), "zip", ("a zip file", "Unpack it with unzip")),
    WrongFile("7z", _text(bytes.fromhex("377abcaf271c0004") + bytes(24)), "7z", ("a 7z file", "Unpack it with 7z x")),
    WrongFile("gzip twice", _text(gzip.compress(gzip.compress(BED))), "gzip", ("inside another gzip file", "gunzip")),
    WrongFile("tar", _tar, "tar", ("a tar archive", "Unpack it with tar")),
    WrongFile("Excel", _zip("[Content_Types].xml", "xl/workbook.xml"), "excel", ("an Excel workbook", "Give aligned")),
    WrongFile("HDF5", _hdf5, "hdf5", ("an HDF5 file", "Give aligned reads"), package="h5py"),
    WrongFile(
        "Parquet",
        lambda path: pq.write_table(pa.table({"x": [1]}), path),
        "parquet",
        ("a Parquet file", "Give aligned"),
    ),
    WrongFile("NumPy", _numpy, "numpy", ("a NumPy file", "Give aligned reads")),
    WrongFile("BAI", _index("bai"), "bai", ("a BAI file", "index of a BAM file", "without .bai")),
    WrongFile("CSI", _index("csi"), "csi", ("a CSI file", "index", "without .csi")),
    WrongFile("TBI", _index("tbi"), "tbi", ("a TBI file", "index of a bgzip file", "without .tbi")),
    WrongFile("CRAI", _index("crai"), "crai", ("a CRAI file", "index of a CRAM file", "without .crai")),
    WrongFile(
        "HTML",
        _text("\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"),
        "html",
        ("an HTML page", _GET_AGAIN),
    ),
    WrongFile(
        "error of S3",
        _text('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'),
        "xml",
        ("an XML document", _GET_AGAIN),
    ),
    WrongFile("JSON", _text(json.dumps({"status": "error", "code": 404})), "json", ("a JSON document", _GET_AGAIN)),
    WrongFile("PDF", _text("%PDF-1.7\n"), "pdf", ("a PDF document", "Give aligned reads")),
    WrongFile("UTF-16", _text(BED.decode().encode("utf-16")), "utf16", ("a UTF-16 text", "Save it as plain text")),
)
