"""What the report shows, gathered from a run and its data, as small as it can be. See docs/report.md."""

import base64
import gzip
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepchrome.common.names import SPLIT_NAMES
from deepchrome.common.tables import stable_ids
from deepchrome.errors import BadDataError
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.expression import read_expression
from deepchrome.train.datasets.labels import audit_labels
from deepchrome.train.datasets.splits import TRAIN
from deepchrome.train.models import NETWORKS, build_network
from deepchrome.train.models.attentivechrome import AttentiveChrome
from deepchrome.train.report.evidence import (
    Observed,
    chosen_test_genes,
    integrated_gradients,
    mean_attention,
    observed,
    rank_correlation,
)
from deepchrome.train.report.patterns import Patterns, Prior, reads_per_bin
from deepchrome.train.run.data import RunData
from deepchrome.train.run.directory import Run
from deepchrome.train.scoring.evaluate import evaluate, roc_points, score_test_genes

# Genes times epigenomes whose tracks go into a report; 3,000 make some 3 MB before compression.
GENE_TRACKS: Final = 3000
MOST_GENES: Final = 300
ATTRIBUTED_GENES: Final = 100
ROC_POINTS: Final = 101


@dataclass
class Evidence:
    """What the data of one epigenome show.

    Attributes
    ----------
    prior
        For its pattern maps.
    observed
        Of genes off, and on.
    attributions
        float32 (2, bins, marks): mean integrated gradients of test genes off, and on; ``None`` for baselines.
    complete
        Whether the attributions add up to the scores.
    attention
        float32 (2, bins, marks), where the model has attention.
    mark_attention
        float32 (2, marks), where the model has attention.
    tracks, gene_attributions
        float32 (genes, bins, marks): reads per bin, and integrated gradients, of the chosen genes.
    labels, parts
        Of the chosen genes: 0 or 1, and an index of the split's names.
    """

    prior: Prior = field(repr=False)
    observed: tuple[Observed, Observed] = field(repr=False)
    tracks: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    parts: NDArray[np.int8] = field(repr=False)
    attributions: NDArray[np.float32] | None = None
    gene_attributions: NDArray[np.float32] | None = None
    complete: bool = True
    attention: NDArray[np.float32] | None = None
    mark_attention: NDArray[np.float32] | None = None


