"""Gene tables: which genes, and where their transcription starts."""

import gzip
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
from isal import igzip, igzip_lib

from deepchrome.common.files import atomic_write
from deepchrome.common.signatures import BGZIP_END
from deepchrome.engine.annotation.genome import MAX_POSITION_BP
from deepchrome.errors import BadDataError, MissingInputError, StorageError

GENE_COLUMNS = ("gene_id", "symbol", "chrom", "tss", "strand")
_ALIASES = {"ens": "gene_id", "sym": "symbol"}
_MAX_LINE_BYTES = 1 << 16
# Ten times the transcripts of any annotation: beyond, it is no gene table, and must not fill the memory.
_MAX_GENES = 1 << 22
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_GFF3_ATTRIBUTE = re.compile(r"\s*[^\s;=\"]+=")
_GTF_ATTRIBUTE = re.compile(r'\s*([^\s;"]+)\s+("[^"]*"|[^\s;"]+)\s*(?:;|$)')
# isal's type stub calls this class an instance.
_IsalError = cast("type[Exception]", igzip_lib.IsalError)
# The empty block that ends every complete BGZF file (SAM specification, section 4.1.2).


@dataclass(frozen=True)
class Genes:
    """n genes, in the order of their table.

    Attributes
    ----------
    gene_id, symbol, chrom
        n strings each; ``symbol`` may be empty.
    tss
        Transcription start sites, int64 (n,), **1-based** as Ensembl and GTF give them: a gene's
        start on ``+``, its end on ``-``.
    strand
        n of ``+``, ``-`` and ``.`` (unknown).
    """

    gene_id: tuple[str, ...] = field(repr=False)
    symbol: tuple[str, ...] = field(repr=False)
    chrom: tuple[str, ...] = field(repr=False)
    tss: npt.NDArray[np.int64] = field(repr=False)
    strand: tuple[str, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.gene_id)

    def take(self, rows: npt.NDArray[np.int64]) -> "Genes":
        """Return the genes of these rows, in this order."""
        return Genes(
            tuple(self.gene_id[i] for i in rows),
            tuple(self.symbol[i] for i in rows),
            tuple(self.chrom[i] for i in rows),
            self.tss[rows],
            tuple(self.strand[i] for i in rows),
        )


class _Row(NamedTuple):
    gene_id: str
    symbol: str
    chrom: str
    tss: int
    strand: str


class _BadRowError(Exception):
    """What is wrong with a line; the reader adds the file, the line's number and the line."""


# Turns the tab-separated fields of a line into a gene, or names the kind of line it passes over.
_Parser = Callable[[list[str]], _Row | str]


def read_genes(path: str | Path) -> Genes:
    """Read a gene table; its format is told by its content, gzip by its first bytes.

    Parameters
    ----------
    path
        One of the following, plain or gzip; ``-`` is standard input.

        - TSV with a header that names ``gene_id`` (or ``ens``), ``chrom`` and ``tss`` (1-based), and
          perhaps ``symbol`` (or ``sym``) and ``strand``; capitals do not matter, other columns are
          ignored. Without them the symbol is empty and the strand ``.``.
        - Roadmap's gene_info, without a header: id, chromosome without ``chr``, start, end, strand as
          1 or -1, biotype, symbol, description. ``chr`` is put in front; MT becomes chrM.
        - GTF or GFF3: the lines whose feature is ``gene``, coordinates 1-based and inclusive.
        - BED, 0-based and half-open. An interval of 1 bp is a TSS (1-based: its end); a longer one a
          gene's body, and then the sixth column must give the strand.

    Returns
    -------
    Genes
        In the order of the file; ids as they stand, with their versions, and repeated where the file
        repeats them (see :func:`drop_repeated_genes`).

    Raises
    ------
    MissingInputError
        No such file, or no permission.
    BadDataError
        None of these formats, no gene, a damaged or truncated file, or a line that does not hold
        what it must; the message names the file, the line's number and the line.
    StorageError
        Reading failed.
    """
    parse: _Parser | None = None
    rows: list[_Row] = []
    passed_over: set[str] = set()
    for number, line in _lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        try:
            if parse is None:
                if line.startswith(("track ", "browser ")):
                    continue
                parse, is_header = _detect(fields)
                if is_header:
                    continue
            row = parse(fields)
            if isinstance(row, str):
                passed_over.add(row)
            else:
                _check(row)
                rows.append(row)
                if len(rows) > _MAX_GENES:
                    raise _BadRowError(f"more than {_MAX_GENES:,} genes: is this a gene table?")
        except _BadRowError as error:
            raise BadDataError(f"{path}:{number}: {error}; the line is {line[:80]!r}") from None
    if not rows:
        found = ", ".join(sorted(passed_over)[:6])
        if found:
            raise BadDataError(
                f"{path}: no line of feature 'gene', only {found}; genes are not put together from"
                " transcripts: give an annotation with gene lines"
            )
        raise BadDataError(f"{path}: no gene in this file")
    gene_id, symbol, chrom, tss, strand = zip(*rows, strict=True)
    return Genes(gene_id, symbol, chrom, np.array(tss, np.int64), strand)


