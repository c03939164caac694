"""Turn counts into model inputs: choice of marks, orientation, depth correction and transform."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from deepchrome.errors import BadDataError, ParameterError
from deepchrome.train.datasets.depth import LIBRARY_READS, CountScale, Depth, Transform

if TYPE_CHECKING:  # fitting needs no library of the engine
    from deepchrome.engine.features.store import FeatureHeader, Features

Orient = Literal["genomic", "strand"]


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
    depth
        How to correct each mark for the depth of the sample, before the transform. ``ranks``: give each count the value
        of the same rank in a fixed distribution; see :mod:`deepchrome.train.datasets.depth`. ``library-size``: scale
        the counts to 30 million reads. ``raw``: no correction.
    marks
        Marks to use, in this order. ``None``: all marks, in the order of the features.
    missing_marks
        Accept features that lack some of the marks. The inputs of a missing mark are NaN.

    Raises
    ------
    ParameterError
        ``orient``, ``transform`` or ``depth`` is not one of the values above.
    """

    orient: Orient = "genomic"
    transform: Transform = "counts"
    depth: Depth = "raw"
    marks: tuple[str, ...] | None = None
    missing_marks: bool = False

    def __post_init__(self) -> None:
        """Refuse unknown values."""
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ParameterError(name, f"must be {', '.join(choices[:-1])} or {choices[-1]}, got {value!r}")


