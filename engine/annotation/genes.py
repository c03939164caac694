"""Gene tables: read them in any supported format, and write them."""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt

from deepchrome.common.files import atomic_write
from deepchrome.common.text import open_text
from deepchrome.engine.annotation.gene_formats import (
    MAX_LINE_BYTES,
    BadRowError,
    GeneRow,
    Parser,
    StrandlessGene,
    check_gene_id,
    check_row,
    detect_format,
    parse_gff,
    parse_transcript,
)
from deepchrome.engine.annotation.gff import FASTA_STARTS, check_fasta, is_transcript_or_exon
from deepchrome.engine.annotation.plain_tables import read_plain_table
from deepchrome.engine.annotation.transcripts import TranscriptGenes
from deepchrome.errors import BadDataError

GENE_COLUMNS = GeneRow._fields
# Tables up to this size are first read at once. 20,000 genes take 1 MB.
_PLAIN_BYTES = 8 << 20
# Ten times the number of transcripts in any annotation. The limit stops a file of another kind from filling the memory.
_MAX_GENES = 1 << 22


@dataclass(frozen=True)
class Genes:
    """n genes, in the order of their table.

    Attributes
    ----------
    gene_id, symbol, chrom
        n strings each; ``symbol`` may be empty.
    tss
        Transcription start sites, int64 (n,), **1-based** as in Ensembl and GTF: the start of a gene on ``+``,
        the end of a gene on ``-``.
    strand
        n strings: ``+``, ``-`` or ``.`` (unknown).
    strandless
        Ids of further genes in the table. They are left out, because the table gives their interval but no strand, so
        that their TSS is unknown.
    scattered
        Ids of genes whose transcripts lie on several chromosomes or strands, if the table lists transcripts only. Each
        has one row, for one of these places.
    lines_used, lines_unused
        Number of lines by type (third column) that gave a gene, and of those that did not, for GTF and GFF3. Empty for
        other formats.
    """

    gene_id: tuple[str, ...] = field(repr=False)
    symbol: tuple[str, ...] = field(repr=False)
    chrom: tuple[str, ...] = field(repr=False)
    tss: npt.NDArray[np.int64] = field(repr=False)
    strand: tuple[str, ...] = field(repr=False)
    strandless: tuple[str, ...] = field(default=(), repr=False)
    scattered: tuple[str, ...] = field(default=(), repr=False)
    lines_used: Mapping[str, int] = field(default_factory=dict, repr=False)
    lines_unused: Mapping[str, int] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.gene_id)

    def take(self, rows: npt.NDArray[np.int64]) -> "Genes":
        """Return the genes in these rows, in this order."""
        return replace(
            self,
            gene_id=tuple(self.gene_id[i] for i in rows),
            symbol=tuple(self.symbol[i] for i in rows),
            chrom=tuple(self.chrom[i] for i in rows),
            tss=self.tss[rows],
            strand=tuple(self.strand[i] for i in rows),
        )


def read_genes(path: str | Path) -> Genes:
    """Read a gene table. The content, not the name of the file, determines its format and compression.

    Parameters
    ----------
    path
        One of the following, plain or compressed; ``-`` is standard input.

        - TSV with a header that names ``gene_id`` (or ``ens``), ``chrom`` and ``tss`` (1-based), and
          optionally ``symbol`` (or ``sym``) and ``strand``. Case does not matter, and other columns are
          ignored. The default symbol is empty, and the default strand is ``.``.
        - Roadmap's gene_info, without a header: id, chromosome without ``chr``, start, end, strand as
          1 or -1, biotype, symbol, description. ``chr`` is put before the chromosome; MT becomes chrM.
        - GTF or GFF3, with 1-based inclusive coordinates: the lines that are genes (see
          :func:`~deepchrome.engine.annotation.gff.is_gene`). If there is none, the genes that the transcripts and
          exons name (see :class:`~deepchrome.engine.annotation.transcripts.TranscriptGenes`). Sequences at the end
          of GFF3 are skipped.
        - BED, 0-based and half-open. An interval of 1 bp is a TSS, whose 1-based position is the end of the
          interval. A longer interval is the body of a gene, and then the sixth column must give the strand.

        In GTF, GFF3 and BED, genes with a body but without a strand (``.`` or ``?``) are left out; see
        :attr:`Genes.strandless`.

    Returns
    -------
    Genes
        The genes in the order of the file. Ids keep their version suffixes, and repeated ids are kept (see
        :func:`drop_repeated_genes`).

    Raises
    ------
    MissingInputError
        The file does not exist, is a directory, or cannot be read for lack of permission.
    BadDataError
        The file has none of these formats, contains no gene, is damaged or truncated, or has a line that is
        not valid. The message quotes the line and its number.
    StorageError
        Reading failed.
    """
    path = Path(path)
    table = _TableReader(path)
    with open_text(path) as file:
        start = file.read(_PLAIN_BYTES)
        if len(start) < _PLAIN_BYTES and (plain := read_plain_table(start)) and len(plain.gene_id) <= _MAX_GENES:
            return Genes(*plain)
        parts = (BytesIO(start + file.readline(MAX_LINE_BYTES + 1)), file)
        for number, line in _read_lines(path, parts):
            if line.startswith(FASTA_STARTS) and table.is_gff:
                check_fasta(path, number, _read_pieces(parts, MAX_LINE_BYTES))
                break
            if line.strip() and not line.startswith(b"#"):
                table.add(number, line)
    return table.genes()


