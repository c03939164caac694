"""Pattern maps, compared with a second implementation, with known optima, and with simulated truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from deepchrome.common.names import TRAIN
from deepchrome.engine.features.featurize import featurize
from deepchrome.engine.simulation.simulate import simulate
from deepchrome.errors import UsageError
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.fitting.config import Placement
from deepchrome.train.models import NetworkSpec, build_network
from deepchrome.train.models.stacked import StackedModel
from deepchrome.train.report.patterns import (
    CLASSES,
    PUBLISHED,
    STABLE,
    optimize_inputs,
    pattern_maps,
    write_patterns,
)
from deepchrome.train.report.prior import Moments, Prior
from deepchrome.train.run.data import RunData
from deepchrome.train.run.directory import Run
from deepchrome.train.run.protocols import BEST
from deepchrome.train.run.train import train_models

CPU = torch.device("cpu")


class Slope(StackedModel):
    """A linear model: the log-odds are the sum of weights times inputs."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.models = 1
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        on = (x * self.weight).sum((2, 3))
        return torch.stack([torch.zeros_like(on), on], -1)


def plain_published(one: nn.Module, start: torch.Tensor, target: int) -> torch.Tensor:
    """Compute a published map with PyTorch's own loss and optimizer."""
    x = start.clone().requires_grad_(True)
    optimizer = torch.optim.RMSprop([x], lr=0.1)
    # After a few hundred steps at a constant learning rate, rounding errors dominate.
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(one(x), torch.tensor([target])) + 0.009 * x.square().sum()
        loss.backward()
        optimizer.step()
    clamped = x.detach().clamp(0, 1)
    return clamped / clamped.max()


def test_published_recipe_equals_rmsprop_of_pytorch() -> None:
    weight = torch.from_numpy(np.random.default_rng(5).normal(size=(20, 2)).astype(np.float32))
    model = Slope(weight)

    def one(x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(x.view(1, 1, 20, 2))[0]
        return logits

    recipe = replace(PUBLISHED, steps=60)
    x, _ = optimize_inputs(model, NetworkSpec("slope", 2, 20), recipe, None, [np.random.default_rng(1)], CPU)
    starts = np.random.default_rng(1).random((2, 40), np.float32)
    assert starts.min() >= 0
    for target in (0, 1):
        expected = plain_published(one, torch.from_numpy(starts[target]), target).numpy()
        made = x[0, target, 0].clip(0, 1)
        np.testing.assert_allclose((made / made.max()).reshape(-1), expected, atol=1e-3)


def test_published_settings() -> None:
    assert (PUBLISHED.starts, PUBLISHED.steps, PUBLISHED.lr, PUBLISHED.penalty) == (1, 1000, 0.1, 0.009)


def test_stable_recipe_finds_the_optimum_of_a_linear_model() -> None:
    # With log-odds w·x and x = mean + z·axes, the gradient is 0 at z = sigmoid(-margin) · axes·w / (2 · penalty).
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(6, 2)).astype(np.float32)
    mean = np.full(12, 5, np.float32)
    axes = (0.1 * rng.normal(size=(4, 12))).astype(np.float32)
    spec, recipe = NetworkSpec("slope", 2, 6), replace(STABLE, steps=600)
    x, score = optimize_inputs(Slope(torch.from_numpy(weight)), spec, recipe, [Prior(mean, axes)], [rng], CPU)
    assert x.shape == (1, 2, STABLE.starts, 6, 2)
    for target, sign in enumerate((-1, 1)):
        found = x[0, target].reshape(STABLE.starts, -1).astype(float)
        margin = sign * found @ weight.reshape(-1)
        other_class = 1 / (1 + np.exp(margin))
        z = sign * other_class[:, None] * (axes @ weight.reshape(-1)) / (2 * STABLE.penalty)
        np.testing.assert_allclose(found, mean + z @ axes, atol=5e-3)
        np.testing.assert_allclose(score[0, target], 1 / (1 + np.exp(-sign * margin)), atol=1e-5)


def test_maps_without_data_are_not_negative() -> None:
    weight = torch.full((4, 1), 2.0)
    weight[2:] = -2.0
    x, _ = optimize_inputs(Slope(weight), NetworkSpec("slope", 1, 4), STABLE, None, [np.random.default_rng(3)], CPU)
    assert x.min() == 0
    assert (x[0, 1, :, :2] > 0.3).all()
    assert (x[0, 1, :, 2:] < 1e-3).all()
    assert (x[0, 0, :, 2:] > 0.3).all()


