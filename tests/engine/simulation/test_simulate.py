"""Simulated files have the requested size, follow the truth files, and are reproducible."""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats
from sklearn.metrics import roc_auc_score

from deepchrome.engine.annotation.genes import read_genes
from deepchrome.engine.annotation.genome import read_genome
from deepchrome.engine.simulation import model
from deepchrome.engine.simulation import simulate as simulator
from deepchrome.engine.simulation.kernels import MAX_BYTES_BESIDES_NAME, format_reads
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.errors import StorageError, UsageError

MARKS = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")
GENES, READS = 500, 150_000
SIZES = read_genome("hg19").sizes
CHROMOSOMES = [f"chr{name}" for name in (*range(1, 23), "X", "Y", "M")]
LINE = re.compile(rb"chr[0-9XYM]+\t\d+\t\d+\tN\t1000\t[+-]")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulate") / "sim"
    simulate(out, genes=GENES, reads=READS, seed=7)
    return out


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, **options: object) -> Path:
        simulate(tmp_path / name, **({"genes": 20, "reads": 3000, "epigenomes": 1} | options))  # type: ignore[arg-type]
        return tmp_path / name

    return make


def text(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def reads(path: Path) -> pl.DataFrame:
    columns = ["chrom", "start", "end", "name", "score", "strand"]
    return pl.read_csv(text(path), separator="\t", has_header=False, new_columns=columns)


def digests(directory: Path) -> dict[str, str]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def starts_in_windows(path: Path, directory: Path) -> np.ndarray:
    """Return the number of reads that start in each of the 100 bins of each gene, 5'→3': (genes, 100)."""
    genes, table = read_genes(directory / "genes.tsv"), reads(path)
    starts = {str(chrom): np.sort(part["start"].to_numpy()) for (chrom,), part in table.group_by("chrom")}
    counts = np.empty((len(genes), 100))
    for row in range(len(genes)):
        edges = genes.tss[row] - 5000 + 100 * np.arange(101)
        counts[row] = np.diff(np.searchsorted(starts[genes.chrom[row]], edges))
        if genes.strand[row] == "-":
            counts[row] = counts[row, ::-1]
    return counts


def test_names_of_the_files(made: Path) -> None:
    expected = {f"{epigenome}-{mark}.tagAlign.gz" for epigenome in ("E001", "E002") for mark in MARKS}
    assert {path.name for path in made.iterdir()} == expected | {"genes.tsv", "expression.tsv", "truth"}
    truth = {"E001.parquet", "E002.parquet", "profiles.tsv", "summary.tsv", "simulation.json"}
    assert {path.name for path in (made / "truth").iterdir()} == truth


@pytest.mark.parametrize("mark", MARKS)
def test_reads_are_tagalign_in_genome_order(made: Path, mark: str) -> None:
    path = made / f"E001-{mark}.tagAlign.gz"
    lines = text(path).split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == READS
    assert all(LINE.fullmatch(line) for line in lines)
    table = reads(path)
    assert (table["end"] - table["start"] == 36).all()
    plus = (table["strand"] == "+").sum()
    assert abs(plus - READS / 2) < 5 * np.sqrt(READS / 4)
    order = [name for name in SIZES if name in CHROMOSOMES]
    assert table["chrom"].unique(maintain_order=True).to_list() == order
    rank = table["chrom"].replace_strict(order, range(len(order))).to_numpy()
    keys = rank.astype(np.int64) * (1 << 30) + table["start"].to_numpy()
    assert (np.diff(keys) >= 0).all()


def test_three_reads_reach_past_an_end_and_all_start_inside(made: Path) -> None:
    table = reads(made / "E001-H3K4me3.tagAlign.gz")
    size = table["chrom"].replace_strict(list(SIZES), list(SIZES.values()))
    assert (table["start"] >= 0).all()
    assert (table["start"] < size).all()
    assert (table["end"] > size).sum() == 3
    assert ((table["chrom"] == "chrM") & (table["start"] == 16536) & (table["end"] == 16572)).sum() >= 1


def test_background_is_uniform_apart_from_chrm(made: Path) -> None:
    chrom = reads(made / "E001-H3K4me3.tagAlign.gz")["chrom"]
    mitochondrial = 0.7 * 0.002 * READS
    assert abs((chrom == "chrM").sum() - mitochondrial) < 5 * np.sqrt(mitochondrial)
    # No gene lies on chrY, so all of its reads are background.
    share = SIZES["chrY"] / sum(SIZES[name] for name in CHROMOSOMES if name != "chrM")
    expected = 0.7 * 0.998 * READS * share
    assert abs((chrom == "chrY").sum() - expected) < 5 * np.sqrt(expected)


def test_shuffled_reads_are_a_permutation(small: Callable[..., Path]) -> None:
    ordered, shuffled = small("ordered"), small("shuffled", shuffle=True)
    for mark in MARKS:
        one, other = (text(path / f"E001-{mark}.tagAlign.gz").splitlines() for path in (ordered, shuffled))
        assert one != other
        assert sorted(one) == sorted(other)
    for name in ("genes.tsv", "expression.tsv", "truth/E001.parquet", "truth/summary.tsv"):
        assert (ordered / name).read_bytes() == (shuffled / name).read_bytes()


def test_containers_hold_the_same_text(small: Callable[..., Path]) -> None:
    plain = small("plain", container="plain") / "E001-H3K4me3.tagAlign"
    bgzip = small("bgzip", container="bgzip") / "E001-H3K4me3.tagAlign.gz"
    zipped = small("gzip") / "E001-H3K4me3.tagAlign.gz"
    assert text(plain) == text(bgzip) == text(zipped)
    data = bgzip.read_bytes()
    assert data[:4] == b"\x1f\x8b\x08\x04"
    assert data[12:14] == b"BC"
    assert data.endswith(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))
    data = zipped.read_bytes()
    assert data[:8] == b"\x1f\x8b\x08\x00\0\0\0\0"  # no name, no time


