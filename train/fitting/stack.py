"""A stack of networks in training: their genes, their weights, and one optimizer over all of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepchrome.common.names import TEST, TRAIN, VALID
from deepchrome.common.seeds import random_generator
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.depth import MAX_RANKED_COUNT, RATES
from deepchrome.train.fitting.augment import hide_marks, shift, thin
from deepchrome.train.fitting.auroc import stacked_auroc
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, FittedModel, best_epoch
from deepchrome.train.fitting.threads import map_in_torch_threads
from deepchrome.train.fitting.training import Training, network_spec
from deepchrome.train.models import build_network, is_custom
from deepchrome.train.models.outputs import gene_losses, log_odds

_WARM_UP_STEPS: Final = 3
# Numbers of genes to prepare or to score at once, over all networks of the stack. On a CPU, they fit in its caches.
_GENES_CPU: Final = 1024
_GENES_GPU: Final = 65536
# Share of the genes whose reads are thinned in an epoch, if any are.
_THINNED_SHARE: Final = 0.5


class EpochPlan(NamedTuple):
    """The random choices of one epoch, in CPU memory.

    The first three axes of every tensor are steps, models and the genes of a batch.

    Attributes
    ----------
    epoch
        Number of the epoch, from 1.
    rows
        int64: the genes of every step, as rows of the stack's array of all genes.
    weights
        float32: 1 for a gene, 0 for padding.
    bits
        uint8 (..., bytes): dropout bits (1 keeps a unit), packed into bytes with the lowest bit first.
    shifts
        int8: number of bins to shift a gene by; ``None`` without shifts.
    rates
        uint8 (..., marks): how to thin the counts; see :func:`~deepchrome.train.fitting.augment.thin`. ``None`` without
        thinning.
    random_bytes
        uint8 (..., bins, marks): random numbers for the thinning; ``None`` without it.
    hidden
        bool (..., marks): marks to hide; ``None`` without mark dropout.
    """

    epoch: int
    rows: Tensor
    weights: Tensor
    bits: Tensor
    shifts: Tensor | None = None
    rates: Tensor | None = None
    random_bytes: Tensor | None = None
    hidden: Tensor | None = None


class Step(NamedTuple):
    """What the networks get in one step, on the device. The first two axes are models and genes.

    Attributes
    ----------
    x
        float32 (..., bins, marks): inputs.
    on
        int64: 1 if the gene is on, else 0.
    target
        float32: expression in standard units.
    weights, bits
        See :class:`EpochPlan`.
    """

    x: Tensor
    on: Tensor
    target: Tensor
    weights: Tensor
    bits: Tensor


class TrainingStack:
    """Networks that train in lockstep.

    All networks take the same number of steps per epoch. If the last batch is smaller, genes of weight 0 fill it up.

    Parameters
    ----------
    trainings
        Networks with the same bins and marks, the same number of data sets, and the same number of steps per epoch.
    config
        Model and training settings.
    device
        Device on which the networks train.

    Attributes
    ----------
    history
        The records of all epochs so far, one list per network.
    epochs
        Number of epochs of the training.
    """

    def __init__(self, trainings: Sequence[Training], config: FitConfig, device: torch.device) -> None:
        self._trainings, self._config, self._device = trainings, config, device
        self.history: list[list[EpochRecord]] = [[] for _ in trainings]
        self._bf16 = config.resolve_precision(device) == "bf16"
        self._steps, self.epochs = trainings[0].steps(config), trainings[0].epochs(config)
        self._load_genes()

        spec = network_spec(config, trainings[0].datasets[0])
        self._model = build_network(spec, len(trainings)).to(device)
        self._is_custom = is_custom(spec.name)
        self._best = {name: torch.zeros_like(weights) for name, weights in self._model.named_parameters()}
        self._optimizer = _build_optimizer(config, self._model, device)
        self._dropout_bytes = -(-self._model.dropout_units // 8)
        self._bit_numbers = torch.arange(8, dtype=torch.uint8, device=device)
        self._loss = torch.zeros(len(trainings), dtype=torch.float64, device=device)
        # A CUDA graph reads the inputs of a step at fixed addresses.
        self._fixed = self._prepare(_first_steps(self.plan(1), 1))[0]
        self._graph = self._warm_up()

    def start(self, i: int, checkpoint: Checkpoint | None) -> None:
        """Set weights and optimizer of network ``i`` to their initial state, or to the state of a checkpoint."""
        if checkpoint is None:
            self._model.draw(i, random_generator(self._config.seed, self._trainings[i].seed_name, 0))
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
        """Draw the random choices of one epoch, in CPU memory."""
        shape = (self._steps, self._config.batch_size)
        drawn = map_in_torch_threads(lambda i: self._draw(i, epoch), range(len(self._trainings)))
        stacked = {
            name: torch.stack([each[name].view(*shape, *values.shape[1:]) for each in drawn], 1)
            for name, values in drawn[0].items()
        }
        return EpochPlan(epoch, **stacked)

    def _draw(self, i: int, epoch: int) -> dict[str, Tensor]:
        """Draw the random choices of one epoch of network ``i``, by their names in :class:`EpochPlan`.

        The first axis of every tensor is the genes, in the order of the steps.
        """
        config, (bins, marks) = self._config, self._x.shape[1:]
        rng = random_generator(config.seed, self._trainings[i].seed_name, epoch)
        order, is_gene = _pad([rng.permutation(self._train_rows[i])], self._steps * config.batch_size)
        rows, n = order[0], order.size
        choices: dict[str, NDArray[np.generic]] = {"rows": rows, "weights": is_gene[0].astype(np.float32)}
        choices["bits"] = _random_bytes(rng, n, self._dropout_bytes)
        if config.shift_bins:
            choices["shifts"] = rng.integers(-config.shift_bins, config.shift_bins, n, np.int8, endpoint=True)
        if config.augment_depth:
            rates = rng.integers(1, RATES, (n, marks), np.uint8, endpoint=True)
            choices["rates"] = rates * (rng.random(n) < _THINNED_SHARE)[:, None]
            choices["random_bytes"] = _random_bytes(rng, n, bins * marks).reshape(n, bins, marks)
        if config.mark_dropout:
            present = self._present[rows]
            hidden = rng.random((n, marks)) < config.mark_dropout
            hidden &= np.any(present & ~hidden, 1)[:, None]  # one mark must remain
            choices["hidden"] = hidden
        return {name: torch.from_numpy(values) for name, values in choices.items()}

    def train(self, plan: EpochPlan) -> Tensor:
        """Train for one epoch; return the mean loss per gene, float64 (models,)."""
        self._loss.zero_()
        per_step = plan.rows[0].numel()
        block = max(1, (_GENES_CPU if self._device.type == "cpu" else _GENES_GPU) // per_step)
        step = 0
        with self._custom_randomness(plan.epoch):
            for first in range(0, self._steps, block):
                for inputs in self._prepare(_first_steps(plan, block, first)):
                    self._set_lr((plan.epoch - 1) * self._steps + step)
                    step += 1
                    if self._graph is None:
                        self._step(inputs)
                        continue
                    for fixed, values in zip(self._fixed, inputs, strict=True):
                        fixed.copy_(values)
                    self._graph.replay()
        return self._loss / self._n_train

    @torch.no_grad()
    def validate(self) -> tuple[Tensor, Tensor]:
        """Score the validation genes; return mean loss per gene and AUROC, float64 (models,) each."""
        models, sets, genes = self._valid_rows.shape
        rows, counted = self._valid_rows.view(models, -1), self._valid_is_gene.view(models, -1)
        limit = _GENES_CPU if self._device.type == "cpu" else _GENES_GPU
        self._model.eval()
        batches = []
        with self._autocast():
            for part in torch.split(rows, max(1, limit // models), 1):
                x = self._x.index_select(0, part.reshape(-1)).view(models, -1, *self._x.shape[1:])
                batches.append(self._model(x).float())
        outputs, on = torch.cat(batches, 1), self._on[rows]
        losses = gene_losses(outputs.flatten(0, 1), on.view(-1), self._target[rows].view(-1), self._config.task)
        loss = (losses.view_as(on).double() * counted).sum(1) / counted.sum(1)
        per_set = (each.view(models * sets, genes) for each in (log_odds(outputs, self._config.task), on == 1, counted))
        return loss, stacked_auroc(*per_set).view(models, sets).mean(1)

    def keep_as_best(self, i: int) -> None:
        """Keep a copy of the current weights of network ``i``."""
        for name, weights in self._model.named_parameters():
            self._best[name][i].copy_(weights.detach()[i])

    def checkpoint(self, i: int) -> Checkpoint:
        """Copy the state of network ``i`` to CPU memory."""
        return Checkpoint(
            tuple(self.history[i]),
            self._model.weights(i),
            {name: weights[i].cpu().clone() for name, weights in self._best.items()},
            {name: state.cpu().clone() for name, state in self._optimizer_state(i)},
        )

    def fitted(self, i: int) -> FittedModel:
        """Return network ``i`` with the weights of its best epoch."""
        best = best_epoch(self.history[i])
        weights = {} if best is None else {name: weights[i].cpu().clone() for name, weights in self._best.items()}
        return FittedModel(self._trainings[i].key, tuple(self.history[i]), best, weights)

    def _load_genes(self) -> None:
        """Copy the genes of all data sets to the device, each data set once, as one array of genes."""
        device = self._device
        targets = {id(data): training.targets(data) for training in self._trainings for data in training.datasets}
        datasets = {id(data): data for training in self._trainings for data in training.datasets}
        if len(datasets) > 1:  # They are copied, and test genes would need memory for nothing.
            rows = {key: np.flatnonzero(data.split != TEST) for key, data in datasets.items()}
            targets = {key: targets[key][rows[key]] for key in datasets}
            taken = map_in_torch_threads(lambda key: datasets[key].take(rows[key]), list(datasets))
            datasets = dict(zip(rows, taken, strict=True))
        sizes = [len(data.y) for data in datasets.values()]
        first = dict(zip(datasets, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
        ordered = list(datasets.values())
        self._x = _concatenate([data.x for data in ordered], device)
        self._on = torch.from_numpy(np.concatenate([data.y for data in ordered]).astype(np.int64)).to(device)
        self._target = torch.from_numpy(np.concatenate([targets[key] for key in datasets])).to(device)
        self._present = np.repeat(np.stack([data.present for data in ordered]), sizes, 0)
        if self._config.augment_depth:
            self._counts = torch.empty(self._x.shape, dtype=torch.int16, device=device)
            parts = torch.split(self._counts, sizes)
            map_in_torch_threads(
                lambda i: parts[i].copy_(torch.from_numpy(_thinnable_counts(ordered[i]))), range(len(ordered))
            )
            size = int(self._counts.max()) + 1
            values = map_in_torch_threads(lambda data: _thinned_values(data, size), ordered)
            self._values = torch.from_numpy(np.stack(values)).to(device)
            self._set_of_gene = torch.from_numpy(np.repeat(np.arange(len(ordered)), sizes)).to(device)
            is_signal = torch.tensor([[scale.is_signal for scale in data.scales or ()] for data in ordered])
            self._is_signal = is_signal.to(device) if is_signal.any() else None

        def rows_of(data: Dataset, part: int) -> NDArray[np.int64]:
            return np.asarray(np.flatnonzero(datasets[id(data)].split == part) + first[id(data)])

        self._train_rows = [
            np.concatenate([rows_of(data, TRAIN) for data in training.datasets]) for training in self._trainings
        ]
        self._n_train = torch.tensor([rows.size for rows in self._train_rows], device=device)
        valid_rows = [rows_of(data, VALID) for training in self._trainings for data in training.datasets]
        padded, is_gene = _pad(valid_rows, max(rows.size for rows in valid_rows))
        shape = (len(self._trainings), -1, padded.shape[1])
        self._valid_rows = torch.from_numpy(padded.reshape(shape)).to(device)
        self._valid_is_gene = torch.from_numpy(is_gene.reshape(shape)).to(device)

    def _prepare(self, plan: EpochPlan) -> list[Step]:
        """Make the inputs of the steps of a plan, on the device, with their random changes."""
        on_device = [None if choices is None else choices.to(self._device) for choices in plan[1:]]
        rows, weights, bits, shifts, rates, random_bytes, hidden = on_device
        assert rows is not None
        assert weights is not None
        assert bits is not None
        flat = rows.view(-1)
        x = self._x.index_select(0, flat)
        if rates is not None and random_bytes is not None:
            thinned = rates.view(flat.numel(), -1)[:, 0].nonzero()[:, 0]
            x[thinned] = self._thin(flat[thinned], rates.flatten(0, 2)[thinned], random_bytes.flatten(0, 2)[thinned])
        if shifts is not None:
            shift(x, shifts.view(-1))
        if hidden is not None:
            hide_marks(x, hidden.flatten(0, 2))
        shape = (*rows.shape, *self._x.shape[1:])
        columns = (x.view(shape), self._on[rows], self._target[rows], weights, bits)
        return [Step(*step) for step in zip(*columns, strict=True)]

    def _thin(self, rows: Tensor, rate: Tensor, random_bytes: Tensor) -> Tensor:
        """Return the inputs of genes whose reads are thinned: float32 (genes, bins, marks); NaN for missing marks.

        Marks that are signal have no reads, and stay as they are.
        """
        _, rates, marks, size = self._values.shape
        counts = thin(self._counts.index_select(0, rows), rate, random_bytes, largest=size - 1)
        mark = torch.arange(marks, device=self._device)
        table = (self._set_of_gene[rows].unsqueeze(1) * rates + rate) * marks + mark
        thinned = self._values.view(-1).take(table.unsqueeze(1) * size + counts)
        if self._is_signal is None:
            return thinned
        is_signal = self._is_signal[self._set_of_gene[rows]].unsqueeze(1)
        return torch.where(is_signal, self._x.index_select(0, rows), thinned)  # guard: signal-not-thinned

    def _warm_up(self) -> torch.cuda.CUDAGraph | None:
        """Create the state of the optimizer by taking steps; :meth:`start` undoes their effect.

        On a GPU, also record one step as a CUDA graph and return it. The classes of users might not allow that.
        """
        if self._device.type == "cpu" or self._is_custom:
            with self._custom_randomness(0):
                self._step(self._fixed)
            return None
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_STEPS):
                self._step(self._fixed)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(self._fixed)
        return graph

    def _step(self, inputs: Step) -> None:
        """Take one step of every network."""
        models, batch = inputs.on.shape
        unpacked = ((inputs.bits.unsqueeze(-1) >> self._bit_numbers) & 1).view(models, batch, -1)
        keep = unpacked[:, :, : self._model.dropout_units]
        self._optimizer.zero_grad(set_to_none=True)
        self._model.train()
        with self._autocast():
            outputs = self._model(inputs.x, keep)
        losses = gene_losses(
            outputs.float().flatten(0, 1), inputs.on.view(-1), inputs.target.view(-1), self._config.task
        )
        losses = losses.view(models, batch) * inputs.weights
        # A model's loss does not depend on the other models, so the sum over models gives each its own gradient.
        (losses.sum(1) / inputs.weights.sum(1)).sum().backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._loss += losses.detach().sum(1)

    def _optimizer_state(self, i: int) -> Iterator[tuple[str, Tensor]]:
        """Yield name and value of each tensor in the optimizer's state for network ``i``.

        Scalars, such as Adam's number of steps, are shared by all networks.
        """
        for name, parameter in self._model.named_parameters():
            for key, value in self._optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    yield f"{name}/{key}", value[i] if value.ndim else value

    def _set_lr(self, step: int) -> None:
        lr = self._config.learning_rate(step, self.epochs * self._steps)
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16, cache_enabled=False)

    @contextmanager
    def _custom_randomness(self, epoch: int) -> Iterator[None]:
        """Seed PyTorch's own random numbers, which the classes of users draw from, and restore them at the end."""
        if not self._is_custom:
            yield
            return
        with torch.random.fork_rng():
            rng = random_generator(self._config.seed, f"{self._trainings[0].seed_name}/{epoch}")
            torch.manual_seed(int(rng.integers(2**31)))
            yield


