"""Predict how expression differs between two epigenomes, and compare the prediction with observed expression."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.models.metrics import pearson
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.reference import find_reference
from deepchrome.train.scoring.scored import ScoredGenes, score_test_genes

# A gene is changed if its log2(RPKM + 1) differs by more than this: more than twofold.
_TWOFOLD: Final = 1.0


@dataclass(frozen=True)
class Contrast:
    """Differences of log2(RPKM + 1) between two epigenomes, a minus b, of n genes.

    Attributes
    ----------
    a, b
        The two epigenomes.
    gene_id
        n gene ids.
    predicted
        Predicted log2 fold change: float64 (n,).
    observed
        Observed log2 fold change: float64 (n,); ``None`` if expression is unknown.
    """

    a: str
    b: str
    gene_id: tuple[str, ...] = field(repr=False)
    predicted: NDArray[np.float64] = field(repr=False)
    observed: NDArray[np.float64] | None = field(repr=False)

    @property
    def genes(self) -> int:
        """Number of genes."""
        return len(self.gene_id)

    @cached_property
    def pearson(self) -> float | None:
        """Pearson's correlation of predicted and observed fold change; ``None`` where it is not defined."""
        return None if self.observed is None else pearson(self.predicted, self.observed)

    @cached_property
    def changed(self) -> int | None:
        """Number of genes that are observed to change more than twofold; ``None`` if expression is unknown."""
        return None if self.observed is None else int(self._is_changed.sum())

    @cached_property
    def direction(self) -> float | None:
        """Share of the changed genes whose fold change has the predicted sign; ``None`` if there are none."""
        if self.observed is None or not self.changed:
            return None
        changed = self._is_changed
        return float(np.mean(np.sign(self.predicted[changed]) == np.sign(self.observed[changed])))

    @property
    def _is_changed(self) -> NDArray[np.bool_]:
        assert self.observed is not None
        return np.abs(self.observed) > _TWOFOLD


def evaluate_contrast(run: Run, a: str, b: str, expression: Path | None = None) -> Contrast:
    """Compare the predicted fold changes between two epigenomes of a run with the observed ones, on its test genes.

    Parameters
    ----------
    run
        A finished run of models that predict expression.
    a, b
        The two epigenomes.
    expression
        Current path of the expression table that the run was trained with. Default: the path in config.json. If this
        one is gone or does not fit any more, there are no observed fold changes.

    Raises
    ------
    UsageError
        The models do not predict expression, or the run has no test genes of an epigenome.
    MissingInputError, StorageError, BadDataError
        See :func:`~deepchrome.train.scoring.evaluate.evaluate_run`.
    """
    scored = score_test_genes(run)
    reference, _ = find_reference(run, expression)
    return contrast_genes(scored if reference is None else [reference.observe(genes) for genes in scored], a, b)


def contrast_genes(scored: Sequence[ScoredGenes], a: str, b: str) -> Contrast:
    """Compare predicted with observed fold changes between two epigenomes, on genes that have been scored.

    Parameters
    ----------
    scored
        Genes and scores. All epigenomes have the same genes in the same order.
    a, b
        The two epigenomes.

    Raises
    ------
    UsageError
        An epigenome is not among ``scored``, both are the same, or the models do not predict expression.
    BadDataError
        The two epigenomes have other genes.
    """
    by_name = {genes.epigenome: genes for genes in scored}
    if a == b:
        raise UsageError(f"a contrast needs two different epigenomes, got {a} twice")
    if absent := [name for name in (a, b) if name not in by_name]:
        raise UsageError(f"no genes to test of {', '.join(absent)} (found {', '.join(by_name)})")
    first, second = by_name[a], by_name[b]
    if first.log2_rpkm is None or second.log2_rpkm is None:
        raise UsageError(
            f"the models of {a} and {b} do not predict expression values, which a contrast needs",
            remedy="regression",
        )
    if first.gene_id != second.gene_id:
        raise BadDataError(f"the genes of {a} and {b} differ. Featurize all epigenomes with one gene table")
    observed = None
    if first.rpkm is not None and second.rpkm is not None:
        observed = np.log2(first.rpkm + 1) - np.log2(second.rpkm + 1)
    return Contrast(a, b, first.gene_id, first.log2_rpkm - second.log2_rpkm, observed)