@pytest.mark.parametrize("container", ["gzip", "bgzip", "plain"])
def test_same_seed_same_bytes(small: Callable[..., Path], container: str) -> None:
    one, again, other = (small(n, container=container, seed=s) for n, s in (("a", 3), ("b", 3), ("c", 4)))
    assert digests(one) == digests(again)
    same = {name for name, digest in digests(one).items() if digests(other)[name] == digest}
    assert same == {"truth/profiles.tsv"}


def test_file_does_not_depend_on_other_files(small: Callable[..., Path]) -> None:
    one, more = digests(small("one", marks=["H3K4me3"])), digests(small("more", epigenomes=3))
    for name in ("E001-H3K4me3.tagAlign.gz", "genes.tsv"):
        assert one[name] == more[name]
    first, third = (
        pl.read_csv(path / "expression.tsv", separator="\t") for path in (small("x"), small("y", epigenomes=3))
    )
    assert first.equals(third.select("gene_id", "E001"))


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_number_of_reads_is_exact(small: Callable[..., Path], count: int) -> None:
    out = small("few", reads=count, genes=1)
    for mark in MARKS:
        assert text(out / f"E001-{mark}.tagAlign.gz").count(b"\n") == count


def test_genes_lie_on_hg19(made: Path) -> None:
    genes = read_genes(made / "genes.tsv")
    assert len(genes) == GENES
    assert list(genes.gene_id) == sorted(set(genes.gene_id))
    assert all(re.fullmatch(r"ENSG9\d{10}", gene_id) for gene_id in genes.gene_id)
    assert set(genes.chrom) == set(CHROMOSOMES) - {"chrY", "chrM"}
    size = np.array([SIZES[chrom] for chrom in genes.chrom])
    assert (genes.tss >= 10_000).all()
    assert (genes.tss <= size - 10_000).all()
    assert abs(genes.strand.count("+") - GENES / 2) < 5 * np.sqrt(GENES / 4)
    expected = GENES * SIZES["chr1"] / sum(SIZES[name] for name in set(genes.chrom))
    assert abs(genes.chrom.count("chr1") - expected) < 5 * np.sqrt(expected)
    isolated = pl.read_parquet(made / "truth/E001.parquet")["isolated"].to_numpy()
    for row in range(GENES):
        near = [
            other
            for other in range(GENES)
            if genes.chrom[other] == genes.chrom[row] and abs(genes.tss[other] - genes.tss[row]) < 10_000
        ]
        assert isolated[row] == (near == [row])
    assert 0.1 < 1 - isolated.mean() < 0.35


