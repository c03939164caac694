"""Read an ordinary gene table as columns, which takes a fifth of the time that its lines take one by one."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from deepchrome.engine.annotation.gene_formats import MAX_LINE_BYTES, STRANDS, BadRowError, header_columns
from deepchrome.engine.annotation.genome import MAX_POSITION_BP

# Control characters, and the character that begins comments.
_ODD_BYTES: Final = bytes({*range(32), 127, *b"#"} - {*b"\t\n"})
_MAX_DIGITS: Final = len(str(MAX_POSITION_BP))


class PlainTable(NamedTuple):
    """The columns of n genes: tuples of str (n,), and ``tss`` as int64 (n,)."""

    gene_id: tuple[str, ...]
    symbol: tuple[str, ...]
    chrom: tuple[str, ...]
    tss: npt.NDArray[np.int64]
    strand: tuple[str, ...]


def read_plain_table(data: bytes) -> PlainTable | None:
    """Read a TSV table with a header, if every line of it is an ordinary gene.

    Parameters
    ----------
    data
        The whole content of a file.

    Returns
    -------
    PlainTable or None
        None if the table has any other format, or a comment, an empty line, a character that is not ASCII, a carriage
        return, or anything that may be wrong. Then read the lines one by one, which finds and names errors.
    """
    if not data.isascii() or len(data.translate(None, _ODD_BYTES)) < len(data):  # guard: odd-genes
        return None
    header, *lines = data.decode("ascii").removesuffix("\n").split("\n")
    try:
        places = header_columns(header.split("\t"))
    except BadRowError:
        return None
    n_tabs = header.count("\t")
    if places is None or {line.count("\t") for line in lines} != {n_tabs} or max(map(len, lines)) >= MAX_LINE_BYTES:
        return None
    fields = "\t".join(lines).split("\t")

    def column(place: int) -> tuple[str, ...]:
        return tuple(fields[place :: n_tabs + 1])

    gene_id, chrom, tss = (column(place) for place in (places.gene_id, places.chrom, places.tss))
    symbol = ("",) * len(lines) if places.symbol is None else column(places.symbol)
    strand = (".",) * len(lines) if places.strand is None else column(places.strand)
    if not all(map(str.strip, gene_id)) or not all(map(str.strip, {*chrom})) or not {*STRANDS}.issuperset(strand):
        return None
    if not all(map(str.isdigit, tss)) or max(map(len, tss)) > _MAX_DIGITS:
        return None
    positions = np.array([*map(int, tss)], np.int64)
    if positions.min() < 1 or positions.max() > MAX_POSITION_BP:
        return None
    return PlainTable(gene_id, symbol, chrom, positions, strand)
