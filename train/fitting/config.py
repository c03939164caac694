"""Settings and results of training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from deepchrome.common.cores import check_threads, usable_cores
from deepchrome.errors import ParameterError


@dataclass(frozen=True)
class FitConfig:
    """Model and training settings. The same settings and data give the same models.

    Attributes
    ----------
    model
        One of :data:`deepchrome.train.models.MODELS`. Baselines use ``seed`` and ignore all other settings.
    epochs
        Number of passes over the training genes.
    batch_size
        Number of genes per step.
    optimizer, lr, weight_decay
        As in :mod:`torch.optim`.
    momentum
        As in :class:`torch.optim.SGD`; other optimizers ignore it.
    lr_decay
        The learning rate of step t is lr / (1 + t * lr_decay), as in Torch7's sgd. Steps are counted from 0
        across all epochs.
    patience
        Stop a model after this many epochs without a better validation AUROC. 0 disables early stopping.
    seed
        Seed of the initial weights, the order of genes, and dropout.
    precision
        Precision of matrix products: ``fp32``, ``tf32`` (GPU only), or ``bf16`` (with weights in fp32).
        ``auto`` means ``tf32`` on a GPU and ``fp32`` on a CPU.

    Raises
    ------
    ParameterError
        A value is out of range.
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
        """Check the values."""
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 0), ("seed", 0)):
            value = getattr(self, name)
            if value < least:
                raise ParameterError(name, f"must be at least {least}, got {value}")
        if not 0 < self.lr < math.inf:
            raise ParameterError("lr", f"must be finite and above 0, got {self.lr}")
        if not 0 <= self.momentum < 1:
            raise ParameterError("momentum", f"must be at least 0 and below 1, got {self.momentum}")
        for name in ("weight_decay", "lr_decay"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ParameterError(name, f"must be finite and at least 0, got {value}")


@dataclass(frozen=True)
class Placement:
    """Hardware to train on. It changes results by rounding only.

    Attributes
    ----------
    device
        ``auto`` uses a GPU if PyTorch finds one.
    threads
        Number of CPU cores to use. The default is all cores that this process may use.
    group_size
        Number of models trained together, as a stack. The default is 1 on a CPU, and as many as fit in the free
        memory on a GPU.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    group_size: int | None = None

    def resolve(self) -> torch.device:
        """Choose the device.

        Raises
        ------
        ParameterError
            ``device`` is ``cuda`` and PyTorch finds no GPU.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ParameterError(
                "device",
                "is cuda, but PyTorch finds no CUDA device. Use cpu, or install a build of PyTorch with CUDA.",
            )
        return torch.device("cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu")

    def usable_threads(self) -> int:
        """Return the number of CPU cores to use.

        Raises
        ------
        ParameterError
            ``threads`` is not valid.
        """
        check_threads(self.threads)
        return self.threads or usable_cores()


@dataclass(frozen=True)
class EpochRecord:
    """Metrics of one model after one epoch.

    Attributes
    ----------
    epoch
        Number of the epoch, from 1.
    train_loss, valid_loss
        Mean negative log-likelihood per gene. The training loss is measured with dropout.
    valid_auroc
        AUROC on the validation genes.
    seconds
        Time that the epoch took, for all models of the stack together.
    """

    epoch: int
    train_loss: float
    valid_loss: float
    valid_auroc: float
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the training loss or the validation AUROC is NaN or infinite."""
        return not (math.isfinite(self.train_loss) and math.isfinite(self.valid_auroc))


@dataclass(frozen=True)
class Checkpoint:
    """The state from which training of one model can continue.

    All tensors are in CPU memory. Unlike those of a stack, they have no axis for the models.

    Attributes
    ----------
    history
        The epochs so far.
    weights, best
        Weights after the last epoch, and after the epoch with the best validation AUROC.
    optimizer
        State of the optimizer, with keys ``<parameter>/<name>``.
    """

    history: tuple[EpochRecord, ...]
    weights: Mapping[str, Tensor] = field(repr=False)
    best: Mapping[str, Tensor] = field(repr=False)
    optimizer: Mapping[str, Tensor] = field(repr=False)


@dataclass(frozen=True)
class FittedModel:
    """A trained model.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    history
        All epochs; empty for a baseline.
    best_epoch
        See :func:`best_epoch`; ``None`` for a baseline.
    weights
        Weights after the best epoch; empty if the model diverged in its first epoch.
    """

    epigenome: str
    history: tuple[EpochRecord, ...]
    best_epoch: int | None
    weights: Mapping[str, Tensor] = field(repr=False)


def best_epoch(history: Sequence[EpochRecord]) -> int | None:
    """Return the epoch with the best validation AUROC.

    If several epochs are equally good, return the first. Return ``None`` if the model diverged in its first epoch.
    """
    valid = [record for record in history if not record.diverged]
    return max(valid, key=lambda record: record.valid_auroc).epoch if valid else None


def training_has_ended(history: Sequence[EpochRecord], config: FitConfig) -> bool:
    """Return whether training has ended because the model diverged or its patience ran out."""
    if not history:
        return False
    best = best_epoch(history)
    return history[-1].diverged or bool(
        config.patience and best is not None and history[-1].epoch - best >= config.patience
    )
