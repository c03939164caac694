"""Training many models in lockstep: one per epigenome, stacked, each as if it were alone.

All randomness of a model (initial weights, the order of genes, dropout) follows from the seed, the
epigenome's name and the epoch. So a model depends neither on its neighbours nor on the device, and
a run that was cut off goes on from any epoch without the state of a generator.

On a GPU all models take every step together, replayed as one CUDA graph. A CPU has no use for wide
stacks (they push the weights out of its caches): there each core trains one model at a time.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from threading import Event
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from deepchrome.common.seeds import random_generator
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.splits import TEST, TRAIN, VALID
from deepchrome.train.fitting.config import Checkpoint, EpochRecord, FitConfig, FittedModel, Placement, best_epoch
from deepchrome.train.models import build_network
from deepchrome.train.models.metrics import stacked_auroc
from deepchrome.train.models.stacked import on_probability

_WARM_UP_STEPS: Final = 3
# Share of the free memory of a GPU that a group of models may take.
_MEMORY_SHARE: Final = 0.8


# Called after every epoch of every model, from the thread that trains it: the epigenome, what
# happened, and a function that makes a checkpoint if one is wanted.
OnEpoch = Callable[[str, EpochRecord, Callable[[], Checkpoint]], None]


def fit(
    datasets: Sequence[Dataset],
    config: FitConfig,
    placement: Placement | None = None,
    *,
    resume: Mapping[str, Checkpoint] | None = None,
    on_epoch: OnEpoch | None = None,
) -> list[FittedModel]:
    """Train one model per data set.

    Parameters
    ----------
    datasets
        Of one shape (bins, marks); they may differ in genes.
    config, placement
        See there.
    resume
        Checkpoints by epigenome, to go on from.
    on_epoch
        Told of every epoch; see :data:`OnEpoch`.

    Returns
    -------
    list of Fitted
        In the order of ``datasets``.

    Raises
    ------
    BadDataError
        Training or validation genes of a data set are missing or of one class; data sets differ in marks
        or bins, or have one name; an input is not finite.
    UsageError
        No data set; no such network; a GPU was asked for and there is none.
    """
    placement = placement or Placement()
    resume = resume or {}
    _check(datasets)
    device = placement.resolve()
    threads = placement.usable_threads()
    size = placement.group_size or (1 if device.type == "cpu" else _group_size(datasets[0], config, device))
    groups = list(_groups(datasets, config, resume, size))
    # From all data sets, not from what is left of them: the threads within a product decide its rounding.
    workers = 1 if device.type == "cuda" else min(threads, -(-len(datasets) // size))
    stop = Event()
    fitted: dict[str, FittedModel] = {}
    with _numerics(config, device, threads // workers), ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(_train_group, group, config, device, resume, on_epoch, stop) for group in groups]
        try:
            for done in as_completed(running):
                fitted.update(done.result())
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [fitted[data.epigenome] for data in datasets]


def _train_group(
    datasets: Sequence[Dataset],
    config: FitConfig,
    device: torch.device,
    resume: Mapping[str, Checkpoint],
    on_epoch: OnEpoch | None,
    stop: Event,
) -> dict[str, FittedModel]:
    """Train one stack to its end, or until ``stop`` is set."""
    stack = _Stack(datasets, config, device)
    for i, data in enumerate(datasets):
        stack.start(i, resume.get(data.epigenome))
    first = len(stack.history[0]) + 1
    plan = stack.plan(first)
    for epoch in range(first, config.epochs + 1):
        if stop.is_set() or all(ended(history, config) for history in stack.history):
            break
        began = time.perf_counter()
        measured = (stack.train(plan), *stack.validate())
        # A GPU is still at work on these; meanwhile the host prepares the next epoch.
        plan = stack.plan(epoch + 1)
        train_loss, valid_loss, valid_auroc = (values.tolist() for values in measured)
        seconds = time.perf_counter() - began
        for i, data in enumerate(datasets):
            if ended(stack.history[i], config):
                continue
            record = EpochRecord(epoch, train_loss[i], valid_loss[i], valid_auroc[i], seconds)
            stack.history[i].append(record)
            if best_epoch(stack.history[i]) == epoch:
                stack.keep_as_best(i)
            if on_epoch:
                on_epoch(data.epigenome, record, lambda i=i: stack.checkpoint(i))  # type: ignore[misc]
    return {data.epigenome: stack.fitted(i) for i, data in enumerate(datasets)}


class _Plan(NamedTuple):
    """One epoch's batches: rows and weights (steps, models, batch), dropout bits (steps, models, batch, bytes)."""

    epoch: int
    rows: Tensor
    weights: Tensor
    bits: Tensor


