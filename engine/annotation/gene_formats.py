"""Parse lines of gene tables: the project's TSV, Roadmap's gene_info, GTF, GFF3 and BED."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from deepchrome.engine.annotation.genome import MAX_POSITION_BP
from deepchrome.engine.annotation.gff import GFF_COLUMNS, GFF_STRANDS, first_gene_id, is_gene, read_attributes

# A longer line is not one of a gene table.
MAX_LINE_BYTES = 1 << 16
STRANDS = ("+", "-", ".")
_COLUMN_ALIASES = {"ens": "gene_id", "sym": "symbol"}
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Bytes that are not UTF-8 are decoded to these characters, with "surrogateescape".
_NOT_UTF8 = re.compile("[\ud800-\udfff]")
_GENE_INFO_STRANDS = {"1": "+", "-1": "-"}


class GeneRow(NamedTuple):
    """One gene of a table.

    Attributes
    ----------
    gene_id, symbol, chrom
        Names; ``symbol`` may be empty.
    tss
        Transcription start site, 1-based.
    strand
        ``+``, ``-`` or ``.`` (unknown).
    """

    gene_id: str
    symbol: str
    chrom: str
    tss: int
    strand: str


class TranscriptRow(NamedTuple):
    """One transcript or exon of GTF or GFF3.

    Attributes
    ----------
    feature
        The type of the line, such as ``exon``.
    gene_id, symbol, chrom
        Names; ``symbol`` may be empty.
    start, end
        1-based inclusive interval.
    strand
        ``+``, ``-``, or ``.`` or ``?`` (unknown).
    """

    feature: str
    gene_id: str
    symbol: str
    chrom: str
    start: int
    end: int
    strand: str


class StrandlessGene(NamedTuple):
    """A gene whose TSS is unknown: the line gives its interval, but no strand."""

    gene_id: str


class TsvColumns(NamedTuple):
    """Where a TSV table has the columns of a gene. None if it lacks the column."""

    gene_id: int
    symbol: int | None
    chrom: int
    tss: int
    strand: int | None


class BadRowError(Exception):
    """A line is not valid. The message gives only the problem; the caller adds the file and the line."""


Parser = Callable[[list[str]], GeneRow | StrandlessGene | str]
"""Parse the tab-separated fields of a line. Return a gene; for other lines, the feature type (may be empty)."""


def detect_format(fields: list[str]) -> tuple[Parser, bool]:
    """Return the parser for a table with this first line, and whether the line is a header.

    Raises
    ------
    BadRowError
        The line fits none of the formats, or it is a header that lacks a column.
    """
    width = len(fields)
    if columns := header_columns(fields):
        return _tsv_parser(columns, width), True
    if _is_gene_info(_drop_empty_fields(fields)):
        return _parse_gene_info, False
    if width == len(GFF_COLUMNS) and all(map(_is_number, fields[3:5])) and fields[6] in GFF_STRANDS:
        return parse_gff, False
    if width >= 3 and all(map(_is_number, fields[1:3])):
        return _bed_parser(width), False
    if any(map(_NOT_UTF8.search, fields)):
        raise BadRowError("not UTF-8 text")
    raise BadRowError(
        "not a gene table: expected a header with gene_id, chrom and tss, or Roadmap's gene_info, GTF, GFF3 or BED,"
        " tab-separated"
    )


def check_row(row: GeneRow) -> None:
    """Check that a gene can be stored in a gene table.

    Raises
    ------
    BadRowError
        A name is empty, is not UTF-8 or contains a control character, the gene id looks like a comment, the TSS is out
        of range, or the strand is not ``+``, ``-`` or ``.``.
    """
    check_gene_id(row.gene_id)
    if not row.chrom.strip():
        raise BadRowError("empty chromosome name")
    _check_characters("symbol", row.symbol)
    _check_characters("chromosome", row.chrom)
    if not 1 <= row.tss <= MAX_POSITION_BP:
        raise BadRowError(f"tss {row.tss} is not between 1 and {MAX_POSITION_BP}")
    if row.strand not in STRANDS:
        raise BadRowError(f"strand {row.strand!r} is not +, - or .")


def check_gene_id(gene_id: str) -> None:
    """Raise BadRowError if a gene id is empty, is not UTF-8, has a control character, or looks like a comment."""
    if not gene_id.strip():
        raise BadRowError("empty gene id")
    if gene_id.startswith("#"):
        raise BadRowError(f"gene id {gene_id!r} starts with '#', which marks comments")
    _check_characters("gene id", gene_id)


def _check_characters(column: str, text: str) -> None:
    if _NOT_UTF8.search(text):  # guard: utf-8-names
        raise BadRowError(f"the {column} {text!r} is not UTF-8 text")
    if _CONTROL_CHARACTER.search(text):  # guard: control-characters
        raise BadRowError(f"control character in the {column} {text!r}")


def header_columns(fields: list[str]) -> TsvColumns | None:
    """Return where a table with this first line has its columns, or None if the line is not a header.

    Raises
    ------
    BadRowError
        The header lacks a column or repeats one.
    """
    names = [_COLUMN_ALIASES.get(name.strip().lower(), name.strip().lower()) for name in fields]
    if "gene_id" not in names:
        return None
    if missing := [name for name in ("chrom", "tss") if name not in names]:
        raise BadRowError(f"the header lacks {' and '.join(missing)}")
    if repeated := [name for name in GeneRow._fields if names.count(name) > 1]:
        raise BadRowError(f"the header names {', '.join(repeated)} more than once")
    gene_id, chrom, tss = (names.index(name) for name in ("gene_id", "chrom", "tss"))
    symbol, strand = (names.index(name) if name in names else None for name in ("symbol", "strand"))
    return TsvColumns(gene_id, symbol, chrom, tss, strand)


def _tsv_parser(columns: TsvColumns, width: int) -> Parser:
    gene_id, symbol, chrom, tss, strand = columns

    def parse(fields: list[str]) -> GeneRow:
        if len(fields) != width:
            raise BadRowError(f"{len(fields)} fields where the header has {width}")
        return GeneRow(
            fields[gene_id],
            "" if symbol is None else fields[symbol],
            fields[chrom],
            _parse_position(fields[tss], "tss"),
            "." if strand is None else fields[strand],
        )

    return parse


def _drop_empty_fields(fields: list[str]) -> list[str]:
    """Remove empty fields, because Roadmap's gene_info has repeated tabs between columns."""
    return [text for text in fields if text]


