"""What the summary of a run says about the training."""

import pytest
from support.epigenomes import random_dataset

from deepchrome.train.fitting.config import EpochRecord, FitConfig, FittedModel
from deepchrome.train.run.summary import summarize_model

LAST = "the best epoch is the last (3): more epochs may score higher"


def note_of(areas: list[float], **settings: object) -> str:
    """Return the note on a training with these validation AUROC, one per epoch."""
    history = tuple(EpochRecord(epoch, 0.6, 0.6, area, 1.0) for epoch, area in enumerate(areas, 1))
    member = FittedModel("E001", history, 1 + areas.index(max(areas)), {})
    config = FitConfig(**{"epochs": 3, **settings})
    return summarize_model(random_dataset("E001"), [member], None, config).note


@pytest.mark.parametrize(
    ("areas", "settings", "note"),
    [
        ([0.6, 0.7, 0.71], {}, LAST),
        ([0.6, 0.7, 0.7001], {}, LAST),
        ([0.6, 0.71, 0.7], {}, ""),
        # The learning rate of one cycle ends at 0, so its last epoch is usually the best, by little.
        ([0.6, 0.7, 0.7001], {"schedule": "one-cycle"}, ""),
        ([0.6, 0.7, 0.73], {"schedule": "one-cycle"}, LAST),
        ([0.6, 0.73, 0.7], {"schedule": "one-cycle"}, ""),
        # Patience ends a training early, after epochs without a gain.
        ([0.6, 0.7, 0.69], {"epochs": 9, "patience": 1}, ""),
    ],
)
def test_a_best_epoch_that_is_the_last_is_told(areas, settings, note) -> None:
    assert note_of(areas, **settings) == note
