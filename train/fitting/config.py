"""What a training run is told and what it gives back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from deepchrome.common.cores import usable_cores
from deepchrome.errors import UsageError


@dataclass(frozen=True)
class FitConfig:
    """What is trained, and how; the same config and data give the same models.

    Attributes
    ----------
    model
        A name of :data:`deepchrome.train.models.MODELS`. Baselines heed ``seed`` and nothing else of these.
    epochs, batch_size
        Passes over the training genes; genes per step.
    optimizer, lr, momentum, weight_decay
        As in :mod:`torch.optim`; ``momentum`` is for ``sgd`` only.
    lr_decay
        The learning rate of step t (from 0, over all epochs) is lr / (1 + t * lr_decay), as in Torch7's sgd.
    patience
        Stop a model after so many epochs without a better validation AUROC; 0: never.
    seed
        Of the initial weights, the order of genes, and dropout.
    precision
        Of matrix products: ``fp32``, ``tf32`` (on a GPU), ``bf16`` (weights stay fp32).
        ``auto`` is ``tf32`` on a GPU and ``fp32`` on a CPU.
    """

    model: str = "deepchrome"
    epochs: int = 100
    batch_size: int = 64
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 0.0
    lr_decay: float = 0.0
    patience: int = 0
    seed: int = 1
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        wrong = {
            "epochs": self.epochs < 1,
            "batch_size": self.batch_size < 1,
            "lr": not 0 < self.lr < math.inf,
            "momentum": not 0 <= self.momentum < 1,
            "weight_decay": not 0 <= self.weight_decay < math.inf,
            "lr_decay": not 0 <= self.lr_decay < math.inf,
            "patience": self.patience < 0,
            "seed": self.seed < 0,
        }
        if names := [name for name, bad in wrong.items() if bad]:
            raise UsageError(f"{names[0]} = {getattr(self, names[0])} makes no sense")


@dataclass(frozen=True)
class Placement:
    """Where models are trained; it changes results by rounding only.

    Attributes
    ----------
    device
        ``auto`` takes a GPU if PyTorch sees one.
    threads
        CPU cores to use; by default those this process may run on.
    group_size
        Models in a stack; by default 1 on a CPU, and on a GPU as many as its free memory holds.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    group_size: int | None = None

    def resolve(self) -> torch.device:
        """Choose the device.

        Raises
        ------
        UsageError
            A GPU was asked for and PyTorch sees none.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UsageError("PyTorch sees no CUDA device here; use --device cpu, or a CUDA build of PyTorch")
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")

    def usable_threads(self) -> int:
        """Return the number of CPU cores to use."""
        return self.threads or usable_cores()


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one model; losses are mean negative log-likelihoods a gene, of training with dropout on."""

    epoch: int
    train_loss: float
    valid_loss: float
    valid_auroc: float
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the numbers are lost: the loss or the AUROC is not finite."""
        return not (math.isfinite(self.train_loss) and math.isfinite(self.valid_auroc))


@dataclass(frozen=True)
class Checkpoint:
    """All that training needs to go on from an epoch; tensors are on the host, without a models' axis."""

    history: tuple[EpochRecord, ...]
    weights: Mapping[str, Tensor] = field(repr=False)
    best: Mapping[str, Tensor] = field(repr=False)
    optimizer: Mapping[str, Tensor] = field(repr=False)


@dataclass(frozen=True)
class FittedModel:
    """A trained model: the weights of the epoch with the best validation AUROC, the first if several.

    ``best_epoch`` is ``None``, and ``weights`` empty, if the model diverged in its first epoch. A
    baseline has weights and no epochs.
    """

    epigenome: str
    history: tuple[EpochRecord, ...]
    best_epoch: int | None
    weights: Mapping[str, Tensor] = field(repr=False)


def best_epoch(history: Sequence[EpochRecord]) -> int | None:
    """Return the epoch with the best validation AUROC, the first if several; ``None`` if all diverged."""
    sound = [record for record in history if not record.diverged]
    return max(sound, key=lambda record: record.valid_auroc).epoch if sound else None
