"""From counts to what a model sees: orientation, library size, transform. Stored with every run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from deepchrome.engine.features.store import Features
from deepchrome.errors import BadDataError

Orient = Literal["genomic", "strand"]
Transform = Literal["counts", "log1p"]

# Roadmap's files are cut to at most 30 million reads, so scaled counts stay near the counts they were.
LIBRARY_READS: Final = 30_000_000


@dataclass(frozen=True)
class InputSpec:
    """How counts become a model's input.

    Attributes
    ----------
    marks
        In the order of the input's last axis.
    n_bins
        Bins per gene.
    bin_size, flank
        In bp; ``None`` where the source does not say (DeepChrome's text format).
    orient
        ``genomic``: bins as stored. ``strand``: 5'→3', the bins of genes on ``-`` reversed; genes
        of unknown strand stay as stored.
    transform
        ``counts``, or ``log1p``: ln(1 + count).
    library_size
        Counts of a mark are scaled to a library of :data:`LIBRARY_READS` reads, before the transform.
    """

    marks: tuple[str, ...]
    n_bins: int
    bin_size: int | None
    flank: int | None
    orient: Orient = "genomic"
    transform: Transform = "counts"
    library_size: bool = False

    @classmethod
    def of(
        cls, features: Features, orient: Orient = "genomic", transform: Transform = "counts", library_size: bool = False
    ) -> Self:
        """Describe the input that ``features`` give under these choices.

        Raises
        ------
        BadDataError
            The features do not state the size of their bins and windows.
        """
        bin_size, flank = (features.metadata.get(key) for key in ("bin_size", "flank"))
        if not (_is_length(bin_size) and _is_length(flank)):
            raise BadDataError(
                f"features of {features.epigenome}: bin_size or flank is not stated; make them anew with dc featurize"
            )
        return cls(features.marks, features.counts.shape[1], bin_size, flank, orient, transform, library_size)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Make an input description from what :meth:`to_dict` gave, by way of JSON.

        Raises
        ------
        BadDataError
            A key is missing or unknown, or has a value of another kind.
        """
        wanted = {field.name for field in fields(cls)}
        if document.keys() != wanted:
            raise BadDataError(f"input description with keys {sorted(document)}; expected {sorted(wanted)}")
        valid = {
            "marks": isinstance(document["marks"], list | tuple) and all(isinstance(m, str) for m in document["marks"]),
            "n_bins": _is_length(document["n_bins"]),
            "bin_size": document["bin_size"] is None or _is_length(document["bin_size"]),
            "flank": document["flank"] is None or _is_length(document["flank"]),
            "orient": document["orient"] in ("genomic", "strand"),
            "transform": document["transform"] in ("counts", "log1p"),
            "library_size": isinstance(document["library_size"], bool),
        }
        if wrong := [key for key, fits in valid.items() if not fits]:
            raise BadDataError(f"input description with {wrong[0]} = {document[wrong[0]]!r}, which cannot be")
        return cls(**{**document, "marks": tuple(document["marks"])})

    def to_dict(self) -> dict[str, Any]:
        """Return the description as values that JSON can hold."""
        return {**asdict(self), "marks": list(self.marks)}

    def check(self, features: Features) -> None:
        """Refuse features that cannot become this input. More marks than needed do no harm.

        Raises
        ------
        BadDataError
            A mark is missing; bins differ in number or size, or windows in length; a mark's number
            of reads is needed and not stated. The message names every difference.
        """
        differences = []
        if absent := [mark for mark in self.marks if mark not in features.marks]:
            differences.append(f"no mark {', '.join(absent)} (it has {', '.join(features.marks)})")
        here = InputSpec.of(features)
        for name, unit in (
            ("n_bins", "bins a gene"),
            ("bin_size", "bp a bin"),
            ("flank", "bp on either side of the TSS"),
        ):
            expected, found = getattr(self, name), getattr(here, name)
            if expected is not None and found is not None and expected != found:
                differences.append(f"{found} {unit} where {expected} are needed")
        if self.library_size and not absent:
            differences += [f"no number of reads for {mark}" for mark in self.marks if not _reads(features, mark)]
        if differences:
            raise BadDataError(f"features of {features.epigenome} do not fit: {'; '.join(differences)}")

    def apply(self, features: Features) -> NDArray[np.float32]:
        """Turn counts into a model's input.

        Returns
        -------
        float32 (genes, bins, marks), contiguous.

        Raises
        ------
        BadDataError
            The features do not fit, see :meth:`check`.
        """
        self.check(features)
        columns = [features.marks.index(mark) for mark in self.marks]
        x = np.empty((len(features.genes), self.n_bins, len(self.marks)), np.float32)
        for i, column in enumerate(columns):
            x[:, :, i] = features.counts[:, :, column]
        if self.orient == "strand":
            minus = np.array(features.genes.strand) == "-"
            x[minus] = x[minus, ::-1]
        if self.library_size:
            x *= np.array([LIBRARY_READS / _reads(features, mark) for mark in self.marks], np.float32)
        return self.transformed(x)

    def transformed(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply the transform alone, in place."""
        return np.log1p(x, out=x) if self.transform == "log1p" else x


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _reads(features: Features, mark: str) -> int:
    """Return the reads in the file that a mark was counted from; 0 if the features do not say."""
    source = features.metadata.get("sources", {}).get(mark, {})
    return int(source.get("reads", 0))
