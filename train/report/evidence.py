"""What the data of one epigenome say about its model: reads, attributions, attention, scores of other models.

See docs/report.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from deepchrome.common.names import TEST, TRAIN
from deepchrome.train.datasets.dataset import Dataset
from deepchrome.train.datasets.depth import CountScale
from deepchrome.train.models import is_network
from deepchrome.train.models.attentivechrome import AttentiveChrome
from deepchrome.train.models.metrics import auroc
from deepchrome.train.models.trained import TrainedModel
from deepchrome.train.report.attributions import integrated_gradients, mean_attention
from deepchrome.train.report.prior import Moments
from deepchrome.train.run.directory import Run

# Maximum number of test genes of one epigenome, over all models, that are scored for the transfer matrix. They take
# about 1.5 seconds on one core.
TRANSFER_GENES: Final = 30_000
# Maximum number of test genes per class over which attributions and attention are averaged.
SAMPLED_GENES: Final = 100


@dataclass(frozen=True)
class ObservedReads:
    """Reads per bin of the genes of one class, in all parts of the split.

    Attributes
    ----------
    genes
        Number of genes.
    mean, low, high
        float32 (bins, marks): mean, lower quartile and upper quartile over the genes.
    """

    genes: int
    mean: NDArray[np.float32] = field(repr=False)
    low: NDArray[np.float32] = field(repr=False)
    high: NDArray[np.float32] = field(repr=False)


@dataclass
class Evidence:
    """Evidence from the data of one epigenome. In pairs and along axes of length 2, off comes before on.

    Attributes
    ----------
    moments
        Sums over the training genes, for the prior of the pattern maps; ``None`` if no model was trained on them.
    present
        bool (marks,): whether each mark was measured.
    scales
        How counts became inputs; see :class:`~deepchrome.train.datasets.dataset.Dataset`.
    observed
        Summary of the reads per bin of each class.
    tracks
        float32 (chosen genes, bins, marks): reads per bin of the genes of the gene view.
    labels
        uint8 (chosen genes,): 0 for off, 1 for on.
    parts
        int8 (chosen genes,): part of the split, as an index into :data:`~deepchrome.common.names.SPLIT_NAMES`.
    transfer
        AUROC of every model of the run on test genes of this epigenome, by name; empty if there is one model only.
    transfer_genes
        Number of these test genes.
    attributions
        float32 (2, bins, marks): mean integrated gradients of test genes; ``None`` for baselines.
    gene_attributions
        float32 (chosen genes, bins, marks): integrated gradients; ``None`` for baselines.
    complete
        Whether the attributions add up, within a tolerance, to the change in log-odds from a gene without reads.
    attention
        float32 (2, bins, marks): mean attention weights of the bins; ``None`` if the model has none.
    mark_attention
        float32 (2, marks): mean attention weights of the marks; ``None`` if the model has none.
    """

    moments: Moments | None = field(repr=False)
    present: NDArray[np.bool_] = field(repr=False)
    scales: tuple[CountScale, ...] | None = field(repr=False)
    observed: tuple[ObservedReads, ObservedReads] = field(repr=False)
    tracks: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    parts: NDArray[np.int8] = field(repr=False)
    transfer: Mapping[str, float | None] = field(default_factory=dict)
    transfer_genes: int = 0
    attributions: NDArray[np.float32] | None = None
    gene_attributions: NDArray[np.float32] | None = None
    complete: bool = True
    attention: NDArray[np.float32] | None = None
    mark_attention: NDArray[np.float32] | None = None

    def to_reads(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the reads per bin that correspond to inputs, float32 (..., bins, marks), of the same shape.

        A missing mark has no reads.
        """
        known = np.where(self.present, x, np.float32(0))
        if self.scales is None:
            return known
        return np.stack([scale.invert(known[..., i]) for i, scale in enumerate(self.scales)], -1)


