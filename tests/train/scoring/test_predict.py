"""Predictions for new samples: columns, contrasts, samples that no model has seen, and depth."""

import csv
import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from campaign.rows import FULL
from scipy.stats import percentileofscore
from support.epigenomes import MARKS, write_random_features
from support.tiny import dc

from deepchrome.benchmarks.train.profiles import convert, measure_depth
from deepchrome.engine.features.store import Features, feature_files, read_features, write_features
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.run.directory import Run
from deepchrome.train.run.protocols import BEST
from deepchrome.train.run.train import train_models
from deepchrome.train.scoring import predict as prediction
from deepchrome.train.scoring.checks import FeatureChecks
from deepchrome.train.scoring.predict import choose_model, predict, predict_contrast, predict_with_attention
from deepchrome.train.scoring.tables import describe_scores, side_file, write_table
from deepchrome.version import VERSION

CPU = Placement("cpu", threads=2)
GENES = 450


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_random_features(folder / "features", genes=GENES)
    return folder


def trained(folder: Path, name: str, **options: object) -> Run:
    source = FeatureSource(folder / "features", folder / "expression.tsv", split="random", seed=3)
    config = FitConfig(**{"epochs": 3, "batch_size": 16, "task": "both", **options})  # type: ignore[arg-type]
    inputs = replace(BEST.inputs, missing_marks=config.pooled)
    train_models(source, folder / name, config=config, inputs=inputs, placement=CPU)
    return Run(folder / name)


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return trained(folder, "run")


@pytest.fixture(scope="module")
def pooled(folder: Path) -> Run:
    return trained(folder, "pooled", pooled=True, mark_dropout=0.2)


@pytest.fixture(scope="module")
def attentive(folder: Path) -> Run:
    return trained(folder, "attentive", model="attentivechrome", epochs=1, task="classify")