def _is_gene_info(fields: list[str]) -> bool:
    # The sixth column is the biotype in gene_info and the strand in BED.
    return (
        len(fields) >= 6
        and all(map(_is_number, fields[2:4]))
        and fields[4] in _GENE_INFO_STRANDS
        and fields[5] not in ("+", "-", ".")
    )


def _parse_gene_info(fields: list[str]) -> GeneRow | StrandlessGene:
    fields = _drop_empty_fields(fields)
    if len(fields) < 6:
        raise BadRowError(f"{len(fields)} fields where gene_info has id, chromosome, start, end, strand, biotype, ...")
    if fields[4] not in _GENE_INFO_STRANDS:
        raise BadRowError(f"strand {fields[4]!r} is not 1 or -1")
    chrom = "chrM" if fields[1] == "MT" else f"chr{fields[1]}"
    symbol = fields[6] if len(fields) > 6 else ""
    start, end = _parse_position(fields[2]), _parse_position(fields[3])
    return _gene_of_body(fields[0], symbol, chrom, start, end, _GENE_INFO_STRANDS[fields[4]])


def parse_gff(fields: list[str]) -> GeneRow | StrandlessGene | str:
    """Parse a line of GTF or GFF3, which differ in their attributes only. A line without attributes may be either."""
    if len(fields) != len(GFF_COLUMNS):
        raise BadRowError(f"{len(fields)} fields where GTF and GFF3 have {len(GFF_COLUMNS)}")
    if not is_gene(fields[2], fields[8]):
        return fields[2]
    attributes = read_attributes(fields[8])
    gene_id = attributes.get("gene_id") or attributes.get("ID", "")
    if not gene_id:
        raise BadRowError("gene line without gene_id or ID attribute")
    symbol = attributes.get("gene_name") or attributes.get("Name", "")
    start, end = _parse_position(fields[3]), _parse_position(fields[4])
    return _gene_of_body(gene_id, symbol, fields[0], start, end, fields[6])