_CHOICES: Final = {"orient": get_args(Orient), "transform": get_args(Transform), "depth": get_args(Depth)}


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
    orient, transform, depth, missing_marks
        See :class:`InputOptions`.
    signal
        The marks that are signal of bigWig files, and not counts of reads.
    """

    marks: tuple[str, ...]
    n_bins: int
    bin_size: int | None
    flank: int | None
    orient: Orient = "genomic"
    transform: Transform = "counts"
    depth: Depth = "raw"
    missing_marks: bool = False
    signal: tuple[str, ...] = ()

    @classmethod
    def from_features(cls, features: "Features | FeatureHeader", options: InputOptions | None = None) -> Self:
        """Describe the model input made from ``features`` with these options.

        Raises
        ------
        BadDataError
            The metadata of the features lack the bin size or the flank.
        """
        options = options or InputOptions()
        bin_size, flank = (features.metadata.get(key) for key in ("bin_size", "flank"))
        if not (_is_positive_int(bin_size) and _is_positive_int(flank)):
            raise BadDataError(
                f"features of {features.epigenome}: bin_size or flank is missing. Make the features again."
            )
        marks, n_bins = options.marks or features.marks, features.metadata["n_bins"]
        choices = (options.orient, options.transform, options.depth, options.missing_marks)
        signal = tuple(mark for mark in marks if mark in features.signal)
        return cls(marks, n_bins, bin_size, flank, *choices, signal)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Restore a description from the result of :meth:`to_dict`.

        Raises
        ------
        BadDataError
            A key is missing or unknown, or its value is not valid.
        """
        document = {"signal": [], **modernize(document)}
        expected = {field.name for field in fields(cls)}
        if document.keys() != expected:
            raise BadDataError(f"description of inputs: keys {sorted(document)}, expected {sorted(expected)}")
        marks = document["marks"]
        is_valid = {
            "marks": isinstance(marks, list | tuple) and all(isinstance(mark, str) for mark in marks),
            "n_bins": _is_positive_int(document["n_bins"]),
            "bin_size": document["bin_size"] is None or _is_positive_int(document["bin_size"]),
            "flank": document["flank"] is None or _is_positive_int(document["flank"]),
            **{name: document[name] in choices for name, choices in _CHOICES.items()},
            "missing_marks": isinstance(document["missing_marks"], bool),
            "signal": isinstance(document["signal"], list | tuple) and all(s in marks for s in document["signal"]),
        }
        if wrong := [key for key, valid in is_valid.items() if not valid]:
            raise BadDataError(f"description of inputs: invalid {wrong[0]} ({document[wrong[0]]!r})")
        return cls(**{**document, "marks": tuple(marks), "signal": tuple(document["signal"])})

    def to_dict(self) -> dict[str, Any]:
        """Return the description as a dictionary that can be stored as JSON; ``signal`` only if a mark is signal."""
        document = {**asdict(self), "marks": list(self.marks)}
        signal = list(document.pop("signal"))
        return {**document, "signal": signal} if signal else document

    def options(self) -> InputOptions:
        """Return the options that prepare other features in the same way."""
        return InputOptions(self.orient, self.transform, self.depth, self.marks, self.missing_marks)

    def check(self, features: "Features | FeatureHeader") -> None:
        """Check that features can be turned into this input. Additional marks are allowed.

        The header of a feature file is sufficient, so that a file that does not fit need not be read.

        Raises
        ------
        BadDataError
            A mark is missing and none may be, or all are missing; a mark is signal in place of counts, or the reverse;
            the number of bins, the bin size or the flank differs; or the depth correction needs the number of reads of
            a mark and it is unknown. The message names every difference.
        """
        differences = []
        present = [mark for mark in self.marks if mark in features.marks]
        absent = [mark for mark in self.marks if mark not in present]
        if absent and not (self.missing_marks and present):
            differences.append(f"no mark {', '.join(absent)} (found {', '.join(features.marks)})")
        unlike = [mark for mark in present if (mark in features.signal) != (mark in self.signal)]
        for found, expected, kind in (("signal", "counts of reads", True), ("counts of reads", "signal", False)):
            if marks := [mark for mark in unlike if (mark in features.signal) == kind]:  # guard: signal-for-counts
                differences.append(f"{', '.join(marks)}: {found}, expected {expected}")
        here = InputSpec.from_features(features)
        for name, quantity in (("n_bins", "bins per gene"), ("bin_size", "bp per bin"), ("flank", "bp of flank")):
            expected, found = getattr(self, name), getattr(here, name)
            if expected is not None and found is not None and expected != found:
                differences.append(f"{found} {quantity}, expected {expected}")
        if self.depth == "library-size" and not differences:
            differences += [f"number of reads of {mark} is missing" for mark in present if not _reads(features, mark)]
        if differences:
            raise BadDataError(f"features of {features.epigenome} do not fit the model: {'; '.join(differences)}")

    def leave_out_empty_marks(self, features: "Features") -> "Features":
        """Return features without the marks that have no counts at all, if marks may be missing.

        Such a mark was not measured, or its file of reads is empty. At least one mark remains.
        """
        has_counts = np.asarray(features.counts.any((0, 1)))
        if not self.missing_marks or has_counts.all() or not has_counts.any():
            return features
        marks = tuple(mark for mark, kept in zip(features.marks, has_counts, strict=True) if kept)
        return replace(features, marks=marks, counts=features.counts[:, :, has_counts])

    def scales(self, features: "Features", genes: NDArray[np.bool_] | None = None) -> tuple[CountScale, ...]:
        """Return how the counts of each mark become inputs.

        Parameters
        ----------
        features
            Counts that fit; see :meth:`check`.
        genes
            bool (genes,): the genes whose counts tell the depth. Default: all.
        """

        def scale(mark: str) -> CountScale:
            if mark not in features.marks or self.depth == "raw":
                return CountScale(self.transform, is_signal=mark in self.signal)
            if self.depth == "library-size":
                return CountScale(self.transform, LIBRARY_READS / _reads(features, mark))
            counts = features.counts[:, :, features.marks.index(mark)]
            by_ranks = CountScale.by_ranks_of_signal if mark in self.signal else CountScale.by_ranks
            return by_ranks(self.transform, counts if genes is None else counts[genes])

        return tuple(map(scale, self.marks))

    def apply(self, features: "Features", scales: Sequence[CountScale] | None = None) -> NDArray[np.float32]:
        """Turn counts into a model's input.

        Parameters
        ----------
        features
            Counts of the genes.
        scales
            How the counts of each mark become inputs. Default: :meth:`scales` over all genes.

        Returns
        -------
        float32 (genes, bins, marks), C-contiguous.

        Raises
        ------
        BadDataError
            The features do not fit; see :meth:`check`. Or a signal is too low for the transform ``log1p``.
        """
        self.check(features)
        x = np.full((len(features.genes), self.n_bins, len(self.marks)), np.nan, np.float32)
        for i, (mark, scale) in enumerate(zip(self.marks, scales or self.scales(features), strict=True)):
            if mark in features.marks:
                values = scale.apply(features.counts[:, :, features.marks.index(mark)])
                if mark in self.signal and not np.isfinite(values).all():  # guard: log-of-signal
                    raise BadDataError(
                        f"features of {features.epigenome}: the signal of {mark} has values of -1 or less, "
                        "which have no ln(1 + x). Use the signal as it is, or its ranks"
                    )
                x[:, :, i] = values
        if self.orient == "strand":
            minus = np.array(features.genes.strand) == "-"
            x[minus] = x[minus, ::-1]
        return x

    def describe_unknown_strands(self, n_genes: int) -> str:
        """Return a sentence about genes of unknown strand; empty if their number is 0, or if strands have no effect."""
        if not n_genes or self.orient != "strand":
            return ""
        return f"{n_genes} genes of unknown strand keep the genomic order"


def modernize(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description of inputs as this version writes it. Runs of versions 1 and 2 have ``library_size``."""
    document = dict(document)
    if "depth" not in document and isinstance(document.get("library_size"), bool):
        scaled = document.pop("library_size")
        document |= {"depth": "library-size" if scaled else "raw", "missing_marks": False}
    return document


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _reads(features: "Features | FeatureHeader", mark: str) -> int:
    """Return the number of reads in the file of a mark, or 0 if it is unknown."""
    source = features.metadata.get("sources", {}).get(mark, {})
    return int(source.get("reads", 0))