def write_changed(
    path: Path,
    features: Features,
    rows: Sequence[int] | np.ndarray | None = None,
    *,
    ids: Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    marks: Sequence[str] | None = None,
    rate: float = 1.0,
) -> Path:
    """Write some genes of features, with other ids or symbols, with some of the marks, or with fewer reads."""
    chosen = np.arange(len(features.genes)) if rows is None else np.asarray(rows)
    genes = features.genes.take(chosen)
    genes = replace(genes, gene_id=tuple(ids or genes.gene_id), symbol=tuple(symbols or genes.symbol))
    counts = features.counts[chosen]
    if rate < 1:
        counts = np.random.default_rng(5).binomial(counts, rate).astype(np.uint32)
    kept = {mark: counts[:, :, i] for i, mark in enumerate(features.marks) if marks is None or mark in marks}
    names = ("genome", "bin_size", "flank", "n_bins")
    metadata = {name: features.metadata[name] for name in names if name in features.metadata}
    sources = {mark: {"reads": round(rate * source["reads"])} for mark, source in features.metadata["sources"].items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_features(path, genes, kept, {**metadata, "sources": sources})
    return path


def test_columns_are_those_of_the_run_the_features_and_independent_software(run: Run, folder: Path) -> None:
    table = predict(run, folder / "features")
    columns = ["gene_id", "symbol", "epigenome", "split", "score", "percentile", "call", "log2_rpkm"]
    assert table.columns == columns
    assert table.height == 2 * GENES
    for name in ("E001", "E002"):
        own = table.filter(pl.col("epigenome") == name)
        genes = read_features(folder / "features" / f"{name}.parquet").genes
        assert (tuple(own["gene_id"]), tuple(own["symbol"])) == (genes.gene_id, genes.symbol)
        stored = run.predictions().filter(pl.col("epigenome") == name)
        assert own["split"].to_list() == stored["split"].to_list()
        assert set(own["split"]) == {"train", "valid", "test"}
        for column in ("score", "log2_rpkm"):
            np.testing.assert_allclose(own[column], stored[column], atol=1e-6)
        expected = percentileofscore(own["score"], own["score"], kind="mean")
        np.testing.assert_allclose(own["percentile"], expected)
        assert own["call"].to_list() == ["on" if score > 0.5 else "off" for score in own["score"]]
        assert set(own["call"]) == {"on", "off"}


def test_equal_scores_share_a_percentile(run: Run, folder: Path, tmp_path: Path) -> None:
    """The first gene three times, and the second."""
    features = read_features(folder / "features" / "E001.parquet")
    same = [*range(GENES), 0, 0]
    ids = [*features.genes.gene_id, "copy1", "copy2"]
    table = predict(run, write_changed(tmp_path / "E001.parquet", features, same, ids=ids))
    copies = table.filter(pl.col("gene_id").is_in([ids[0], "copy1", "copy2"]))["percentile"]
    assert copies.n_unique() == 1
    np.testing.assert_allclose(table["percentile"], percentileofscore(table["score"], table["score"], kind="mean"))


def test_models_that_only_classify_predict_no_expression(attentive: Run, folder: Path) -> None:
    assert "log2_rpkm" not in predict(attentive, folder / "features").columns
    with pytest.raises(UsageError, match="the models of this run predict no expression") as caught:
        predict_contrast(attentive, folder / "features", ("E001", "E002"))
    assert caught.value.remedy == "regression"
    assert describe_scores(attentive, ["E001"])["log2_scale"] is None


def test_the_model_of_another_epigenome_is_used_only_on_request(run: Run, folder: Path, tmp_path: Path) -> None:
    new = tmp_path / "E009.parquet"
    write_changed(new, read_features(folder / "features" / "E001.parquet"))
    with pytest.raises(UsageError, match=r"no model of E009 \(found E001, E002\)") as caught:
        predict(run, new)
    assert caught.value.remedy == "model_of"
    with pytest.raises(UsageError, match=r"no model of E010 \(found E001, E002\)") as caught:
        choose_model(run, "E009", "E010")
    assert caught.value.remedy == ""
    table = predict(run, new, model_of="E002")
    assert table["epigenome"].unique().to_list() == ["E009"]
    assert table["model"].unique().to_list() == ["E002"]
    assert table.height == GENES


def test_scores_do_not_depend_on_order_versions_or_genes_that_the_run_does_not_know(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    """The additional genes have no reads. With them, depth by ranks would be another."""
    features = read_features(folder / "features" / "E001.parquet")
    expected = predict(run, folder / "features" / "E001.parquet")
    order = np.random.default_rng(1).permutation(GENES)
    shuffled = predict(run, write_changed(tmp_path / "a" / "E001.parquet", features, order))
    assert shuffled["gene_id"].to_list() == [features.genes.gene_id[i] for i in order]
    np.testing.assert_allclose(shuffled["score"], expected["score"].to_numpy()[order], atol=1e-6)
    assert shuffled["split"].to_list() == expected["split"].gather(order).to_list()

    versioned = [f"{gene}.12" for gene in features.genes.gene_id]
    table = predict(run, write_changed(tmp_path / "b" / "E001.parquet", features, ids=versioned))
    assert table["gene_id"].to_list() == versioned
    assert table["split"].equals(expected["split"])
    np.testing.assert_allclose(table["score"], expected["score"], atol=1e-6)

    silent = replace(features, counts=np.concatenate([features.counts, np.zeros_like(features.counts)]))
    silent = replace(silent, genes=features.genes.take(np.r_[0:GENES, 0:GENES]))
    ids = [*features.genes.gene_id, *(f"LNC{i}" for i in range(GENES))]
    quiet = FeatureChecks(on_warning=lambda _: None)
    with_silent = predict(run, write_changed(tmp_path / "c" / "E001.parquet", silent, ids=ids), checks=quiet)
    np.testing.assert_allclose(with_silent["score"][:GENES], expected["score"], atol=1e-6)
    assert with_silent["split"][GENES:].null_count() == GENES


def test_a_sample_of_unfit_genes_gives_a_warning(run: Run, folder: Path, tmp_path: Path) -> None:
    features = read_features(folder / "features" / "E001.parquet")
    stored = run.predictions().group_by("gene_id").agg(pl.col("label").mean())
    label = dict(stored.iter_rows())
    on = [i for i, gene in enumerate(features.genes.gene_id) if label[gene] > 0]

    def warnings(name: str, **change: object) -> list[str]:
        said: list[str] = []
        path = write_changed(tmp_path / name / "E001.parquet", features, **change)  # type: ignore[arg-type]
        predict(run, path, checks=FeatureChecks(on_warning=said.append))
        return said

    assert warnings("random", rows=np.arange(0, 300)) == []
    ids = [*features.genes.gene_id[:150], *(f"X{i}" for i in range(GENES - 150))]
    (few,) = warnings("few", ids=ids)
    assert "the run knows only 150 of 450 genes, so all of them stand for the genes of the training" in few
    (biased,) = warnings("biased", rows=on)
    assert (
        f"{np.mean([label[features.genes.gene_id[i]] for i in on]):.0%} of the genes are on in the training" in biased
    )
    assert "so scores are too low" in biased
    off = [i for i in range(GENES) if label[features.genes.gene_id[i]] < 1]
    assert "so scores are too high" in warnings("off", rows=off)[0]


def test_features_that_do_not_fit_are_refused_with_every_difference(run: Run, folder: Path, tmp_path: Path) -> None:
    write_random_features(tmp_path / "coarse", ("E001",), genes=30, bin_size=200)
    with pytest.raises(BadDataError, match="200 bp per bin, expected 100; 2400 bp of flank, expected 1200"):
        predict(run, tmp_path / "coarse")
    features = read_features(folder / "features" / "E001.parquet")
    path = write_changed(tmp_path / "E001.parquet", features, marks=MARKS[:2])
    with pytest.raises(BadDataError, match=f"no mark {MARKS[2]}"):
        predict(run, path)


def test_a_pooled_run_scores_samples_that_it_has_not_seen_and_that_lack_marks(
    pooled: Run, folder: Path, tmp_path: Path
) -> None:
    features = read_features(folder / "features" / "E001.parquet")
    said: list[str] = []
    checks = FeatureChecks(on_note=said.append)
    new = predict(pooled, write_changed(tmp_path / "whole" / "E009.parquet", features), checks=checks)
    known = predict(pooled, folder / "features" / "E001.parquet")
    assert new["score"].equals(known["score"])
    assert "model" not in new.columns
    with pytest.raises(UsageError, match=r"no model of E001 \(found pooled\)"):
        predict(pooled, folder / "features", model_of="E001")
    lacking = write_changed(tmp_path / "lacking" / "E010.parquet", features, marks=MARKS[1:], rate=0.5)
    table = predict(pooled, lacking, checks=checks)
    x = prediction.prepare_inputs(pooled, read_features(lacking))
    assert np.isnan(x[:, :, 0]).all()
    assert not np.isnan(x[:, :, 1:]).any()
    np.testing.assert_allclose(table["score"], pooled.model("pooled").score(x).score)
    near = r"nearest profile E001 \(distance [\d.]+\)"
    assert len(said) == 2
    assert said[0] == "E009: reads 1 times those of the training; nearest profile E001 (distance 0)"
    assert said[1].startswith("E010: reads 0.5 times those of the training; nearest profile E001 (distance ")
    assert said[1].endswith(f"; without {MARKS[0]}"), near
    # The mark tells most about the gene: without it, scores are others.
    without = write_changed(tmp_path / "E011.parquet", features, marks=(MARKS[0], MARKS[2]))
    assert np.abs(predict(pooled, without)["score"] - known["score"]).mean() > 0.02


def test_a_contrast_is_the_difference_of_predicted_expression(
    run: Run, pooled: Run, folder: Path, tmp_path: Path
) -> None:
    for model in (run, pooled):
        table = predict_contrast(model, folder / "features", ("E002", "E001"))
        assert table.columns == ["gene_id", "symbol", "log2_fold_change"]
        both = predict(model, folder / "features")
        one, two = (both.filter(pl.col("epigenome") == name) for name in ("E001", "E002"))
        assert table["gene_id"].equals(one["gene_id"])
        assert table["symbol"].equals(one["symbol"])
        np.testing.assert_allclose(table["log2_fold_change"], two["log2_rpkm"] - one["log2_rpkm"])
        assert table["log2_fold_change"].std() > 0
    with pytest.raises(UsageError, match="a contrast of E001 with itself"):
        predict_contrast(run, folder / "features", ("E001", "E001"))
    with pytest.raises(UsageError, match=r"features: no epigenome E003 \(it has E001, E002\)"):
        predict_contrast(run, folder / "features", ("E001", "E003"))
    for name, rows in (("E001", np.arange(GENES)), ("E002", np.arange(GENES)[::-1])):
        write_changed(tmp_path / f"{name}.parquet", read_features(folder / "features" / f"{name}.parquet"), rows)
    with pytest.raises(BadDataError, match="the genes of E001 differ from those of E002"):
        predict_contrast(run, tmp_path, ("E001", "E002"))


def test_attention_sums_to_one_for_every_gene(attentive: Run, folder: Path) -> None:
    scores, table = predict_with_attention(attentive, folder / "features")
    assert scores.equals(predict(attentive, folder / "features"))
    assert table.columns == ["gene_id", "epigenome", "marks", *MARKS]
    assert table.height == 2 * GENES
    np.testing.assert_allclose(table["marks"].to_numpy().sum(1), 1, atol=1e-5)
    for mark in MARKS:
        assert table[mark].to_numpy().shape == (2 * GENES, 24)
        np.testing.assert_allclose(table[mark].to_numpy().sum(1), 1, atol=1e-5)


def test_scores_and_attention_come_from_one_reading_of_the_features(
    attentive: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(prediction, "read_features", lambda *given: read.append(given[0].stem) or read_features(*given))
    predict_with_attention(attentive, folder / "features")
    assert read == ["E001", "E002"]


def test_attention_is_computed_on_the_given_device(attentive: Run, folder: Path) -> None:
    """PyTorch's meta device computes shapes only, so it has no weights to return."""
    with pytest.raises(NotImplementedError, match="meta"):
        predict_with_attention(attentive, folder / "features", device="meta")


@pytest.mark.parametrize("name", ["run", "pooled"])
def test_attention_of_other_models_is_refused(name: str, folder: Path, request: pytest.FixtureRequest) -> None:
    kind = "deepchrome" if name == "run" else "pooled"
    with pytest.raises(UsageError, match=f"{kind} models have no attention weights"):
        predict_with_attention(request.getfixturevalue(name), folder / "features")


def test_the_suffix_of_a_table_decides_its_format(tmp_path: Path) -> None:
    table = pl.DataFrame({"symbol": ["A,B", 'C"D', "E"], "split": ["test", None, "train"], "score": [0.5, 1.0, 0.25]})
    document = {"threshold": 0.5}
    for suffix in ("tsv", "csv", "parquet"):
        write_table(tmp_path / f"t.{suffix}", table, document)
    rows = [["symbol", "split", "score"], ["A,B", "test", "0.5"], ['C"D', "", "1.0"], ["E", "train", "0.25"]]
    assert (tmp_path / "t.tsv").read_text() == "".join("\t".join(row) + "\n" for row in rows)
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == rows
    assert pl.read_parquet(tmp_path / "t.parquet").equals(table)
    assert json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"deepchrome"]) == document
    for suffix in ("tsv", "csv"):
        assert json.loads((tmp_path / f"t.{suffix}.json").read_text()) == document
    assert side_file(tmp_path / "t.parquet") is None
    write_table(tmp_path / "plain.tsv", table)
    assert not (tmp_path / "plain.tsv.json").exists()
    with pytest.raises(UsageError, match=r"unknown table format. Use the suffix .parquet, .tsv or .csv"):
        write_table(tmp_path / "t.xlsx", table)


@pytest.mark.parametrize("suffix", ["parquet", "tsv", "csv"])
def test_the_program_describes_its_tables(suffix: str, run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / f"scores.{suffix}"
    ran = dc("predict", run.path, folder / "features" / "E002.parquet", "--out", out, "--device", "cpu")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        "dc predict: E002: reads 1 times those of the training; nearest profile E002 (distance 0)",
        f"dc predict: {GENES} scores in {out}",
    ]
    if suffix == "parquet":
        text = pq.read_schema(out).metadata[b"deepchrome"]
    else:
        text = (tmp_path / f"scores.{suffix}.json").read_bytes()
    used = b"".join((run.path / name).read_bytes() for name in ("config.json", "models/E002.safetensors"))
    digest = subprocess.run(["sha256sum"], input=used, capture_output=True, check=True).stdout.split()[0].decode()
    assert json.loads(text) == {
        "deepchrome": VERSION,
        "command": f"dc predict {run.path} {folder / 'features' / 'E002.parquet'} --out {out} --device cpu",
        "run_sha256": digest,
        "trained_on": {"E002": ["E002"]},
        "log2_scale": "log2(RPKM + 1)",
        "threshold": 0.5,
    }


def test_the_program_writes_contrasts(pooled: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "contrast.parquet"
    call = ("predict", pooled.path, folder / "features", "--out", out, "--device", "cpu")
    ran = dc(*call, "--contrast", "E001,E002")
    assert (ran.code, ran.out) == (0, "")
    assert f"{GENES} differences in {out}" in ran.err
    assert pl.read_parquet(out).equals(predict_contrast(pooled, folder / "features", ("E001", "E002")))
    document = json.loads(pq.read_schema(out).metadata[b"deepchrome"])
    assert (document["contrast"], document["trained_on"]) == (["E001", "E002"], {"pooled": ["E001", "E002"]})
    assert "threshold" not in document


@pytest.mark.campaign("messages")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--contrast", "E001"), "--contrast must be two epigenomes, such as E012,E013 (got 'E001')"),
        (("--contrast", "E001,E002,E003"), "--contrast must be two epigenomes"),
        (("--contrast", "E001,E009"), "features: no epigenome E009 (it has E001, E002)"),
        (("--contrast", "E001,E002", "--attention", "a.parquet"), "--contrast and --attention cannot be combined"),
    ],
)
def test_contrasts_that_make_no_sense_are_refused(
    options: tuple[str, ...], message: str, run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = dc("predict", run.path, folder / "features", "--out", "c.tsv", *options)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.campaign("messages")
def test_a_contrast_without_regression_names_the_remedy(attentive: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.tsv"
    ran = dc("predict", attentive.path, folder / "features", "--out", out, "--contrast", "E001,E002")
    assert ran.code == 2
    assert "the models of this run predict no expression. Train them with --task both." in ran.err
    assert not out.exists()


@pytest.mark.campaign("strangers")
def test_the_file_beside_a_table_is_an_output_too(run: Run, folder: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "scores.csv.json"
    stranger.write_text("mine")
    call = ("predict", run.path, folder / "features", "--out", tmp_path / "scores.csv", "--device", "cpu")
    ran = dc(*call)
    assert (ran.code, stranger.read_text()) == (2, "mine")
    assert "scores.csv.json: file exists. Use --force to replace it." in ran.err
    assert not (tmp_path / "scores.csv").exists()
    assert dc(*call, "--force").code == 0
    assert json.loads(stranger.read_text())["threshold"] == 0.5


def depth_table(run: Run, features: Features) -> dict[float, dict[str, float]]:
    """Return how test genes are scored with all, 30 % and 10 % of the reads, by part."""
    return {row["rate"]: row for row in measure_depth(run, [features])}


@pytest.mark.skipif(not FULL, reason="takes a minute: only in the campaign")
def test_scores_of_simulated_data_hardly_depend_on_depth(tmp_path: Path) -> None:
    """The limits of a whole real epigenome, plus the noise of 700 test genes. Raw counts are far beyond them."""
    data = tmp_path / "data"
    simulate(data, epigenomes=1, genes=2100, reads=600_000)
    counted = dc("featurize", data, "--genes", data / "genes.tsv", "--genome", "hg19", "--out", tmp_path / "features")
    assert counted.code == 0, counted.err
    (path,) = feature_files(tmp_path / "features")
    features = read_features(path)
    source = FeatureSource(tmp_path / "features", data / "expression.tsv", split="random")
    moved = {}
    for name, inputs, fit in (
        ("best", BEST.inputs, BEST.fit),
        ("raw", InputOptions("strand", "log1p"), replace(BEST.fit, augment_depth=False)),
    ):
        train_models(source, tmp_path / name, inputs=inputs, config=fit, placement=CPU)
        found = depth_table(Run(tmp_path / name), features)
        moved[name] = {rate: abs(found[rate]["called_on"] - found[1.0]["called_on"]) for rate in (0.3, 0.1)}
        if name == "best":
            best = found
    for rate, points, error, fall in ((0.3, 0.04, 0.06, 0.02), (0.1, 0.1, 0.1, 0.04)):
        assert moved["best"][rate] <= points
        assert best[rate]["ece"] <= error
        assert best[1.0]["auroc"] - best[rate]["auroc"] <= fall
    assert moved["raw"][0.3] > 0.04
    assert moved["raw"][0.1] > 0.2


@pytest.mark.realdata
def test_scores_of_a_real_epigenome_hardly_depend_on_depth(shared_data: Path, tmp_path: Path) -> None:
    roadmap = shared_data / "roadmap"
    npz = shared_data / "e012" / "E012.covered_bases.npz"
    path = convert(npz, roadmap / "genes.tsv", roadmap / "remc_reads_per_file.tsv", tmp_path / "features")
    features = read_features(path)
    expression = roadmap / "rpkm_56_epigenomes.tsv.gz"
    source = FeatureSource(tmp_path / "features", expression, split="random", n_train=6601)
    # The bins of these matrices are in the direction of the gene already.
    train_models(
        source, tmp_path / "run", inputs=replace(BEST.inputs, orient="genomic"), config=BEST.fit, placement=CPU
    )
    found = depth_table(Run(tmp_path / "run"), features)
    assert found[1.0]["auroc"] >= 0.955
    for rate, points, error, fall in ((0.3, 0.02, 0.04, 0.01), (0.1, 0.04, 0.06, 0.02)):
        assert abs(found[rate]["called_on"] - found[1.0]["called_on"]) <= points
        assert found[rate]["ece"] <= error
        assert found[1.0]["auroc"] - found[rate]["auroc"] <= fall
