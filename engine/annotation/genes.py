"""Gene tables: read them in any supported format, and write them."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepchrome.common.files import atomic_write
from deepchrome.common.text import open_text
from deepchrome.engine.annotation.gene_formats import (
    BadRowError,
    GeneRow,
    Parser,
    check_gene_id,
    check_row,
    detect_format,
    parse_gff,
)
from deepchrome.errors import BadDataError

GENE_COLUMNS = GeneRow._fields
_MAX_LINE_BYTES = 1 << 16
_FASTA_STARTS = b"##FASTA", b">"  # the lines with which the sequences of a GFF3 file begin
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
    """

    gene_id: tuple[str, ...] = field(repr=False)
    symbol: tuple[str, ...] = field(repr=False)
    chrom: tuple[str, ...] = field(repr=False)
    tss: npt.NDArray[np.int64] = field(repr=False)
    strand: tuple[str, ...] = field(repr=False)
    strandless: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.gene_id)

    def take(self, rows: npt.NDArray[np.int64]) -> "Genes":
        """Return the genes in these rows, in this order."""
        return Genes(
            tuple(self.gene_id[i] for i in rows),
            tuple(self.symbol[i] for i in rows),
            tuple(self.chrom[i] for i in rows),
            self.tss[rows],
            tuple(self.strand[i] for i in rows),
            self.strandless,
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
        - GTF or GFF3: the lines whose feature is ``gene``, with 1-based inclusive coordinates. Sequences at the end of
          GFF3 are skipped.
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
    parse: Parser | None = None
    rows: list[GeneRow] = []
    strandless: list[str] = []
    others: set[str] = set()
    with open_text(path) as file:
        for number, line in _read_lines(path, file):
            if line.startswith(_FASTA_STARTS) and parse is parse_gff:
                _skip_fasta(path, number, file)
                break
            if not line.strip() or line.startswith(b"#"):
                continue
            # Bytes that are not UTF-8 matter only in the fields that are kept, which check_row checks.
            text = line.decode("utf-8", "surrogateescape")
            fields = text.split("\t")
            try:
                if parse is None:
                    if line.startswith((b"track ", b"browser ")):
                        continue
                    parse, is_header = detect_format(fields)
                    if is_header:
                        continue
                row = parse(fields)
                if isinstance(row, str):
                    others.add(row)
                    continue
                if isinstance(row, GeneRow):
                    check_row(row)
                    rows.append(row)
                else:
                    check_gene_id(row.gene_id)
                    strandless.append(row.gene_id)
                if len(rows) + len(strandless) > _MAX_GENES:
                    raise BadRowError(f"more than {_MAX_GENES:,} genes, so this is not a gene table")
            except BadRowError as error:
                raise BadDataError(f"{path}:{number}: {error}. The line is {text[:80]!r}.") from None
    if not rows:
        if strandless:
            raise BadDataError(
                f"{path}: no gene has a strand, so no TSS is known ({len(strandless):,} genes, such as "
                f"{strandless[0]!r}). Use an annotation with strands."
            )
        if found := ", ".join(sorted(others)[:6]):
            raise BadDataError(
                f"{path}: no line has the feature 'gene' (found only {found}). Use an annotation with gene lines."
            )
        raise BadDataError(f"{path}: no gene in this file")
    gene_id, symbol, chrom, tss, strand = zip(*rows, strict=True)
    return Genes(gene_id, symbol, chrom, np.array(tss, np.int64), strand, tuple(strandless))


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


def _read_lines(path: Path, file: BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line, without the line break."""
    number = 0
    while line := file.readline(_MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > _MAX_LINE_BYTES:
            raise BadDataError(
                f"{path}:{number}: a line of more than {_MAX_LINE_BYTES} bytes, so this is not a gene table"
            )
        yield number, (line.removeprefix(BOM_UTF8) if number == 1 else line).rstrip(b"\r\n")


def _skip_fasta(path: Path, number: int, file: BufferedReader) -> None:
    """Read the sequences that end a GFF3 file. Raise BadDataError if more annotation follows, as in joined files."""
    at = number + 1
    while piece := file.readline(_MAX_LINE_BYTES):  # a sequence may be one long line
        if b"\t" in piece and not piece.startswith(b">"):  # guard: annotation-after-fasta
            raise BadDataError(
                f"{path}:{at}: annotation after the sequences that begin on line {number}. Move those to the end."
            )
        at += piece.endswith(b"\n")
