"""What one network is trained on: the data of one epigenome, or of several for a pooled model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.common.names import TRAIN
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig
from deepchrome.train.models import NetworkSpec

POOLED: Final = "pooled"
"""The name of a pooled model."""
# Between the name of a model and the number of a member. Names of epigenomes cannot contain it.
_MEMBER: Final = "~"


@dataclass(frozen=True)
class Training:
    """One network to train.

    Attributes
    ----------
    model
        Name of the model: its epigenome, or :data:`POOLED`.
    datasets
        The data sets whose training and validation genes it gets; at least one.
    member
        Number of the network among those that are averaged, from 1.
    """

    model: str
    datasets: tuple[Dataset, ...] = field(repr=False)
    member: int = 1

    @property
    def key(self) -> str:
        """A name that no other network of the run has; usable as a file name."""
        return self.model if self.member == 1 else f"{self.model}{_MEMBER}{self.member}"

    @property
    def seed_name(self) -> str:
        """The name that random choices depend on, together with the seed."""
        name = self.datasets[0].seed_name if self.model != POOLED else POOLED
        return name if self.member == 1 else f"{name}{_MEMBER}{self.member}"

    @cached_property
    def target_scale(self) -> tuple[float, float]:
        """Mean and standard deviation of log2(RPKM + 1) over the training genes; 0 and 1 if it is unknown."""
        known = [log2_rpkm(data)[data.split == TRAIN] for data in self.datasets if data.rpkm is not None]
        if not known:
            return 0.0, 1.0
        values = np.concatenate(known)
        return float(values.mean()), float(values.std()) or 1.0

    def targets(self, data: Dataset) -> NDArray[np.float32]:
        """Return the expression of the genes of a data set in standard units: float32 (genes,); 0 if it is unknown."""
        mean, spread = self.target_scale
        values = np.zeros(len(data.y)) if data.rpkm is None else (log2_rpkm(data) - mean) / spread
        return values.astype(np.float32)

    def steps(self, config: FitConfig) -> int:
        """Return the number of steps per epoch."""
        genes = sum(int(np.sum(data.split == TRAIN)) for data in self.datasets)
        return -(-genes // config.batch_size)

    def epochs(self, config: FitConfig) -> int:
        """Return the number of epochs."""
        return config.count_epochs(self.steps(config))


def log2_rpkm(data: Dataset) -> NDArray[np.float64]:
    """Return log2(RPKM + 1) of the genes of a data set whose expression is known: float64 (genes,)."""
    assert data.rpkm is not None
    return np.log2(data.rpkm + 1)


def network_spec(config: FitConfig, data: Dataset) -> NetworkSpec:
    """Return the shape of the networks for data like these."""
    bins, marks = data.x.shape[1:]
    return NetworkSpec(config.model, marks, bins, config.task, config.pooled)


def plan_trainings(datasets: Sequence[Dataset], *, pooled: bool = False, members: int = 1) -> list[Training]:
    """Return the networks to train on some data sets: ``members`` for each of them, or for all of them together.

    Raises
    ------
    BadDataError
        Two data sets have the same name.
    """
    if len({data.epigenome for data in datasets}) < len(datasets):
        raise BadDataError("two data sets have the same epigenome name")
    models = {POOLED: tuple(datasets)} if pooled else {data.epigenome: (data,) for data in datasets}
    return [Training(name, used, member) for name, used in models.items() for member in range(1, members + 1)]
