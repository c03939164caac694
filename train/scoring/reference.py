"""The expression table that the models of a run are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import logit

from deepchrome.common.files import special_kind
from deepchrome.common.names import SPLIT_NAMES, TEST, VALID, first_names
from deepchrome.common.tables import comparable_ids
from deepchrome.engine.features.store import feature_files, read_features
from deepchrome.errors import BadDataError, DeepchromeError
from deepchrome.train.datasets.expression import Expression, read_expression
from deepchrome.train.datasets.labels import LabelRule
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.scored import ScoredGenes
from deepchrome.train.scoring.yardsticks import Atlas, Fusion, RowScores, Yardsticks, compute_yardsticks, fit_fusion

_EPS: Final = float(np.finfo(np.float64).eps)
_NO_COMPARISON: Final = "no comparison with other epigenomes"


@dataclass(frozen=True)
class Reference:
    """An expression table, and what a run tells about its genes.

    Attributes
    ----------
    table
        The table.
    atlas
        The same with labels, which are made in all epigenomes as in the epigenome that is tested.
    seen
        Rows of the genes that the run was trained or validated on: int64 (n,), -1 for genes that the table lacks.
    valid
        Validation genes by epigenome, scored by the model that was trained on it.
    trained_on
        The epigenomes that each model was trained on, by the name of the model.
    row_of
        Row of each gene in the table, by comparable id.
    """

    table: Expression
    atlas: Atlas
    seen: NDArray[np.int64] = field(repr=False)
    valid: Mapping[str, RowScores] = field(repr=False)
    trained_on: Mapping[str, Sequence[str]]
    row_of: Mapping[str, int] = field(repr=False)

    def rows(self, gene_id: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each gene in the table: int64 (genes,), -1 for a gene that is not in it."""
        return _find_rows(self.row_of, gene_id)

    def observe(self, genes: ScoredGenes) -> ScoredGenes:
        """Return genes with their expression in the table, unless it is known already or the table lacks a gene."""
        rows = self.rows(genes.gene_id)
        if genes.rpkm is not None or genes.epigenome not in self.table.epigenomes or (rows < 0).any():
            return genes
        return replace(genes, rpkm=self.table.column(genes.epigenome)[rows])

    def yardsticks(self, genes: ScoredGenes) -> Yardsticks:
        """Compute what the other epigenomes of the table tell about the genes of one epigenome.

        The expression of an epigenome that is held out is used for nothing but the labels: there is no nearest
        epigenome, and the fusion is fitted on the epigenomes that the model was trained on.

        All values are ``None`` if the table lacks the epigenome.
        """
        if genes.epigenome not in self.atlas.epigenomes:
            return Yardsticks()
        return compute_yardsticks(
            self.atlas,
            genes.epigenome,
            RowScores(self.rows(genes.gene_id), genes.on, _log_odds(genes.scores)),
            fusion=self._fit_fusion(genes),
            nearest_rows=None if genes.held_out else self.seen,  # guard: held-out-nearest
        )

    def _fit_fusion(self, genes: ScoredGenes) -> Fusion | None:
        """Fit the fusion of a model with the gene mean for the genes of one epigenome."""
        if not genes.held_out:
            names, atlas = [genes.epigenome], self.atlas
        else:
            # The others have a gene mean, too, of which the epigenome must not be a part.
            names = list(self.trained_on[genes.model])
            atlas = self.atlas.without(genes.epigenome)  # guard: held-out-fusion
        return fit_fusion(atlas, {name: self.valid[name] for name in names if name in self.valid})


def find_reference(run: Run, expression: Path | None = None) -> tuple[Reference | None, list[str]]:
    """Read the expression table that a run was trained with, and check that it still gives the labels of the run.

    Parameters
    ----------
    run
        A finished run.
    expression
        Current path of the table. Default: the path in config.json.

    Returns
    -------
    reference
        ``None`` if ``expression`` is not given, and the recorded table is gone, unreadable or lacks genes of the run.
    notes
        Sentences about what is missing.

    Raises
    ------
    MissingInputError, StorageError
        The given table does not exist or cannot be read.
    BadDataError
        The given table is damaged, or lacks genes of the run; or a table gives other labels than those of the run.
    """
    source = run.config.source
    recorded = source.expression if isinstance(source, FeatureSource) else None
    if (path := expression or recorded) is None:
        return None, [f"{_NO_COMPARISON}: the run records no expression table"]
    if expression is None and (special_kind(path) or not path.exists()):
        return None, [f"{_NO_COMPARISON}: the expression table {path} is missing"]
    predictions = run.predictions()
    try:
        table = read_expression(path)
        if not any(name in table.epigenomes for name in run.epigenomes):
            raise BadDataError(
                f"{path}: no epigenome of the run (it has {first_names(run.epigenomes)}, the table "
                f"{first_names(table.epigenomes)})"
            )
        row_of = _index_genes(table)
        rows = _join_rows(row_of, predictions)
        if absent := predictions.filter(pl.Series(rows < 0))["gene_id"].unique(maintain_order=True).to_list():
            raise BadDataError(f"{path}: {len(absent)} genes of the run are not in this table ({first_names(absent)})")
    except DeepchromeError as error:
        if expression is not None:
            raise
        return None, [f"{_NO_COMPARISON}: {error}"]
    atlas = _label(run, path, table, predictions, rows)
    lacking = [name for name in run.epigenomes if name not in table.epigenomes]
    notes = [f"{_NO_COMPARISON} for {', '.join(lacking)}: no column in {path}"] if lacking else []
    return _build(run, table, atlas, row_of, predictions), notes


