"""Training needs PyTorch, NumPy and safetensors only, so that it runs on a machine with a GPU and little else."""

import os
import subprocess
import sys
from pathlib import Path

ALONE = """
import re, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from importlib.metadata import distribution, packages_distributions

# The three packages, and what they need themselves.
todo, allowed = ["torch", "numpy", "safetensors"], set()
while todo:
    name = re.sub("[-_.]+", "-", todo.pop()).lower()
    if name in allowed:
        continue
    allowed.add(name)
    try:
        required = distribution(name).requires or []
    except Exception:
        continue
    todo += [re.match("[A-Za-z0-9._-]+", each)[0] for each in required if "extra ==" not in each]
blocked = {
    module
    for module, names in packages_distributions().items()
    if not any(re.sub("[-_.]+", "-", name).lower() in {*allowed, "deepchrome"} for name in names)
}
class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.partition(".")[0]
        return None if top in blocked else super().find_spec(name, path, target)

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Finder]
for name in ("scipy", "polars", "sklearn"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        pass
    else:
        sys.exit(f"{name} was not blocked")

import numpy as np
import safetensors.torch
import torch

from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.depth import CountScale
from deepchrome.train.fitting import config, stack, training
from deepchrome.train.fitting.fit import fit
from deepchrome.train.models.trained import TrainedModel

def data(name, seed):
    rng = np.random.default_rng(seed)
    on = rng.integers(0, 2, 90).astype(np.uint8)
    counts = rng.poisson(1 + on[:, None, None] * np.ones((90, 24, 3)))
    scales = tuple(CountScale.by_ranks("log1p", counts[:, :, i]) for i in range(3))
    x = np.stack([scale.apply(counts[:, :, i]) for i, scale in enumerate(scales)], 2)
    split = np.repeat(np.arange(3, dtype=np.int8), 30)
    genes = tuple(map(str, range(90)))
    return Dataset(name, ("a", "b", "c"), genes, x, on, split, rpkm=on + rng.random(90), scales=scales)

settings = config.FitConfig(
    task="both", precision="fp32", epochs=8, batch_size=8, lr=0.02, schedule="one-cycle", shift_bins=1,
    augment_depth=True,
)
trainings = training.plan_trainings([data("E001", 1), data("E002", 2)])
for trained, fitted in zip(trainings, fit(trainings, settings, config.Placement("cpu", threads=1)), strict=True):
    (own,) = trained.datasets
    weights = safetensors.torch.load(safetensors.torch.save({k: v[None] for k, v in fitted.weights.items()}))
    model = TrainedModel(training.network_spec(settings, own), weights)
    scores = model.score(own.x).log_odds
    assert scores[own.y == 1].mean() > scores[own.y == 0].mean()
    assert fitted.history[-1].valid_auroc > 0.9
"""


def test_training_needs_pytorch_numpy_and_safetensors_alone() -> None:
    source = Path(__file__).parents[3] / "src"
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
