"""Networks that are trained for tests: by deepchrome, and by a plain PyTorch loop."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from deepchrome.common.names import TRAIN, VALID
from deepchrome.common.seeds import random_generator
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.fitting.config import FitConfig, Placement
from deepchrome.train.fitting.fit import fit as fit_trainings
from deepchrome.train.fitting.training import plan_trainings
from deepchrome.train.models import NetworkSpec, build_network
from deepchrome.train.models.trained import TrainedModel
from support.epigenomes import random_dataset


def random_bytes(rng: np.random.Generator, rows: int, size: int) -> np.ndarray:
    """Draw bytes from the raw numbers of the generator, as training does."""
    words = [int(rng.bit_generator.random_raw()) for _ in range(-(-rows * size // 8))]
    text = b"".join(word.to_bytes(8, "little") for word in words)
    return np.frombuffer(text[: rows * size], np.uint8).reshape(rows, size)


CPU = Placement("cpu", threads=2)


def largest_difference(one, other) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def fit(datasets, config, placement=None, **options):
    """Train the models of the data sets."""
    trainings = plan_trainings(datasets, pooled=config.pooled, members=config.members)
    return fit_trainings(trainings, config, placement, **options)


def scores_of(data, config, weights, genes) -> np.ndarray:
    """Return the scores of some genes of a data set by one network."""
    spec = NetworkSpec(config.model, *data.x.shape[:0:-1], config.task, config.pooled)
    return TrainedModel(spec, {name: weight[None] for name, weight in weights.items()}).score(data.x[genes]).score


def epigenomes(n: int) -> list[Dataset]:
    """Make data sets with different numbers of genes, so that their last batches differ in size."""
    return [random_dataset(f"E{i:03d}", genes=120 + i, seed=i, sizes=(50 + i, 40 + i)) for i in range(n)]


def shifted(x: np.ndarray, by: int) -> np.ndarray:
    """Move the bins of one gene, (bins, marks), and fill up with 0."""
    padded = np.pad(x, ((max(by, 0), max(-by, 0)), (0, 0)))
    return padded[max(-by, 0) :][: len(x)]


def learning_rates(config: FitConfig, steps: int) -> np.ndarray:
    """Return the learning rate of every step."""
    if config.schedule == "constant":
        return config.lr / (1 + np.arange(steps) * config.lr_decay)
    return np.interp(np.arange(steps), [-1, steps / 4, steps], [0, config.lr, 0])


def plain_loop(
    datasets: list[Dataset], config: FitConfig, seed_name: str
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Train one network with plain PyTorch; return the validation AUROC of each epoch, and the final weights."""
    first = datasets[0]
    model = build_network(NetworkSpec(config.model, *first.x.shape[:0:-1], config.task, config.pooled), 1)
    model.draw(0, random_generator(config.seed, seed_name))
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    extra = {"momentum": config.momentum, "nesterov": config.nesterov} if config.optimizer == "sgd" else {}
    optimizer = kinds[config.optimizer](model.parameters(), lr=config.lr, weight_decay=config.weight_decay, **extra)
    x, y, split = (np.concatenate([getattr(data, name) for data in datasets]) for name in ("x", "y", "split"))
    values = np.log2(np.concatenate([data.rpkm for data in datasets]) + 1)
    rows, n_steps, areas = np.flatnonzero(split == TRAIN), 0, []
    target = torch.from_numpy((values - values[rows].mean()) / values[rows].std()).float()
    on, units, batch = torch.from_numpy(y.astype(np.int64)), model.dropout_units, config.batch_size
    rates = learning_rates(config, config.epochs * -(-rows.size // batch))
    for epoch in range(1, config.epochs + 1):
        rng = random_generator(config.seed, seed_name, epoch)
        order = rng.permutation(rows)
        slots = -(-rows.size // batch) * batch
        bits = random_bytes(rng, slots, -(-units // 8))
        keep = torch.from_numpy(np.unpackbits(bits, axis=1, bitorder="little", count=units))
        most = config.shift_bins
        shifts = rng.integers(-most, most, slots, np.int8, endpoint=True) if most else np.zeros(slots, np.int8)
        for start in range(0, rows.size, batch):
            genes = order[start : start + batch]
            inputs = np.stack([shifted(x[gene], by) for gene, by in zip(genes, shifts[start:], strict=False)])
            for group in optimizer.param_groups:
                group["lr"] = rates[n_steps]
            optimizer.zero_grad()
            outputs, loss = model(torch.from_numpy(inputs)[None], keep[None, start : start + genes.size])[0], 0
            if config.task != "regress":
                loss = torch.nn.functional.cross_entropy(outputs[:, :2], on[genes])
            if config.task != "classify":
                loss = loss + torch.nn.functional.huber_loss(outputs[:, -1], target[genes])
            loss.backward()
            optimizer.step()
            n_steps += 1
        scored = [(data.y[data.split == VALID], data, data.split == VALID) for data in datasets]
        weights = model.weights(0)
        areas.append(np.mean([roc_auc_score(y, scores_of(data, config, weights, valid)) for y, data, valid in scored]))
    return areas, model.weights(0)
