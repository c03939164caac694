"""Named sets of training settings: the best known, and those of the code published in 2016."""

from dataclasses import dataclass
from typing import Final

from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.datasets.labels import LabelRule
from deepchrome.train.datasets.splits import SplitMethod
from deepchrome.train.fitting.config import FitConfig


@dataclass(frozen=True)
class Protocol:
    """Settings for labels, split, inputs and fitting.

    Attributes
    ----------
    label_rule, split
        See :class:`~deepchrome.train.datasets.source.FeatureSource`.
    inputs
        How counts become model inputs.
    fit
        How models are fitted.
    """

    label_rule: LabelRule
    split: SplitMethod
    inputs: InputOptions
    fit: FitConfig


# On a whole real epigenome (E012), log1p, 5'→3' order and momentum scored best; see docs/training.md.
BEST: Final = Protocol(
    label_rule="numeric",
    split="published",
    inputs=InputOptions(orient="strand", transform="log1p"),
    fit=FitConfig(epochs=100, batch_size=64, optimizer="sgd", lr=0.01, momentum=0.9, lr_decay=0.0),
)
# The public code of Singh et al. 2016 (QData/DeepChrome, Torch7). With its limit of 100 epochs, training ends after 99.
PUBLISHED: Final = Protocol(
    label_rule="published",
    split="published",
    inputs=InputOptions(orient="genomic", transform="counts"),
    fit=FitConfig(epochs=99, batch_size=1, optimizer="sgd", lr=1e-3, momentum=0.0, lr_decay=1e-7),
)
PROTOCOLS: Final = {"best": BEST, "published": PUBLISHED}
