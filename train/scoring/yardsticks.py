"""Yardsticks: what the expression of other epigenomes predicts without histone data, to compare models with.

Most genes are on in all cell types or off in all. An AUROC over all genes therefore says little about the cell type
(Schreiber et al. 2020, Genome Biology 21:282).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepchrome.errors import BadDataError
from deepchrome.train.datasets.expression import Expression
from deepchrome.train.datasets.labels import LabelRule, label_genes
from deepchrome.train.models.metrics import auroc

MIN_OTHERS: Final = 5
"""Fewest other epigenomes from which the variable genes are found."""


@dataclass(frozen=True)
class Atlas:
    """Expression and state of every gene in every epigenome of an expression table.

    Attributes
    ----------
    epigenomes
        Names of the columns.
    log2_rpkm
        log2(RPKM + 1): float64 (rows, epigenomes).
    on
        uint8 (rows, epigenomes): 1 if the gene is on, else 0.
    """

    epigenomes: tuple[str, ...]
    log2_rpkm: NDArray[np.float64] = field(repr=False)
    on: NDArray[np.uint8] = field(repr=False)

    @classmethod
    def from_table(
        cls, expression: Expression, rule: LabelRule = "numeric", thresholds: Mapping[str, float] | None = None
    ) -> Self:
        """Prepare an expression table. The result serves all epigenomes.

        Parameters
        ----------
        expression
            The table. Its rows are the rows of the result.
        rule
            See :func:`~deepchrome.train.datasets.labels.label_genes`.
        thresholds
            RPKM above which genes are on, by epigenome. Epigenomes without a threshold have the median of all rows.

        Raises
        ------
        BadDataError
            The table has no rows.
        ParameterError
            A threshold is NaN, infinite or negative.
        """
        limits = thresholds or {}
        on = [label_genes(expression.column(name), rule, limits.get(name)) for name in expression.epigenomes]
        return cls(expression.epigenomes, np.log2(expression.rpkm + 1), np.stack(on, 1))

    def without(self, epigenome: str) -> "Atlas":
        """Return the atlas of the other epigenomes; see :meth:`is_other`."""
        other = self.is_other(epigenome)
        names = tuple(name for name in self.epigenomes if name != epigenome)
        return Atlas(names, self.log2_rpkm[:, other], self.on[:, other])

    def is_other(self, epigenome: str) -> NDArray[np.bool_]:
        """Return which columns are other epigenomes: bool (epigenomes,).

        Raises
        ------
        BadDataError
            The table has no such epigenome. Then one of the others might be the same one under another name.
        """
        if epigenome not in self.epigenomes:
            raise BadDataError(f"the expression table has no epigenome {epigenome}")
        return np.array([name != epigenome for name in self.epigenomes])


@dataclass(frozen=True)
class RowScores:
    """Labels of n genes of one epigenome, and their scores by one model.

    Attributes
    ----------
    rows
        Row of each gene in the expression table: int64 (n,), -1 for a gene that is not in it. These genes are left out.
    on
        Labels (n,), 0 or 1.
    log_odds
        Log odds of "on", or another score: float64 (n,).
    """

    rows: NDArray[np.int64]
    on: NDArray[Any]
    log_odds: NDArray[np.float64]

    def in_table(self) -> "RowScores":
        """Return the genes that are in the expression table."""
        known = self.rows >= 0
        return RowScores(self.rows[known], self.on[known], self.log_odds[known])


@dataclass(frozen=True)
class Yardsticks:
    """AUROCs on the test genes of one epigenome, to compare the AUROC of a model with.

    A value is ``None`` if there are too few other epigenomes, or all of its genes are of one class.

    Attributes
    ----------
    gene_mean_auroc
        AUROC of the gene mean; see :func:`gene_mean`.
    nearest
        The nearest epigenome; see :func:`nearest_epigenome`.
    nearest_auroc
        AUROC of the expression in the nearest epigenome.
    fused_auroc
        AUROC of model and gene mean together; see :class:`Fusion`.
    variable_genes
        Number of variable test genes; see :func:`variable_genes`.
    variable_auroc
        AUROC of the model over the variable genes.
    variable_gene_mean_auroc, variable_nearest_auroc
        AUROCs of the gene mean and of the nearest epigenome over the variable genes.
    """

    gene_mean_auroc: float | None = None
    nearest: str | None = None
    nearest_auroc: float | None = None
    fused_auroc: float | None = None
    variable_genes: int | None = None
    variable_auroc: float | None = None
    variable_gene_mean_auroc: float | None = None
    variable_nearest_auroc: float | None = None


def gene_mean(atlas: Atlas, epigenome: str) -> NDArray[np.float64] | None:
    """Return the mean log2(RPKM + 1) of every gene over the other epigenomes.

    Parameters
    ----------
    atlas
        The expression table.
    epigenome
        The epigenome whose own expression is not used.

    Returns
    -------
    float64 (rows,)
        ``None`` if there is no other epigenome.

    Raises
    ------
    BadDataError
        The table has no such epigenome.
    """
    other = atlas.is_other(epigenome)
    # A product with weights of 0 and 1 is exact, unlike the difference of a sum and the epigenome's own value.
    return atlas.log2_rpkm @ other.astype(np.float64) / other.sum() if other.any() else None


def nearest_epigenome(atlas: Atlas, epigenome: str, rows: NDArray[np.int64]) -> tuple[str, NDArray[np.float64]] | None:
    """Find the other epigenome with the highest Pearson correlation of log2(RPKM + 1).

    Parameters
    ----------
    atlas, epigenome
        See :func:`gene_mean`.
    rows
        Rows over which epigenomes are compared: int64 (n,). Give training and validation genes only: the expression of
        test genes must not decide. Rows of -1 are left out.

    Returns
    -------
    name
        The nearest epigenome; the first of several.
    log2_rpkm
        Its log2(RPKM + 1): float64 (rows,).
        ``None`` instead of both if no other epigenome has a correlation, because expression is constant.

    Raises
    ------
    BadDataError
        The table has no such epigenome.
    """
    other = atlas.is_other(epigenome)
    values = atlas.log2_rpkm[rows[rows >= 0]]
    if not values.size:
        return None
    varies = np.ptp(values, axis=0) > 0
    if not varies[~other].all() or not (varies & other).any():
        return None
    values = values - values.mean(0)
    # For these shapes, einsum is several times faster than BLAS.
    norms = np.sqrt(np.einsum("ij,ij->j", values, values))
    correlation = np.full(other.size, -np.inf)
    products = np.einsum("ij,i->j", values, values[:, np.argmin(other)])
    np.divide(products, norms, out=correlation, where=varies & other)
    nearest = int(correlation.argmax())
    return atlas.epigenomes[nearest], atlas.log2_rpkm[:, nearest]


def variable_genes(atlas: Atlas, epigenome: str) -> NDArray[np.bool_] | None:
    """Find the variable genes: on in 20 % to 80 % of the other epigenomes, both included.

    Parameters
    ----------
    atlas, epigenome
        See :func:`gene_mean`.

    Returns
    -------
    bool (rows,)
        ``None`` if there are fewer than :data:`MIN_OTHERS` other epigenomes.

    Raises
    ------
    BadDataError
        The table has no such epigenome.
    """
    other = atlas.is_other(epigenome)
    n = int(other.sum())
    if n < MIN_OTHERS:
        return None
    count: NDArray[np.int64] = atlas.on.sum(1, dtype=np.int64) - atlas.on[:, np.argmin(other)]
    return np.asarray((5 * count >= n) & (5 * count <= 4 * n))


@dataclass(frozen=True)
class Fusion:
    """A combination of the scores of a model with the gene mean (late fusion).

    Attributes
    ----------
    slopes
        Weight of the log odds of the model, and of the gene mean.
    intercept
        Log odds that are added for every gene.
    """

    slopes: tuple[float, float]
    intercept: float

    @classmethod
    def fit(cls, log_odds: NDArray[np.float64], prior: NDArray[np.float64], on: NDArray[Any]) -> "Fusion | None":
        """Fit a logistic regression on the two standardised values.

        Parameters
        ----------
        log_odds, prior, on
            Log odds of the model, gene mean and label of n validation genes: float64, float64, 0 or 1; (n,) each.

        Returns
        -------
        Fusion
            ``None`` if the genes are all of one class.
        """
        if np.unique(on).size < 2:
            return None
        # Newton's method needs a few steps for two features, and is many times faster than the default solver.
        regression = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", tol=1e-8))
        regression.fit(np.column_stack([log_odds, prior]), on)
        scaler, fitted = regression[0], regression[1]
        slopes = fitted.coef_[0] / scaler.scale_
        return cls((float(slopes[0]), float(slopes[1])), float(fitted.intercept_[0] - slopes @ scaler.mean_))

    def score(self, log_odds: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log odds of "on" of m genes, float64 (m,), from those of the model and the gene mean."""
        return self.slopes[0] * log_odds + self.slopes[1] * prior + self.intercept