def _build_optimizer(config: FitConfig, model: torch.nn.Module, device: torch.device) -> torch.optim.Optimizer:
    on_gpu = device.type == "cuda"
    # A CUDA graph reads the learning rate from GPU memory, so on a GPU it must be a tensor.
    lr = torch.tensor(config.lr, device=device) if on_gpu else config.lr
    weights, decay = model.parameters(), config.weight_decay
    if config.optimizer == "sgd":
        momentum = config.momentum
        nesterov = config.nesterov and momentum > 0  # PyTorch refuses one without the other
        return torch.optim.SGD(weights, lr, momentum, weight_decay=decay, nesterov=nesterov, fused=True)
    optimizer_class = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return optimizer_class(weights, lr, weight_decay=decay, fused=True, capturable=on_gpu)


def _first_steps(plan: EpochPlan, steps: int, first: int = 0) -> EpochPlan:
    """Return a number of steps of a plan."""
    return EpochPlan._make(each[first : first + steps] if isinstance(each, Tensor) else each for each in plan)


def _random_bytes(rng: np.random.Generator, genes: int, size: int) -> NDArray[np.uint8]:
    """Draw random bytes: uint8 (genes, size), writable."""
    # Eight times as fast as rng.bytes. The bit generator's random_raw is as fast, but makes other threads wait.
    words = rng.integers(0, 2**64 - 1, -(-genes * size // 8), np.uint64, endpoint=True)
    return words.astype("<u8", copy=False).view(np.uint8)[: genes * size].reshape(genes, size)


def _thinnable_counts(data: Dataset) -> NDArray[np.int16]:
    """Return the counts of the training genes, at most :data:`MAX_RANKED_COUNT`, and 0 for other genes and for signal.

    Returns
    -------
    int16 (genes, bins, marks)
    """
    counts = np.zeros(data.x.shape, np.int16)
    rows = np.flatnonzero(data.split == TRAIN)
    for i, scale in enumerate(data.scales or ()):
        if not scale.is_signal:
            counts[rows, :, i] = np.minimum(scale.invert(data.x[rows, :, i]).round(), MAX_RANKED_COUNT)
    return counts


def _thinned_values(data: Dataset, size: int) -> NDArray[np.float32]:
    """Return the inputs of thinned counts from 0 to ``size`` - 1; NaN for missing marks.

    Returns
    -------
    float32 (RATES + 1, marks, size)
    """
    unused = np.zeros((RATES + 1, size), np.float32)  # signal is not thinned
    values = np.stack([unused if scale.is_signal else scale.thinned_values(size) for scale in data.scales or ()], 1)
    values[:, ~data.present] = np.nan
    return values


def _concatenate(arrays: Sequence[NDArray[np.float32]], device: torch.device) -> Tensor:
    """Concatenate arrays on a device. A single array is not copied on a CPU."""
    if len(arrays) == 1:
        return torch.from_numpy(arrays[0]).to(device)
    sizes = [len(array) for array in arrays]
    joined = torch.empty((sum(sizes), *arrays[0].shape[1:]), device=device)
    for part, array in zip(torch.split(joined, sizes), arrays, strict=True):
        part.copy_(torch.from_numpy(array))
    return joined


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
