"""A stack of models in training: their genes, their weights, and one optimizer over all of them."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from deepchrome.common.seeds import random_generator
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.splits import TEST, TRAIN, VALID
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, FittedModel, best_epoch
from deepchrome.train.models import build_network
from deepchrome.train.models.metrics import stacked_auroc
from deepchrome.train.models.stacked import on_probability

_WARM_UP_STEPS: Final = 3
# Number of validation genes to score at once, over all models of the stack.
_VALID_GENES_CPU: Final = 1024
_VALID_GENES_GPU: Final = 16384


class EpochPlan(NamedTuple):
    """The random choices of one epoch, in CPU memory.

    Attributes
    ----------
    epoch
        Number of the epoch, from 1.
    rows
        int64 (steps, models, batch): the genes of every step, as rows of the stack's array of all genes.
    weights
        float32 (steps, models, batch): 1 for a gene, 0 for padding.
    bits
        uint8 (steps, models, batch, bytes): dropout bits (1 keeps a unit), packed into bytes
        with the lowest bit first.
    """

    epoch: int
    rows: Tensor
    weights: Tensor
    bits: Tensor


class TrainingStack:
    """Models that train in lockstep, one per data set.

    All models take the same number of steps per epoch. If the last batch is smaller, genes of weight 0 fill it up.

    Parameters
    ----------
    datasets
        Data sets with the same bins and marks, and the same number of steps per epoch.
    config
        Model and training settings.
    device
        Device on which the models train.

    Attributes
    ----------
    history
        The records of all epochs so far, one list per model.
    """

    def __init__(self, datasets: Sequence[Dataset], config: FitConfig, device: torch.device) -> None:
        self._names = [data.epigenome for data in datasets]
        self._seed_names = [data.seed_name for data in datasets]
        self._config, self._device = config, device
        self.history: list[list[EpochRecord]] = [[] for _ in datasets]
        models, (bins, marks) = len(datasets), datasets[0].x.shape[1:]
        self._load_genes(datasets)

        self._model = build_network(config.model, models, marks, bins).to(device)
        self._best = {name: torch.zeros_like(weights) for name, weights in self._model.named_parameters()}
        self._optimizer = _build_optimizer(config, self._model, device)
        # The inputs of a step stay at the same addresses, because a CUDA graph reads them there.
        batch, dropout_bytes = config.batch_size, -(-self._model.dropout_units // 8)
        self._rows = torch.zeros(models, batch, dtype=torch.int64, device=device)
        self._weights = torch.ones(models, batch, device=device)
        self._bits = torch.zeros(models, batch, dropout_bytes, dtype=torch.uint8, device=device)
        self._bit_numbers = torch.arange(8, dtype=torch.uint8, device=device)
        self._loss = torch.zeros(models, dtype=torch.float64, device=device)
        self._graph = self._warm_up()

    def start(self, i: int, checkpoint: Checkpoint | None) -> None:
        """Set weights and optimizer of model ``i`` to their initial state, or to the state of a checkpoint."""
        if checkpoint is None:
            self._model.draw(i, random_generator(self._config.seed, self._seed_names[i], 0))
        else:
            self.history[i] = list(checkpoint.history)
            self._model.load(i, checkpoint.weights)
            for name, weights in checkpoint.best.items():
                self._best[name][i].copy_(weights)
        for name, state in self._optimizer_state(i):
            if checkpoint is None:
                state.zero_()
            else:
                state.copy_(checkpoint.optimizer[name])

    def plan(self, epoch: int) -> EpochPlan:
        """Draw the order of genes and the dropout of one epoch, in CPU memory."""
        models, batch, dropout_bytes = self._bits.shape
        rows = np.empty((self._steps, models, batch), np.int64)
        weights = np.empty((self._steps, models, batch), np.float32)
        bits = np.empty((self._steps, models, batch, dropout_bytes), np.uint8)
        for i, (name, train_rows) in enumerate(zip(self._seed_names, self._train_rows, strict=True)):
            rng = random_generator(self._config.seed, name, epoch)
            order, is_gene = _pad([rng.permutation(train_rows)], self._steps * batch)
            rows[:, i] = order.reshape(self._steps, batch)
            weights[:, i] = is_gene.reshape(self._steps, batch)
            random_bytes = np.frombuffer(rng.bytes(order.size * dropout_bytes), np.uint8)
            bits[:, i] = random_bytes.reshape(self._steps, batch, dropout_bytes)
        return EpochPlan(epoch, torch.from_numpy(rows), torch.from_numpy(weights), torch.from_numpy(bits))

    def train(self, plan: EpochPlan) -> Tensor:
        """Train for one epoch; return the mean loss per gene, float64 (models,)."""
        rows, weights, bits = (choices.to(self._device) for choices in plan[1:])
        self._loss.zero_()
        for step in range(self._steps):
            self._rows.copy_(rows[step])
            self._weights.copy_(weights[step])
            self._bits.copy_(bits[step])
            if self._config.lr_decay:
                self._set_lr((plan.epoch - 1) * self._steps + step)
            if self._graph is None:
                self._step()
            else:
                self._graph.replay()
        return self._loss / self._n_train

    @torch.no_grad()
    def validate(self) -> tuple[Tensor, Tensor]:
        """Score the validation genes; return mean loss per gene and AUROC, float64 (models,) each."""
        models = len(self._names)
        limit = _VALID_GENES_CPU if self._device.type == "cpu" else _VALID_GENES_GPU
        batches = []
        with _autocast(self._config, self._device):
            for rows in torch.split(self._valid_rows, max(1, limit // models), 1):
                x = self._x.index_select(0, rows.reshape(-1)).view(models, -1, *self._x.shape[1:])
                batches.append(self._model(x).float())
        logits, y = torch.cat(batches, 1), self._y[self._valid_rows]
        losses = cross_entropy(logits.flatten(0, 1), y.view(-1), reduction="none").view_as(y)
        loss = (losses.double() * self._valid_is_gene).sum(1) / self._valid_is_gene.sum(1)
        return loss, stacked_auroc(on_probability(logits), y == 1, self._valid_is_gene)

    def keep_as_best(self, i: int) -> None:
        """Keep a copy of the current weights of model ``i``."""
        for name, weights in self._model.named_parameters():
            self._best[name][i].copy_(weights.detach()[i])

    def checkpoint(self, i: int) -> Checkpoint:
        """Copy the state of model ``i`` to CPU memory."""
        return Checkpoint(
            tuple(self.history[i]),
            self._model.weights(i),
            {name: weights[i].cpu().clone() for name, weights in self._best.items()},
            {name: state.cpu().clone() for name, state in self._optimizer_state(i)},
        )

    def fitted(self, i: int) -> FittedModel:
        """Return model ``i`` with the weights of its best epoch."""
        best = best_epoch(self.history[i])
        weights = {} if best is None else {name: weights[i].cpu().clone() for name, weights in self._best.items()}
        return FittedModel(self._names[i], tuple(self.history[i]), best, weights)

    def _load_genes(self, datasets: Sequence[Dataset]) -> None:
        """Copy the training and validation genes of all data sets to the device, as one array of genes."""
        models, device = len(datasets), self._device
        used = [np.flatnonzero(data.split != TEST) for data in datasets]
        parts = np.concatenate([data.split[rows] for data, rows in zip(datasets, used, strict=True)])
        owner = np.repeat(np.arange(models), [rows.size for rows in used])
        x = np.concatenate([data.x[rows] for data, rows in zip(datasets, used, strict=True)])
        y = np.concatenate([data.y[rows] for data, rows in zip(datasets, used, strict=True)])
        self._x = torch.from_numpy(x).to(device)
        self._y = torch.from_numpy(y.astype(np.int64)).to(device)
        self._train_rows = [np.flatnonzero((parts == TRAIN) & (owner == i)) for i in range(models)]
        self._n_train = torch.tensor([rows.size for rows in self._train_rows], device=device)
        self._steps = -(-self._train_rows[0].size // self._config.batch_size)
        valid_rows = [np.flatnonzero((parts == VALID) & (owner == i)) for i in range(models)]
        padded, is_gene = _pad(valid_rows, max(rows.size for rows in valid_rows))
        self._valid_rows = torch.from_numpy(padded).to(device)
        self._valid_is_gene = torch.from_numpy(is_gene).to(device)

    def _warm_up(self) -> torch.cuda.CUDAGraph | None:
        """Create the state of the optimizer by taking steps; :meth:`start` undoes their effect.

        On a GPU, also record one step as a CUDA graph and return it.
        """
        if self._device.type == "cpu":
            self._step()
            return None
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_STEPS):
                self._step()
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        return graph

    def _step(self) -> None:
        """Take one step of every model with the genes, weights and dropout bits that :meth:`train` has copied."""
        models, batch = self._rows.shape
        rows = self._rows.view(-1)
        x = self._x.index_select(0, rows).view(models, batch, *self._x.shape[1:])
        unpacked = ((self._bits.unsqueeze(-1) >> self._bit_numbers) & 1).view(models, batch, -1)
        keep = unpacked[:, :, : self._model.dropout_units]
        self._optimizer.zero_grad(set_to_none=True)
        with _autocast(self._config, self._device):
            logits = self._model(x, keep)
        losses = cross_entropy(logits.float().flatten(0, 1), self._y.index_select(0, rows), reduction="none")
        losses = losses.view(models, batch) * self._weights
        # A model's loss does not depend on the other models, so the sum over models gives each its own gradient.
        (losses.sum(1) / self._weights.sum(1)).sum().backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._loss += losses.detach().sum(1)

    def _optimizer_state(self, i: int) -> Iterator[tuple[str, Tensor]]:
        """Yield name and value of each tensor in the optimizer's state for model ``i``.

        Scalars, such as Adam's number of steps, are shared by all models.
        """
        for name, parameter in self._model.named_parameters():
            for key, value in self._optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    yield f"{name}/{key}", value[i] if value.ndim else value

    def _set_lr(self, step: int) -> None:
        lr = self._config.lr / (1 + step * self._config.lr_decay)
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr


def _build_optimizer(config: FitConfig, model: torch.nn.Module, device: torch.device) -> torch.optim.Optimizer:
    on_gpu = device.type == "cuda"
    # A CUDA graph reads the learning rate from GPU memory, so on a GPU it must be a tensor.
    lr = torch.tensor(config.lr, device=device) if on_gpu else config.lr
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
        )
    optimizer_class = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return optimizer_class(model.parameters(), lr=lr, weight_decay=config.weight_decay, fused=True, capturable=on_gpu)


def _autocast(config: FitConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16", cache_enabled=False)


def _pad(rows: Sequence[NDArray[np.int64]], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Pad every array to ``length`` with its first value.

    Returns
    -------
    padded
        int64 (arrays, length).
    is_original
        bool (arrays, length): ``False`` for padding.
    """
    padded = np.stack([np.append(array, np.full(length - array.size, array[0])) for array in rows])
    return padded, np.arange(length) < np.array([array.size for array in rows])[:, None]
