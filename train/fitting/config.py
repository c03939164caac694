"""Settings and results of training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from deepchrome.common.cores import check_threads, usable_cores
from deepchrome.errors import ParameterError
from deepchrome.train.models.outputs import Task

Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "one-cycle"]
Precision = Literal["auto", "fp32", "tf32", "bf16"]

_CHOICES: Final = {"task": Task, "optimizer": Optimizer, "schedule": Schedule, "precision": Precision}
_RISING_SHARE: Final = 0.25  # of the steps of one cycle


@dataclass(frozen=True)
class FitConfig:
    """Model and training settings. The same settings and data give the same models.

    The defaults are plain training. :mod:`deepchrome.train.run.protocols` has the settings that score best.

    Attributes
    ----------
    model
        One of :data:`deepchrome.train.models.MODELS`, or ``module:Class``. Baselines use ``seed`` and ignore all other
        settings.
    task
        What to predict: whether a gene is on (``classify``), log2(RPKM + 1) (``regress``), or ``both``.
    pooled
        Train one model for all epigenomes together, instead of one for each.
    members
        Number of models to train for each epigenome, with other random choices. Their outputs are averaged.
    epochs
        Number of passes over the training genes.
    min_steps
        With fewer steps than this, there are more epochs: a small data set needs as many steps as a large one.
    batch_size
        Number of genes per step.
    optimizer, lr, weight_decay
        As in :mod:`torch.optim`.
    momentum, nesterov
        As in :class:`torch.optim.SGD`; other optimizers ignore them.
    schedule
        ``constant``: the learning rate stays at ``lr``, but for ``lr_decay``. ``one-cycle``: it rises from 0 to ``lr``
        over the first quarter of all steps, then falls to 0 (Smith & Topin 2019, arXiv:1708.07120).
    lr_decay
        The learning rate of step t is lr / (1 + t * lr_decay), as in Torch7's sgd. Steps are counted from 0
        across all epochs. Only for the constant schedule.
    shift_bins
        Shift the bins of every gene by up to this number, at random in every epoch.
    augment_depth
        In every epoch, thin half of the genes: keep each of their counts with a probability drawn for each mark, and
        correct for it. Scores then depend less on the number of reads. Needs inputs made from counts.
    mark_dropout
        Probability that a mark of a gene is hidden in an epoch. At least one mark remains. Needs inputs that may lack
        marks.
    patience
        Stop a model after this many epochs without a better validation AUROC. 0 disables early stopping.
    seed
        Seed of the initial weights, the order of genes, and dropout.
    precision
        Precision of matrix products: ``fp32``, ``tf32`` (GPU only), or ``bf16`` (with weights in fp32).
        ``auto`` means ``tf32`` on a GPU, ``bf16`` on a CPU that has matrix instructions for it, else ``fp32``.

    Raises
    ------
    ParameterError
        A value is out of range.
    """

    model: str = "deepchrome"
    task: Task = "classify"
    pooled: bool = False
    members: int = 1
    epochs: int = 100
    min_steps: int = 0
    batch_size: int = 64
    optimizer: Optimizer = "sgd"
    lr: float = 0.01
    momentum: float = 0.9
    nesterov: bool = False
    schedule: Schedule = "constant"
    weight_decay: float = 0.0
    lr_decay: float = 0.0
    shift_bins: int = 0
    augment_depth: bool = False
    mark_dropout: float = 0.0
    patience: int = 0
    seed: int = 1
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        """Check the values."""
        limits = {"epochs": 1, "min_steps": 0, "members": 1, "batch_size": 1, "patience": 0, "shift_bins": 0, "seed": 0}
        for name, least in limits.items():
            value = getattr(self, name)
            if value < least:
                raise ParameterError(name, f"must be at least {least}, got {value}")
        if not 0 < self.lr < math.inf:
            raise ParameterError("lr", f"must be finite and above 0, got {self.lr}")
        if not 0 <= self.momentum < 1:
            raise ParameterError("momentum", f"must be at least 0 and below 1, got {self.momentum}")
        if not 0 <= self.mark_dropout < 1:
            raise ParameterError("mark_dropout", f"must be at least 0 and below 1, got {self.mark_dropout}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise ParameterError(
                    name, f"must be one of {', '.join(get_args(choices))}, got {getattr(self, name)!r}"
                )
        for name in ("weight_decay", "lr_decay"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ParameterError(name, f"must be finite and at least 0, got {value}")
        if self.lr_decay and self.schedule != "constant":
            raise ParameterError("lr_decay", f"has no meaning with the schedule {self.schedule}")

    def count_epochs(self, steps: int) -> int:
        """Return the number of epochs of a training whose epochs have so many steps."""
        return max(self.epochs, -(-self.min_steps // steps))

    def learning_rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, counted from 0, of all ``steps`` of the training."""
        if self.schedule == "constant":
            return self.lr / (1 + step * self.lr_decay)
        rise = _RISING_SHARE * steps
        return self.lr * min((step + 1) / (rise + 1), (steps - step) / (steps - rise))

    def resolve_precision(self, device: torch.device) -> str:
        """Return the precision on a device: ``fp32``, ``tf32`` or ``bf16``."""
        if self.precision != "auto":
            return self.precision
        if device.type == "cuda":
            return "tf32"
        return "bf16" if has_bf16_instructions() else "fp32"


def has_bf16_instructions() -> bool:
    """Return whether the CPU multiplies matrices in bf16 faster than in fp32."""
    capabilities: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


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
        Mean loss per gene. The training loss is measured with dropout and random changes of the inputs.
    valid_auroc
        AUROC on the validation genes. For a pooled model, the mean of its epigenomes.
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
    """One trained network, or one fitted baseline.

    Attributes
    ----------
    key
        The key of its training; see :class:`~deepchrome.train.fitting.training.Training`.
    history
        All epochs; empty for a baseline.
    best_epoch
        See :func:`best_epoch`; ``None`` for a baseline.
    weights
        Weights after the best epoch; empty if the model diverged in its first epoch.
    """

    key: str
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
