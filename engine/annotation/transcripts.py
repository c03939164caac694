"""Genes of annotations that list transcripts or exons, but no genes."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from deepchrome.engine.annotation.gene_formats import GeneRow, TranscriptRow


class _Place(NamedTuple):
    chrom: str
    strand: str


@dataclass
class _Extent:
    """The most upstream position of a gene's transcripts in one place, and the lines used, by type."""

    tss: int
    lines: Counter[str] = field(default_factory=Counter)


class TranscriptGenes:
    """Genes by the transcripts and exons that name them.

    The TSS of a gene is the most upstream TSS of its transcripts: their lowest start on ``+``, their highest end on
    ``-``. Exons lie within their transcripts, so the exons alone give the same TSS.

    A gene whose transcripts lie on several chromosomes or strands is placed on the chromosome with the shortest name,
    for example on chr6 rather than on chr6_apd_hap1. If that leaves a choice, the place that the file lists first
    counts.

    Attributes
    ----------
    symbols
        Symbols by gene id, in the order of the file; they may be empty.
    """

    def __init__(self) -> None:
        self._places: dict[str, dict[_Place, _Extent]] = {}
        self.symbols: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.symbols)

    def add(self, row: TranscriptRow) -> None:
        """Add a transcript or an exon."""
        self.symbols[row.gene_id] = self.symbols.get(row.gene_id) or row.symbol
        places = self._places.setdefault(row.gene_id, {})
        if row.strand not in ("+", "-"):
            return
        place = _Place(row.chrom, row.strand)
        tss = row.start if row.strand == "+" else row.end
        extent = places.setdefault(place, _Extent(tss))
        extent.tss = min(extent.tss, tss) if row.strand == "+" else max(extent.tss, tss)
        extent.lines[row.feature] += 1

    def rows(self) -> list[GeneRow]:
        """Return the genes with a strand, in the order of their first lines."""
        chosen = {gene_id: _first_choice(places) for gene_id, places in self._places.items() if places}
        return [
            GeneRow(gene_id, self.symbols[gene_id], place.chrom, self._places[gene_id][place].tss, place.strand)
            for gene_id, place in chosen.items()
        ]

    def lines_used(self) -> Counter[str]:
        """Return the number of lines in the chosen places, by type."""
        chosen = [places[_first_choice(places)].lines for places in self._places.values() if places]
        return sum(chosen, Counter())

    def strandless(self) -> tuple[str, ...]:
        """Return the ids of the genes whose transcripts have no strand."""
        return tuple(gene_id for gene_id, places in self._places.items() if not places)

    def scattered(self) -> tuple[str, ...]:
        """Return the ids of the genes whose transcripts lie on several chromosomes or strands."""
        return tuple(gene_id for gene_id, places in self._places.items() if len(places) > 1)


def _first_choice(places: dict[_Place, _Extent]) -> _Place:
    return min(places, key=lambda place: len(place.chrom))
