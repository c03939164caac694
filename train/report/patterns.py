"""Compute pattern maps: the inputs that a trained network scores highest. See docs/report.md.

The map of class c minimizes -log p(c | x) + penalty · ‖z‖² (Simonyan et al. 2013, arXiv:1312.6034; Singh et al.
2016, Bioinformatics 32:i639). In the published recipe, z is the input x itself. In the stable recipe,
x = mean + z · axes, with the mean and the principal axes of the training genes. Then ‖z‖ is the distance from the
average gene in standard deviations of the data, and the map is the most typical input that the model assigns to c.
"""

from collections.abc import Mapping, Sequence
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
from deepchrome.common.threads import map_in_threads
from deepchrome.errors import ParameterError, UsageError
from deepchrome.train.fitting.config import Placement
from deepchrome.train.fitting.threads import torch_threads
from deepchrome.train.models import NETWORKS, NetworkSpec, build_network, is_network
from deepchrome.train.models.outputs import log_odds
from deepchrome.train.models.stacked import StackedModel
from deepchrome.train.report.prior import Prior
from deepchrome.train.run.directory import Run

CLASSES: Final = ("off", "on")
# Bins whose value is above this threshold are called active, as in the paper.
ACTIVE: Final = 0.25
# Two models and their intermediate results fit in the cache of a core. This is ten times as fast as one stack of all
# models.
_MODELS_PER_CORE: Final = 2
# The defaults of torch.optim.RMSprop.
_DECAY, _EPSILON = 0.99, 1e-8


@dataclass(frozen=True)
class Recipe:
    """Settings of the optimization.

    Attributes
    ----------
    name
        ``stable`` or ``published``.
    starts
        Number of random starts. The map is the mean of their results.
    steps
        Number of steps of RMSprop.
    lr
        Learning rate of RMSprop. In the stable recipe it falls to 0 over the second half of the steps.
    penalty
        Factor of ‖z‖².

    Raises
    ------
    ParameterError
        ``starts`` or ``steps`` is below 1.
    """

    name: str
    starts: int
    steps: int
    lr: float
    penalty: float

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("starts", "steps"):
            if getattr(self, name) < 1:
                raise ParameterError(name, f"must be at least 1, got {getattr(self, name)}")


STABLE: Final = Recipe("stable", starts=8, steps=300, lr=0.1, penalty=0.05)
PUBLISHED: Final = Recipe("published", starts=1, steps=1000, lr=0.1, penalty=0.009)
RECIPES: Final = {recipe.name: recipe for recipe in (STABLE, PUBLISHED)}


@dataclass(frozen=True)
class Patterns:
    """Pattern maps of a run. An axis of length 2 is the class: off, then on.

    Attributes
    ----------
    models, marks
        Names of the entries of the first and the last axis. A model has the name of its epigenome, or is ``pooled``.
    recipe
        Settings of the optimization.
    value
        float32 (models, 2, bins, marks), from 0 to 1, bins in the order of the models' input.
        ``stable``: divided by the largest value of the model's two maps.
        ``published``: clamped to [0, 1], then divided by the largest value of the map.
    scale
        float32 (models,): the model input that corresponds to a value of 1. NaN for ``published``, whose values
        have no unit.
    spread
        float32, same shape as ``value``: standard deviation over starts.
    score
        float64 (models, 2): probability of "on" for the optimized inputs, mean over starts.
    """

    models: tuple[str, ...]
    marks: tuple[str, ...]
    recipe: Recipe
    value: NDArray[np.float32] = field(repr=False)
    scale: NDArray[np.float32] = field(repr=False)
    spread: NDArray[np.float32] = field(repr=False)
    score: NDArray[np.float64] = field(repr=False)

    def active(self) -> NDArray[np.int64]:
        """Return the number of bins above :data:`ACTIVE`, int64 (models, 2, marks)."""
        return np.asarray((self.value > ACTIVE).sum(2))

    def table(self) -> pl.DataFrame:
        """Return the maps as a table: epigenome (or ``pooled``), class, mark, bin (from 1), value."""
        n, classes, bins, marks = self.value.shape
        cells = np.indices((n, classes, marks, bins)).reshape(4, -1)
        labels = {"epigenome": self.models, "class": CLASSES, "mark": self.marks}
        columns = {
            name: pl.Series(name, list(values), dtype=pl.String).gather(cells[axis])
            for axis, (name, values) in enumerate(labels.items())
        }
        return pl.DataFrame({**columns, "bin": cells[3] + 1, "value": self.value.swapaxes(2, 3).reshape(-1)})


