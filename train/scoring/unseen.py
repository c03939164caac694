"""Load genes that a run has not seen in training: of its own data, or of other data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from deepchrome.common.names import SPLIT_NAMES, TEST
from deepchrome.common.tables import comparable_ids
from deepchrome.engine.features.store import feature_files, read_header
from deepchrome.errors import BadDataError, UsageError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.labels import LabelGenes, LabelRule
from deepchrome.train.datasets.load import LoadReport
from deepchrome.train.datasets.source import FeatureSource
from deepchrome.train.run.data import check_unchanged, find_source
from deepchrome.train.run.directory import Run


def load_unseen_genes(
    run: Run,
    features: Path | None = None,
    expression: Path | None = None,
    *,
    label_rule: LabelRule | None = None,
    label_threshold: float | None = None,
    label_genes: LabelGenes | None = None,
) -> tuple[list[Dataset], LoadReport]:
    """Load genes that a run was neither trained nor validated on, with the input options of the run.

    Genes are left out by id. Seen genes would inflate the scores on other epigenomes too, because most
    genes have the same state in many epigenomes.

    Parameters
    ----------
    run
        A finished run.
    features, expression
        See :class:`~deepchrome.train.datasets.source.FeatureSource`. Give both or neither.
        Default: the paths in the run's config.json.
    label_rule, label_threshold, label_genes
        See :class:`~deepchrome.train.datasets.source.FeatureSource`. Default: as in the run, or the defaults of
        FeatureSource if the run was trained on DeepChrome's text format.

    Returns
    -------
    datasets
        One data set per epigenome: of the run's own data, those of the run; else all with features and expression.
    report
        Facts for the user about these genes.

    Raises
    ------
    MissingInputError
        A given path does not exist.
    BadDataError
        The features do not fit the run, no gene is left, the data are damaged, or those of the run have changed since
        training.
    UsageError
        Only one of ``features`` and ``expression`` is given; or none, and the run was trained on DeepChrome's text
        format, or its data are missing.
    """
    labels = choose_source(run, features, expression, label_rule, label_threshold, label_genes)
    run.config.inputs.check(read_header(feature_files(labels.features)[0]))
    # Other epigenomes beside those of the run may lack a mark.
    own = list(run.config.data) if features is None else None
    datasets, report = labels.load(run.config.inputs.options(), own, known_genes=run.gene_splits())
    if labels == run.config.source:
        check_unchanged(run, datasets)

    seen = comparable_ids(run.predictions().filter(pl.col("split") != SPLIT_NAMES[TEST])["gene_id"])
    is_seen = comparable_ids(pl.Series(datasets[0].gene_id)).is_in(seen.implode()).to_numpy()
    unseen = np.flatnonzero(~is_seen)
    if not unseen.size:
        raise BadDataError(
            f"{labels.features}: no gene is left to test on (the run used all {is_seen.size} in training)"
        )
    notes = [
        f"{is_seen.sum()} genes left out because the run was trained or validated on them; {unseen.size} genes tested"
    ]
    loaded = {data.epigenome for data in datasets}
    if features is not None and (left_out := {path.stem for path in feature_files(features)} - loaded):
        notes.append(f"{', '.join(sorted(left_out))} left out: no column in {expression}")
    if report.not_in_expression:
        notes.append(f"{report.not_in_expression} genes left out because they have no expression")
    if note := report.inputs.describe_unknown_strands(report.unknown_strand):
        notes.append(note)
    report = replace(report, genes=unseen.size, window_overlaps=None, notes=tuple(notes), split_warnings=())
    return [data.take(unseen) for data in datasets], report


def choose_source(
    run: Run,
    features: Path | None = None,
    expression: Path | None = None,
    label_rule: LabelRule | None = None,
    label_threshold: float | None = None,
    label_genes: LabelGenes | None = None,
) -> FeatureSource:
    """Return where unseen genes come from, and how they are labelled.

    See :func:`load_unseen_genes` for the parameters.

    Raises
    ------
    UsageError
        See :func:`load_unseen_genes`.
    """
    if (features is None) != (expression is None):
        raise UsageError("features and an expression table must be given together")
    recorded = run.config.source
    if features is not None and expression is not None:
        # The parts of the split have no meaning here. This split needs no chromosomes.
        source = FeatureSource(features, expression, split="published")
        if isinstance(recorded, FeatureSource):
            source = replace(
                source,
                label_rule=recorded.label_rule,
                label_threshold=recorded.label_threshold,
                label_genes=recorded.label_genes,
            )
    else:
        found = find_source(run)
        if not isinstance(found, FeatureSource):
            raise UsageError(f"{run.path}: this run was not trained on features", remedy="run_data")
        source = found
    if label_threshold is not None or label_genes is not None:  # Either takes the place of the run's threshold.
        source = replace(source, label_threshold=label_threshold, label_genes=label_genes or "table")
    return source if label_rule is None else replace(source, label_rule=label_rule)
