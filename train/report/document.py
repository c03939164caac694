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
from deepchrome.train.models import is_network
from deepchrome.train.models.metrics import calibration_curve
from deepchrome.train.report.accuracy import Accuracy
from deepchrome.train.report.evidence import Evidence, rank_correlation
from deepchrome.train.report.gene_view import describe_genes
from deepchrome.train.report.packing import ArrayPack, rounded
from deepchrome.train.report.patterns import Patterns
from deepchrome.train.run.data import RunData
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.evaluate import roc_points
from deepchrome.train.scoring.scored import ScoredGenes

ROC_POINTS: Final = 101
# Expression is stored in steps of 1/64 of log2(RPKM + 1), which are too fine to see.
_STEPS_PER_UNIT: Final = 64
_INT16_LIMITS: Final = (-32768, 32767)
_EVALUATED: Final = (
    *("n_test", "n_on", "auroc", "auroc_low", "auroc_high", "auprc", "brier", "ece", "held_out"),
    *("gene_mean_auroc", "nearest", "nearest_auroc", "fused_auroc"),
    *("variable_genes", "variable_auroc", "variable_gene_mean_auroc", "variable_nearest_auroc"),
    *("pearson", "spearman", "r2"),
)


def build_document(
    run: Run,
    accuracy: Accuracy,
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
    accuracy
        How well it does on its test genes.
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
    symbols = {} if data is None else data.symbols()
    pack = ArrayPack()
    if patterns is not None:
        pack.add("pattern", np.rint(patterns.value.swapaxes(2, 3) * 65535).astype(np.uint16))
    if evidence:
        _add_evidence(pack, list(evidence.values()))
        if patterns is not None and patterns.recipe.name != "published":
            _add_optimized_reads(pack, run, patterns, evidence)
    if accuracy.has_expression:
        _add_expression(pack, accuracy.scored)
    return {
        "run": {
            "model": config.fit.model,
            "seed": config.fit.seed,
            **{key: getattr(config.fit, key) for key in ("task", "pooled", "members")},
            **{key: origin.get(key) for key in ("label_rule", "split")},
            **config.inputs.to_dict(),
            "made_with": dict(config.made_with),
        },
        "style": style,
        "recipe": None if patterns is None else asdict(patterns.recipe),
        "data_prior": bool(evidence) and patterns is not None and patterns.recipe.name != "published",
        "epigenomes": _describe_epigenomes(run, accuracy, patterns, evidence, data),
        "absent": {**_missing_sections(run, patterns, evidence), **accuracy.absent},
        "calibration": _calibration_curves(accuracy.scored),
        "transfer": _describe_transfer(accuracy),
        "expression": _describe_expression(accuracy, symbols),
        "roc": _sample_roc(accuracy.scored),
        "curves": _training_curves(run),
        "genes": describe_genes(run, evidence, data, genes),
        "arrays": pack.index,
        "blob": pack.to_base64(),
    }


def _missing_sections(run: Run, patterns: Patterns | None, evidence: Mapping[str, Evidence]) -> dict[str, str]:
    """Return why sections of the report are missing, by name."""
    absent = {}
    if not is_network(run.config.fit.model):
        absent["pattern"] = f"Pattern maps need a network, and this run has {run.config.fit.model} models."
    if not evidence:
        reason = "need the data of the run, and this report was made without them."
        absent["profiles"] = f"Observed reads {reason}"
        absent["genes"] = f"Single genes {reason}"
    if patterns is None and not evidence:
        absent["maps"] = absent["pattern"]
    if run.config.fit.model == "attentivechrome" and run.config.fit.pooled:
        absent["attention"] = "Attention is shown for models of one epigenome only."
    return absent


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


def _add_optimized_reads(pack: ArrayPack, run: Run, patterns: Patterns, evidence: Mapping[str, Evidence]) -> None:
    """Add the reads per bin that the maps correspond to in each epigenome, of shape (epigenomes, 2, marks, bins).

    A read count has another input in every epigenome if inputs are corrected for depth.
    """
    inputs = patterns.value * patterns.scale[:, None, None, None]
    index = [patterns.models.index(run.config.model_of(name)) for name in evidence]
    reads = [item.to_reads(inputs[i]) for i, item in zip(index, evidence.values(), strict=True)]
    pack.add_scaled("optimized", np.stack(reads).swapaxes(2, 3), np.uint16)


def _describe_epigenomes(
    run: Run, accuracy: Accuracy, patterns: Patterns | None, evidence: Mapping[str, Evidence], data: RunData | None
) -> list[dict[str, Any]]:
    """Return one row per epigenome that has a model."""
    names = _epigenome_names()
    flipped = {}
    if data is not None and data.expression is not None:
        audits = audit_labels(read_expression(data.expression))
        flipped = {audit.epigenome: audit.flipped_label_fraction for audit in audits}
    evaluations = {row.epigenome: row for row in accuracy.evaluations}
    rows = []
    for summary in run.summary():
        name = summary.epigenome
        if name not in run.epigenomes:
            continue
        row: dict[str, Any] = {"id": name, "name": names.get(name, ""), "flipped": flipped.get(name)}
        row |= {"published": summary.published_auroc, "best_epoch": summary.best_epoch, "note": summary.note}
        row["model"] = run.config.model_of(name)
        if evaluation := evaluations.get(name):
            row |= {key: getattr(evaluation, key) for key in _EVALUATED}
        item = evidence.get(name)
        if patterns is not None:
            row |= _describe_patterns(patterns, patterns.models.index(row["model"]), item)
        if item:
            row["observed_genes"] = [reads.genes for reads in item.observed]
            row["complete"] = item.complete
            row["missing_marks"] = [
                mark for mark, there in zip(run.config.inputs.marks, item.present, strict=True) if not there
            ]
            row["mark_attention"] = None if item.mark_attention is None else item.mark_attention.tolist()
        rows.append(row)
    return [{key: rounded(value) for key, value in row.items()} for row in rows]


def _describe_patterns(patterns: Patterns, i: int, evidence: Evidence | None) -> dict[str, Any]:
    """Return statistics of the maps of model ``i``: scale, score, active bins, spread and correlation with reads."""
    row = {
        "map": i,
        "scale": None if math.isnan(patterns.scale[i]) else float(patterns.scale[i]),
        "score": patterns.score[i].tolist(),
        "active": patterns.active()[i].tolist(),
        "spread": float(patterns.spread[i].mean()),
    }
    if evidence:
        row["correlation"] = [rank_correlation(patterns.value[i, c], evidence.observed[c].mean) for c in range(2)]
    return row


def _calibration_curves(scored: Sequence[ScoredGenes]) -> dict[str, dict[str, list[float | None]]]:
    """Return the calibration curve of every epigenome whose scores are probabilities."""
    curves = {}
    for genes in scored:
        if curve := calibration_curve(genes.on, genes.scores):
            curves[genes.epigenome] = {key: rounded(value.tolist()) for key, value in vars(curve).items()}
    return curves


def _describe_transfer(accuracy: Accuracy) -> dict[str, Any] | None:
    """Return the transfer matrix as JSON values."""
    if (transfer := accuracy.transfer) is None:
        return None
    return {"models": transfer.models, "genes": transfer.genes, "auroc": rounded(transfer.auroc.tolist())}


def _add_expression(pack: ArrayPack, scored: Sequence[ScoredGenes]) -> None:
    """Add predicted and observed log2(RPKM + 1) of the test genes, of shape (epigenomes, genes)."""
    observed = [np.log2(genes.rpkm + 1) for genes in scored if genes.rpkm is not None]
    predicted = [genes.log2_rpkm for genes in scored if genes.log2_rpkm is not None]
    for name, values in (("expressed", observed), ("predicted", predicted)):
        steps = np.rint(np.stack(values) * _STEPS_PER_UNIT)
        pack.add(name, steps.clip(*_INT16_LIMITS).astype(np.int16))
        pack.index[name]["scale"] = [1 / _STEPS_PER_UNIT] * len(values)


def _describe_expression(accuracy: Accuracy, symbols: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the test genes, and a row for every contrast.

    A row has the indices of the two epigenomes, Pearson's correlation, the number of genes that changed more than
    twofold, and the share of these whose direction is predicted.
    """
    if not accuracy.has_expression:
        return None
    gene_id = accuracy.scored[0].gene_id
    index = {genes.epigenome: i for i, genes in enumerate(accuracy.scored)}
    contrasts = [
        [index[item.a], index[item.b], rounded(item.pearson), item.changed, rounded(item.direction)]
        for item in accuracy.contrasts
    ]
    return {"id": gene_id, "symbol": [symbols.get(gene, "") for gene in gene_id], "contrasts": contrasts}


def _epigenome_names() -> Mapping[str, str]:
    """Return the names of Roadmap's 56 epigenomes, from the table of published results."""
    table = files("deepchrome.train.datasets").joinpath("data", "deepchrome_auc_56.tsv").read_bytes()
    rows = pl.read_csv(table, separator="\t", comment_prefix="#")
    return {key: name.replace("_", " ") for key, name in zip(rows["epigenome"], rows["name"], strict=True)}


def _sample_roc(scored: Sequence[ScoredGenes]) -> dict[str, list[float]]:
    """Return the true positive rate of every epigenome at evenly spaced false positive rates."""
    grid = np.linspace(0, 1, ROC_POINTS)
    curves = {}
    for (name,), part in roc_points(scored).group_by("epigenome", maintain_order=True):
        rates = (part["false_positive_rate"].to_numpy(), part["true_positive_rate"].to_numpy())
        curves[str(name)] = np.interp(grid, *rates).round(3).tolist()
    return curves


def _training_curves(run: Run) -> dict[str, dict[str, Any]]:
    """Return the losses and the validation AUROC of every epoch of the first network, by model."""
    columns, table = ("train_loss", "valid_loss", "valid_auroc"), run.metrics()
    if "member" in table.columns:
        table = table.filter(pl.col("member") == 1)
    metrics = table.partition_by("epigenome", as_dict=True, maintain_order=True)
    return {str(name): {key: rounded(part[key].to_list()) for key in columns} for (name,), part in metrics.items()}
