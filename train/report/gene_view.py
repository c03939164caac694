"""Choose the genes that a report shows one by one, and collect their labels and scores."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from deepchrome.common.names import SPLIT_NAMES
from deepchrome.common.tables import stable_ids
from deepchrome.errors import BadDataError
from deepchrome.train.report.evidence import Evidence
from deepchrome.train.report.packing import rounded
from deepchrome.train.run.data import RunData
from deepchrome.train.run.directory import Run

# Maximum number of tracks in a report, one per gene and epigenome. 3,000 tracks take about 3 MB before compression.
MAX_TRACKS: Final = 3000
MAX_GENES: Final = 300
# With very many epigenomes, this many genes are allowed, even if they exceed MAX_TRACKS.
_MIN_GENES: Final = 20


def choose_genes(run: Run, data: RunData, wanted: Sequence[str] = ()) -> list[int]:
    """Choose the genes of the gene view.

    Requested genes come first. Test genes fill the rest, evenly spaced from the lowest to the highest mean score.

    Parameters
    ----------
    run, data
        A finished run, and its data.
    wanted
        Requested genes, by id or symbol, in upper or lower case.

    Returns
    -------
    list of int
        Rows of the data sets.

    Raises
    ------
    BadDataError
        A requested gene is not in the run, or too many genes are requested.
    """
    predictions = run.predictions().partition_by("epigenome", as_dict=True)
    first = predictions[(_complete_epigenome(run),)]
    ids, symbols = first["gene_id"], data.symbols()
    row_of: dict[str, int] = {}
    for row, (gene, stable) in enumerate(zip(ids, stable_ids(ids), strict=True)):
        for name in (gene, stable, symbols.get(gene)):
            if name:
                row_of.setdefault(name.lower(), row)
    if unknown := [gene for gene in wanted if gene.lower() not in row_of]:
        raise BadDataError(f"{run.path}: no gene {', '.join(unknown)} in this run. Its ids look like {ids[0]}.")
    rows = list(dict.fromkeys(row_of[gene.lower()] for gene in wanted))
    limit = min(MAX_GENES, max(_MIN_GENES, MAX_TRACKS // len(run.epigenomes)))
    if len(rows) > limit:
        raise BadDataError(
            f"{run.path}: a report of {len(run.epigenomes)} epigenomes holds at most {limit} genes, got {len(rows)}"
        )
    is_test = (first["split"] == "test").to_numpy()
    test_scores = [part.filter(pl.col("split") == "test")["score"].to_numpy() for part in predictions.values()]
    scores = np.zeros(len(first))
    scores[is_test] = np.mean(test_scores, 0)
    test = np.setdiff1d(np.flatnonzero(is_test), rows)
    ranked = test[np.argsort(scores[test], kind="stable")]
    steps = np.linspace(0, len(ranked) - 1, min(limit - len(rows), len(ranked))).round().astype(int)
    return [*rows, *map(int, ranked[np.unique(steps)])]


def describe_genes(
    run: Run, evidence: Mapping[str, Evidence], data: RunData | None, genes: Sequence[int]
) -> dict[str, Any] | None:
    """Return ids, symbols, scores, labels and parts of the split of the chosen genes, as JSON values.

    Of an epigenome that is held out, only test genes have scores. Return ``None`` if there is no evidence or no data.
    """
    if not evidence or data is None:
        return None
    by_epigenome = run.predictions().partition_by("epigenome", as_dict=True)
    first = by_epigenome[(_complete_epigenome(run),)]
    ids, symbols = first["gene_id"].gather(list(genes)).to_list(), data.symbols()
    test_rows = np.flatnonzero((first["split"] == "test").to_numpy())

    def scores_of(name: str) -> list[float | None]:
        scores = np.full(len(first), np.nan)
        scores[test_rows if run.config.held_out(name) else slice(None)] = by_epigenome[(name,)]["score"].to_numpy()
        return [rounded(score) for score in scores[list(genes)].tolist()]

    return {
        "id": ids,
        "symbol": [symbols.get(gene, "") for gene in ids],
        "score": [scores_of(name) for name in evidence],
        "on": [item.labels.tolist() for item in evidence.values()],
        "part": [SPLIT_NAMES[part] for part in next(iter(evidence.values())).parts],
    }


def _complete_epigenome(run: Run) -> str:
    """Return the first epigenome that is not held out: the predictions have all of its genes, in the order of data."""
    return next(name for name in run.epigenomes if not run.config.held_out(name))
