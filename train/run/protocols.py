"""Named sets of choices: what scores best on real data, and what was done in 2016."""

from typing import Any, Final

# log1p, 5'→3' order and momentum scored best on a whole real epigenome (E012); see docs/training.md.
BEST: Final[dict[str, Any]] = {
    "label_rule": "numeric",
    "split": "published",
    "orient": "strand",
    "transform": "log1p",
    "epochs": 100,
    "batch_size": 64,
    "optimizer": "sgd",
    "lr": 0.01,
    "momentum": 0.9,
    "lr_decay": 0.0,
}
# Singh et al. 2016 as its public code (QData/DeepChrome, Torch7) runs: its epoch limit of 100 stops after 99.
PUBLISHED: Final[dict[str, Any]] = {
    "label_rule": "published",
    "split": "published",
    "orient": "genomic",
    "transform": "counts",
    "epochs": 99,
    "batch_size": 1,
    "optimizer": "sgd",
    "lr": 1e-3,
    "momentum": 0.0,
    "lr_decay": 1e-7,
}
PROTOCOLS: Final = {"best": BEST, "published": PUBLISHED}