def fit_fusion(atlas: Atlas, valid: Mapping[str, RowScores]) -> Fusion | None:
    """Fit the fusion of a model with the gene mean on its validation genes.

    Parameters
    ----------
    atlas
        The expression table.
    valid
        Validation genes by epigenome, all scored by the model. For a test on an epigenome that is held out, they are
        those of the epigenomes that the model was trained on.

    Returns
    -------
    Fusion
        ``None`` without genes, if the table has one epigenome only, or if all genes are of one class.

    Raises
    ------
    BadDataError
        The table lacks one of these epigenomes.
    """
    genes = {name: scores.in_table() for name, scores in valid.items()}
    # Each gene's prior is its mean over the epigenomes other than its own.
    priors = [mean[genes[name].rows] for name in genes if (mean := gene_mean(atlas, name)) is not None]
    if not priors:
        return None
    return Fusion.fit(
        np.concatenate([scores.log_odds for scores in genes.values()]),
        np.concatenate(priors),
        np.concatenate([scores.on for scores in genes.values()]),
    )


def compute_yardsticks(
    atlas: Atlas,
    epigenome: str,
    test: RowScores,
    *,
    fusion: Fusion | None,
    nearest_rows: NDArray[np.int64] | None,
) -> Yardsticks:
    """Compute the yardsticks for the test genes of one epigenome.

    Parameters
    ----------
    atlas
        The expression table.
    epigenome
        The epigenome of the test genes.
    test
        The test genes.
    fusion
        How the scores are combined with the gene mean; ``None`` if unknown.
    nearest_rows
        Rows of training and validation genes, to find the nearest epigenome; see :func:`nearest_epigenome`. Rows of
        test genes are left out. ``None`` if the epigenome's expression must not be used: there is no nearest one then.

    Raises
    ------
    BadDataError
        The table lacks the epigenome.
    """
    test = test.in_table()
    mean, is_variable, nearest = gene_mean(atlas, epigenome), variable_genes(atlas, epigenome), None
    if nearest_rows is not None:
        # Repeated genes can be in several parts of data in DeepChrome's text format.
        nearest = nearest_epigenome(atlas, epigenome, np.setdiff1d(nearest_rows, test.rows))  # guard: unseen-nearest
    prior = None if mean is None else mean[test.rows]
    of_nearest = None if nearest is None else nearest[1][test.rows]
    fused = None if prior is None or fusion is None else fusion.score(test.log_odds, prior)
    variable = None if is_variable is None else is_variable[test.rows]

    def area(scores: NDArray[np.float64] | None) -> float | None:
        return None if scores is None else auroc(test.on, scores)

    def variable_area(scores: NDArray[np.float64] | None) -> float | None:
        return None if scores is None or variable is None else auroc(test.on[variable], scores[variable])

    return Yardsticks(
        gene_mean_auroc=area(prior),
        nearest=None if nearest is None else nearest[0],
        nearest_auroc=area(of_nearest),
        fused_auroc=area(fused),
        variable_genes=None if variable is None else int(variable.sum()),
        variable_auroc=variable_area(test.log_odds),
        variable_gene_mean_auroc=variable_area(prior),
        variable_nearest_auroc=variable_area(of_nearest),
    )
