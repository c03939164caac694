"""Check that training gives the same models alone and together, on a CPU and on a GPU, and after an interruption.

The tests and :mod:`deepchrome.benchmarks.train.gpu` run these checks. They need only PyTorch, numpy and safetensors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from torch import Tensor

from deepchrome.benchmarks.train.data import simulate_dataset, without_mark
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, Placement
from deepchrome.train.fitting.fit import fit
from deepchrome.train.fitting.training import Training, plan_trainings
from deepchrome.train.run.protocols import BEST, pool

Device = Literal["cpu", "cuda"]

_SHORT: Final = FitConfig(epochs=3, batch_size=16, precision="fp32")
_AUGMENTED: Final = replace(BEST.fit, epochs=3, min_steps=0, batch_size=16, precision="fp32")
CONFIGS: Final[Mapping[str, FitConfig]] = {
    "sgd": replace(_SHORT, lr=0.05, momentum=0.0, lr_decay=0.01),
    "momentum": replace(_SHORT, weight_decay=1e-3),
    "adam": replace(_SHORT, optimizer="adam", lr=1e-3),
    "adamw": replace(_SHORT, optimizer="adamw", lr=1e-3, weight_decay=0.05),
    "augmented": _AUGMENTED,
    "pooled": replace(pool(_AUGMENTED), epochs=3, min_steps=0),
}
"""Settings to check: every optimizer, and the best known settings of a single and of a pooled model."""

NETWORKS: Final = 3
# Largest difference of a loss or a weight that rounding explains.
LIMIT: Final = 1e-3
# Other random choices change some weights by at least this much.
_OTHER: Final = 1e-2


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes
    ----------
    name
        What was compared.
    difference
        The largest difference of a weight or a loss after the last epoch, over all networks.
    control
        The same between networks that must differ. It shows that the check can fail.
    """

    name: str
    difference: float
    control: float

    @property
    def passed(self) -> bool:
        """Whether the difference can be rounding."""
        return self.difference <= LIMIT and self.control >= _OTHER


@dataclass(frozen=True)
class _Trained:
    """Checkpoints after every epoch, by key of the training."""

    epochs: dict[str, list[Checkpoint]]

    def first(self) -> dict[str, Checkpoint]:
        return {key: checkpoints[0] for key, checkpoints in self.epochs.items()}

    def last(self) -> list[Checkpoint]:
        return [checkpoints[-1] for checkpoints in self.epochs.values()]


def run_checks(device: Device) -> Iterator[Check]:
    """Run all checks on a device. On a CPU, there is no comparison with the CPU."""
    for name, config in CONFIGS.items():
        yield check_lockstep(name, config, device)
        if device != "cpu":
            yield check_against_cpu(name, config, device)
        yield check_resume(name, config, device)


def check_lockstep(name: str, config: FitConfig, device: Device) -> Check:
    """Compare networks that train together, as a stack, with the same networks trained alone."""
    trainings = _trainings(config)
    together = _train(trainings, config, Placement(device, group_size=NETWORKS)).last()
    alone = [_train([training], config, Placement(device, group_size=1)).last()[0] for training in trainings]
    return Check(f"{name}: together and alone", _largest(together, alone), _control(together))


def check_against_cpu(name: str, config: FitConfig, device: Device) -> Check:
    """Compare networks trained on a device with the same networks trained on the CPU."""
    trainings = _trainings(config)
    there = _train(trainings, config, Placement(device)).last()
    here = _train(trainings, config, Placement("cpu")).last()
    return Check(f"{name}: {device} and cpu", _largest(there, here), _control(here))


def check_resume(name: str, config: FitConfig, device: Device) -> Check:
    """Compare training that continues from the checkpoints of the first epoch with unbroken training."""
    trainings, placement = _trainings(config), Placement(device, group_size=2)
    unbroken = _train(trainings, config, placement)
    resumed = _train(trainings, config, placement, unbroken.first())
    assert all(len(checkpoints) == config.epochs - 1 for checkpoints in resumed.epochs.values())
    return Check(f"{name}: resumed and unbroken", _largest(resumed.last(), unbroken.last()), _control(unbroken.last()))


def _trainings(config: FitConfig) -> list[Training]:
    """Return networks of data sets with different numbers of genes, so that their last batches differ in size."""
    datasets = [simulate_dataset(f"E{i:03d}", i, 50 + i) for i in range(NETWORKS)]
    if not config.pooled:
        return plan_trainings(datasets)
    datasets[-1] = without_mark(datasets[-1], 2)
    return plan_trainings(datasets, pooled=True, members=NETWORKS)


def _train(
    trainings: Sequence[Training],
    config: FitConfig,
    placement: Placement,
    resume: Mapping[str, Checkpoint] | None = None,
) -> _Trained:
    """Train networks, in the order of the trainings, and keep their checkpoints."""
    epochs: dict[str, list[Checkpoint]] = {training.key: [] for training in trainings}

    def keep(key: str, _record: EpochRecord, checkpoint: Callable[[], Checkpoint]) -> None:
        epochs[key].append(checkpoint())

    fit(trainings, config, placement, resume=resume, on_epoch=keep)
    return _Trained(epochs)


def _largest(some: Sequence[Checkpoint], others: Sequence[Checkpoint]) -> float:
    """Return the largest difference of a weight or a loss."""
    return max(_difference(one, other) for one, other in zip(some, others, strict=True))


def _control(networks: Sequence[Checkpoint]) -> float:
    """Return the smallest difference between two networks, which have different names and so other random choices."""
    return min(_difference(one, networks[i - 1]) for i, one in enumerate(networks))


def _difference(one: Checkpoint, other: Checkpoint) -> float:
    last, last_of_other = one.history[-1], other.history[-1]
    losses = [abs(last.train_loss - last_of_other.train_loss), abs(last.valid_loss - last_of_other.valid_loss)]
    return max([*losses, *(_weight_difference(one.weights[key], other.weights[key]) for key in one.weights)])


def _weight_difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())
