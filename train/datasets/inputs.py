"""Turn counts into model inputs: choice of marks, orientation, library size and transform."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from deepchrome.engine.features.store import FeatureHeader, Features
from deepchrome.errors import BadDataError, ParameterError

Orient = Literal["genomic", "strand"]
Transform = Literal["counts", "log1p"]

# The maximum number of reads in a Roadmap file, so scaled counts stay close to the raw counts.
LIBRARY_READS: Final = 30_000_000


@dataclass(frozen=True)
class InputOptions:
    """Choices that turn counts into model inputs.

    Attributes
    ----------
    orient
        ``genomic``: bins in the order of the chromosome. ``strand``: bins 5'→3' along the gene, so the
        bins of genes on ``-`` are reversed. Genes of unknown strand keep the genomic order.
    transform
        ``counts``: counts as they are. ``log1p``: ln(1 + count).
    library_size
        Scale the counts of every mark to :data:`LIBRARY_READS` reads before the transform.
    marks
        Marks to use, in this order. ``None``: all marks, in the order of the features.

    Raises
    ------
    ParameterError
        ``orient`` or ``transform`` is not one of the values above.
    """

    orient: Orient = "genomic"
    transform: Transform = "counts"
    library_size: bool = False
    marks: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse unknown values."""
        for name, choices in (("orient", get_args(Orient)), ("transform", get_args(Transform))):
            if (value := getattr(self, name)) not in choices:
                raise ParameterError(name, f"must be {' or '.join(choices)}, got {value!r}")


@dataclass(frozen=True)
class InputSpec:
    """Description of a model's input, stored with every run.

    Attributes
    ----------
    marks
        Names of the marks, in the order of the input's last axis.
    n_bins
        Number of bins per gene.
    bin_size, flank
        Width of a bin, and half the width of a gene's window, in bp. ``None`` if unknown (DeepChrome's
        text format).
    orient, transform, library_size
        See :class:`InputOptions`.
    """

    marks: tuple[str, ...]
    n_bins: int
    bin_size: int | None
    flank: int | None
    orient: Orient = "genomic"
    transform: Transform = "counts"
    library_size: bool = False

    @classmethod
    def from_features(
        cls,
        features: Features | FeatureHeader,
        orient: Orient = "genomic",
        transform: Transform = "counts",
        library_size: bool = False,
    ) -> Self:
        """Describe the model input made from ``features`` with these options.

        Raises
        ------
        BadDataError
            The metadata of the features lack the bin size or the flank.
        """
        bin_size, flank = (features.metadata.get(key) for key in ("bin_size", "flank"))
        if not (_is_positive_int(bin_size) and _is_positive_int(flank)):
            raise BadDataError(
                f"features of {features.epigenome}: bin_size or flank is missing. Make the features again."
            )
        n_bins = features.metadata["n_bins"]
        return cls(features.marks, n_bins, bin_size, flank, orient, transform, library_size)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Restore a description from the result of :meth:`to_dict`.

        Raises
        ------
        BadDataError
            A key is missing or unknown, or its value is not valid.
        """
        expected = {field.name for field in fields(cls)}
        if document.keys() != expected:
            raise BadDataError(f"description of inputs: keys {sorted(document)}, expected {sorted(expected)}")
        marks = document["marks"]
        is_valid = {
            "marks": isinstance(marks, list | tuple) and all(isinstance(mark, str) for mark in marks),
            "n_bins": _is_positive_int(document["n_bins"]),
            "bin_size": document["bin_size"] is None or _is_positive_int(document["bin_size"]),
            "flank": document["flank"] is None or _is_positive_int(document["flank"]),
            "orient": document["orient"] in get_args(Orient),
            "transform": document["transform"] in get_args(Transform),
            "library_size": isinstance(document["library_size"], bool),
        }
        if wrong := [key for key, valid in is_valid.items() if not valid]:
            raise BadDataError(f"description of inputs: invalid {wrong[0]} ({document[wrong[0]]!r})")
        return cls(**{**document, "marks": tuple(marks)})

    def to_dict(self) -> dict[str, Any]:
        """Return the description as a dictionary that can be stored as JSON."""
        return {**asdict(self), "marks": list(self.marks)}

    def options(self) -> InputOptions:
        """Return the options that prepare other features in the same way."""
        return InputOptions(self.orient, self.transform, self.library_size, self.marks)

    def check(self, features: Features | FeatureHeader) -> None:
        """Check that features can be turned into this input. Additional marks are allowed.

        The header of a feature file is sufficient, so that a file that does not fit need not be read.

        Raises
        ------
        BadDataError
            A mark is missing; the number of bins, the bin size or the flank differs; or ``library_size``
            is set and the number of reads of a mark is unknown. The message names every difference.
        """
        differences = []
        if absent := [mark for mark in self.marks if mark not in features.marks]:
            differences.append(f"no mark {', '.join(absent)} (found {', '.join(features.marks)})")
        here = InputSpec.from_features(features)
        for name, quantity in (("n_bins", "bins per gene"), ("bin_size", "bp per bin"), ("flank", "bp of flank")):
            expected, found = getattr(self, name), getattr(here, name)
            if expected is not None and found is not None and expected != found:
                differences.append(f"{found} {quantity}, expected {expected}")
        if self.library_size and not absent:
            differences += [
                f"number of reads of {mark} is missing" for mark in self.marks if not _reads(features, mark)
            ]
        if differences:
            raise BadDataError(f"features of {features.epigenome} do not fit the model: {'; '.join(differences)}")

    def apply(self, features: Features) -> NDArray[np.float32]:
        """Turn counts into a model's input.

        Returns
        -------
        float32 (genes, bins, marks), C-contiguous.

        Raises
        ------
        BadDataError
            The features do not fit; see :meth:`check`.
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
        return self.apply_transform(x)

    def describe_unknown_strands(self, n_genes: int) -> str:
        """Return a sentence about genes of unknown strand; empty if their number is 0, or if strands have no effect."""
        if not n_genes or self.orient != "strand":
            return ""
        return f"{n_genes} genes of unknown strand keep the genomic order"

    def apply_transform(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply the transform to ``x`` in place, and return ``x``."""
        return np.log1p(x, out=x) if self.transform == "log1p" else x


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _reads(features: Features | FeatureHeader, mark: str) -> int:
    """Return the number of reads in the file of a mark, or 0 if it is unknown."""
    source = features.metadata.get("sources", {}).get(mark, {})
    return int(source.get("reads", 0))
