"""Names of file formats that are not reads, and what to do with such a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class KnownFormat:
    """A format that is not reads.

    Attributes
    ----------
    name
        Name of the format.
    what
        The name with an article, and in parentheses what such a file contains.
    advice
        What to do, as complete sentences.
    remedy
        Key of further advice, as in :class:`~deepchrome.errors.DeepchromeError`; empty if there is none.
    """

    name: str
    what: str
    advice: str
    remedy: str = ""


_ALIGNMENTS: Final = "aligned reads (BAM, CRAM, tagAlign or BED)"
_GIVE_READS: Final = f"Give {_ALIGNMENTS}."
_SIGNAL: Final = f"Give the {_ALIGNMENTS} that the signal was made from"
_PEAKS: Final = (
    "Peaks are regions in which to count. Give the aligned reads (BAM, CRAM, tagAlign or BED) that they were called on."
)
_AGAIN: Final = "A server sends this in place of a file that it does not find. Get the file again."


def _packed(name: str, command: str) -> KnownFormat:
    article = "an" if name in ("xz", "lz4", "RAR") else "a"
    advice = f"Only gzip and bgzip can be read. Unpack it with {command}."
    return KnownFormat(name, f"{article} {name} file (compressed)", advice)


def _index(name: str, of: str, suffix: str) -> KnownFormat:
    advice = f"Give the file that it belongs to: its name is the same without {suffix}."
    return KnownFormat(name, f"a {name} file (the index of {of}, not reads)", advice)


def _peaks(name: str) -> KnownFormat:
    return KnownFormat(name, f"a {name} file (peaks, not reads)", _PEAKS)


FORMATS: Final[Mapping[str, KnownFormat]] = {
    "bigwig": KnownFormat(
        "bigWig",
        "a bigWig file (signal, not reads)",
        f"{_SIGNAL}. To use the signal itself, give the uncompressed file by its path on this machine.",
    ),
    "bigbed": KnownFormat(
        "bigBed",
        "a bigBed file (indexed BED)",
        "If its lines are reads, convert it with bigBedToBed. If they are peaks, give the reads that they were "
        "called on.",
    ),
    "bedgraph": KnownFormat(
        "bedGraph",
        "a bedGraph file (signal, not reads)",
        f"{_SIGNAL}, or convert it to bigWig with bedGraphToBigWig to use the signal itself.",
    ),
    "wiggle": KnownFormat(
        "wiggle",
        "a wiggle file (signal, not reads)",
        f"{_SIGNAL}, or convert it to bigWig with wigToBigWig to use the signal itself.",
    ),
    "narrowpeak": _peaks("narrowPeak"),
    "broadpeak": _peaks("broadPeak"),
    "gappedpeak": _peaks("gappedPeak"),
    "bedmethyl": KnownFormat("bedMethyl", "a bedMethyl file (methylation of single cytosines, not reads)", _GIVE_READS),
    "bedpe": KnownFormat(
        "BEDPE",
        "a BEDPE file (a pair of reads in each line)",
        "Counted as BED, it would lose the second read of each pair.",
        remedy="fragments",
    ),
    "10x": KnownFormat(
        "10x fragments",
        "a fragments file of 10x Genomics or a similar single-cell assay",
        "Each line is one fragment. Column 5, the support, is the number of its PCR copies; it does not multiply the "
        "count.",
        remedy="fragments",
    ),
    "10x-peaks": KnownFormat("peaks", "a file of Cell Ranger ATAC (peaks, not reads)", _PEAKS),
    "pairs": KnownFormat(
        "pairs", "a pairs file (contacts of Hi-C, not reads)", "Give the alignments that it was made from."
    ),
    "sam": KnownFormat("SAM", "a SAM file (alignments as text)", "Convert it to BAM with samtools sort."),
    "cram": KnownFormat(
        "CRAM", "a CRAM file", "CRAM can only be read from an uncompressed file on this machine. Give its path."
    ),
    "vcf": KnownFormat("VCF", "a VCF file (variants, not reads)", _GIVE_READS),
    "bcf": KnownFormat("BCF", "a BCF file (variants, not reads)", _GIVE_READS),
    "gff": KnownFormat(
        "GTF or GFF",
        "a GTF or GFF file (genes, not reads)",
        f"Give it as the genes or the regions in which to count. As reads, give {_ALIGNMENTS}.",
    ),
    "fastq": KnownFormat(
        "FASTQ",
        "a FASTQ file (reads that are not aligned)",
        "Align the reads to the genome, for example with bowtie2 or bwa, and give the BAM file.",
    ),
    "fasta": KnownFormat("FASTA", "a FASTA file (sequences, not reads)", _GIVE_READS),
    "csv": KnownFormat(
        "CSV", "a table with commas between its columns", "BED has tabs. Convert the file with tr ',' '\\t'."
    ),
    "gzip": KnownFormat("gzip", "a gzip file inside another gzip file", "Unpack it once with gunzip."),
    "zstd": _packed("zstd", "unzstd"),
    "xz": _packed("xz", "unxz"),
    "bzip2": _packed("bzip2", "bunzip2"),
    "lz4": _packed("lz4", "unlz4"),
    "zip": _packed("zip", "unzip"),
    "7z": _packed("7z", "7z x"),
    "rar": _packed("RAR", "unrar"),
    "compress": _packed("compress (.Z)", "uncompress"),
    "tar": KnownFormat("tar", "a tar archive", "Unpack it with tar, and give the files of reads in it."),
    "excel": KnownFormat("Excel", "an Excel workbook", _GIVE_READS),
    "hdf5": KnownFormat("HDF5", "an HDF5 file, such as h5ad or cool", _GIVE_READS),
    "parquet": KnownFormat("Parquet", "a Parquet file", _GIVE_READS),
    "numpy": KnownFormat("NumPy", "a NumPy file", _GIVE_READS),
    "pdf": KnownFormat("PDF", "a PDF document", _GIVE_READS),
    "utf16": KnownFormat("UTF-16", "a UTF-16 text", "Save it as plain text or UTF-8, with tabs between the columns."),
    "html": KnownFormat("HTML", "an HTML page", _AGAIN),
    "xml": KnownFormat("XML", "an XML document", _AGAIN),
    "json": KnownFormat("JSON", "a JSON document", _AGAIN),
    "bai": _index("BAI", "a BAM file", ".bai"),
    "csi": _index("CSI", "another file", ".csi"),
    "tbi": _index("TBI", "a bgzip file", ".tbi"),
    "crai": _index("CRAI", "a CRAM file", ".crai"),
}
TRACK_TYPES: Final[Mapping[bytes, str]] = {
    b"bedgraph": "bedgraph",
    b"wiggle_0": "wiggle",
    b"narrowpeak": "narrowpeak",
    b"broadpeak": "broadpeak",
    b"gappedpeak": "gappedpeak",
}
"""Formats that a ``track`` line can name, by its type in lower case."""