def gather_evidence(run: Run, models: Mapping[str, TrainedModel], data: Dataset, genes: Sequence[int]) -> Evidence:
    """Gather the evidence for the model of one epigenome.

    Parameters
    ----------
    run
        A finished run.
    models
        All its models, by name.
    data
        Data set of the epigenome.
    genes
        Rows of the genes of the gene view; see :func:`~deepchrome.train.report.gene_view.choose_genes`.
    """
    rows = np.array(genes, np.int64)
    held_out = run.config.held_out(data.epigenome)
    evidence = Evidence(
        None if held_out else Moments.from_inputs(data.x[data.split == TRAIN]),
        data.present,
        data.scales,
        observed_reads(data),
        data.reads(rows),
        data.y[rows],
        data.split[rows],
    )
    if len(models) > 1:
        test = _sample(np.flatnonzero(data.split == TEST), TRANSFER_GENES // len(models))
        evidence.transfer_genes = test.size
        evidence.transfer = {
            name: auroc(data.y[test], model.score(data.x[test]).log_odds) for name, model in models.items()
        }
    if is_network(run.config.fit.model):
        _attribute(evidence, models[run.config.model_of(data.epigenome)], data, rows)
    return evidence


def _attribute(evidence: Evidence, trained: TrainedModel, data: Dataset, rows: NDArray[np.int64]) -> None:
    """Add attributions and attention of the first network of a model to the evidence."""
    model, task = trained.member(0), trained.spec.task
    no_reads = None
    if data.scales is not None:
        no_reads = np.array([scale.apply(np.zeros(1, np.uint32))[0] for scale in data.scales], np.float32)
    sampled = [sample_test_genes(data, label, SAMPLED_GENES) for label in (0, 1)]
    *per_class, per_gene = (
        integrated_gradients(model, data.x[chosen], task, no_reads=no_reads) for chosen in (*sampled, rows)
    )
    no_genes = np.zeros(data.x.shape[1:])
    evidence.attributions = np.stack([item.values.mean(0) if len(item.values) else no_genes for item in per_class])
    evidence.gene_attributions = per_gene.values
    evidence.complete = all(item.complete for item in (*per_class, per_gene) if len(item.values))
    if isinstance(model, AttentiveChrome) and all(sample.size for sample in sampled):
        over_bins, over_marks = zip(*(mean_attention(model, data.x[sample]) for sample in sampled), strict=True)
        evidence.attention, evidence.mark_attention = np.stack(over_bins), np.stack(over_marks)


def observed_reads(data: Dataset) -> tuple[ObservedReads, ObservedReads]:
    """Summarize the reads per bin of the genes that are off and of those that are on. There must be both kinds."""
    summaries = []
    for label in (0, 1):
        reads = data.reads(data.y == label)
        low, high = np.percentile(reads, (25, 75), axis=0).astype(np.float32)
        summaries.append(ObservedReads(len(reads), reads.mean(0, dtype=np.float64).astype(np.float32), low, high))
    return summaries[0], summaries[1]


def sample_test_genes(data: Dataset, label: int, limit: int, seed: int = 1) -> NDArray[np.int64]:
    """Choose at most ``limit`` test genes of one class at random; return their rows in ascending order."""
    return _sample(np.flatnonzero((data.split == TEST) & (data.y == label)), limit, seed)


def _sample(rows: NDArray[np.int64], limit: int, seed: int = 1) -> NDArray[np.int64]:
    """Choose at most ``limit`` rows at random; keep their order."""
    if rows.size > limit:
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    return rows


def rank_correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> list[float | None]:
    """Return Spearman's rho of two maps (bins, marks), mark by mark; ``None`` where all bins of a map are equal."""
    correlations: list[float | None] = []
    for a, b in zip(one.T, other.T, strict=True):
        both_vary = np.ptp(a) > 0 and np.ptp(b) > 0
        correlations.append(float(spearmanr(a, b).statistic) if both_vary else None)
    return correlations
