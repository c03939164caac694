"""Count with bedtools and samtools. Their counts are correct by definition."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from oracle.naive import Gene, bins_of, outside

STRAND_OPTIONS = {"same": "-s", "opposite": "-S"}


def run(*command: str | os.PathLike[str], stdin: bytes | None = None) -> bytes:
    """Run one program and return its output.

    Raises
    ------
    RuntimeError
        The program failed. The message contains its error output.
    """
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} exited {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def write_genome(path: Path, sizes: Mapping[str, int]) -> None:
    path.write_text("".join(f"{name}\t{size}\n" for name, size in sizes.items()), encoding="utf-8")


def sorted_bam(bam: bytes, path: Path) -> Path:
    """Write ``bam`` to ``path``, sorted and indexed."""
    run("samtools", "sort", "-o", path, "-", stdin=bam)
    run("samtools", "index", path)
    return path


def bed_to_bam(reads: bytes, sizes: Mapping[str, int], folder: Path) -> Path:
    """Convert BED text, plain or gzip, to a sorted and indexed BAM file."""
    write_genome(folder / "chrom.sizes", sizes)
    text = run("gunzip", "-c", stdin=reads) if reads.startswith(b"\x1f\x8b") else reads
    (folder / "reads.bed").write_bytes(text)
    unsorted = run("bedtools", "bedtobam", "-i", folder / "reads.bed", "-g", folder / "chrom.sizes")
    return sorted_bam(unsorted, folder / "reads.bam")


def multicov(
    bam: Path,
    genes: Sequence[Gene],
    sizes: Mapping[str, int],
    flank: int,
    bin_size: int,
    folder: Path,
    strand: str | None = None,
    options: Sequence[str] = (),
) -> list[list[int]]:
    """Count with ``bedtools multicov``; return a row per gene and a column per bin.

    multicov fails on a bin that begins before 0, and counts reads past the end of their chromosome. Bins completely
    outside their chromosome are therefore left out: their count is 0 by definition. A bin partly before 0 begins at 0
    instead, which does not change its count.
    """
    lines, cells = [], []
    for g, gene in enumerate(genes):
        for b, (start, end) in enumerate(bins_of(gene, flank, bin_size)):
            if not outside(start, end, sizes.get(gene.chrom, end)):
                lines.append(f"{gene.chrom}\t{max(start, 0)}\t{end}\tgene\t0\t{gene.strand}\n")
                cells.append((g, b))
    counts = [[0] * (2 * flank // bin_size) for _ in genes]
    (folder / "bins.bed").write_text("".join(lines), encoding="utf-8")
    strand_options = [STRAND_OPTIONS[strand]] if strand else []
    output = run("bedtools", "multicov", *strand_options, *options, "-bams", bam, "-bed", folder / "bins.bed")
    rows = output.decode().splitlines()
    if len(rows) != len(cells):
        raise RuntimeError(f"multicov printed {len(rows)} rows for {len(cells)} bins")
    for (g, b), row in zip(cells, rows, strict=True):
        counts[g][b] = int(row.rsplit("\t", 1)[1])
    return counts