def test_expression_is_lognormal_with_zeros_and_partly_shared(made: Path) -> None:
    lines = (made / "expression.tsv").read_text().splitlines()
    assert lines[0] == "gene_id\tE001\tE002"
    assert all(re.fullmatch(r"ENSG\d{11}(\t\d+\.\d{3}){2}", line) for line in lines[1:])
    table = pl.read_csv(made / "expression.tsv", separator="\t")
    assert table["gene_id"].to_list() == list(read_genes(made / "genes.tsv").gene_id)
    rpkm = table.select("E001", "E002").to_numpy()
    assert 0.05 < (rpkm == 0).mean() < 0.15
    # Except for the lowest tenth, which is 0, log2(RPKM) is normal with mean 1.5 and sd 3.
    for level, z in ((0.25, -0.6745), (0.5, 0.0), (0.9, 1.2816)):
        assert np.log2(np.quantile(rpkm, level)) == pytest.approx(1.5 + 3 * z, abs=0.6)
    assert 0.7 < stats.spearmanr(rpkm[:, 0], rpkm[:, 1]).statistic < 0.92


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("epigenome", ["E001", "E002"])
def test_reads_follow_the_truth(made: Path, epigenome: str, mark: str) -> None:
    truth = pl.read_parquet(made / f"truth/{epigenome}.parquet")
    profiles = pl.read_csv(made / "truth/profiles.tsv", separator="\t").filter(pl.col("mark") == mark)
    observed = starts_in_windows(made / f"{epigenome}-{mark}.tagAlign.gz", made)
    background = 0.7 * READS * 100 / sum(SIZES[name] for name in CHROMOSOMES)
    assert truth[f"{mark}_expected_reads"].sum() == pytest.approx(0.3 * (READS - 3))
    for label in ("on", "off"):
        profile = np.exp(profiles.filter(pl.col("class") == label).sort("bin")["log_enrichment"].to_numpy())
        wanted = truth["isolated"] & (truth[f"{mark}_on"] == (label == "on"))
        expected = truth.filter(wanted)[f"{mark}_expected_reads"].to_numpy()[:, None] * profile / profile.sum()
        bins = observed[wanted.to_numpy()].sum(0)
        mean = expected.sum(0) + background * len(expected)
        chi_square = ((bins - mean) ** 2 / mean).sum()
        assert chi_square < stats.chi2.ppf(0.9999, 100)
        genes = (
            (observed[wanted.to_numpy()].sum(1) - expected.sum(1)) ** 2 / (expected.sum(1) + 100 * background)
        ).sum()
        assert abs(genes - len(expected)) < 5 * np.sqrt(2 * len(expected)) + 0.1 * len(expected)


def test_marks_have_their_profiles_on_active_and_silent_genes(made: Path) -> None:
    rpkm = pl.read_parquet(made / "truth/E001.parquet")["rpkm"].to_numpy()
    active = rpkm > np.median(rpkm)
    mean = {}
    for mark in MARKS:
        counts = starts_in_windows(made / f"E001-{mark}.tagAlign.gz", made)
        mean[mark, "active"], mean[mark, "silent"] = counts[active].mean(0), counts[~active].mean(0)
    upstream, tss, downstream = slice(0, 30), slice(45, 55), slice(70, 100)
    k4me3 = mean["H3K4me3", "active"]
    assert k4me3[tss].mean() > 4 * mean["H3K4me3", "silent"][tss].mean()
    assert k4me3[tss].mean() > 15 * k4me3[upstream].mean()
    k36me3 = mean["H3K36me3", "active"]
    assert k36me3[downstream].mean() > 2 * k36me3[upstream].mean()
    assert k36me3[downstream].mean() > 2 * mean["H3K36me3", "silent"][downstream].mean()
    k4me1 = mean["H3K4me1", "active"]
    for flank in (slice(31, 39), slice(61, 69)):
        assert k4me1[flank].mean() > 2.5 * k4me1[48:52].mean()
        assert k4me1[flank].mean() > 1.3 * mean["H3K4me1", "silent"][flank].mean()
    for mark in ("H3K27me3", "H3K9me3"):
        assert mean[mark, "silent"][30:70].mean() > 1.1 * mean[mark, "active"][30:70].mean()


