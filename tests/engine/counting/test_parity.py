"""BED files: naive counter == bedtools, engine == naive counter, engine == stored output of bedtools."""

import gzip
import hashlib
import json
import random
import shlex
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaign.rows import sized
from hypothesis import given
from hypothesis import strategies as st
from oracle import bedtools, naive
from support.engine import blocks_of, windows, windows_of
from support.places import TESTS
from support.strategies import CUTS, KINDS, Case, cases, examples, packed

from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.annotation.windows import tss_windows
from deepchrome.engine.counting.count import count_reads, tally_reads
from deepchrome.engine.counting.options import ReadOptions
from deepchrome.engine.counting.tally import ReadTally
from deepchrome.errors import BadDataError

GOLDENS = TESTS / "data" / "goldens"
MANIFEST = json.loads((GOLDENS / "manifest.json").read_text())
FILTER_OPTIONS = {"-D": "include_duplicates", "-F": "include_qc_fail"}
BLOCK_BYTES = st.sampled_from([1 << 20, 64, 65, 100, 257, 1000])


@pytest.mark.campaign("parity")
@pytest.mark.bedtools
@examples(sized(80, 200))
@given(case=cases(for_bedtools=True))
def test_naive_counter_equals_live_bedtools(case: Case) -> None:
    layout = case.layout
    arguments = layout.genes, layout.sizes, layout.flank, layout.bin_size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bam = bedtools.bed_to_bam(gzip.compress(case.text), layout.sizes, folder)
        expected = bedtools.multicov(bam, *arguments, folder)
    reads = naive.on_first(naive.text_reads(case.text), layout.sizes)
    assert naive.count(reads, *arguments) == expected


