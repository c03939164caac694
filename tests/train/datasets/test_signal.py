"""Signal of bigWig files as input of models: depth correction, and models of counts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import rankdata, weibull_min
from support.epigenomes import BINS, MARKS, random_dataset, write_random_features

from deepchrome.engine.features.store import read_features, write_features
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.depth import RANKED_LEVELS, CountScale
from deepchrome.train.datasets.inputs import InputOptions, InputSpec
from deepchrome.train.datasets.load import load_datasets
from deepchrome.train.datasets.profile import profile_features

REFERENCE = weibull_min(0.5, scale=0.5)
SIGNAL_MARK = MARKS[1]


def signal_like_fold_changes(genes: int = 300, seed: int = 3) -> np.ndarray:
    """Return signal float32 (genes, 40 bins): a third is 0, and all other values differ."""
    rng = np.random.default_rng(seed)
    signal = rng.gamma(0.4, 12.0, (genes, 40)).astype(np.float32)
    signal[rng.random(signal.shape) < 1 / 3] = 0
    return signal


def make_signal(path: Path, factor: float = 0.37) -> None:
    """Turn the counts of one mark of a feature file into signal."""
    stored = read_features(path)
    counts = {mark: np.ascontiguousarray(stored.counts[:, :, i]) for i, mark in enumerate(stored.marks)}
    counts[SIGNAL_MARK] = counts[SIGNAL_MARK].astype(np.float32) * np.float32(factor)
    metadata = {name: stored.metadata[name] for name in ("bin_size", "flank", "n_bins", "sources")}
    metadata["sources"][SIGNAL_MARK] = {"format": "bigWig", "reads": 0}
    path.unlink()
    write_features(path, stored.genes, counts, metadata)


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    """Feature files of two epigenomes with signal of one mark, and an expression table."""
    folder, expression = write_random_features(tmp_path / "features")
    for path in folder.glob("*.parquet"):
        make_signal(path)
    return folder, expression


def test_few_values_get_the_means_of_their_ranks_in_the_reference() -> None:
    signal = np.round(signal_like_fold_changes() * 4) / np.float32(8)
    x = CountScale.by_ranks_of_signal("counts", signal).apply(signal)
    assert x.dtype == np.float32
    assert x.mean(dtype=np.float64) == pytest.approx(1)
    values, sizes = np.unique(signal, return_counts=True)
    assert 20 < len(values) < RANKED_LEVELS
    for value, size, up_to in list(zip(values, sizes, sizes.cumsum(), strict=True))[::5]:
        low, high = (up_to - size) / signal.size, up_to / signal.size
        mean = quad(REFERENCE.ppf, low, high, limit=500)[0] / (high - low)
        np.testing.assert_allclose(x[signal == value], mean, rtol=2e-5)


@pytest.mark.parametrize("transform", ["counts", "log1p"])
def test_many_values_keep_their_order_and_nearly_their_ranks(transform: str) -> None:
    signal = signal_like_fold_changes()
    assert np.unique(signal).size > RANKED_LEVELS
    scale = CountScale.by_ranks_of_signal(transform, signal)
    x = scale.apply(signal)
    assert (np.diff(x.reshape(-1)[np.argsort(signal, axis=None, kind="stable")]) >= 0).all()
    share = (rankdata(signal) - 0.5) / signal.size
    expected = REFERENCE.ppf(share) if transform == "counts" else np.log1p(REFERENCE.ppf(share))
    # The largest value gets the mean over the last ranks, where the reference rises steeply.
    found, is_compared = x.reshape(-1), (signal.reshape(-1) > 0) & (signal.reshape(-1) < signal.max())
    np.testing.assert_allclose(found[is_compared], expected[is_compared], rtol=0.02)
    assert found.max() == pytest.approx(expected.max(), rel=0.1)
    assert np.unique(x).size > RANKED_LEVELS / 2
    back = scale.invert(x)
    assert (back <= signal).all()
    np.testing.assert_allclose(back, signal, rtol=0.1, atol=0.01)


def test_the_scale_of_a_signal_does_not_matter() -> None:
    signal = signal_like_fold_changes()
    once, tenfold = (CountScale.by_ranks_of_signal("log1p", each).apply(each) for each in (signal, signal * 10))
    np.testing.assert_array_equal(once, tenfold)
    nothing = np.zeros((3, 4), np.float32)
    assert not CountScale.by_ranks_of_signal("log1p", nothing).apply(nothing).any()


def test_signal_beyond_that_of_the_scale_gets_the_first_or_the_last_rank() -> None:
    signal = signal_like_fold_changes()
    scale = CountScale.by_ranks_of_signal("log1p", signal)
    low, high = scale.apply(np.array([-5, 1e9], np.float32))
    assert (low, high) == (scale.apply(signal).min(), scale.apply(signal).max())


@pytest.mark.parametrize(("depth", "transform"), [("ranks", "log1p"), ("raw", "log1p"), ("raw", "counts")])
def test_data_sets_of_counts_and_signal(depth: str, transform: str, data: tuple[Path, Path]) -> None:
    options = InputOptions(depth=depth, transform=transform)
    (one, two), report = load_datasets(*data, split="random", inputs=options)
    stored = read_features(data[0] / "E001.parquet")
    signal = stored.counts[:, :, 1]
    expected = {
        "raw": np.log1p(signal) if transform == "log1p" else signal,
        "ranks": CountScale.by_ranks_of_signal("log1p", signal).apply(signal),
    }[depth]
    np.testing.assert_array_equal(one.x[:, :, 1], expected)
    counted = stored.counts[:, :, 0].astype(np.uint32)
    scale = CountScale.by_ranks(transform, counted) if depth == "ranks" else CountScale(transform)
    np.testing.assert_array_equal(one.x[:, :, 0], scale.apply(counted))
    assert [scale.is_signal for scale in two.scales] == [False, True, False]
    assert report.inputs.signal == (SIGNAL_MARK,)
    assert f"{SIGNAL_MARK}: signal of bigWig files. It has no reads, so training cannot vary its depth" in report.notes


def test_the_number_of_reads_of_a_signal_is_unknown_and_not_zero(data: tuple[Path, Path]) -> None:
    features = read_features(data[0] / "E001.parquet")
    profile = profile_features(features)
    assert profile.marks[SIGNAL_MARK].reads is None
    assert profile.marks[MARKS[0]].reads == 1000
    assert profile.marks[SIGNAL_MARK].counts_per_gene == pytest.approx(features.counts[:, :, 1].sum() / 90, rel=1e-3)
    with pytest.raises(BadDataError, match=f"number of reads of {SIGNAL_MARK} is missing"):
        load_datasets(*data, split="random", inputs=InputOptions(depth="library-size"))


def test_signal_below_zero(data: tuple[Path, Path]) -> None:
    for path in data[0].glob("*.parquet"):
        stored = read_features(path)
        counts = {mark: np.ascontiguousarray(stored.counts[:, :, i]) for i, mark in enumerate(MARKS)}
        metadata = {name: stored.metadata[name] for name in ("bin_size", "flank", "n_bins", "sources")}
        path.unlink()
        write_features(path, stored.genes, counts | {SIGNAL_MARK: counts[SIGNAL_MARK] - 1.5}, metadata)
    with pytest.raises(BadDataError, match=rf"features of E001: the signal of {SIGNAL_MARK} has values of -1 or less"):
        load_datasets(*data, split="random", inputs=InputOptions(transform="log1p"))
    for options in (InputOptions(), InputOptions(depth="ranks", transform="log1p")):
        (one, _), _ = load_datasets(*data, split="random", inputs=options)
        assert np.isfinite(one.x).all()
        assert np.isfinite(one.profile.shapes(MARKS)).all()


@pytest.mark.campaign("unlike")
def test_signal_does_not_take_the_place_of_counts(data: tuple[Path, Path], tmp_path: Path) -> None:
    counted, _ = write_random_features(tmp_path / "counted")
    of_counts, of_signal = (read_features(folder / "E001.parquet") for folder in (counted, data[0]))
    for model, features, kinds in (
        (of_counts, of_signal, "signal, expected counts of reads"),
        (of_signal, of_counts, "counts of reads, expected signal"),
    ):
        with pytest.raises(BadDataError, match=f"features of E001 do not fit the model: {SIGNAL_MARK}: {kinds}"):
            InputSpec.from_features(model).check(features)
        # The model does not use the mark.
        InputSpec.from_features(model, InputOptions(marks=(MARKS[0],))).check(features)
    (data[0] / "E002.parquet").write_bytes((counted / "E002.parquet").read_bytes())
    with pytest.raises(BadDataError, match=f"{SIGNAL_MARK}: counts of reads, expected signal"):
        load_datasets(*data, split="random")


def test_a_mark_that_only_some_epigenomes_have_can_be_signal(data: tuple[Path, Path]) -> None:
    path = data[0] / "E001.parquet"
    stored = read_features(path, [MARKS[0], MARKS[2]])
    counts = {mark: np.ascontiguousarray(stored.counts[:, :, i]) for i, mark in enumerate(stored.marks)}
    metadata = {name: stored.metadata[name] for name in ("bin_size", "flank", "n_bins", "sources")}
    path.unlink()
    write_features(path, stored.genes, counts, metadata)
    (one, two), report = load_datasets(*data, split="random", inputs=InputOptions(missing_marks=True))
    assert report.inputs.signal == (SIGNAL_MARK,)
    column = report.inputs.marks.index(SIGNAL_MARK)
    assert np.isnan(one.x[:, :, column]).all()
    assert not np.isnan(two.x).any()


def test_a_description_of_inputs_without_signal_is_as_before() -> None:
    spec = InputSpec(MARKS, BINS, 100, 1200)
    assert "signal" not in spec.to_dict()
    assert InputSpec.from_dict(spec.to_dict()) == spec
    with_signal = replace(spec, signal=(SIGNAL_MARK,))
    assert with_signal.to_dict()["signal"] == [SIGNAL_MARK]
    assert InputSpec.from_dict(with_signal.to_dict()) == with_signal
    for wrong in (["X"], "no", 3):
        with pytest.raises(BadDataError, match="description of inputs: invalid signal"):
            InputSpec.from_dict({**spec.to_dict(), "signal": wrong})


def test_random_data_sets_have_no_signal() -> None:
    assert not any(scale.is_signal for scale in random_dataset().scales)
