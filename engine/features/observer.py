"""The observer of :func:`deepchrome.engine.features.featurize.featurize`."""

from collections.abc import Sequence

from deepchrome.common.progress import Observer
from deepchrome.engine.annotation.windows import Windows
from deepchrome.engine.features.resume import ReuseDecision
from deepchrome.engine.features.samples import Sample
from deepchrome.engine.features.summary import FileOutcome


class FeaturizeObserver(Observer):
    """Receive progress events of ``featurize``. Override the methods you need; they are called from many threads."""

    def on_decision(self, decision: ReuseDecision) -> None:
        """Receive the decision whether to keep or to write the feature file of one epigenome, and the reason."""

    def on_plan(self, samples: Sequence[Sample], windows: Windows) -> None:
        """Receive the samples to count, before the first is counted."""

    def on_progress(self, sample: Sample, bytes_read: int, lines: int) -> None:
        """Receive how many bytes of a file have been read and how many lines or records counted, so far."""

    def on_finish(self, outcome: FileOutcome) -> None:
        """Receive the outcome of one file of reads."""