@pytest.mark.campaign("parity")
@examples(sized(500, 2000))
@given(
    case=cases(),
    copies=st.sampled_from([1, 1, 1, 50]),
    kind=st.sampled_from(KINDS),
    cuts=CUTS,
    threads=st.sampled_from([1, 1, 2]),
    block_bytes=BLOCK_BYTES,
    unknown_chrom=st.sampled_from(["error", "skip", "bedtools"]),
)
def test_engine_equals_naive_counter(
    tmp_path_factory: pytest.TempPathFactory,
    case: Case,
    copies: int,
    kind: str,
    cuts: list[int],
    threads: int,
    block_bytes: int,
    unknown_chrom: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "reads"
    # The naive counter is slow, so it counts one copy only.
    text = case.text if copies == 1 else (case.text + b"\n") * copies
    block_bytes = max(block_bytes, len(text) // 400)  # more blocks take long, because the threads wait for each other
    path.write_bytes(packed(text, kind, cuts, min(block_bytes, 60_000)))
    layout = case.layout
    gene_windows = windows_of(layout)

    def count() -> ReadTally:
        with blocks_of(block_bytes):
            return tally_reads(path, gene_windows, threads, ReadOptions(unknown_chrom=unknown_chrom, allow_empty=True))

    reads = naive.text_reads(case.text)
    unknown = naive.unknown_chroms(reads, layout.sizes)
    if unknown and unknown_chrom == "error":
        with pytest.raises(BadDataError) as refused:
            count()
        assert any(repr(name) in str(refused.value) for name in unknown)
        return
    placed = (
        naive.on_first(reads, layout.sizes) if unknown_chrom == "bedtools" else naive.on_genome(reads, layout.sizes)
    )
    tally = count()
    expected = np.array(naive.count(placed, layout.genes, layout.sizes, layout.flank, layout.bin_size))
    assert tally.counts.dtype == np.uint32
    assert tally.counts.tolist() == (copies * expected).tolist()
    assert tally.reads == copies * len(reads)
    assert tally.in_windows == copies * sum(naive.in_a_window(read, layout.genes, layout.flank) for read in placed)
    assert tally.off_genome == {name: copies * sum(read.chrom == name for read in reads) for name in unknown}


@pytest.mark.campaign("parity")
@examples(300)
@given(case=cases(max_reads=60), seed=st.integers(0, 2**32), strand=st.sampled_from(["same", "opposite"]))
def test_order_does_not_matter_and_strand_does(
    tmp_path_factory: pytest.TempPathFactory, case: Case, seed: int, strand: str
) -> None:
    layout, rng = case.layout, random.Random(seed)
    reads = [read for read in naive.text_reads(case.text) if read.chrom in layout.sizes and read.start >= 0]
    reads = [read._replace(strand=rng.choice("+-")) for read in reads]
    lines = [f"{read.chrom}\t{read.start}\t{read.end}\tr\t0\t{read.strand}\n" for read in reads]
    path = tmp_path_factory.getbasetemp() / "shuffled"
    counted = []
    for _ in range(2):
        rng.shuffle(lines)
        path.write_text("".join(lines), encoding="utf-8")
        counted.append(count_reads(path, windows_of(layout), strand=strand, allow_empty=True))
    arguments = layout.genes, layout.sizes, layout.flank, layout.bin_size
    assert counted[0].tobytes() == counted[1].tobytes()
    assert counted[0].tolist() == naive.count(reads, *arguments, strand)


def golden_counts(case: dict[str, Any], n_genes: int) -> np.ndarray:
    """Return the rows of multicov as an array of genes by bins. Bins without a row are outside: their count is 0."""
    counts = np.zeros((n_genes, 2 * case["flank"] // case["bin_size"]), np.int64)
    for row in gzip.decompress((GOLDENS / case["counts"]).read_bytes()).decode().splitlines():
        *_, gene, b, _, count = row.split("\t")
        counts[int(gene[1:]), int(b)] = int(count)
    return counts


def golden_options(options: str) -> dict[str, Any]:
    """Return the options of ``count_reads`` for command-line options of multicov."""
    words = shlex.split(options)
    arguments: dict[str, Any] = {FILTER_OPTIONS[word]: True for word in words if word in FILTER_OPTIONS}
    if "-q" in words:
        arguments["min_mapq"] = int(words[words.index("-q") + 1])
    for strand, option in bedtools.STRAND_OPTIONS.items():
        if option in words:
            arguments["strand"] = strand
    return arguments


def golden_input(case: dict[str, Any], folder: Path, form: str) -> Path:
    """Write the reads of a golden case in one of the forms that must give the same counts."""
    if case["reads"] == "flags":
        return GOLDENS / "flags.bam"
    source = GOLDENS / f"{case['reads']}.bed.gz"
    text = gzip.decompress(source.read_bytes())
    lines = text.splitlines(keepends=True)
    random.Random(1).shuffle(lines)
    forms = {
        "gzip": source.read_bytes(),
        "plain": text,
        "no newline at the end": text.removesuffix(b"\n"),
        "CRLF and comments": b"track name=x\n" + text.replace(b"\n", b"\r\n") + b"# end\n",
        "three columns": b"".join(b"\t".join(line.split(b"\t")[:3]) + b"\n" for line in text.splitlines()),
        "shuffled": b"".join(lines),
        "100 gzip members": packed(text, "gzip", [*range(5, 1000, 10), 500]),
        "bgzip": packed(text, "bgzip", [], 20_000),
    }
    (folder / "reads").write_bytes(forms[form])
    return folder / "reads"


FORMS = (
    "gzip",
    "plain",
    "no newline at the end",
    "CRLF and comments",
    "three columns",
    "shuffled",
    "100 gzip members",
    "bgzip",
)


@pytest.mark.campaign("parity")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_engine_equals_stored_bedtools_output(tmp_path: Path, form: str, threads: int) -> None:
    genes = read_genes(GOLDENS / "genes.tsv")
    genome = read_genome(GOLDENS / "chrom.sizes")
    for case in MANIFEST["cases"]:
        if case["reads"] == "flags" and form != "gzip":
            continue
        gene_windows = tss_windows(genes, genome, case["flank"], case["bin_size"])
        path = golden_input(case, tmp_path, form)
        counts = count_reads(path, gene_windows, threads, unknown_chrom="bedtools", **golden_options(case["options"]))
        expected = golden_counts(case, len(genes))
        assert expected.any()
        assert counts.tolist() == expected.tolist(), case


def test_skipped_chromosomes_do_not_change_other_counts() -> None:
    genes = read_genes(GOLDENS / "genes.tsv")
    gene_windows = tss_windows(genes, read_genome(GOLDENS / "chrom.sizes"))
    case = next(case for case in MANIFEST["cases"] if case["counts"] == "reads.published.tsv.gz")
    counts = count_reads(GOLDENS / "strays.bed.gz", gene_windows, unknown_chrom="skip")
    assert counts.tolist() == golden_counts(case, len(genes)).tolist()


def test_goldens_match_the_manifest() -> None:
    on_disk = {path.name for path in GOLDENS.iterdir()} - {"manifest.json"}
    assert on_disk == set(MANIFEST["files"])
    for name, made in MANIFEST["files"].items():
        assert hashlib.sha256((GOLDENS / name).read_bytes()).hexdigest() == made["sha256"], name
    assert MANIFEST["versions"] == {"bedtools": "bedtools v2.30.0", "samtools": "samtools 1.16.1"}


def test_counts_by_hand(tmp_path: Path) -> None:
    """Count reads in one window of four bins: [6, 10) [10, 14) [14, 18) [18, 22)."""
    sizes = {"chr1": 20}
    gene_windows = windows([naive.Gene("chr1", 14, "-")], sizes, flank=8, bin_size=4)
    by_hand = {
        "chr1\t6\t10": [1, 0, 0, 0],
        "chr1\t9\t11": [1, 1, 0, 0],
        "chr1\t10\t14": [0, 1, 0, 0],
        "chr1\t0\t6": [0, 0, 0, 0],
        "chr1\t0\t7": [1, 0, 0, 0],
        "chr1\t10\t10": [1, 1, 0, 0],
        "chr1\t11\t11": [0, 1, 0, 0],
        "chr1\t0\t400": [1, 1, 1, 1],
        "chr1\t21\t30": [0, 0, 0, 1],
        "chr1\t22\t30": [0, 0, 0, 0],
    }
    for line, expected in by_hand.items():
        (tmp_path / "reads").write_text(line)
        assert count_reads(tmp_path / "reads", gene_windows).tolist() == [expected], line