def drop_repeated_genes(genes: Genes) -> Genes:
    """Keep the first row of each gene id, in order."""
    first: dict[str, int] = {}
    for row, gene_id in enumerate(genes.gene_id):
        first.setdefault(gene_id, row)
    return genes.take(np.array([*first.values()], np.int64))


def write_genes(path: str | Path, genes: Genes) -> None:
    """Write a gene table that :func:`read_genes` reads back as it was.

    Parameters
    ----------
    path
        The file to write: tab-separated, with a header; it appears whole or not at all.
    genes
        n genes.

    Raises
    ------
    BadDataError
        A gene that the format cannot hold, e.g. with an empty id or a tab in its symbol.
    StorageError
        The file cannot be written.
    """
    lines = ["\t".join(GENE_COLUMNS)]
    columns = (genes.gene_id, genes.symbol, genes.chrom, genes.tss.tolist(), genes.strand)
    for number, row in enumerate(map(_Row, *columns), 1):
        try:
            _check(row)
        except _BadRowError as error:
            raise BadDataError(f"{path}: gene {number} cannot be written: {error}") from None
        lines.append("\t".join(map(str, row)))
    with atomic_write(Path(path)) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line, without its end."""
    with ExitStack() as stack:
        try:
            plain = sys.stdin.buffer if str(path) == "-" else stack.enter_context(open(path, "rb"))
            file = cast(BufferedReader, plain)
            stream: BufferedReader | igzip.IGzipFile = file
            if file.peek(2)[:2] == b"\x1f\x8b":
                _check_bgzf_end(path, file)
                stream = stack.enter_context(igzip.IGzipFile(fileobj=file, mode="rb"))  # type: ignore[no-untyped-call]
            number = 0
            while line := stream.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > _MAX_LINE_BYTES:
                    raise BadDataError(
                        f"{path}:{number}: a line of more than {_MAX_LINE_BYTES} bytes; not a gene table"
                    )
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise BadDataError(f"{path}:{number}: not text in UTF-8") from None
        except (EOFError, gzip.BadGzipFile, _IsalError) as error:
            raise BadDataError(f"{path}: damaged or truncated gzip file ({error}); get it anew") from None
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise MissingInputError(f"{path}: {error.strerror}; give a gene table") from None
        except OSError as error:
            raise StorageError(f"{path}: reading failed ({error.strerror or error})") from error


def _check_bgzf_end(path: str | Path, file: BufferedReader) -> None:
    """Refuse a bgzip file cut between two blocks: each block is a complete gzip member."""
    if file.seekable() and file.peek(18)[:18][12:14] == b"BC":
        file.seek(0, 2)
        file.seek(max(0, file.tell() - len(BGZIP_END)))
        if file.read() != BGZIP_END:
            raise BadDataError(f"{path}: truncated bgzip file (its last block is missing); get it anew")
        file.seek(0)


def _detect(fields: list[str]) -> tuple[_Parser, bool]:
    """Tell the format by the first line, and whether that line is a header."""
    width = len(fields)
    names = [_ALIASES.get(name.strip().lower(), name.strip().lower()) for name in fields]
    if "gene_id" in names:
        return _tsv(names), True
    if _is_gene_info(_gene_info_fields(fields)):
        return _parse_gene_info, False
    if width == 9 and all(map(_is_number, fields[3:5])) and fields[6] in ("+", "-", ".", "?"):
        return (_parse_gff3 if _GFF3_ATTRIBUTE.match(fields[8]) else _parse_gtf), False
    if width >= 3 and all(map(_is_number, fields[1:3])):
        return _bed(width), False
    raise _BadRowError(
        "not a gene table: expected a header with gene_id, chrom and tss, or Roadmap's gene_info, GTF, GFF3 or BED,"
        " tab-separated"
    )


def _tsv(names: list[str]) -> _Parser:
    if absent := [name for name in ("chrom", "tss") if name not in names]:
        raise _BadRowError(f"the header lacks {' and '.join(absent)}")
    if repeated := [name for name in GENE_COLUMNS if names.count(name) > 1]:
        raise _BadRowError(f"the header names {', '.join(repeated)} more than once")
    gene_id, chrom, tss = (names.index(name) for name in ("gene_id", "chrom", "tss"))
    symbol, strand = (names.index(name) if name in names else None for name in ("symbol", "strand"))

    def parse(fields: list[str]) -> _Row:
        if len(fields) != len(names):
            raise _BadRowError(f"{len(fields)} fields where the header has {len(names)}")
        return _Row(
            fields[gene_id],
            "" if symbol is None else fields[symbol],
            fields[chrom],
            _number(fields[tss], "tss"),
            "." if strand is None else fields[strand],
        )

    return parse


_GENE_INFO_STRAND = {"1": "+", "-1": "-"}


def _gene_info_fields(fields: list[str]) -> list[str]:
    """Roadmap's file repeats tabs between columns."""
    return [text for text in fields if text]