class ArrayPack:
    """Arrays as one run of bytes, gzipped, in base64, with an index that says where each lies."""

    def __init__(self) -> None:
        self.index: dict[str, dict[str, Any]] = {}
        self._bytes = bytearray()

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Append an array, little-endian, at a multiple of four bytes."""
        self._bytes.extend(bytes(-len(self._bytes) % 4))
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        self.index[name] = {"type": array.dtype.name, "shape": array.shape, "offset": len(self._bytes)}
        self._bytes.extend(little.tobytes())

    def add_scaled(self, name: str, array: NDArray[np.float32], dtype: type, axes: int = 1) -> None:
        """Append values as integers of ``dtype``, the largest of every entry of the first axes at its end."""
        lead = array.shape[:axes]
        largest = np.abs(array).reshape(*lead, -1).max(-1)
        top = np.iinfo(dtype).max
        factor = np.where(largest > 0, top / np.where(largest > 0, largest, 1), 0)
        self.add(name, np.rint(array * factor.reshape(*lead, *[1] * (array.ndim - axes))).astype(dtype))
        self.index[name]["scale"] = [float(f"{value:.6g}") for value in (largest / top).reshape(-1)]

    def text(self) -> str:
        """Return all bytes as base64 of gzip."""
        return base64.b64encode(gzip.compress(bytes(self._bytes), 9, mtime=0)).decode()


def choose_genes(run: Run, data: RunData, wanted: Sequence[str] = ()) -> list[int]:
    """Choose the genes of the gene view, as rows of the data sets.

    Those asked for, by id or symbol, then test genes at equal steps from the lowest to the highest mean score.

    Raises
    ------
    BadDataError
        A gene asked for is not in the run.
    """
    table = run.predictions()
    first = table.filter(pl.col("epigenome") == run.epigenomes[0])
    ids, symbols = first["gene_id"], data.symbols()
    row_of: dict[str, int] = {}
    for row, (gene, stable) in enumerate(zip(ids, stable_ids(ids), strict=True)):
        for name in (gene, stable, symbols.get(gene)):
            if name:
                row_of.setdefault(name.lower(), row)
    if absent := [gene for gene in wanted if gene.lower() not in row_of]:
        raise BadDataError(f"{run.path}: no gene {', '.join(absent)}; ids are like {ids[0]}")
    rows = list(dict.fromkeys(row_of[gene.lower()] for gene in wanted))
    most = min(MOST_GENES, max(20, GENE_TRACKS // len(run.epigenomes)))
    if len(rows) > most:
        raise BadDataError(f"{len(rows)} genes asked for; a report of {len(run.epigenomes)} epigenomes takes {most}")
    scores = np.mean([part["score"].to_numpy() for part in table.partition_by("epigenome")], 0)
    test = np.setdiff1d(np.flatnonzero((first["split"] == "test").to_numpy()), rows)
    ranked = test[np.argsort(scores[test], kind="stable")]
    steps = np.linspace(0, len(ranked) - 1, min(most - len(rows), len(ranked))).round().astype(int)
    return [*rows, *map(int, ranked[np.unique(steps)])]


def gather_evidence(run: Run, data: Dataset, genes: Sequence[int]) -> Evidence:
    """Gather what the data of one epigenome show; see :class:`Evidence`."""
    inputs, name = run.config.inputs, run.config.fit.model
    rows = np.array(genes, np.int64)
    found = Evidence(
        Prior.of(data.x[data.split == TRAIN]),
        observed(data, inputs),
        reads_per_bin(data.x[rows], inputs),
        data.y[rows],
        data.split[rows],
    )
    if name not in NETWORKS:
        return found
    model = build_network(name, 1, len(inputs.marks), inputs.n_bins)
    model.load(0, run.weights(data.epigenome))
    model.requires_grad_(False)
    sampled = [chosen_test_genes(data, label, ATTRIBUTED_GENES) for label in (0, 1)]
    per_class = [integrated_gradients(model, data.x[part]) for part in sampled]
    one_by_one = integrated_gradients(model, data.x[rows])
    shape = data.x.shape[1:]
    found.attributions = np.stack([own.values.mean(0) if len(own.values) else np.zeros(shape) for own in per_class])
    found.gene_attributions = one_by_one.values
    found.complete = all(own.complete for own in (*per_class, one_by_one) if len(own.values))
    if isinstance(model, AttentiveChrome) and all(part.size for part in sampled):
        attended = [mean_attention(model, data.x[part]) for part in sampled]
        found.attention, found.mark_attention = (np.stack(own) for own in zip(*attended, strict=True))
    return found


def report_document(
    run: Run,
    patterns: Patterns | None,
    evidence: Mapping[str, Evidence],
    data: RunData | None,
    genes: Sequence[int],
    style: str,
) -> dict[str, Any]:
    """Put together the document that report.html holds; JSON values, without NaN."""
    config = run.config
    blob = ArrayPack()
    if patterns is not None:
        blob.add("pattern", np.rint(patterns.value.swapaxes(2, 3) * 65535).astype(np.uint16))
    if evidence:
        _add_evidence(blob, list(evidence.values()))
    return {
        "run": {
            "model": config.fit.model,
            "seed": config.fit.seed,
            **{key: config.origin.get(key) for key in ("label_rule", "split")},
            **config.inputs.to_dict(),
            "made_with": dict(config.made_with),
        },
        "style": style,
        "recipe": None if patterns is None else asdict(patterns.recipe),
        "data_prior": bool(evidence) and patterns is not None and patterns.recipe.name != "published",
        "epigenomes": _epigenomes(run, patterns, evidence, data),
        "roc": _roc(run),
        "curves": _curves(run),
        "genes": _genes(run, evidence, data, genes),
        "arrays": blob.index,
        "blob": blob.text(),
    }


def epigenome_names() -> Mapping[str, str]:
    """Return the names of Roadmap's 56 epigenomes, from the published results."""
    table = files("deepchrome.train.datasets").joinpath("data", "deepchrome_auc_56.tsv").read_bytes()
    rows = pl.read_csv(table, separator="\t", comment_prefix="#")
    return {key: name.replace("_", " ") for key, name in zip(rows["epigenome"], rows["name"], strict=True)}


