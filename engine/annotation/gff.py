"""Lines of GTF and GFF3: their columns and attributes, which of them are genes, and the sequences at the end."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from deepchrome.errors import BadDataError

GFF_COLUMNS: Final = ("seqname", "source", "feature", "start", "end", "score", "strand", "frame", "attributes")
GFF_STRANDS: Final = ("+", "-", ".", "?")
FASTA_STARTS: Final = (b"##FASTA", b">")  # the lines with which the sequences of a GFF3 file begin
_GFF3_ATTRIBUTE = re.compile(r"\s*[^\s;=\"]+=")
_GTF_ATTRIBUTE = re.compile(r'\s*([^\s;"]+)\s+("[^"]*"|[^\s;"]+)\s*(?:;|$)')
_FIRST_GENE_ID = re.compile(r'gene_id "([^"]+)"\s*(?:;|$)')
_GENE_TYPE = re.compile(r"gene|.+_gene|(?:.+_)?pseudogene")
_ENSEMBL_GENE_ID = "ID=gene:"
_TRANSCRIPT_TYPE = re.compile(r"(?:.+_)?transcript|.*RNA|.+_gene_segment|exon")


def read_attributes(text: str) -> dict[str, str]:
    """Return the attributes in the ninth column of a line of GTF or GFF3."""
    if _GFF3_ATTRIBUTE.match(text):
        pairs = (pair.strip().partition("=") for pair in text.split(";"))
        return {key: unquote(value, errors="surrogateescape") for key, _, value in pairs}
    return {key: value.strip('"') for key, value in reversed(_GTF_ATTRIBUTE.findall(text))}


def first_gene_id(text: str) -> str | None:
    """Return the gene_id with which the attributes of GTF begin, or None if they begin with something else."""
    match = _FIRST_GENE_ID.match(text)
    return match[1] if match else None


def is_gene(feature: str, text: str) -> bool:
    """Return whether a line of GTF or GFF3 is a gene.

    A gene has one of the types ``gene``, ``*_gene``, ``pseudogene`` and ``*_pseudogene``, or any type and an ID such as
    ``gene:ENSG00000223972``, as in the GFF3 files of Ensembl. Except for ``gene``, the line must not be a part of a
    gene: some files use these types for the transcripts of genes, which name their parent or a transcript.

    Parameters
    ----------
    feature, text
        The third and the ninth column.
    """
    if feature == "gene":
        return True
    if not _GENE_TYPE.fullmatch(feature) and not text.startswith(_ENSEMBL_GENE_ID):
        return False
    attributes = read_attributes(text)
    is_transcript = attributes.get("transcript_id", "") not in ("", attributes.get("gene_id"))
    return not (attributes.get("Parent") or is_transcript)  # guard: transcripts-of-genes


def is_transcript_or_exon(feature: str) -> bool:
    """Return whether a line of GTF or GFF3 with this type shows where a transcript begins."""
    return _TRANSCRIPT_TYPE.fullmatch(feature) is not None


def find_fasta(block: bytes) -> int | None:
    """Return the offset of the first line of the sequences at the end of a GFF3 file, or None if there is none."""
    if block.startswith(FASTA_STARTS):
        return 0
    places = [at + 1 for start in FASTA_STARTS if (at := block.find(b"\n" + start)) >= 0]
    return min(places, default=None)


def check_fasta(path: Path, number: int, pieces: Iterable[bytes]) -> None:
    """Check that only sequences follow the line on which the sequences of a GFF3 file begin.

    Parameters
    ----------
    path, number
        The file, and the number of the line, for the error message.
    pieces
        The rest of the file as lines. A very long line may be divided.

    Raises
    ------
    BadDataError
        More annotation follows, as in joined files.
    """
    at = number + 1
    for piece in pieces:
        if b"\t" in piece and not piece.startswith(b">"):  # guard: annotation-after-fasta
            raise BadDataError(
                f"{path}:{at}: annotation after the sequences that begin on line {number}. Move those to the end."
            )
        at += piece.endswith(b"\n")
