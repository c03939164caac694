"""Gene tables: read them in any supported format, and write them."""

import gzip
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from isal import igzip, igzip_lib

from deepchrome.common.files import atomic_write, standard_input
from deepchrome.common.signatures import BGZIP_END, GZIP_MAGIC
from deepchrome.engine.annotation.gene_formats import BadRowError, GeneRow, Parser, check_row, detect_format
from deepchrome.errors import BadDataError, MissingInputError, StorageError

GENE_COLUMNS = GeneRow._fields
_MAX_LINE_BYTES = 1 << 16
# Ten times the number of transcripts in any annotation. The limit stops a file of another kind from filling the memory.
_MAX_GENES = 1 << 22
# The type stub of isal declares this class as an instance.
_IsalError = cast("type[Exception]", igzip_lib.IsalError)


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
    """

    gene_id: tuple[str, ...] = field(repr=False)
    symbol: tuple[str, ...] = field(repr=False)
    chrom: tuple[str, ...] = field(repr=False)
    tss: npt.NDArray[np.int64] = field(repr=False)
    strand: tuple[str, ...] = field(repr=False)

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
        )


def read_genes(path: str | Path) -> Genes:
    """Read a gene table. The content, not the name of the file, determines its format and compression.

    Parameters
    ----------
    path
        One of the following, plain or gzip; ``-`` is standard input.

        - TSV with a header that names ``gene_id`` (or ``ens``), ``chrom`` and ``tss`` (1-based), and
          optionally ``symbol`` (or ``sym``) and ``strand``. Case does not matter, and other columns are
          ignored. The default symbol is empty, and the default strand is ``.``.
        - Roadmap's gene_info, without a header: id, chromosome without ``chr``, start, end, strand as
          1 or -1, biotype, symbol, description. ``chr`` is put before the chromosome; MT becomes chrM.
        - GTF or GFF3: the lines whose feature is ``gene``, with 1-based inclusive coordinates.
        - BED, 0-based and half-open. An interval of 1 bp is a TSS, whose 1-based position is the end of the
          interval. A longer interval is the body of a gene, and then the sixth column must give the strand.

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
    parse: Parser | None = None
    rows: list[GeneRow] = []
    skipped: set[str] = set()
    for number, line in _read_lines(path):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        try:
            if parse is None:
                if line.startswith(("track ", "browser ")):
                    continue
                parse, is_header = detect_format(fields)
                if is_header:
                    continue
            row = parse(fields)
            if isinstance(row, str):
                skipped.add(row)
            else:
                check_row(row)
                rows.append(row)
                if len(rows) > _MAX_GENES:
                    raise BadRowError(f"more than {_MAX_GENES:,} genes, so this is not a gene table")
        except BadRowError as error:
            raise BadDataError(f"{path}:{number}: {error}. The line is {line[:80]!r}.") from None
    if not rows:
        if found := ", ".join(sorted(skipped)[:6]):
            raise BadDataError(
                f"{path}: no line has the feature 'gene' (found only {found}). Use an annotation with gene lines."
            )
        raise BadDataError(f"{path}: no gene in this file")
    gene_id, symbol, chrom, tss, strand = zip(*rows, strict=True)
    return Genes(gene_id, symbol, chrom, np.array(tss, np.int64), strand)


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


def _read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line, without the line break."""
    with ExitStack() as stack:
        number = 0
        try:
            opened = standard_input() if str(path) == "-" else stack.enter_context(open(path, "rb"))
            file = cast(BufferedReader, opened)
            stream: BufferedReader | igzip.IGzipFile = file
            if file.peek(2)[:2] == GZIP_MAGIC:
                _check_bgzip_end(path, file)
                stream = stack.enter_context(igzip.IGzipFile(fileobj=file, mode="rb"))  # type: ignore[no-untyped-call]
            while line := stream.readline(_MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > _MAX_LINE_BYTES:
                    raise BadDataError(
                        f"{path}:{number}: a line of more than {_MAX_LINE_BYTES} bytes, so this is not a gene table"
                    )
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise BadDataError(f"{path}:{number}: not UTF-8 text") from None
        except (EOFError, gzip.BadGzipFile, _IsalError) as error:
            raise BadDataError(f"{path}: damaged or truncated gzip data ({error}). Get the file again.") from None
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise MissingInputError(f"{path}: {error.strerror}") from None
        except OSError as error:
            raise StorageError(f"{path}: cannot be read ({error.strerror or error})") from error


def _check_bgzip_end(path: str | Path, file: BufferedReader) -> None:
    """Raise BadDataError if a bgzip file was cut between two blocks, because gzip would read it without an error."""
    if file.seekable() and file.peek(18)[:18][12:14] == b"BC":
        file.seek(0, 2)
        file.seek(max(0, file.tell() - len(BGZIP_END)))
        if file.read() != BGZIP_END:
            raise BadDataError(f"{path}: truncated bgzip file (its last block is missing). Get the file again.")
        file.seek(0)
