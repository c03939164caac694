"""A small genome with ten genes, random reads, a bgzip writer, and the command line run in this process."""

import gzip
import io
import json
import random
import struct
import sys
import zlib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from oracle import naive

from deepchrome.cli import main
from deepchrome.common.signatures import BGZIP_END
from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import Windows, tss_windows

SIZES = {"chr1": 250_000, "chr2": 240_000}
GENES = [naive.Gene(f"chr{1 + i % 2}", 20_000 * (i + 1), "+-"[i % 2]) for i in range(10)]


def reads_text(n: int = 3000, seed: int = 1) -> bytes:
    """Return ``n`` random reads of 36 bp as BED6."""
    dice = random.Random(seed)
    lines = []
    for _ in range(n):
        start = dice.randrange(230_000)
        strand = dice.choice("+-")
        lines.append(f"chr{dice.randint(1, 2)}\t{start}\t{start + 36}\tN\t{dice.randrange(1000)}\t{strand}\n")
    return "".join(lines).encode()


def counts_of(text: bytes) -> np.ndarray:
    """Return the counts of the naive counter, in the windows of `windows`."""
    return np.array(naive.count(naive.text_reads(text), GENES, SIZES, 5000, 100))


def write_genes_and_sizes(folder: Path) -> None:
    """Write genes.tsv and small.sizes into ``folder``."""
    rows = [f"g{i}\tS{i}\t{gene.chrom}\t{gene.tss}\t{gene.strand}\n" for i, gene in enumerate(GENES)]
    (folder / "genes.tsv").write_text("gene_id\tsymbol\tchrom\ttss\tstrand\n" + "".join(rows))
    (folder / "small.sizes").write_text("".join(f"{name}\t{size}\n" for name, size in SIZES.items()))


def windows(folder: Path) -> Windows:
    """Write the genes and the genome, and return their windows of the default size."""
    write_genes_and_sizes(folder)
    return tss_windows(read_genes(folder / "genes.tsv"), read_genome(folder / "small.sizes"))


def bgzip_member(data: bytes) -> bytes:
    """Return one bgzip block."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(packed) + 25)
    return head + packed + struct.pack("<II", zlib.crc32(data), len(data))


def bgzip(data: bytes, size: int = 65280, end: bytes = BGZIP_END) -> bytes:
    """Compress to bgzip, in blocks of ``size`` bytes of data."""
    return b"".join(bgzip_member(data[i : i + size]) for i in range(0, len(data), size)) + end


PACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bgzip": lambda data: bgzip(data, 6000),
}


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def dc(*arguments: object, stdin: bytes = b"") -> CommandResult:
    """Run the command line in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    standard_input = io.TextIOWrapper(io.BytesIO(stdin))
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["dc", *map(str, arguments)]),
        patch.object(sys, "stdin", standard_input),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return CommandResult(code, out.getvalue(), err.getvalue())


def featurize(folder: Path, *arguments: object, out: str = "out", stdin: bytes = b"") -> CommandResult:
    """Run ``dc featurize`` with the genes and genome of ``folder``."""
    options = ("--genes", folder / "genes.tsv", "--genome", folder / "small.sizes", "--out", folder / out)
    return dc("featurize", *arguments, *options, stdin=stdin)
