"""Named sets of training settings: the best known, and those of the code published in 2016."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from deepchrome.train.datasets.inputs import InputOptions
from deepchrome.train.fitting.config import FitConfig

if TYPE_CHECKING:  # a program that only trains needs no library for tables
    from deepchrome.train.datasets.labels import LabelRule
    from deepchrome.train.datasets.splits import SplitMethod


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
        How a DeepChrome model is fitted.
    other_fits
        How other models are fitted, by name. ``*`` stands for the classes of users.
    """

    label_rule: "LabelRule"
    split: "SplitMethod"
    inputs: InputOptions
    fit: FitConfig
    other_fits: Mapping[str, FitConfig]

    def fit_of(self, model: str) -> FitConfig:
        """Return how a model is fitted."""
        fit = self.other_fits.get("*" if ":" in model else model, self.fit)
        return replace(fit, model=model)


_FIT: Final = FitConfig(
    task="both",
    epochs=8,
    min_steps=800,
    batch_size=64,
    optimizer="sgd",
    lr=0.05,
    momentum=0.9,
    nesterov=True,
    schedule="one-cycle",
    shift_bins=2,
    augment_depth=True,
)
# docs/training.md says how these were chosen, on whole real epigenomes.
BEST: Final = Protocol(
    label_rule="numeric",
    split="chromosome",
    inputs=InputOptions(orient="strand", transform="log1p", depth="ranks"),
    fit=_FIT,
    other_fits={
        "attentivechrome": replace(_FIT, optimizer="adam", lr=0.003, epochs=10),
        "*": replace(_FIT, optimizer="adam", lr=0.001, epochs=15),
    },
)
# The public code of Singh et al. 2016 (QData/DeepChrome, Torch7). With its limit of 100 epochs, training ends after 99.
PUBLISHED: Final = Protocol(
    label_rule="published",
    split="published",
    inputs=InputOptions(orient="genomic", transform="counts"),
    fit=FitConfig(epochs=99, batch_size=1, optimizer="sgd", lr=1e-3, momentum=0.0, lr_decay=1e-7),
    other_fits={},
)
PROTOCOLS: Final = {"best": BEST, "published": PUBLISHED}

# For an optimizer other than that of the protocol.
LEARNING_RATES: Final = {"sgd": 0.05, "adam": 0.001, "adamw": 0.001}


def pool(fit: FitConfig) -> FitConfig:
    """Return the settings of a pooled model, given those of a model of one epigenome."""
    # The more epigenomes it has, the fewer epochs it needs.
    return replace(fit, pooled=True, epochs=3, min_steps=3000, mark_dropout=0.1)
