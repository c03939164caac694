"""Lines of many shapes, mixed: the parser learns the shape of a line and must forget it in time."""

import random

import naive
import ours
import pytest
from naive import Gene

from deepchrome.engine.count import tally_reads
from deepchrome.engine.formats import ReadOptions

# Around the lengths at which names are compared in another way: eight, sixteen and more bytes.
NAMES = [
    "c",
    "chr1",
    "chr10",
    "chrUn_gl",
    "chrUn_gl000211",
    "chrUn_gl000212",
    "chr17_gl000205_random",
    "chr17_gl000206_random",
    "chr17_gl000205_randox",
]
SIZES = dict.fromkeys(NAMES, 250_000_000)
TSS = [60, 5000, 123_456, 99_999_990, 100_000_010, 249_000_000]  # eight digits and nine
TAILS = {
    "alike": lambda r: "\tN\t1000\t+",
    "strands": lambda r: "\tN\t1000\t" + r.choice("+-"),
    "names and scores": lambda r: f"\tr{r.randint(0, 10 ** r.randint(1, 9))}\t{r.randint(0, 1000)}\t-",
    "sequences": lambda r: "\t" + "".join(r.choices("ACGT", k=36)) + "\t1000\t+",
    "beyond 64 bytes": lambda r: "\t" + "x" * r.randint(0, 150) + "\t0\t" + r.choice("+-"),
    "three columns": lambda r: "",
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strand", [None, "same"])
def test_mixed_shapes(tmp_path, tail, seed, strand):
    r = random.Random(seed)
    genes = [Gene(r.choice(NAMES), r.choice(TSS), r.choice("+-.")) for _ in range(30)]
    lines, name = [], NAMES[0]
    for _ in range(1200):
        name = r.choice(NAMES) if r.random() < 0.3 else name
        start = max(0, r.choice(TSS) + r.randint(-80, 80))
        lines.append(f"{name}\t{start}\t{start + r.choice([0, 1, 36, 36, 36, 200])}{TAILS[tail](r)}\n")
        if r.random() < 0.01:
            lines.append(r.choice(["#chr1\t1\t2\n", "\n", "track name=x\n"]))
    path = tmp_path / "reads.bed"
    path.write_text("".join(lines), encoding="utf-8")
    if strand and tail == "three columns":
        strand = None
    windows = ours.windows(genes, SIZES, 50, 10)
    reads = naive.text_reads(path.read_bytes())
    tally = tally_reads(path, windows, 1 + seed % 2, ReadOptions(strand=strand))
    assert tally.reads == len(reads) == 1200
    assert tally.counts.tolist() == naive.count(reads, genes, SIZES, 50, 10, strand)
    assert tally.in_windows == sum(
        any(naive.in_a_window(read, [gene], 50) and naive.strand_counts(gene, read, strand) for gene in genes)
        for read in reads
    )