def pattern_maps(
    run: Run,
    recipe: Recipe = STABLE,
    priors: Mapping[str, Prior] | None = None,
    *,
    seed: int = 1,
    placement: Placement | None = None,
) -> Patterns:
    """Compute the maps of all models of a run. Those of a model of several networks are those of the first.

    Models are processed in stacks, with both classes and all starts of a stack in one batch. On a GPU, one stack
    holds all models by default. On a CPU, each core works on one stack at a time, by default of
    :data:`_MODELS_PER_CORE` models. The size of the stacks does not change the maps.

    Parameters
    ----------
    run
        A finished run of networks.
    recipe
        Settings of the optimization.
    priors
        Priors of the stable recipe, by model. Without priors z is the input itself, kept at 0 or above.
    seed
        Seed of the starts.
    placement
        Hardware to compute on, and the size of a stack (``group_size``).

    Raises
    ------
    UsageError
        The models of the run are baselines.
    """
    name, inputs = run.config.fit.model, run.config.inputs
    if not is_network(name):
        raise UsageError(f"{run.path}: pattern maps need a network ({', '.join(NETWORKS)}), got {name}")
    placement = placement or Placement()
    device, threads = placement.resolve(), placement.usable_threads()
    names = run.models
    size = placement.group_size or (len(names) if device.type == "cuda" else _MODELS_PER_CORE)
    groups = [names[i : i + size] for i in range(0, len(names), size)]
    workers = 1 if device.type == "cuda" else min(threads, len(groups))

    def optimize_group(group: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        model = build_network(run.config.spec, len(group))
        for i, each in enumerate(group):
            model.load(i, {key: value[0] for key, value in run.model(each).weights.items()})
        model.requires_grad_(False).eval().to(device)
        group_priors = None
        if priors is not None and recipe.name != "published":
            group_priors = [priors[each] for each in group]
        generators = [random_generator(seed, run.config.seed_name(each)) for each in group]
        return optimize_inputs(model, run.config.spec, recipe, group_priors, generators, device)

    with torch_threads(max(1, threads // workers)):
        results = map_in_threads(optimize_group, groups, workers)
    x, score = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
    return _scale_maps(names, inputs.marks, recipe, x, score)


def optimize_inputs(
    model: StackedModel,
    spec: NetworkSpec,
    recipe: Recipe,
    priors: Sequence[Prior] | None,
    generators: Sequence[np.random.Generator],
    device: torch.device,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Optimize the inputs of one stack, for both classes and all starts.

    Parameters
    ----------
    model
        A stack whose weights need no gradients, on ``device``.
    spec
        The shape of its networks.
    recipe
        Settings of the optimization.
    priors
        One prior per model, or ``None`` to optimize the input itself.
    generators
        One random generator per model, for the starts.
    device
        Device to compute on.

    Returns
    -------
    x
        float32 (models, 2, starts, bins, marks): optimized inputs, not clamped in the published recipe. 0 for a mark
        that the prior lacks.
    score
        float64 (models, 2, starts): probability of "on".
    """
    bins, marks = spec.bins, spec.marks
    models, rows, size = model.models, 2 * recipe.starts, bins * marks
    published = recipe.name == "published"
    if priors is None:
        start = np.stack([rng.random((rows, size), np.float32) for rng in generators])
    else:
        mean = torch.from_numpy(np.stack([prior.mean for prior in priors])).to(device)
        axes = torch.from_numpy(np.stack([prior.axes for prior in priors])).to(device)
        start = np.stack([rng.standard_normal((rows, axes.shape[1]), np.float32) for rng in generators])
    z = torch.from_numpy(start).to(device)
    # -log p(c | x) = softplus(-margin), where the margin of class c is ± (logit of on - logit of off).
    sign = torch.tensor([-1.0, 1.0], device=device).repeat_interleave(recipe.starts)

    def as_input(z: Tensor) -> Tensor:
        x = z if priors is None else torch.baddbmm(mean.unsqueeze(1), z, axes)
        # Reads cannot be negative. The published recipe clamps only at the end.
        return (x if published else x.clamp(min=0)).view(models, rows, bins, marks)

    mean_square = torch.zeros_like(z)
    for step in range(recipe.steps):
        z.requires_grad_(True)
        loss = (
            softplus(-sign * log_odds(model(as_input(z)), spec.task).float()).sum() + recipe.penalty * z.square().sum()
        )
        (gradient,) = torch.autograd.grad(loss, z)
        rate = recipe.lr * (1.0 if published else min(1.0, 2 * (1 - step / recipe.steps)))
        with torch.no_grad():
            mean_square.mul_(_DECAY).addcmul_(gradient, gradient, value=1 - _DECAY)
            z = z.detach().addcdiv_(gradient, mean_square.sqrt().add_(_EPSILON), value=-rate)
            if priors is None and not published:
                z.clamp_(min=0)
    with torch.no_grad():
        x = as_input(z)
        score = log_odds(model(x), spec.task).sigmoid().view(models, 2, recipe.starts)
    return x.nan_to_num(0.0).view(models, 2, recipe.starts, bins, marks).cpu().numpy(), score.cpu().numpy()


def _scale_maps(
    models: tuple[str, ...],
    marks: tuple[str, ...],
    recipe: Recipe,
    x: NDArray[np.float32],
    score: NDArray[np.float64],
) -> Patterns:
    """Scale optimized inputs to [0, 1], and average over starts."""
    if recipe.name == "published":
        x = x.clip(0, 1)
        x = x / _nonzero(x.max((3, 4), keepdims=True))
        scale = np.full(len(x), np.nan, np.float32)
    else:
        scale = _nonzero(x.mean(2).max((1, 2, 3)))
        x = x / scale[:, None, None, None, None]
    value, spread = x.mean(2), x.std(2)
    return Patterns(models, marks, recipe, value, scale, spread, score.mean(2))


def _nonzero(largest: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace 0 by 1, so that a map of zeros stays a map of zeros."""
    return np.where(largest > 0, largest, np.float32(1))


def write_patterns(path: Path, patterns: Patterns | None) -> None:
    """Write patterns.parquet: see :meth:`Patterns.table`. Without maps the table has no rows.

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
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        pq.write_table(table.to_arrow(), file, write_page_checksum=True)