def test_profiles_of_minus_strand_genes_are_mirrored(made: Path) -> None:
    genes, table = read_genes(made / "genes.tsv"), reads(made / "E001-H3K36me3.tagAlign.gz")
    on = pl.read_parquet(made / "truth/E001.parquet")["H3K36me3_on"]
    low = high = 0
    for chrom, tss, strand, is_on in zip(genes.chrom, genes.tss, genes.strand, on, strict=True):
        if strand == "-" and is_on:
            starts = table.filter(pl.col("chrom") == chrom)["start"]
            low += starts.is_between(tss - 5000, tss - 2000).sum()
            high += starts.is_between(tss + 2000, tss + 5000).sum()
    assert low > 2 * high


def test_truth_files_agree_with_each_other(made: Path) -> None:
    expression = pl.read_csv(made / "expression.tsv", separator="\t")
    summary = pl.read_csv(made / "truth/summary.tsv", separator="\t")
    assert summary["epigenome"].to_list() == ["E001", "E002"]
    for row in summary.iter_rows(named=True):
        truth = pl.read_parquet(made / f"truth/{row['epigenome']}.parquet")
        assert truth["gene_id"].equals(expression["gene_id"])
        assert truth["rpkm"].to_list() == expression[row["epigenome"]].to_list()
        order = np.argsort(truth["activity"].to_numpy())
        assert (np.diff(truth["rpkm"].to_numpy()[order]) >= 0).all()
        positive = truth["rpkm"].to_numpy() > np.median(truth["rpkm"].to_numpy())
        odds, isolated = truth["log_odds"].to_numpy(), truth["isolated"].to_numpy()
        assert row["bayes_auroc"] == pytest.approx(roc_auc_score(positive, odds), abs=1e-4)
        assert (row["genes"], row["isolated_genes"], row["reads"]) == (GENES, isolated.sum(), READS)
        assert 0.9 < row["bayes_auroc"] < row["latent_auroc"] + 0.01
        assert 0.8 < row["H3K4me3_auroc"] < 0.93
        assert all(0.5 < row[f"{mark}_auroc"] < row["bayes_auroc"] for mark in MARKS)
    manifest = json.loads((made / "truth/simulation.json").read_text())
    assert (manifest["seed"], manifest["genes"], manifest["reads"]) == (7, GENES, READS)
    assert set(manifest["files"]) == set(digests(made)) - {"truth/simulation.json"}


def test_log_odds_are_calibrated(tmp_path: Path) -> None:
    # A fraction p of the genes with posterior p must be active. Only the correct likelihood achieves this.
    simulate(tmp_path / "sim", genes=8000, reads=400_000, epigenomes=1, seed=11)
    truth = pl.read_parquet(tmp_path / "sim/truth/E001.parquet")
    posterior = 1 / (1 + np.exp(-truth["log_odds"].to_numpy()))
    active = truth["activity"].to_numpy() > 0
    for stratum in np.array_split(np.argsort(posterior), 8):
        p = posterior[stratum]
        assert abs(active[stratum].sum() - p.sum()) < 4.5 * np.sqrt((p * (1 - p)).sum())


