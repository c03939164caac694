"""Profiles of features: their numbers, and the limits beyond which features are doubtful or refused."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from campaign.rows import sized
from scipy.stats import spearmanr

from deepchrome.train.datasets.deepchrome_csv import load_csv
from deepchrome.train.datasets.profile import (
    MIN_GENES,
    N_DISTANCES,
    WARN_READS,
    Finding,
    MarkProfile,
    Profile,
    compare_profiles,
    profile_counts,
)

PEAK = (0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.03, 0.02)
FLAT = (0.1,) * 10
USUAL = MarkProfile(10_000_000, 0.3, 36.0, 200.0, 0.01, 0.0, PEAK)
BACKGROUND = MarkProfile(10_000_000, 0.1, 36.0, 50.0, 0.01, 0.0, FLAT)


def profile(genes: int = 1000, r: float = 0.5, **changes: Any) -> Profile:
    """Return a profile of the marks A and B, with changes to A."""
    return Profile(genes, {"A": replace(USUAL, **changes), "B": BACKGROUND}, (r,))


def refusals(found: Profile, known: Profile) -> list[str]:
    """Return what is refused in features, compared with one epigenome."""
    return [finding.text for finding in compare_profiles(found, [known]) if finding.refuse]


def test_numbers_of_a_profile_are_those_of_the_counts() -> None:
    rng = np.random.default_rng(1)
    counts = rng.poisson(3, (60, 20, 3)).astype(np.uint32)
    counts[:30, :, 0] = 0  # the genes of chr1
    counts[40:42, :, 1] = 0
    sources = {"A": {"reads": 1000, "reads_in_windows": 300, "read_length_bp": {"min": 30, "mean": 36.0, "max": 40}}}
    found = profile_counts(("A", "B", "C"), counts, ("chr1",) * 30 + ("chr2",) * 30, sources)
    a, b, c = found.marks.values()
    assert (a.reads, a.share_in_windows, a.read_length) == (1000, 0.3, 36.0)
    assert (b.reads, b.share_in_windows, b.read_length) == (None, None, None)
    assert (a.genes_without_reads, b.genes_without_reads, c.genes_without_reads) == (0.5, 0.03333, 0.0)
    assert (a.genes_on_empty_chroms, b.genes_on_empty_chroms) == (0.5, 0.0)
    assert a.counts_per_gene == pytest.approx(counts[:, :, 0].sum() / 60, rel=1e-3)
    # Bins 9 and 10 are next to the TSS, bins 0 and 19 at the ends.
    assert c.shape[0] == pytest.approx(counts[:, 9:11, 2].sum() / counts[:, :, 2].sum(), rel=1e-3)
    assert c.shape[9] == pytest.approx(counts[:, [0, 19], 2].sum() / counts[:, :, 2].sum(), rel=1e-3)
    assert sum(c.shape) == pytest.approx(1, abs=1e-3)
    expected = spearmanr(counts.sum(axis=1)).statistic
    np.testing.assert_allclose(found.correlation_matrix(("C", "A")), expected[np.ix_([2, 0], [2, 0])], atol=1e-3)
    assert Profile.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.campaign("numbers")
@pytest.mark.parametrize("shape", [(0, 10, 2), (1, 1, 1), (3, 3, 30), (5, 7, 1)])
def test_counts_of_any_shape_have_a_profile(shape: tuple[int, int, int]) -> None:
    marks = tuple(f"M{i}" for i in range(shape[2]))
    for counts in (np.zeros(shape, np.uint32), np.ones(shape, np.uint32)):
        found = profile_counts(marks, counts, ("chr1",) * shape[0])
        assert Profile.from_dict(json.loads(json.dumps(found.to_dict()))) == found
        for mark in found.marks.values():
            assert len(mark.shape) == (N_DISTANCES if counts.any() else 0)
        assert compare_profiles(found, [found]) == []


LIMITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "the same": ({}, "", ""),
    "a third of the reads": ({"reads": 3_400_000}, "", ""),
    "less": ({"reads": 3_300_000}, "", "A: 3,300,000 reads (training: 10,000,000)"),
    "three times the reads": ({"reads": 29_000_000}, "", ""),
    "more": ({"reads": 31_000_000}, "", "A: 31,000,000 reads (training: 10,000,000)"),
    "unknown reads": ({"reads": None, "counts_per_gene": 25.0}, "", ""),
    "unknown and few": ({"reads": None, "counts_per_gene": 19.0}, "", "A: 19 counts per gene (training: 200)"),
    "long reads": ({"read_length": 55.0}, "", "A: reads of 55 bp (training: 36)"),
    "reads of 50 bp": ({"read_length": 50.0}, "", ""),
    "fewer near genes": ({"share_in_windows": 0.08}, "", ""),
    "few near genes": (
        {"share_in_windows": 0.07},
        "",
        "A: 7% of the reads in the windows of 1,000 genes (training: 30% in those of 1,000)",
    ),
    "hardly any near genes": (
        {"share_in_windows": 0.029},
        "A: 2.9% of the reads in the windows of 1,000 genes (training: 30% in those of 1,000)",
        "",
    ),
    "no read in a window": ({"counts_per_gene": 0.0, "shape": ()}, "A: no reads in the windows", "A: 0 counts"),
    "silent genes": ({"genes_without_reads": 0.22}, "", "A: 22% of the genes without reads (training: 1%)"),
    "fewer silent genes": ({"genes_without_reads": 0.2}, "", ""),
    "empty chromosomes": (
        {"genes_on_empty_chroms": 0.11},
        "A: no reads near any gene of some chromosomes, which have 11% of the genes (training: 0%)",
        "",
    ),
    "an empty chromosome": ({"genes_on_empty_chroms": 0.09}, "", ""),
    "unknown chromosomes": ({"genes_on_empty_chroms": None}, "", ""),
    "no peak": ({"shape": FLAT}, "", "A: 20% of the reads in the middle fifth of the windows (training: 50%)"),
    "a hole": (
        {"shape": PEAK[::-1]},
        "A: 5% of the reads in the middle fifth of the windows (training: 50%), as if the TSSs were elsewhere",
        "the marks seem to be swapped: B looks like A, A looks like B in the training",
    ),
}


@pytest.mark.campaign("unlike")
@pytest.mark.parametrize("case", LIMITS)
def test_differences_beyond_a_limit_are_named_with_the_numbers(case: str) -> None:
    changes, refusal, warning = LIMITS[case]
    findings = compare_profiles(profile(**changes), [profile()])
    for refuse, expected in ((True, refusal), (False, warning)):
        texts = [finding.text for finding in findings if finding.refuse == refuse]
        if case == "no read in a window" and not expected.endswith("windows"):
            continue
        assert len(texts) == bool(expected), texts
        assert not expected or texts[0].startswith(expected)


@pytest.mark.campaign("unlike")
def test_numbers_are_compared_with_the_range_of_the_training() -> None:
    trained = [profile(reads=1_000_000), profile(reads=10_000_000)]
    for reads in (400_000, 5_000_000, 25_000_000):
        assert compare_profiles(profile(reads=reads), trained) == []
    assert compare_profiles(profile(reads=100_000), trained) == [
        Finding("A: 100,000 reads (training: 1,000,000 to 10,000,000)")
    ]
    assert compare_profiles(profile(reads=100_000), [*trained, profile(reads=None)]) == []
    # Marks that the training lacks are not compared.
    other = Profile(1000, {"C": USUAL, "B": BACKGROUND}, (0.5,))
    assert compare_profiles(profile(reads=1), [other]) == []


@pytest.mark.campaign("unlike")
def test_few_genes_are_judged_by_all_marks_together() -> None:
    """Thirty silent genes have few reads of some marks, but not of all."""
    few = MIN_GENES // 10
    strange = {"shape": PEAK[::-1], "genes_without_reads": 0.9}
    assert refusals(profile(few, share_in_windows=0.006, **strange), profile(few)) == []
    marks = {name: replace(mark, share_in_windows=0.0001) for name, mark in profile(few).marks.items()}
    assert refusals(Profile(few, marks, (0.5,)), profile(1000)) == [
        "A: 0.01% of the reads in the windows of 20 genes (training: 30% in those of 1,000); "
        "B: 0.01% of the reads in the windows of 20 genes (training: 10% in those of 1,000)"
    ]


# The five core marks in E012, E013, E028 (without H3K4me1) and E003 (600 genes, counts of the DeepDiff authors).
CORE = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")


class Epigenomes:
    """Counts and numbers of reads of real epigenomes."""

    def __init__(self, shared: Path) -> None:
        table = pl.read_csv(shared / "roadmap" / "remc_reads_per_file.tsv", separator="\t", comment_prefix="#")
        self.reads = {(row["epigenome"], row["mark"]): row["reads"] for row in table.iter_rows(named=True)}
        genes = pl.read_csv(shared / "roadmap" / "genes.tsv", separator="\t", infer_schema=False)
        chrom_of = dict(zip(genes["gene_id"], genes["chrom"], strict=True))
        self.counts, self.chrom, self.marks = {}, {}, {}
        for name in ("E012", "E013", "E028"):
            with np.load(shared / name.lower() / f"{name}.covered_bases.npz") as stored:
                # Covered bases per bin, in reads of 36 bp.
                self.counts[name] = np.round(stored["X"] / 36).astype(np.uint32)
                self.chrom[name] = np.array([chrom_of.get(gene, "?") for gene in stored["gene"]])
                self.marks[name] = tuple(stored["have"]) if "have" in stored else CORE
                if name == "E012":
                    self.rpkm = stored["rpkm"]

    def profile(self, name: str, rows: Any = slice(None), rate: float = 1.0, order: Any = None) -> Profile:
        """Profile some genes at a fraction ``rate`` of the reads, with the columns in another ``order``."""
        marks = self.marks[name]
        columns = [CORE.index(mark) for mark in marks]
        counts = self.counts[name][rows][:, :, columns if order is None else [columns[i] for i in order]]
        if rate < 1:
            counts = np.random.default_rng(1).binomial(counts, rate)
        # A read of 36 bp overlaps 1.35 bins on average.
        sources = {
            mark: {
                "reads": round(rate * self.reads[name, mark]),
                "reads_in_windows": round(float(counts[:, :, i].sum()) / 1.35),
                "read_length_bp": {"mean": 36.0},
            }
            for i, mark in enumerate(marks)
        }
        return profile_counts(marks, counts, tuple(self.chrom[name][rows]), sources)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Epigenomes:
    return Epigenomes(shared_data)


@pytest.fixture(scope="module")
def trained(real: Epigenomes, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Profile]:
    folder = tmp_path_factory.mktemp("E003")
    for part in ("train", "valid", "test"):
        (folder / f"{part}.csv.gz").symlink_to(shared_data / "csv" / f"E003.{part}.csv.gz")
    (data,), _ = load_csv(folder)
    assert data.profile is not None
    return {name: real.profile(name) for name in real.counts} | {"E003": data.profile}


def variants(real: Epigenomes) -> Iterator[tuple[str, Profile]]:
    """Return samples of the same kind as the training: whole, thinned, and with fewer genes."""
    rng = np.random.default_rng(2)
    for name, counts in real.counts.items():
        yield f"{name} whole", real.profile(name)
        for rate in sized((0.1,), (0.3, 0.1, 0.05)):
            yield f"{name} {rate:.0%}", real.profile(name, rate=rate)
        for n in sized((30, 500), (10, 30, 100, 200, 500, 2000, 5000)):
            yield f"{name} {n} genes", real.profile(name, rng.permutation(len(counts))[:n])
    yield "E012 chr1", real.profile("E012", real.chrom["E012"] == "chr1")
    yield "E012 off", real.profile("E012", real.rpkm < np.median(real.rpkm))
    yield "E012 on", real.profile("E012", real.rpkm > np.median(real.rpkm))


@pytest.mark.realdata
@pytest.mark.campaign("unlike")
def test_real_epigenomes_are_not_refused_for_one_another(
    real: Epigenomes, trained: dict[str, Profile], record_property: Any
) -> None:
    n = 0
    for name, found in variants(real):
        for model, known in trained.items():
            findings = compare_profiles(found, [known])
            assert not any(finding.refuse for finding in findings), (name, model)
            depth = [re.findall(r": [\d,.]+ (?:reads|counts per gene) \(", finding.text) for finding in findings]
            if name.endswith("whole"):  # The depth of some marks differs up to sevenfold, and nothing else is said.
                assert [len(found) for found in depth] in ([], [1]), (name, model, findings)
            if name == f"{model} 10%":
                assert max(map(len, depth)) == len(known.marks)
            n += 1
    record_property("real profiles compared without a refusal", n)


@pytest.mark.realdata
@pytest.mark.campaign("unlike")
def test_depths_of_roadmap_seldom_differ_beyond_the_limit(real: Epigenomes) -> None:
    for mark in CORE:
        reads = np.array([n for (_, name), n in real.reads.items() if name == mark])
        pairs = np.abs(np.log(reads[:, None] / reads))[np.triu_indices(len(reads), 1)]
        assert np.mean(pairs < np.log(WARN_READS)) > 0.95


@pytest.mark.realdata
@pytest.mark.campaign("unlike")
def test_swapped_marks_of_real_epigenomes_are_found(
    real: Epigenomes, trained: dict[str, Profile], record_property: Any
) -> None:
    refused = tried = 0
    for name in real.counts:
        for one, two in combinations(range(len(real.marks[name])), 2):
            order = list(range(len(real.marks[name])))
            order[one], order[two] = two, one
            found = real.profile(name, order=order)
            for model, known in trained.items():
                marks = {real.marks[name][one], real.marks[name][two]}
                if not marks <= set(known.marks):
                    continue
                texts = refusals(found, known)
                tried += 1
                refused += bool(texts)
                if "H3K4me3" in marks or name == model:  # the only sharp peak; the model's own epigenome
                    assert texts, (name, model, marks)
                if name == model:
                    assert all(mark in texts[0] for mark in marks)
    assert refused / tried > 0.9
    record_property("swaps of two real marks tried", tried)
    record_property("swaps refused", refused)


@pytest.mark.realdata
@pytest.mark.campaign("unlike")
def test_reads_of_one_chromosome_and_genes_like_the_background_are_refused(
    real: Epigenomes, trained: dict[str, Profile]
) -> None:
    real.counts["chr1 only"] = np.where((real.chrom["E012"] == "chr1")[:, None, None], real.counts["E012"], 0)
    real.chrom["chr1 only"], real.marks["chr1 only"] = real.chrom["E012"], CORE
    real.reads |= {("chr1 only", mark): real.reads["E012", mark] // 12 for mark in CORE}
    try:
        texts = refusals(real.profile("chr1 only"), trained["E013"])
    finally:
        del real.counts["chr1 only"]
    assert f"{', '.join(CORE)}: no reads near any gene of some chromosomes" in "; ".join(texts)
    # Genes without any expression look like TSSs at wrong places: H3K4me3 has no peak.
    texts = refusals(real.profile("E012", real.rpkm == 0), trained["E012"])
    assert "H3K4me3: 21.7% of the reads in the middle fifth" in "; ".join(texts)
