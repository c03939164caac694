"""The data that one epigenome's model is trained on, as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.depth import CountScale

if TYPE_CHECKING:  # fitting needs no library of the engine
    from deepchrome.train.datasets.profile import Profile


@dataclass(frozen=True)
class Dataset:
    """Inputs, labels and split of the n genes of one epigenome.

    Attributes
    ----------
    epigenome
        Name of the epigenome.
    marks
        Names of the marks, in the order of the last axis of ``x``.
    gene_id
        n gene ids, spelled as in the features.
    x
        float32 (n, bins, marks): model inputs, after orientation, depth correction and transform. NaN in all bins of a
        mark that was not measured.
    y
        uint8 (n,): 1 if the gene is on, else 0.
    split
        int8 (n,): ``TRAIN``, ``VALID`` or ``TEST`` of :mod:`deepchrome.train.datasets.splits`.
    profile
        The profile of the features, over all their genes; ``None`` if unknown.
    counting
        How the reads were counted; empty if unknown. See
        :func:`~deepchrome.engine.features.provenance.counting_record`.
    rpkm
        float64 (n,): expression of the genes; ``None`` if unknown (DeepChrome's text format).
    scales
        How the counts of each mark became inputs; ``None`` if the inputs were not made from whole counts.
    has_name
        Whether ``epigenome`` is part of the data. ``False`` for DeepChrome's text format: its data set is named after
        its directory, and must give the same model in every directory.
    """

    epigenome: str
    marks: tuple[str, ...]
    gene_id: tuple[str, ...] = field(repr=False)
    x: NDArray[np.float32] = field(repr=False)
    y: NDArray[np.uint8] = field(repr=False)
    split: NDArray[np.int8] = field(repr=False)
    profile: "Profile | None" = field(default=None, repr=False)
    counting: Mapping[str, Any] = field(default_factory=dict, repr=False)
    rpkm: NDArray[np.float64] | None = field(default=None, repr=False)
    scales: tuple[CountScale, ...] | None = field(default=None, repr=False)
    has_name: bool = True

    @property
    def seed_name(self) -> str:
        """The name that random choices depend on, together with the seed."""
        return self.epigenome if self.has_name else "csv"

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which marks were measured: bool (marks,)."""
        return np.array([not np.isnan(self.x[:1, :1, i]).any() for i in range(self.x.shape[2])])

    def reads(self, rows: NDArray[Any] | slice = slice(None)) -> NDArray[np.float32]:
        """Return the reads per bin of some genes, float32 (genes, bins, marks), from which the inputs were made.

        Inputs that were not made from whole counts are returned as they are. A mark that was not measured has no reads.
        """
        x = self.x[rows]
        if self.scales is None:
            return np.nan_to_num(x)
        return np.stack([scale.invert(x[:, :, i]) for i, scale in enumerate(self.scales)], 2)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return a data set of some of the genes."""
        gene_id, rpkm = tuple(self.gene_id[row] for row in rows), None if self.rpkm is None else self.rpkm[rows]
        return replace(self, gene_id=gene_id, x=self.x[rows], y=self.y[rows], split=self.split[rows], rpkm=rpkm)

    def one_class_parts(self) -> tuple[str, ...]:
        """Describe the parts of the split (train, valid, test) that have no genes, or genes of one class only."""
        return tuple(
            f"{name} ({np.sum(self.split == part)} genes)"
            for part, name in enumerate(SPLIT_NAMES)
            if np.unique(self.y[self.split == part]).size < 2
        )

    def check_classes(self) -> None:
        """Check that training and validation genes include both classes, which every model needs.

        Raises
        ------
        BadDataError
            They do not.
        """
        if one_class := [part for part in self.one_class_parts() if not part.startswith("test")]:
            raise BadDataError(
                f"{self.epigenome}: the labels do not include both classes in {', '.join(one_class)}. "
                "A classifier needs both."
            )
