"""Check that features are like those that a model was trained on, before they are scored."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import polars as pl

from deepchrome.engine.features.provenance import compare_counting, describe_settings, merge_counting
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.profile import (
    WARN_READS,
    WARN_READS_CORRECTED,
    Profile,
    compare_profiles,
    describe_likeness,
)
from deepchrome.train.models import is_network
from deepchrome.train.run.directory import Run

# Difference between the genes of a sample and those of a run, in the fraction that is on in the training. With 10
# points, scores on real epigenomes moved by 0.02 on average.
_MAX_DEPTH_BIAS: Final = 0.1


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=5)


def _say_nothing(text: str) -> None:
    pass


@dataclass(frozen=True)
class FeatureChecks:
    """What to accept in features that are unlike those of the training.

    Attributes
    ----------
    allow_other_genome
        Score features that were counted on another genome than those of the training, with a warning.
    allow_unlike
        Score features whose reads cannot be those of the training's marks, or whose genes have other strands, with a
        warning.
    on_warning
        Called with a sentence for every doubtful difference. Default: give a Python warning.
    on_note
        Called with a sentence about every sample: how far it lies from the training. Default: nothing.
    """

    allow_other_genome: bool = False
    allow_unlike: bool = False
    on_warning: Callable[[str], None] = _warn
    on_note: Callable[[str], None] = _say_nothing

    def check_record(self, run: Run, models: Sequence[str]) -> None:
        """Warn if a run does not record the features that some of its models were trained on: they are not compared."""
        recorded = {
            "how its features were counted": all(map(run.config.counting, _trained_on(run, models))),
            "the profile of its features": all(map(run.config.profile, _trained_on(run, models))),
        }
        if missing := [what for what, is_recorded in recorded.items() if not is_recorded]:
            self.on_warning(
                f"{run.path}: this run does not record {' or '.join(missing)}, so new features are not compared with it"
            )

    def check_counting(self, run: Run, models: Sequence[str], where: str, counting: Mapping[str, Any]) -> None:
        """Compare how features were counted with the training. What is not recorded is not compared.

        Parameters
        ----------
        run
            The run of the models.
        models
            The epigenomes of the models; at least one.
        where
            The file or the epigenomes of the features, for messages.
        counting
            See :class:`~deepchrome.train.datasets.dataset.Dataset`.

        Raises
        ------
        BadDataError
            The features were counted with other settings or on another genome, or have the genes of the training on
            other strands although the run depends on strands.
        """
        trained: Mapping[str, Any] = reduce(merge_counting, map(run.config.counting, _trained_on(run, models)))
        differences = compare_counting(trained, counting, known_only=True)
        genome = {name: pair for name, pair in differences.items() if name == "genome_sha256"}
        if genome:
            self._accept(
                f"{where}: counted on another genome than the features of the training "
                f"({describe_settings(counting, trained, genome)})",
                self.allow_other_genome,  # guard: same-genome
                remedy="other_genome",
            )
        if others := {name: pair for name, pair in differences.items() if name not in genome}:  # guard: same-options
            raise BadDataError(
                f"{where}: counted with other settings than the features of the training "
                f"({describe_settings(counting, trained, others)}). Count the reads again with those settings"
            )
        here, there = counting.get("genes", {}), trained.get("genes", {})
        if not here or here["gene_id"] != there.get("gene_id"):
            return
        moved = [name for name in here.keys() & there.keys() if here[name] != there[name]]
        uses_strands = run.config.inputs.orient == "strand" or trained.get("options", {}).get("strand") is not None
        if "strand" in moved and uses_strands:
            text = f"{where}: the genes are those of the training, but their strands differ"
            self._accept(text, self.allow_unlike, remedy="unlike")  # guard: same-strands
        if {"chrom", "tss"}.intersection(moved):
            self.on_warning(f"{where}: the genes are those of the training, but some TSSs are at other places")

    def check_profile(self, run: Run, models: Sequence[str], where: str, profile: Profile | None) -> None:
        """Compare the reads of features with the range of the reads that some models were trained on.

        Parameters
        ----------
        run, models, where
            See :meth:`check_counting`.
        profile
            See :class:`~deepchrome.train.datasets.dataset.Dataset`.

        Raises
        ------
        BadDataError
            The reads cannot be right; see :func:`~deepchrome.train.datasets.profile.compare_profiles`.
        """
        trained = [*_known_profiles(run, models).values()]
        if profile is None or not trained:
            return
        findings = compare_profiles(profile, trained, warn_reads=_reads_limit(run))
        if refusals := [finding.text for finding in findings if finding.refuse]:
            text = f"{where}: unlike the features that the model was trained on: {'; '.join(refusals)}"
            self._accept(text, self.allow_unlike, remedy="unlike")  # guard: unlike-features
        for finding in findings:
            if not finding.refuse:
                self.on_warning(f"{where}: {finding.text}")

    def describe_sample(self, run: Run, model: str, epigenome: str, profile: Profile) -> None:
        """Say how far the features of an epigenome lie from those of a model, and which marks are missing."""
        known = _known_profiles(run, [model])
        texts = [describe_likeness(profile, known)] if known else []
        if missing := [mark for mark in run.config.inputs.marks if mark not in profile.marks]:
            texts.append(f"without {', '.join(missing)}")
        if texts:
            self.on_note(f"{epigenome}: {'; '.join(texts)}")

    def check_depth_genes(self, where: str, on: pl.Series, on_of_run: pl.Series, *, is_used: bool) -> None:
        """Warn if the genes of a sample are unfit to judge its depth by ranks.

        Parameters
        ----------
        where
            The file of the features, for messages.
        on
            For each gene of the sample, the fraction of the run's epigenomes where it is on; null if the run does not
            know it.
        on_of_run
            The same for all genes of the run.
        is_used
            Whether the known genes are enough for the correction. If not, all genes of the sample are used.
        """
        known = on.drop_nulls()
        advice = "Count the reads of all genes of the training"
        if not is_used:
            self.on_warning(
                f"{where}: the run knows only {len(known):,} of {len(on):,} genes, so all of them stand for the genes "
                f"of the training in the correction for depth. {advice}"
            )
            return
        here, there = known.to_numpy().mean(), on_of_run.to_numpy().mean()
        if abs(here - there) > _MAX_DEPTH_BIAS:
            effect = "low" if here > there else "high"
            self.on_warning(
                f"{where}: {100 * here:.0f}% of the genes are on in the training, and {100 * there:.0f}% of all genes "
                f"of the run. The correction for depth assumes equal fractions, so scores are too {effect}. {advice}"
            )

    def _accept(self, message: str, is_allowed: bool, *, remedy: str) -> None:
        """Refuse a difference, or give a warning if it is allowed."""
        if not is_allowed:
            raise BadDataError(message, remedy=remedy)
        self.on_warning(message)


def _reads_limit(run: Run) -> float:
    """Return the fold difference of reads beyond which scores are doubtful; docs/training.md says how it was set."""
    fit = run.config.fit
    is_corrected = is_network(fit.model) and fit.augment_depth and run.config.inputs.depth == "ranks"
    return WARN_READS_CORRECTED if is_corrected else WARN_READS


def _known_profiles(run: Run, models: Sequence[str]) -> dict[str, Profile]:
    """Return the known profiles of the epigenomes that some models were trained on, by name."""
    profiles = {name: run.config.profile(name) for name in _trained_on(run, models)}
    return {name: profile for name, profile in profiles.items() if profile is not None}


def _trained_on(run: Run, models: Sequence[str]) -> list[str]:
    """Return the epigenomes that some models of a run were trained on."""
    return list(dict.fromkeys(name for model in models for name in run.config.trained_on(model)))


STRICT: Final = FeatureChecks()
"""Accept nothing that is unlike the training."""