def parse_transcript(fields: list[str], symbols: Mapping[str, str]) -> TranscriptRow | None:
    """Parse the fields of a transcript or exon of GTF or GFF3. Return None for an exon that names no gene.

    Parameters
    ----------
    fields
        The fields of the line.
    symbols
        Symbols by gene id, as far as they are known. Other attributes of these genes are not read, because that takes
        most of the time.

    Raises
    ------
    BadRowError
        A transcript names no gene, or the line is not valid.
    """
    gene_id = first_gene_id(fields[8]) or ""
    symbol = symbols.get(gene_id, "")
    if not symbol:
        attributes = read_attributes(fields[8])
        gene_id = attributes.get("gene_id") or attributes.get("geneID") or attributes.get("gene", "")
        if not gene_id and fields[2] == "exon":
            return None  # an exon in GFF3 has a transcript as its parent
        gene_id = gene_id or attributes.get("Parent", "")
        if not gene_id:
            raise BadRowError("transcript line without gene_id, geneID, gene or Parent attribute")
        symbol = attributes.get("gene_name") or attributes.get("gene", "")
    start, end = _parse_position(fields[3]), _parse_position(fields[4])
    if end < start:
        raise BadRowError(f"the {fields[2]} ends at {end}, before its start {start}")
    if fields[6] not in GFF_STRANDS:
        raise BadRowError(f"strand {fields[6]!r} is not +, - or .")
    row = TranscriptRow(fields[2], gene_id, symbol, fields[0], start, end, fields[6])
    check_row(GeneRow(gene_id, symbol, row.chrom, start, "."))
    return row


def _bed_parser(width: int) -> Parser:
    if width < 4:
        raise BadRowError("BED without names: at least chrom, start, end and name are needed")

    def parse(fields: list[str]) -> GeneRow | StrandlessGene | str:
        if fields[0].startswith(("track ", "browser ")):
            return ""
        if len(fields) != width:
            raise BadRowError(f"{len(fields)} fields where the first line has {width}")
        start, end = (_parse_position(text, minimum=0) for text in fields[1:3])
        strand = fields[5] if width > 5 else "."
        if end == start + 1:
            return GeneRow(fields[3], "", fields[0], end, strand)
        if end <= start:
            raise BadRowError(f"the interval ends at {end}, not after its start {start}")
        if width < 6:
            raise BadRowError("an interval longer than 1 bp needs its strand in the sixth column")
        return _gene_of_body(fields[3], "", fields[0], start + 1, end, strand)

    return parse


def _gene_of_body(gene_id: str, symbol: str, chrom: str, start: int, end: int, strand: str) -> GeneRow | StrandlessGene:
    """Return the gene with this 1-based inclusive interval. Its TSS is the start on ``+`` and the end on ``-``."""
    if end < start:
        raise BadRowError(f"the gene ends at {end}, before its start {start}")
    if strand in (".", "?"):
        return StrandlessGene(gene_id)
    if strand not in ("+", "-"):
        raise BadRowError(f"strand {strand!r} is not +, - or .")
    return GeneRow(gene_id, symbol, chrom, start if strand == "+" else end, strand)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _parse_position(text: str, name: str = "position", minimum: int = 1) -> int:
    if not _is_number(text) or not minimum <= int(text) <= MAX_POSITION_BP:
        raise BadRowError(f"{name} {text!r} is not a whole number from {minimum} to {MAX_POSITION_BP}")
    return int(text)
