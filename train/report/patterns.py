"""Pattern maps: the input that a trained network scores highest, by optimization. See docs/report.md.

For a class c the map minimises -log p(c | x) + penalty · ‖z‖² (Simonyan et al. 2013, arXiv:1312.6034;
Singh et al. 2016, Bioinformatics 32:i639). In the published recipe z is the input x itself. In the default one
x = mean + z · axes, with the mean and the principal axes of the training genes: ‖z‖² is then the distance from
the average gene in standard deviations of the data, and the map is the most typical input that the model calls c.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from deepchrome.common.files import atomic_write
from deepchrome.common.seeds import random_generator
from deepchrome.errors import UsageError
from deepchrome.train.datasets.inputs import InputSpec
from deepchrome.train.fitting.config import Placement
from deepchrome.train.models import NETWORKS, build_network
from deepchrome.train.models.stacked import StackedModel, on_probability
from deepchrome.train.run.directory import Run

CLASSES: Final = ("off", "on")
ACTIVE: Final = 0.25  # the paper calls bins above this active
AXES: Final = 30
# The weights of two models and what is computed from them fit a core's cache: ten times faster than all at once.
_MODELS_PER_CORE: Final = 2
# RMSprop as torch.optim has it.
_DECAY, _EPSILON = 0.99, 1e-8


@dataclass(frozen=True)
class Recipe:
    """How pattern maps are made.

    Attributes
    ----------
    name
        ``stable`` or ``published``.
    starts
        Random starts per map; the map is their mean.
    steps, lr
        Of RMSprop. ``stable`` lets the rate fall to 0 over the second half.
    penalty
        The factor of ‖z‖².
    """

    name: str
    starts: int
    steps: int
    lr: float
    penalty: float

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        for name in ("starts", "steps"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)} makes no sense")


STABLE: Final = Recipe("stable", starts=8, steps=300, lr=0.1, penalty=0.05)
PUBLISHED: Final = Recipe("published", starts=1, steps=1000, lr=0.1, penalty=0.009)
RECIPES: Final = {recipe.name: recipe for recipe in (STABLE, PUBLISHED)}


@dataclass(frozen=True)
class Prior:
    """Where an epigenome's inputs lie.

    Attributes
    ----------
    mean
        float32 (bins * marks,)
    axes
        float32 (k, bins * marks): principal axes, each as long as the data's standard deviation along it.
    """

    mean: NDArray[np.float32] = field(repr=False)
    axes: NDArray[np.float32] = field(repr=False)

    @classmethod
    def of(cls, x: NDArray[np.float32]) -> "Prior":
        """Take mean and the first :data:`AXES` principal axes of x, float32 (genes, bins, marks)."""
        flat = x.reshape(len(x), -1).astype(np.float64)
        mean = flat.mean(0)
        covariance = (flat.T @ flat) / len(flat) - np.outer(mean, mean)
        variance, vectors = np.linalg.eigh(covariance)
        largest = slice(-1, -AXES - 1, -1)
        axes = np.sqrt(variance[largest].clip(0))[:, None] * vectors.T[largest]
        return cls(mean.astype(np.float32), axes.astype(np.float32))


@dataclass(frozen=True)
class Patterns:
    """Pattern maps of a run.

    Attributes
    ----------
    epigenomes, marks
        Names, along the first and the last axis.
    recipe
        How they were made.
    value
        float32 (epigenomes, 2, bins, marks), 0 to 1; class off, then on; bins as the models see them.
        ``stable``: over the largest value of the epigenome's two maps. ``published``: clamped to [0, 1], over
        the map's own largest value.
    scale
        float32 (epigenomes,): what a value of 1 is in the models' input; NaN for ``published``, whose values
        have no unit.
    spread
        float32, as ``value``: the standard deviation between starts.
    score
        float64 (epigenomes, 2): the probability of "on" that the model gives to the map before it was scaled,
        the mean over starts.
    """

    epigenomes: tuple[str, ...]
    marks: tuple[str, ...]
    recipe: Recipe
    value: NDArray[np.float32] = field(repr=False)
    scale: NDArray[np.float32] = field(repr=False)
    spread: NDArray[np.float32] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)

    def active(self) -> NDArray[np.int64]:
        """Count bins above :data:`ACTIVE`: int64 (epigenomes, 2, marks)."""
        return np.asarray((self.value > ACTIVE).sum(2))

    def table(self) -> pl.DataFrame:
        """Return the maps as a table: epigenome, class, mark, bin (from 1), value."""
        n, classes, bins, marks = self.value.shape
        cells = np.indices((n, classes, marks, bins)).reshape(4, -1)
        names = (self.epigenomes, CLASSES, self.marks)
        columns = {
            key: pl.Series(key, list(own), dtype=pl.String).gather(cells[axis])
            for axis, (key, own) in enumerate(zip(("epigenome", "class", "mark"), names, strict=True))
        }
        return pl.DataFrame({**columns, "bin": cells[3] + 1, "value": self.value.swapaxes(2, 3).reshape(-1)})


def reads_per_bin(x: NDArray[np.float32], inputs: InputSpec) -> NDArray[np.float32]:
    """Turn a model's input back into reads per bin (per 30 million, if inputs were scaled to a library size)."""
    return np.expm1(x) if inputs.transform == "log1p" else x


