"""The observer of :func:`deepchrome.engine.features.featurize.featurize`."""

from collections.abc import Sequence

from deepchrome.common.progress import Observer
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.features.resume import ReuseDecision
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.summary import FileOutcome


class FeaturizeObserver(Observer):
    """Receive the reports of ``featurize``. Override the methods you need; calls come from many threads."""

    def on_decision(self, decision: ReuseDecision) -> None:
        """Receive the decision to keep or to make the feature file of one epigenome."""

    def on_plan(self, samples: Sequence[Sample], windows: Windows) -> None:
        """Receive the samples to count, before the first is counted."""

    def on_progress(self, sample: Sample, bytes_read: int, lines: int) -> None:
        """Receive the number of bytes of a file read so far, and of lines or records counted."""

    def on_finish(self, outcome: FileOutcome) -> None:
        """Receive the outcome of one file of reads."""