def test_prior_has_mean_and_covariance_of_the_data() -> None:
    rng = np.random.default_rng(0)
    x = (3 + rng.normal(size=(4000, 2, 1)) * np.array([[2.0], [0.5]])).astype(np.float32)
    prior = Prior.from_inputs(x)
    flat = x.reshape(4000, 2).astype(float)
    np.testing.assert_allclose(prior.mean, flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(prior.axes.T @ prior.axes, np.cov(flat.T, bias=True), atol=1e-4)
    assert np.linalg.norm(prior.axes[0]) > np.linalg.norm(prior.axes[1])


def test_prior_of_several_epigenomes_fills_missing_marks_with_their_mean() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(2, 1, (300, 2, 2)).astype(np.float32)
    second = rng.normal(5, 2, (500, 2, 2)).astype(np.float32)
    second[:, :, 1] = np.nan
    prior = Prior.from_moments([Moments.from_inputs(first), Moments.from_inputs(second)])
    flat = np.concatenate([first, second]).reshape(800, 4).astype(float)
    mean = np.nanmean(flat, 0)
    np.testing.assert_allclose(prior.mean, mean, rtol=1e-5)
    filled = np.where(np.isnan(flat), mean, flat)
    np.testing.assert_allclose(prior.axes.T @ prior.axes, np.cov(filled.T, bias=True), atol=1e-4)


def test_map_of_a_mark_that_no_epigenome_has_is_0() -> None:
    x = np.random.default_rng(1).random((40, 4, 2)).astype(np.float32)
    x[:, :, 0] = np.nan
    model = build_network(NetworkSpec("deepchrome", 2, 40, missing_marks=True), 1)
    model.draw(0, np.random.default_rng(2))
    model.requires_grad_(False)
    inputs = np.repeat(x, 10, 1)
    prior, rng = Prior.from_inputs(inputs), np.random.default_rng(3)
    spec = NetworkSpec("deepchrome", 2, 40, missing_marks=True)
    found, score = optimize_inputs(model, spec, replace(STABLE, steps=20), [prior], [rng], CPU)
    assert np.isfinite(found).all()
    assert np.isfinite(score).all()
    assert (found[..., 0] == 0).all()
    assert found[..., 1].max() > 0


@pytest.mark.parametrize("change", [{"starts": 0}, {"steps": 0}])
def test_recipes_out_of_range_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be at least 1, got 0"):
        replace(STABLE, **change)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """Simulate two epigenomes and train their models. The simulated truth is in data/truth."""
    folder = tmp_path_factory.mktemp("patterns")
    simulate(folder / "data", epigenomes=2, genes=900, reads=250_000, seed=4)
    expression = folder / "data" / "expression.tsv"
    featurize([folder / "data"], genes=folder / "data" / "genes.tsv", genome="hg19", out=folder / "features")
    source = FeatureSource(folder / "features", expression)
    train_models(source, folder / "run", config=BEST.fit, placement=Placement(threads=2))
    return folder, Run(folder / "run")


def test_simulated_shapes_are_found(simulated: tuple[Path, Run]) -> None:
    folder, run = simulated
    datasets = map(RunData(run).load, run.epigenomes)
    priors = {data.epigenome: Prior.from_inputs(data.x[data.split == TRAIN]) for data in datasets}
    table = pattern_maps(run, priors=priors, placement=Placement(threads=2)).table()
    truth = pl.read_csv(folder / "data" / "truth" / "profiles.tsv", separator="\t")
    joined = table.join(truth, on=["mark", "class", "bin"], how="inner")
    assert joined.height == table.height == 2 * 2 * 5 * 100
    for (_, mark), part in joined.group_by("epigenome", "mark"):
        on, off = (part.filter(pl.col("class") == name).sort("bin") for name in ("on", "off"))
        simulated_difference = on["log_enrichment"].mean() - off["log_enrichment"].mean()  # type: ignore[operator]
        found = on["value"].mean() - off["value"].mean()  # type: ignore[operator]
        assert np.sign(found) == np.sign(simulated_difference), mark
        varying = on if np.ptp(on["log_enrichment"].to_numpy()) > 0 else off
        assert spearmanr(varying["value"], varying["log_enrichment"]).statistic >= 0.6, mark


def test_maps_do_not_depend_on_how_models_are_stacked(simulated: tuple[Path, Run]) -> None:
    _, run = simulated
    recipe = replace(STABLE, starts=2, steps=40)
    alone, stacked = (
        pattern_maps(run, recipe, placement=Placement(threads=threads, group_size=size))
        for threads, size in ((2, 1), (1, 2))
    )
    np.testing.assert_allclose(alone.value, stacked.value, atol=1e-4)
    assert not np.allclose(alone.value[0], alone.value[1], atol=0.01)


def test_published_values_are_scaled_to_1(simulated: tuple[Path, Run]) -> None:
    maps = pattern_maps(simulated[1], replace(PUBLISHED, steps=20))
    assert maps.value.min() >= 0
    np.testing.assert_allclose(maps.value.max((2, 3)), 1, rtol=1e-6)
    assert np.isnan(maps.scale).all()
    assert (maps.active() == (maps.value > 0.25).sum(2)).all()


def test_rows_of_the_table_equal_the_maps(simulated: tuple[Path, Run], tmp_path: Path) -> None:
    maps = pattern_maps(simulated[1], replace(PUBLISHED, steps=5))
    write_patterns(tmp_path / "patterns.parquet", maps)
    table = pl.read_parquet(tmp_path / "patterns.parquet")
    assert table.columns == ["epigenome", "class", "mark", "bin", "value"]
    for e, c, b, m in ((0, 0, 0, 0), (1, 1, 99, 4), (1, 0, 17, 2)):
        wanted = (maps.models[e], CLASSES[c], maps.marks[m], b + 1)
        here = pl.all_horizontal(pl.col(name) == value for name, value in zip(table.columns[:4], wanted, strict=True))
        row = table.row(by_predicate=here)
        assert row[4] == maps.value[e, c, b, m]
