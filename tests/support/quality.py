"""BAM files with every kind of record, and the quality of reads."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from oracle import naive, quality

from deepchrome.engine.counting.quality import PositionSample, ReadQuality
from support.bam import write_bam
from support.strategies import Record
from support.tiny import GENES, SIZES, write_genes_and_sizes

DUPLICATE, QC_FAIL, REVERSE, UNMAPPED = 1024, 512, 16, 4
OTHER_SIZES = {**SIZES, "chrM": 16_571}


def random_records(n: int, seed: int, *, flags: bool = True) -> list[Record]:
    """Return ``n`` records of 36 to 51 bp, many of them at the same few places near the TSSs.

    With ``flags``, some are duplicates, QC failures, of mapping quality 3, or not placed.
    """
    dice = random.Random(seed)
    places = [gene.tss + dice.randrange(-6000, 6000) for gene in GENES for _ in range(max(1, n // 20))]
    records = []
    for _ in range(n):
        chrom = dice.choice(["chr1", "chr1", "chr2", "chr2", "chr2", "chrM"])
        start = dice.choice(places) if chrom != "chrM" else dice.randrange(16_000)
        length = dice.choice([36, 36, 36, 40, 51])
        kind = dice.choice([0] * 6 + [DUPLICATE, QC_FAIL, UNMAPPED]) if flags else 0
        if kind == UNMAPPED:
            records.append(Record(None, -1, UNMAPPED, 0, None, "A" * length))
            continue
        flag, mapq = kind | dice.choice([0, REVERSE]), dice.choice([3, 30, 30, 30]) if flags else 30
        records.append(Record(chrom, start, flag, mapq, f"{length}M", "A" * length))
    return records


def write_records(path: Path, records: list[Record]) -> Path:
    """Write a BAM file with the chromosomes of the small genome and chrM."""
    write_bam(path, OTHER_SIZES, records)
    return path


def as_quality(values: Mapping[str, Any]) -> ReadQuality:
    """Return the values of the oracle as a ``ReadQuality``."""
    sample = values["positions"] and PositionSample(**values["positions"])
    lengths = np.array(values["lengths"], np.int64)
    return ReadQuality(**{**values, "lengths": lengths, "positions": sample})


def quality_of_file(path: Path, min_mapq: int = 0) -> dict[str, Any]:
    """Return the quality of a file of reads around the genes of the small genome, by the oracle."""
    if path.suffix == ".bam":
        reads = naive.bam_reads(path, min_mapq)
        filtered, duplicates = quality.filtered_records(path, min_mapq), quality.duplicate_records(path)
        return quality.quality_of(reads, GENES, OTHER_SIZES, filtered=filtered, duplicates=duplicates)
    return quality.quality_of(naive.text_reads(path.read_bytes()), GENES, OTHER_SIZES)


def write_small_genome(folder: Path) -> None:
    """Write genes.tsv and small.sizes, with chrM."""
    write_genes_and_sizes(folder)
    (folder / "small.sizes").write_text("".join(f"{name}\t{size}\n" for name, size in OTHER_SIZES.items()))
