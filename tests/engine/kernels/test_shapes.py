"""Lines of different shapes: the fast path of the parser must accept a line only if it matches a shape exactly."""

import random

import pytest
from oracle import naive
from oracle.naive import Gene
from support.engine import windows

from deepchrome.engine.counting.count import tally_reads
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.errors import BadDataError

# Names of up to eight, up to sixteen and more bytes are compared in different ways.
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
    "strands of several bytes": lambda r: "\tN\t0\t" + r.choice(["+", "-", "-", "-x", "- ", "--", "+-", "."]),
    "runs of such strands": lambda r: "\tN\t0\t" + ("-x" if r.random() < 0.9 else "-"),
    "CRLF": lambda r: "\tN\t1000\t" + r.choice("+-") + "\r",
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
    gene_windows = windows(genes, SIZES, 50, 10)
    reads = naive.text_reads(path.read_bytes())
    tally = tally_reads(path, gene_windows, 1 + seed % 2, ReadOptions(strand=strand))
    assert tally.reads == len(reads) == 1200
    assert tally.counts.tolist() == naive.count(reads, genes, SIZES, 50, 10, strand)
    assert tally.in_windows == sum(
        any(naive.in_a_window(read, [gene], 50) and naive.strand_matches(gene, read, strand) for gene in genes)
        for read in reads
    )


def is_malformed(line: bytes) -> bool:
    fields = line.removesuffix(b"\r").split(b"\t")
    fields = fields[: len(fields) - (fields[-1] == b"")]  # an empty last field does not count as a field
    if len(fields) != 6 or fields[0] != b"chr1" or not (fields[1].isdigit() and fields[2].isdigit()):
        return True
    return not int(fields[1]) <= int(fields[2]) < 2**29


@pytest.mark.parametrize("strand", [None, "same"])
@pytest.mark.parametrize("start", [1234, 12_345_678, 99_999_990, 123_456_789])
def test_every_byte_of_lines_alike_is_checked(tmp_path, start, strand):
    """Lines are checked eight at a time. A line with a changed byte must be refused, or counted as changed."""
    sizes = {"chr1": 250_000_000}
    genes = [Gene("chr1", start + 30, "-"), Gene("chr1", start + 50, "+"), Gene("chr1", start // 10, "+")]
    gene_windows = windows(genes, sizes, 60, 10)
    lines = [f"chr1\t{start + i}\t{start + i + 36}\tN\t1000\t{'+-'[i % 2]}".encode() for i in range(40)]
    path = tmp_path / "reads.bed"
    refused = counted = 0
    for at in range(len(lines[0])):
        for byte in b"\t\n\r :/019-+.x\0\xff":
            changed = list(lines)
            row = 16 + (at + byte) % 24
            changed[row] = bytes([*lines[row][:at], byte, *lines[row][at + 1 :]])
            text = b"\n".join(changed)
            path.write_bytes(text)
            if any(is_malformed(line) for line in text.split(b"\n") if line):
                refused += 1
                with pytest.raises(BadDataError):
                    tally_reads(path, gene_windows, options=ReadOptions(strand=strand))
            else:
                counted += 1
                counts = tally_reads(path, gene_windows, options=ReadOptions(strand=strand)).counts
                assert counts.tolist() == naive.count(naive.text_reads(text), genes, sizes, 60, 10, strand), text
    assert refused > 200
    assert counted > 100


@pytest.mark.parametrize("strand", [None, "opposite"])
@pytest.mark.parametrize("order", ["sorted", "reversed", "shuffled"])
@pytest.mark.parametrize("lengths", [[36], [1], [1, 2, 36, 36, 300]])
def test_lines_alike_across_windows_and_gaps(tmp_path, lengths, order, strand):
    """Eight reads in a gap between windows are skipped together: none of them may overlap a window."""
    r = random.Random(1)
    sizes = {"chr1": 20_000}
    genes = [Gene("chr1", tss, r.choice("+-")) for tss in r.sample(range(10_000, 20_000), 70)]
    starts = [start for start in range(10_000, 19_600) for _ in range(r.choice([0, 1, 1, 2]))]
    lines = [f"chr1\t{start}\t{start + r.choice(lengths)}\tN\t0\t{r.choice('+-')}\n" for start in starts]
    if order != "sorted":
        lines = lines[::-1] if order == "reversed" else r.sample(lines, len(lines))
    path = tmp_path / "reads.bed"
    path.write_text("".join(lines), encoding="utf-8")
    tally = tally_reads(path, windows(genes, sizes, 20, 10), options=ReadOptions(strand=strand))
    reads = naive.text_reads(path.read_bytes())
    assert tally.reads == len(reads)
    assert tally.counts.tolist() == naive.count(reads, genes, sizes, 20, 10, strand)
    assert tally.in_windows == sum(
        any(naive.in_a_window(read, [gene], 20) and naive.strand_matches(gene, read, strand) for gene in genes)
        for read in reads
    )
    assert (tally.min_length, tally.max_length) == (min(lengths), max(lengths))
    assert tally.mean_length == pytest.approx(sum(read.end - read.start for read in reads) / len(reads))
