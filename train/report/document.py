"""Collect the results of a run as JSON values, from which report.html draws its figures. See docs/report.md."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any, Final

import numpy as np
import polars as pl

from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.labels import audit_labels
from deepchrome.train.report.evidence import Evidence, rank_correlation
from deepchrome.train.report.gene_view import describe_genes
from deepchrome.train.report.packing import ArrayPack, rounded
from deepchrome.train.report.patterns import Patterns
from deepchrome.train.run.data import RunData
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.evaluate import evaluate, roc_points
from deepchrome.train.scoring.scored import score_test_genes

ROC_POINTS: Final = 101


def build_document(
    run: Run,
    patterns: Patterns | None,
    evidence: Mapping[str, Evidence],
    data: RunData | None,
    genes: Sequence[int],
    style: str,
) -> dict[str, Any]:
    """Build the data that report.html shows.

    Parameters
    ----------
    run
        A finished run.
    patterns
        Its pattern maps; ``None`` for baselines.
    evidence
        Evidence by epigenome; empty if ``data`` is ``None``.
    data
        Data of the run; ``None`` for a report from the models alone.
    genes
        Rows, in the data sets, of the genes to show one by one; see
        :func:`~deepchrome.train.report.gene_view.choose_genes`.
    style
        Colours of the maps: ``default`` or ``published``.

    Returns
    -------
    dict
        JSON values without NaN.
    """
    config = run.config
    origin = config.source.to_dict() if config.source else {}
    pack = ArrayPack()
    if patterns is not None:
        pack.add("pattern", np.rint(patterns.value.swapaxes(2, 3) * 65535).astype(np.uint16))
    if evidence:
        _add_evidence(pack, list(evidence.values()))
    return {
        "run": {
            "model": config.fit.model,
            "seed": config.fit.seed,
            **{key: origin.get(key) for key in ("label_rule", "split")},
            **config.inputs.to_dict(),
            "made_with": dict(config.made_with),
        },
        "style": style,
        "recipe": None if patterns is None else asdict(patterns.recipe),
        "data_prior": bool(evidence) and patterns is not None and patterns.recipe.name != "published",
        "epigenomes": _describe_epigenomes(run, patterns, evidence, data),
        "roc": _sample_roc(run),
        "curves": _training_curves(run),
        "genes": describe_genes(run, evidence, data, genes),
        "arrays": pack.index,
        "blob": pack.to_base64(),
    }


def _add_evidence(pack: ArrayPack, evidence: Sequence[Evidence]) -> None:
    """Add the evidence of all epigenomes to the pack, as arrays of shape (epigenomes, classes or genes, marks, bins).

    ``observed`` has another axis before the marks, of length 3: mean, lower and upper quartile.
    """
    observed = [[[reads.mean, reads.low, reads.high] for reads in item.observed] for item in evidence]
    pack.add_scaled("observed", np.array(observed, np.float32).swapaxes(3, 4), np.uint16)
    tracks = np.stack([item.tracks for item in evidence]).swapaxes(2, 3)
    pack.add("tracks", np.rint(tracks.clip(0, 65535)).astype(np.uint16))
    for name, attribute, dtype, axes in (
        ("gradients", "attributions", np.int16, 1),
        ("gene_gradients", "gene_attributions", np.int8, 2),
        ("attention", "attention", np.int16, 1),
    ):
        arrays = [getattr(item, attribute) for item in evidence]
        if all(array is not None for array in arrays):
            pack.add_scaled(name, np.stack(arrays).swapaxes(2, 3), dtype, axes)


def _describe_epigenomes(
    run: Run, patterns: Patterns | None, evidence: Mapping[str, Evidence], data: RunData | None
) -> list[dict[str, Any]]:
    """Return one row per epigenome that has a model."""
    names = _epigenome_names()
    flipped = {}
    if data is not None and data.expression is not None:
        audits = audit_labels(read_expression(data.expression))
        flipped = {audit.epigenome: audit.flipped_label_fraction for audit in audits}
    evaluations = {row.epigenome: row for row in evaluate(score_test_genes(run))}
    epigenomes = run.epigenomes
    rows = []
    for summary in run.summary():
        name = summary.epigenome
        if name not in epigenomes:
            continue
        row: dict[str, Any] = {"id": name, "name": names.get(name, ""), "flipped": flipped.get(name)}
        row |= {"published": summary.published_auroc, "best_epoch": summary.best_epoch, "note": summary.note}
        if evaluation := evaluations.get(name):
            row |= {key: getattr(evaluation, key) for key in ("genes", "auroc", "auroc_low", "auroc_high", "auprc")}
        item = evidence.get(name)
        if patterns is not None:
            row |= _describe_patterns(patterns, epigenomes.index(name), item)
        if item:
            row["observed_genes"] = [reads.genes for reads in item.observed]
            row["complete"] = item.complete
            row["mark_attention"] = None if item.mark_attention is None else item.mark_attention.tolist()
        rows.append(row)
    return [{key: rounded(value) for key, value in row.items()} for row in rows]


def _describe_patterns(patterns: Patterns, i: int, evidence: Evidence | None) -> dict[str, Any]:
    """Return statistics of the maps of epigenome ``i``: scale, score, active bins, spread and correlation."""
    row = {
        "scale": None if math.isnan(patterns.scale[i]) else float(patterns.scale[i]),
        "score": patterns.score[i].tolist(),
        "active": patterns.active()[i].tolist(),
        "spread": float(patterns.spread[i].mean()),
    }
    if evidence:
        row["correlation"] = [rank_correlation(patterns.value[i, c], evidence.observed[c].mean) for c in range(2)]
    return row


def _epigenome_names() -> Mapping[str, str]:
    """Return the names of Roadmap's 56 epigenomes, from the table of published results."""
    table = files("deepchrome.train.datasets").joinpath("data", "deepchrome_auc_56.tsv").read_bytes()
    rows = pl.read_csv(table, separator="\t", comment_prefix="#")
    return {key: name.replace("_", " ") for key, name in zip(rows["epigenome"], rows["name"], strict=True)}


def _sample_roc(run: Run) -> dict[str, list[float]]:
    """Return the true positive rate of every epigenome at evenly spaced false positive rates."""
    grid = np.linspace(0, 1, ROC_POINTS)
    curves = {}
    for (name,), part in roc_points(score_test_genes(run)).group_by("epigenome", maintain_order=True):
        rates = (part["false_positive_rate"].to_numpy(), part["true_positive_rate"].to_numpy())
        curves[str(name)] = np.interp(grid, *rates).round(3).tolist()
    return curves


def _training_curves(run: Run) -> dict[str, dict[str, Any]]:
    """Return the losses and the validation AUROC of every epoch, by epigenome."""
    columns = ("train_loss", "valid_loss", "valid_auroc")
    metrics = run.metrics().partition_by("epigenome", as_dict=True, maintain_order=True)
    return {str(name): {key: rounded(part[key].to_list()) for key in columns} for (name,), part in metrics.items()}