class _TableReader:
    """The genes read so far, and the transcripts as long as no line is a gene."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parse: Parser | None = None
        self._rows: list[GeneRow] = []
        self._strandless: list[str] = []
        self._lines: Counter[str] = Counter()  # by type
        self._used: Counter[str] = Counter()
        self._transcripts = TranscriptGenes()
        self._transcript_error: BadDataError | None = None

    @property
    def is_gff(self) -> bool:
        """Whether the table is GTF or GFF3."""
        return self._parse is parse_gff

    def add(self, number: int, line: bytes) -> None:
        """Add a line. Raise BadDataError if it is not valid."""
        # Bytes that are not UTF-8 matter only in the fields that are kept, which check_row checks.
        text = line.decode("utf-8", "surrogateescape")
        fields = text.split("\t")
        try:
            if self._parse is None:
                if line.startswith((b"track ", b"browser ")):
                    return
                self._parse, is_header = detect_format(fields)
                if is_header:
                    return
            row = self._parse(fields)
            if not isinstance(row, str):
                self._add_gene(row, fields)
        except BadRowError as error:
            raise self._error(number, text, error) from None
        if self.is_gff:
            self._lines[fields[2]] += 1
            has_genes = self._rows or self._strandless
            if not has_genes and self._transcript_error is None and is_transcript_or_exon(fields[2]):
                self._add_transcript(number, text, fields)

    def genes(self) -> Genes:
        """Return the genes. Raise BadDataError if there is none."""
        scattered: tuple[str, ...] = ()
        if not self._rows and not self._strandless:
            if self._transcript_error:
                raise self._transcript_error
            self._rows, self._used = self._transcripts.rows(), self._transcripts.lines_used()
            self._strandless, scattered = list(self._transcripts.strandless()), self._transcripts.scattered()
        if not self._rows:
            self._refuse()
        gene_id, symbol, chrom, tss, strand = zip(*self._rows, strict=True)
        unused = dict((self._lines - self._used).most_common())
        return Genes(
            gene_id,
            symbol,
            chrom,
            np.array(tss, np.int64),
            strand,
            tuple(self._strandless),
            scattered,
            dict(self._used.most_common()),
            unused,
        )

    def _add_gene(self, row: GeneRow | StrandlessGene, fields: list[str]) -> None:
        if isinstance(row, GeneRow):
            check_row(row)
            self._rows.append(row)
            if self.is_gff:
                self._used[fields[2]] += 1
        else:
            check_gene_id(row.gene_id)
            self._strandless.append(row.gene_id)
        self._check_number(len(self._rows) + len(self._strandless))

    def _add_transcript(self, number: int, text: str, fields: list[str]) -> None:
        """Add a line that is needed if no line is a gene. An error in it matters only then."""
        try:
            if row := parse_transcript(fields, self._transcripts.symbols):
                self._transcripts.add(row)
            self._check_number(len(self._transcripts))
        except BadRowError as error:
            self._transcript_error = self._error(number, text, error)

    def _check_number(self, n: int) -> None:
        if n > _MAX_GENES:
            raise BadRowError(f"more than {_MAX_GENES:,} genes, so this is not a gene table")

    def _error(self, number: int, text: str, error: BadRowError) -> BadDataError:
        return BadDataError(f"{self._path}:{number}: {error}. The line is {text[:80]!r}.")

    def _refuse(self) -> NoReturn:
        """Raise the error for a table without a gene."""
        if self._strandless:
            raise BadDataError(
                f"{self._path}: no gene has a strand, so no TSS is known ({len(self._strandless):,} genes, such as "
                f"{self._strandless[0]!r}). Use an annotation with strands."
            )
        if found := ", ".join(sorted(self._lines)[:6]):
            raise BadDataError(
                f"{self._path}: no line is a gene, or a transcript or exon that names its gene (found only {found}). "
                "Use an annotation with gene lines."
            )
        raise BadDataError(f"{self._path}: no gene in this file")


def drop_repeated_genes(genes: Genes) -> Genes:
    """Keep the first row of each gene id, in the order of the table."""
    first: dict[str, int] = {}
    for row, gene_id in enumerate(genes.gene_id):
        first.setdefault(gene_id, row)
    return genes.take(np.array([*first.values()], np.int64))


def write_genes(path: str | Path, genes: Genes) -> None:
    """Write a gene table that :func:`read_genes` reads back unchanged.

    Parameters
    ----------
    path
        The tab-separated file to write, with a header. It is written atomically.
    genes
        n genes.

    Raises
    ------
    BadDataError
        The format cannot store a gene: for example, its id is empty or its symbol contains a tab.
    StorageError
        The file cannot be written.
    """
    lines = ["\t".join(GENE_COLUMNS)]
    columns = (genes.gene_id, genes.symbol, genes.chrom, genes.tss.tolist(), genes.strand)
    for number, row in enumerate(map(GeneRow, *columns), 1):
        try:
            check_row(row)
        except BadRowError as error:
            raise BadDataError(f"{path}: gene {number} cannot be written: {error}") from None
        lines.append("\t".join(map(str, row)))
    with atomic_write(Path(path)) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


def _read_lines(path: Path, parts: Iterable[BinaryIO]) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line of files that follow each other, without the line break."""
    for number, line in enumerate(_read_pieces(parts, MAX_LINE_BYTES + 1), 1):
        if len(line) > MAX_LINE_BYTES:
            raise BadDataError(
                f"{path}:{number}: a line of more than {MAX_LINE_BYTES} bytes, so this is not a gene table"
            )
        yield number, (line.removeprefix(BOM_UTF8) if number == 1 else line).rstrip(b"\r\n")


def _read_pieces(parts: Iterable[BinaryIO], size: int) -> Iterator[bytes]:
    """Yield the rest of files as lines with their line breaks. Lines of more than ``size`` bytes are divided."""
    for part in parts:
        yield from iter(partial(part.readline, size), b"")