def read_reference(run: Run, source: FeatureSource) -> tuple[Reference | None, list[str]]:
    """Read the expression table of other features, and label all of its epigenomes like those of the features.

    Parameters
    ----------
    run
        A finished run.
    source
        The features, and how their genes are labelled; see :func:`~deepchrome.train.scoring.unseen.choose_source`.

    Returns
    -------
    reference
        ``None`` if the table is no regular file, so that it cannot be read a second time.
    notes
        Sentences about what is missing.

    Raises
    ------
    MissingInputError, StorageError
        A file does not exist or cannot be read.
    BadDataError
        A file is damaged.
    """
    if not source.expression.is_file():
        return None, [f"{_NO_COMPARISON}: {source.expression} can be read only once. Give the path of a file"]
    table = read_expression(source.expression)
    row_of, of_labels = _index_genes(table), None
    if source.label_genes == "features":
        of_labels = _find_rows(row_of, read_features(feature_files(source.features)[0]).genes.gene_id)
    atlas = _make_atlas(table, source.label_rule, source.label_threshold, of_labels)
    return _build(run, table, atlas, row_of, run.predictions()), []


def _label(run: Run, path: Path, table: Expression, predictions: pl.DataFrame, rows: NDArray[np.int64]) -> Atlas:
    """Label the epigenomes of a table as those of a run; raise BadDataError if the run has other labels.

    DeepChrome's text format does not tell the label rule. Then it is the one that gives the labels.
    """
    source = run.config.source
    rules: tuple[LabelRule, ...] = get_args(LabelRule)
    threshold, of_labels = None, None
    if isinstance(source, FeatureSource):
        rules, threshold = (source.label_rule,), source.label_threshold
        if source.label_genes == "features":
            # Of an epigenome that is held out, the run has test genes only.
            trained = next(name for name in run.config.data if not run.config.held_out(name))
            of_labels = rows[(predictions["epigenome"] == trained).to_numpy()]
    column_of = {name: column for column, name in enumerate(table.epigenomes)}
    columns = predictions["epigenome"].replace_strict(column_of, default=-1, return_dtype=pl.Int64).to_numpy()
    known = columns >= 0
    labels = predictions["label"].to_numpy()[known]
    for rule in rules:
        atlas = _make_atlas(table, rule, threshold, of_labels)
        different = int(np.sum(atlas.on[rows[known], columns[known]] != labels))
        if not different:  # guard: unchanged-labels
            return atlas
    raise BadDataError(
        f"{path}: not the expression table of the run {run.path} ({different} of {labels.size} labels differ). "
        "Use the table of the training, or train again"
    )


def _make_atlas(
    table: Expression, rule: LabelRule, threshold: float | None, of_labels: NDArray[np.int64] | None
) -> Atlas:
    """Label all epigenomes with one threshold, or with their median over all rows or over the rows ``of_labels``."""
    if threshold is not None:
        limits = dict.fromkeys(table.epigenomes, threshold)
    elif of_labels is not None:
        medians = np.median(table.rpkm[of_labels[of_labels >= 0]], axis=0)
        limits = dict(zip(table.epigenomes, medians.tolist(), strict=True))
    else:
        limits = {}
    return Atlas.from_table(table, rule, limits)


def _build(
    run: Run, table: Expression, atlas: Atlas, row_of: Mapping[str, int], predictions: pl.DataFrame
) -> Reference:
    """Collect the validation genes of a run, and the rows of those that it was trained on."""
    rows = _join_rows(row_of, predictions)
    seen = np.unique(rows[(predictions["split"] != SPLIT_NAMES[TEST]).to_numpy()])
    trained_on = {name: run.config.trained_on(name) for name in run.models}
    is_valid = predictions["split"] == SPLIT_NAMES[VALID]
    scores = predictions.select("epigenome", "score", row=pl.Series(rows)).filter(is_valid)
    valid = {}
    for (name,), genes in scores.group_by("epigenome", maintain_order=True):
        if name in table.epigenomes:
            of_genes = genes["row"].to_numpy()
            on = atlas.on[of_genes, table.epigenomes.index(name)]
            valid[name] = RowScores(of_genes, on, _log_odds(genes["score"].to_numpy()))
    return Reference(table, atlas, seen, valid, trained_on, row_of)


def _index_genes(table: Expression) -> dict[str, int]:
    """Return the row of each gene of a table, by comparable id."""
    return {gene: row for row, gene in enumerate(comparable_ids(pl.Series(table.gene_id, dtype=pl.String)))}


def _join_rows(row_of: Mapping[str, int], predictions: pl.DataFrame) -> NDArray[np.int64]:
    """Return the row in the expression table of every row of predictions.parquet; -1 if it has none."""
    genes = predictions["gene_id"].unique(maintain_order=True)  # the epigenomes have the same genes
    known = pl.DataFrame({"gene_id": genes, "row": _find_rows(row_of, genes.to_list())})
    return predictions.join(known, on="gene_id", how="left", maintain_order="left")["row"].to_numpy()


def _find_rows(row_of: Mapping[str, int], gene_id: Sequence[str]) -> NDArray[np.int64]:
    """Return the row of each gene in the expression table; -1 if it has none."""
    return np.array([row_of.get(gene, -1) for gene in comparable_ids(pl.Series(gene_id, dtype=pl.String))], np.int64)


def _log_odds(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn probabilities into log odds. Scores that are no probabilities, as of old baselines, stay as they are."""
    if not np.all((scores >= 0) & (scores <= 1)):
        return scores
    log_odds: NDArray[np.float64] = logit(np.clip(scores, _EPS, 1 - _EPS))
    return log_odds
