"""Pooled models, averaged models and random changes of the inputs, in whole trainings."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from support.epigenomes import MARKS, random_dataset
from support.fitting import CPU, epigenomes, fit, largest_difference, plain_loop, scores_of

from deepchrome.common.names import TEST, TRAIN, VALID
from deepchrome.errors import BadDataError, ParameterError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.depth import CountScale
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.fitting.fit import fit as fit_trainings
from deepchrome.train.fitting.stack import TrainingStack
from deepchrome.train.fitting.training import Training, network_spec, plan_trainings

PLAIN = FitConfig(epochs=3, batch_size=16, lr=0.05, precision="fp32")
POOLED = replace(PLAIN, pooled=True, task="both", schedule="one-cycle")
EVERYTHING = replace(PLAIN, task="both", schedule="one-cycle", shift_bins=2, augment_depth=True)
POOLED_EVERYTHING = replace(EVERYTHING, pooled=True, mark_dropout=0.3)
DEVICE = torch.device("cpu")


def mixed_epigenomes() -> list:
    """Make data sets of different sizes, two of which lack a mark, corrected for depth by ranks."""
    missing = ((), (MARKS[0],), (MARKS[1], MARKS[2]))
    return [
        random_dataset(f"E{i:03d}", 120 + i, i, (50 + 7 * i, 40 + i), missing=missing[i], by_ranks=True)
        for i in range(3)
    ]


def same_history(one, other) -> bool:
    return [replace(r, seconds=0) for r in one.history] == [replace(r, seconds=0) for r in other.history]


def test_trainings_have_keys_that_no_name_of_an_epigenome_can_have() -> None:
    datasets = epigenomes(2)
    assert [each.key for each in plan_trainings(datasets, members=2)] == ["E000", "E000~2", "E001", "E001~2"]
    (pooled,) = plan_trainings(datasets, pooled=True)
    assert (pooled.key, pooled.datasets) == ("pooled", tuple(datasets))
    csv = replace(datasets[0], has_name=False)
    assert [each.seed_name for each in plan_trainings([csv], members=2)] == ["csv", "csv~2"]
    with pytest.raises(BadDataError, match="same epigenome name"):
        plan_trainings([datasets[0], datasets[0]], pooled=True)


def test_targets_are_in_standard_units_of_the_training_genes() -> None:
    datasets = epigenomes(2)
    values = [np.log2(data.rpkm + 1) for data in datasets]
    alone, pooled = Training("E000", (datasets[0],)), Training("pooled", tuple(datasets))
    first = values[0][datasets[0].split == TRAIN]
    assert alone.target_scale == (pytest.approx(first.mean()), pytest.approx(first.std()))
    np.testing.assert_allclose(alone.targets(datasets[0]), (values[0] - first.mean()) / first.std(), atol=1e-6)
    both = np.concatenate([value[data.split == TRAIN] for value, data in zip(values, datasets, strict=True)])
    np.testing.assert_allclose(pooled.targets(datasets[1]), (values[1] - both.mean()) / both.std(), atol=1e-6)
    unknown = replace(datasets[0], rpkm=None)
    assert Training("E000", (unknown,)).target_scale == (0.0, 1.0)
    assert not Training("E000", (unknown,)).targets(unknown).any()


@pytest.mark.parametrize("n", [1, 3])
def test_pooled_training_equals_a_plain_loop_over_all_genes(n) -> None:
    """The order of the data sets matters: it is that of the genes, of which the seed draws a permutation."""
    datasets, last = mixed_epigenomes()[:n], {}
    fitted = fit(datasets, POOLED, CPU, on_epoch=lambda key, _, state: last.update({key: state().weights}))[0]
    areas, weights = plain_loop(datasets, POOLED, "pooled")
    assert [record.valid_auroc for record in fitted.history] == pytest.approx(areas, abs=2e-3)
    assert largest_difference(last["pooled"], weights) < 2e-5


def test_pooled_auroc_is_the_mean_of_the_epigenomes() -> None:
    datasets = mixed_epigenomes()
    fitted = fit(datasets, POOLED, CPU)[0]
    areas = []
    for data in datasets:
        valid = data.split == VALID
        areas.append(roc_auc_score(data.y[valid], scores_of(data, POOLED, fitted.weights, valid)))
    assert fitted.history[fitted.best_epoch - 1].valid_auroc == pytest.approx(np.mean(areas), abs=1e-6)
    assert max(areas) - min(areas) > 0.02


@pytest.mark.parametrize("config", [PLAIN, EVERYTHING, POOLED_EVERYTHING], ids=["plain", "everything", "pooled"])
def test_members_of_a_stack_equal_each_trained_alone(config) -> None:
    datasets, config = mixed_epigenomes() if config.pooled else epigenomes(2), replace(config, members=3)
    together = fit(datasets, config, Placement("cpu", threads=2, group_size=3))
    trainings = plan_trainings(datasets, pooled=config.pooled, members=3)
    assert [model.key for model in together] == [training.key for training in trainings]
    for training, stacked in zip(trainings, together, strict=True):
        (alone,) = fit_trainings([training], config, Placement("cpu", threads=1))
        assert largest_difference(alone.weights, stacked.weights) < 2e-6
        assert [r.valid_auroc for r in alone.history] == pytest.approx([r.valid_auroc for r in stacked.history])
    for one, other in pairwise(together[:3]):
        assert largest_difference(one.weights, other.weights) > 0.01
    (only,) = fit(datasets[: None if config.pooled else 1], replace(config, members=1), CPU)
    assert largest_difference(only.weights, together[0].weights) < 2e-6


@pytest.mark.parametrize("config", [EVERYTHING, POOLED_EVERYTHING], ids=["each", "pooled"])
def test_training_with_random_changes_resumes_at_every_epoch_with_the_same_bits(config) -> None:
    datasets = mixed_epigenomes() if config.pooled else epigenomes(2)
    states = {epoch: {} for epoch in range(1, 4)}
    unbroken = fit(datasets, config, CPU, on_epoch=lambda key, r, state: states[r.epoch].update({key: state()}))
    for epoch in (1, 2):
        for one, other in zip(unbroken, fit(datasets, config, CPU, resume=states[epoch]), strict=True):
            assert same_history(one, other)
            assert largest_difference(one.weights, other.weights) == 0


def stack_of(datasets, config, members: int = 1) -> TrainingStack:
    return TrainingStack(plan_trainings(datasets, pooled=config.pooled, members=members), config, DEVICE)


def steps_of(stack: TrainingStack, config: FitConfig, epoch: int = 1, **changes):
    """Return a plan, and its steps as one: inputs (genes, bins, marks), labels, and targets of the first model."""
    plan = stack.plan(epoch)._replace(**changes)
    steps = stack._prepare(plan)
    return plan, *(torch.cat([getattr(step, name)[0] for step in steps]).numpy() for name in ("x", "on", "target"))


def used_rows(data: Dataset) -> np.ndarray:
    """Return the rows of the genes that a network is trained or validated on."""
    return np.flatnonzero(data.split != TEST)


def test_random_choices_do_not_depend_on_the_other_models() -> None:
    datasets = epigenomes(3)
    wide = stack_of(datasets, EVERYTHING, members=2)
    for i, training in enumerate(plan_trainings(datasets, members=2)):
        alone = TrainingStack([training], EVERYTHING, DEVICE)
        for epoch in (1, 2):
            one, other = wide.plan(epoch), alone.plan(epoch)
            # A stack of several data sets holds no test genes.
            first = sum(len(used_rows(data)) for data in datasets[: i // 2])
            rows = used_rows(datasets[i // 2])[(one.rows[:, i : i + 1] - first).numpy()]
            np.testing.assert_array_equal(rows, other.rows.numpy())
            for name in ("weights", "bits", "shifts", "rates", "random_bytes"):
                assert torch.equal(getattr(one, name)[:, i : i + 1], getattr(other, name)), name
    assert not torch.equal(wide.plan(1).rates, wide.plan(2).rates)


def test_only_the_chosen_genes_change() -> None:
    data = random_dataset(genes=300, sizes=(200, 50), by_ranks=True)
    plan, x, on, target = steps_of(stack_of([data], EVERYTHING), EVERYTHING)
    rows = plan.rows[:, 0].reshape(-1).numpy()
    np.testing.assert_array_equal(on, data.y[rows])
    np.testing.assert_array_equal(target, Training("E001", (data,)).targets(data)[rows])
    thinned, moved = (each[:, 0].reshape(rows.size, -1).numpy().any(1) for each in (plan.rates, plan.shifts))
    unchanged = ~thinned & ~moved
    assert 0.4 < thinned.mean() < 0.6
    assert 0.7 < moved.mean() < 0.9
    np.testing.assert_array_equal(x[unchanged], data.x[rows[unchanged]])
    assert (x[~unchanged] != data.x[rows[~unchanged]]).any((1, 2)).all()


def test_thinned_genes_have_the_inputs_of_thinned_counts() -> None:
    datasets = [random_dataset(f"E{i:03d}", 300, i, (104, 150), by_ranks=True) for i in range(2)]
    config = replace(POOLED_EVERYTHING, shift_bins=0, mark_dropout=0.0)
    plan, x, *_ = steps_of(stack_of(datasets, config), config)
    rows, rates = (each[:, 0].reshape(208, *each.shape[3:]).numpy() for each in (plan.rows, plan.rates))
    counts = np.concatenate([data.reads(used_rows(data)) for data in datasets])
    values = [[scale.thinned_values(100) for scale in data.scales] for data in datasets]
    for gene, rate, inputs in zip(rows, rates, x, strict=True):
        for mark in range(3):
            # Thinning leaves at most the counts that there were, and their inputs are those of the thinned sample.
            known = values[gene // len(used_rows(datasets[0]))][mark][rate[mark]]
            thinned = np.searchsorted(known, inputs[:, mark])
            np.testing.assert_array_equal(known[thinned], inputs[:, mark])
            assert (thinned <= counts[gene, :, mark]).all()


def test_signal_is_not_thinned() -> None:
    """In the second data set, the second mark is signal. All else is thinned as without signal."""
    datasets = [random_dataset(f"E{i:03d}", 300, i, (104, 150), by_ranks=True) for i in range(2)]
    first, second = datasets[1].scales[0], datasets[1].scales[2]
    signal = CountScale.by_ranks_of_signal("log1p", datasets[1].reads()[:, :, 1] * np.float32(0.37))
    x = datasets[1].x.copy()
    x[:, :, 1] = signal.apply(datasets[1].reads()[:, :, 1] * np.float32(0.37))
    with_signal = [datasets[0], replace(datasets[1], x=x, scales=(first, signal, second))]
    config = replace(POOLED_EVERYTHING, shift_bins=0, mark_dropout=0.0)
    plan, counted, *_ = steps_of(stack_of(datasets, config), config)
    _, found, *_ = steps_of(stack_of(with_signal, config), config)
    rows = plan.rows[:, 0].reshape(-1).numpy()
    is_second = rows >= len(used_rows(datasets[0]))
    used = np.concatenate([data.x[used_rows(data)] for data in with_signal])
    np.testing.assert_array_equal(found[is_second, :, 1], used[rows][is_second, :, 1])
    np.testing.assert_array_equal(found[:, :, [0, 2]], counted[:, :, [0, 2]])
    np.testing.assert_array_equal(found[~is_second], counted[~is_second])
    assert (counted[is_second, :, 0] != used[rows][is_second, :, 0]).any()


def test_missing_marks_stay_missing_and_one_measured_mark_remains() -> None:
    datasets = mixed_epigenomes()
    config = replace(POOLED_EVERYTHING, mark_dropout=0.8)
    plan, x, *_ = steps_of(stack_of(datasets, config), config)
    present = np.repeat([data.present for data in datasets], [len(used_rows(data)) for data in datasets], 0)
    present = present[plan.rows[:, 0].reshape(-1).numpy()]
    hidden = plan.hidden[:, 0].reshape(present.shape).numpy()
    is_nan = np.isnan(x)
    np.testing.assert_array_equal(is_nan.all(1), ~present | hidden)
    np.testing.assert_array_equal(is_nan.any(1), is_nan.all(1))
    assert (present & ~hidden).any(1).all()
    # Where all three marks would be hidden, none is.
    assert hidden[present.all(1)].mean() == pytest.approx(0.8 - 0.8**3, abs=0.08)


def test_validation_sees_no_random_changes() -> None:
    datasets = mixed_epigenomes()
    states = [stack_of(datasets, config) for config in (POOLED, POOLED_EVERYTHING)]
    for stack in states:
        stack.start(0, None)
    for one, other in zip(states[0].validate(), states[1].validate(), strict=True):
        assert torch.equal(one, other)


def test_inputs_that_cannot_be_changed_are_refused() -> None:
    data = random_dataset()
    with pytest.raises(ParameterError, match="task is both, but the expression of E001 is unknown"):
        fit([replace(data, rpkm=None)], EVERYTHING, CPU)
    with pytest.raises(ParameterError, match="augment_depth needs whole counts, which E001 does not have"):
        fit([replace(data, scales=None)], EVERYTHING, CPU)
    with pytest.raises(BadDataError, match="an input value is not a finite number"):
        fit([random_dataset(missing=(MARKS[1],))], PLAIN, CPU)
    assert network_spec(POOLED, data).missing_marks
