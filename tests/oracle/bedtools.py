"""The reference path: bedtobam, samtools sort and index, multicov. Its counts are the definition of right."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from oracle.naive import Gene, bins_of, outside

LETTERS = {"same": "-s", "opposite": "-S"}


def run(*command: str | os.PathLike[str], stdin: bytes | None = None) -> bytes:
    """Run one program; its error output becomes the exception's text."""
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} exited {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def write_genome(path: Path, sizes: Mapping[str, int]) -> None:
    path.write_text("".join(f"{name}\t{size}\n" for name, size in sizes.items()), encoding="utf-8")


def sorted_bam(bam: bytes, path: Path) -> Path:
    """Write a sorted, indexed BAM."""
    run("samtools", "sort", "-o", path, "-", stdin=bam)
    run("samtools", "index", path)
    return path


def bed_to_bam(reads: bytes, sizes: Mapping[str, int], folder: Path) -> Path:
    """Turn BED text, plain or gzip, into a sorted, indexed BAM as the reference path does."""
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
    """Count with ``bedtools multicov``, genes by bins.

    multicov exits on a bin that begins before 0, and counts reads that lie past their chromosome's end.
    So bins wholly outside their chromosome are not given to it: they are 0 by definition. A bin partly
    before 0 is given from 0 on, which holds the same reads.
    """
    lines, asked = [], []
    for g, gene in enumerate(genes):
        for b, (start, end) in enumerate(bins_of(gene, flank, bin_size)):
            if not outside(start, end, sizes.get(gene.chrom, end)):
                lines.append(f"{gene.chrom}\t{max(start, 0)}\t{end}\tgene\t0\t{gene.strand}\n")
                asked.append((g, b))
    counts = [[0] * (2 * flank // bin_size) for _ in genes]
    (folder / "bins.bed").write_text("".join(lines), encoding="utf-8")
    letters = [LETTERS[strand]] if strand else []
    answer = run("bedtools", "multicov", *letters, *options, "-bams", bam, "-bed", folder / "bins.bed")
    rows = answer.decode().splitlines()
    if len(rows) != len(asked):
        raise RuntimeError(f"multicov printed {len(rows)} rows for {len(asked)} bins")
    for (g, b), row in zip(asked, rows, strict=True):
        counts[g][b] = int(row.rsplit("\t", 1)[1])
    return counts