@pytest.mark.parametrize("mark", MARKS)
def test_state_likelihoods_equal_numerical_integration(mark: str) -> None:
    counts = np.random.default_rng(5).poisson(1.2, (2, 100))
    counts[0, 45:60] += 9
    base, background = 0.8, np.full((2, 100), 0.15)
    background[1, 30:80] += np.linspace(0, 2, 50)  # a neighbour
    on, off = model.state_log_likelihoods(counts, model.MARKS[mark], base, background)
    for gene in range(2):
        value = []
        for profile in (model.MARKS[mark].on, model.MARKS[mark].off):

            def log_joint(z: float, profile: np.ndarray = profile, gene: int = gene) -> float:
                rate = base * np.exp(0.5 * z + profile) + background[gene]
                return float(stats.poisson.logpmf(counts[gene], rate).sum() + stats.norm.logpdf(z))

            top = max(log_joint(z) for z in np.linspace(-8, 8, 321))
            area = integrate.quad(lambda z: np.exp(log_joint(z) - top), -8, 8, points=[-4, -2, 0, 2, 4], limit=400)[0]  # noqa: B023
            value.append(top + np.log(area))
        assert on[gene] - off[gene] == pytest.approx(value[0] - value[1], rel=1e-3, abs=1e-3)


def test_neighbour_reads_equal_a_sum_over_base_pairs() -> None:
    rng = np.random.default_rng(3)
    starts = np.array([1000, 4250, 30_000, 4250, 14_400])
    edges = starts[:, None] + np.arange(101) * 100
    rate = rng.random((5, 100))
    found = model.neighbour_reads(edges, rate)
    per_bp = np.zeros((5, 50_000))
    for gene, start in enumerate(starts):
        per_bp[gene, start : start + 10_000] = np.repeat(rate[gene] / 100, 100)
    for gene, start in enumerate(starts):
        others = np.delete(per_bp, gene, axis=0).sum(0)[start : start + 10_000]
        np.testing.assert_allclose(found[gene], others.reshape(100, 100).sum(1), atol=1e-12)
    assert not found[2].any()


def test_log_odds_equal_numerical_integration() -> None:
    on = {"H3K4me3": np.array([0.0, -3.0]), "H3K27me3": np.array([-2.0, 0.0])}
    off = {"H3K4me3": np.array([-5.0, 0.0]), "H3K27me3": np.array([0.0, -1.0])}
    odds = model.log_odds(on, off)
    for gene in range(2):

        def density(a: float, gene: int = gene) -> float:
            value = stats.norm.pdf(a)
            for mark in on:
                p = stats.norm.cdf(a / model.MARKS[mark].noise)
                value *= p * np.exp(on[mark][gene]) + (1 - p) * np.exp(off[mark][gene])
            return float(value)

        expected = np.log(integrate.quad(density, 0, 6)[0] / integrate.quad(density, -6, 0)[0])
        assert odds[gene] == pytest.approx(expected, abs=1e-3)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auroc_equals_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    score, positive = np.array([float(s) for s, _ in pairs]), np.array([p for _, p in pairs])
    value = model.auroc(score, positive)
    if positive.all() or not positive.any():
        assert value is None
    else:
        assert value == pytest.approx(roc_auc_score(positive, score))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 300_000_000), st.booleans()), max_size=20))
