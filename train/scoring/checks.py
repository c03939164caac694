"""Check that features are like those that a model was trained on, before they are scored."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deepchrome.engine.features.provenance import compare_counting, describe_settings
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.profile import Profile, compare_profiles
from deepchrome.train.run.directory import Run

# Sentences about differences in one error message.
_MAX_REFUSALS: Final = 3


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=5)


@dataclass(frozen=True)
class FeatureChecks:
    """What to accept in features that are unlike those of the training.

    Attributes
    ----------
    allow_other_genome
        Score features that were counted on another genome than those of the training, with a warning.
    allow_unlike
        Score features whose reads cannot be those of the training's marks, with a warning.
    on_warning
        Called with a sentence for every doubtful difference. Default: give a Python warning.
    """

    allow_other_genome: bool = False
    allow_unlike: bool = False
    on_warning: Callable[[str], None] = _warn

    def check(
        self, run: Run, models: Sequence[str], where: str, profile: Profile | None, counting: Mapping[str, Any]
    ) -> None:
        """Compare features with those that some models were trained on. What a run does not record is not compared.

        Parameters
        ----------
        run
            The run of the models.
        models
            The epigenomes of the models; at least one. Profiles are compared with the range of their profiles.
        where
            The file or the epigenome of the features, for messages.
        profile, counting
            See :class:`~deepchrome.train.datasets.dataset.Dataset`.

        Raises
        ------
        BadDataError
            The features were counted with other settings, lie on another genome, have the genes of the training at
            other places, or have reads that cannot be right; see
            :func:`~deepchrome.train.datasets.profile.compare_profiles`.
        """
        for model in models:
            self._check_counting(run, model, where, counting)
        trained = [known for model in models if (known := run.config.profile(model)) is not None]
        if profile is None or not trained:
            return
        comparison = compare_profiles(profile, trained)
        refusals = list(comparison.refusals)
        if refusals:
            more = f"; and {len(refusals) - _MAX_REFUSALS} more" if len(refusals) > _MAX_REFUSALS else ""
            self._refuse(
                f"{where}: unlike the features that the model was trained on: "
                f"{'; '.join(refusals[:_MAX_REFUSALS])}{more}"
            )
        for warning in comparison.warnings:
            self.on_warning(f"{where}: {warning}")

    def _check_counting(self, run: Run, model: str, where: str, counting: Mapping[str, Any]) -> None:
        """Check genome, windows, options and positions of the genes against those of one model."""
        trained = run.config.counting(model)
        differences = compare_counting(trained, counting, known_only=True)
        genome = {name: pair for name, pair in differences.items() if name == "genome_sha256"}
        if genome:
            message = (
                f"{where}: counted on another genome than the features of {model} in the training "
                f"({describe_settings(counting, trained, genome)})"
            )
            if not self.allow_other_genome:  # guard: same-genome
                raise BadDataError(message, remedy="other_genome")
            self.on_warning(message)
        if others := {name: pair for name, pair in differences.items() if name not in genome}:  # guard: same-options
            raise BadDataError(
                f"{where}: counted with other settings than the features of {model} in the training "
                f"({describe_settings(counting, trained, others)}). Count the reads again with those settings"
            )
        here, there = counting.get("genes"), trained.get("genes")
        if here and there and not genome and here["gene_id"] == there["gene_id"] and here != there:
            self._refuse(f"{where}: the genes are those of the training, but their TSSs are at other places")

    def _refuse(self, message: str) -> None:
        if not self.allow_unlike:  # guard: unlike-features
            raise BadDataError(message, remedy="unlike")
        self.on_warning(message)


STRICT: Final = FeatureChecks()
"""Accept nothing that is unlike the training."""