class _Stack:
    """Models in training, their genes on the device, and one optimizer over all of them.

    Every model takes as many steps an epoch as any other in the stack; a last, smaller batch is
    filled up with genes of weight 0.
    """

    def __init__(self, datasets: Sequence[Dataset], config: FitConfig, device: torch.device) -> None:
        self.names = [data.epigenome for data in datasets]
        self.config, self.device = config, device
        self.history: list[list[EpochRecord]] = [[] for _ in datasets]
        models, (bins, marks) = len(datasets), datasets[0].x.shape[1:]
        known = [np.flatnonzero(data.split != TEST) for data in datasets]
        parts = np.concatenate([data.split[rows] for data, rows in zip(datasets, known, strict=True)])
        owner = np.repeat(np.arange(models), [rows.size for rows in known])
        x = np.concatenate([data.x[rows] for data, rows in zip(datasets, known, strict=True)])
        y = np.concatenate([data.y[rows] for data, rows in zip(datasets, known, strict=True)])
        self.x = torch.from_numpy(x).to(device)
        self.y = torch.from_numpy(y.astype(np.int64)).to(device)
        self.train_rows = [np.flatnonzero((parts == TRAIN) & (owner == i)) for i in range(models)]
        self.genes = torch.tensor([rows.size for rows in self.train_rows], device=device)
        self.steps = -(-self.train_rows[0].size // config.batch_size)
        valid_rows = [np.flatnonzero((parts == VALID) & (owner == i)) for i in range(models)]
        rows, counted = _padded(valid_rows, max(rows.size for rows in valid_rows))
        self.valid_rows, self.valid_counted = torch.from_numpy(rows).to(device), torch.from_numpy(counted).to(device)

        self.model = build_network(config.model, models, marks, bins).to(device)
        self.best = {name: torch.zeros_like(weights) for name, weights in self.model.named_parameters()}
        self.optimizer = _optimizer(config, self.model, device)
        # The inputs of a step, always at the same addresses for the sake of the CUDA graph.
        self.rows = torch.zeros(models, config.batch_size, dtype=torch.int64, device=device)
        self.weight = torch.ones(models, config.batch_size, device=device)
        self.bits = torch.zeros(
            models, config.batch_size, -(-self.model.dropout_units // 8), dtype=torch.uint8, device=device
        )
        self.bit = torch.arange(8, dtype=torch.uint8, device=device)
        self.loss = torch.zeros(models, dtype=torch.float64, device=device)
        self.graph = self._warm_up()

    def _warm_up(self) -> torch.cuda.CUDAGraph | None:
        """Take steps that do not count: they make the optimizer's state, and on a GPU the graph of a step."""
        if self.device.type == "cpu":
            self._step()
            return None
        side = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_STEPS):
                self._step()
        torch.cuda.current_stream(self.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        return graph

    def _step(self) -> None:
        """One step of every model on the genes ``rows``, whose losses count ``weight``."""
        models, batch = self.rows.shape
        rows = self.rows.view(-1)
        x = self.x.index_select(0, rows).view(models, batch, *self.x.shape[1:])
        keep = ((self.bits.unsqueeze(-1) >> self.bit) & 1).view(models, batch, -1)[:, :, : self.model.dropout_units]
        self.optimizer.zero_grad(set_to_none=True)
        with _autocast(self.config, self.device):
            logits = self.model(x, keep)
        losses = cross_entropy(logits.float().flatten(0, 1), self.y.index_select(0, rows), reduction="none")
        losses = losses.view(models, batch) * self.weight
        # The sum over models: none has a part in the gradient of another.
        (losses.sum(1) / self.weight.sum(1)).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.loss += losses.detach().sum(1)

    def start(self, i: int, checkpoint: Checkpoint | None) -> None:
        """Set model ``i`` to its initial weights, or to where a checkpoint left it."""
        if checkpoint is None:
            self.model.draw(i, random_generator(self.config.seed, self.names[i], 0))
        else:
            self.history[i] = list(checkpoint.history)
            self.model.load(i, checkpoint.weights)
            for name, weights in checkpoint.best.items():
                self.best[name][i].copy_(weights)
        for name, state in self._optimizer_state(i):
            if checkpoint is None:
                state.zero_()
            else:
                state.copy_(checkpoint.optimizer[name])

    def plan(self, epoch: int) -> _Plan:
        """Draw the order of genes and the dropout of one epoch, on the host."""
        models, batch, bits = self.bits.shape
        rows = np.empty((self.steps, models, batch), np.int64)
        weights = np.empty((self.steps, models, batch), np.float32)
        random_bits = np.empty((self.steps, models, batch, bits), np.uint8)
        for i, (name, own_rows) in enumerate(zip(self.names, self.train_rows, strict=True)):
            rng = random_generator(self.config.seed, name, epoch)
            order, real = _padded([rng.permutation(own_rows)], self.steps * batch)
            rows[:, i] = order.reshape(self.steps, batch)
            weights[:, i] = real.reshape(self.steps, batch)
            drawn = np.frombuffer(rng.bytes(order.size * bits), np.uint8)
            random_bits[:, i] = drawn.reshape(self.steps, batch, bits)
        return _Plan(epoch, torch.from_numpy(rows), torch.from_numpy(weights), torch.from_numpy(random_bits))

    def train(self, plan: _Plan) -> Tensor:
        """Train for one epoch; return the mean loss a gene, float64 (models,)."""
        rows, weights, bits = (part.to(self.device) for part in plan[1:])
        self.loss.zero_()
        for step in range(self.steps):
            self.rows.copy_(rows[step])
            self.weight.copy_(weights[step])
            self.bits.copy_(bits[step])
            if self.config.lr_decay:
                self._set_lr((plan.epoch - 1) * self.steps + step)
            if self.graph is None:
                self._step()
            else:
                self.graph.replay()
        return self.loss / self.genes

    @torch.no_grad()
    def validate(self) -> tuple[Tensor, Tensor]:
        """Score the validation genes; return the mean loss a gene and the AUROC, float64 (models,) each."""
        models = len(self.names)
        at_once = max(1, (1024 if self.device.type == "cpu" else 16384) // models)
        logits = []
        with _autocast(self.config, self.device):
            for rows in torch.split(self.valid_rows, at_once, 1):
                x = self.x.index_select(0, rows.reshape(-1)).view(models, -1, *self.x.shape[1:])
                logits.append(self.model(x).float())
        scored, y = torch.cat(logits, 1), self.y[self.valid_rows]
        losses = cross_entropy(scored.flatten(0, 1), y.view(-1), reduction="none").view_as(y)
        loss = (losses.double() * self.valid_counted).sum(1) / self.valid_counted.sum(1)
        return loss, stacked_auroc(on_probability(scored), y == 1, self.valid_counted)

    def keep_as_best(self, i: int) -> None:
        """Keep a copy of the weights of model ``i``."""
        for name, weights in self.model.named_parameters():
            self.best[name][i].copy_(weights.detach()[i])

    def checkpoint(self, i: int) -> Checkpoint:
        """Copy the state of model ``i`` to the host."""
        return Checkpoint(
            tuple(self.history[i]),
            self.model.weights(i),
            {name: weights[i].cpu().clone() for name, weights in self.best.items()},
            {name: state.cpu().clone() for name, state in self._optimizer_state(i)},
        )

    def fitted(self, i: int) -> FittedModel:
        """Return model ``i`` as it was at its best epoch."""
        best = best_epoch(self.history[i])
        weights = {} if best is None else {name: weights[i].cpu().clone() for name, weights in self.best.items()}
        return FittedModel(self.names[i], tuple(self.history[i]), best, weights)

    def _optimizer_state(self, i: int) -> Iterator[tuple[str, Tensor]]:
        """Name what the optimizer knows of model ``i``; scalars (Adam's step) are the same for all."""
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state[parameter].items():
                if isinstance(value, Tensor):
                    yield f"{name}/{key}", value[i] if value.ndim else value

    def _set_lr(self, step: int) -> None:
        lr = self.config.lr / (1 + step * self.config.lr_decay)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr


def _check(datasets: Sequence[Dataset]) -> None:
    if not datasets:
        raise UsageError("no data set to train on")
    names = [data.epigenome for data in datasets]
    if len(set(names)) < len(names):
        raise BadDataError("two data sets have the same epigenome name")
    for data in datasets:
        if data.x.shape[1:] != datasets[0].x.shape[1:] or data.marks != datasets[0].marks:
            raise BadDataError(
                f"{data.epigenome}: {data.x.shape[1]} bins of {', '.join(data.marks)}, but {datasets[0].epigenome} has "
                f"{datasets[0].x.shape[1]} bins of {', '.join(datasets[0].marks)}; train them apart"
            )
        single = [part for part in data.one_class_parts() if not part.startswith("test")]
        if single:
            raise BadDataError(
                f"{data.epigenome}: labels of one class only, or no gene, in {', '.join(single)}; "
                "a classifier needs genes that are on and genes that are off in both"
            )
        if not np.isfinite(data.x).all():
            raise BadDataError(f"{data.epigenome}: an input value is not a finite number")


def _groups(
    datasets: Sequence[Dataset], config: FitConfig, resume: Mapping[str, Checkpoint], size: int
) -> Iterator[list[Dataset]]:
    """Form stacks of at most ``size`` models with equally many steps an epoch, at the same epoch."""
    alike: dict[tuple[int, int], list[Dataset]] = {}
    for data in datasets:
        steps = -(-int(np.sum(data.split == TRAIN)) // config.batch_size)
        done = len(resume[data.epigenome].history) if data.epigenome in resume else 0
        alike.setdefault((steps, done), []).append(data)
    for group in alike.values():
        yield from (group[i : i + size] for i in range(0, len(group), size))


def _group_size(data: Dataset, config: FitConfig, device: torch.device) -> int:
    """Try one model, and return how many of them the free memory of the GPU holds."""
    torch.cuda.reset_peak_memory_stats(device)
    with _numerics(config, device, 1):
        _Stack([data], config, device).validate()
    needed = torch.cuda.max_memory_allocated(device)
    torch.cuda.empty_cache()
    return max(1, int(_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0] / needed))


def _optimizer(config: FitConfig, model: torch.nn.Module, device: torch.device) -> torch.optim.Optimizer:
    on_gpu = device.type == "cuda"
    # A captured graph reads the learning rate from the device.
    lr = torch.tensor(config.lr, device=device) if on_gpu else config.lr
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            model.parameters(), lr=lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
        )
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(model.parameters(), lr=lr, weight_decay=config.weight_decay, fused=True, capturable=on_gpu)


def ended(history: Sequence[EpochRecord], config: FitConfig) -> bool:
    """Tell whether a model trains no more: it diverged, or has not become better for too long."""
    if not history:
        return False
    best = best_epoch(history)
    return history[-1].diverged or bool(
        config.patience and best is not None and history[-1].epoch - best >= config.patience
    )


def _padded(rows: Sequence[NDArray[np.int64]], length: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Fill rows of numbers up to ``length`` with their own first number; say which are real."""
    padded = np.stack([np.append(own, np.full(length - own.size, own[0])) for own in rows])
    return padded, np.arange(length) < np.array([own.size for own in rows])[:, None]


@contextmanager
def _numerics(config: FitConfig, device: torch.device, threads: int) -> Iterator[None]:
    """Set PyTorch's threads within an operation, and the precision of products, for a while."""
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if config.precision in ("auto", "tf32") else "highest")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])


def _autocast(config: FitConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16", cache_enabled=False)