def test_lines_are_formatted_as_python_would(table: list[tuple[int, int, bool]]) -> None:
    names, offsets = ["chr1", "chr10", "chrM"], np.array([0, 400_000_000, 800_000_000])
    keys = np.array([2 * (int(offsets[chrom]) + start) + minus for chrom, start, minus in table], np.int64)
    padded = np.array([[*name.ljust(5).encode()] for name in names], np.uint8)
    out = np.empty(len(keys) * (5 + MAX_BYTES_BESIDES_NAME), np.uint8)
    used = format_reads(keys, offsets, padded, np.array([4, 5, 4]), out)
    expected = "".join(
        f"{names[chrom]}\t{start}\t{start + 36}\tN\t1000\t{'-' if minus else '+'}\n" for chrom, start, minus in table
    )
    assert out[:used].tobytes().decode() == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epigenomes": 0}, "epigenomes must be at least 1, got 0"),
        ({"epigenomes": 1000}, "epigenomes must be at most 872, got 1000"),
        ({"genes": 0}, "genes must be at least 1, got 0"),
        ({"reads": 0}, "reads must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        (
            {"marks": ["H3K4me3", "H3K27ac"]},
            "marks must be among H3K27me3, H3K36me3, H3K4me1, H3K4me3, H3K9me3, got 'H3K27ac'",
        ),
        ({"marks": []}, "marks must name one or more"),
        ({"marks": ["H3K4me3", "H3K4me3"]}, "each once"),
        ({"container": "zip"}, "container must be one of gzip, bgzip, plain, got 'zip'"),
    ],
)
def test_parameters_out_of_range_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        simulate(tmp_path / "out", **options)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_directory_that_is_not_empty_is_refused(small: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        small("full")
    assert digests(tmp_path / "full") == {"mine.txt": hashlib.sha256(b"mine").hexdigest()}
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a directory"):
        small("file", force=True)


def test_empty_directory_and_missing_parents_are_accepted(small: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert digests(small("empty")) == digests(small("a/b/c"))
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "a"}  # no leftovers


def test_force_replaces_only_the_simulation(small: Callable[..., Path], tmp_path: Path) -> None:
    out = small("sim", epigenomes=2)
    (out / "E009-H3K4me3.tagAlign.gz").write_text("not of the simulation")
    (out / "features").mkdir()
    (out / "features" / "E001.parquet").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        small("sim")
    small("sim", marks=["H3K4me3"], force=True)
    fresh = digests(small("fresh", marks=["H3K4me3"]))
    others = {"E009-H3K4me3.tagAlign.gz", "features/E001.parquet"}
    after = digests(out)
    assert set(after) == set(fresh) | others
    assert {name: after[name] for name in fresh} == fresh


def test_forged_manifest_removes_no_other_files(small: Callable[..., Path], tmp_path: Path) -> None:
    out, precious = small("sim"), tmp_path / "precious.txt"
    precious.write_text("x")
    manifest = out / "truth/simulation.json"
    manifest.write_text(json.dumps({"files": ["../precious.txt", str(precious), "..", "truth/../../precious.txt", 5]}))
    small("sim", force=True)
    assert precious.read_text() == "x"
    for rubbish in ("{", "[]", '{"files": 3}'):
        manifest.write_text(rubbish)
        small("sim", force=True)
        assert digests(out) == digests(small(f"fresh{len(rubbish)}"))


def test_failure_leaves_the_old_simulation(
    small: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = small("sim")
    before = digests(out)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(simulator, "write_reads", fail)
    with pytest.raises(StorageError, match="No space left"):
        small("sim", seed=2, force=True)
    with pytest.raises(StorageError, match="No space left"):
        small("new")
    assert digests(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["sim"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full to stand for a full disk")
@pytest.mark.parametrize("container", ["gzip", "bgzip", "plain"])
def test_full_disk_is_an_error(container: simulator.Container) -> None:
    chromosomes = simulator.Chromosomes.from_genome(read_genome("hg19"))
    keys = np.random.default_rng(1).integers(0, 6_000_000_000, 100_000)
    with pytest.raises(OSError):  # noqa: PT011 - its text differs by container
        simulator.write_reads(Path("/dev/full"), keys, chromosomes, container)


def dc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "deepchrome", *arguments], capture_output=True, text=True, check=False)


def test_simulate_command(tmp_path: Path, small: Callable[..., Path]) -> None:
    out = str(tmp_path / "sim")
    options = ("--genes", "20", "--reads", "3000", "--epigenomes", "1")
    done = dc("simulate", "--out", out, *options, "--seed", "5", "--marks", "H3K9me3,H3K4me3", "--shuffle")
    assert done.returncode == 0
    assert done.stdout == (tmp_path / "sim/truth/summary.tsv").read_text()
    assert done.stderr == f"{out}: 2 files of 3000 reads, genes.tsv, expression.tsv, truth/\n"
    assert digests(tmp_path / "sim") == digests(small("lib", seed=5, marks=["H3K9me3", "H3K4me3"], shuffle=True))
    again = dc("simulate", "--out", out, *options)
    assert again.returncode == 2
    assert again.stderr.startswith(f"dc: {out}: the directory is not empty. ")
    forced = dc("simulate", "--out", out, *options, "--force", "--json", "--format", "plain")
    assert forced.returncode == 0
    (summary,) = json.loads(forced.stdout)
    assert (summary["epigenome"], summary["reads"], set(summary["mark_auroc"])) == ("E001", 3000, set(MARKS))
    assert not list((tmp_path / "sim").glob("*.gz"))