def _is_gene_info(fields: list[str]) -> bool:
    # BED has its strand where gene_info has the biotype.
    return (
        len(fields) >= 6
        and all(map(_is_number, fields[2:4]))
        and fields[4] in _GENE_INFO_STRAND
        and fields[5] not in ("+", "-", ".")
    )


def _parse_gene_info(fields: list[str]) -> _Row:
    fields = _gene_info_fields(fields)
    if len(fields) < 6:
        raise _BadRowError(f"{len(fields)} fields where gene_info has id, chromosome, start, end, strand, biotype, ...")
    if fields[4] not in _GENE_INFO_STRAND:
        raise _BadRowError(f"strand {fields[4]!r} is not 1 or -1")
    chrom = "chrM" if fields[1] == "MT" else f"chr{fields[1]}"
    symbol = fields[6] if len(fields) > 6 else ""
    return _body(fields[0], symbol, chrom, _number(fields[2]), _number(fields[3]), _GENE_INFO_STRAND[fields[4]])


def _parse_gtf(fields: list[str]) -> _Row | str:
    if (passed_over := _not_a_gene(fields)) is not None:
        return passed_over
    attributes = {key: value.strip('"') for key, value in reversed(_GTF_ATTRIBUTE.findall(fields[8]))}
    return _gff_gene(fields, attributes.get("gene_id", ""), attributes.get("gene_name", ""))


def _parse_gff3(fields: list[str]) -> _Row | str:
    if (passed_over := _not_a_gene(fields)) is not None:
        return passed_over
    pairs = (text.strip().partition("=") for text in fields[8].split(";"))
    attributes = {key: unquote(value) for key, _, value in pairs}
    gene_id = attributes.get("gene_id") or attributes.get("ID", "")
    return _gff_gene(fields, gene_id, attributes.get("gene_name") or attributes.get("Name", ""))


def _not_a_gene(fields: list[str]) -> str | None:
    if len(fields) != 9:
        raise _BadRowError(f"{len(fields)} fields where GTF and GFF3 have 9")
    return None if fields[2] == "gene" else fields[2]


def _gff_gene(fields: list[str], gene_id: str, symbol: str) -> _Row:
    if not gene_id:
        raise _BadRowError("a gene without gene_id or ID")
    return _body(gene_id, symbol, fields[0], _number(fields[3]), _number(fields[4]), fields[6])


def _bed(width: int) -> _Parser:
    if width < 4:
        raise _BadRowError("BED without names; give at least chrom, start, end, name")

    def parse(fields: list[str]) -> _Row | str:
        if fields[0].startswith(("track ", "browser ")):
            return ""
        if len(fields) != width:
            raise _BadRowError(f"{len(fields)} fields where the first line has {width}")
        start, end = (_number(text, least=0) for text in fields[1:3])
        strand = fields[5] if width > 5 else "."
        if end == start + 1:
            return _Row(fields[3], "", fields[0], end, strand)
        if end <= start:
            raise _BadRowError(f"the interval ends at {end}, not after its start {start}")
        if width < 6:
            raise _BadRowError("a gene's body needs its strand in the sixth column (only 1-bp intervals do without)")
        return _body(fields[3], "", fields[0], start + 1, end, strand)

    return parse


def _body(gene_id: str, symbol: str, chrom: str, start: int, end: int, strand: str) -> _Row:
    """Give the gene of a 1-based inclusive interval: transcription starts where its strand says."""
    if end < start:
        raise _BadRowError(f"the gene ends at {end}, before its start {start}")
    if strand not in ("+", "-"):
        raise _BadRowError(f"strand {strand!r} does not tell which end of the gene is its TSS")
    return _Row(gene_id, symbol, chrom, start if strand == "+" else end, strand)


def _check(row: _Row) -> None:
    if not row.gene_id.strip():
        raise _BadRowError("empty gene id")
    if not row.chrom.strip():
        raise _BadRowError("empty chromosome name")
    if row.gene_id.startswith("#"):
        raise _BadRowError(f"gene id {row.gene_id!r} would read as a comment")
    for name, text in (("gene id", row.gene_id), ("symbol", row.symbol), ("chromosome", row.chrom)):
        if _CONTROL.search(text):
            raise _BadRowError(f"control character in the {name} {text!r}")
    if not 1 <= row.tss <= MAX_POSITION_BP:
        raise _BadRowError(f"tss {row.tss} is not in 1 to {MAX_POSITION_BP}")
    if row.strand not in ("+", "-", "."):
        raise _BadRowError(f"strand {row.strand!r} is not +, - or .")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _number(text: str, name: str = "position", least: int = 1) -> int:
    if not _is_number(text) or not least <= int(text) <= MAX_POSITION_BP:
        raise _BadRowError(f"{name} {text!r} is not a whole number from {least} to {MAX_POSITION_BP}")
    return int(text)