def pattern_maps(
    run: Run,
    recipe: Recipe = STABLE,
    priors: Mapping[str, Prior] | None = None,
    *,
    seed: int = 1,
    placement: Placement | None = None,
    on_done: Callable[[int], None] | None = None,
) -> Patterns:
    """Make the maps of every model of a run, both classes, all starts.

    All starts of both classes of a model are one batch of a stack of models: on a GPU all models, on a CPU
    :data:`_MODELS_PER_CORE` of them on each core at a time. Nothing mixes models: the maps are the same.

    Parameters
    ----------
    run
        Of networks; see :data:`deepchrome.train.models.NETWORKS`.
    recipe
        Default or published.
    priors
        Per epigenome; for the default recipe. Without them its z is the input itself, kept at 0 or above.
    seed
        Of the starts.
    placement
        Where to compute.
    on_done
        Told how many maps are done, from the thread that made them.

    Raises
    ------
    UsageError
        The run's models are baselines, which have no gradient.
    """
    name, inputs = run.config.fit.model, run.config.inputs
    if name not in NETWORKS:
        raise UsageError(f"{run.path}: pattern maps need a network ({', '.join(NETWORKS)}); these are {name} models")
    placement = placement or Placement()
    device, threads = placement.resolve(), placement.usable_threads()
    epigenomes = run.epigenomes
    size = placement.group_size or (len(epigenomes) if device.type == "cuda" else _MODELS_PER_CORE)
    groups = [epigenomes[i : i + size] for i in range(0, len(epigenomes), size)]
    workers = 1 if device.type == "cuda" else min(threads, len(groups))

    def one(group: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        model = build_network(name, len(group), len(inputs.marks), inputs.n_bins)
        for i, epigenome in enumerate(group):
            model.load(i, run.weights(epigenome))
        model.requires_grad_(False).to(device)
        own = None if priors is None or recipe.name == "published" else [priors[epigenome] for epigenome in group]
        sources = [random_generator(seed, epigenome) for epigenome in group]
        made = optimize(model, inputs.n_bins, len(inputs.marks), recipe, own, sources, device)
        if on_done:
            on_done(2 * len(group))
        return made

    with torch_threads(max(1, threads // workers)), ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(one, groups))
    return _scaled(epigenomes, inputs.marks, recipe, *(np.concatenate([part[i] for part in parts]) for i in range(2)))


def optimize(
    model: StackedModel,
    bins: int,
    marks: int,
    recipe: Recipe,
    priors: Sequence[Prior] | None,
    sources: Sequence[np.random.Generator],
    device: torch.device,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Minimise the loss of one stack's maps.

    Returns
    -------
    x
        float32 (models, 2, starts, bins, marks), in the models' input; not clamped under ``published``.
    score
        float64 (models, 2, starts): the probability of "on".
    """
    models, rows, size = model.models, 2 * recipe.starts, bins * marks
    published = recipe.name == "published"
    if priors is None:
        start = np.stack([rng.random((rows, size), np.float32) for rng in sources])
    else:
        mean, axes = (torch.from_numpy(np.stack(own)).to(device) for own in zip(*map(_pair, priors), strict=True))
        start = np.stack([rng.standard_normal((rows, axes.shape[1]), np.float32) for rng in sources])
    z = torch.from_numpy(start).to(device)
    # The margin by which class c wins is ± (on - off), and its -log p is softplus(-margin).
    sign = torch.tensor([-1.0, 1.0], device=device).repeat_interleave(recipe.starts)

    def as_input(z: Tensor) -> Tensor:
        x = z if priors is None else torch.baddbmm(mean.unsqueeze(1), z, axes)
        # Reads cannot be negative; the published recipe heeds that only at the end.
        return (x if published else x.clamp(min=0)).view(models, rows, bins, marks)

    mean_square = torch.zeros_like(z)
    for step in range(recipe.steps):
        z.requires_grad_(True)
        logits = model(as_input(z))
        loss = softplus(-sign * (logits[..., 1] - logits[..., 0])).sum() + recipe.penalty * z.square().sum()
        (gradient,) = torch.autograd.grad(loss, z)
        rate = recipe.lr * (1.0 if published else min(1.0, 2 * (1 - step / recipe.steps)))
        with torch.no_grad():
            mean_square.mul_(_DECAY).addcmul_(gradient, gradient, value=1 - _DECAY)
            z = z.detach().addcdiv_(gradient, mean_square.sqrt().add_(_EPSILON), value=-rate)
            if priors is None and not published:
                z.clamp_(min=0)
    with torch.no_grad():
        x = as_input(z)
        score = on_probability(model(x)).view(models, 2, recipe.starts)
    return x.view(models, 2, recipe.starts, bins, marks).cpu().numpy(), score.cpu().numpy()


def write_patterns(path: Path, patterns: Patterns | None) -> None:
    """Write patterns.parquet: epigenome, class, mark, bin, value; no rows if there are no maps.

    Raises
    ------
    StorageError
        The file cannot be written.
    """
    if patterns is None:
        types = {"epigenome": pl.String, "class": pl.String, "mark": pl.String, "bin": pl.Int64, "value": pl.Float32}
        table = pl.DataFrame(schema=types)
    else:
        table = patterns.table()
    with atomic_write(path) as temporary:
        pq.write_table(table.to_arrow(), temporary, write_page_checksum=True)


def _scaled(
    epigenomes: tuple[str, ...],
    marks: tuple[str, ...],
    recipe: Recipe,
    x: NDArray[np.float32],
    score: NDArray[np.float64],
) -> Patterns:
    """Average starts, and bring maps to [0, 1]."""
    if recipe.name == "published":
        x = x.clip(0, 1)
        x = x / _positive(x.max((3, 4), keepdims=True))
        scale = np.full(len(x), np.nan, np.float32)
    else:
        scale = _positive(x.mean(2).max((1, 2, 3)))
        x = x / scale[:, None, None, None, None]
    value, spread = x.mean(2), x.std(2)
    return Patterns(epigenomes, marks, recipe, value, scale, spread, score.mean(2))


def _positive(largest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace 0 by 1: a map of zeros stays one."""
    return np.where(largest > 0, largest, np.float32(1))


def _pair(prior: Prior) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return prior.mean, prior.axes


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set PyTorch's threads within an operation for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