def _add_evidence(blob: ArrayPack, found: Sequence[Evidence]) -> None:
    """Add the arrays of all epigenomes: (epigenomes, classes or genes, marks, bins), some with the bands as axis 1."""
    bands = [[[own.mean, own.low, own.high] for own in one.observed] for one in found]
    blob.add_scaled("observed", np.array(bands, np.float32).swapaxes(3, 4), np.uint16)
    tracks = np.stack([one.tracks for one in found]).swapaxes(2, 3)
    blob.add("tracks", np.rint(tracks.clip(0, 65535)).astype(np.uint16))
    for name, of_class, of_gene in (("gradients", "attributions", "gene_attributions"), ("attention", "attention", "")):
        arrays = [getattr(one, of_class) for one in found]
        if all(array is not None for array in arrays):
            blob.add_scaled(name, np.stack(arrays).swapaxes(2, 3), np.int16)
            if of_gene:
                own = np.stack([getattr(one, of_gene) for one in found]).swapaxes(2, 3)
                blob.add_scaled("gene_gradients", own, np.int8, axes=2)


def _epigenomes(
    run: Run, patterns: Patterns | None, evidence: Mapping[str, Evidence], data: RunData | None
) -> list[dict[str, Any]]:
    names = epigenome_names()
    flipped = {}
    if data is not None and data.expression is not None:
        audits = audit_labels(read_expression(data.expression))
        flipped = {audit.epigenome: audit.flipped_label_fraction for audit in audits}
    evaluated = {row.epigenome: row for row in evaluate(score_test_genes(run))}
    with_model = run.epigenomes
    rows = []
    for summary in run.summary():
        name = summary.epigenome
        if name not in with_model:
            continue
        row: dict[str, Any] = {"id": name, "name": names.get(name, ""), "flipped": flipped.get(name)}
        row |= {"published": summary.published_auroc, "best_epoch": summary.best_epoch, "note": summary.note}
        if own := evaluated.get(name):
            row |= {key: getattr(own, key) for key in ("genes", "auroc", "auroc_low", "auroc_high", "auprc")}
        if patterns is not None:
            i = with_model.index(name)
            row["scale"] = None if math.isnan(patterns.scale[i]) else float(patterns.scale[i])
            row["score"] = patterns.score[i].tolist()
            row["active"] = patterns.active()[i].tolist()
            row["spread"] = float(patterns.spread[i].mean())
            if seen := evidence.get(name):
                row["correlation"] = [rank_correlation(patterns.value[i, c], seen.observed[c].mean) for c in range(2)]
        if seen := evidence.get(name):
            row["observed_genes"] = [own.genes for own in seen.observed]
            row["complete"] = seen.complete
            row["mark_attention"] = None if seen.mark_attention is None else seen.mark_attention.tolist()
        rows.append(row)
    return [{key: _rounded(value) for key, value in row.items()} for row in rows]


def _roc(run: Run) -> dict[str, list[float]]:
    """Sample every ROC curve at equal steps of the false positive rate."""
    grid = np.linspace(0, 1, ROC_POINTS)
    curves = {}
    for (name,), part in roc_points(score_test_genes(run)).group_by("epigenome", maintain_order=True):
        rates = (part["false_positive_rate"].to_numpy(), part["true_positive_rate"].to_numpy())
        curves[str(name)] = np.interp(grid, *rates).round(3).tolist()
    return curves


def _curves(run: Run) -> dict[str, dict[str, Any]]:
    columns = ("train_loss", "valid_loss", "valid_auroc")
    metrics = run.metrics().partition_by("epigenome", as_dict=True, maintain_order=True)
    return {str(name): {key: _rounded(part[key].to_list()) for key in columns} for (name,), part in metrics.items()}


def _genes(
    run: Run, evidence: Mapping[str, Evidence], data: RunData | None, genes: Sequence[int]
) -> dict[str, Any] | None:
    if not evidence or data is None:
        return None
    parts = run.predictions().partition_by("epigenome", as_dict=True)
    ids = parts[(run.epigenomes[0],)]["gene_id"].gather(list(genes)).to_list()
    symbols = data.symbols()
    scores = [_rounded(parts[(name,)]["score"].gather(list(genes)).to_list()) for name in evidence]
    return {
        "id": ids,
        "symbol": [symbols.get(gene, "") for gene in ids],
        "score": scores,
        "on": [one.labels.tolist() for one in evidence.values()],
        "part": [SPLIT_NAMES[part] for part in next(iter(evidence.values())).parts],
    }


def _rounded(value: Any) -> Any:
    """Round floats to four digits after the first, and put ``None`` for what JSON cannot say."""
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
